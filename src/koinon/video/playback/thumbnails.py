"""Pictures of recordings: the key frame that one is made of (`video.masks` decodes and masks it, in a process of its
own), and small ones kept beside their unit and gone with it.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from koinon.base.clock import Clock
from koinon.base.errors import KoinonError, NotFound
from koinon.base.files import replace_file
from koinon.base.ids import new_id
from koinon.video.masks.stream import Coded, format_of, frames_of
from koinon.video.playback import store
from koinon.video.playback.course import Ended, Media, Missing, Opening, Walk
from koinon.video.playback.pieces import of_us
from koinon.video.recorder.disk import read_marker
from koinon.video.recorder.nal import Format
from koinon.video.recordings.model import Place, StoredUnit
from koinon.video.terms import Derived, DerivedId, insert_derived

WIDTH: Final = 320
_FOLDER: Final = "thumbnails"
_log = structlog.get_logger(__name__)


async def take_key(walk: Walk, us: int) -> tuple[Format, Coded]:
    """The key frame at or before the moment (or the first of the view) as it was recorded, and how it is decoded; its
    `wall_us` is when it was taken.

    Raises:
        NotFound: `no_picture`: none was recorded then.
        Invalid: `invalid_unit`, `invalid_parameter_sets`.
    """
    walk.seek(us)
    opening: Opening | None = None
    while True:
        piece = await walk.next(keys_only=True)
        if isinstance(piece, Opening):
            opening = piece
        elif isinstance(piece, Media) and opening is not None:
            frame = next(frames_of(piece.fragment.data, of_us(piece.unit_us)))
            return format_of(opening.entry.init), msgspec.structs.replace(frame, wall_us=piece.us)
        elif isinstance(piece, Missing | Ended):
            raise NotFound("no_picture")


class Kept:
    """Thumbnails that were made before: files beside the recordings, known as made from them (`terms`)."""

    def __init__(self, database: Any, clock: Clock, folder: Path) -> None:
        self._database, self._clock, self._folder = database, clock, folder

    async def find(self, name: str) -> bytes | None:
        """The one of that name, if there is one."""

        def read() -> bytes | None:
            try:
                return (self._folder / _FOLDER / name).read_bytes()
            except OSError:
                return None

        return await asyncio.to_thread(read)

    async def keep(self, unit: StoredUnit, place: Place, name: str, data: bytes) -> None:
        """It is kept as long as the unit that it shows, and goes with it. That it cannot be kept hurts nobody."""
        file = f"{_FOLDER}/{name}"
        derived = Derived(
            id=DerivedId(new_id()), stream=unit.stream, start=unit.start, end=unit.end, kind="thumbnail",
            place=place.id, file=file, bytes=len(data),
        )  # fmt: skip
        try:
            if await asyncio.to_thread(read_marker, self._folder) != place.marker:
                return
            # The row first: a file that no row knows would outlive its term.
            async with self._database.transaction() as connection:
                if not await insert_derived(connection, derived, self._clock.now()):
                    return
            await asyncio.to_thread(self._write, name, data)
            async with self._database.acquire() as connection:
                kept = await store.is_derived(connection, place.id, file)
            if not kept:  # its term ran out between the two
                await asyncio.to_thread((self._folder / file).unlink, missing_ok=True)
        except (KoinonError, OSError) as error:
            _log.warning("thumbnail_not_kept", why=str(error))

    def _write(self, name: str, data: bytes) -> None:
        folder = self._folder / _FOLDER
        folder.mkdir(exist_ok=True)
        replace_file(folder / name, data)


def name_of(unit: StoredUnit, us: int, look: str) -> str:
    """The file's name: which picture of which unit, and how it looks (masked by what, or as it is)."""
    return f"{unit.stream}-{unit.copy}-{us}-{look}.jpg"
