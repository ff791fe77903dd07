"""Playback of a web process: where recordings are found, and what may be read of them."""

import asyncio
from pathlib import Path
from typing import Final

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import NotFound, Unavailable
from koinon.base.objects import Objects
from koinon.video.cameras import CameraId
from koinon.video.cameras.model import StreamId
from koinon.video.playback import store
from koinon.video.playback.past import Past
from koinon.video.playback.recorded import Recorded
from koinon.video.recordings import list_places
from koinon.video.recordings.model import PlaceId, StoredUnit
from koinon.video.recordings.reading import Places, find_places

_LOOK_AGAIN_SECONDS: Final = 5.0


class Playback:
    """What a web process needs to show recordings. `folder` is where they lie on this machine.

    Attributes:
        past: draws timelines.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        folder: Path,
        *,
        bucket: Objects | None = None,
        bucket_place: PlaceId | None = None,
    ) -> None:
        self.past = Past(database, clock)
        self._database = database
        self._folder, self._bucket, self._bucket_place = folder, bucket, bucket_place
        self._places: Places | None = None
        self._looking = asyncio.Lock()
        self._looked_at = 0.0

    async def find_stream(self, camera: CameraId) -> StreamId:
        """The recorded stream of the camera.

        Raises:
            NotFound: `camera_has_no_stream`.
        """
        async with self._database.acquire() as connection:
            found = await store.find_streams(connection, [camera])
        if camera not in found:
            raise NotFound("camera_has_no_stream")
        return found[camera]

    def source(self, stream: StreamId, until_us: int) -> Recorded:
        """The stream's recordings up to a moment, for a `Course`."""
        return Recorded(self._database, self.past, self.read, stream, until_us)

    async def read(self, unit: StoredUnit, offset: int, length: int) -> bytes:
        """These bytes of the unit's file.

        Raises:
            As `Places.read_unit_bytes`.
        """
        places = self._places or await self._look()
        try:
            return await places.read_unit_bytes(unit, offset, length)
        except Unavailable:
            # A place that was made or mounted since we looked.
            places = await self._look()
            return await places.read_unit_bytes(unit, offset, length)

    async def _look(self) -> Places:
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if self._places is not None and now - self._looked_at < _LOOK_AGAIN_SECONDS:
                return self._places
            async with self._database.acquire() as connection:
                places = await list_places(connection)
            self._places = await find_places(places, self._folder, self._bucket, self._bucket_place)
            self._looked_at = now
            return self._places
