"""Frames of one camera become fragments, units, runs and gaps.

A fragment is cut before a key frame, and inside a GOP that is longer than a fragment may be. The cut is made
when the frame after it has come: it says how long the last one lasted, and (H.265) whether frames follow that
are shown before the key frame. Frames may come in another order than they are shown (B-frames): decoding times
are the display times in rising order, the difference is the composition offset.
"""

import asyncio
import hashlib
import math
from collections.abc import Callable
from datetime import datetime
from itertools import chain, repeat
from typing import Final
from uuid import UUID

import msgspec
import structlog

from koinon.base.clock import Clock
from koinon.base.errors import Invalid
from koinon.base.ids import new_id
from koinon.video.recorder import boxes
from koinon.video.recorder.account import Account
from koinon.video.recorder.cutting import decoding_times, inner_cut
from koinon.video.recorder.disk import Disk, UnitFile
from koinon.video.recorder.model import TICKS, Gap, Options, Reason, Unit
from koinon.video.recorder.nal import Codec, Format, merge_sets, read_format
from koinon.video.recorder.rtp import Counts, Frame, SenderReport
from koinon.video.recorder.timing import Anchor, RunClock

_log = structlog.get_logger(__name__)

_SHORTEST: Final = TICKS // 2  # a fragment is not cut shorter, where every frame is a key frame
_MOST_BYTES: Final = 4 << 20  # of a fragment, whatever the camera does
_LARGEST_UNIT: Final = 1 << 30
_NOMINAL: Final = TICKS // 25  # of a last frame, when nothing tells its duration
_RETRY_SECONDS: Final = 2.0  # before a disk that failed is tried again


class _Pending(msgspec.Struct, gc=False):
    media: int
    frame: Frame
    arrival: float


class _Open(msgspec.Struct):
    """The unit being written."""

    file: UnitFile
    run: UUID
    number: int
    format: Format
    init: bytes
    origin: int  # media ticks at which it begins
    rotate_at: float  # by the monotonic clock
    counts: Counts
    fragments: int = 0
    bytes: int = 0


class Track:
    """One camera's recording, from session to session.

    Attributes:
        format: how the stream is decoded now, once known.
        waiting_since: by the monotonic clock, since when a key frame is waited for; None while recording.
    """

    def __init__(
        self,
        options: Options,
        disk: Disk,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        on_unit: Callable[[Unit], None],
        on_gap: Callable[[Gap], None],
        since: tuple[datetime, Reason] | None = None,
    ) -> None:
        self.format: Format | None = None
        self.waiting_since: float | None = None
        self._init_of: Format | None = None
        self._init = b""
        self._options, self._disk, self._wall, self._loop = options, disk, clock, loop
        self._monotonic = clock.monotonic
        self._codec: Codec = "h264"
        self._counts = Counts()
        self._accounted = (
            Counts()
        )  # up to where units tell what did not come; between two units nothing is left out
        self._sets: list[bytes] = []
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._candidate = -1
        self._reordered = False
        self._unit: _Open | None = None
        self._next_decode = 0
        self._run = new_id()
        self._number = 0
        self._anchor = Anchor(clock)
        self._account = Account(clock.now(), on_unit, on_gap, since)
        self._run_end: float | None = None
        self._clock = self._new_clock(1.0)
        self._camera_us: int | None = None
        self._not_before = 0.0
        self._closing = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self._limit = round(options.fragment_seconds * TICKS)
        # Two copies of a stream do not turn at once either.
        turner = f"{options.name}/{options.copy}" if options.copy else options.name
        digest = hashlib.sha256(turner.encode()).digest()
        self._phase = int.from_bytes(digest[:8], "big") / 2**64 * options.unit_seconds

    @property
    def due(self) -> float | None:
        """By the monotonic clock, since when the open unit waits for a key frame to turn at, or will."""
        return self._unit.rotate_at if self._unit is not None else None

    async def settle(self) -> None:
        """Every unit that was ended is closed and told."""
        await self._settled.wait()

    def begin(self, codec: Codec, sets: list[bytes], counts: Counts) -> None:
        """A session has begun: a new run will begin with its first key frame."""
        self._codec, self._counts, self._sets = codec, counts, sets
        self._accounted = msgspec.structs.replace(counts)
        self.format = None
        if sets:
            try:
                self.format = read_format(codec, sets)
            except Invalid as error:
                _log.info("parameter_sets_unusable", camera=self._options.name, error=str(error))
        self._reordered = False
        self._camera_us = None
        self._new_run(1.0)

    def await_key_frame(self) -> None:
        """The camera plays: a key frame is waited for from now on, unless one has come already."""
        if not self._pending:
            self.waiting_since = self._monotonic()

    def report(self, report: SenderReport) -> None:
        """The camera has told its own time; kept as evidence, not believed."""
        self._camera_us = round((report.unix - self._wall.now().timestamp()) * 1e6)

    def frame(self, frame: Frame) -> None:
        """A frame has arrived now."""
        arrival = self._monotonic()
        pending = self._pending
        if not pending:
            if not self._may_begin(frame, arrival):
                return
        elif not frame.first and frame.timestamp == pending[-1].frame.timestamp:
            # A camera that marks every slice as the end of a frame.
            last = pending[-1].frame
            last.parts += frame.parts
            last.size += frame.size
            self._pending_bytes += frame.size
            return
        elif frame.leading and self._unit is None and len(pending) == 1:
            return  # shown before the run's first key frame, and cannot be decoded without what came before it
        media = self._clock.observe(frame.timestamp, arrival)
        if pending and media < pending[-1].media:
            self._reordered = True
        if frame.sets is not None:
            self._learn(frame)
        pending.append(_Pending(media, frame, arrival))
        self._pending_bytes += frame.size
        if self._candidate >= 0 and not frame.leading:
            self._cut_at_key(self._candidate)
            pending = self._pending
        elif (
            (media - pending[0].media >= self._limit or self._pending_bytes > _MOST_BYTES)
            and self._candidate < 0
            and not frame.key
            and (at := self._inner_cut())
        ):
            self._write(at)
            pending = self._pending
        if frame.key and len(pending) > 1:
            self._candidate = len(pending) - 1

    def end(self, reason: Reason, detail: str = "") -> None:
        """The session has ended: what has come is written, the unit is closed, a gap begins."""
        if self._pending:
            self._write(len(self._pending))
        if self._unit is not None:
            self._close_unit(reason, None)
        self._pending, self._pending_bytes = [], 0
        self.waiting_since = None
        if self._closing == 0:
            self._account.interrupted(reason, detail)
        else:
            self._account.explain(detail)  # the unit that is being closed knows the reason

    def stop(self) -> None:
        """No run is going on and none will follow: a gap that is open is told up to now."""
        self._account.close(self._wall.now())

    # Runs

    def _new_clock(self, rate: float) -> RunClock:
        options = self._options
        return RunClock(
            rate=rate,
            earliest=self._run_end,
            correction_ppm=options.correction_ppm,
            step_seconds=options.step_seconds,
            window_seconds=options.window_seconds,
        )

    def _new_run(self, rate: float) -> None:
        self._run, self._number = new_id(), 0
        self._anchor.renew()
        self._clock = self._new_clock(rate)
        self._next_decode = 0

    def _may_begin(self, frame: Frame, arrival: float) -> bool:
        """Whether a run can begin with this frame."""
        if frame.sets is not None:
            self._learn(frame)
        if not frame.key or arrival < self._not_before:
            return False
        if self.format is None or set(self._sets) != set(self.format.sets):
            try:
                self.format = read_format(self._codec, self._sets)
            except Invalid:
                return False
        self._new_run(self._clock.rate)
        self.waiting_since = None
        return True

    # Parameter sets

    def _learn(self, frame: Frame) -> None:
        """The parameter sets in the frame are in force from the next key frame on (this one, if it is one)."""
        fresh = frame.sets or []
        if all(nal in self._sets for nal in fresh):
            return
        merged = merge_sets(self._codec, self._sets, fresh)
        try:
            read_format(self._codec, merged)
        except Invalid:
            try:
                read_format(self._codec, self._sets)
            except Invalid:
                self._sets = merged  # not all of them have come yet
            else:
                self._counts.bad_nals += 1  # a corrupt one does not replace one that is not
            return
        self._sets = merged

    # Fragments

    def _inner_cut(self) -> int:
        """Where a GOP that is too long for a fragment is cut, or 0: the last frame stays, it says what follows."""
        if not self._reordered:
            return len(self._pending) - 1
        return inner_cut([each.media for each in self._pending])

    def _cut_at_key(self, at: int) -> None:
        self._candidate = -1
        pending, unit = self._pending, self._unit
        key = pending[at]
        changed = self.format is None or set(self._sets) != set(self.format.sets)
        rotate = unit is not None and (key.arrival >= unit.rotate_at or unit.bytes > _LARGEST_UNIT)
        ending = self._clock.ending if key.arrival >= self._clock.ending_since else None
        if not (changed or rotate or ending) and key.media - pending[0].media < _SHORTEST:
            return
        self._write(at)
        if self._unit is None:
            return  # the disk failed
        if ending is not None:
            rest, rate = self._pending, self._clock.rate
            self._close_unit(ending, key.arrival)
            self._new_run(rate)
            for each in rest:
                each.media = self._clock.observe(each.frame.timestamp, each.arrival)
        elif changed or rotate:
            self._close_unit(None, None)
        if changed:
            try:
                self.format = read_format(self._codec, self._sets)
            except Invalid:
                self._counts.bad_nals += 1

    def _write(self, count: int) -> None:
        """The first `count` pending frames go to the disk as one fragment, in the open unit or a new one."""
        taken, self._pending = self._pending[:count], self._pending[count:]
        self._candidate = -1
        self._pending_bytes = sum(each.frame.size for each in self._pending)
        times = sorted(each.media for each in taken)
        until = min((each.media for each in self._pending), default=0)
        if not self._pending:
            until = times[-1] + (times[-1] - times[-2] if len(times) > 1 else _NOMINAL)
        unit = self._unit
        if unit is None:
            unit = self._unit = self._open_unit(taken[0])
        decode = decoding_times(times, until, self._next_decode)
        self._next_decode = decode[-1]
        frames = [each.frame for each in taken]
        late = (
            [each.media - at for each, at in zip(taken, decode, strict=False)]
            if self._reordered
            else repeat(0)
        )
        samples = [
            boxes.Sample(end - at, frame.size, frame.key, composition)
            for frame, at, end, composition in zip(frames, decode, decode[1:], late, strict=False)
        ]
        unit.fragments += 1
        begins = decode[0] - unit.origin
        head = boxes.fragment(unit.fragments, begins, samples)
        size = len(head) + sum(frame.size for frame in frames)
        unit.bytes += size
        ends, key_at = decode[-1] - unit.origin, begins if frames[0].key else None
        parts = [head, *chain.from_iterable(frame.parts for frame in frames)]
        if not unit.file.append(parts, size, len(samples), ends, key_at):
            self._give_up(unit.file.failed or "disk_slow")
            return
        if self._anchor.is_left_behind():
            self._clock.ending = self._clock.ending or "clock_step"

    # Units

    def _open_unit(self, first: _Pending) -> _Open:
        assert self.format is not None
        start = self._anchor.wall(self._clock.start_estimate())
        if self._number == 0:
            self._next_decode = first.media
        name = f"{start:%Y%m%dT%H%M%S}{start.microsecond // 1000:03}Z-{self._options.fence}"
        name += f"-{self._run.hex[-8:]}-{self._number}.mp4"
        file = UnitFile(self._disk, self._disk.folder / self._options.name / f"{start:%Y%m%d}" / name)
        told = {
            "koinon": 1,
            "camera": self._options.name,
            "stream": self._options.stream,
            "copy": self._options.copy,
            "run": self._run,
            "number": self._number,
            "fence": self._options.fence,
            "start": start,
            "codec": self.format.codec_string,
        }
        told_box = boxes.uuid_box(boxes.OPENING, msgspec.json.encode(told))
        if self._init_of is not self.format:  # made once a format, shared by its units
            self._init_of, self._init = self.format, boxes.opening(self.format)
        file.open(boxes.opening(self.format, start.timestamp()) + told_box)
        unit = _Open(
            file=file,
            run=self._run,
            number=self._number,
            format=self.format,
            init=self._init,
            origin=self._next_decode,
            rotate_at=self._monotonic() + self._until_rotation(start.timestamp()),
            counts=self._accounted,
        )
        self._number += 1
        return unit

    def _until_rotation(self, unix: float) -> float:
        """Seconds to the next turn of this camera, each at its own phase so that they do not all turn at once."""
        length = self._options.unit_seconds
        turn = (math.floor((unix - self._phase) / length) + 1) * length + self._phase
        seconds = turn - unix
        return seconds if seconds >= length / 4 else seconds + length

    def _close_unit(self, reason: Reason | None, until: float | None) -> None:
        """The open unit ends; it is told once it is durable."""
        unit, self._unit = self._unit, None
        assert unit is not None
        spacing = self._clock.close_unit(self._next_decode, until)
        self._run_end = spacing.start + spacing.wall_seconds
        start, now = self._anchor.wall(spacing.start), msgspec.structs.replace(self._counts)
        self._accounted = now
        planned = self._next_decode - unit.origin
        camera_us, file, options = self._camera_us, unit.file, self._options

        def facts() -> Unit:
            missing = (planned - file.ticks) / TICKS
            return Unit(
                path=file.path,
                camera=options.name,
                stream=options.stream,
                copy=options.copy,
                run=unit.run,
                number=unit.number,
                fence=options.fence,
                start=start,
                wall_us=max(0, round((spacing.wall_seconds - missing) * 1e6)),
                media_ticks=file.ticks,
                delta_us=round(spacing.delta_seconds * 1e6),
                camera_us=camera_us,
                frames=file.frames,
                key_frames=tuple(file.key_frames),
                lost_packets=lost.lost,
                damaged_frames=lost.damaged_frames,
                bad_nals=lost.bad_nals,
                codec=unit.format.codec_string,
                width=unit.format.width,
                height=unit.format.height,
                bytes=file.size,
                sha256="",
                end_reason=file.failed or reason,
                init=unit.init,
            )

        lost = Counts(
            lost_packets=now.lost_packets - unit.counts.lost_packets,
            damaged_frames=now.damaged_frames - unit.counts.damaged_frames,
            bad_nals=now.bad_nals - unit.counts.bad_nals,
            loss_known=now.loss_known,
        )

        def done(digest: str | None) -> None:
            told = msgspec.structs.replace(facts(), sha256=digest) if digest else None
            ended = file.failed or reason
            self._loop.call_soon_threadsafe(self._closed, told, ended)

        self._closing += 1
        self._settled.clear()
        file.close(lambda: boxes.closing(facts()), done)

    def _give_up(self, reason: Reason) -> None:
        """The disk takes no more: the run ends, and is tried again with a key frame a little later."""
        self._close_unit(reason, None)
        self._pending, self._pending_bytes, self._candidate = [], 0, -1
        self._not_before = self._monotonic() + _RETRY_SECONDS

    def _closed(self, unit: Unit | None, reason: Reason | None) -> None:
        """A file is closed: the unit is told, or, where nothing is in it, why not."""
        self._closing -= 1
        if self._closing == 0:
            self._settled.set()
        if unit is None:
            self._account.interrupted(reason or "disk_error")
        else:
            self._account.unit(unit)
