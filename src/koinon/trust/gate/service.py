"""The one passage. See `docs/design/trust-core.md` and the seven steps in `ARCHITECTURE.md`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import structlog

from koinon.base.batching import Batcher
from koinon.base.clock import Clock, rfc3339
from koinon.base.crypto import b64url
from koinon.base.database import Database
from koinon.base.errors import Conflict, KoinonError, NotAllowed, NotIdentified, Unavailable
from koinon.base.ids import new_id
from koinon.base.metrics import counter
from koinon.trust.gate import store
from koinon.trust.gate.model import Admission, Dossier, ExchangeId, Filtered, Receipt
from koinon.trust.gate.quorum import QuorumWatch
from koinon.trust.gate.release import _SEAL, Released
from koinon.trust.gate.sampling import DecisionSample
from koinon.trust.ledger import Entry, Log, Promise, Sealer
from koinon.trust.rules import Decision, Request
from koinon.trust.standing import Ask, Grounds, Standing, StandingKeeper, suspended

T = TypeVar("T")
U = TypeVar("U")

_log = structlog.get_logger()
_exchanges = counter("koinon_exchanges_total", "Exchanges by outcome and code.", ("outcome", "code"))
_released = _exchanges.labels("released", "")

# The one action that needs no dossier: it makes one, on proof that the party knows the person.
REGISTER = "register"
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
            dossiers = () if ask.action == REGISTER else await self.registered(ask, ask.subjects)
            if ask.action != REGISTER and (not dossiers or None in dossiers):
                # One code for "unknown to us" and "not in your files": the difference would be an answer.
                raise NotAllowed("subject_not_registered")
            decided = self._decide(standing, ask, grounds, at)
        except NotAllowed as refusal:
            await self._refuse(ask, exchange, standing, refusal, at)
            raise
        ends = [each.valid_until for each in dossiers if each is not None]
        return Passage(
            self, ask, exchange, standing.epoch, grounds, decided.decisions, min(ends, default=None)
        )

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

    def keep_sample(self, passage: "Passage") -> None:
        """The decisions of this exchange are kept for replay, when it is in the sample."""
        if self._sample is None or not self._sample.wants(passage.exchange):
            return
        standing, at, ask = self.keeper.current, self.clock.now(), passage.ask
        asked = {ask.resource: ask.fields, **ask.sources}
        decided = [
            (request_of(ask, passage.grounds, at, resource, asked[resource], standing), decision)
            for resource, decision in passage.decisions.items()
        ]
        self._sample.keep(passage.exchange, decided)

    async def refuse(self, ask: Ask, refusal: NotAllowed) -> None:
        """A refusal that was found outside the gate is recorded like the gate's own."""
        await self._refuse(ask, ExchangeId(new_id()), self.keeper.current, refusal, self.clock.now())

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
        epoch: int,
        grounds: Grounds,
        decisions: Mapping[str, Decision],
        dossiers_until: datetime | None,
    ) -> None:
        self.gate = gate
        self.ask = ask
        self.exchange = exchange
        self.dossiers_until = dossiers_until
        self.rest_on(epoch, grounds, decisions)

    def rest_on(self, epoch: int, grounds: Grounds, decisions: Mapping[str, Decision]) -> None:
        """The passage rests on these, until the first of them, or a dossier, ends by itself."""
        self.epoch = epoch
        self.grounds = grounds
        self.decisions = decisions
        until = end_of(grounds, decisions)
        self.good_until = until if self.dossiers_until is None else min(until, self.dossiers_until)

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
        promise = await self._record(kind, self.ask.subjects, note or {})
        self.gate.keep_sample(self)
        kept = self._minimum(answer)
        coarser = tuple(
            Filtered(name, "yes_no_only")
            for name in sorted((answer.keys() & self.decision.fields) - kept.keys())
        )
        return self._released(kept, promise, coarser)

    async def release_rows(
        self, rows: Sequence[tuple[str, Mapping[str, T]]], *, kind: str = "exchange.piece"
    ) -> Released[list[tuple[str, dict[str, T]]]]:
        """The same for several subjects with one entry; subjects without a dossier any more are left out.

        Records: `kind` in the exchange log, about the subjects that left.
        """
        known = await self.gate.registered(self.ask, [subject for subject, _ in rows])
        kept = [(subject, answer) for (subject, answer), dossier in zip(rows, known, strict=True) if dossier]
        promise = await self._record(kind, tuple(subject for subject, _ in kept), {"rows": len(kept)})
        return self._released([(subject, self._minimum(answer)) for subject, answer in kept], promise)

    def _minimum(self, answer: Mapping[str, T]) -> dict[str, T]:
        allowed, coarse = self.decision.fields, self.decision.obligations.yes_no
        return {
            name: value
            for name, value in answer.items()
            if name in allowed and (name not in coarse or _is_yes_or_no(value))
        }

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
            entry = entry_of(
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
            try:
                promise = await self.gate.record(entry, self.epoch)
            except Stale:
                await self.gate.keeper.refresh(beyond=self.epoch)
                await self.decide_anew()
                continue
            _released.inc()
            return promise
        raise Unavailable("standing_unconfirmed")

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
        self.rest_on(anew.epoch, anew.grounds, anew.decisions)


def end_of(grounds: Grounds, decisions: Mapping[str, Decision]) -> datetime:
    """The first moment at which one of these ends by itself."""
    ends = [each.good_until for each in decisions.values() if each.good_until is not None]
    return min([grounds.good_until, *ends])


def decide(standing: Standing, ask: Ask, grounds: Grounds, at: datetime) -> dict[str, Decision]:
    """One decision for the main resource and one for each source; the main one allows.

    What the rule bank gives is cut down to what the authorisation covers: neither alone is enough. A source that is
    not covered is not asked, and what depends on it is answered `not_allowed`.

    Raises:
        NotAllowed: the code of the decision that refuses the main resource.
    """
    main = _decide(standing, ask, grounds, at, ask.resource, ask.fields)
    decisions = {ask.resource: main}
    for resource, fields in ask.sources.items():
        try:
            decisions[resource] = _decide(standing, ask, grounds, at, resource, fields)
        except NotAllowed as refusal:
            _log.info("source_not_allowed", resource=resource, code=refusal.code)
    return decisions


def _decide(
    standing: Standing, ask: Ask, grounds: Grounds, at: datetime, resource: str, fields: frozenset[str]
) -> Decision:
    covered = fields & grounds.resources.get(resource, frozenset())
    if fields and not covered:
        raise NotAllowed("field_not_authorised", resource=resource, authorisation=grounds.authorisation)
    request = request_of(ask, grounds, at, resource, covered, standing)
    decision = standing.bank.decide(request)
    named = {"resource": resource, "rule": decision.rule, "version": decision.version}
    if not decision.allowed:
        suspension = standing.find_rule_suspension(request)
        if suspension is not None:
            raise suspended("rule_suspended", suspension, resource=resource, rule=suspension.target.id)
        raise NotAllowed(decision.code, **named, unknown=list(decision.unknown))
    if any(each.rule.deliberation != grounds.authorisation for each in decision.grounds):
        raise NotAllowed("rule_of_another_deliberation", **named)
    _check_obligations(decision, named)
    return decision


def _check_obligations(decision: Decision, named: Mapping[str, Any]) -> None:
    """What the rule demands before anything is released is there; what nobody can give yet is missing.

    Obligations on images (masks, watermark, depth) bind whoever serves images.

    Raises:
        NotAllowed: `second_person_missing`, `reason_missing`.
    """
    if decision.obligations.second_person:
        raise NotAllowed("second_person_missing", **named)
    if decision.obligations.reason:
        raise NotAllowed("reason_missing", **named)


def _is_yes_or_no(value: Any) -> bool:
    """Whether the value, or what it wraps, says no more than yes, no, or nothing."""
    inner = getattr(value, "value", value)
    return inner is None or isinstance(inner, bool)


def request_of(
    ask: Ask, grounds: Grounds | None, at: datetime, resource: str, fields: frozenset[str], standing: Standing
) -> Request:
    """The rule bank's question for one resource. Facts are what the gate itself knows to be true."""
    actor = ask.actor
    kind = grounds.party_kind if grounds is not None else standing.party_kind(actor.party)
    return Request(
        resource=resource,
        action=ask.action,
        purpose=ask.purpose,
        party_kind=kind,
        party=str(actor.party),
        profile=actor.profile,
        fields=fields,
        facts={
            "subject_in_dossier": grounds is not None and ask.action != REGISTER,
            "user_named": actor.person is not None or bool(actor.user),
        },
        at=at,
    )


def entry_of(
    ask: Ask,
    exchange: ExchangeId,
    *,
    kind: str,
    at: datetime,
    subjects: tuple[str, ...] | None = None,
    authorisation: str | None = None,
    public: Mapping[str, Any] | None = None,
    private: Mapping[str, Any] | None = None,
) -> Entry:
    """The entry of one step of an exchange.

    Public (to readers of the exchange log): party, authorisation, action, resources, and what `public` adds. Private,
    sealed under the subjects' keys: which person or system asked, for which purpose and case, and what `private` adds.
    """
    actor = ask.actor
    hidden = {
        "exchange": str(exchange),
        "profile": actor.profile,
        "person": str(actor.person) if actor.person else None,
        "system": str(actor.system) if actor.system else None,
        "key": actor.key,
        "user": actor.user,
        "user_asserted_by": actor.user_asserted_by,
        "purpose": ask.purpose,
        "case": ask.case,
        **(private or {}),
    }
    shown: dict[str, Any] = {
        "party": str(actor.party),
        "action": ask.action,
        "resources": [ask.resource, *sorted(ask.sources)],
        **(public or {}),
    }
    if authorisation is not None:
        shown["authorisation"] = authorisation
    return Entry(
        log=Log.EXCHANGE,
        kind=kind,
        public=shown,
        private={name: value for name, value in hidden.items() if value is not None},
        subjects=ask.subjects if subjects is None else subjects,
        at=at,
    )


def receipt_of(promise: Promise) -> Receipt:
    """The promise as a response carries it."""
    return Receipt(
        log=promise.log.value,
        entry=promise.entry,
        leaf_hash=b64url(promise.leaf_hash),
        at=rfc3339(promise.at),
        max_merge_delay_seconds=promise.max_merge_delay_seconds,
    )
