"""Files and rows brought together again after a crash: unfinished units completed, files without a row given one,
rows without a file told.

Only what may be out of step is looked at: the days since a recorder was last known to write there. `koinon video
fsck` looks at everything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid
from koinon.base.metrics import counter
from koinon.video.cameras.model import StreamId
from koinon.video.recorder import Unit, adopt, read_unit
from koinon.video.recorder.reading import list_days
from koinon.video.recordings import store
from koinon.video.recordings.indexing import adopt as adopt_row
from koinon.video.recordings.model import NewUnit, OrphanWhy, Place, PlaceId, Track

ORPHANS: Final = counter("koinon_recorder_orphans_total", "Files and rows that did not agree.", ["why"])

_log = structlog.get_logger(__name__)


Spare = Callable[[Connection, PlaceId], Awaitable[Collection[str]]]


class Reconciled(msgspec.Struct):
    """What was found: unfinished files completed, rows made for files, and what is told in `recordings.orphan`."""

    completed: int = 0
    adopted: int = 0
    unreadable: int = 0
    unknown: int = 0
    overlapping: int = 0
    missing: int = 0


async def reconcile(
    database: Database,
    place: Place,
    folder: Path,
    streams: Collection[int],
    since: datetime,
    *,
    spare: Spare | None = None,
) -> Reconciled:
    """Files in `folder` and rows of `place` agree, for units that began since the day before `since`, or it is told.

    Files that a recorder is writing are left alone. One that it closed just now may be on its way into the index:
    it is given the very row that will be found there then. `streams` are those that the register knows; a file of
    another is told and kept. `spare` names those that have no row because they are about to be unlinked.
    """
    found = Reconciled()
    day = (since - timedelta(days=1)).date()
    completed = await asyncio.to_thread(lambda: list(adopt(folder, day)))
    found.completed = len(completed)
    for unit in completed:
        await _give_row(database, place, folder, unit, streams, found)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    async with database.acquire() as connection:
        rows = await store.list_files(connection, place.id, start)
        spared = set(await spare(connection, place.id)) if spare is not None else set()
    files = await asyncio.to_thread(lambda: set(_list_files(folder, day)))
    for file in sorted(files - rows.keys() - spared):
        try:
            unit = await asyncio.to_thread(read_unit, folder / file)
        except (Invalid, OSError) as error:
            await _tell(database, place, file, "unreadable", None, None)
            found.unreadable += 1
            _log.warning("file_unreadable", file=file, why=str(error))
            continue
        await _give_row(database, place, folder, unit, streams, found)
    for file, (track, began) in rows.items():
        if file in files or await asyncio.to_thread((folder / file).exists):
            continue
        async with database.acquire() as connection:
            # Deleted by its term meanwhile, or moved to a bucket: then the row is not there any more.
            current = await store.list_files(connection, place.id, began)
            if file in current and await store.insert_orphan(
                connection, place.id, file, "file_missing", track, began
            ):
                ORPHANS.labels("file_missing").inc()
                _log.error("unit_lost", file=file, stream=track.stream, copy=track.copy)
                found.missing += 1
    return found


async def _give_row(
    database: Database, place: Place, folder: Path, unit: Unit, streams: Collection[int], found: Reconciled
) -> None:
    file = unit.path.relative_to(folder).as_posix()
    if unit.stream not in streams:
        await _tell(database, place, file, "unknown_camera", None, unit.start)
        found.unknown += 1
        return
    async with database.acquire() as connection:
        new = NewUnit(
            track=Track(StreamId(unit.stream), unit.copy),
            unit=unit,
            place=place.id,
            file=file,
            entry=await store.ensure_entry(connection, unit),
        )
        outcome = await adopt_row(connection, new)
        if outcome == "known":
            row = await store.get_unit(connection, new.track.stream, unit.start, unit.copy)
            if row.place != place.id and row.sha256.hex() == unit.sha256:
                # It had moved to a bucket when the process died, and only the last step was missing.
                await asyncio.to_thread(unit.path.unlink, missing_ok=True)
    if outcome == "adopted":
        found.adopted += 1
    elif outcome == "overlap":
        found.overlapping += 1
        ORPHANS.labels("overlap").inc()


async def _tell(
    database: Database,
    place: Place,
    file: str,
    why: OrphanWhy,
    track: Track | None,
    start: datetime | None,
) -> None:
    async with database.acquire() as connection:
        if await store.insert_orphan(connection, place.id, file, why, track, start):
            ORPHANS.labels(why).inc()


def _list_files(folder: Path, day: date) -> Iterator[str]:
    """Complete units, relative to `folder`."""
    for each in list_days(folder, day):
        for path in each.iterdir():
            if path.suffix == ".mp4":
                yield path.relative_to(folder).as_posix()
