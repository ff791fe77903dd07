"""A stretch of the past, read from a system that replays it, becomes units as old as their pictures.

Every picture says itself when it was taken; how fast it arrives says nothing. So the same `Track` that records cameras
is given a clock that shows the time of the picture in hand, and names, lengths and turns of units follow from that.

Source: ONVIF Streaming Specification 17.06, section 6 (replay: the feature `onvif-replay`, `Rate-Control`, the RTP
header extension 0xABAC); RFC 2326 section 3.7 (`clock`) and 11.3.5 (457).
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from koinon.video.recorder.disk import Disk
from koinon.video.recorder.model import Options, Reason, Source, Unit
from koinon.video.recorder.nal import Codec, merge_sets
from koinon.video.recorder.replay.heads import DEPACKETISERS, Head
from koinon.video.recorder.replay.sieve import LEAD_SECONDS, MOST_BEFORE, Jump, Sieve
from koinon.video.recorder.rtp import Frame
from koinon.video.recorder.rtsp import Session, SessionFailed
from koinon.video.recorder.track import Track

FEATURE: Final = "onvif-replay"

BYTES_PER_SECOND: Final = 32 << 20
TIMES_REAL: Final = 100
"""Most that one replay takes, in bytes and in seconds of pictures a second: however fast the other side sends, the
process has other things to do, and must confirm its standing.
"""

MOST_PER_SECOND: Final = 8 << 20
"""Bytes for a second of pictures, on average, above what is kept to begin with: no camera needs half of it, and a bad
system is not to fill the disk of others' recorders.
"""

_MOST_WAITING: Final = 32 << 20  # bytes that the disk has not taken yet
_SETTLE_SECONDS: Final = 30.0
_AHEAD_SECONDS: Final = 0.02


class _Track(Track):
    """One that is not tried again when the disk fails: the other side has the pictures still."""

    gave_up: Reason | None = None

    def _give_up(self, reason: Reason) -> None:
        super()._give_up(reason)
        self.gave_up = reason


class PictureClock:
    """Shows when the picture in hand was taken."""

    def __init__(self, unix: float) -> None:
        self.unix = unix

    def now(self) -> datetime:
        """As `Clock.now`."""
        return datetime.fromtimestamp(self.unix, UTC)

    def monotonic(self) -> float:
        """As `Clock.monotonic`."""
        return self.unix


class Outcome(msgspec.Struct, frozen=True):
    """What became of a replay.

    Attributes:
        reached: up to when (Unix seconds) the other side has told all it has.
        reason: why it has not told the rest; None where it has. `stopped` where we did not want it any more.
        detail: what it said, for an operator; no credentials.
        jumps: what it passed over.
    """

    reached: float
    reason: Reason | None
    detail: str = ""
    jumps: tuple[Jump, ...] = ()


class Replay:
    """One stretch, fetched once. Units are told to `on_unit` when they are durable.

    Attributes:
        bytes: of pictures, so far.
        reached: up to when (Unix seconds) pictures have come.
    """

    def __init__(
        self,
        source: Source,
        options: Options,
        disk: Disk,
        since: datetime,
        until: datetime,
        *,
        on_unit: Callable[[Unit], None],
        agent: str = "Koinon",
    ) -> None:
        self.bytes = 0
        self._options, self._disk, self._on_unit = options, disk, on_unit
        self._since, self._until = since.timestamp(), until.timestamp()
        self._sieve = Sieve(self._since, self._until)
        self._clock = PictureClock(self._since)
        self._session = Session(source, options, agent=agent)
        self._heads: dict[int, Head] = {}
        self._head: tuple[int, Head] | None = None
        self._codec: Codec = "h264"
        self._sets: list[bytes] = []
        self._cut = self._held = False

    @property
    def reached(self) -> float:
        """See the class."""
        return self._sieve.reached

    def cut(self) -> None:
        """Not another byte is read; `run` ends when its `stop` is set."""
        self._cut = True
        self._session.hold(True)

    async def run(self, stop: asyncio.Event) -> Outcome:
        """The stretch has been read, as far as the other side gives it or until `stop`; every unit has been told."""
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._track = _Track(
            self._options, self._disk, self._clock, self._loop, self._on_unit, lambda gap: None
        )
        work = asyncio.create_task(self._play())
        stopping = asyncio.create_task(stop.wait())
        waited: set[asyncio.Future[Any]] = {work, stopping, self._done}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            failure = self._failure(work, stopping)
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait([work])
            self._track.end("stopped")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_SECONDS):
                    await self._track.settle()
        sieve = self._sieve
        if failure is None or (failure.reason in ("silent", "camera_closed") and self._told_its_end()):
            return Outcome(self._until, None, jumps=tuple(sieve.jumps))
        return Outcome(sieve.reached, failure.reason, failure.detail, tuple(sieve.jumps))

    def _failure(self, work: "asyncio.Task[None]", stopping: "asyncio.Task[bool]") -> SessionFailed | None:
        if self._done.done():
            error: BaseException | None = self._done.exception()
        elif stopping.done() or not work.done():
            error = SessionFailed("stopped")
        else:
            error = work.exception()
        if error is None or isinstance(error, SessionFailed):
            return error
        raise error

    def _told_its_end(self) -> bool:
        """Whether the last picture said that none follows: then silence is an answer."""
        return self._head is not None and (self._head[1].gap_follows or self._head[1].last)

    async def _play(self) -> None:
        session = self._session
        try:
            media = await session.open()
            self._codec, self._sets = media.codec, list(media.sets)
            depacketiser = DEPACKETISERS[media.codec](media.payload_type, self._frame)
            depacketiser.heads = self._heads
            self._depacketiser = depacketiser
            self._track.begin(self._codec, self._sets, depacketiser.counts)
            lead = LEAD_SECONDS
            await session.play(
                depacketiser,
                what={
                    "Range": f"clock={_utc(self._since - lead)}-{_utc(self._until + lead)}",
                    "Rate-Control": "no",
                },
                require=FEATURE,
            )
            length = self._until - self._since
            ends = self._loop.time() + 120.0 + 2 * length
            await session.watch(
                lambda: SessionFailed("silent", "too slow") if self._loop.time() > ends else None
            )
        finally:
            if self._cut:
                session.abort()
            else:
                session.hold(False)
                await session.close()

    def _frame(self, frame: Frame) -> None:
        """A picture has come. Called by the connection, so that what goes wrong is told by `_done`."""
        if self._done.done() or self._cut:
            return
        try:
            self._take(frame)
        except Exception as error:
            if not isinstance(error, SessionFailed):
                structlog.get_logger(__name__).exception("replay_failed", camera=self._options.name)
                error = SessionFailed("crashed", type(error).__name__)
            self._done.set_exception(error)
            self._session.hold(True)
            return
        if self._sieve.over:
            self._done.set_result(None)
            self._session.hold(True)
            return
        self._pace(frame.size)

    def _take(self, frame: Frame) -> None:
        head = self._heads.pop(frame.timestamp, None)
        if head is None and self._head is not None and self._head[0] == frame.timestamp:
            head = self._head[1]  # another slice of the same picture
        if head is None:
            raise SessionFailed("protocol", "a picture that does not say when it was taken")
        self._head = (frame.timestamp, head)
        length = self._until - self._since + 2 * LEAD_SECONDS
        if self.bytes + frame.size > MOST_BEFORE + MOST_PER_SECOND * length:
            raise SessionFailed("protocol", "more bytes than pictures of that time have")
        step = self._sieve.take(frame, head)
        for index, (each, its) in enumerate(step.frames):
            if step.anew and index == 0:
                self._track.end("not_held")
            self._clock.unix = its.unix
            if step.anew and index == 0:
                self._track.begin(self._codec, self._sets, self._depacketiser.counts)
            if each.sets:
                self._sets = merge_sets(self._codec, self._sets, each.sets)
            self._track.frame(each)
            if self._track.gave_up is not None:
                raise SessionFailed(self._track.gave_up)

    def _pace(self, size: int) -> None:
        """The other side waits where we or the disk would be overrun."""
        self.bytes += size
        if not self._held and (ahead := self._ahead()) > _AHEAD_SECONDS:
            self._held = True
            self._session.hold(True)
            self._loop.call_later(ahead, self._go_on)

    def _ahead(self) -> float:
        """Seconds by which more has come than is to come."""
        due = max(self.bytes / BYTES_PER_SECOND, (self.reached - self._since) / TIMES_REAL)
        ahead = due - (self._loop.time() - self._began)
        return max(ahead, _AHEAD_SECONDS * 2) if self._disk.waiting > _MOST_WAITING else ahead

    def _go_on(self) -> None:
        if self._cut or self._done.done():
            return
        if (ahead := self._ahead()) > 0:
            self._loop.call_later(ahead, self._go_on)
            return
        self._held = False
        self._session.hold(False)


def _utc(unix: float) -> str:
    """As RFC 2326 section 3.7 writes a moment."""
    return f"{datetime.fromtimestamp(unix, UTC):%Y%m%dT%H%M%S.%f}Z"
