"""Background jobs: work that a transaction asks for and a worker does later, at least once.

A job is a row of the transaction that asks for it. A worker says every few seconds that it lives; a job of
one that fell silent is done again by another. A failing job is tried again after growing pauses and ends as
`failed`, where it stays to be seen. Being killed counts as an attempt too: a job that takes its worker down
does not do so for ever.
"""

import asyncio
import os
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from koinon.base.clock import Clock, SystemClock
from koinon.base.database import BROKEN, Connection, Database
from koinon.base.errors import Conflict, KoinonError, NotFound
from koinon.base.signals import Signals, notify

_log = structlog.get_logger(__name__)

CHANNEL = "koinon_job"
_LONGEST_BACKOFF_SECONDS = 600.0
_KEPT = timedelta(days=14)  # how long done jobs, and so their keys, are remembered


async def enqueue(
    connection: Connection,
    kind: str,
    payload: Any = None,
    *,
    key: str | None = None,
    run_after: datetime | None = None,
) -> int | None:
    """The job is part of the caller's transaction; returns its id.

    With `key` the same (kind, key) is enqueued once, also when the job is done already (its row is kept for
    14 days); returns None then.
    """
    job: int | None = await connection.fetchval(
        """
        WITH job AS (
            INSERT INTO base.job (kind, key, payload, run_after) VALUES ($1, $2, $3, coalesce($4, now()))
            ON CONFLICT (kind, key) WHERE key IS NOT NULL DO NOTHING
            RETURNING id
        )
        SELECT id FROM job, pg_catalog.pg_notify($5, '')
        """,
        kind, key, payload, run_after, CHANNEL,
    )  # fmt: skip
    return job


@dataclass(frozen=True)
class Run:
    """One attempt at a job, given to its handler."""

    id: int
    kind: str
    payload: Any
    attempt: int
    database: Database
    worker: str

    async def finish(self, connection: Connection) -> None:
        """The job is done when the handler's transaction commits, and so are its effects: exactly once.

        Raises:
            Conflict: `job_taken` when this attempt was given up for dead meanwhile; nothing may be committed.
        """
        finished = await connection.fetchval(
            """
            UPDATE base.job
            SET state = 'done', finished_at = clock_timestamp(), alive_until = NULL, last_error = NULL
            WHERE id = $1 AND state = 'running' AND worker = $2 AND attempts = $3 RETURNING true
            """,
            self.id, self.worker, self.attempt,
        )  # fmt: skip
        if not finished:
            raise Conflict("job_taken", job=self.id, attempt=self.attempt)


@dataclass(frozen=True)
class Handler:
    """What does a kind of job; made by `job`."""

    kind: str
    call: Callable[[Run], Awaitable[None]]
    attempts: int = 8
    every: timedelta | None = None


def job(
    kind: str, *, attempts: int = 8, every: timedelta | None = None
) -> Callable[[Callable[[Run], Awaitable[None]]], Handler]:
    """Decorates `async def handle(run: Run)`: the handler of a kind, to be given to a `Worker`.

    `attempts`: how often it is tried in all. `every`: it is also enqueued by itself, once for each such span
    of UTC time however many workers run; missed spans are not made up for.
    """

    def decorate(call: Callable[[Run], Awaitable[None]]) -> Handler:
        return Handler(kind, call, attempts, every)

    return decorate


@dataclass
class Worker:
    """Does the jobs of its handlers, `concurrency` at a time.

    Attributes:
        silence_seconds: after this long without a sign of life a job is taken from its worker.
        grace_seconds: how long `stop` lets running jobs finish; those that did not are put back in the queue.
    """

    database: Database
    handlers: Sequence[Handler]
    signals: Signals | None = None
    concurrency: int = 4
    poll_seconds: float = 1.0
    silence_seconds: float = 30.0
    grace_seconds: float = 20.0
    first_backoff_seconds: float = 2.0
    clock: Clock = field(default_factory=SystemClock)
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}")

    def __post_init__(self) -> None:
        self._by_kind = {handler.kind: handler for handler in self.handlers}
        if len(self._by_kind) != len(self.handlers):
            raise Conflict("job_kind_twice", kinds=sorted(handler.kind for handler in self.handlers))
        self._running: dict[int, tuple[Run, asyncio.Task[None]]] = {}
        self._stopping = asyncio.Event()
        self._free = asyncio.Event()

    def stop(self) -> None:
        """No more jobs are begun; `run` returns when those that run have ended or their grace is over."""
        self._stopping.set()
        self._free.set()

    async def run(self) -> None:
        """Jobs have been done until `stop` was called; cancelling does the same without grace."""
        pulse = asyncio.create_task(self._pulse())
        try:
            while not self._stopping.is_set():
                if pulse.done():
                    pulse.result()  # a worker without a pulse would lose its jobs to others one by one
                try:
                    begun = await self._begin()
                except BROKEN as error:
                    _log.warning("worker_unavailable", worker=self.name, why=str(error))
                    begun = 0
                if not begun:
                    await self._pause()
            if self._running:
                await asyncio.wait([task for _, task in self._running.values()], timeout=self.grace_seconds)
        finally:
            for _, task in self._running.values():
                task.cancel()
            if self._running:
                await asyncio.wait([task for _, task in self._running.values()])
            pulse.cancel()
            await asyncio.wait([pulse])

    async def _pause(self) -> None:
        """Until there may be something to do: a signal, a free place, a stop, or the poll's time."""
        full = len(self._running) >= self.concurrency
        self._free.clear()
        waits: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._stopping.wait()),
            asyncio.create_task(self._free.wait()),
        ]
        if self.signals is not None and not full:
            waits.append(asyncio.create_task(self.signals.wait(CHANNEL, self.poll_seconds)))
        _, pending = await asyncio.wait(waits, timeout=self.poll_seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)

    async def _begin(self) -> int:
        """As many jobs as there is room for have been begun; returns how many."""
        room = self.concurrency - len(self._running)
        if room <= 0:
            return 0
        async with self.database.acquire() as connection:
            rows = await connection.fetch(
                """
                UPDATE base.job
                SET state = 'running', attempts = attempts + 1, worker = $3,
                    alive_until = clock_timestamp() + make_interval(secs => $4)
                WHERE id IN (
                    SELECT id FROM base.job
                    WHERE state = 'queued' AND run_after <= clock_timestamp() AND kind = ANY($1)
                    ORDER BY run_after, id LIMIT $2 FOR UPDATE SKIP LOCKED
                )
                RETURNING id, kind, payload, attempts
                """,
                list(self._by_kind), room, self.name, self.silence_seconds,
            )  # fmt: skip
        for row in rows:
            run = Run(row["id"], row["kind"], row["payload"], row["attempts"], self.database, self.name)
            self._running[run.id] = (run, asyncio.create_task(self._do(run)))
        return len(rows)

    async def _do(self, run: Run) -> None:
        handler = self._by_kind[run.kind]
        try:
            try:
                await handler.call(run)
            except asyncio.CancelledError:
                await asyncio.shield(self._close(run, "queued", None, attempts=run.attempt - 1, pause=0))
                raise
            except Exception as error:
                _log.exception("job_failed", job=run.id, kind=run.kind, attempt=run.attempt)
                told = str(error) if isinstance(error, KoinonError) else type(error).__name__
                if run.attempt >= handler.attempts:
                    await self._close(run, "failed", told)
                else:
                    await self._close(run, "queued", told, pause=self._backoff(run.attempt))
            else:
                await self._close(run, "done", None)
        except BROKEN as error:
            # Nobody was told how it ended. Others will find us silent about this job and do it again.
            _log.warning("job_end_not_recorded", job=run.id, kind=run.kind, why=str(error))
        finally:
            self._running.pop(run.id, None)
            self._free.set()

    def _backoff(self, attempt: int) -> float:
        longest: float = min(self.first_backoff_seconds * 2 ** (attempt - 1), _LONGEST_BACKOFF_SECONDS)
        return longest * random.uniform(0.75, 1.25)  # noqa: S311 - spreads retries, guards nothing

    async def _close(
        self, run: Run, state: str, error: str | None, *, attempts: int | None = None, pause: float = 0.0
    ) -> None:
        async with self.database.acquire() as connection:
            await connection.execute(
                """
                UPDATE base.job
                SET state = $4, alive_until = NULL, last_error = $5, attempts = $6,
                    run_after = CASE WHEN $4 = 'queued' THEN clock_timestamp() + make_interval(secs => $7)
                                     ELSE run_after END,
                    finished_at = CASE WHEN $4 <> 'queued' THEN clock_timestamp() END
                WHERE id = $1 AND state = 'running' AND worker = $2 AND attempts = $3
                """,
                run.id, self.name, run.attempt, state, error,
                run.attempt if attempts is None else attempts, pause,
            )  # fmt: skip

    async def _pulse(self) -> None:
        """Signs of life, jobs of silent workers put back, periodic jobs enqueued, old rows removed."""
        while True:
            try:
                async with self.database.acquire() as connection:
                    await self._say_alive(connection)
                    await self._take_from_silent(connection)
                    await self._tick(connection)
                    await self._forget(connection)
            except BROKEN as error:
                _log.warning("worker_pulse_missed", worker=self.name, why=str(error))
            await asyncio.sleep(min(self.silence_seconds / 4, self._shortest_tick()))

    def _shortest_tick(self) -> float:
        spans = [handler.every.total_seconds() for handler in self.handlers if handler.every]
        return max(min(spans, default=60.0) / 4, 0.05)

    async def _say_alive(self, connection: Connection) -> None:
        mine = {run.id: run.attempt for run, _ in self._running.values()}
        if not mine:
            return
        alive = await connection.fetch(
            """
            UPDATE base.job SET alive_until = clock_timestamp() + make_interval(secs => $4)
            FROM unnest($1::bigint[], $2::integer[]) AS mine (id, attempt)
            WHERE job.id = mine.id AND job.attempts = mine.attempt AND worker = $3 AND state = 'running'
            RETURNING job.id
            """,
            list(mine), list(mine.values()), self.name, self.silence_seconds,
        )  # fmt: skip
        for gone in mine.keys() - {row["id"] for row in alive}:
            if gone in self._running and not await connection.fetchval(
                "SELECT state = 'done' FROM base.job WHERE id = $1", gone
            ):
                self._running[gone][1].cancel()  # another worker has it by now

    async def _take_from_silent(self, connection: Connection) -> None:
        for handler in self.handlers:
            taken = await connection.fetch(
                """
                UPDATE base.job
                SET state = CASE WHEN attempts >= $2 THEN 'failed' ELSE 'queued' END,
                    finished_at = CASE WHEN attempts >= $2 THEN clock_timestamp() END,
                    alive_until = NULL, last_error = 'worker_silent', run_after = clock_timestamp()
                WHERE kind = $1 AND state = 'running' AND alive_until < clock_timestamp()
                RETURNING id, worker, state
                """,
                handler.kind, handler.attempts,
            )  # fmt: skip
            for row in taken:
                _log.warning(
                    "job_taken_from_silent_worker", job=row["id"], worker=row["worker"], state=row["state"]
                )

    async def _forget(self, connection: Connection) -> None:
        await connection.execute(
            "DELETE FROM base.job WHERE state = 'done' AND finished_at < clock_timestamp() - $1::interval",
            _KEPT,
        )

    async def _tick(self, connection: Connection) -> None:
        for handler in self.handlers:
            if handler.every is not None:
                span = handler.every.total_seconds()
                began = datetime.fromtimestamp(self.clock.now().timestamp() // span * span, UTC)
                await enqueue(connection, handler.kind, None, key=f"tick:{began.isoformat()}")


async def list_failed(
    connection: Connection, kind: str | None = None, *, limit: int = 100
) -> list[dict[str, Any]]:
    """The newest failed jobs, of that kind or of all: `id`, `kind`, `key`, `attempts`, `last_error`, `enqueued_at`,
    `finished_at`.
    """
    rows = await connection.fetch(
        """
        SELECT id, kind, key, attempts, last_error, enqueued_at, finished_at FROM base.job
        WHERE state = 'failed' AND ($1::text IS NULL OR kind = $1) ORDER BY finished_at DESC, id DESC LIMIT $2
        """,
        kind,
        limit,
    )
    return [dict(row) for row in rows]


async def retry_failed(connection: Connection, job_id: int) -> None:
    """The failed job is queued again with all its attempts before it.

    Raises:
        NotFound: `failed_job_unknown`.
    """
    queued = await connection.fetchval(
        """
        UPDATE base.job SET state = 'queued', attempts = 0, finished_at = NULL, run_after = now()
        WHERE id = $1 AND state = 'failed' RETURNING true
        """,
        job_id,
    )
    if not queued:
        raise NotFound("failed_job_unknown", job=job_id)
    await notify(connection, CHANNEL)
