"""The personas for machines: a test of one's own asks each, and compares."""

from collections.abc import Mapping
from typing import Any

import msgspec

from koinon.integrator.model import Flow
from koinon.integrator.operations.sandbox.personas import personas, refusals


def expectations(flows: Mapping[str, Flow]) -> list[dict[str, Any]]:
    """One question each: the body to send to `/api/exchanges`, and either `answer` or `code` and `status`."""
    found: list[dict[str, Any]] = []
    for persona in personas().values():
        if persona.has_file:
            body = _body(flows[persona.flow], persona.number)
            found.append({"text": persona.text, "question": body, "answer": dict(persona.answer)})
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
