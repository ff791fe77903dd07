"""The personas for machines: a test of one's own asks each, and compares."""

from collections.abc import Mapping
from typing import Any

import msgspec

from koinon.integrator.model import Flow
from koinon.integrator.operations.sandbox.personas import personas, refusals


def expectations(flows: Mapping[str, Flow]) -> list[dict[str, Any]]:
    """One question each: the body to send to `/api/exchanges`, and either `answer` or `code` and `status`.

    With an answer: what `in_year` adds to it in a year, and the fields that must be `unknown`.
    """
    found: list[dict[str, Any]] = []
    for persona in personas().values():
        if persona.has_file:
            body = _body(flows[persona.flow], persona.number)
            promised = {"answer": persona.answer, "in_year": persona.in_year, "unknown": persona.unknown}
            found.append(
                {"text": persona.text, "question": body}
                | {k: v for k, v in promised.items() if v or k == "answer"}
            )
    for each in refusals():
        body = _body(flows[each.flow], each.number) | {"case": each.case}
        if each.purpose is not None:
            body["purpose"] = each.purpose
        if each.fields is not None:
            body["fields"] = list(each.fields)
        found.append({"text": each.text, "question": body, "code": each.code, "status": each.status})
    document: list[dict[str, Any]] = msgspec.to_builtins(found)
    return document


def _body(flow: Flow, number: str) -> dict[str, Any]:
    return {
        "flow": flow.name,
        "purpose": next(iter(flow.purposes)),
        "case": "TRY-1",
        "subject": {"national_number": number},
    }


def holds(promised: Any, told: Any) -> bool:
    """Whether what was told is what was promised: of a record the parts that are named, of a list each place."""
    if isinstance(promised, Mapping):
        return isinstance(told, Mapping) and all(
            holds(each, told.get(name)) for name, each in promised.items()
        )
    if isinstance(promised, list | tuple):
        return (
            isinstance(told, list | tuple) and len(promised) == len(told) and all(map(holds, promised, told))
        )
    return bool(promised == told)
