"""From sources' answers to the facts of the rule, and from its decision to the fields of the flow. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from koinon.base.clock import civil_date
from koinon.base.text import Text
from koinon.integrator.drivers import HouseholdMember, PartialDate, Plan, Request, SourceAnswer
from koinon.integrator.entitlement.parameters import Used
from koinon.integrator.entitlement.social_dwelling.rule import (
    Admission,
    Facts,
    Member,
    decide_admission,
    reference_year,
)
from koinon.integrator.entitlement.three import Tri, any_of
from koinon.integrator.model import Combined, FieldAnswer, FieldStatus, Flow, Parameter

PERSON, HOUSEHOLD, FUNCTIONS = "rijksregister/person", "rijksregister/household", "kbo/functions"
INCOME, PROPERTY, SOCIAL = "ksz/income", "ksz/property", "ksz/social_status"
APPLICATION = "candidates/application"

_INSCRIBED = frozenset({"population", "foreigners"})
_RIGHTS = ("full_ownership", "usufruct", "emphyteusis")
# What a condition or output field rests on, to say what is missing where it is unknown.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "alive": (f"{PERSON}.death_date",),
    "adult": (f"{PERSON}.birth_date",),
    "registered": (f"{PERSON}.register", f"{HOUSEHOLD}.members", f"{SOCIAL}.dependent_child"),
    "household_size": (f"{HOUSEHOLD}.members",),
    "dependent_children": (f"{HOUSEHOLD}.members", f"{SOCIAL}.dependent_child"),
    "income_within_ceiling": (
        f"{HOUSEHOLD}.members",
        f"{INCOME}.net_taxable_income",
        f"{SOCIAL}.dependent_child",
        f"{SOCIAL}.disabled",
    ),
    "no_property": (f"{HOUSEHOLD}.members", *(f"{PROPERTY}.{right}" for right in _RIGHTS)),
    "self_employed": (f"{FUNCTIONS}.active",),
    "single_application": (f"{HOUSEHOLD}.members", f"{APPLICATION}.application"),
}


def find_members(about: str, subject: str, answers: Sequence[SourceAnswer]) -> Sequence[str]:
    """The numbers of the subject's household, the subject first; the subject alone where it is not known."""
    return tuple(member.number for member in _household(subject, answers)) or (_current(subject, answers),)


def _plan(*, applications: bool) -> Plan:
    members = (
        Request(SOCIAL, frozenset({"dependent_child", "disabled"}), "members"),
        Request(INCOME, frozenset({"net_taxable_income"}), "members"),
        Request(PROPERTY, frozenset(_RIGHTS), "members"),
        Request(APPLICATION, frozenset({"application"}), "members"),
    )
    return Plan(
        steps=(
            (
                Request(PERSON, frozenset({"birth_date", "death_date", "register"})),
                Request(HOUSEHOLD, frozenset({"members"})),
                Request(FUNCTIONS, frozenset({"active"})),
            ),
            members if applications else members[:-1],
        ),
        find=find_members,
    )


_FIELDS: Mapping[str, tuple[str, ...]] = {
    resource: tuple(sorted(fields)) for resource, fields in _plan(applications=True).resources.items()
}
# Registers that list what exists: nothing about a person they know means that there is nothing.
_EXHAUSTIVE = frozenset({FUNCTIONS, PROPERTY, SOCIAL, APPLICATION})
_ABSENT = object()


def source_parameters(at: datetime) -> Mapping[str, str]:
    """What the sources need besides the subject, for an application at that instant."""
    return {"income_year": str(reference_year(civil_date(at)))}


def combine_admission(subject: str, answers: Sequence[SourceAnswer], at: datetime) -> Combined:
    """What the answers say together about an applicant.

    What is not known stays `unknown`, `no_data`, `no_answer` or `not_allowed`, as the source left it, with
    the data that are missing; `admissible` is known too where one condition decides.
    """
    found = {(answer.resource, answer.current_subject): answer for answer in answers}
    household = _household(subject, answers)
    numbers = find_members("members", subject, answers)
    facts = _facts(subject, found, answers, household, numbers)
    decision = decide_admission(facts, civil_date(at))
    holes = _holes(answers)
    active = _flag(found, FUNCTIONS, _current(subject, answers), "active")
    values: dict[str, Any] = {
        "adult": decision.met("adult"),
        "registered": decision.met("registered"),
        "household_size": len(facts.members) if facts.complete else None,
        "dependent_children": _count(facts),
        "income_within_ceiling": decision.met("income_within_ceiling"),
        "no_property": decision.met("no_property"),
        "self_employed": active,
    }
    fields = {name: _field(value, _NEEDS[name], holes) for name, value in values.items()}
    fields["admissible"] = _admissible(decision, holes)
    return Combined(
        fields=fields,
        parameters=tuple(_parameter(used) for used in decision.parameters),
        explanation=(*(condition.text for condition in decision.conditions), *decision.notes),
    )


@lru_cache(maxsize=1024)
def _parameter(used: Used) -> Parameter:
    return Parameter(
        name=used.code,
        value=str(used.value),
        unit=used.unit,
        valid_from=used.valid_from.isoformat(),
        source=used.source,
        mark=used.mark,
    )


Found = Mapping[tuple[str, str], SourceAnswer]


def _facts(
    subject: str,
    found: Found,
    answers: Sequence[SourceAnswer],
    household: Sequence[HouseholdMember],
    numbers: Sequence[str],
) -> Facts:
    own = _current(subject, answers)
    person = found.get((PERSON, own))
    values: Mapping[str, Any] = person.values if person is not None and person.status == "data" else {}
    registers: dict[str, Any] = {member.number: member.register for member in household}
    registers.setdefault(own, values.get("register"))
    born = values.get("birth_date")
    return Facts(
        born=born if isinstance(born, PartialDate) else None,
        alive=values["death_date"] is None if "death_date" in values else None,
        members=tuple(_member(number, registers.get(number), found) for number in numbers),
        complete=bool(household),
        applications_examined=any(resource == APPLICATION for resource, _ in found),
    )


def _member(number: str, register: str | None, found: Found) -> Member:
    income = found.get((INCOME, number))
    amount = income.values.get("net_taxable_income") if income and income.status == "data" else None
    application = found.get((APPLICATION, number))
    return Member(
        registered=None if register is None else register in _INSCRIBED,
        dependent_child=_flag(found, SOCIAL, number, "dependent_child"),
        disabled=_flag(found, SOCIAL, number, "disabled"),
        # No assessment is not an income of nothing.
        net_taxable_cents=amount if isinstance(amount, int) else None,
        property=any_of(_flag(found, PROPERTY, number, right) for right in _RIGHTS),
        application=_application(application),
    )


def _application(answer: SourceAnswer | None) -> str | None:
    if answer is None:
        return None
    if answer.status == "no_data" and answer.fault is None:
        return ""
    value = answer.values.get("application")
    return value if answer.status == "data" and isinstance(value, str) and value else None


def _flag(found: Found, resource: str, number: str, field: str) -> Tri:
    answer = found.get((resource, number))
    if answer is None:
        return None
    if answer.status == "no_data" and answer.fault is None and resource in _EXHAUSTIVE:
        return False
    value = answer.values.get(field) if answer.status == "data" else None
    return value if isinstance(value, bool) else None


def _current(subject: str, answers: Iterable[SourceAnswer]) -> str:
    for answer in answers:
        if answer.resource in (PERSON, HOUSEHOLD) and answer.subject == subject and answer.replaced_by:
            return answer.replaced_by
    return subject


def _household(subject: str, answers: Sequence[SourceAnswer]) -> Sequence[HouseholdMember]:
    """The members, the subject first; empty where the household is not known."""
    for answer in answers:
        if answer.resource == HOUSEHOLD and answer.subject == subject and answer.status == "data":
            own, members = _current(subject, answers), answer.values.get("members")
            known = (
                [one for one in members if isinstance(one, HouseholdMember)]
                if isinstance(members, tuple)
                else []
            )
            return sorted(known, key=lambda member: member.number != own)
    return ()


def _count(facts: Facts) -> int | None:
    dependent = [member.dependent_child for member in facts.members]
    return sum(map(bool, dependent)) if facts.complete and None not in dependent else None


def _holes(answers: Sequence[SourceAnswer]) -> Mapping[str, str]:
    """Why data are missing, by `resource.field`: the status of the first answer that lacks them."""
    holes: dict[str, str] = {}
    for answer in answers:
        if answer.status == "data":
            for field in _FIELDS.get(answer.resource, ()):
                value = answer.values.get(field, _ABSENT)
                if value is _ABSENT or (isinstance(value, PartialDate) and not value.complete):
                    holes.setdefault(f"{answer.resource}.{field}", "unknown")
        elif answer.status != "no_data" or answer.fault or answer.resource not in _EXHAUSTIVE:
            for field in _FIELDS.get(answer.resource, ()):
                holes.setdefault(f"{answer.resource}.{field}", answer.status)
    return holes


def _field(value: object, needs: Sequence[str], holes: Mapping[str, str]) -> FieldAnswer:
    if value is not None:
        return FieldAnswer(status="value", value=value)
    missing = tuple(need for need in needs if need in holes)
    statuses = {holes[need] for need in missing}
    # The one that says most about what can be done: try again, ask for leave, ask the citizen.
    statuses_by_use: tuple[FieldStatus, ...] = ("no_answer", "not_allowed", "no_data")
    for status in statuses_by_use:
        if status in statuses:
            return FieldAnswer(status=status, missing=missing)
    return FieldAnswer(status="unknown", missing=missing)


def _admissible(decision: Admission, holes: Mapping[str, str]) -> FieldAnswer:
    if decision.outcome != "unknown":
        return FieldAnswer(status="value", value=decision.outcome == "yes")
    open_ = [condition.code for condition in decision.conditions if condition.met is None]
    missing = dict.fromkeys(need for code in open_ for need in _NEEDS[code] if need in holes)
    return FieldAnswer(status="unknown", missing=tuple(missing))


def admission_flow(*, applications: bool = True) -> Flow:
    """The first flow: may this person be admitted as an applicant for a social dwelling?

    Without `applications` the register of applicants is not asked, and each explanation says so.
    """
    return Flow(
        name="social-dwelling-admission",
        title=Text(
            "Voorwaarden voor een sociale woning",
            "Conditions d’accès à un logement social",
            "Conditions for a social dwelling",
        ),
        purposes={
            "social_dwelling_admission": Text(
                "toelating tot een sociale woning",
                "admission à un logement social",
                "admission to a social dwelling",
            )
        },
        subject="national_number",
        fields={
            "admissible": Text(
                "voldoet aan de voorwaarden", "remplit les conditions", "meets the conditions"
            ),
            "adult": Text("meerderjarig", "majeur", "of age"),
            "registered": Text(
                "ingeschreven in een Belgische gemeente",
                "inscrit dans une commune belge",
                "registered in a Belgian municipality",
            ),
            "household_size": Text(
                "aantal gezinsleden", "nombre de membres du ménage", "number of household members"
            ),
            "dependent_children": Text(
                "aantal kinderen ten laste", "nombre d’enfants à charge", "number of dependent children"
            ),
            "income_within_ceiling": Text(
                "inkomen binnen de grens", "revenus sous le plafond", "income within the ceiling"
            ),
            "no_property": Text("geen onroerend goed", "pas de bien immobilier", "no real estate"),
            "self_employed": Text(
                "zelfstandige of actief in een onderneming",
                "indépendant ou actif dans une entreprise",
                "self-employed or active in an enterprise",
            ),
        },
        plan=_plan(applications=applications),
        parameters=source_parameters,
        combine=combine_admission,
    )


ADMISSION = admission_flow()
"""The flow with the register of applicants."""
