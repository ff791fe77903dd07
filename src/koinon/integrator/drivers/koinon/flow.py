"""A flow that another Koinon answers whole: asked of it instead of our own sources. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from koinon.integrator.drivers.driver import SourceAnswer
from koinon.integrator.drivers.plan import Plan, Request
from koinon.integrator.model import Combined, FieldAnswer, Flow


def ask_elsewhere(flow: Flow, source: str) -> Flow:
    """The same question with the same fields; its plan is one request to that other Koinon, which combines.

    What it is asked for is decided here like any other source: by rules and an authorisation on `source/flow`.
    """
    fields = frozenset(flow.fields)

    def combine(subject: str, answers: Sequence[SourceAnswer], at: datetime) -> Combined:
        (answer,) = answers
        return Combined(fields={name: _field(answer, name) for name in flow.fields}, note=_note(answer))

    return msgspec.structs.replace(
        flow,
        plan=Plan(
            steps=((Request(f"{source}/{flow.name}", fields),),), find=lambda about, subject, found: ()
        ),
        parameters=lambda at: {},
        combine=combine,
    )


def _field(answer: SourceAnswer, name: str) -> FieldAnswer:
    """What it says of a field; one of which it says nothing is unknown, or not asked because our rules forbid it."""
    if answer.status == "data":
        if name in answer.values:
            return FieldAnswer(status="value", value=answer.values[name])
        return FieldAnswer(status=answer.gaps.get(name, "unknown"))
    return FieldAnswer(status=answer.gaps.get(name, answer.status))


def _note(answer: SourceAnswer) -> dict[str, Any]:
    """Under which exchange it stands in their ledger, and the code of their refusal."""
    theirs = {"exchange": answer.reference, "code": answer.detail or None}
    return {"theirs": {name: value for name, value in theirs.items() if value is not None}}
