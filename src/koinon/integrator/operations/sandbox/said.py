"""What a register says about a persona, from the short form of `personas.toml`. Pure.

Days are whole numbers, counted from the day on which it is asked: -1 is yesterday. So a persona stands on the same side
of each threshold whenever it is asked. What a register's record does not name is no, none, or no end.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from koinon.base.clock import civil_date, start_of
from koinon.base.text import Text
from koinon.integrator.drivers import Spell, Value
from koinon.integrator.drivers.registers import REGISTERS
from koinon.integrator.entitlement.debts import answer_term
from koinon.integrator.entitlement.debts.rule import Kind, Rank
from koinon.integrator.procedures.model import Announcement, ClaimBody, NamedNotice, Notice, Statement
from koinon.trust.parties import PartyId

CLAIMS = "debts/claims"
_NOBODY = PartyId(UUID(int=0))
_CREDITOR = Text(
    "Schuldeiser van de proefomgeving", "Créancier de l’environnement d’essai", "Creditor of the sandbox"
)


class _Spell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    from_: int = msgspec.field(name="from")
    until: int | None = None
    kind: str = ""
    party: str = ""
    minutes: int | None = None
    cents: int | None = None


class _Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`answered` without `principal_cents`: nothing is due."""

    kind: Kind
    answered: int | None = None
    principal_cents: int | None = None
    rank: Rank = "ordinary"
    late: bool = False


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sent: int
    notices: tuple[_Notice, ...]
    price_cents: int | None = None
    withdrawn: int | None = None


def said(resource: str, values: Mapping[str, Any], number: str, at: datetime) -> Mapping[str, Value]:
    """The fields of the resource.

    Raises:
        msgspec.ValidationError: the short form is not one.
        KeyError: no register has that resource, or no such field.
    """
    day = civil_date(at)
    if resource == CLAIMS:
        return {"statement": _statement(msgspec.convert(values, _Claims), number, day, at)}
    source, _, name = resource.partition("/")
    fields = REGISTERS[source][name].fields
    found: dict[str, Value] = {
        field: {"flag": False, "date": None, "spells": ()}[declared.kind]
        for field, declared in fields.items()
        if declared.kind in ("flag", "date", "spells")
    }
    for field, value in values.items():
        found[field] = _value(fields[field].kind, value, day)
    return found


def _value(kind: str, value: Any, day: date) -> Value:
    if kind == "date":
        return day + timedelta(days=value)
    if kind == "spells":
        return tuple(
            Spell(
                valid_from=day + timedelta(days=each.from_),
                valid_until=None if each.until is None else day + timedelta(days=each.until),
                kind=each.kind,
                party=each.party,
                minutes=each.minutes,
                cents=each.cents,
            )
            for each in msgspec.convert(value, tuple[_Spell, ...])
        )
    plain: Value = value
    return plain


def _statement(claims: _Claims, number: str, day: date, at: datetime) -> Statement:
    sent = day + timedelta(days=claims.sent)

    def moment(days: int) -> datetime:
        return start_of(day + timedelta(days=days)) + timedelta(hours=12)

    def notice(each: _Notice) -> Notice:
        answer: Literal["claim", "nothing"] | None = None
        if each.answered is not None:
            answer = "nothing" if each.principal_cents is None else "claim"
        return Notice(
            creditor=_NOBODY,
            kind=each.kind,
            term_ends=answer_term(each.kind, sent)[0],
            answered_at=None if each.answered is None else moment(each.answered),
            answer=answer,
            claim=None
            if each.principal_cents is None
            else ClaimBody(
                principal_cents=each.principal_cents,
                costs_cents=0,
                interest_from=None,
                rank=each.rank,
                registered_on=None,
            ),
            late=None if each.answered is None else each.late,
        )

    withdrawn = claims.withdrawn
    return Statement(
        announcement=Announcement(
            id=UUID(int=0),
            number="SANDBOX",
            party=_NOBODY,
            case="SANDBOX",
            kind="sale",
            subject=number,
            property="",
            sent_at=moment(claims.sent),
            deed_on=None,
            price_cents=claims.price_cents,
            closed_at=None if withdrawn is None else moment(withdrawn),
            outcome=None if withdrawn is None else "withdrawn",
            reason=None if withdrawn is None else "not_sold",
        ),
        notices=tuple(NamedNotice(creditor=_CREDITOR, notice=notice(each)) for each in claims.notices),
        read_at=at,
    )
