"""The uses under which a process does batches: one a batch, begun when it is needed, cut like any other."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from koinon.base.database import Database
from koinon.base.errors import KoinonError
from koinon.integrator.deferred import store
from koinon.integrator.deferred.model import Batch, BatchState
from koinon.integrator.deferred.service import ask_of
from koinon.integrator.model import Flow
from koinon.trust.gate import BEGIN_AGAIN, EndReason, Gate, Use, Uses, open_batch

GOING = (BatchState.RECEIVED, BatchState.CHECKED, BatchState.QUEUED, BatchState.RUNNING)


class Holding:
    """The batches that this process holds.

    `cancel` ends at once what runs here of a batch; `stop` says for everybody that it goes no further.
    """

    def __init__(
        self,
        database: Database,
        gate: Gate,
        register: Uses,
        *,
        cancel: Callable[[UUID], None],
        stop: Callable[[UUID, KoinonError], Awaitable[None]],
    ) -> None:
        self._database, self._gate, self._register = database, gate, register
        self._cancel, self._stop = cancel, stop
        self.uses: dict[UUID, Use] = {}
        self._touched: dict[UUID, float] = {}
        self._opening = asyncio.Lock()
        self._cuts: set[asyncio.Task[None]] = set()

    async def hold(self, batch: Batch, flow: Flow) -> Use:
        """This process's use of the batch, begun if it is not running here.

        Raises:
            NotAllowed: its grounds do not stand.
            Unavailable: `standing_unconfirmed`.

        Records: `exchange.begun`, or `exchange.refused`.
        """
        async with self._opening:
            use = self.uses.get(batch.id)
            if use is not None and use.cut is None:
                return use
            ask = ask_of(batch, flow.plan.resources)
            passage = await open_batch(self._gate, ask, count=max(1, batch.records or 1))
            begun = await self._register.begin(passage)
            self.uses[batch.id] = begun
            begun.on_cut(lambda: self._heard(batch.id, begun))
            async with self._database.transaction() as connection:
                at = self._gate.clock.now()
                await store.move(connection, batch.id, BatchState.RUNNING, at, sources=[BatchState.QUEUED])
            return begun

    def touch(self, batch: UUID) -> None:
        """The batch was worked on just now."""
        self._touched[batch] = asyncio.get_running_loop().time()

    async def let_go(self, batch: UUID, reason: EndReason) -> None:
        """This process holds the batch no longer. Records: `exchange.ended`."""
        use = self.uses.pop(batch, None)
        self._touched.pop(batch, None)
        if use is not None:
            await use.end(reason)

    async def let_go_of_idle(self, busy: set[UUID], idle: timedelta) -> None:
        """Batches that nothing has run of for `idle` are held no longer."""
        now = asyncio.get_running_loop().time()
        for batch in list(self.uses):
            if batch in busy or now - self._touched.setdefault(batch, now) < idle.total_seconds():
                continue
            async with self._database.acquire() as connection:
                found = await store.find_batch(connection, batch)
            done = found is not None and found.state is BatchState.DONE
            await self.let_go(batch, EndReason.COMPLETED if done else EndReason.LEFT)

    async def close(self) -> None:
        """Nothing is held any more, and every cut has been dealt with."""
        await asyncio.gather(*self._cuts, return_exceptions=True)
        for batch in list(self.uses):
            await self.let_go(batch, EndReason.LEFT)

    def _heard(self, batch: UUID, use: Use) -> None:
        """A cut: what runs here of the batch is cancelled in this very step; the batch is stopped right after.

        Where the cut only asks for a new decision, it goes on to the point where it needs one.
        """
        assert use.cut is not None
        if use.cut.code not in BEGIN_AGAIN:
            self._cancel(batch)
        dealing = asyncio.ensure_future(self._deal_with(batch, use))
        self._cuts.add(dealing)
        dealing.add_done_callback(self._cuts.discard)

    async def _deal_with(self, batch: UUID, use: Use) -> None:
        cut = use.cut
        assert cut is not None
        if cut.code not in BEGIN_AGAIN:
            await self._stop(batch, cut)
        if self.uses.get(batch) is use:
            del self.uses[batch]
        await use.end(cut.end)
