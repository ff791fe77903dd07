"""Masked streams, made on demand: frames go in, masked frames come out; so many at once and no more.

`MaskPool` holds the processes that mask. A stream is fed live (`feed`: what does not keep up is left out) or from a
unit (`feed_unit`: waits); what comes out is a `Format` and then `Coded` frames, as everywhere else. If masking fails
the stream ends: nothing is ever passed on as it came.
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from koinon.base.errors import Invalid, KoinonError, Unavailable
from koinon.base.fair import FairShare
from koinon.base.metrics import counter, gauge
from koinon.video.masks.model import Mask
from koinon.video.masks.pictures import Pictures
from koinon.video.masks.process import Process
from koinon.video.masks.transcode import BIT_RATE, FRAMES_A_SECOND, LINES, Coded, Span
from koinon.video.masks.worker import STREAM_MEMORY, Kind, Opening, pack
from koinon.video.recorder import boxes
from koinon.video.recorder.model import TICKS
from koinon.video.recorder.nal import SETS, Codec, Format, read_format

STREAMS_A_PROCESS: Final = 8
"""At a tenth of a core each, a process of them has no core for itself yet."""
_MOST_WAITING: Final = (
    50  # frames on their way through a process: two seconds; above it, live frames are left out
)
_MOST_READY: Final = 64  # masked frames that nobody took yet
_LATER_SECONDS: Final = 5

_running = gauge("koinon_masked_streams", "Streams that are masked now.")
_refused = counter("koinon_masked_refused_total", "Streams that were refused since all slots were taken.")
_left_out = counter("koinon_masked_left_out_total", "Frames left out since masking did not keep up.")


class MaskPool:
    """The processes that mask, and their slots.

    Attributes:
        slots: how many streams it masks at once. places: those slots, by person.
        pictures: makes single pictures, in a process of their own.
    """

    def __init__(self, *, processes: int | None = None, streams_a_process: int = STREAMS_A_PROCESS) -> None:
        count = processes or max(1, len(os.sched_getaffinity(0)) - 1)
        self.slots = count * streams_a_process
        self.places = FairShare("masks", self.slots, self._full, retry_after_seconds=_LATER_SECONDS)
        self._processes = [Process(STREAM_MEMORY) for _ in range(count)]
        self.pictures = Pictures()

    def _full(self) -> KoinonError:
        _refused.inc()
        return Unavailable("masks_full", slots=self.slots)

    @property
    def running(self) -> int:
        """How many streams are masked now."""
        return sum(len(each.streams) for each in self._processes)

    @contextlib.asynccontextmanager
    async def open(
        self,
        masks: Sequence[Mask],
        *whose: Hashable,
        lines: int = LINES,
        frames_a_second: int = FRAMES_A_SECOND,
        bit_rate: int = BIT_RATE,
        mark: str = "",
        shown: tuple[int, int] | None = None,
    ) -> AsyncIterator["MaskedStream"]:
        """A masked stream; its slot is free again when the block ends. Each frame is under the mask of its own time;
        with `mark` these words and the moment are in each. `whose`: the persons for whom it is. `shown`: nothing comes
        out of what was recorded before the one moment or from the other on (Unix microseconds), but it is decoded.

        Raises:
            Unavailable: `masks_full`: all slots are taken. `masking_failed`: no process could be started.
            TooMany: `share_taken`.
        """
        with self.places.hold(*whose):
            process = min(self._processes, key=lambda each: len(each.streams))
            stream = MaskedStream(process)
            process.streams[stream.number] = stream
            _running.inc()
            try:
                await process.start()
                opening = Opening(_spans(masks), lines, frames_a_second, bit_rate, mark, shown)
                process.send(pack("open", stream.number, opening))
                yield stream
            finally:
                _running.dec()
                process.streams.pop(stream.number, None)
                process.send(pack("close", stream.number))

    async def close(self) -> None:
        """No process runs any more; streams that are open fail."""
        for each in self._processes:
            await each.stop()
        await self.pictures.close()


class MaskedStream:
    """One picture that is being masked. Made by `MaskPool.open`.

    Attributes:
        left_out: frames that were not fed since too much waited.
    """

    _numbers = itertools.count(1)

    def __init__(self, process: Process) -> None:
        self.number = next(self._numbers)
        self.left_out = 0
        self._waiting = 0
        self._process = process
        self._made: asyncio.Queue[Format | Coded | None] = asyncio.Queue()
        self._failure: str | None = None
        self._behind = False
        self._room = asyncio.Event()
        self._room.set()

    def set_masks(self, masks: Sequence[Mask]) -> None:
        """From the next frame on these masks count."""
        self._process.send(pack("mask", self.number, _spans(masks)))

    def open(self, format_: Format) -> None:
        """What is fed next, from a key frame on, is decoded by it."""
        self._process.send(pack("format", self.number, format_))

    def feed(self, frame: Coded) -> bool:
        """The frame will be masked; False: it was left out, with all up to the next key frame, since too much waits."""
        crowded = self._waiting > _MOST_WAITING or self._made.qsize() > _MOST_READY
        if crowded or (self._behind and not frame.key):
            self._behind = True
            self.left_out += 1
            _left_out.inc()
            return False
        self._behind = False
        self._waiting += 1
        self._process.send(pack("frame", self.number, frame))
        return True

    async def feed_unit(self, init: bytes, data: bytes, start: datetime) -> None:
        """The frames of a unit, or of whole fragments of one, will be masked; waits while too much waits.

        `init` is its `ftyp` and `moov`, `start` the wall time of the unit's tick 0.

        Raises:
            Invalid: `invalid_unit`.
            Unavailable: `masking_failed`.
        """
        self.open(format_of(init))
        await self.feed_all(frames_of(data, start))

    async def feed_all(self, frames: Iterable[Coded]) -> None:
        """All the frames will be masked; waits while too much waits.

        Raises:
            Unavailable: `masking_failed`.
        """
        for frame in frames:
            await self._room.wait()
            self._raise()
            self._waiting += 1
            self._process.send(pack("frame", self.number, frame))
            await self._process.drain()

    def finish(self) -> None:
        """Nothing is fed any more: when all is masked, the frames end."""
        self._process.send(pack("finish", self.number))

    def __aiter__(self) -> AsyncIterator[Format | Coded]:
        return self._frames()

    async def _frames(self) -> AsyncIterator[Format | Coded]:
        """The format and the masked frames, as they become ready.

        Raises:
            Unavailable: `masking_failed`: nothing more comes.
        """
        while True:
            made = await self._made.get()
            if self._made.qsize() <= _MOST_READY // 2:
                self._room.set()
            if made is None:
                self._raise()
                return
            yield made

    def _raise(self) -> None:
        if self._failure is not None:
            raise Unavailable("masking_failed", why=self._failure)

    def hear(self, kind: Kind, body: Format | Coded | str | None) -> None:
        """What the process says of this stream."""
        if kind == "taken":
            self._waiting -= 1
        elif kind == "failed":
            self._failure = str(body)
            self._room.set()
            self._made.put_nowait(None)
        elif kind == "done":
            self._made.put_nowait(None)
        elif isinstance(body, Format | Coded):
            self._made.put_nowait(body)
            if self._made.qsize() > _MOST_READY:
                self._room.clear()


class Fragments:
    """Masked frames as fragmented MP4: what a player gets from a unit, it gets from these.

    A frame is known to last only when the next one comes: a fragment is one frame behind.
    """

    def __init__(self) -> None:
        self._number = 0
        self._waits: Coded | None = None
        self._base: int | None = None

    def add(self, made: Format | Coded) -> Iterator[bytes]:
        """`ftyp` and `moov` for a format; `moof` and `mdat` for the frame before, once its length is known."""
        if isinstance(made, Format):
            yield from self.end()
            yield boxes.opening(made, 0)
            return
        if self._waits is not None:
            yield self._fragment(self._waits, max(1, made.ticks - self._waits.ticks))
        self._waits = made

    def end(self) -> Iterator[bytes]:
        """The last frame, for as long as one lasts that others follow."""
        if self._waits is not None:
            yield self._fragment(self._waits, TICKS // FRAMES_A_SECOND)
            self._waits = None

    def _fragment(self, frame: Coded, duration: int) -> bytes:
        if self._base is None:
            self._base = frame.ticks
        self._number += 1
        sample = boxes.Sample(duration, len(frame.data), frame.key)
        return boxes.fragment(self._number, frame.ticks - self._base, [sample]) + frame.data


def format_of(init: bytes) -> Format:
    """How the pictures of a unit are decoded, from its `ftyp` and `moov`.

    Raises:
        Invalid: `invalid_unit`, `invalid_parameter_sets`.
    """
    for name, codec, groups in ((b"avcC", "h264", _avc_sets), (b"hvcC", "h265", _hevc_sets)):
        at = init.find(name)
        if at >= 4:
            end = at - 4 + int.from_bytes(init[at - 4 : at], "big")
            chosen: Codec = "h264" if codec == "h264" else "h265"
            return read_format(chosen, groups(init[at + 4 : end]))
    raise Invalid("invalid_unit", path="", why="neither avcC nor hvcC")


def _avc_sets(record: bytes) -> Iterable[bytes]:
    """ISO/IEC 14496-15 section 5.3.3.1."""
    found, at = [], 5
    for mask in (0x1F, 0xFF):
        count, at = record[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            found.append(record[at + 2 : at + 2 + size])
            at += 2 + size
    return found


def _hevc_sets(record: bytes) -> Iterable[bytes]:
    """ISO/IEC 14496-15 section 8.3.3.1."""
    found, at = [], 23
    for _ in range(len(SETS["h265"])):
        count, at = int.from_bytes(record[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            found.append(record[at + 2 : at + 2 + size])
            at += 2 + size
    return found


def frames_of(data: bytes, start: datetime) -> Iterator[Coded]:
    """The frames of whole fragments (`moof` and `mdat`) of a unit that began at `start`; other boxes are passed over.

    Raises:
        Invalid: `invalid_unit`.
    """
    at, samples, base = 0, None, 0
    begin = round(start.timestamp() * 1e6)
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size < 8 or at + size > len(data):
            raise Invalid("invalid_unit", path="", why="a box is cut", offset=at)
        if name == b"moof":
            try:
                base, samples = boxes.read_samples(data[at : at + size])
            except ValueError as error:
                raise Invalid("invalid_unit", path="", why=str(error), offset=at) from None
        elif name == b"mdat" and samples is not None:
            offset, ticks = at + 8, base
            for sample in samples:
                shown = ticks + sample.composition
                yield Coded(shown, begin + shown * 100 // 9, sample.key, data[offset : offset + sample.size])
                offset += sample.size
                ticks += sample.duration
            samples = None
        at += size


def _spans(masks: Sequence[Mask]) -> tuple[Span, ...]:
    return tuple(Span.of(each) for each in masks)


__all__ = ["Coded", "Fragments", "MaskPool", "MaskedStream", "format_of", "frames_of"]
