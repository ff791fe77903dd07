"""Exchanges: one call, several sources, the minimum back."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from koinon.base.errors import Invalid, NotFound
from koinon.base.text import Text
from koinon.integrator.directory import DirectoryKeys, DossierLine, list_dossiers
from koinon.integrator.drivers import (
    Asking,
    Context,
    Keeping,
    KeptAnswers,
    Source,
    SourceAnswer,
    gather,
    is_enterprise_number,
    is_national_number,
)
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
from koinon.trust.parties.assertion import asserted_by_party, verify_user_assertion

_CASE_LIMIT = 64
_REASON_LIMIT = 1000
_SOURCE_SECONDS = 5.0
_WORST = ("no_answer", "not_allowed", "no_data", "data")


Row = tuple[str, dict[str, FieldAnswer]]


class Exchange(NamedTuple):
    """A released answer and what may be said beside it: how sources answered, never what they said."""

    released: Released[dict[str, FieldAnswer]]
    flow: Flow
    ask: Ask
    sources: Sequence[SourceReport]
    parameters: Sequence[Parameter]
    notes: Sequence[Text] | None = None


class Integrator:
    """The use cases of the service integrator.

    Attributes:
        flows: by name.
        sources: by the first part of their resources.
        origin: ours, which assertions of end users must name as their audience.
        kept: answers of sources that a rule lets serve again for a while; none outlives a change of standing.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        uses: Uses,
        flows: Mapping[str, Flow],
        sources: Mapping[str, Source],
        keys: DirectoryKeys,
        origin: str,
        source_seconds: float = _SOURCE_SECONDS,
    ) -> None:
        self.gate = gate
        self.uses = uses
        self.flows = flows
        self.sources = sources
        self.keys = keys
        self._origin = origin
        self._source_seconds = source_seconds
        self.kept = KeptAnswers(gate.clock)
        gate.keeper.listen(self.kept.drop)
        # What an ask takes from its flow, reckoned once.
        self._fields = {flow.name: frozenset(flow.fields) for flow in flows.values()}
        self._resources = {flow.name: flow.plan.resources for flow in flows.values()}

    async def name_user(self, request: ExchangeRequest, actor: Actor) -> Actor:
        """The actor with the end user whom the request names: on an assertion's word, or the party's own.

        Raises:
            NotIdentified, NotAllowed, Invalid: see `verify_user_assertion`; `user_malformed`.
        """
        if request.user_assertion is not None:
            register, at = (await self.gate.keeper.settle()).register, self.gate.clock.now()
            asserted = verify_user_assertion(
                request.user_assertion,
                register,
                party=actor.party,
                purpose=request.purpose,
                audience=self._origin,
                at=at,
            )
        elif request.user is not None:
            asserted = asserted_by_party(request.user)
        else:
            return actor
        return msgspec.structs.replace(actor, user=asserted.user, user_asserted_by=asserted.by)

    async def read_request(self, request: ExchangeRequest, actor: Actor) -> tuple[Flow, Ask]:
        """The flow and the ask that a request means.

        Raises:
            NotFound: `flow_unknown`.
            Invalid: `purpose_unknown`, `case_missing`, `case_too_long`, `reason_too_long`, `subject_malformed`,
                `field_unknown`.
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
        if len(request.reason) > _REASON_LIMIT:
            raise Invalid("reason_too_long", limit=_REASON_LIMIT)
        subject = read_subject(request.subject, flow)
        fields = self._fields[flow.name] if request.fields is None else frozenset(request.fields)
        if unknown := fields - flow.fields.keys():
            raise Invalid("field_unknown", fields=sorted(name[:64] for name in unknown))
        if not fields:
            raise Invalid("field_unknown", fields=[])
        ask = Ask(
            actor=await self.name_user(request, actor) if actor.system is not None else actor,
            purpose=request.purpose,
            case=case,
            action="consult",
            resource=f"flow/{flow.name}",
            fields=fields,
            subjects=(subject,),
            sources=self._resources[flow.name],
            authorisation=request.authorisation,
            reason=request.reason.strip(),
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
        flow, ask = await self.read_request(request, actor)
        passage = await self.gate.open(ask, exchange)
        combined, reports = await self._gather(flow, passage, ask.subjects[0])
        fields = combined.fields if request.explain else _unexplained(combined.fields)
        released = await passage.release(fields, note={**_note(reports), **combined.note})
        notes = combined.notes if request.explain else None
        return Exchange(released, flow, passage.ask, reports, combined.parameters, notes)

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
        nothing: list[DossierLine] = []
        first = await anext(pages, nothing)
        ask = Ask(
            actor=actor,
            purpose=purpose,
            case=case,
            action="communicate",
            resource=f"flow/{flow.name}",
            fields=self._fields[flow.name],
            subjects=tuple(line.subject for line in first),
            sources=self._resources[flow.name],
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
                    answers.append((line.subject, _unexplained(combined.fields)))
                yield await use.release_rows(answers)
                lines = await anext(pages, nothing)

        return use, pieces()

    async def _gather(
        self, flow: Flow, passage: Passage, subject: str
    ) -> tuple[Combined, Sequence[SourceReport]]:
        """What the flow's sources say together; only what the gate allows is asked."""
        at = self.gate.clock.now()
        party = passage.standing.register.parties[passage.ask.actor.party]
        context = Context(
            purpose=passage.ask.purpose,
            party=party.enterprise_number,
            exchange=passage.exchange,
            at=at,
            deadline=time.monotonic() + self._source_seconds,
            parameters=flow.parameters(at),
        )
        keeping = Keeping(self.kept, copies_for(passage, context.parameters))
        answers = await gather(flow.plan, subject, self.sources, context, passage.allowed, keeping)
        return flow.combine(subject, answers, at), _reports(answers)


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


def copies_for(passage: Passage, parameters: Mapping[str, str]) -> Asking:
    """Under what copies may serve this passage: the rules on each source's service say for how long."""
    ask, decisions = passage.ask, passage.decisions

    def seconds(resource: str) -> int:
        decision = decisions.get(resource)
        return decision.obligations.cache_seconds if decision is not None and decision.allowed else 0

    return Asking(
        party=str(ask.actor.party),
        purpose=ask.purpose,
        parameters=parameters,
        epoch=passage.epoch,
        seconds=seconds,
        good_until=passage.good_until,
    )


def _note(reports: Sequence[SourceReport]) -> dict[str, Any]:
    """What the trace says of the sources; where copies served, how old (seconds) the oldest of each service was."""
    note: dict[str, Any] = {"sources": {f"{each.source}/{each.service}": each.status for each in reports}}
    cached = {f"{each.source}/{each.service}": round(each.age_seconds) for each in reports if each.cached}
    return note | {"cached": cached} if cached else note


def _unexplained(fields: Mapping[str, FieldAnswer]) -> dict[str, FieldAnswer]:
    return {
        name: msgspec.structs.replace(field, explanation=()) if field.explanation else field
        for name, field in fields.items()
    }


def _reports(answers: Sequence[SourceAnswer]) -> Sequence[SourceReport]:
    """One report for each service; the worst status stands for all: a missing answer must not hide behind others."""
    by_service: dict[tuple[str, str], list[SourceAnswer]] = {}
    for answer in answers:
        by_service.setdefault((answer.source, answer.service), []).append(answer)
    reports = []
    for group in by_service.values():
        worst = group[0] if len(group) == 1 else min(group, key=lambda answer: _WORST.index(answer.status))
        ages = [answer.age_seconds for answer in group if answer.age_seconds is not None]
        reports.append(
            SourceReport(
                source=worst.source,
                service=worst.service,
                status=worst.status,
                fault=worst.fault,
                subjects=len(group),
                milliseconds=round(max(answer.milliseconds for answer in group), 1),
                cached=len(ages),
                age_seconds=round(max(ages, default=0.0), 1),
            )
        )
    return reports


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
        notes=msgspec.UNSET if exchange.notes is None else exchange.notes,
    )
