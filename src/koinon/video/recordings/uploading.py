"""Closed units move to a bucket: copied, read back and compared, told to the index, and only then gone from the disk.

What is lost with the machine's disk is what is not in the bucket yet: the unit that is open (about a minute) and those
that wait (`koinon_recorder_upload_lag_seconds`). While the bucket does not answer units stay on the disk.
"""

import asyncio
import contextlib
import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import msgspec
import structlog

from koinon.base.database import BROKEN, Database
from koinon.base.errors import Conflict, Invalid, KoinonError, NotFound
from koinon.base.files import fsync_folder
from koinon.base.metrics import counter, gauge
from koinon.base.objects import Objects
from koinon.video.recorder.disk import MARKER
from koinon.video.recordings import store
from koinon.video.recordings.model import Place, StoredUnit
from koinon.video.recordings.reading import open_inside

_AT_ONCE: Final = 4
_BATCH: Final = 64
_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 60.0

UPLOADED: Final = counter(
    "koinon_recorder_uploads_total", "Units to move to the bucket, by outcome.", ["outcome"]
)
LAG: Final = gauge("koinon_recorder_upload_lag_seconds", "Age of the oldest unit that is on this disk alone.")

_log = structlog.get_logger(__name__)


async def open_bucket(database: Database, objects: Objects, address: str) -> Place:
    """The bucket is known by the marker object in it, which is made at the first use.

    Raises:
        Unavailable: `objects_unavailable`, `database_unavailable`.
        Invalid: `bucket_marker`: what lies there under the marker's name is none. `bucket_keeps_versions`: what is
            deleted there is not gone (versioning, object lock), so nothing is put into it.
    """
    with contextlib.suppress(Conflict):
        await objects.put(MARKER, msgspec.json.encode({"id": str(uuid4())}), if_absent=True)
    await demand_forgetting(objects)
    try:
        marker = UUID(msgspec.json.decode(await objects.get(MARKER), type=dict[str, str])["id"])
    except (msgspec.DecodeError, KeyError, ValueError):
        raise Invalid("bucket_marker") from None
    async with database.acquire() as connection:
        return await store.ensure_place(connection, marker, "s3", address)


async def demand_forgetting(objects: Objects) -> None:
    """What is deleted from the bucket, which has its marker, is gone.

    Raises:
        Invalid: `bucket_keeps_versions`.
        NotFound: `object_not_found`: its marker is not there.
        Unavailable: `objects_unavailable`.
    """
    if await objects.keeps_versions(MARKER):
        raise Invalid("bucket_keeps_versions")


class Uploader:
    """Moves the units of one folder to one bucket."""

    def __init__(
        self, database: Database, folder: Path, place: Place, objects: Objects, bucket: Place
    ) -> None:
        self._database, self._folder, self._place = database, folder, place
        self._objects, self._bucket = objects, bucket
        self._after: StoredUnit | None = None  # those up to it were tried in this round

    async def run(self) -> None:
        """Units move as they are closed, oldest first, until this is cancelled."""
        pause = _PAUSE_SECONDS
        while True:
            try:
                moved = await self.move()
                pause = _PAUSE_SECONDS
            except (KoinonError, *BROKEN) as error:
                moved = 0
                _log.warning("upload_waits", why=str(error) or type(error).__name__)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            if moved < _BATCH:
                await asyncio.sleep(pause)

    async def move(self) -> int:
        """The next units of the folder, oldest first, have moved; how many.

        One that does not move is tried again in another round: it is in nobody's way.

        Raises:
            Unavailable: the bucket or the database does not answer; what did not move is as it was.
            Invalid: `bucket_keeps_versions`, since a moment ago.
        """
        async with self._database.acquire() as connection:
            units = await store.list_in_place(
                connection,
                self._place.id,
                limit=_BATCH,
                before=datetime.now(UTC) + timedelta(hours=1),
                after=self._after,
            )
        if self._after is None:
            LAG.set((datetime.now(UTC) - units[0].end).total_seconds() if units else 0)
        if units:
            await demand_forgetting(self._objects)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(unit: StoredUnit) -> bool:
            async with gate:
                return await self._move(unit)

        outcomes = await asyncio.gather(*(one(unit) for unit in units), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        self._after = units[-1] if len(units) == _BATCH else None
        return sum(1 for outcome in outcomes if outcome is True)

    async def _move(self, unit: StoredUnit) -> bool:
        try:
            data = await asyncio.to_thread(_read_whole, self._folder, unit.file)
        except (OSError, ValueError):
            UPLOADED.labels("file_missing").inc()
            return False  # told by who brings files and rows together
        if hashlib.sha256(data).digest() != unit.sha256:
            _log.error("unit_damaged", file=unit.file)
            UPLOADED.labels("damaged").inc()
            return False  # stays, for whoever looks into it; a damaged copy is no copy
        with contextlib.suppress(Conflict):  # an attempt before this one, of which nobody was told
            await self._objects.put(unit.file, data, if_absent=True)
        try:
            there = await self._objects.get(unit.file)
        except NotFound:
            UPLOADED.labels("not_kept").inc()
            return False
        if await asyncio.to_thread(lambda: hashlib.sha256(there).digest()) != unit.sha256:
            _log.error("upload_differs", file=unit.file)
            UPLOADED.labels("differs").inc()
            # Compared the next time. Never replaced in parts: those of an upload that was cut off no list shows.
            await self._objects.delete(unit.file)
            with contextlib.suppress(Conflict):
                await self._objects.put(unit.file, data, if_absent=True)
            return False
        async with self._database.acquire() as connection:
            moved = await store.move_unit(connection, unit, self._bucket.id, unit.file)
        if moved:
            await asyncio.to_thread(_unlink, self._folder, unit.file)
            UPLOADED.labels("moved").inc()
        else:
            # Deleted by its term meanwhile: what was copied goes too.
            await self._objects.delete(unit.file)
            UPLOADED.labels("gone").inc()
        return moved


def _read_whole(folder: Path, file: str) -> bytes:
    with os.fdopen(open_inside(folder, file), "rb") as read:
        return read.read()


def _unlink(folder: Path, file: str) -> None:
    path = folder / file
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        fsync_folder(path.parent)
