"""Who may be admitted to a social dwelling, as one expression."""

import functools
import operator
from collections.abc import Mapping

import ibis
from ibis.expr.types import BooleanValue, StringValue, Table

from koinon.integrator.entitlement.expressions import (
    UNKNOWN_FLAG,
    age_reached,
    any_of,
    dated,
    missing,
    with_birth_date,
)
from koinon.integrator.entitlement.parameters import parameter_book
from koinon.integrator.entitlement.social_dwelling import rule
from koinon.integrator.entitlement.social_dwelling.tables.members import (
    added_to_ceiling,
    at_most,
    counted,
    members_of,
)


def build_admission(tables: Mapping[str, Table]) -> Table:
    """One row for each row of `application`: the fields of the flow, and for each what is missing to know it."""
    members = members_of(
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
        **counted(members),
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
    rows = dated(rows.filter(rows.asked), parameter_book(rule.__package__), rule.CODES)
    rows = with_birth_date(rows)
    complete = rows.complete
    rows = rows.mutate(
        adult=age_reached(rows, rows.minimum_age, rows.at),
        registered=ibis.ifelse(complete | rows.inscribed, rows.inscribed, UNKNOWN_FLAG),
        property_held=ibis.ifelse(complete | rows.holds, rows.holds, UNKNOWN_FLAG),
        ceiling_low=added_to_ceiling(rows, "low")
        + ibis.cases(
            (~complete | (rows.members == 1), rows.ceiling_single),
            (rows.earning > 1, rows.ceiling_several_incomes),
            else_=rows.ceiling_one_income,
        ),
        ceiling_high=added_to_ceiling(rows, "high")
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
        within=at_most(rows.income_low, rows.highest_income, rows.ceiling_low, rows.ceiling_high)
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
