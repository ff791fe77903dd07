"""The runner: takes tasks of batches and does them, one after the other or some at once, in a releasing process.

What it holds of a batch is a use that lasts: it is cut like any other when its grounds go, and the batch stops. What it
has done is a checkpoint in the transaction that recorded it: a chunk is answered and recorded, or it is neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from koinon.base.clock import civil_date
from koinon.base.crypto import SigningKey
from koinon.base.database import BROKEN, Connection, Database
from koinon.base.errors import Conflict, KoinonError, NotAllowed, Unavailable
from koinon.base.late import late
from koinon.base.metrics import counter
from koinon.integrator.deferred import policy, store
from koinon.integrator.deferred.checking import Check
from koinon.integrator.deferred.chunks import AnswerColumn, Questions, encode_part
from koinon.integrator.deferred.computing import Asking, Computation, Computed
from koinon.integrator.deferred.data_sets.store import note_batch
from koinon.integrator.deferred.finishing import sign_receipt, total, write_results
from koinon.integrator.deferred.holding import GOING, Holding
from koinon.integrator.deferred.model import Batch, BatchId, BatchState, Task
from koinon.integrator.deferred.sealed import PiecesIn, SealedObjects, chunk_name, part_name, piece_name
from koinon.trust.gate import BEGIN_AGAIN, BatchPassage, Cut, EndReason, Gate, Screened, Uses
from koinon.trust.ledger import Promise

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = late("pyarrow")

_log = structlog.get_logger()
_records = counter("koinon_batch_records_total", "Records of batches, by what became of them.", ("status",))
# How often a chunk that is computed is tried to be released while the standing cannot be confirmed: some 25 s.
_RELEASES = 8


class Runner:
    """Does the tasks of batches until it is cancelled.

    Attributes:
        concurrency: tasks at once. One fills a core; more help where sources are slow.
        silence: after so long without a sign of life a task is taken from its worker.
        idle: after so long without a chunk this process holds a batch no longer.
        patience: how long a chunk waits for a source before it is answered without.
    """

    def __init__(
        self,
        *,
        database: Database,
        gate: Gate,
        uses: Uses,
        sealed: SealedObjects,
        computations: Mapping[str, Computation],
        key: SigningKey,
        concurrency: int = 1,
        poll_seconds: float = 0.5,
        silence: timedelta = timedelta(seconds=20),
        idle: timedelta = timedelta(seconds=30),
        patience: timedelta = policy.PATIENCE,
    ) -> None:
        self._database, self._gate = database, gate
        self._sealed, self._computations, self._key = sealed, computations, key
        self._concurrency, self._poll = concurrency, poll_seconds
        self._silence, self._idle, self._patience = silence, idle, patience
        self.name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._running: dict[tuple[UUID, int], tuple[Task, asyncio.Task[None]]] = {}
        self._holding = Holding(database, gate, uses, cancel=self._cancel, stop=self._stop)
        self._free = asyncio.Event()

    async def run(self) -> None:
        """Tasks have been done until this was cancelled; those under way are given back."""
        pulse = asyncio.create_task(self._pulse(), name="batches-pulse")
        try:
            while True:
                task = None
                if len(self._running) < self._concurrency:
                    try:
                        async with self._database.transaction() as connection:
                            task = await store.claim(connection, self.name, self._silence)
                    except BROKEN as error:
                        _log.warning("batches_unavailable", why=str(error))
                if task is None:
                    self._free.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._poll):
                            await self._free.wait()
                    continue
                self._running[task.batch, task.number] = (task, asyncio.create_task(self._do(task)))
        finally:
            pulse.cancel()
            going = [each for _, each in self._running.values()]
            for each in going:
                each.cancel()
            await asyncio.gather(pulse, *going, return_exceptions=True)
            await self._holding.close()

    async def _do(self, task: Task) -> None:
        """The task is done, given back, or its batch stopped; never is an error swallowed without one of them."""
        wait, failed, sources = timedelta(0), False, frozenset[str]()
        try:
            sources = await self._do_kind(task)
            if not sources:
                return
            # As long again as it has waited: doubling, without counting.
            waited = self._gate.clock.now() - (task.waits_since or self._gate.clock.now())
            wait = min(max(waited, policy.FIRST_WAIT), policy.LONGEST_WAIT)
            _log.info("batch_waits", batch=str(task.batch), task=task.number, sources=sorted(sources))
        except asyncio.CancelledError:
            # Cut, or this process stops: whoever comes next decides anew whether it goes on.
            await asyncio.shield(self._give_back(task, wait))
            raise
        except Cut:
            pass  # what it means for the batch is dealt with where the cut was heard
        except NotAllowed as refusal:
            await self._stop(task.batch, refusal)
        except Conflict as conflict:
            if conflict.code != "task_taken":
                failed = True
                _log.exception("batch_task_failed", batch=str(task.batch), task=task.number)
            else:
                _log.info("batch_task_taken", batch=str(task.batch), task=task.number)
        except (Unavailable, *BROKEN) as error:
            wait = policy.FIRST_WAIT
            _log.warning("batch_task_postponed", batch=str(task.batch), task=task.number, why=str(error))
        except Exception:
            failed, wait = True, policy.wait_before(task.attempts)
            _log.exception("batch_task_failed", batch=str(task.batch), task=task.number)
        finally:
            self._running.pop((task.batch, task.number), None)
            self._holding.touch(task.batch)
            self._free.set()
        await self._give_back(task, wait, sources=sources, failed=failed)

    async def _do_kind(self, task: Task) -> frozenset[str]:
        """Does it; returns the sources that it must wait for."""
        async with self._database.acquire() as connection:
            batch = await store.find_batch(connection, task.batch)
        assert batch is not None
        if task.attempts > policy.MOST_ATTEMPTS:
            raise NotAllowed("task_failed", task=task.number, attempts=task.attempts - 1)
        computation = self._computations.get(batch.flow)
        if computation is None:
            raise NotAllowed("flow_not_in_batch", flow=batch.flow)
        if task.kind == "check":
            await self._check(task, batch, computation)
        elif task.kind == "finish":
            await self._finish(task, batch, computation)
        else:
            return await self._answer(task, batch, computation)
        return frozenset()

    async def _check(self, task: Task, batch: Batch, computation: Computation) -> None:
        """The file was read from end to end: its chunks are queued, or it is refused."""
        async with self._database.acquire() as connection:
            pieces = await store.list_pieces(connection, batch.id)
        loop = asyncio.get_running_loop()
        stream = PiecesIn(self._sealed, [piece_name(batch.id, start) for start, _ in pieces], loop)
        check = Check(
            batch,
            computation.flow,
            stream,
            self._sealed,
            loop,
            size=computation.records,
            today=civil_date(self._gate.clock.now()),
        )
        found = await asyncio.to_thread(check.run)
        at = self._gate.clock.now()
        async with self._database.transaction() as connection:
            await store.finish_task(connection, task, at)
            await store.set_files(connection, batch.id, found.files)
            if found.broken is not None:
                await store.move(
                    connection,
                    batch.id,
                    BatchState.REFUSED,
                    at,
                    sources=GOING,
                    code=found.broken.code,
                    facts=found.broken.facts,
                )
                return
            await store.set_checked(connection, batch.id, found.records, found.rejected)
            await store.move(connection, batch.id, BatchState.CHECKED, at, sources=GOING)
            chunks = [(number, "chunk", records, first) for number, records, first in found.chunks]
            await store.insert_tasks(connection, batch.id, [*chunks, (len(chunks) + 1, "finish", 0, 0)])
            await store.move(connection, batch.id, BatchState.QUEUED, at, sources=GOING)

    async def _answer(self, task: Task, batch: Batch, computation: Computation) -> frozenset[str]:
        """The chunk is answered and recorded; or the sources that did not answer."""
        use = await self._holding.hold(batch, computation.flow)
        passage = use.passage
        assert isinstance(passage, BatchPassage)
        questions = await asyncio.to_thread(
            Questions.decode, await self._sealed.get(chunk_name(batch.id, task.number))
        )
        await use.go_on()
        screened = await passage.screen(questions.subjects)
        register = passage.standing.register
        asking = Asking(
            purpose=batch.purpose,
            party=register.parties[batch.party].enterprise_number,
            exchange=passage.exchange,
            allowed=passage.allowed,
        )
        if screened.known:
            computed = await computation.compute(questions.only(screened.mask), asking)
        else:
            computed = Computed(columns={})
        at = self._gate.clock.now()
        if computed.silent and policy.is_patient(task.waits_since, at, self._patience):
            return computed.silent
        counts = await self._release(task, batch, computation, passage, questions, screened, computed)
        for status, count in counts.items():
            _records.labels(status).inc(count)
        # What a chunk took is of no use to the next one of another size.
        pa.default_memory_pool().release_unused()
        return frozenset()

    async def _release(
        self,
        task: Task,
        batch: Batch,
        computation: Computation,
        asked: BatchPassage,
        questions: Questions,
        screened: Screened,
        computed: Computed,
    ) -> dict[str, int]:
        """The chunk is recorded and done, by a standing that could be confirmed; how many records ended how.

        A process that is short of time cannot confirm its standing now and then, and its use is cut. What it computed
        is not thrown away for that: it is released under a new use, on a new decision.

        Raises:
            Unavailable: `standing_moved`, `directory_stale`: what was computed may not be used; `standing_unconfirmed`.
        """
        name = part_name(batch.id, task.number, task.fence)
        counts: dict[str, int] = {}
        written = 0

        async def stage(kept: Mapping[str, AnswerColumn]) -> None:
            nonlocal written
            data, counted = await asyncio.to_thread(
                encode_part,
                questions,
                screened.mask,
                kept,
                computed.replaced_by,
                policy.result_type(computation.flow),
            )
            counts.clear()
            counts.update(counted)
            written = len(data)
            await self._sealed.put(name, data)

        async def commit(connection: Connection, promises: Sequence[Promise]) -> None:
            await store.finish_task(
                connection,
                task,
                self._gate.clock.now(),
                counts=counts,
                part=name,
                entry=promises[0].entry if screened.known else None,
                refused_entry=promises[-1].entry if screened.unknown else None,
                leaf_hash=promises[0].leaf_hash,
                promised_at=promises[0].at,
            )

        for again in range(_RELEASES):
            try:
                use = await self._holding.hold(batch, computation.flow)
                passage = use.passage
                assert isinstance(passage, BatchPassage)
                if any(asked.allowed(each) - passage.allowed(each) for each in asked.ask.sources):
                    raise Unavailable("standing_moved")
                if passage.is_stale(screened):
                    anew = await passage.screen(questions.subjects)
                    if anew.mask != screened.mask:
                        raise Unavailable("directory_stale")
                    screened = anew
                await use.go_on()
                await passage.release_chunk(
                    screened,
                    computed.columns,
                    note={"batch": str(batch.id), "chunk": task.number},
                    stage=stage,
                    commit=commit,
                )
                use.bytes += written
                return counts
            except Cut as cut:
                if cut.code not in BEGIN_AGAIN:
                    raise
            except Unavailable as error:
                if error.code != "standing_unconfirmed":
                    raise
            await asyncio.sleep(0.1 * 2**again)
        raise Unavailable("standing_unconfirmed")

    async def _finish(self, task: Task, batch: Batch, computation: Computation) -> None:
        """The result can be fetched, and the platform has given its word for it."""
        async with self._database.acquire() as connection:
            parts = await store.list_parts(connection, batch.id)
        at = self._gate.clock.now()
        files = [
            *await write_results(batch, computation.flow, parts, self._sealed, at),
            *(batch.files or ()),
        ]
        totals = total(batch, parts)
        at = self._gate.clock.now()
        receipt = sign_receipt(self._key, batch, parts, totals, files, at)
        async with self._database.transaction() as connection:
            await store.finish_task(connection, task, at)
            await store.set_files(connection, batch.id, files, totals, receipt)
            await store.move(connection, batch.id, BatchState.DONE, at, sources=GOING)
            await note_batch(connection, batch.id, at)
        await self._holding.let_go(batch.id, EndReason.COMPLETED)

    def _cancel(self, batch: UUID) -> None:
        """What runs here of the batch is cancelled, in this very step."""
        for task, running in list(self._running.values()):
            if task.batch == batch:
                running.cancel()

    async def _stop(self, batch: UUID, why: KoinonError) -> None:
        """The batch goes no further until somebody asks for a new decision and gets it."""
        facts = {name: value for name, value in why.facts.items() if name != "exchange"}
        try:
            async with self._database.transaction() as connection:
                await store.move(
                    connection,
                    BatchId(batch),
                    BatchState.STOPPED,
                    self._gate.clock.now(),
                    sources=GOING,
                    code=why.code,
                    facts=facts,
                )
        except BROKEN as error:
            # Its use is cut all the same; whoever takes its next chunk finds out anew.
            _log.warning("batch_stop_not_recorded", batch=str(batch), code=why.code, why=str(error))

    async def _give_back(
        self, task: Task, wait: timedelta, *, sources: frozenset[str] = frozenset(), failed: bool = False
    ) -> None:
        try:
            async with self._database.transaction() as connection:
                await store.give_back(
                    connection,
                    task,
                    wait,
                    sources=sorted(sources),
                    failed=failed,
                    at=self._gate.clock.now(),
                )
        except BROKEN as error:
            # Nobody was told; others will find us silent about it.
            _log.warning("batch_task_not_given_back", batch=str(task.batch), task=task.number, why=str(error))

    async def _pulse(self) -> None:
        """Signs of life, tasks that are another's by now cancelled, uses let go that nothing runs under."""
        while True:
            await asyncio.sleep(min(self._silence, self._idle).total_seconds() / 4)
            try:
                mine = [task for task, _ in self._running.values()]
                if mine:
                    async with self._database.acquire() as connection:
                        alive = await store.say_alive(connection, mine, self._silence)
                    for task in mine:
                        here = self._running.get((task.batch, task.number))
                        if here is not None and (task.batch, task.number) not in alive:
                            here[1].cancel()
                await self._holding.let_go_of_idle({batch for batch, _ in self._running}, self._idle)
            except BROKEN as error:
                _log.warning("batches_pulse_missed", why=str(error))
