"""Between a register's JSON and our values. Pure. The services that are known, and what their fields are.

The protocol is our own, in the manner of the simulated register of enterprises: the real registers publish theirs.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from koinon.base.clock import civil_date
from koinon.integrator.drivers.driver import Context, Reply, Service, WireFault, fields_of
from koinon.integrator.drivers.numbers import is_enterprise_number, is_national_number
from koinon.integrator.drivers.values import Spell, Value

AT_ONCE = 20
_LARGEST = 10**15


def _service(name: str, keeper: str, *rows: tuple[str, str, str, str, str]) -> Service:
    return Service(name, "person", fields_of(keeper, *rows), AT_ONCE)


def _ground(name: str, nl: str, fr: str, en: str) -> tuple[str, str, str, str, str]:
    return (name, "flag", nl, fr, en)


REGISTERS: Mapping[str, Mapping[str, Service]] = {
    "dwellings": {
        "tenancy": _service(
            "tenancy",
            "slrb_bghm",
            ("base_rent", "cents", "basishuurprijs per maand", "loyer de base par mois", "base rent a month"),
            (
                "excess_bedrooms",
                "number",
                "slaapkamers te veel",
                "chambres excédentaires",
                "bedrooms too many",
            ),
            ("transfer_requested", "flag", "mutatie gevraagd", "mutation demandée", "transfer requested"),
            (
                "declared_income",
                "cents",
                "aangegeven huidig inkomen per jaar",
                "revenu annuel actuel déclaré",
                "declared present income of a year",
            ),
        )
    },
    "taxi": {
        "driver": _service(
            "driver",
            "brussels_mobility",
            (
                "certificates",
                "spells",
                "bekwaamheidsattesten",
                "certificats de capacité",
                "driver's certificates",
            ),
            ("engagements", "spells", "inzet bij exploitanten", "engagements", "engagements by operators"),
        ),
        "rides": _service(
            "rides",
            "brussels_mobility",
            (
                "quarters",
                "spells",
                "gereden tijd per kwartaal",
                "temps de conduite par trimestre",
                "time driven by quarter",
            ),
        ),
    },
    "rsz": {
        "taxi_work": _service(
            "taxi_work",
            "nsso",
            (
                "employments",
                "spells",
                "aangiften van tewerkstelling",
                "déclarations d’occupation",
                "declared employments",
            ),
            (
                "declared",
                "spells",
                "aangegeven tijd en loon",
                "temps et salaire déclarés",
                "declared time and pay",
            ),
        )
    },
    "disability": {
        "recognition": _service(
            "recognition",
            "fps_social_security",
            *(
                _ground(
                    name, f"erkenningsgrond {place}", f"motif de reconnaissance {place}", f"ground {place}"
                )
                for place, name in enumerate(
                    (
                        "points_ge_6",
                        "points_ge_9",
                        "points_ge_12",
                        "moving_ge_2",
                        "lower_limbs_ge_50",
                        "upper_limbs",
                        "war_invalid_ge_50",
                        "incapacity_ge_66",
                        "incapacity_ge_80",
                        "sight_ge_90",
                        "integration_cat_ge_3",
                        "earning_le_third",
                        "recognised_before_65",
                    ),
                    start=1,
                )
            ),
            ("valid_from", "date", "erkend vanaf", "reconnu dès le", "recognised from"),
            ("valid_until", "date", "erkend tot", "reconnu jusqu’au", "recognised until"),
        )
    },
}
"""The services of each register, by its name."""


class Question(msgspec.Struct, frozen=True):
    """What is asked about some persons; `since` limits history."""

    numbers: list[str]
    on: date
    since: str | None = None


class WiredSpell(msgspec.Struct, frozen=True, rename="camel"):
    """A spell as a register writes it."""

    from_: date = msgspec.field(name="from")
    until: date | None = None
    kind: str = ""
    party: str = ""
    minutes: int | None = None
    cents: int | None = None


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """What a register says about a person; `values` is null where it has nothing on it."""

    national_number: str
    known: bool
    replaced_by: str | None = None
    values: dict[str, msgspec.Raw] | None = None


class Answered(msgspec.Struct, frozen=True):
    """The answer to a question."""

    ticket: str
    records: list[Record]


def question(numbers: list[str], context: Context) -> Question:
    """What goes over the wire."""
    return Question(numbers, civil_date(context.at), context.parameters.get("since"))


def read(service: Service, answered: Answered) -> list[Reply]:
    """What the answer says, about whomever it says it.

    Raises:
        WireFault: `garbage`: a value of another kind than agreed.
    """
    return [_reply(service, record, answered.ticket[:36]) for record in answered.records]


def _reply(service: Service, record: Record, reference: str) -> Reply:
    subject = record.national_number
    if record.replaced_by is not None:
        if not is_national_number(record.replaced_by):
            raise WireFault("garbage", "number")
        return Reply(subject=subject, replaced_by=record.replaced_by, reference=reference)
    if not record.known:
        return Reply(subject=subject, status="no_data", fault="unknown_subject", reference=reference)
    if record.values is None:
        return Reply(subject=subject, status="no_data", reference=reference)
    values: dict[str, Value] = {
        name: _value(service.fields[name].kind, raw)
        for name, raw in record.values.items()
        if name in service.fields
    }
    return Reply(subject=subject, values=values, reference=reference)


def _value(kind: str, raw: msgspec.Raw) -> Value:
    types: Mapping[str, Any] = {
        "flag": bool,
        "number": int,
        "cents": int | None,
        "date": date | None,
        "spells": list[WiredSpell],
    }
    try:
        found = msgspec.json.decode(raw, type=types[kind])
    except msgspec.MsgspecError:
        raise WireFault("garbage", kind) from None
    if isinstance(found, list):
        return tuple(map(_spell, found))
    if kind in ("number", "cents") and found is not None and not 0 <= found < _LARGEST:
        raise WireFault("garbage", kind)
    value: Value = found
    return value


def _spell(wired: WiredSpell) -> Spell:
    if wired.party and not is_enterprise_number(wired.party):
        raise WireFault("garbage", "number")
    if wired.until is not None and wired.until <= wired.from_:
        raise WireFault("garbage", "period")
    if any(figure is not None and not 0 <= figure < _LARGEST for figure in (wired.minutes, wired.cents)):
        raise WireFault("garbage", "figure")
    return Spell(
        valid_from=wired.from_,
        valid_until=wired.until,
        kind=wired.kind[:32],
        party=wired.party,
        minutes=wired.minutes,
        cents=wired.cents,
    )
