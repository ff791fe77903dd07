"""Units and gaps on their way into the index: in batches while the database answers, waiting while it is away.

A unit is durable before it comes here, so nothing is lost by waiting: what this process forgets is found again from
the files (`orphans`). What is told of it here is bounded.
"""

import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import asyncpg
import structlog

from koinon.base.database import BROKEN, Connection, Database
from koinon.base.errors import KoinonError
from koinon.base.metrics import counter, gauge
from koinon.video.recorder import Gap, Unit
from koinon.video.recordings import store
from koinon.video.recordings.model import EntryId, NewUnit, PlaceId, Track

MOST_WAITING: Final = 20_000
"""Units and gaps together; forty minutes of 500 cameras. What is more waits on disk alone."""
_BATCH: Final = 500
_PAUSE_SECONDS: Final = 0.2  # units close at every moment; a statement for each would be dear
_LONGEST_PAUSE_SECONDS: Final = 5.0

UNITS: Final = counter(
    "koinon_recorder_units_total", "Units that were closed, by what became of them.", ["outcome"]
)
GAPS: Final = counter("koinon_recorder_gaps_total", "Gaps in recordings.", ["reason"])
WAITING: Final = gauge("koinon_recorder_index_waiting", "Units and gaps that wait for the database.")

_log = structlog.get_logger(__name__)


class Indexer:
    """Takes units and gaps of the tracks that this process records, and puts them into the index.

    Attributes:
        fences: under which each track is held now, or was held last; kept by who holds the leases.
        overflowed: something was forgotten here and must be found from the files; set back by who looks.
    """

    def __init__(self, database: Database, *, most_waiting: int = MOST_WAITING) -> None:
        self.fences: dict[Track, int] = {}
        self.overflowed = False
        self._database, self._most = database, most_waiting
        self._waiting: deque[tuple[Track, Unit | Gap, PlaceId, str]] = deque()
        self._taken = 0
        self._entries: dict[bytes, EntryId] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.place: PlaceId | None = None
        self.folder = Path()

    @property
    def waiting(self) -> int:
        """Units and gaps that are not in the index yet."""
        return len(self._waiting) + self._taken

    def listener(self, track: Track) -> tuple[Callable[[Unit], None], Callable[[Gap], None]]:
        """What to give to the track's `Camera` as `on_unit` and `on_gap`."""
        place, folder = self.place, self.folder
        assert place is not None

        def unit(told: Unit) -> None:
            self._put(track, told, place, told.path.relative_to(folder).as_posix())

        def gap(told: Gap) -> None:
            GAPS.labels(told.reason).inc()
            self._put(track, told, place, "")

        return unit, gap

    def _put(self, track: Track, told: Unit | Gap, place: PlaceId, file: str) -> None:
        if len(self._waiting) >= self._most:
            if not self.overflowed:
                _log.error("index_waits_too_long", waiting=len(self._waiting))
            self.overflowed = True
            return
        self._waiting.append((track, told, place, file))
        WAITING.set(self.waiting)
        self._idle.clear()
        self._wake.set()

    async def settle(self, seconds: float) -> bool:
        """All that was told is in the index; false if it is not after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
                return True
        return False

    async def run(self) -> None:
        """What is told goes into the index, until this is cancelled."""
        pause = _PAUSE_SECONDS
        while True:
            await self._wake.wait()
            await asyncio.sleep(pause)
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._taken = len(batch)
            try:
                await self._insert(batch)
                pause = _PAUSE_SECONDS
            except BROKEN as error:
                self._waiting.extendleft(reversed(batch))
                _log.warning(
                    "index_unavailable", waiting=len(self._waiting), why=str(error) or type(error).__name__
                )
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            except asyncio.CancelledError:
                self._waiting.extendleft(reversed(batch))
                raise
            finally:
                self._taken = 0
                WAITING.set(self.waiting)
                if not self._waiting:
                    self._wake.clear()
                    self._idle.set()

    async def _insert(self, batch: list[tuple[Track, Unit | Gap, PlaceId, str]]) -> None:
        async with self._database.acquire() as connection:
            units = [
                NewUnit(
                    track=track, unit=told, place=place, file=file, entry=await self._entry(connection, told)
                )
                for track, told, place, file in batch
                if isinstance(told, Unit)
            ]
            gaps = [(track, told) for track, told, _, _ in batch if isinstance(told, Gap)]
            try:
                outcomes: list[str] = [*await store.insert_units(connection, units, self.fences)]
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
                outcomes = await self._one_by_one(connection, units)
            for unit, outcome in zip(units, outcomes, strict=True):
                UNITS.labels(await adopt(connection, unit) if outcome == "late" else outcome).inc()
            await store.insert_gaps(connection, gaps, self.fences)

    async def _one_by_one(self, connection: Connection, units: list[NewUnit]) -> list[str]:
        """One that the database does not take must not hold up the others; its file stays, and is told."""
        outcomes: list[str] = []
        for unit in units:
            try:
                outcomes += await store.insert_units(connection, [unit], self.fences)
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                _log.error("unit_not_indexed", file=unit.file, why=str(error))
                await store.insert_orphan(connection, unit.place, unit.file, "unreadable", unit.track)
                outcomes.append("unreadable")
        return outcomes

    async def _entry(self, connection: Connection, unit: Unit) -> EntryId:
        digest = hashlib.sha256(unit.init).digest()
        if (found := self._entries.get(digest)) is None:
            if len(self._entries) > 10_000:
                self._entries.clear()
            found = self._entries[digest] = await store.ensure_entry(connection, unit)
        return found


async def adopt(connection: Connection, unit: NewUnit) -> str:
    """A unit whose lease is no longer held is in the index (`adopted`), or it is told why not: `known`, `overlap`."""
    try:
        async with connection.transaction():
            if await store.adopt_unit(connection, unit):
                return "adopted"
        if (
            await store.get_unit(connection, unit.track.stream, unit.unit.start, unit.track.copy)
        ).file == unit.file:
            return "known"
    except KoinonError as error:
        if error.code != "unit_unknown":
            raise
    await store.insert_orphan(connection, unit.place, unit.file, "overlap", unit.track, unit.unit.start)
    _log.warning("unit_overlaps", file=unit.file, stream=unit.track.stream, copy=unit.track.copy)
    return "overlap"
