"""The folder to which a recorder process writes: whether it is there, has room, and agrees with the index."""

import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from koinon.base.database import Database
from koinon.base.errors import KoinonError
from koinon.video.cameras.store import list_recorded
from koinon.video.recorder import Disk, Reason, prepare_folder
from koinon.video.recorder.disk import read_marker
from koinon.video.recordings import recorders, store
from koinon.video.recordings.indexing import Indexer
from koinon.video.recordings.model import Place
from koinon.video.recordings.orphans import Spare, reconcile

_log = structlog.get_logger(__name__)


class Folder:
    """The folder of one process.

    Attributes:
        path: where it is.
        place: its row in the index, once it was there.
        disk: what units are written to, once files and index were brought together.
        refusal: why nothing can be written there now, if nothing can.
    """

    def __init__(
        self, database: Database, path: Path, indexer: Indexer, *, spare: Spare | None, least_free: int
    ) -> None:
        self.path = path.absolute()
        self.place: Place | None = None
        self.disk: Disk | None = None
        self.refusal: Reason | None = "folder_gone"
        self._database, self._indexer = database, indexer
        self._spare, self._least_free = spare, least_free

    @property
    def usable(self) -> bool:
        """Whether units can be written there now."""
        return self.disk is not None and self.refusal is None

    async def look(self) -> None:
        """Whether it is there and has room is known; the first time it is, files and index are brought together."""
        if self.disk is None:
            await self._open()
        if self.disk is not None:
            self.refusal = await asyncio.to_thread(self.disk.refusal)

    async def reconcile(self) -> None:
        """Files and index agree, or what does not is told."""
        assert self.place is not None
        async with self._database.acquire() as connection:
            streams = {stream.id for stream, _ in await list_recorded(connection)}
            known = await recorders.list_streams(connection)
            since = await store.place_seen(connection, self.place.id)
        found = await reconcile(
            self._database,
            self.place,
            self.path,
            streams | known,
            min(since, datetime.now(UTC)),
            spare=self._spare,
        )
        _log.info("recordings_reconciled", **msgspec.structs.asdict(found))

    async def close(self) -> None:
        """Nothing is written there any more."""
        if self.disk is not None:
            await asyncio.to_thread(self.disk.close)

    async def _open(self) -> None:
        try:
            marker = await asyncio.to_thread(read_marker, self.path)
        except KoinonError:
            async with self._database.acquire() as connection:
                known = await store.knows_folder(connection, socket.gethostname(), str(self.path))
            if known:
                # It was there once: its disk is not mounted, and nothing must be made in its stead.
                _log.error("recordings_folder_missing", folder=str(self.path))
                return
            try:
                await asyncio.to_thread(prepare_folder, self.path)
                marker = await asyncio.to_thread(read_marker, self.path)
            except (KoinonError, OSError) as error:
                _log.error("recordings_folder_unusable", folder=str(self.path), why=str(error))
                return
        async with self._database.acquire() as connection:
            place = await store.ensure_place(
                connection, marker, "folder", str(self.path), socket.gethostname()
            )
        disk = Disk(self.path, least_free=self._least_free)
        self.place, self._indexer.place, self._indexer.folder = place, place.id, disk.folder
        await self.reconcile()
        self.disk = disk
