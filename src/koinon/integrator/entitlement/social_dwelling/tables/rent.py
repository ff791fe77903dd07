"""The two questions about a social dwelling as table flows: for one person and for a million.

The input tables are what the sources deliver in bulk. `application` drives: one row for each subject. A row that is
not there, and a null, are both unknown; a register that lists what exists and answered with nothing is written as
what that means (`holds` false, `application` an empty text). Where a number was replaced, `subject` is the number
that was asked in every table, and the subject's own row of a table of members carries that number as `member` too.
"""

import functools
import operator
from collections.abc import Mapping
from types import MappingProxyType

import ibis
from ibis.expr.types import BooleanValue, IntegerValue, StringValue, Table, Value

from koinon.integrator.entitlement.expressions import (
    UNKNOWN_FLAG,
    age_reached,
    any_of,
    dated,
    half_up,
    missing,
    stacked,
    with_birth_date,
)
from koinon.integrator.entitlement.parameters import parameter_book
from koinon.integrator.entitlement.social_dwelling import rent, rule
from koinon.integrator.processing import TableFlow

Columns = Mapping[str, Mapping[str, str]]

_APPLICATION = {
    "subject": "string",
    "at": "date",  # the day for which it is asked
}
_PERSON = {
    "subject": "string",
    "birth_date": "string",  # `yyyy-mm-dd`, with 00 for what the register does not know
    "alive": "boolean",  # false once the register has a date of death
    "register": "string",  # population, foreigners, waiting, bis, none
}
# Rows there are all members of the household, the subject among them; without rows the household is not known.
_HOUSEHOLD = {
    "subject": "string",
    "member": "string",
    "birth_date": "string",
    "register": "string",
}
_STATUS = {"subject": "string", "member": "string", "dependent_child": "boolean", "disabled": "boolean"}
# Of the year that the rule tests for `application.at`.
_INCOME = {"subject": "string", "member": "string", "net_taxable_cents": "int64"}
# Full ownership, usufruct or long lease of real estate.
_PROPERTY = {"subject": "string", "member": "string", "holds": "boolean"}
# The open application that the member is in; an empty text where the register has none.
_CANDIDACY = {"subject": "string", "member": "string", "application": "string"}
_ENTERPRISE = {"subject": "string", "active": "boolean"}
_DWELLING = {
    "subject": "string",
    "base_rent_cents": "int64",  # for a month
    "excess_bedrooms": "int64",  # as the keeper of the dwelling counts them
    "transfer_requested": "boolean",
    "declared_income_cents": "int64",  # of a year; null where no fall of income was declared
}

ADMISSION_INPUTS: Columns = MappingProxyType(
    {
        "application": _APPLICATION,
        "person": _PERSON,
        "household": _HOUSEHOLD,
        "status": _STATUS,
        "income": _INCOME,
        "property": _PROPERTY,
        "candidacy": _CANDIDACY,
        "enterprise": _ENTERPRISE,
    }
)
"""What `social-dwelling-admission` reads: table, column, type; every column but `subject` may be null."""

RENT_INPUTS: Columns = MappingProxyType(
    {
        "application": _APPLICATION,
        "person": _PERSON,
        "household": _HOUSEHOLD,
        "status": _STATUS,
        "income": _INCOME,
        "dwelling": _DWELLING,
    }
)
"""What `social-dwelling-rent` reads; `application.at` is the first day for which the rent is calculated."""


def build_admission(tables: Mapping[str, Table]) -> Table:
    """One row for each row of `application`: the fields of the flow, and for each what is missing to know it."""
    members = _members(
        tables,
        {
            "person": {"birth_date": tables["person"].birth_date},
            "property": {"holds": tables["property"].holds},
            "candidacy": {"application": tables["candidacy"].application},
            "enterprise": {"active": tables["enterprise"].active},
        },
    )
    child, income = members.dependent_child, members.net_taxable_cents
    members = members.mutate(
        inscribed=members.register.isin(("population", "foreigners")) & ~child, earns=(income > 0) & ~child
    )
    rows = members.group_by("subject").aggregate(
        **_counted(members),
        birth_date=members.birth_date.max(),
        active=members.active.any(),
        inscribed=any_of(members.inscribed),
        register_open=members.register.isnull().any(),
        holds=any_of(members.holds),
        holds_open=members.holds.isnull().any(),
        income_low=ibis.ifelse(~child, income, 0).fill_null(0).sum(),
        income_high=ibis.ifelse(child, 0, income).fill_null(0).sum(),
        income_open=(income.isnull() & ~child.fill_null(False)).any(),
        earning=members.earns.fill_null(False).cast("int64").sum(),
        perhaps_earning=members.earns.fill_null(True).cast("int64").sum(),
        candidacy_open=members.application.isnull().any(),
        applications=members.application.nullif("").nunique(),
        own_application=ibis.ifelse(
            members.member == members.subject, members.application, ibis.null("string")
        ).max(),
    )
    rows = dated(rows.filter(rows.asked), parameter_book(__package__), rule.CODES)
    rows = with_birth_date(rows)
    complete = rows.complete
    rows = rows.mutate(
        adult=age_reached(rows, rows.minimum_age, rows.at),
        registered=ibis.ifelse(complete | rows.inscribed, rows.inscribed, UNKNOWN_FLAG),
        property_held=ibis.ifelse(complete | rows.holds, rows.holds, UNKNOWN_FLAG),
        ceiling_low=_added(rows, "low")
        + ibis.cases(
            (~complete | (rows.members == 1), rows.ceiling_single),
            (rows.earning > 1, rows.ceiling_several_incomes),
            else_=rows.ceiling_one_income,
        ),
        ceiling_high=_added(rows, "high")
        + ibis.cases(
            (~complete, ibis.null("int64")),
            (rows.members == 1, rows.ceiling_single),
            (rows.perhaps_earning > 1, rows.ceiling_several_incomes),
            else_=rows.ceiling_one_income,
        ),
        highest_income=ibis.ifelse(complete & ~rows.income_open, rows.income_high, ibis.null("int64")),
        single_application=ibis.cases(
            (rows.applications > 1, False),
            # Somebody else's application is another one than the applicant's, who has none.
            ((rows.own_application == "") & (rows.applications == 1), False),
            (rows.candidacy_open | rows.own_application.isnull() | ~complete, UNKNOWN_FLAG),
            else_=True,
        ),
        birth_open=rows.born_earliest.isnull() | (rows.born_earliest != rows.born_latest),
    )
    rows = rows.mutate(
        within=_at_most(rows.income_low, rows.highest_income, rows.ceiling_low, rows.ceiling_high)
    )
    rows = rows.mutate(
        admissible=rows.alive
        & rows.adult
        & rows.registered
        & ~rows.property_held
        & rows.within
        & rows.single_application,
    )
    lacks: dict[str, BooleanValue] = {
        "rijksregister/person.death_date": rows.alive.isnull(),
        "rijksregister/person.birth_date": rows.birth_open,
        "rijksregister/person.register": ~rows.complete & rows.register_open,
        "rijksregister/household.members": ~rows.complete | rows.register_open,
        "ksz/social_status.dependent_child": rows.child_open,
        "ksz/social_status.disabled": rows.disabled_open,
        "ksz/income.net_taxable_income": rows.income_open,
        "ksz/property.rights": rows.holds_open,
        "kbo/functions.active": rows.active.isnull(),
        "candidates/application.application": rows.candidacy_open,
    }
    death, birth, register, household_, dependent, disabled, income_, rights, active, candidacy = lacks
    needs = {
        "alive": (death,),
        "adult": (birth,),
        "registered": (register, household_, dependent),
        "within": (household_, income_, dependent, disabled),
        "property_held": (household_, rights),
        "single_application": (household_, candidacy),
        "active": (active,),
    }

    def lacking(condition: str) -> StringValue:
        return missing({name: lacks[name] for name in needs[condition]}, rows[condition].isnull())

    undecided = {
        name: functools.reduce(
            operator.or_,
            [rows[code].isnull() for code, data in needs.items() if name in data and code != "active"],
        )
        & lack
        for name, lack in lacks.items()
        if name != active
    }
    return rows.select(
        "subject",
        admissible=rows.admissible,
        admissible_missing=missing(undecided, rows.admissible.isnull()),
        adult=rows.adult,
        adult_missing=lacking("adult"),
        registered=rows.registered,
        registered_missing=lacking("registered"),
        household_size=ibis.ifelse(rows.complete, rows.members, ibis.null("int64")),
        dependent_children=ibis.ifelse(rows.complete & ~rows.child_open, rows.children, ibis.null("int64")),
        income_within_ceiling=rows.within,
        income_within_ceiling_missing=lacking("within"),
        no_property=~rows.property_held,
        no_property_missing=lacking("property_held"),
        self_employed=rows.active,
        self_employed_missing=lacking("active"),
    )


def build_rent(tables: Mapping[str, Table]) -> Table:
    """One row for each row of `application`: the amounts of a month in eurocent, and what is missing to know them."""
    dwelling = tables["dwelling"]
    members = _members(
        tables,
        {
            "household": {"birth_date": tables["household"].birth_date},
            "person": {"own_birth_date": tables["person"].birth_date},
            "dwelling": {
                name: dwelling[name]
                for name in (
                    "base_rent_cents", "excess_bedrooms", "transfer_requested", "declared_income_cents"
                )
            },
        },
    )  # fmt: skip
    child, income = members.dependent_child, members.net_taxable_cents
    members = members.mutate(
        birth_date=ibis.ifelse(members.listed, members.birth_date, members.own_birth_date),
        earns=(income > 0) & ~child,
    )
    members = with_birth_date(members)
    child, income = members.dependent_child, members.net_taxable_cents
    rows = members.group_by("subject").aggregate(
        **_counted(members),
        income=ibis.ifelse(~child, income, 0).fill_null(0).sum(),
        income_open=(income.isnull() & ~child.fill_null(True)).any(),
        earning=members.earns.fill_null(False).cast("int64").sum(),
        adult_disabled_open=(members.disabled.isnull() & ~child).fill_null(False).any(),
        anybody_disabled=any_of(members.disabled),
        oldest=members.born_latest.min(),
        perhaps_oldest=members.born_earliest.min(),
        birth_open=members.born_latest.isnull().any(),
        base_rent_cents=members.base_rent_cents.max(),
        excess_bedrooms=members.excess_bedrooms.max(),
        transfer_requested=members.transfer_requested.any(),
        declared_income_cents=members.declared_income_cents.max(),
    )
    rows = dated(
        rows.filter(rows.asked),
        parameter_book(__package__),
        dict.fromkeys((*rent.CODES, *rule.CODES)),
    )
    rows = rows.mutate(
        born_by=(rows.at.year() - rows.over_adapted_exempt_age) * 10_000
        + rows.at.month() * 100
        + rows.at.day()
    )
    rows = rows.mutate(
        anybody_old=ibis.cases(
            (rows.oldest <= rows.born_by, True),
            (rows.birth_open | (rows.perhaps_oldest <= rows.born_by), UNKNOWN_FLAG),
            else_=False,
        )
    )
    no_amount = ibis.null("int64")
    counts_more = rows.disabled_child_counts_as - 1
    rows = rows.mutate(
        # The sum may be wider than 64 bits: back to 64, within which all that follows stays.
        assessed=ibis.ifelse(
            rows.complete & ~rows.child_open & ~rows.income_open & rows.income.between(0, rent.INCOME_LIMIT),
            rows.income,
            no_amount,
        ).cast("int64"),
        declared=ibis.ifelse(
            rows.declared_income_cents.between(0, rent.INCOME_LIMIT), rows.declared_income_cents, no_amount
        ),
        base=ibis.ifelse(rows.base_rent_cents.between(0, rent.BASE_LIMIT), rows.base_rent_cents, no_amount),
        excess=ibis.ifelse(
            rows.excess_bedrooms.between(0, rent.BEDROOM_LIMIT), rows.excess_bedrooms, no_amount
        ),
        dead=~rows.alive.fill_null(True),
        fewest=rows.children + rows.disabled_children * counts_more,
        most=rows.children + (rows.disabled_children + rows.perhaps_disabled_children) * counts_more,
        ceiling=ibis.cases(
            (rows.members == 1, rows.ceiling_single),
            (rows.earning > 1, rows.ceiling_several_incomes),
            else_=rows.ceiling_one_income,
        ),
        add_low=_added(rows, "low"),
        add_high=_added(rows, "high"),
    )
    rows = rows.mutate(
        fewest=_child_percent(rows, rows.fewest),
        most=_child_percent(rows, rows.most),
        fell=(rows.declared * 100 <= rows.assessed * (100 - rows.income_fall)).fill_null(False),
        over=rows.excess >= rows.over_adapted_bedrooms,
    )
    rows = rows.mutate(
        used=ibis.ifelse(rows.fell, rows.declared, rows.assessed),
        reduction=ibis.ifelse(
            rows.complete & ~rows.child_open & ~rows.adult_disabled_open & (rows.fewest == rows.most),
            rows.fewest + rows.disabled_adults * rows.disabled_adult_reduction,
            no_amount,
        ),
        adapted=~rows.over | rows.transfer_requested,
        exempt=rows.anybody_old
        | rows.anybody_disabled
        | rows.transfer_requested
        | ibis.ifelse(rows.complete, False, UNKNOWN_FLAG),
    )
    rows = rows.mutate(
        lower=rows.used < rows.reference_income,
        under_ceiling=_at_most(
            rows.used, rows.used, rows.ceiling + rows.add_low, rows.ceiling + rows.add_high
        ),
        each_room=ibis.least(rows.used * rows.over_adapted_share, 100 * rows.over_adapted_cap),
        rooms=ibis.greatest(rows.excess - rows.over_adapted_bedrooms + 1, 0),
        exact=ibis.greatest(rows.base * (100 * rows.used - rows.reference_income * rows.reduction), 0),
        half=half_up(rows.base * rows.half_of_base_rent, 100),
    )
    rows = rows.mutate(
        share=ibis.cases(
            (rows.lower & rows.adapted, rows.share_lower),
            (rows.lower & ~rows.adapted, rows.share_highest),
            (rows.lower, no_amount),
            (rows.under_ceiling, rows.share_middle),
            (~rows.under_ceiling, rows.share_highest),
            else_=no_amount,
        ),
        plain=half_up(rows.exact, 100 * rows.reference_income),
        supplement_month=ibis.cases(
            # Without the amounts of that day nothing is known but whether there are bedrooms too many.
            (rows.dead | rows.reference_income.isnull(), no_amount),
            (~rows.over, 0),
            (rows.exempt & rows.over, 0),
            # The least of an unknown and a known number is the known one in SQL engines: an unknown income ends here.
            (~rows.exempt & rows.over & rows.used.notnull(), half_up(rows.rooms * rows.each_room, 1200)),
            else_=no_amount,
        ),
    )
    rows = rows.mutate(
        floored=ibis.greatest(rows.plain, rows.half),
        highest=half_up(rows.used * rows.share, 1200),
        known=rows.alive.fill_null(False)
        & rows.base.notnull()
        & rows.used.notnull()
        & rows.reduction.notnull()
        & rows.share.notnull(),
    )
    rows = rows.mutate(limited=ibis.least(rows.floored, rows.highest))
    minimal = (rows.limited < rows.minimum_rent) & (
        (rows.floored <= rows.highest) | (rows.minimum_prevails == 1)
    )
    rows = rows.mutate(
        rent_month=ibis.ifelse(rows.known, ibis.ifelse(minimal, rows.minimum_rent, rows.limited), no_amount),
        unsure_share=rows.used.notnull() & ~rows.lower & rows.under_ceiling.isnull(),
        income_lacks=rows.income_open | ~rows.income.between(0, rent.INCOME_LIMIT),
        due=rows.over.fill_null(False) & ~rows.exempt.fill_null(False),
        told=~rows.dead & rows.reference_income.notnull(),
    )
    undecided = rows.due & rows.exempt.isnull()
    data = {
        "rijksregister/person.death_date": rows.alive.isnull(),
        "dwellings/tenancy.base_rent": rows.base.isnull(),
        "rijksregister/household.members": ~rows.complete,
        "ksz/social_status.dependent_child": rows.child_open,
        "ksz/income.net_taxable_income": rows.income_lacks | rows.unsure_share,
        "ksz/social_status.disabled": rows.adult_disabled_open
        | (rows.fewest != rows.most)
        | rows.unsure_share,
        "dwellings/tenancy.excess_bedrooms": rows.lower & rows.over.isnull() & rows.adapted.isnull(),
        "dwellings/tenancy.transfer_requested": rows.lower
        & rows.transfer_requested.isnull()
        & rows.adapted.isnull(),
    }
    extra = {
        "dwellings/tenancy.excess_bedrooms": rows.excess.isnull(),
        "rijksregister/person.birth_date": undecided & rows.anybody_old.isnull(),
        "ksz/social_status.disabled": undecided & rows.anybody_disabled.isnull(),
        "dwellings/tenancy.transfer_requested": undecided & rows.transfer_requested.isnull(),
        "rijksregister/household.members": rows.due & ~rows.complete,
        "ksz/social_status.dependent_child": rows.due & rows.child_open,
        "ksz/income.net_taxable_income": rows.due & rows.income_lacks,
    }
    return rows.select(
        "subject",
        rent_month=rows.rent_month,
        rent_month_missing=missing(_settled(data), rows.rent_month.isnull() & rows.told),
        supplement_month=rows.supplement_month,
        supplement_month_missing=missing(_settled(extra), rows.supplement_month.isnull() & rows.told),
        total_month=rows.rent_month + rows.supplement_month,
        over_adapted=rows.over,
        over_adapted_missing=missing(
            {"dwellings/tenancy.excess_bedrooms": rows.excess.isnull()}, rows.over.isnull()
        ),
    )


ADMISSION_TABLES = TableFlow(name="social-dwelling-admission", inputs=ADMISSION_INPUTS, build=build_admission)
RENT_TABLES = TableFlow(name="social-dwelling-rent", inputs=RENT_INPUTS, build=build_rent)


def _members(tables: Mapping[str, Table], more: Mapping[str, Mapping[str, Value]]) -> Table:
    """A row for each member with all that is known about it; the subject alone where the household is not known."""
    parts: dict[str, dict[str, Value]] = {
        "application": {"at": tables["application"].at, "asked": ibis.literal(True)},
        "person": {"alive": tables["person"].alive, "own_register": tables["person"].register},
        "household": {"register": tables["household"].register, "listed": ibis.literal(True)},
        "status": {name: tables["status"][name] for name in ("dependent_child", "disabled")},
        "income": {"net_taxable_cents": tables["income"].net_taxable_cents},
    }
    for name, columns in more.items():
        parts[name] = {**parts.get(name, {}), **columns}
    members = stacked(tables, parts)
    # What a source said about somebody who is no member is not looked at.
    members = members.filter(members.listed | (members.member == members.subject))
    return members.mutate(
        listed=members.listed.fill_null(False),
        register=ibis.ifelse(members.listed, members.register, members.own_register),
    )


def _counted(members: Table) -> dict[str, Value]:
    """What both rules count of the members of a household."""
    child, disabled = members.dependent_child, members.disabled

    def count(flag: BooleanValue) -> Value:
        return flag.fill_null(False).cast("int64").sum()

    unsure = child.isnull()
    return {
        "asked": members.asked.any(),
        "at": members.at.max(),
        "alive": members.alive.any(),
        "members": members.count(),
        "complete": members.listed.any(),
        "children": count(child),
        "child_open": child.isnull().any(),
        "disabled_open": disabled.isnull().any(),
        "disabled_children": count(child & disabled),
        "perhaps_disabled_children": count(child & disabled.isnull()),
        "disabled_adults": count(~child & disabled),
        "perhaps_disabled_adults": count(~child & disabled.isnull()),
        # Who may or may not be a dependent child, by what is known of a disability.
        "unsure_able": count(unsure & ~disabled),
        "unsure_disabled": count(unsure & disabled),
        "unsure_both": count(unsure & disabled.isnull()),
    }


def _added(rows: Table, end: str) -> IntegerValue:
    """What the members add to the ceiling: at least (`low`), or at most (`high`)."""
    child = rows.addition_child
    twice = child * rows.disabled_child_counts_as
    adult = rows.addition_disabled_adult
    sure = (
        (rows.children - rows.disabled_children - rows.perhaps_disabled_children) * child
        + rows.disabled_children * twice
        + rows.disabled_adults * adult
    )
    if end == "low":
        return (
            sure
            + rows.perhaps_disabled_children * ibis.least(child, twice)
            + rows.unsure_disabled * ibis.least(twice, adult)
        )
    return (
        sure
        + rows.perhaps_disabled_children * ibis.greatest(child, twice)
        + rows.perhaps_disabled_adults * adult
        + rows.unsure_able * child
        + rows.unsure_disabled * ibis.greatest(twice, adult)
        + rows.unsure_both * ibis.greatest(child, twice, adult)
    )


def _at_most(
    low: IntegerValue, high: IntegerValue, limit_low: IntegerValue, limit_high: IntegerValue
) -> BooleanValue:
    """As `Between.at_most`: null is no known limit at the upper ends, and an unknown ceiling at the lower one."""
    return ibis.cases((high <= limit_low, True), (low > limit_high, False), else_=UNKNOWN_FLAG)


def _child_percent(rows: Table, count: IntegerValue) -> IntegerValue:
    branches = [(count >= n, rows[f"child_reduction_{n}"]) for n in range(rent.MOST_CHILDREN, 0, -1)]
    return ibis.cases(*branches, else_=0)


def _settled(data: Mapping[str, BooleanValue]) -> dict[str, BooleanValue]:
    return {name: lacking.fill_null(False) for name, lacking in data.items()}
