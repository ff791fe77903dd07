"""The one passage. See `docs/design/trust-core.md` and the seven steps in `ARCHITECTURE.md`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from koinon.base.batching import Batcher
from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Conflict, KoinonError, NotAllowed, NotIdentified, Unavailable
from koinon.base.ids import new_id
from koinon.base.metrics import counter
from koinon.trust.gate import store
from koinon.trust.gate.entries import entry_of, receipt_of
from koinon.trust.gate.model import Admission, Dossier, ExchangeId, Filtered
from koinon.trust.gate.policy import decide, end_of, needs_dossier, request_of
from koinon.trust.gate.quorum import QuorumWatch
from koinon.trust.gate.release import _SEAL, Released
from koinon.trust.gate.sampling import DecisionSample
from koinon.trust.ledger import Entry, Promise, Sealer
from koinon.trust.rules import Decision
from koinon.trust.standing import Ask, Grounds, Standing, StandingKeeper

T = TypeVar("T")
U = TypeVar("U")

_exchanges = counter("koinon_exchanges_total", "Exchanges by outcome and code.", ("outcome", "code"))
_released = _exchanges.labels("released", "")

# How often a recording is decided anew because the epoch moved under it, before the caller is asked to come back.
_TRIES = 5
_DECIDED_AT_MOST = 4096


class _Decided(NamedTuple):
    """Decisions that were taken on `grounds` and hold from `since` until `until`."""

    grounds: Grounds
    since: datetime
    until: datetime
    decisions: Mapping[str, Decision]


class Directory(Protocol):
    """The reference directory, kept by the service that holds dossiers."""

    async def find_dossiers(
        self, party: Any, purpose: str, subjects: Sequence[str], at: datetime
    ) -> Sequence[Dossier | None]:
        """For each subject the dossier that this party has on it for this purpose at `at`, or None."""

    async def screen(
        self, party: Any, purpose: str, subjects: Sequence[str], at: datetime
    ) -> tuple[bytes, datetime | None]:
        """For each of many subjects a byte, 1 where `find_dossiers` finds one; until when that holds for all."""


class Gate:
    """Admits, decides, minimises, records and only then releases."""

    def __init__(
        self,
        *,
        database: Database,
        keeper: StandingKeeper,
        sealer: Sealer,
        directory: Directory,
        clock: Clock,
        quorum: QuorumWatch | None = None,
        sample: DecisionSample | None = None,
    ) -> None:
        self.database = database
        self.keeper = keeper
        self.sealer = sealer
        self.clock = clock
        self._directory = directory
        self._quorum = quorum
        self._sample = sample
        # A decision is a pure function of standing, ask and time, and says until when no date changes it: what was
        # decided under a standing is decided, for every subject and case. Thrown away with the standing.
        self._decided: dict[tuple[Any, ...], _Decided] = {}
        self._decided_under: Standing | None = None
        self._admissions: Batcher[tuple[Admission, ExchangeId], store.Admitted] = Batcher(self._admit_batch)
        self._recordings: Batcher[tuple[int, Entry], Promise] = Batcher(self._record_batch)

    async def admit(self, admission: Admission) -> ExchangeId:
        """A signed request is admitted once; its exchange id is that of the first try with its idempotency key.

        Raises:
            NotIdentified: `signature_replayed`.
            Conflict: `idempotency_key_reused`, with another body than the first time.
        """
        fresh = ExchangeId(new_id())
        answer = await self._admissions((admission, fresh))
        if not answer.fresh:
            raise NotIdentified("signature_replayed")
        if answer.exchange is None:
            return fresh
        if answer.body_hash != admission.body_hash:
            raise Conflict("idempotency_key_reused")
        return ExchangeId(answer.exchange)

    async def open(self, ask: Ask, exchange: ExchangeId | None = None) -> "Passage":
        """The ask stands on its grounds and every resource it needs is decided on; nothing is released yet.

        Raises:
            NotAllowed: with `code`, `rule`, `version` and `reason`; the refusal is recorded first.
            Unavailable: `standing_unconfirmed`, `witness_quorum_lost`, `database_unavailable`.

        Records: `exchange.refused` in the exchange log when it is refused.
        """
        exchange = exchange or ExchangeId(new_id())
        at = self.clock.now()
        self.demand_quorum()
        standing = await self.keeper.settle()
        try:
            grounds = standing.find_grounds(ask, at)
            dossiers = await self.registered(ask, ask.subjects) if needs_dossier(ask) else ()
            if needs_dossier(ask) and (not dossiers or None in dossiers):
                # One code for "unknown to us" and "not in your files": the difference would be an answer.
                raise NotAllowed("subject_not_registered")
            decided = self._decide(standing, ask, grounds, at)
        except NotAllowed as refusal:
            await self._refuse(ask, exchange, standing, refusal, at)
            raise
        ends = [each.valid_until for each in dossiers if each is not None]
        return Passage(self, ask, exchange, standing, grounds, decided.decisions, min(ends, default=None))

    def demand_quorum(self) -> None:
        """Witnesses see the ledger, or this platform was told to go on without.

        Raises:
            Unavailable: `witness_quorum_lost`.
        """
        if self._quorum is not None:
            self._quorum.demand()

    def _decide(self, standing: Standing, ask: Ask, grounds: Grounds, at: datetime) -> _Decided:
        """As `decide`, remembered while it holds.

        Raises:
            NotAllowed: see `decide`; refusals are not remembered.
        """
        if self._decided_under is not standing:
            self._decided_under, self._decided = standing, {}
        # The grounds stand for actor, purpose, action and resource: standing gives one object for all that is alike.
        # An id cannot come to mean another object while what is remembered under it holds the object.
        key = (id(grounds), ask.fields, bool(ask.actor.user), *ask.sources.items())
        known = self._decided.get(key)
        if known is not None and known.grounds is grounds and known.since <= at < known.until:
            return known
        decisions = decide(standing, ask, grounds, at)
        decided = _Decided(grounds, at, end_of(grounds, decisions), decisions)
        # With a source refused, a date could allow it; what was left out does not tell when.
        if len(decisions) == 1 + len(ask.sources):
            if len(self._decided) >= _DECIDED_AT_MOST:
                self._decided.clear()
            self._decided[key] = decided
        return decided

    async def registered(self, ask: Ask, subjects: Sequence[str]) -> Sequence[Dossier | None]:
        """For each subject the dossier that the asking party has on it now for this purpose, or None."""
        return await self._directory.find_dossiers(ask.actor.party, ask.purpose, subjects, self.clock.now())

    async def screen(self, ask: Ask, subjects: Sequence[str], at: datetime) -> tuple[bytes, datetime | None]:
        """For each of many subjects a byte, 1 where `registered` finds a dossier; until when that holds for all."""
        return await self._directory.screen(ask.actor.party, ask.purpose, subjects, at)

    def keep_sample(self, passage: "Passage") -> None:
        """The decisions of this exchange are kept for replay, when it is in the sample."""
        if self._sample is None or not self._sample.wants(passage.exchange):
            return
        at, ask = self.clock.now(), passage.ask
        asked = {ask.resource: ask.fields, **ask.sources}
        decided = [
            (request_of(ask, passage.grounds, at, resource, asked[resource], passage.standing), decision)
            for resource, decision in passage.decisions.items()
        ]
        self._sample.keep(passage.exchange, decided)

    async def refuse(self, ask: Ask, refusal: NotAllowed) -> None:
        """A refusal that was found outside the gate is recorded like the gate's own."""
        standing = await self.keeper.settle()
        await self._refuse(ask, ExchangeId(new_id()), standing, refusal, self.clock.now())

    async def _refuse(
        self, ask: Ask, exchange: ExchangeId, standing: Standing, refusal: NotAllowed, at: datetime
    ) -> None:
        decision = standing.bank.decide(request_of(ask, None, at, ask.resource, ask.fields, standing))
        refusal.facts.setdefault("rule", decision.rule)
        refusal.facts.setdefault("version", decision.version)
        refusal.facts.setdefault("exchange", str(exchange))
        _exchanges.labels("refused", refusal.code).inc()
        entry = entry_of(
            ask,
            exchange,
            kind="exchange.refused",
            at=at,
            public={"code": refusal.code},
            private={"rule": decision.rule, "version": decision.version},
        )
        # Not under the epoch: a refusal may be recorded whatever the standing has become meanwhile.
        await self._recordings((0, entry))

    async def record(self, entry: Entry, epoch: int) -> Promise:
        """The entry is durable, and `epoch` was still the standing epoch when it became so.

        Raises:
            Stale: the epoch had moved; nothing was recorded.
        """
        return await self._recordings((epoch, entry))

    async def _admit_batch(
        self, batch: Sequence[tuple[Admission, ExchangeId]]
    ) -> Sequence[store.Admitted | Exception]:
        async with self.database.acquire() as connection:
            return await store.admit(connection, batch, self.clock.now())

    async def _record_batch(self, batch: Sequence[tuple[int, Entry]]) -> Sequence[Promise | Exception]:
        # Entries under one epoch share a statement; those under an older one (or none) get their own.
        results: list[Promise | Exception] = [Stale()] * len(batch)
        for epoch in sorted({epoch for epoch, _ in batch}):
            places = [n for n, (e, _) in enumerate(batch) if e == epoch]
            prepared = self.sealer.prepare([batch[n][1] for n in places], self.clock.now())
            async with self.database.acquire() as connection:
                if epoch == 0:
                    await prepared.append(connection)
                elif not await store.record(connection, epoch, prepared):
                    continue
            for place, promise in zip(places, prepared.promises, strict=True):
                results[place] = promise
        return results


class Stale(KoinonError):
    """The standing epoch moved between the decision and its recording. Never leaves the gate."""

    status = 503

    def __init__(self) -> None:
        super().__init__("standing_moved")


class Passage:
    """An ask that may pass: what may be fetched for it, and the one way to release its answer."""

    def __init__(
        self,
        gate: Gate,
        ask: Ask,
        exchange: ExchangeId,
        standing: Standing,
        grounds: Grounds,
        decisions: Mapping[str, Decision],
        dossiers_until: datetime | None,
    ) -> None:
        self.gate = gate
        self.ask = ask
        self.exchange = exchange
        self.dossiers_until = dossiers_until
        self.rest_on(standing, grounds, decisions)

    def rest_on(self, standing: Standing, grounds: Grounds, decisions: Mapping[str, Decision]) -> None:
        """The passage rests on these, until the first of them, or a dossier, ends by itself."""
        self.standing = standing
        self.grounds = grounds
        self.decisions = decisions
        until = end_of(grounds, decisions)
        self.good_until = until if self.dossiers_until is None else min(until, self.dossiers_until)

    @property
    def epoch(self) -> int:
        """Of the standing that it rests on."""
        return self.standing.epoch

    @property
    def decision(self) -> Decision:
        """On the main resource."""
        return self.decisions[self.ask.resource]

    def allowed(self, resource: str) -> frozenset[str]:
        """The fields of `resource` that may be fetched (a source service) or may leave (the main resource)."""
        decision = self.decisions.get(resource)
        return decision.fields if decision is not None else frozenset()

    def filtered(self) -> tuple[Filtered, ...]:
        """What was asked of the main resource and does not leave, in the order of the alphabet."""
        return tuple(Filtered(name, "not_allowed") for name in sorted(self.ask.fields - self.decision.fields))

    async def release(
        self,
        answer: Mapping[str, T],
        *,
        note: Mapping[str, Any] | None = None,
        kind: str = "exchange.released",
    ) -> Released[dict[str, T]]:
        """Only the fields that are asked and allowed are in the value, and its entry is durable.

        Raises:
            NotAllowed: the grounds were taken away since the passage was opened; the refusal is recorded.
            Unavailable: it cannot be recorded now, so nothing leaves.

        Records: `kind` in the exchange log.
        """
        return self._leave(answer, await self._record(kind, self.ask.subjects, note or {}))

    async def release_rows(
        self,
        rows: Sequence[tuple[str, Mapping[str, T]]],
        *,
        note: Mapping[str, Any] | None = None,
        kind: str = "exchange.piece",
    ) -> Released[list[tuple[str, dict[str, T]]]]:
        """The same for several subjects with one entry; subjects without a dossier any more are left out.

        Records: `kind` in the exchange log, about the subjects that left.
        """
        known = await self.gate.registered(self.ask, [subject for subject, _ in rows])
        kept = [(subject, answer) for (subject, answer), dossier in zip(rows, known, strict=True) if dossier]
        promise = await self._record(
            kind, tuple(subject for subject, _ in kept), {"rows": len(kept), **(note or {})}
        )
        return self._released([(subject, self.minimum(answer)) for subject, answer in kept], promise)

    def minimum(self, answer: Mapping[str, T]) -> dict[str, T]:
        """What of the answer may leave, as it is decided now."""
        allowed, coarse = self.decision.fields, self.decision.obligations.yes_no
        return {
            name: value
            for name, value in answer.items()
            if name in allowed and (name not in coarse or _is_yes_or_no(value))
        }

    def _leave(self, answer: Mapping[str, T], promise: Promise) -> Released[dict[str, T]]:
        """The minimum of the answer, which `promise` is the promise of."""
        self.gate.keep_sample(self)
        kept = self.minimum(answer)
        coarser = tuple(
            Filtered(name, "yes_no_only")
            for name in sorted((answer.keys() & self.decision.fields) - kept.keys())
        )
        return self._released(kept, promise, coarser)

    def _released(self, value: U, promise: Promise, coarser: tuple[Filtered, ...] = ()) -> Released[U]:
        return Released(
            value,
            exchange=self.exchange,
            authorisation=self.grounds.authorisation,
            decision=self.decision,
            filtered=self.filtered() + coarser,
            receipt=receipt_of(promise),
            seal=_SEAL,
        )

    async def _record(self, kind: str, subjects: tuple[str, ...], note: Mapping[str, Any]) -> Promise:
        """The entry is durable under a standing that carries the passage at this moment.

        The passage may be decided on anew on the way: take the minimum after this, not before.
        """
        self.gate.demand_quorum()
        for _ in range(_TRIES):
            at = self.gate.clock.now()
            if at >= self.good_until:
                await self.decide_anew()
            try:
                promise = await self.gate.record(self._entry(kind, at, subjects, note), self.epoch)
            except Stale:
                await self.gate.keeper.refresh(beyond=self.epoch)
                await self.decide_anew()
                continue
            _released.inc()
            return promise
        raise Unavailable("standing_unconfirmed")

    def _entry(self, kind: str, at: datetime, subjects: tuple[str, ...], note: Mapping[str, Any]) -> Entry:
        return entry_of(
            self.ask,
            self.exchange,
            kind=kind,
            at=at,
            subjects=subjects,
            authorisation=self.grounds.authorisation,
            private={
                "rule": self.decision.rule,
                "version": self.decision.version,
                "fields": sorted(self.decision.fields),
                "filtered": [each.field for each in self.filtered()],
                **note,
            },
        )

    async def decide_anew(self) -> None:
        """The passage rests on the standing of now.

        Raises:
            NotAllowed: it may not any more; the refusal is recorded.
            Unavailable: `standing_moved` when less may be fetched than was: what was fetched must not be used.
        """
        anew = await self.gate.open(self.ask, self.exchange)
        if any(self.allowed(resource) - anew.allowed(resource) for resource in self.ask.sources):
            raise Unavailable("standing_moved")
        self.dossiers_until = anew.dossiers_until
        self.rest_on(anew.standing, anew.grounds, anew.decisions)


def _is_yes_or_no(value: Any) -> bool:
    """Whether the value, or what it wraps, says no more than yes, no, or nothing."""
    inner = getattr(value, "value", value)
    return inner is None or isinstance(inner, bool)
