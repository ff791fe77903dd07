"""Exchanges: one call, several sources, the minimum back."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from koinon.base.errors import Invalid, NotFound
from koinon.integrator.directory import DirectoryKeys, list_dossiers
from koinon.integrator.drivers.driver import Context, Source, SourceAnswer
from koinon.integrator.drivers.numbers import is_enterprise_number, is_national_number
from koinon.integrator.model import (
    AuthorisationName,
    Combined,
    ExchangeAnswer,
    ExchangeRequest,
    FieldAnswer,
    Flow,
    Parameter,
    RuleName,
    SourceReport,
)
from koinon.trust.gate import Actor, Ask, ExchangeId, Gate, Passage, Released, Use, Uses

_CASE_LIMIT = 64
_SOURCE_SECONDS = 5.0


Row = tuple[str, dict[str, FieldAnswer]]


class Exchange(NamedTuple):
    """A released answer and what may be said beside it: how sources answered, never what they said."""

    released: Released[dict[str, FieldAnswer]]
    flow: Flow
    ask: Ask
    sources: Sequence[SourceReport]
    parameters: Sequence[Parameter]


class Integrator:
    """The use cases of the service integrator.

    Attributes:
        flows: by name.
        sources: by the first part of their resources.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        uses: Uses,
        flows: Mapping[str, Flow],
        sources: Mapping[str, Source],
        keys: DirectoryKeys,
        source_seconds: float = _SOURCE_SECONDS,
    ) -> None:
        self.gate = gate
        self.uses = uses
        self.flows = flows
        self.sources = sources
        self.keys = keys
        self._source_seconds = source_seconds

    def read_request(self, request: ExchangeRequest, actor: Actor) -> tuple[Flow, Ask]:
        """The flow and the ask that a request means.

        Raises:
            NotFound: `flow_unknown`.
            Invalid: `purpose_unknown`, `case_missing`, `case_too_long`, `subject_malformed`, `field_unknown`.
        """
        flow = self.flows.get(request.flow)
        if flow is None:
            raise NotFound("flow_unknown", flow=request.flow[:64])
        if request.purpose not in flow.purposes:
            raise Invalid("purpose_unknown", purpose=request.purpose[:64], flow=flow.name)
        case = request.case.strip()
        if not case:
            raise Invalid("case_missing")
        if len(case) > _CASE_LIMIT:
            raise Invalid("case_too_long", limit=_CASE_LIMIT)
        subject = read_subject(request.subject, flow)
        fields = frozenset(flow.fields) if request.fields is None else frozenset(request.fields)
        if unknown := fields - flow.fields.keys():
            raise Invalid("field_unknown", fields=sorted(name[:64] for name in unknown))
        if not fields:
            raise Invalid("field_unknown", fields=[])
        ask = Ask(
            actor=actor,
            purpose=request.purpose,
            case=case,
            action="consult",
            resource=f"flow/{flow.name}",
            fields=fields,
            subjects=(subject,),
            sources=flow.sources,
            authorisation=request.authorisation,
        )
        return flow, ask

    async def ask(
        self, request: ExchangeRequest, actor: Actor, exchange: ExchangeId | None = None
    ) -> Exchange:
        """The minimal answer about one subject, released by the gate.

        Raises:
            NotAllowed, Invalid, NotFound, Unavailable: see `read_request`, `Gate.open` and `Passage.release`.

        Records: `exchange.released` or `exchange.refused`.
        """
        flow, ask = self.read_request(request, actor)
        passage = await self.gate.open(ask, exchange)
        combined, reports = await self._gather(flow, passage, ask.subjects[0])
        released = await passage.release(
            combined.fields, note={"sources": {f"{r.source}/{r.service}": r.status for r in reports}}
        )
        return Exchange(released, flow, passage.ask, reports, combined.parameters)

    async def stream(
        self, flow_name: str, purpose: str, case: str, actor: Actor, *, piece: int = 10
    ) -> tuple[Use, AsyncIterator[Released[list[Row]]]]:
        """A running use that answers about each of the party's own dossiers, a few at a time.

        The use stands on the whole standing all the time; each piece is recorded, with its subjects, before it leaves.

        Raises:
            NotAllowed: see `Gate.open`; `subject_not_registered` when the party has no dossier.
        """
        flow = self.flows.get(flow_name)
        if flow is None:
            raise NotFound("flow_unknown", flow=flow_name[:64])
        if purpose not in flow.purposes:
            raise Invalid("purpose_unknown", purpose=purpose[:64], flow=flow.name)
        at = self.gate.clock.now()
        pages = list_dossiers(self.gate.database, self.keys, actor.party, purpose, at, page=piece)
        first = await anext(pages, [])
        ask = Ask(
            actor=actor,
            purpose=purpose,
            case=case,
            action="communicate",
            resource=f"flow/{flow.name}",
            fields=frozenset(flow.fields),
            subjects=tuple(line.subject for line in first),
            sources=flow.sources,
        )
        passage = await self.gate.open(ask)
        use = await self.uses.begin(passage)

        async def pieces() -> AsyncIterator[Released[list[Row]]]:
            lines = first
            while lines:
                answers: list[tuple[str, Mapping[str, FieldAnswer]]] = []
                for line in lines:
                    await use.go_on()
                    combined, _ = await self._gather(flow, passage, line.subject)
                    answers.append((line.subject, combined.fields))
                yield await use.release_rows(answers)
                lines = await anext(pages, [])

        return use, pieces()

    async def _gather(
        self, flow: Flow, passage: Passage, subject: str
    ) -> tuple[Combined, Sequence[SourceReport]]:
        """What the flow's sources say together; only what the gate allows is asked."""
        reports: list[SourceReport] = []
        at = self.gate.clock.now()
        deadline = time.monotonic() + self._source_seconds
        party = self.gate.keeper.current.register.parties[passage.ask.actor.party].enterprise_number

        async def ask(resource: str, subjects: Sequence[str], **parameters: str) -> Sequence[SourceAnswer]:
            name, _, service = resource.partition("/")
            fields = passage.allowed(resource)
            source = self.sources.get(name)
            if source is None or not fields:
                answers: Sequence[SourceAnswer] = [
                    SourceAnswer(source=name, service=service, subject=each, status="not_allowed") for each in subjects
                ]
            else:
                context = Context(
                    purpose=passage.ask.purpose,
                    party=party,
                    exchange=passage.exchange,
                    at=at,
                    deadline=deadline,
                    parameters=parameters,
                )
                answers = await source.fetch_many(service, subjects, fields, context)
            reports.append(_report(name, service, answers))
            return answers

        return await flow.gather(subject, ask, at), reports


def read_subject(subject: Mapping[str, str], flow: Flow) -> str:
    """The identifier that the flow is about, digits only.

    Raises:
        Invalid: `subject_malformed`. The number itself is not repeated in the error.
    """
    if set(subject) != {flow.subject}:
        raise Invalid("subject_malformed", expected=flow.subject)
    number = "".join(c for c in subject[flow.subject] if c not in " .-")
    valid = is_national_number if flow.subject == "national_number" else is_enterprise_number
    if not valid(number):
        raise Invalid("subject_malformed", expected=flow.subject)
    return number


def _report(source: str, service: str, answers: Sequence[SourceAnswer]) -> SourceReport:
    """The worst status of the answers stands for all: a missing one must not hide behind the others."""
    order = ("no_answer", "not_allowed", "no_data", "data")
    worst = min(answers, key=lambda answer: order.index(answer.status), default=None)
    return SourceReport(
        source=source,
        service=service,
        status=worst.status if worst else "no_data",
        fault=worst.fault if worst else None,
        subjects=len(answers),
        milliseconds=round(max((answer.milliseconds for answer in answers), default=0.0), 1),
    )


def answer_of(exchange: Exchange) -> ExchangeAnswer:
    """The body of the response: what was released, and what is said about it."""
    released = exchange.released
    decision = released.decision
    return ExchangeAnswer(
        exchange=released.exchange,
        flow=exchange.flow.name,
        purpose=exchange.ask.purpose,
        case=exchange.ask.case,
        authorisation=AuthorisationName(released.authorisation),
        rule=RuleName(decision.rule, decision.version, decision.deliberation, decision.article),
        answer=released.value,
        sources=exchange.sources,
        filtered=released.filtered,
        parameters=exchange.parameters,
        receipt=released.receipt,
    )
