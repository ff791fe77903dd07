"""Functions of a person, and enterprises by number, as JSON with ETag and problem documents."""

import hashlib
from typing import Any
from uuid import uuid4

import msgspec

from koinon.demo.population import Population
from koinon.demo.sources.server import Asked, Said

_JSON = "application/json"
_BASE = "/kbo/v1"
# The first number that the population gives out.
_FIRST_ENTERPRISE = "1990000035"


class KboSource:
    """The simulated register of enterprises."""

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
        if asked.path == f"{_BASE}/persons/functions" and asked.method == "POST":
            return self._functions(asked, trick)
        prefix = f"{_BASE}/enterprises/"
        if asked.path.startswith(prefix) and asked.method == "GET":
            return self._enterprise(asked, asked.path[len(prefix) :], trick)
        return _problem(404, "no_such_resource", "No such resource")

    def _functions(self, asked: Asked, trick: str) -> Said:
        try:
            question = msgspec.json.decode(asked.body, type=dict[str, str])
            number = question["nationalNumber"]
        except (msgspec.MsgspecError, KeyError):
            return _problem(400, "malformed", "Not a question about a person")
        if len(number) != 11 or not number.isdecimal():
            return _problem(400, "malformed", "Not a national number")
        if trick == "wrong_person":
            number = next(other for other in self._population.heads(2) if other != number)
        answer: dict[str, Any] = {"nationalNumber": number, "ticket": str(uuid4())}
        if self._population.find_person(number) is None:
            current = self._population.replacement(number)
            if current is None:
                return _problem(404, "unknown_person", "No such person")
            answer["replacedBy"] = current
            return _json(answer)
        answer["functions"] = [
            {
                "enterpriseNumber": enterprise,
                "function": function,
                "from": valid_from,
                **({"until": valid_until} if valid_until else {}),
            }
            for enterprise, function, valid_from, valid_until in self._population.functions(number)
        ]
        if trick == "duplicate":
            held = {"enterpriseNumber": _FIRST_ENTERPRISE, "function": "director", "from": "2020-01-01"}
            answer["functions"] = [held, held]
        if trick == "missing":
            del answer["nationalNumber"]
        return _json(answer)

    def _enterprise(self, asked: Asked, number: str, trick: str) -> Said:
        if len(number) != 10 or not number.isdecimal():
            return _problem(400, "malformed", "Not an enterprise number")
        found = self._population.find_enterprise(number)
        if found is None:
            return _problem(404, "unknown_enterprise", "No such enterprise")
        shown = number if trick != "wrong_person" else _FIRST_ENTERPRISE
        _, name, legal_form, active, start_date, address = found
        said = _json(
            {
                "enterpriseNumber": shown,
                "name": name,
                "legalForm": legal_form,
                "active": active,
                "startDate": start_date,
                "address": address,
            }
        )
        tag = f'"{hashlib.sha256(said.body).hexdigest()[:32]}"'.encode()
        if asked.headers.get(b"if-none-match") == tag:
            return Said(304, _JSON, b"", ((b"etag", tag),))
        return msgspec.structs.replace(said, headers=((b"etag", tag),))


def _json(value: object) -> Said:
    return Said(200, _JSON, msgspec.json.encode(value))


def _problem(status: int, code: str, title: str) -> Said:
    document = {"type": f"urn:koinon:demo:kbo:{code}", "title": title, "status": status, "code": code}
    return Said(status, "application/problem+json", msgspec.json.encode(document))
