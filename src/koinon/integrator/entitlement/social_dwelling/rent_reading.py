"""From sources' answers to the facts of the rent, and from the rent to the fields of the flow. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from koinon.base.clock import civil_date
from koinon.base.text import Text
from koinon.integrator.drivers import PartialDate, Plan, Request, SourceAnswer
from koinon.integrator.entitlement.answers import HOUSEHOLD, PERSON, Answers, find_members, parameter
from koinon.integrator.entitlement.social_dwelling.reading import INCOME, SOCIAL
from koinon.integrator.entitlement.social_dwelling.rent import (
    Occupant,
    RentFacts,
    calculate_rent,
    rent_income_year,
)
from koinon.integrator.model import Combined, FieldAnswer, Flow

TENANCY = "dwellings/tenancy"
NEEDS: Mapping[str, str] = {
    "death_date": f"{PERSON}.death_date",
    "base_rent": f"{TENANCY}.base_rent",
    "members": f"{HOUSEHOLD}.members",
    "dependent_child": f"{SOCIAL}.dependent_child",
    "income": f"{INCOME}.net_taxable_income",
    "disabled": f"{SOCIAL}.disabled",
    "excess_bedrooms": f"{TENANCY}.excess_bedrooms",
    "transfer_requested": f"{TENANCY}.transfer_requested",
    "birth_date": f"{HOUSEHOLD}.members",
}
"""Where each datum of the rule comes from. A birth date that is not complete is one of a member."""

_PLAN = Plan(
    steps=(
        (
            Request(PERSON, frozenset({"birth_date", "death_date"})),
            Request(HOUSEHOLD, frozenset({"members"})),
            Request(
                TENANCY,
                frozenset({"base_rent", "excess_bedrooms", "transfer_requested", "declared_income"}),
            ),
        ),
        (
            Request(SOCIAL, frozenset({"dependent_child", "disabled"}), "members"),
            Request(INCOME, frozenset({"net_taxable_income"}), "members"),
        ),
    ),
    find=find_members,
)
_FIELDS = {resource: tuple(sorted(fields)) for resource, fields in _PLAN.resources.items()}
_EXHAUSTIVE = frozenset({SOCIAL})


def combine_rent(subject: str, answers: Sequence[SourceAnswer], at: datetime) -> Combined:
    """What the answers say together about a tenant's rent; an amount that is not determined is unknown."""
    known = Answers(subject, answers, _FIELDS, _EXHAUSTIVE)
    rent = calculate_rent(read_rent(known), civil_date(at))
    rent_missing = tuple(dict.fromkeys(NEEDS[code] for code in rent.rent_missing))
    supplement_missing = tuple(dict.fromkeys(NEEDS[code] for code in rent.supplement_missing))
    total_missing = tuple(dict.fromkeys((*rent_missing, *supplement_missing)))
    over = None if rent.over_adapted is None else rent.over_adapted
    return Combined(
        fields={
            "total_month": _field(rent.total_cents, total_missing, known, ()),
            "rent_month": _field(rent.rent_cents, rent_missing, known, rent.rent_text),
            "supplement_month": _field(
                rent.supplement_cents, supplement_missing, known, (rent.supplement_text,)
            ),
            "over_adapted": _field(over, (NEEDS["excess_bedrooms"],), known, ()),
        },
        parameters=tuple(parameter(used) for used in rent.parameters),
        explanation=(*rent.rent_text, rent.supplement_text, *rent.notes),
        notes=rent.notes,
    )


def read_rent(known: Answers) -> RentFacts:
    """What is known about the tenant, the household and the dwelling."""
    tenancy = known.values(TENANCY)
    born: dict[str, Any] = {member.number: member.birth_date for member in known.household}
    born.setdefault(known.current, known.birth_date())
    requested = tenancy.get("transfer_requested")
    return RentFacts(
        alive=known.alive(),
        members=tuple(_occupant(known, number, born.get(number)) for number in known.numbers),
        complete=bool(known.household),
        base_rent_cents=_number(tenancy.get("base_rent")),
        excess_bedrooms=_number(tenancy.get("excess_bedrooms")),
        transfer_requested=requested if isinstance(requested, bool) else None,
        declared_income_cents=_number(tenancy.get("declared_income")),
    )


def _occupant(known: Answers, number: str, born: Any) -> Occupant:
    return Occupant(
        born=born if isinstance(born, PartialDate) else None,
        dependent_child=known.flag(SOCIAL, number, "dependent_child"),
        disabled=known.flag(SOCIAL, number, "disabled"),
        net_taxable_cents=_number(known.values(INCOME, number).get("net_taxable_income")),
    )


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _field(
    value: Any, missing: tuple[str, ...], known: Answers, explanation: tuple[Text, ...]
) -> FieldAnswer:
    found = known.field(value, missing, explanation)
    # What the rule misses it misses, also where the source did answer: a date that is not complete, an absurd amount.
    return (
        found
        if found.status != "unknown"
        else FieldAnswer(status="unknown", missing=missing, explanation=explanation)
    )


RENT = Flow(
    name="social-dwelling-rent",
    title=Text("Huur van een sociale woning", "Loyer d’un logement social", "Rent of a social dwelling"),
    purposes={
        "social_dwelling_rent": Text(
            "berekening van de huur van een sociale woning",
            "calcul du loyer d’un logement social",
            "calculation of the rent of a social dwelling",
        )
    },
    subject="national_number",
    fields={
        "total_month": Text("te betalen per maand", "à payer par mois", "to be paid a month"),
        "rent_month": Text("reële huur per maand", "loyer réel par mois", "real rent a month"),
        "supplement_month": Text(
            "toeslag voor een te grote woning, per maand",
            "supplément pour logement suradapté, par mois",
            "supplement for too large a dwelling, a month",
        ),
        "over_adapted": Text("slaapkamers te veel", "chambres excédentaires", "bedrooms too many"),
    },
    plan=_PLAN,
    parameters=lambda at: {"income_year": str(rent_income_year(civil_date(at)))},
    combine=combine_rent,
    cents=frozenset({"total_month", "rent_month", "supplement_month"}),
    verdict="total_month",
)
"""What must this tenant pay, from income, family and dwelling?"""
