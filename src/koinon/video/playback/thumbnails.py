"""Small pictures of recordings: one key frame, masked where the view must be, kept beside the unit and gone with it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import structlog

from koinon.base.clock import Clock
from koinon.base.errors import Invalid, KoinonError, NotFound, TooMany
from koinon.base.files import replace_file
from koinon.base.ids import new_id
from koinon.video.playback import store
from koinon.video.playback.course import Ended, Media, Missing, Opening, Walk
from koinon.video.recorder.disk import read_marker
from koinon.video.recordings.model import Place, StoredUnit
from koinon.video.terms import Derived, DerivedId, insert_derived

WIDTH: Final = 320
AT_ONCE: Final = 2
MOST_WAITING: Final = 64
_FOLDER: Final = "thumbnails"
_LARGEST: Final = 8192  # pixels of a side: what a decoder is asked to make room for
_log = structlog.get_logger(__name__)


class Thumbnails:
    """Makes thumbnails, few at once, in threads of its own: decoding lets go of the interpreter."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="thumbnail")
        self._waiting = 0

    async def make(self, walk: Walk, us: int) -> tuple[bytes, int]:
        """A JPEG of the key frame at or before the moment (or the first of the view), and when that was taken.

        Raises:
            NotFound: `no_picture`: none was recorded then.
            TooMany: `thumbnails_busy`.
            Invalid: `picture_unreadable`.
        """
        walk.seek(us)
        opening: Opening | None = None
        while True:
            piece = await walk.next(keys_only=True)
            if isinstance(piece, Opening):
                opening = piece
            elif isinstance(piece, Media) and opening is not None:
                return await self._shrink(opening.entry.init, piece.fragment.data), piece.us
            elif isinstance(piece, Missing | Ended):
                raise NotFound("no_picture")

    async def _shrink(self, init: bytes, data: bytes) -> bytes:
        if self._waiting >= MOST_WAITING:
            raise TooMany("thumbnails_busy", retry_after_seconds=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, shrink, init + data)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """No thread runs any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def shrink(data: bytes) -> bytes:
    """A JPEG, `WIDTH` pixels wide, of the first picture of an MP4.

    Raises:
        Invalid: `picture_unreadable`.
    """
    # Imported by who makes one: the libraries behind it take a start a tenth of a second.
    import av

    try:
        with av.open(BytesIO(data), mode="r", format="mp4") as container:
            stream = container.streams.video[0]
            if max(stream.codec_context.width, stream.codec_context.height) > _LARGEST:
                raise Invalid("picture_unreadable", why="too large")
            frame = next(iter(container.decode(stream)))
            height = max(2, round(frame.height * WIDTH / frame.width / 2) * 2)
            small: Any = frame.reformat(width=WIDTH, height=height, format="yuvj420p")
            encoder: Any = av.CodecContext.create("mjpeg", "w")
            encoder.width, encoder.height, encoder.pix_fmt = WIDTH, height, "yuvj420p"
            encoder.time_base = Fraction(1, 25)
            small.pts = 0
            return b"".join(bytes(packet) for packet in (*encoder.encode(small), *encoder.encode(None)))
    except (av.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise Invalid("picture_unreadable", why=type(error).__name__) from None


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
