"""What the two flows read: table, column, type; every column but `subject` may be null, which is unknown."""

from collections.abc import Mapping
from types import MappingProxyType

from koinon.integrator.processing import Stack

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

# Columns of the stack, by table; those of None are true in each row of their table.
_BOTH: Mapping[str, Mapping[str, str | None]] = {
    "application": {"at": "at", "asked": None},
    "household": {"register": "register", "listed": None},
    "status": {"dependent_child": "dependent_child", "disabled": "disabled"},
    "income": {"net_taxable_cents": "net_taxable_cents"},
}
ADMISSION_STACK = Stack(
    {
        **_BOTH,
        "household": {**_BOTH["household"], "listed_birth_date": "birth_date"},
        "person": {"alive": "alive", "own_register": "register", "birth_date": "birth_date"},
        "property": {"holds": "holds"},
        "candidacy": {"application": "application"},
        "enterprise": {"active": "active"},
    }
)
RENT_STACK = Stack(
    {
        **_BOTH,
        "household": {**_BOTH["household"], "birth_date": "birth_date"},
        "person": {"alive": "alive", "own_register": "register", "own_birth_date": "birth_date"},
        "dwelling": {name: name for name in _DWELLING if name != "subject"},
    }
)
