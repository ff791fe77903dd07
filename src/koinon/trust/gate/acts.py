"""An act and its entry are one transaction: what is refused at the last moment leaves none, what is done has one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from koinon.base.database import Connection
from koinon.base.errors import Unavailable
from koinon.trust.gate import store
from koinon.trust.gate.entries import receipt_of
from koinon.trust.gate.model import Receipt
from koinon.trust.gate.release import Released
from koinon.trust.gate.service import _TRIES, Passage, Stale, _released
from koinon.trust.ledger import Promise

T = TypeVar("T")
R = TypeVar("R")

Record = Callable[[Mapping[str, Any]], Awaitable[Sequence[Receipt]]]
"""Records the entries with this note in their private part; a receipt for each passage, in order."""


async def release_with(
    passages: Sequence[Passage],
    answer: Mapping[str, T],
    act: Callable[[Connection, Record], Awaitable[R]],
    *,
    kind: str,
) -> tuple[R, list[Released[dict[str, T]]]]:
    """What `act` did, and for each passage the fields that are asked and allowed, are durable with an entry for each.

    `act` joins the recording's transaction and calls `record` once, when it knows what it does: as late as it can,
    since the epoch's row is held from there. Where it raises, nothing was done and nothing recorded. It is called again
    when the standing moved on the way.

    Raises:
        NotAllowed: the grounds were taken away since a passage was opened; the refusal is recorded.
        Unavailable: it cannot be recorded now, so nothing is done.

    Records: `kind` in the exchange log, for each passage.
    """
    gate = passages[0].gate
    for _ in range(_TRIES):
        gate.demand_quorum()
        at = gate.clock.now()
        for passage in passages:
            if at >= passage.good_until:
                await passage.decide_anew()
        epoch = max(passage.epoch for passage in passages)
        promises: list[Promise] = []

        async def record(note: Mapping[str, Any]) -> Sequence[Receipt]:
            entries = [
                each._entry(kind, at, each.ask.subjects, note)  # noqa: B023 - awaited in this round
                for each in passages
            ]
            prepared = gate.sealer.prepare(entries, at)  # noqa: B023
            if not await store.record(connection, epoch, prepared):  # noqa: B023
                raise Stale
            promises.extend(prepared.promises)  # noqa: B023
            return [receipt_of(each) for each in prepared.promises]

        try:
            if any(passage.epoch < epoch for passage in passages):
                raise Stale
            async with gate.database.transaction() as connection:
                done = await act(connection, record)
        except Stale:
            await gate.keeper.refresh(beyond=epoch)
            for passage in passages:
                await passage.decide_anew()
            continue
        _released.inc(len(promises))
        return done, [
            passage._leave(answer, promise) for passage, promise in zip(passages, promises, strict=True)
        ]
    raise Unavailable("standing_unconfirmed")
