"""Four registers in one server. What they know follows from the number alone, so that they agree with one another."""

import hashlib
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from koinon.demo.population import Population
from koinon.demo.sources.server import Asked, Said
from koinon.integrator.drivers.registers import REGISTERS

_JSON = "application/json"
_BASE = "/registers/v1/"
_OPERATORS = ("0999100097", "0999100196")


class _Question(msgspec.Struct, frozen=True):
    numbers: list[str]
    on: date
    since: str | None = None


class RegistersSource:
    """The simulated registers."""

    content_type = _JSON

    def __init__(self, population: Population) -> None:
        self._population = population

    def answer(self, asked: Asked, trick: str) -> Said:
        """See `SimulatedSource.answer`."""
        purpose = asked.headers.get(b"x-purpose", b"")
        if not asked.headers.get(b"x-organisation") or not 0 < len(purpose) <= 64:
            return _problem(403, "purpose_missing", "Organisation and purpose are mandatory")
        if trick == "fault":
            return _problem(500, "register_updating", "The register is being updated")
        register, _, service = asked.path.removeprefix(_BASE).partition("/")
        if asked.method != "POST" or service not in REGISTERS.get(register, {}):
            return _problem(404, "no_such_resource", "No such resource")
        try:
            question = msgspec.json.decode(asked.body, type=_Question)
        except msgspec.MsgspecError:
            return _problem(400, "malformed", "Not a question")
        records = [self._record(f"{register}/{service}", number, question.on) for number in question.numbers]
        if trick == "wrong_person":
            records[0]["nationalNumber"] = next(
                other for other in self._population.heads(2) if other != records[0]["nationalNumber"]
            )
        elif trick == "duplicate":
            records.append(records[-1])
        elif trick == "missing":
            records.pop()
        return Said(200, _JSON, msgspec.json.encode({"ticket": str(uuid4()), "records": records}))

    def _record(self, resource: str, number: str, on: date) -> dict[str, Any]:
        record: dict[str, Any] = {"nationalNumber": number, "known": True}
        person = self._population.find_person(number)
        if person is None:
            current = self._population.replacement(number)
            return record | ({"known": False} if current is None else {"replacedBy": current})
        luck = _luck(number)
        match resource:
            case "dwellings/tenancy":
                record["values"] = _tenancy(luck)
            case "taxi/driver" | "taxi/rides" | "rsz/taxi_work":
                career = _career(luck, on)
                fields = REGISTERS[resource.partition("/")[0]][resource.partition("/")[2]].fields
                record["values"] = None if career is None else {name: career[name] for name in fields}
            case "disability/recognition":
                record["values"] = _recognition(luck) if person.disabled else None
        return record


def _luck(number: str) -> bytes:
    return hashlib.sha256(f"registers of the demo region {number}".encode()).digest()


def _tenancy(luck: bytes) -> Mapping[str, Any] | None:
    if luck[0] >= 250:
        return None
    return {
        "base_rent": 25_000 + luck[1] * 100,
        "excess_bedrooms": (0, 0, 0, 0, 1, 1, 2, 3)[luck[2] % 8],
        "transfer_requested": luck[3] < 40,
        "declared_income": None,
    }


def _career(luck: bytes, on: date) -> Mapping[str, Any] | None:
    """A driver's career: in order, with a gap, with too many hours, or none: one in four each."""
    kind = luck[4] % 4
    if kind == 3:
        return None
    operator = _OPERATORS[luck[5] % 2]
    begun = date(on.year - 2, 1, 1)
    end = _quarter(on)
    quarters = []
    while begun < end:
        following = _following(begun)
        quarters.append((begun, following))
        begun = following
    first, last_from = quarters[0][0], quarters[-1][0]
    minutes = 20_000 + luck[6] * 10
    employments = [_spell(first, None, party=operator)]
    if kind == 1:
        employments = [
            _spell(first, last_from, party=operator),
            _spell(last_from + timedelta(days=30), None, party=operator),
        ]
    return {
        "certificates": [_spell(date(2022, 10, 21), None)],
        "engagements": [_spell(first, None, kind="employee", party=operator)],
        "quarters": [
            _spell(*each, minutes=minutes * (2 if kind == 2 and each[0] == last_from else 1))
            for each in quarters
        ],
        "employments": employments,
        "declared": [_spell(*each, party=operator, minutes=minutes, cents=minutes * 25) for each in quarters],
    }


def _recognition(luck: bytes) -> Mapping[str, Any]:
    points = luck[7] % 19
    return {
        "points_ge_6": points >= 6,
        "points_ge_9": points >= 9,
        "points_ge_12": points >= 12,
        "moving_ge_2": luck[8] < 100,
        "lower_limbs_ge_50": luck[9] < 40,
        "upper_limbs": luck[10] < 10,
        "war_invalid_ge_50": False,
        "incapacity_ge_66": luck[11] < 120,
        "incapacity_ge_80": luck[11] < 50,
        "sight_ge_90": luck[12] < 30,
        "integration_cat_ge_3": points >= 12,
        "earning_le_third": luck[13] < 120,
        "recognised_before_65": luck[14] < 220,
        "valid_from": "2020-01-01",
        "valid_until": None if luck[15] < 200 else "2030-01-01",
    }


def _quarter(on: date) -> date:
    return date(on.year, 3 * ((on.month - 1) // 3) + 1, 1)


def _following(quarter: date) -> date:
    return date(quarter.year + (quarter.month == 10), quarter.month % 12 + 3 if quarter.month < 10 else 1, 1)


def _spell(begins: date, ends: date | None, **values: Any) -> dict[str, Any]:
    return {"from": begins, "until": ends, **values}


def _problem(status: int, code: str, title: str) -> Said:
    document = {"type": f"urn:koinon:demo:registers:{code}", "title": title, "status": status, "code": code}
    return Said(status, "application/problem+json", msgspec.json.encode(document))


def drives_with_a_gap(number: str) -> bool:
    """Whether that person is one of the drivers whose declarations leave a gap."""
    return _luck(number)[4] % 4 == 1


def drives_without_one(number: str) -> bool:
    """Whether that person is one of the drivers whose career is in order."""
    return _luck(number)[4] % 4 == 0
