"""What a social dwelling costs a month, as one expression."""

from collections.abc import Mapping

import ibis
from ibis.expr.types import IntegerValue, Table

from koinon.integrator.entitlement.expressions import (
    UNKNOWN_FLAG,
    born_by,
    count_of,
    dated,
    half_up,
    missing,
    named,
    somebody,
    with_birth_date,
)
from koinon.integrator.entitlement.parameters import parameter_book
from koinon.integrator.entitlement.social_dwelling import rent, rule
from koinon.integrator.entitlement.social_dwelling.tables.members import (
    at_most,
    counted,
    members_of,
    with_additions,
)
from koinon.integrator.processing import STACKED


def build_rent(tables: Mapping[str, Table]) -> Table:
    """One row for each row of `application`: the amounts of a month in eurocent, and what is missing to know them."""
    members = members_of(tables[STACKED])
    child, income = members.dependent_child, members.net_taxable_cents
    members = members.mutate(
        birth_date=ibis.ifelse(members.listed, members.birth_date, members.own_birth_date),
        earns=(income > 0) & ~child,
    )
    members = with_birth_date(members)
    child, income = members.dependent_child, members.net_taxable_cents
    rows = members.group_by("subject").aggregate(
        **counted(members),
        income=ibis.cases((~child, income)).sum().fill_null(0),
        income_open=(income.isnull() & ~child.fill_null(True)).any(),
        earning=count_of(members.earns),
        anybody_disabled=members.disabled.any(),
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
        parameter_book(rule.__package__),
        dict.fromkeys((*rent.CODES, *rule.CODES)),
    )
    rows = with_additions(rows).mutate(born_by=born_by(rows.at, rows.over_adapted_exempt_age))
    no_amount = ibis.null("int64")
    counts_more = rows.disabled_child_counts_as - 1
    rows = rows.select(
        *("subject", "alive", "complete", "child_open", "income", "income_open", "disabled_adults"),
        *("transfer_requested", "added_low", "added_high"),
        *rent.CODES,
        anybody_old=ibis.cases(
            (rows.oldest <= rows.born_by, True),
            (rows.birth_open | (rows.perhaps_oldest <= rows.born_by), UNKNOWN_FLAG),
            else_=False,
        ),
        anybody_disabled=somebody(rows.anybody_disabled, ~rows.disabled_open),
        adult_disabled_open=rows.perhaps_disabled_adults > 0,
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
        fewest=rows.children + rows.disabled_children * counts_more,
        most=rows.children + (rows.disabled_children + rows.perhaps_disabled_children) * counts_more,
        ceiling=ibis.cases(
            (rows.members == 1, rows.ceiling_single),
            (rows.earning > 1, rows.ceiling_several_incomes),
            else_=rows.ceiling_one_income,
        ),
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
        under_ceiling=at_most(
            rows.used, rows.used, rows.ceiling + rows.added_low, rows.ceiling + rows.added_high
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
            (~rows.alive | rows.reference_income.isnull(), no_amount),
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
        known=rows.alive
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
        unsure_share=~rows.lower & rows.under_ceiling.isnull(),
        income_lacks=rows.income_open | ~rows.income.between(0, rent.INCOME_LIMIT),
        due=rows.over & ~rows.exempt.fill_null(False),
        told=rows.alive.fill_null(True) & rows.reference_income.notnull(),
    )
    unsure_fit = rows.lower & rows.adapted.isnull()
    undecided = rows.over & rows.exempt.isnull()
    rent_lacks = {
        "rijksregister/person.death_date": rows.alive.isnull(),
        "dwellings/tenancy.base_rent": rows.base.isnull(),
        "rijksregister/household.members": ~rows.complete,
        "ksz/social_status.dependent_child": rows.child_open,
        "ksz/income.net_taxable_income": rows.income_lacks | rows.unsure_share,
        "ksz/social_status.disabled": rows.adult_disabled_open
        | (rows.fewest != rows.most)
        | rows.unsure_share,
        "dwellings/tenancy.excess_bedrooms": unsure_fit & rows.over.isnull(),
        "dwellings/tenancy.transfer_requested": unsure_fit & rows.transfer_requested.isnull(),
    }
    supplement_lacks = {
        "dwellings/tenancy.excess_bedrooms": rows.excess.isnull(),
        "rijksregister/person.birth_date": undecided & rows.anybody_old.isnull(),
        "ksz/social_status.disabled": undecided & rows.anybody_disabled.isnull(),
        "dwellings/tenancy.transfer_requested": undecided & rows.transfer_requested.isnull(),
        "rijksregister/household.members": rows.due & ~rows.complete,
        "ksz/social_status.dependent_child": rows.due & rows.child_open,
        "ksz/income.net_taxable_income": rows.due & rows.income_lacks,
    }
    rows = rows.select(
        *("subject", "rent_month", "supplement_month", "over", "told"),
        **named("rent lacks ", rent_lacks),
        **named("supplement lacks ", supplement_lacks),
    )
    return rows.select(
        "subject",
        rent_month=rows.rent_month,
        rent_month_missing=missing(
            [rows["rent lacks " + name] for name in rent_lacks], rows.rent_month.isnull() & rows.told
        ),
        supplement_month=rows.supplement_month,
        supplement_month_missing=missing(
            [rows["supplement lacks " + name] for name in supplement_lacks],
            rows.supplement_month.isnull() & rows.told,
        ),
        total_month=rows.rent_month + rows.supplement_month,
        over_adapted=rows.over,
        over_adapted_missing=rows["supplement lacks dwellings/tenancy.excess_bedrooms"],
    )


def _child_percent(rows: Table, count: IntegerValue) -> IntegerValue:
    branches = [(count >= n, rows[f"child_reduction_{n}"]) for n in range(rent.MOST_CHILDREN, 0, -1)]
    return ibis.cases(*branches, else_=0)
