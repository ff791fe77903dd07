"""The way through recordings of which only the masked picture may leave.

A unit on which no mask lay when it was recorded is passed on as it is. Of others each group of pictures is masked on
its own, by `video.masks`: decoded, copied, covered by the mask of its time, encoded anew. Where that fails nothing
leaves, and it is told.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from typing import Final, Protocol

from koinon.base.errors import KoinonError, TooLarge, TooMany, Unavailable
from koinon.base.fair import FairShare
from koinon.video.masks.model import Mask
from koinon.video.masks.policy import mask_of
from koinon.video.masks.stream import Coded, MaskedStream, MaskPool
from koinon.video.playback.course import Media, Missing, Opening, Piece, Walk
from koinon.video.playback.pieces import Fragment, of_us, split, without_leading
from koinon.video.recorder import boxes
from koinon.video.recorder.model import TICKS
from koinon.video.recorder.nal import Format
from koinon.video.recordings.model import EntryId, SampleEntry
from koinon.video.recordings.timeline import Span, State

LARGEST_GROUP: Final = 32 << 20
"""Bytes of a group of pictures that is masked as one; 2 s at 2 Mbit/s are half a megabyte."""

SECONDS: Final = 30.0
"""For one group, or one segment of a playlist: a second or two where nothing is wrong."""
WAITING: Final = 32
"""Segments of playlists that wait for their turn, and so many of one view."""
WAITING_A_VIEW: Final = 2
_LATER_SECONDS: Final = 2
_NEVER_US: Final = 1 << 62

Made = tuple[Format, list[Coded]]


class Masker(Protocol):
    """Masks a group of pictures."""

    async def mask(
        self,
        masks: Sequence[Mask],
        init: bytes,
        data: bytes,
        unit_us: int,
        *whose: Hashable,
        since_us: int = 0,
    ) -> Made:
        """How the masked frames are decoded, and they themselves; ticks count from the unit's start. `whose`: for which
        person. What was taken before `since_us` is decoded, since others refer to it, and does not come out.

        Raises:
            Unavailable: `masks_full`, `masking_failed`.
            TooMany: `share_taken`.
        """


class PoolMasker:
    """Masks in the processes of a pool."""

    def __init__(self, pool: MaskPool) -> None:
        self._pool = pool

    async def mask(
        self,
        masks: Sequence[Mask],
        init: bytes,
        data: bytes,
        unit_us: int,
        *whose: Hashable,
        since_us: int = 0,
    ) -> Made:
        format_: Format | None = None
        frames: list[Coded] = []
        # A page of several cameras asks for all of them at once: what is over its share comes a little later.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await self._pool.places.wait(*whose)
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._pool.open(masks, *whose, shown=(since_us, _NEVER_US)) as stream,
            ):
                # What is made is taken while more is fed: a process holds only so much that nobody took.
                feeding = asyncio.create_task(_feed(stream, init, data, unit_us))
                try:
                    async for made in stream:
                        if isinstance(made, Format):
                            format_ = made
                        else:
                            frames.append(made)
                    await feeding
                finally:
                    feeding.cancel()
                    await asyncio.wait([feeding])
        except TimeoutError:
            raise Unavailable("masking_failed", why="took too long") from None
        if format_ is None or not frames:
            raise Unavailable("masking_failed", why="no picture in it")
        return format_, frames


async def _feed(stream: MaskedStream, init: bytes, data: bytes, unit_us: int) -> None:
    try:
        await stream.feed_unit(init, data, of_us(unit_us))
    finally:
        stream.finish()  # whoever takes what is made learns that no more comes, also where this failed


class MaskedWalk:
    """`Walk` over another, with masks, for the person `whose`. `list_masks` gives every mask that the camera has or
    had.
    """

    def __init__(
        self, walk: Walk, masker: Masker, list_masks: Callable[[], Awaitable[list[Mask]]], whose: Hashable
    ) -> None:
        self.since_us, self.until_us = walk.since_us, walk.until_us
        self._walk, self._masker, self._list_masks, self._whose = walk, masker, list_masks, whose
        self._opening: Opening | None = None
        self._masks: list[Mask] = []
        self._told: tuple[int, Format] | None = None  # unit and format of the opening that was given last
        self._ahead: deque[Piece] = deque()  # taken from the other walk, not looked at yet
        self._ready: deque[Piece] = deque()
        self._before: tuple[int, bytes] | None = None  # unit and bytes of the group that was masked last

    def seek(self, us: int) -> None:
        self._walk.seek(us)
        self._ahead.clear()
        self._ready.clear()
        self._opening = self._told = self._before = None

    async def before(self, us: int) -> int | None:
        return await self._walk.before(us)

    async def next(self, *, keys_only: bool = False) -> Piece:
        while True:
            if self._ready:
                return self._ready.popleft()
            piece = await self._take(keys_only)
            if isinstance(piece, Opening):
                # Read anew for each unit: a mask that is set now counts from now on.
                self._opening, self._told = piece, None
                masks = await self._list_masks()
                self._masks = [each for each in masks if each.polygons]
                if not mask_of(self._masks, of_us(piece.unit_us), of_us(piece.unit_us + piece.wall_us)):
                    self._masks = []
                    return piece
            elif isinstance(piece, Media) and self._masks:
                await self._mask(piece, keys_only)
            else:
                return piece

    async def _take(self, keys_only: bool) -> Piece:
        return self._ahead.popleft() if self._ahead else await self._walk.next(keys_only=keys_only)

    async def _mask(self, first: Media, keys_only: bool) -> None:
        """The group of pictures that begins with `first` is ready, masked; or that it is not shown, and why."""
        assert self._opening is not None
        group, size = [first], len(first.fragment.data)
        while True:
            piece = await self._take(keys_only)
            if not isinstance(piece, Media) or piece.fragment.key:
                self._ahead.appendleft(piece)
                break
            group.append(piece)
            size += len(piece.fragment.data)
        try:
            if size > LARGEST_GROUP:
                raise TooLarge("group_too_large", limit_bytes=LARGEST_GROUP)
            data = b"".join(each.fragment.data for each in group)
            unit_us, lead = self._before or (0, b"")
            if keys_only or unit_us != first.unit_us or not refers_back(first.fragment, self._opening.entry):
                lead = b""
            self._before = (first.unit_us, data)
            format_, frames = await self._masker.mask(
                self._masks, self._opening.entry.init, lead + data, self._opening.unit_us, self._whose,
                since_us=_begin(first.fragment, first.unit_us),
            )  # fmt: skip
        except KoinonError as error:
            end = max(max(each.frames_us) for each in group) + 1
            self._ready.append(Missing([Span(of_us(first.us), of_us(end), State.UNKNOWN, error.code)]))
            return
        if self._told != (self._opening.unit_us, format_):
            self._told = (self._opening.unit_us, format_)
            entry = SampleEntry(
                id=EntryId(0), codec=format_.codec_string, width=format_.width, height=format_.height,
                init=boxes.opening(format_),
            )  # fmt: skip
            self._ready.append(self._opening._replace(entry=entry))
        last = group[-1].fragment
        self._ready.append(_media(frames, group, last.base + last.duration, first.unit_us))


def _media(frames: list[Coded], group: list[Media], end: int, unit_us: int) -> Media:
    """One fragment of the masked frames, which last until the group does."""
    # When a frame was taken is told by the frames that came: the masked ones are some of them.
    taken = {
        ticks: us for each in group for ticks, us in zip(each.fragment.shown(), each.frames_us, strict=True)
    }
    moments = [taken.get(frame.ticks, unit_us + frame.ticks * 1_000_000 // TICKS) for frame in frames]
    return Media(_fragment(frames, end), moments, unit_us)


def _fragment(frames: list[Coded], end: int) -> Fragment:
    """One fragment of masked frames, the last of which is shown until `end`, in ticks from the unit's start."""
    ends = [*(frame.ticks for frame in frames[1:]), max(end, frames[-1].ticks + 1)]
    samples = [
        boxes.Sample(max(1, until - frame.ticks), len(frame.data), frame.key)
        for frame, until in zip(frames, ends, strict=True)
    ]
    base = frames[0].ticks
    data = boxes.fragment(1, base, samples) + b"".join(frame.data for frame in frames)
    return Fragment(data, base, samples)


def refers_back(fragment: Fragment, entry: SampleEntry) -> bool:
    """Whether pictures of the fragment refer past its key frame, to the group of pictures before."""
    return without_leading(fragment, entry.codec) is not fragment


def _begin(fragment: Fragment, unit_us: int) -> int:
    """When its earliest frame was taken, as whoever feeds a unit tells it, but for rounding."""
    return unit_us + min(fragment.shown()) * 1_000_000 // TICKS - 1000


class Segments:
    """Masks segments of playlists: so many at once, so many waiting, of each view no more than it can use, and of each
    person a fair share.

    At most half of a pool's slots: who watches a camera live, or looks back over a connection, has the others.

    Attributes:
        places: of segments that are masked, or wait for their turn.
    """

    def __init__(self, pool: MaskPool, masker: Masker) -> None:
        self._pool, self._masker = pool, masker
        self._turns = asyncio.Semaphore(max(1, pool.slots // 2))
        self.places = FairShare("segments", WAITING, _busy, retry_after_seconds=_LATER_SECONDS)
        self._of_view: Counter[Hashable] = Counter()

    async def make_init(self, entry: SampleEntry) -> bytes:
        """`ftyp` and `moov` of all masked segments of units that are decoded so.

        Raises:
            As `Pictures.masked_format`.
        """
        return boxes.opening(await self._pool.pictures.masked_format(entry.width, entry.height))

    async def make(
        self,
        view: Hashable,
        whose: Hashable,
        masks: Sequence[Mask],
        entry: SampleEntry,
        read: Callable[[], Awaitable[bytes]],
        read_before: Callable[[], Awaitable[bytes]],
        unit_us: int,
    ) -> bytes:
        """A segment, masked: one fragment, its times counting from the unit's start. `read` gives it as recorded,
        `read_before` the group of pictures before it, nothing where it is the unit's first; `whose`: for which person.

        Raises:
            TooMany: `masking_busy`, `share_taken`.
            TooLarge: `group_too_large`.
            Unavailable: `masks_full`, `masking_failed`: nothing is given as it was recorded instead.
            Invalid: `unit_damaged`, `invalid_unit`.
        """
        async with self._turn(view, whose):
            data = await read()
            if len(data) > LARGEST_GROUP:
                raise TooLarge("group_too_large", limit_bytes=LARGEST_GROUP)
            whole, _ = split(data)
            if not whole:
                raise Unavailable("masking_failed", why="no picture in it")
            before = await read_before() if refers_back(whole[0], entry) else b""
            format_, frames = await self._masker.mask(
                masks, entry.init, before + data, unit_us, whose, since_us=_begin(whole[0], unit_us)
            )
            if boxes.opening(format_) != await self.make_init(entry):
                # A player decodes it by what the playlist named, and that would show anything.
                raise Unavailable("masking_failed", why="another format than was told")
            end = whole[-1].base + whole[-1].duration
            return _fragment(frames, end).data

    @contextlib.asynccontextmanager
    async def _turn(self, view: Hashable, whose: Hashable) -> AsyncIterator[None]:
        if self._of_view[view] >= WAITING_A_VIEW:
            raise _busy()
        with self.places.hold(whose):
            self._of_view[view] += 1
            try:
                async with self._turns:
                    yield
            finally:
                self._of_view[view] -= 1
                if not self._of_view[view]:
                    del self._of_view[view]


def _busy() -> TooMany:
    return TooMany("masking_busy", retry_after_seconds=_LATER_SECONDS)
