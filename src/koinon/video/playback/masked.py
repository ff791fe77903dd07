"""The way through recordings of which only the masked picture may leave.

A unit on which no mask lay when it was recorded is passed on as it is. Of others each group of pictures is masked on
its own, by `video.masks`: decoded, copied, covered by the mask of its time, encoded anew. Where that fails nothing
leaves, and it is told.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from koinon.base.errors import KoinonError, TooLarge
from koinon.video.masks.model import Mask
from koinon.video.masks.policy import mask_of
from koinon.video.masks.stream import Coded, MaskPool
from koinon.video.playback.course import Media, Missing, Opening, Piece, Walk
from koinon.video.playback.pieces import Fragment, of_us
from koinon.video.recorder import boxes
from koinon.video.recorder.model import TICKS
from koinon.video.recorder.nal import Format
from koinon.video.recordings.model import EntryId, SampleEntry
from koinon.video.recordings.timeline import Span, State

LARGEST_GROUP: Final = 32 << 20
"""Bytes of a group of pictures that is masked as one; 2 s at 2 Mbit/s are half a megabyte."""

Made = tuple[Format, list[Coded]]


class Masker(Protocol):
    """Masks a group of pictures."""

    async def mask(self, masks: Sequence[Mask], init: bytes, data: bytes, unit_us: int) -> Made:
        """How the masked frames are decoded, and they themselves; ticks count from the unit's start.

        Raises:
            Unavailable: `masks_full`, `masking_failed`.
        """


class PoolMasker:
    """Masks in the processes of a pool."""

    def __init__(self, pool: MaskPool) -> None:
        self._pool = pool

    async def mask(self, masks: Sequence[Mask], init: bytes, data: bytes, unit_us: int) -> Made:
        format_: Format | None = None
        frames: list[Coded] = []
        async with self._pool.open(masks) as stream:
            await stream.feed_unit(init, data, of_us(unit_us))
            stream.finish()
            async for made in stream:
                if isinstance(made, Format):
                    format_ = made
                else:
                    frames.append(made)
        if format_ is None or not frames:
            raise KoinonError("masking_failed")
        return format_, frames


class MaskedWalk:
    """`Walk` over another, with masks. `list_masks` gives every mask that the camera has or had."""

    def __init__(self, walk: Walk, masker: Masker, list_masks: Callable[[], Awaitable[list[Mask]]]) -> None:
        self.since_us, self.until_us = walk.since_us, walk.until_us
        self._walk, self._masker, self._list_masks = walk, masker, list_masks
        self._opening: Opening | None = None
        self._masks: list[Mask] = []
        self._told: tuple[int, Format] | None = None  # unit and format of the opening that was given last
        self._ahead: deque[Piece] = deque()  # taken from the other walk, not looked at yet
        self._ready: deque[Piece] = deque()

    def seek(self, us: int) -> None:
        self._walk.seek(us)
        self._ahead.clear()
        self._ready.clear()
        self._opening = self._told = None

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
            format_, frames = await self._masker.mask(
                self._masks, self._opening.entry.init, data, self._opening.unit_us
            )
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
    ends = [*(frame.ticks for frame in frames[1:]), max(end, frames[-1].ticks + 1)]
    samples = [
        boxes.Sample(max(1, until - frame.ticks), len(frame.data), frame.key)
        for frame, until in zip(frames, ends, strict=True)
    ]
    base = frames[0].ticks
    data = boxes.fragment(1, base, samples) + b"".join(frame.data for frame in frames)
    moments = [taken.get(frame.ticks, unit_us + frame.ticks * 1_000_000 // TICKS) for frame in frames]
    return Media(Fragment(data, base, samples), moments, unit_us)
