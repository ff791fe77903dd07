"""What a consumer asks of the integrator, and the answer it gets."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from koinon.base.text import Text
from koinon.integrator.drivers import Plan, SourceAnswer
from koinon.trust.gate import Filtered, Receipt

FieldStatus = Literal["value", "unknown", "no_data", "no_answer", "not_allowed"]


class FieldAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of an answer. "No data", "not allowed", "no answer" and "unknown" are four different things.

    Attributes:
        status: `value` when `value` holds the answer.
        missing: when unknown, the data that would be needed to know.
        explanation: why it is so, in words for a citizen; it leaves only with the field, and only when asked for.
    """

    status: FieldStatus
    value: Any = None
    missing: tuple[str, ...] = ()
    explanation: tuple[Text, ...] = ()


class SourceReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a source answered: named whatever it did, never what it said.

    Attributes:
        subjects: about how many.
        cached: about how many of these it was not asked: a rule lets its answer of before serve again for a while.
        age_seconds: of the oldest of those answers.
    """

    source: str
    service: str
    status: str
    fault: str | None = None
    subjects: int = 1
    milliseconds: float = 0.0
    cached: int = 0
    age_seconds: float = 0.0


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A dated parameter of a rule of entitlement that the answer used.

    Attributes:
        mark: `seen`, `derived` or `illustrative`; the last says that no source was found for it.
    """

    name: str
    value: str
    unit: str
    valid_from: str
    source: Text
    mark: str


class Combined(msgspec.Struct, frozen=True, kw_only=True):
    """What a flow made of its sources' answers, before the gate takes the minimum.

    Attributes:
        parameters: all that the rule looks at, whoever it is about: which ones a person needs would say something
            about that person.
        explanation: every sentence of the decision; of these only the ones of released fields leave.
        notes: what the reader must know besides, whoever it is about: what was not examined, what is illustrative.
        note: what the trace says besides of how it was answered; never what was answered.
    """

    fields: Mapping[str, FieldAnswer]
    parameters: tuple[Parameter, ...] = ()
    explanation: tuple[Text, ...] = ()
    notes: tuple[Text, ...] = ()
    note: Mapping[str, Any] = {}


class ExchangeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/exchanges`.

    Attributes:
        flow: name of the flow.
        purpose, case: see `standing.Ask`.
        subject: `{"national_number": ...}` or `{"enterprise_number": ...}`.
        fields: output fields of the flow; without them all that the flow has.
        authorisation: its number; without one the gate finds it.
        user, user_assertion: the end user behind a system's call, by name or by a signed assertion.
        reason: written, where the rule or the convention demands one; it stands sealed in the trace.
        explain: the answer says why, in words, field by field.
    """

    flow: str
    purpose: str
    case: str
    subject: Mapping[str, str]
    fields: Sequence[str] | None = None
    authorisation: str | None = None
    user: str | None = None
    user_assertion: str | None = None
    reason: str = ""
    explain: bool = False


class RuleName(msgspec.Struct, frozen=True):
    """The rule that decided."""

    id: str | None
    version: int | None
    deliberation: str | None
    article: str | None


class AuthorisationName(msgspec.Struct, frozen=True):
    """The authorisation an exchange rests on."""

    number: str


class ExchangeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the response to `POST /api/exchanges`, and what the consult page shows.

    Attributes:
        notes: with `explain`: what the reader must know besides, whoever it is about.
    """

    exchange: UUID
    flow: str
    purpose: str
    case: str
    authorisation: AuthorisationName
    rule: RuleName
    answer: Mapping[str, FieldAnswer]
    sources: Sequence[SourceReport]
    filtered: Sequence[Filtered]
    parameters: Sequence[Parameter]
    receipt: Receipt
    notes: Sequence[Text] | msgspec.UnsetType = msgspec.UNSET


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A declared combination of sources for one question.

    Attributes:
        name: the resource is `flow/<name>`.
        purposes: codes for which it may be asked.
        subject: what it is about.
        fields: output fields with their labels, in the order in which people read them.
        plan: which sources are asked about whom, in which order.
        parameters: what the services need besides the subject, for a question at an instant.
        combine: what the answers say together about the subject; unknown stays unknown. Pure.
        cents: the fields that are amounts in eurocent.
        verdict: the field that answers the question in one word, where one does.
    """

    name: str
    title: Text
    purposes: Mapping[str, Text]
    subject: Literal["national_number", "enterprise_number"]
    fields: Mapping[str, Text]
    plan: Plan
    parameters: Callable[[datetime], Mapping[str, str]]
    combine: Callable[[str, Sequence[SourceAnswer], datetime], Combined]
    cents: frozenset[str] = frozenset()
    verdict: str | None = None
