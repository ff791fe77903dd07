"""Between the signed API of another Koinon and our values. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from koinon.integrator.drivers.driver import Context, Field, Gap, Reply, Service, Status, WireFault
from koinon.integrator.drivers.values import Value
from koinon.integrator.formats import LISTS, RECORD_TYPES, FieldSpec
from koinon.integrator.formats.kinds import BadValue, check_value, read_date
from koinon.integrator.model import FieldStatus, Flow

_KINDS = {"money": "cents"}
_LONGEST_REFERENCE: Final = 36  # a UUID; it stands in our trace
# What it refuses for, in our words; anything else it refuses is the purpose.
_REFUSED = {"subject_not_registered": "not_registered", "subject_unknown": "unknown_subject"}


def service_of(flow: Flow, keeper: str) -> Service:
    """What another Koinon that offers `flow` can be asked: the fields of its records, one subject at a time.

    Raises:
        KeyError: no record type is declared for its answers, or a field of it is a list, which is no value of a source.
    """
    if any(name == flow.name for name, _ in LISTS):
        raise KeyError(flow.name)
    fields = {
        name: Field(name, _KINDS.get(field.kind, field.kind), keeper, field.label)
        for name, field in _fields_of(flow.name).items()
    }
    return Service(flow.name, "person" if flow.subject == "national_number" else "enterprise", fields)


def _fields_of(flow: str) -> Mapping[str, FieldSpec]:
    return {field.name: field for field in RECORD_TYPES[f"{flow.replace('-', '_')}_answer"].fields}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /api/exchanges` there."""

    flow: str
    purpose: str
    case: str
    subject: Mapping[str, str]
    fields: list[str]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One field of its answer."""

    status: FieldStatus
    value: Any = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The part of its answer that we use."""

    exchange: str
    flow: str
    purpose: str
    case: str
    answer: Mapping[str, Answered]


class _Facts(msgspec.Struct, frozen=True):
    exchange: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The part of its refusal that we use; its words are not, they may name persons."""

    code: str
    facts: _Facts = _Facts()


def question(service: Service, subject: str, fields: frozenset[str], context: Context) -> Question:
    """The question; our exchange is its case, so that both ledgers can be laid side by side."""
    kind = "national_number" if service.subject == "person" else "enterprise_number"
    return Question(
        flow=service.name,
        purpose=context.purpose,
        case=str(context.exchange),
        subject={kind: subject},
        fields=sorted(fields),
    )


def read(service: Service, subject: str, asked: Question, body: bytes) -> Reply:
    """What the answer says.

    Raises:
        WireFault: `garbage`; `wrong_subject`: it answers another question; `source_fault`: its own sources did not
            answer.
    """
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise WireFault("garbage", "json") from None
    if (answer.flow, answer.purpose, answer.case) != (asked.flow, asked.purpose, asked.case):
        raise WireFault("wrong_subject")
    fields = _fields_of(service.name)
    values: dict[str, Value] = {}
    gaps: dict[str, Gap] = {}
    for name in asked.fields:
        field = answer.answer.get(name)
        if field is None:
            gaps[name] = "not_allowed"  # its rules filtered it
        elif field.status == "value":
            values[name] = _value(fields[name], field.value)
        else:
            gaps[name] = field.status
    status: Status = "data"
    if not values:
        statuses = set(gaps.values())
        if "no_answer" in statuses:
            raise WireFault("source_fault", "no_answer_behind")
        if (
            "unknown" in statuses
        ):  # also beside others: that nothing is known must not pass for "there is none"
            raise WireFault("source_fault", "unknown")
        status = "not_allowed" if statuses <= {"not_allowed"} else "no_data"
    fault = "purpose_refused" if status == "not_allowed" else None
    return Reply(
        subject=subject, status=status, values=values, gaps=gaps, fault=fault,
        reference=answer.exchange[:_LONGEST_REFERENCE],
    )  # fmt: skip


def refused(subject: str, http_status: int, body: bytes) -> Reply:
    """A refusal in its words, in ours.

    Raises:
        WireFault: `source_fault`: it is not one we know; `garbage`.
    """
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise WireFault("garbage", "problem") from None
    code = problem.code[:32]
    if http_status == 403:
        return Reply(
            subject=subject,
            status="not_allowed",
            fault=_REFUSED.get(code, "purpose_refused"),
            detail=code,
            reference=problem.facts.exchange[:_LONGEST_REFERENCE] or None,
        )
    raise WireFault("source_fault", code)


def _value(field: FieldSpec, value: Any) -> Value:
    """What our own records can hold, and so a batch can give back: of that kind, and no wider."""
    try:
        if field.kind == "date" and isinstance(value, str):
            value = read_date(value)
        found: Value = check_value(field.kind, value, field.width)
    except BadValue:
        raise WireFault("garbage", field.kind) from None
    return found
