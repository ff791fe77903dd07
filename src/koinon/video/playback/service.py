"""Playback of a web process: where recordings are found, and what may be read of them."""

import asyncio
from collections.abc import Hashable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import NotFound, Unavailable
from koinon.base.objects import Objects, open_objects
from koinon.base.settings import Settings
from koinon.video.cameras import CameraId
from koinon.video.cameras.model import StreamId
from koinon.video.masks.model import Mask
from koinon.video.masks.policy import mask_of
from koinon.video.masks.service import list_masks
from koinon.video.masks.stream import Coded, MaskPool
from koinon.video.playback import store
from koinon.video.playback.course import Course, Walk
from koinon.video.playback.masked import MaskedWalk, Masker, PoolMasker, Segments
from koinon.video.playback.past import Past
from koinon.video.playback.pieces import key_before, key_from, of_us, to_us, wall_us
from koinon.video.playback.recorded import Recorded
from koinon.video.playback.thumbnails import WIDTH, Kept, name_of, take_key
from koinon.video.playback.views import Views
from koinon.video.recorder.nal import Format
from koinon.video.recordings import list_places
from koinon.video.recordings.model import StoredUnit
from koinon.video.recordings.reading import Places, find_places
from koinon.video.rights import Rights, View

_LOOK_AGAIN_SECONDS: Final = 5.0
_DAY_US: Final = 86_400_000_000


class Playback:
    """What a web process needs to show recordings. `folder` is where they lie on this machine.

    Attributes:
        past: draws timelines.
        masker: masks what must leave masked. segments: masks what a playlist names.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        folder: Path,
        *,
        bucket: Objects | None = None,
        bucket_address: str = "",
        pool: MaskPool | None = None,
    ) -> None:
        self.past = Past(database, clock)
        self._pool = pool or MaskPool()
        self.masker: Masker = PoolMasker(self._pool)
        self.segments = Segments(self._pool, self.masker)
        self.database = database
        self._folder, self._bucket, self._bucket_address = folder, bucket, bucket_address
        self._kept = Kept(database, clock, folder)
        self._views: Views | None = None
        self._places: Places | None = None
        self._looking = asyncio.Lock()
        self._looked_at = 0.0

    async def close(self) -> None:
        """Nothing is masked any more, and no view waits to be renewed."""
        await self._pool.close()
        if self._views is not None:
            await self._views.close()

    def views(self, rights: Rights) -> Views:
        """The views that were opened by a request, see `views.py`."""
        if self._views is None:
            self._views = Views(rights)
        return self._views

    async def find_stream(self, camera: CameraId) -> StreamId:
        """The recorded stream of the camera.

        Raises:
            NotFound: `camera_has_no_stream`.
        """
        async with self.database.acquire() as connection:
            found = await store.find_streams(connection, [camera])
        if camera not in found:
            raise NotFound("camera_has_no_stream")
        return found[camera]

    async def walk(self, view: View, stream: StreamId, since_us: int, until_us: int) -> Walk:
        """A way through what the view gives: the recordings as they are, or, where it says so, masked."""
        course = Course(self.source(stream, until_us), since_us, until_us)
        if not view.masked:
            return course

        async def masks() -> list[Mask]:
            async with self.database.acquire() as connection:
                return await list_masks(connection, view.camera.id)

        return MaskedWalk(course, self.masker, masks, view.session.person)

    async def list_masks(self, camera: CameraId, view: View | None) -> list[Mask]:
        """The masks that the camera has or had and that count for the view, if they cover anything: all of them where
        it is not known, since the view runs in another process.
        """
        if view is not None and not view.masked:
            return []
        async with self.database.acquire() as connection:
            return [each for each in await list_masks(connection, camera) if each.polygons]

    async def thumbnail(
        self, camera: CameraId, view: View | None, whose: Hashable, since_us: int, until_us: int, us: int
    ) -> tuple[bytes, int]:
        """A small picture of the camera at that moment of the interval, masked where the view is, for the person
        `whose`; when it was taken.

        Raises:
            NotFound: `no_picture`.
            TooMany: `pictures_busy`, `share_taken`.
            Invalid: `picture_unreadable`.

        Of a view in another process it is not known whether it must be masked: it is.
        """
        stream = await self.find_stream(camera)
        us = min(max(us, since_us), until_us - 1)
        async with self.database.acquire() as connection:
            units = await store.list_next_units(connection, stream, of_us(us), of_us(until_us))
        masks = await self.list_masks(camera, view)
        here = [unit for unit in units if to_us(unit.start) <= us < to_us(unit.end)]
        if not here:
            raise NotFound("no_picture")
        unit = min(here, key=lambda each: (each.copy, -to_us(each.start)))
        over = mask_of(masks, unit.start, unit.end)
        key = key_from(unit, since_us) if to_us(unit.start) < since_us else key_before(unit, us)
        if key is None:
            raise NotFound("no_picture")
        key = max(key, key_before(unit, us))
        taken = wall_us(unit, unit.key_frames[key].ticks)
        look = sha256("".join(str(each.id) for each in over).encode()).hexdigest()[:16] if over else "plain"
        name = name_of(unit, taken, look)
        kept = await self._kept.find(name)
        if kept is not None:
            return kept, taken
        course = Course(self.source(stream, until_us), since_us, until_us)
        format_, frame = await take_key(course, taken)
        # All of them: where the other copy goes on, the picture may be of a moment before the unit and its masks.
        made = await self._pool.pictures.draw(format_, frame, masks, whose, width=WIDTH)
        if not to_us(unit.start) <= frame.wall_us < to_us(unit.end):
            return made, frame.wall_us  # kept, it would be taken for the unit's own
        async with self.database.acquire() as connection:
            places = {each.id: each for each in await list_places(connection)}
        if unit.place in places and places[unit.place].kind == "folder":
            await self._kept.keep(unit, places[unit.place], name, made)
        return made, frame.wall_us

    async def find_latest(self, camera: CameraId, at: datetime) -> int | None:
        """When the camera's last recorded key frame was taken (Unix microseconds), if it is of the day before `at`."""
        async with self.database.acquire() as connection:
            stream = (await store.find_streams(connection, [camera])).get(camera)
            unit = stream and await store.find_unit_before(connection, stream, at)
        if not unit or not unit.key_frames:
            return None
        taken = wall_us(unit, unit.key_frames[-1].ticks)
        return taken if to_us(at) - taken < _DAY_US else None

    async def take_key(self, camera: CameraId, since_us: int, until_us: int) -> tuple[Format, Coded]:
        """The first key frame of the interval, as it was recorded, and how it is decoded.

        Raises:
            NotFound: `no_picture`, `camera_has_no_stream`.
        """
        stream = await self.find_stream(camera)
        return await take_key(Course(self.source(stream, until_us), since_us, until_us), since_us)

    async def draw(self, view: View, format_: Format, frame: Coded, *, width: int) -> bytes:
        """A JPEG of the key frame, masked where the view must be.

        Raises:
            As `Pictures.draw`.
        """
        masks = await self.list_masks(view.camera.id, view)
        return await self._pool.pictures.draw(format_, frame, masks, view.session.person, width=width)

    def source(self, stream: StreamId, until_us: int) -> Recorded:
        """The stream's recordings up to a moment, for a `Course`."""
        return Recorded(self.database, self.past, self.read, stream, until_us)

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
            async with self.database.acquire() as connection:
                places = await list_places(connection)
            bucket = next(
                (e.id for e in places if e.kind == "s3" and e.address == self._bucket_address), None
            )
            self._places = await find_places(places, self._folder, self._bucket, bucket)
            self._looked_at = now
            return self._places


def open_playback(database: Database, clock: Clock, settings: Settings, pool: MaskPool) -> Playback:
    """Playback of what the recorders of this machine wrote, and of what moved to the bucket."""
    folder = Path(settings.recordings_folder) if settings.recordings_folder else settings.home / "recordings"
    url = settings.recordings_url
    bucket = open_objects(url, settings.home) if url else None
    return Playback(database, clock, folder, bucket=bucket, bucket_address=url, pool=pool)
