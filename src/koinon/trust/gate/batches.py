"""A batch passes the gate chunk by chunk: everybody is looked up, and one entry with a leaf each is recorded.

A batch stands on its grounds as a whole and names its persons later: a chunk is screened against the reference
directory in one statement before any source is asked, and what is known of it is released with one entry whose field
`subjects` is the RFC 9162 root over one salted commitment a person. `ledger.prove_subject` proves one of them alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import compress
from typing import Any, Protocol, TypeVar

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Invalid, NotAllowed, Unavailable
from koinon.base.ids import new_id
from koinon.trust.gate import store
from koinon.trust.gate.entries import entry_of, receipt_of
from koinon.trust.gate.model import ExchangeId, Filtered
from koinon.trust.gate.release import _SEAL, Released
from koinon.trust.gate.service import _TRIES, Gate, Passage, Stale
from koinon.trust.ledger import Entry, Promise
from koinon.trust.standing import Ask

# `ledger.slot` numbers the persons of an entry with a smallint.
MOST_SUBJECTS = 32_000
# A chunk whose sources took longer is looked up anew before it is released: a file may have been closed meanwhile.
LOOK_UP_AGAIN_AFTER = timedelta(seconds=30)


class Answers(Protocol):
    """The answers to one field about all persons of a chunk."""

    @property
    def kind(self) -> str:
        """`bool` where every value is yes, no or nothing; anything else is a value of its own."""


A = TypeVar("A", bound=Answers)


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """Persons of a chunk after the reference directory was asked; only the gate makes one.

    Attributes:
        known: those on whom the party has a file now, in the order of the chunk: about these a source may be asked.
        unknown: the others, whether nobody knows them or only others do.
        mask: for each person of the chunk 1 or 0: known or not.
        at: when the directory was asked.
        until: the first moment at which one of the files ends.
    """

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    mask: bytes
    at: datetime
    until: datetime | None


class BatchPassage(Passage):
    """An ask about persons that are named chunk by chunk."""

    count = 0

    async def screen(self, subjects: Sequence[str]) -> Screened:
        """Who of `subjects` is in the party's files for this purpose, by one statement.

        Raises:
            Invalid: `chunk_empty`, `chunk_too_large`.
        """
        if not 0 < len(subjects) <= MOST_SUBJECTS:
            raise Invalid("chunk_too_large" if subjects else "chunk_empty", limit=MOST_SUBJECTS)
        at = self.gate.clock.now()
        mask, until = await self.gate.screen(self.ask, subjects, at)
        return Screened(
            known=tuple(compress(subjects, mask)),
            unknown=tuple(compress(subjects, mask.translate(_NOT))),
            mask=mask,
            at=at,
            until=until,
        )

    def is_stale(self, screened: Screened) -> bool:
        """Whether the directory must be asked again before a release."""
        at = self.gate.clock.now()
        # Both ways: a clock that was set back must not keep an old look-up fresh.
        old = abs(at - screened.at) > LOOK_UP_AGAIN_AFTER
        return old or (screened.until is not None and at >= screened.until)

    async def release_chunk(
        self,
        screened: Screened,
        answers: Mapping[str, A],
        *,
        note: Mapping[str, Any],
        stage: Callable[[Mapping[str, A]], Awaitable[None]],
        commit: Callable[[Connection, Sequence[Promise]], Awaitable[None]],
    ) -> Released[dict[str, A]]:
        """Only fields that are asked and allowed are kept, and the chunk's entry is durable together with `commit`.

        `stage` is given the minimum before it is recorded, to lay it down where nobody reads it yet; it is called
        again when the decision changed on the way. `commit` joins the recording's transaction, with a promise for
        each entry, of those who are known first: where it raises nothing was recorded.

        Raises:
            NotAllowed: the grounds were taken away; the refusal is recorded.
            Unavailable: `directory_stale` when the chunk must be screened anew; `standing_moved`,
                `standing_unconfirmed`, `witness_quorum_lost`.

        Records: `exchange.piece` about those who are known, `exchange.refused` about those who are not, in one
        transaction.
        """
        gate = self.gate
        for _ in range(_TRIES):
            gate.demand_quorum()
            at = gate.clock.now()
            if self.is_stale(screened):
                raise Unavailable("directory_stale")
            if at >= self.good_until:
                await self.decide_anew()
            kept, coarser = self._least(answers)
            await stage(kept)
            entries = self._entries(screened, note, at)
            # In a thread: a chunk takes tens of milliseconds, and the loop also cuts.
            prepared = await asyncio.to_thread(gate.sealer.prepare, entries, at)
            try:
                async with gate.database.transaction() as connection:
                    await commit(connection, prepared.promises)
                    # Last, so that the epoch's row is held no longer than the recording takes.
                    if not await store.record(connection, self.epoch, prepared):
                        raise Stale
            except Stale:
                await gate.keeper.refresh(beyond=self.epoch)
                await self.decide_anew()
                continue
            return Released(
                kept,
                exchange=self.exchange,
                authorisation=self.grounds.authorisation,
                decision=self.decision,
                filtered=self.filtered() + coarser,
                receipt=receipt_of(prepared.promises[0]),
                seal=_SEAL,
            )
        raise Unavailable("standing_unconfirmed")

    async def decide_anew(self) -> None:
        """See `Passage.decide_anew`; the directory is asked chunk by chunk, so not here."""
        anew = await open_batch(self.gate, self.ask, count=self.count, exchange=self.exchange)
        if any(self.allowed(resource) - anew.allowed(resource) for resource in self.ask.sources):
            raise Unavailable("standing_moved")
        self.rest_on(anew.standing, anew.grounds, anew.decisions)

    def _least(self, answers: Mapping[str, A]) -> tuple[dict[str, A], tuple[Filtered, ...]]:
        allowed, coarse = self.decision.fields, self.decision.obligations.yes_no
        kept = {
            name: column
            for name, column in answers.items()
            if name in allowed and (name not in coarse or column.kind == "bool")
        }
        withheld = sorted((answers.keys() & allowed) - kept.keys())
        return kept, tuple(Filtered(name, "yes_no_only") for name in withheld)

    def _entries(self, screened: Screened, note: Mapping[str, Any], at: datetime) -> list[Entry]:
        decision = self.decision
        grounds = {"rule": decision.rule, "version": decision.version, **note}
        entries = []
        if screened.known:
            entries.append(
                entry_of(
                    self.ask,
                    self.exchange,
                    kind="exchange.piece",
                    at=at,
                    subjects=screened.known,
                    authorisation=self.grounds.authorisation,
                    private={
                        **grounds,
                        "fields": sorted(decision.fields),
                        "filtered": [each.field for each in self.filtered()],
                        "rows": len(screened.known),
                    },
                )
            )
        if screened.unknown:
            entries.append(
                entry_of(
                    self.ask,
                    self.exchange,
                    kind="exchange.refused",
                    at=at,
                    subjects=screened.unknown,
                    authorisation=self.grounds.authorisation,
                    public={"code": "subject_not_registered"},
                    private={**grounds, "rows": len(screened.unknown)},
                )
            )
        return entries


_NOT = bytes([1, *bytes(255)])


async def open_batch(gate: Gate, ask: Ask, *, count: int, exchange: ExchangeId | None = None) -> BatchPassage:
    """The batch stands on its grounds, and every resource it needs is decided on; nobody is named yet.

    `count` is how many persons it is about: an authorisation may set a limit.

    Raises:
        NotAllowed: as `Gate.open`; the refusal is recorded first.
        Unavailable: as `Gate.open`.

    Records: `exchange.refused` in the exchange log when it is refused.
    """
    exchange = exchange or ExchangeId(new_id())
    at = gate.clock.now()
    gate.demand_quorum()
    standing = await gate.keeper.settle()
    try:
        # Standing reads of the subjects only how many there are.
        grounds = standing.find_grounds(msgspec.structs.replace(ask, subjects=("",) * count), at)
        decided = gate._decide(standing, ask, grounds, at)
    except NotAllowed as refusal:
        await gate._refuse(ask, exchange, standing, refusal, at)
        raise
    passage = BatchPassage(gate, ask, exchange, standing, grounds, decided.decisions, None)
    passage.count = count
    return passage
