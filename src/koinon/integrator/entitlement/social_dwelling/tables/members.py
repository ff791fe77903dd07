"""The members of a household, and what both questions count and compare of them."""

import ibis
from ibis.expr.types import BooleanValue, IntegerValue, Table, Value

from koinon.integrator.entitlement.expressions import (
    UNKNOWN_FLAG,
    by_member,
    count_of,
)


def members_of(stacked: Table) -> Table:
    """A row for each member with all that is known about it; the subject alone where the household is not known."""
    members = by_member(stacked)
    # What a source said about somebody who is no member is not looked at.
    members = members.filter(members.listed | (members.member == members.subject))
    return members.mutate(
        listed=members.listed.fill_null(False),
        register=ibis.ifelse(members.listed, members.register, members.own_register),
    )


def counted(members: Table) -> dict[str, Value]:
    """What both rules count of the members of a household."""
    child, disabled = members.dependent_child, members.disabled
    unsure, perhaps = child.isnull(), disabled.isnull()
    return {
        "asked": members.asked.any(),
        "at": members.at.max(),
        "alive": members.alive.any(),
        "members": members.count(),
        "complete": members.listed.any(),
        "children": count_of(child),
        "child_open": unsure.any(),
        "disabled_open": perhaps.any(),
        "disabled_children": count_of(child & disabled),
        "perhaps_disabled_children": count_of(child & perhaps),
        "disabled_adults": count_of(~child & disabled),
        "perhaps_disabled_adults": count_of(~child & perhaps),
        # Who may or may not be a dependent child, by what is known of a disability.
        "unsure_able": count_of(unsure & ~disabled),
        "unsure_disabled": count_of(unsure & disabled),
        "unsure_both": count_of(unsure & perhaps),
    }


def with_additions(rows: Table) -> Table:
    """With what the members add to the ceiling: at least (`added_low`), and at most (`added_high`)."""
    twice = rows.addition_child * rows.disabled_child_counts_as
    able_children = rows.children - rows.disabled_children - rows.perhaps_disabled_children
    rows = rows.mutate(
        addition_twice=twice,
        added_surely=able_children * rows.addition_child
        + rows.disabled_children * twice
        + rows.disabled_adults * rows.addition_disabled_adult,
    )
    child, twice, adult = rows.addition_child, rows.addition_twice, rows.addition_disabled_adult
    return rows.mutate(
        added_low=rows.added_surely
        + rows.perhaps_disabled_children * ibis.least(child, twice)
        + rows.unsure_disabled * ibis.least(twice, adult),
        added_high=rows.added_surely
        + rows.perhaps_disabled_children * ibis.greatest(child, twice)
        + rows.perhaps_disabled_adults * adult
        + rows.unsure_able * child
        + rows.unsure_disabled * ibis.greatest(twice, adult)
        + rows.unsure_both * ibis.greatest(child, twice, adult),
    )


def at_most(
    low: IntegerValue, high: IntegerValue, limit_low: IntegerValue, limit_high: IntegerValue
) -> BooleanValue:
    """As `Between.at_most`: null is no known limit at the upper ends, and an unknown ceiling at the lower one."""
    return ibis.cases((high <= limit_low, True), (low > limit_high, False), else_=UNKNOWN_FLAG)
