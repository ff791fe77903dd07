"""From a way through recordings to files: clips, decoded, masked, marked and encoded anew; or units as they are.

A file is one stretch of one camera: it ends where the recording does, or where its pictures are of another kind.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from koinon.base.errors import Invalid, KoinonError, TooLarge
from koinon.video.exports.model import ExportFile, Form
from koinon.video.exports.policy import Hole, is_whole
from koinon.video.exports.shelf import FileOut
from koinon.video.masks.model import Mask
from koinon.video.masks.stream import Coded, MaskedStream, MaskPool, format_of
from koinon.video.playback.course import Course, Ended, Media, Missing, Opening, Source
from koinon.video.playback.pieces import of_us, to_us, without_leading
from koinon.video.recorder import boxes
from koinon.video.recorder.model import TICKS
from koinon.video.recorder.nal import Format
from koinon.video.recordings.model import EntryId, SampleEntry, StoredUnit
from koinon.video.recordings.timeline import Span

LINES: Final = 1080
FRAMES_A_SECOND: Final = 25
BIT_RATE: Final = 4_000_000
_LARGEST_UNIT: Final = 1 << 30
_READ_BYTES: Final = 32 << 20
_CLOSE_US: Final = 2000  # what the wall times of units that follow each other may overlap by rounding
_BEFORE_US: Final = 60_000_000  # a clip's pictures refer to a key frame that lies at most so far back
_AROUND_US: Final = 1_000_000  # a picture is decoded so much before or after its time, where B-frames are

NewFile = Callable[[datetime], Awaitable[FileOut]]
"""A new file of the export, whose oldest image is of that moment."""
GoOn = Callable[[int], Awaitable[None]]
"""Told before each piece, with how far we are (Unix microseconds); raises where it may not go on."""


class SourceUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit from which a file was made, as the index has it; its bytes were read whole and had this hash.

    Attributes:
        whole: whether it is in the file as it is, from its first byte to its last.
        lost: packets that never came; None where it is not known.
        clock_delta_us: how far the camera's own clock and ours went apart in it, as the recorder saw it.
    """

    start: datetime
    copy: int
    bytes: int
    sha256: str
    frames: int
    lost: int | None
    damaged: int
    clock_delta_us: int
    whole: bool


class Filmed(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and what it is.

    Attributes:
        leading: frames of it that refer to frames before its first key frame: a player leaves them out.
    """

    file: ExportFile
    codec: str
    width: int
    height: int
    frames: int
    leading: int = 0
    sources: tuple[SourceUnit, ...]


class Checked:
    """A source that reads every unit whole, and gives nothing of one that is not what the index says.

    Attributes:
        unit, data: what was read last.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.unit: StoredUnit | None = None
        self.data = b""

    async def list_units(self, us: int) -> Sequence[StoredUnit]:
        return await self._source.list_units(us)

    async def find_before(self, us: int) -> StoredUnit | None:
        return await self._source.find_before(us)

    async def get_entry(self, entry: EntryId) -> SampleEntry:
        return await self._source.get_entry(entry)

    async def draw(self, since_us: int, until_us: int) -> list[Span]:
        return await self._source.draw(since_us, until_us)

    async def read(self, unit: StoredUnit, offset: int, length: int) -> bytes:
        """As `Source.read`.

        Raises:
            Invalid: `unit_damaged`: its bytes are not those that were recorded.
        """
        if self.unit is not unit:
            self.unit, self.data = None, b""
            if unit.bytes > _LARGEST_UNIT:
                raise TooLarge("unit_too_large", limit_bytes=_LARGEST_UNIT)
            parts = []
            for at in range(0, unit.bytes, _READ_BYTES):
                parts.append(await self._source.read(unit, at, min(_READ_BYTES, unit.bytes - at)))
            data = b"".join(parts)
            digest = await asyncio.to_thread(lambda: hashlib.sha256(data).digest())
            if digest != unit.sha256:
                raise Invalid("unit_damaged", why="other bytes than were recorded")
            self.unit, self.data = unit, data
        return self.data[offset : offset + length]


class Film(Protocol):
    """A file that grows by pictures."""

    async def add(self, media: Media, unit: StoredUnit, data: bytes) -> None:
        """These pictures of the unit, of which `data` is the whole file, are in it."""

    async def close(self) -> Filmed | None:
        """It is whole and durable; None where no picture is in it, and there is no file."""

    async def abandon(self) -> None:
        """Nothing of it goes on."""


async def film(
    source: Source,
    since_us: int,
    until_us: int,
    begin: Callable[[SampleEntry], Awaitable[Film]],
    *,
    per_unit: bool,
    go_on: GoOn,
) -> tuple[list[Filmed], list[Hole]]:
    """The interval of a stream in files, and what is not in them, as the index tells it.

    `per_unit`: a file a unit, of frames in the interval alone. Else the frames around it that its own refer to are
    given too, to be decoded and not shown.
    """
    checked = Checked(source)
    if per_unit:
        course = Course(checked, since_us, until_us)
    else:
        course = Course(checked, since_us - _BEFORE_US, until_us + _AROUND_US)
        course.seek(since_us - _AROUND_US)
    made: list[Filmed] = []
    holes: list[Hole] = []
    open_: Film | None = None
    entry: SampleEntry | None = None
    fresh, reached = False, 0  # whether a unit begins, and how far its predecessors went
    try:
        while True:
            piece = await course.next()
            new = isinstance(piece, Opening) and (per_unit or entry is None or entry.id != piece.entry.id)
            over = isinstance(piece, Ended) or (isinstance(piece, Media) and piece.us >= until_us)
            if open_ is not None and (new or over or isinstance(piece, Missing)):
                film_, open_ = open_, None
                made += filter(None, [await film_.close()])
            if over:
                return made, holes
            if isinstance(piece, Opening):
                entry, fresh = piece.entry, True
            elif isinstance(piece, Missing):
                holes += [
                    Hole(each.start, each.end, each.state.value, each.reason)
                    for each in piece.spans
                    if since_us < to_us(each.end) and to_us(each.start) < until_us
                ]
                await go_on(min(max(to_us(piece.spans[-1].end), since_us), until_us))
            elif isinstance(piece, Media):
                await go_on(max(piece.us, since_us))
                assert entry is not None and checked.unit is not None
                if open_ is not None and fresh and piece.us < reached - _CLOSE_US:
                    # The other copy goes on from a key frame that lies further back: time never goes back in a file.
                    film_, open_ = open_, None
                    made += filter(None, [await film_.close()])
                fresh, reached = False, max(reached, _end_of(piece))
                if open_ is None:
                    open_ = await begin(entry)
                await open_.add(piece, checked.unit, checked.data)
    finally:
        if open_ is not None:
            await open_.abandon()


class EvidenceFilm:
    """One unit as it was recorded; where it sticks out of the interval, its pictures in it, under its own head."""

    def __init__(self, new_file: NewFile, entry: SampleEntry, since: datetime, until: datetime) -> None:
        self._new_file, self._entry = new_file, entry
        self._out: FileOut | None = None
        self._since, self._until = since, until
        self._unit: StoredUnit | None = None
        self._whole = False
        self._frames = self._leading = 0
        self._end_us = 0

    async def add(self, media: Media, unit: StoredUnit, data: bytes) -> None:
        if self._unit is None:
            self._unit = unit
            first = media.fragment.base <= unit.key_frames[0].ticks
            self._whole = first and is_whole(self._since, self._until, unit.start, unit.end, Form.EVIDENCE)
            own = without_leading(media.fragment, self._entry.codec)
            if self._whole:
                self._leading = len(media.fragment.samples) - len(own.samples)
            else:
                taken = dict(zip(media.fragment.shown(), media.frames_us, strict=True))
                media = Media(own, [taken[ticks] for ticks in own.shown()], media.unit_us)
            self._out = await self._new_file(of_us(media.us))
            await self._out.write(data if self._whole else self._entry.init)
        assert self._out is not None
        if not self._whole:
            await self._out.write(media.fragment.data)
        self._frames += len(media.fragment.samples)
        self._end_us = max(self._end_us, _end_of(media))

    async def close(self) -> Filmed:
        assert self._unit is not None and self._out is not None
        end = self._unit.end if self._whole else min(of_us(self._end_us), self._until)
        return Filmed(
            file=await self._out.close(end), codec=self._entry.codec, width=self._entry.width,
            height=self._entry.height, frames=self._frames, leading=self._leading,
            sources=(_source(self._unit, self._whole),),
        )  # fmt: skip

    async def abandon(self) -> None:
        pass


class ClipFilm:
    """The pictures of a stretch of recording from `since` up to `until`, as H.264 with masks and mark in their pixels;
    its times are wall time, from its first picture on.
    """

    def __init__(self, new_file: NewFile, since: datetime, until: datetime) -> None:
        self._new_file, self._since, self._until = new_file, to_us(since), to_us(until)
        self._out: FileOut | None = None
        self._stack = contextlib.AsyncExitStack()
        self._stream: MaskedStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._units: dict[tuple[datetime, int], StoredUnit] = {}
        self._format: Format | None = None
        self._group: list[Coded] = []
        self._fragments = 0
        self._frames = 0
        self._origin: int | None = None  # when the first frame that is decoded was taken: ticks count from it
        self._start = Coded(0, 0, False, b"")  # the first picture
        self._due = False  # whether a picture is to come out of it
        self._end_us = 0

    async def begin(self, pool: MaskPool, masks: Sequence[Mask], mark: str, init: bytes) -> None:
        """Pictures that are decoded by `init` can be added.

        Raises:
            Unavailable: `masks_full`, `masking_failed`.
        """
        self._stream = await self._stack.enter_async_context(
            pool.open(
                masks, lines=LINES, frames_a_second=FRAMES_A_SECOND, bit_rate=BIT_RATE, mark=mark,
                shown=(self._since, self._until),
            )
        )  # fmt: skip
        self._stream.open(format_of(init))
        self._task = asyncio.create_task(self._take(self._stream), name="export-clip")

    async def add(self, media: Media, unit: StoredUnit, data: bytes) -> None:
        assert self._stream is not None and self._task is not None
        fragment = media.fragment
        if self._origin is None:
            self._origin = media.frames_us[0]
        if any(self._since <= us < self._until for us in media.frames_us):
            self._units.setdefault((unit.start, unit.copy), unit)
            self._end_us = min(max(self._end_us, _end_of(media)), self._until)
            # What is shown before the first frame of all may refer to what we do not have.
            self._due = self._due or max(media.frames_us) >= max(self._origin, self._since)
        offset = len(fragment.data) - sum(sample.size for sample in fragment.samples)
        frames = []
        for sample, us in zip(fragment.samples, media.frames_us, strict=True):
            body = fragment.data[offset : offset + sample.size]
            frames.append(Coded((us - self._origin) * TICKS // 1_000_000, us, sample.key, body))
            offset += sample.size
        feeding = asyncio.ensure_future(self._stream.feed_all(frames))
        # What takes the pictures off may fail (a full disk): then nobody would make room any more.
        await asyncio.wait([feeding, self._task], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            feeding.cancel()
            await asyncio.wait([feeding])
            self._task.result()
            raise KoinonError("masking_failed")
        await feeding

    async def close(self) -> Filmed | None:
        assert self._stream is not None and self._task is not None
        try:
            self._stream.finish()
            await self._task
            await self._write_group((self._end_us - self._start.wall_us) * TICKS // 1_000_000)
        finally:
            await self.abandon()
        if self._format is None or self._out is None:
            if self._due:
                raise KoinonError("masking_failed")
            return None
        return Filmed(
            file=await self._out.close(of_us(self._end_us)), codec=self._format.codec_string,
            width=self._format.width, height=self._format.height, frames=self._frames,
            sources=tuple(_source(each, False) for each in self._units.values()),
        )  # fmt: skip

    async def abandon(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._stack.aclose()

    async def _take(self, stream: MaskedStream) -> None:
        async for made in stream:
            if isinstance(made, Format):
                self._format = self._format or made
                continue
            if self._out is None:
                assert self._format is not None
                self._start, self._out = made, await self._new_file(of_us(made.wall_us))
                await self._out.write(boxes.opening(self._format, made.wall_us / 1e6))
            made = msgspec.structs.replace(made, ticks=made.ticks - self._start.ticks)
            if made.key and self._group:
                await self._write_group(made.ticks)
            self._group.append(made)

    async def _write_group(self, until: int) -> None:
        """The pictures that wait are one fragment; the last of them lasts until `until`, in ticks."""
        group, self._group = self._group, []
        if not group or self._out is None:
            return
        ends = [*(frame.ticks for frame in group[1:]), max(until, group[-1].ticks + 1)]
        samples = [
            boxes.Sample(max(1, end - frame.ticks), len(frame.data), frame.key)
            for frame, end in zip(group, ends, strict=True)
        ]
        self._fragments += 1
        self._frames += len(group)
        head = boxes.fragment(self._fragments, max(0, group[0].ticks), samples)
        await self._out.write(head + b"".join(frame.data for frame in group))


def _end_of(media: Media) -> int:
    """When its last picture ends, Unix microseconds."""
    last = media.fragment.samples[-1].duration
    return max(media.frames_us) + last * 1_000_000 // TICKS


def _source(unit: StoredUnit, whole: bool) -> SourceUnit:
    return SourceUnit(
        start=unit.start, copy=unit.copy, bytes=unit.bytes, sha256=unit.sha256.hex(), frames=unit.frames,
        lost=unit.lost, damaged=unit.damaged, clock_delta_us=unit.delta_us, whole=whole,
    )  # fmt: skip
