"""The rent of a social dwelling, from income, family and dwelling. Pure.

    rent = base rent x household income / reference income
           - base rent x (reduction for dependent children + 20 % for each disabled adult)
    not under half of the base rent; not over 20, 22 or 24 % of the income; not under the minimum of the year
    + supplement for each bedroom too many from the second on, for a dwelling that is over-adapted

Amounts are integer eurocent, rounded half a cent upwards at the end of each line. Amounts beyond `INCOME_LIMIT` and
`BASE_LIMIT` are held to be errors of the source, and unknown.

Source: decree of the Brussels-Capital Government of 26 September 1996, arts. 25 and 59; SLRB-BGHM, "Votre loyer et vos
charges"; Autonomia, "Le calcul du revenu du loyer". What was not found is marked `illustrative` in `parameters.toml`.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from koinon.base.errors import NotFound
from koinon.base.text import Text
from koinon.integrator.drivers import PartialDate
from koinon.integrator.entitlement.parameters import Used, parameter_book
from koinon.integrator.entitlement.social_dwelling import rule
from koinon.integrator.entitlement.three import Tri, all_of, any_of, not_
from koinon.integrator.entitlement.words import Money, words

INCOME_LIMIT = 10_000_000_000
"""Eurocent a year of a household, above which an income is an error."""
BASE_LIMIT = 1_000_000
"""Eurocent a month, above which a base rent is an error."""
BEDROOM_LIMIT = 1000
MOST_CHILDREN = 6
"""The reduction of six children holds for more."""

CODES = (
    "reference_income",
    "minimum_rent",
    *(f"child_reduction_{n}" for n in range(1, MOST_CHILDREN + 1)),
    "disabled_child_counts_as",
    "disabled_adult_reduction",
    "half_of_base_rent",
    "share_lower",
    "share_middle",
    "share_highest",
    "minimum_prevails",
    "rent_income_years_back",
    "income_fall",
    "over_adapted_bedrooms",
    "over_adapted_share",
    "over_adapted_cap",
    "over_adapted_exempt_age",
)
"""All that the rule looks at. An answer names all of them, whoever it is about: which ones a household needs would
say something about its members."""


class Occupant(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the household, as far as it is known; None is unknown."""

    born: PartialDate | None = None
    dependent_child: Tri = None
    disabled: Tri = None
    net_taxable_cents: int | None = None


class RentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a tenant, the household and the dwelling; None is unknown.

    Attributes:
        complete: whether `members` are all members of the household.
        excess_bedrooms: how many bedrooms exceed what the household needs, as the keeper of the dwelling counts them.
        declared_income_cents: the present income that the household declared, of a year; None: none was declared.
    """

    alive: Tri = None
    members: tuple[Occupant, ...] = ()
    complete: bool = False
    base_rent_cents: int | None = None
    excess_bedrooms: int | None = None
    transfer_requested: Tri = None
    declared_income_cents: int | None = None


class Rent(msgspec.Struct, frozen=True):
    """The rent with its reasons; an amount that is None is unknown.

    Attributes:
        rent_cents, supplement_cents, total_cents: of a month.
        over_adapted: whether the dwelling has too many bedrooms, whether or not a supplement is due.
        limit: which limit decided: `none`, `half`, `share`, `minimum`; empty while the rent is unknown.
        rent_missing, supplement_missing: codes of the data that would be needed; see `NEEDS` in `rent_reading`.
        parameters: all that the rule looks at on that day.
    """

    rent_cents: int | None
    supplement_cents: int | None
    total_cents: int | None
    over_adapted: Tri
    limit: str
    rent_missing: tuple[str, ...]
    supplement_missing: tuple[str, ...]
    rent_text: tuple[Text, ...]
    supplement_text: Text
    parameters: tuple[Used, ...]
    notes: tuple[Text, ...]


def calculate_rent(facts: RentFacts, at: date) -> Rent:
    """The rent of a month on that day, as far as what is known determines it.

    A year whose amounts we do not know leaves everything unknown but what needs no amount.

    Raises:
        NotFound: `parameter_not_in_force`: before 2016 we know nothing of the rule.
    """
    book = parameter_book(__package__)
    book.on("income_fall", at)
    texts = words(__package__, "rent_texts.toml")
    excess = _plausible(facts.excess_bedrooms, BEDROOM_LIMIT)
    try:
        used = {code: book.on(code, at) for code in CODES}
    except NotFound:
        over = None if excess is None else excess >= book.on("over_adapted_bedrooms", at).value
        why = texts.say("unknown", "parameters", year=at.year)
        return Rent(None, None, None, over, "", (), (), (why,), why, (), (texts.say("note", "not_examined"),))
    values = {code: parameter.value for code, parameter in used.items()}
    over = None if excess is None else excess >= values["over_adapted_bedrooms"]
    assessed, income_missing = _income(facts)
    income = assessed
    declared = _plausible(facts.declared_income_cents, INCOME_LIMIT)
    fell = (
        assessed is not None
        and declared is not None
        and declared * 100 <= assessed * (100 - values["income_fall"])
    )
    if fell:
        income = declared
    rent, limit, percent, rent_missing = _rent(facts, at, values, income, income_missing, over)
    supplement, supplement_missing = _supplement(facts, at, values, income, income_missing, excess)
    total = None if rent is None or supplement is None else rent + supplement
    year = at.year - values["rent_income_years_back"]
    if rent is not None and facts.base_rent_cents is not None:
        steps = [
            texts.say("step", "base", base=Money(facts.base_rent_cents)),
            texts.say("step", "coefficient", year=year, reference=Money(values["reference_income"])),
        ]
        if fell:
            steps.append(texts.say("step", "declared", percent=values["income_fall"], year=year))
        steps.append(texts.say("step", "reductions"))
        steps.append(texts.say("limit", limit, rent=Money(rent), percent=percent))
    else:
        steps = [texts.say("unknown", "dead" if facts.alive is False else "rent")]
    if supplement is None:
        extra = texts.say("unknown", "dead" if facts.alive is False else "supplement")
    elif supplement:
        extra = texts.say("supplement", "due", excess=excess or 0, supplement=Money(supplement))
    else:
        extra = texts.say("supplement", "none")
    notes = [texts.say("note", "not_examined")]
    if any(parameter.mark == "illustrative" for parameter in used.values()):
        notes.insert(0, texts.say("note", "illustrative"))
    return Rent(
        rent,
        supplement,
        total,
        over,
        limit,
        rent_missing,
        supplement_missing,
        tuple(steps),
        extra,
        tuple(used.values()),
        tuple(notes),
    )


def rent_income_year(at: date) -> int:
    """The year whose income counts for the rent of that day."""
    return at.year - parameter_book(__package__).on("rent_income_years_back", at).value


def half_up(numerator: int, denominator: int) -> int:
    """The quotient of a natural number by a positive one, half a unit upwards."""
    return (2 * numerator + denominator) // (2 * denominator)


def _plausible(value: int | None, limit: int) -> int | None:
    return None if value is None or not 0 <= value <= limit else value


def _income(facts: RentFacts) -> tuple[int | None, tuple[str, ...]]:
    """The income of all members together, dependent children left out; and what is missing to know it."""
    missing = {} if facts.complete else {"members": None}
    total = 0
    for member in facts.members:
        if member.dependent_child is None:
            missing["dependent_child"] = None
        elif not member.dependent_child:
            if member.net_taxable_cents is None:
                missing["income"] = None
            else:
                total += member.net_taxable_cents
    if not missing and not 0 <= total <= INCOME_LIMIT:
        missing["income"] = None
    return (None if missing else total), tuple(missing)


def _reduction(facts: RentFacts, values: dict[str, int]) -> tuple[int | None, tuple[str, ...]]:
    """Percent of the base rent; and what is missing to know it."""
    missing = {} if facts.complete else {"members": None}
    if any(member.dependent_child is None for member in facts.members):
        missing["dependent_child"] = None
    # Art. 2, par. 1, 10°: a disabled dependent child counts as two.
    twice = values["disabled_child_counts_as"]
    children = [member.disabled for member in facts.members if member.dependent_child]
    least = sum(twice if disabled is True else 1 for disabled in children)
    most = sum(1 if disabled is False else twice for disabled in children)
    adults = [member.disabled for member in facts.members if member.dependent_child is False]
    percent = _child_percent(least, values)
    if None in adults or percent != _child_percent(most, values):
        missing["disabled"] = None
    if missing:
        return None, tuple(missing)
    return percent + sum(map(bool, adults)) * values["disabled_adult_reduction"], ()


def _child_percent(count: int, values: dict[str, int]) -> int:
    return values[f"child_reduction_{min(count, MOST_CHILDREN)}"] if count else 0


def _rent(
    facts: RentFacts,
    at: date,
    values: dict[str, int],
    income: int | None,
    income_missing: tuple[str, ...],
    over: Tri,
) -> tuple[int | None, str, int, tuple[str, ...]]:
    """The rent, which limit decided, the share of income that was its ceiling, and what is missing."""
    if facts.alive is False:
        return None, "", 0, ()
    base = _plausible(facts.base_rent_cents, BASE_LIMIT)
    reduction, reduction_missing = _reduction(facts, values)
    missing = dict.fromkeys(
        (
            *(() if facts.alive else ("death_date",)),
            *(() if base is not None else ("base_rent",)),
            *income_missing,
            *reduction_missing,
        )
    )
    share = None
    if income is not None:
        share, share_missing = _share(facts, at, values, income, over)
        missing |= dict.fromkeys(share_missing)
    if missing or base is None or income is None or reduction is None or share is None:
        return None, "", 0, tuple(missing)
    reference = values["reference_income"]
    # base * income / reference - base * reduction / 100, over one denominator.
    exact = max(0, base * (100 * income - reference * reduction))
    rent, limit = half_up(exact, 100 * reference), "none"
    half = half_up(base * values["half_of_base_rent"], 100)
    if rent < half:
        rent, limit = half, "half"
    highest = half_up(income * share, 1200)
    if rent > highest:
        rent, limit = highest, "share"
    if rent < values["minimum_rent"] and (limit != "share" or values["minimum_prevails"]):
        rent, limit = values["minimum_rent"], "minimum"
    return rent, limit, share, ()


def _share(
    facts: RentFacts, at: date, values: dict[str, int], income: int, over: Tri
) -> tuple[int | None, tuple[str, ...]]:
    """The highest share of the income, in percent; and what is missing to know it."""
    if income < values["reference_income"]:
        adapted = any_of((not_(over), facts.transfer_requested))
        if adapted is None:
            return None, (
                *(("excess_bedrooms",) if over is None else ()),
                *(("transfer_requested",) if facts.transfer_requested is None else ()),
            )
        return values["share_lower" if adapted else "share_highest"], ()
    within = rule.within_ceiling(
        rule.Facts(
            members=tuple(
                rule.Member(
                    dependent_child=member.dependent_child,
                    disabled=member.disabled,
                    net_taxable_cents=member.net_taxable_cents,
                )
                for member in facts.members
            ),
            complete=facts.complete,
        ),
        income,
        at,
    )
    if within is None:
        return None, ("disabled", "income")
    return values["share_middle" if within else "share_highest"], ()


def _supplement(
    facts: RentFacts,
    at: date,
    values: dict[str, int],
    income: int | None,
    income_missing: tuple[str, ...],
    excess: int | None,
) -> tuple[int | None, tuple[str, ...]]:
    """The supplement of a month, and what is missing to know it."""
    if facts.alive is False:
        return None, ()
    if excess is None:
        return None, ("excess_bedrooms",)
    if excess < values["over_adapted_bedrooms"]:
        return 0, ()
    exempt, missing = _exempt(facts, at, values["over_adapted_exempt_age"])
    if exempt:
        return 0, ()
    if exempt is None or income is None:
        return None, tuple(dict.fromkeys((*missing, *income_missing)))
    rooms = excess - values["over_adapted_bedrooms"] + 1
    # Of a year and a room, in hundredths of a cent.
    each = min(income * values["over_adapted_share"], 100 * values["over_adapted_cap"])
    return half_up(rooms * each, 1200), ()


def _exempt(facts: RentFacts, at: date, age: int) -> tuple[Tri, Sequence[str]]:
    """Whether the household pays no supplement, and what is missing to know it."""
    old = [None if member.born is None else member.born.age_reached(age, at) for member in facts.members]
    disabled = [member.disabled for member in facts.members]
    exempt = any_of((*old, *disabled, facts.transfer_requested, False if facts.complete else None))
    missing = [
        code
        for code, value in (
            ("birth_date", any_of(old)),
            ("disabled", any_of(disabled)),
            ("transfer_requested", facts.transfer_requested),
            ("members", all_of((facts.complete or None,))),
        )
        if value is None
    ]
    return exempt, missing
