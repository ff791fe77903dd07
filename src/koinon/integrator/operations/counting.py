"""Counting without waiting: in memory while a question runs, into the database together, every few seconds.

What a process has counted and not yet written is lost when it is killed: at most `FLUSH_SECONDS` of numbers, never an
entry of the ledger, which is written before an answer leaves and is what counts in law.
"""

import asyncio
import contextlib
from collections import Counter
from datetime import datetime, timedelta

import structlog

from koinon.base.clock import Clock
from koinon.base.database import BROKEN, Database, ProcessKind
from koinon.base.errors import Unavailable
from koinon.base.ids import new_id
from koinon.base.metrics import counter, histogram
from koinon.integrator.operations import store
from koinon.integrator.operations.model import Count, CountKind, Observation
from koinon.integrator.operations.policy import class_of, merge
from koinon.trust.parties import PartyId

FLUSH_SECONDS = 5.0
# After so long without a write nobody knows whether a question could have been answered meanwhile.
_LONGEST_GAP = timedelta(seconds=30)
_LAST_SECONDS = 5.0
# While the database is away, counts are kept; beyond so many different ones the newest are dropped, and counted.
_MOST_KEYS = 50_000

_log = structlog.get_logger()
_questions = counter("koinon_flow_questions_total", "Questions by flow and outcome.", ("flow", "outcome"))
_filtered = counter("koinon_flow_filtered_total", "Fields asked that did not leave.", ("flow", "field"))
_sources = counter("koinon_flow_sources_total", "Answers of sources by status.", ("flow", "source", "status"))
_seconds = histogram("koinon_flow_seconds", "From a question to its answer or refusal.", ("flow",))
_dropped = counter("koinon_flow_counts_dropped_total", "Counts lost while the database was away.")

_Key = tuple[datetime, str, PartyId, CountKind, str]


class Meter:
    """Takes observations, and writes their sums.

    `observe` does no input or output and never fails a question; `start` writes every `seconds` until `stop`.
    """

    def __init__(
        self, database: Database, clock: Clock, *, kind: ProcessKind = "web", seconds: float = FLUSH_SECONDS
    ) -> None:
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._kind = kind
        self._life = new_id()
        self._since = self._written = clock.now()
        self._counts: Counter[_Key] = Counter()
        self._asked: Counter[tuple[datetime, str]] = Counter()
        self._failed: Counter[tuple[datetime, str]] = Counter()
        self._task: asyncio.Task[None] | None = None

    def observe(self, seen: Observation) -> None:
        """The question is counted."""
        _questions.labels(seen.flow, seen.outcome).inc()
        _seconds.labels(seen.flow).observe(seen.milliseconds / 1000)
        minute = (seen.at.replace(second=0, microsecond=0), seen.flow)
        self._asked[minute] += 1
        if seen.failed:
            self._failed[minute] += 1
        if len(self._counts) >= _MOST_KEYS:
            _dropped.inc()
            return
        hour = minute[0].replace(minute=0)
        counts = self._counts
        counts[hour, seen.flow, seen.party, "failure" if seen.failed else "outcome", seen.outcome] += 1
        counts[hour, seen.flow, seen.party, "latency", str(class_of(seen.milliseconds))] += 1
        for field in seen.filtered:
            _filtered.labels(seen.flow, field).inc()
            counts[hour, seen.flow, seen.party, "filtered", field] += 1
        for source, status in seen.sources:
            _sources.labels(seen.flow, source, status).inc()
            counts[hour, seen.flow, seen.party, "source", f"{source}:{status}"] += 1

    def observe_stream(self, flow: str, party: PartyId, name: str, number: int = 1) -> None:
        """So many persons (`persons`) were told about in a stream, or one was `begun`, or refused with that code."""
        if len(self._counts) >= _MOST_KEYS:
            _dropped.inc()
            return
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        self._counts[hour, flow, party, "stream", name] += number

    async def flush(self) -> None:
        """What was observed stands in the database, and that this process lives and reaches it.

        When that fails it is kept for the next time: nothing is written twice, since all of it is one transaction.
        After a while without a write a new life begins: while the database was away, nothing could be answered.
        """
        counts, self._counts = self._counts, Counter()
        asked, self._asked = self._asked, Counter()
        failed, self._failed = self._failed, Counter()
        try:
            async with self._database.transaction() as connection:
                # Reached, or so long not reached that a new life begins.
                at = self._clock.now()
                if at - self._written > _LONGEST_GAP:
                    self._life, self._since = new_id(), at
                await store.extend_alive(
                    connection, self._life, self._since, max(self._since, at), self._kind
                )
                if counts:
                    await store.add_counts(
                        connection, merge([Count(*key, number) for key, number in counts.items()])
                    )
                if asked:
                    await store.add_minutes(
                        connection,
                        sorted((*key, number, failed[key]) for key, number in asked.items()),
                    )
        except BaseException:
            self._counts.update(counts)
            self._asked.update(asked)
            self._failed.update(failed)
            raise
        self._written = at

    async def start(self) -> None:
        """Counts are written from now on."""
        self._task = asyncio.create_task(self._run(), name="meter")

    async def stop(self) -> None:
        """Nothing more is written but what is still in memory."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        with contextlib.suppress(Unavailable, *BROKEN):
            async with asyncio.timeout(_LAST_SECONDS):
                await self.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.flush()
            except (Unavailable, *BROKEN) as error:
                _log.warning("counts_not_written", why=type(error).__name__)
            except Exception:
                _log.exception("counts_not_written")
