"""Who may be admitted to a social dwelling, as one expression."""

import functools
import operator
from collections.abc import Mapping

import ibis
from ibis.expr.types import BooleanValue, Table, Value

from koinon.integrator.entitlement.expressions import (
    UNKNOWN_FLAG,
    born_by,
    count_of,
    dated,
    missing,
    named,
    somebody,
    with_birth_date,
)
from koinon.integrator.entitlement.parameters import parameter_book
from koinon.integrator.entitlement.social_dwelling import rule
from koinon.integrator.entitlement.social_dwelling.tables.members import (
    at_most,
    counted,
    members_of,
    with_additions,
)
from koinon.integrator.processing import STACKED


def build_admission(tables: Mapping[str, Table]) -> Table:
    """One row for each row of `application`: the fields of the flow, and for each what is missing to know it."""
    members = members_of(tables[STACKED].drop("listed_birth_date"))  # which no condition needs
    child, income = members.dependent_child, members.net_taxable_cents
    members = with_birth_date(members).mutate(
        inscribed=members.register.isin(("population", "foreigners")) & ~child,
        earns=(income > 0) & ~child,
        # What counts at most; null where it is not known and might count.
        counting=ibis.ifelse(child, 0, income),
        entered=ibis.cases((members.application != "", members.application)),
    )
    rows = members.group_by("subject").aggregate(
        **counted(members),
        born_earliest=members.born_earliest.max(),
        born_latest=members.born_latest.max(),
        active=members.active.any(),
        inscribed=members.inscribed.any(),
        inscribed_open=members.inscribed.isnull().any(),
        register_open=members.register.isnull().any(),
        holds=members.holds.any(),
        holds_open=members.holds.isnull().any(),
        # Null where no income is known for sure, which is then not above any ceiling.
        income_low=ibis.cases((~members.dependent_child, members.net_taxable_cents)).sum(),
        income_high=members.counting.sum(),
        income_open=members.counting.isnull().any(),
        earning=count_of(members.earns),
        perhaps_earning=count_of(members.earns.fill_null(True)),
        candidacy_open=members.application.isnull().any(),
        own_application=ibis.cases((members.member == members.subject, members.application)).max(),
        first_entered=members.entered.min(),
        last_entered=members.entered.max(),
    )
    rows = dated(rows.filter(rows.asked), parameter_book(rule.__package__), rule.CODES)
    rows = with_additions(rows).mutate(born_by=born_by(rows.at, rows.minimum_age))
    complete = rows.complete

    def ceiling(earning: Value, added: Value) -> Value:
        base = ibis.cases(
            (rows.members == 1, rows.ceiling_single),
            (earning > 1, rows.ceiling_several_incomes),
            else_=rows.ceiling_one_income,
        )
        return base + added

    lacks: dict[str, BooleanValue] = {
        "rijksregister/person.death_date": rows.alive.isnull(),
        "rijksregister/person.birth_date": rows.born_earliest.isnull()
        | (rows.born_earliest != rows.born_latest),
        "rijksregister/person.register": ~complete & rows.register_open,
        "rijksregister/household.members": ~complete | rows.register_open,
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
        "no_property": (household_, rights),
        "single_application": (household_, candidacy),
        "active": (active,),
    }
    rows = rows.select(
        "subject",
        "alive",
        "active",
        adult=ibis.cases(
            (rows.born_latest <= rows.born_by, True),
            (rows.born_earliest > rows.born_by, False),
            else_=UNKNOWN_FLAG,
        ),
        registered=somebody(rows.inscribed, complete & ~rows.inscribed_open),
        no_property=~somebody(rows.holds, complete & ~rows.holds_open),
        # Of a household that we do not know both its income and its ceiling may be higher.
        within=at_most(
            rows.income_low,
            ibis.cases((complete & ~rows.income_open, rows.income_high)),
            ceiling(rows.earning, rows.added_low),
            ibis.cases((complete, ceiling(rows.perhaps_earning, rows.added_high))),
        ),
        single_application=ibis.cases(
            (rows.first_entered != rows.last_entered, False),
            # Somebody else's application is another one than the applicant's, who has none.
            ((rows.own_application == "") & rows.first_entered.notnull(), False),
            (rows.candidacy_open | rows.own_application.isnull() | ~complete, UNKNOWN_FLAG),
            else_=True,
        ),
        household_size=ibis.cases((complete, rows.members)),
        dependent_children=ibis.cases((complete & ~rows.child_open, rows.children)),
        **lacks,
    )
    # Lacking is what an unknown condition needs: of the data that this condition needs, no others are lacking for it.
    undecided = {
        name: functools.reduce(
            operator.or_, [rows[code].isnull() for code, data in needs.items() if name in data]
        )
        & rows[name]
        for name in lacks
    }
    rows = rows.mutate(
        admissible=rows.alive
        & rows.adult
        & rows.registered
        & rows.no_property
        & rows.within
        & rows.single_application,
        **named("lacking ", undecided),
    )

    # What only one condition needs is told by its own column, without asking whether the condition is unknown.
    def lacking(condition: str) -> Value:
        return missing([rows["lacking " + name] for name in needs[condition]], rows[condition].isnull())

    return rows.select(
        "subject",
        admissible=rows.admissible,
        admissible_missing=missing(
            [rows["lacking " + name] for name in lacks if name != active], rows.admissible.isnull()
        ),
        adult=rows.adult,
        adult_missing=rows["lacking " + birth],
        registered=rows.registered,
        registered_missing=lacking("registered"),
        household_size=rows.household_size,
        dependent_children=rows.dependent_children,
        income_within_ceiling=rows.within,
        income_within_ceiling_missing=lacking("within"),
        no_property=rows.no_property,
        no_property_missing=lacking("no_property"),
        self_employed=rows.active,
        self_employed_missing=rows["lacking " + active],
    )
