"""From sources' answers to the facts of the rule, and from its decision to the fields of the flow. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from koinon.base.clock import civil_date
from koinon.base.text import Text
from koinon.integrator.drivers import Plan, Request, SourceAnswer
from koinon.integrator.entitlement.answers import HOUSEHOLD, PERSON, Answers, find_members, parameter
from koinon.integrator.entitlement.social_dwelling.rule import (
    Admission,
    Facts,
    Member,
    decide_admission,
    parameters_on,
    reference_year,
)
from koinon.integrator.entitlement.three import any_of
from koinon.integrator.model import Combined, FieldAnswer, Flow

FUNCTIONS = "kbo/functions"
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


def source_parameters(at: datetime) -> Mapping[str, str]:
    """What the sources need besides the subject, for an application at that instant."""
    return {"income_year": str(reference_year(civil_date(at)))}


def combine_admission(subject: str, answers: Sequence[SourceAnswer], at: datetime) -> Combined:
    """What the answers say together about an applicant.

    What is not known stays `unknown`, `no_data`, `no_answer` or `not_allowed`, as the source left it, with
    the data that are missing; `admissible` is known too where one condition decides.
    """
    known = Answers(subject, answers, _FIELDS, _EXHAUSTIVE)
    facts = _facts(known)
    day = civil_date(at)
    decision = decide_admission(facts, day)
    plain = {condition.code: (condition.plain,) for condition in decision.conditions}
    values: dict[str, Any] = {
        "adult": decision.met("adult"),
        "registered": decision.met("registered"),
        "household_size": len(facts.members) if facts.complete else None,
        "dependent_children": _count(facts),
        "income_within_ceiling": decision.met("income_within_ceiling"),
        "no_property": decision.met("no_property"),
        "self_employed": known.flag(FUNCTIONS, known.current, "active"),
    }
    fields = {name: known.field(value, _NEEDS[name], plain.get(name, ())) for name, value in values.items()}
    fields["admissible"] = _admissible(decision, known.holes)
    return Combined(
        fields=fields,
        parameters=tuple(parameter(used) for used in parameters_on(day)),
        explanation=(*(condition.text for condition in decision.conditions), *decision.notes),
        notes=decision.notes,
    )


def _facts(known: Answers) -> Facts:
    registers: dict[str, Any] = {member.number: member.register for member in known.household}
    registers.setdefault(known.current, known.values(PERSON).get("register"))
    return Facts(
        born=known.birth_date(),
        alive=known.alive(),
        members=tuple(_member(known, number, registers.get(number)) for number in known.numbers),
        complete=bool(known.household),
        applications_examined=known.asked(APPLICATION),
    )


def _member(known: Answers, number: str, register: str | None) -> Member:
    amount = known.values(INCOME, number).get("net_taxable_income")
    return Member(
        registered=None if register is None else register in _INSCRIBED,
        dependent_child=known.flag(SOCIAL, number, "dependent_child"),
        disabled=known.flag(SOCIAL, number, "disabled"),
        # No assessment is not an income of nothing.
        net_taxable_cents=amount if isinstance(amount, int) else None,
        property=any_of(known.flag(PROPERTY, number, right) for right in _RIGHTS),
        application=_application(known, number),
    )


def _application(known: Answers, number: str) -> str | None:
    if known.has_none(APPLICATION, number):
        return ""
    value = known.values(APPLICATION, number).get("application")
    return value if isinstance(value, str) and value else None


def _count(facts: Facts) -> int | None:
    dependent = [member.dependent_child for member in facts.members]
    return sum(map(bool, dependent)) if facts.complete and None not in dependent else None


def _admissible(decision: Admission, holes: Mapping[str, str]) -> FieldAnswer:
    explanation = tuple(condition.plain for condition in decision.conditions)
    if decision.outcome != "unknown":
        return FieldAnswer(status="value", value=decision.outcome == "yes", explanation=explanation)
    open_ = [condition.code for condition in decision.conditions if condition.met is None]
    missing = dict.fromkeys(need for code in open_ for need in _NEEDS[code] if need in holes)
    return FieldAnswer(status="unknown", missing=tuple(missing), explanation=explanation)


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
        verdict="admissible",
    )


ADMISSION = admission_flow()
"""The flow with the register of applicants."""
