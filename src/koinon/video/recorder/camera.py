"""A camera is recorded until told to stop: sessions follow each other, what lies between is a gap."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Protocol

import structlog

from koinon.base.clock import Clock, SystemClock
from koinon.base.errors import KoinonError
from koinon.video.recorder.disk import Disk
from koinon.video.recorder.model import Gap, Options, Reason, Source, Unit
from koinon.video.recorder.nal import Codec, Format
from koinon.video.recorder.passing import Unkept
from koinon.video.recorder.rtp import Counts, Depacketiser, Frame, H264Depacketiser, H265Depacketiser
from koinon.video.recorder.rtsp import Session, SessionFailed
from koinon.video.recorder.track import Track

_HEALTHY_SECONDS: Final = 30.0  # a session that lasted so long starts the pauses anew
_SETTLE_SECONDS: Final = 30.0  # for the last unit to become durable

_DEPACKETISERS: Final[dict[Codec, type[Depacketiser]]] = {"h264": H264Depacketiser, "h265": H265Depacketiser}

_log = structlog.get_logger(__name__)


class Watcher(Protocol):
    """Somebody who sees a camera's frames as they arrive, such as the live view. Called in the loop; must not raise."""

    def frame(self, frame: Frame, format_: Format | None) -> None:
        """A frame has arrived; it is recorded after this. `format_` is the one in force before it, once known."""

    def away(self, reason: str) -> None:
        """No frames come now, for this reason."""

    def watched(self) -> bool:
        """Whether each frame is wanted as soon as it comes; else a few may come together. Asked every second."""


class Camera:
    """The recording of one camera.

    Attributes:
        counts: of what arrived and what did not arrive whole, over all sessions.
        state: `connecting`, `recording`, or the reason why it is not; for health pages.
        detail: what the camera said last about that.
        frame_rate: frames a second, as the camera says of itself, or None.
        left_out: tracks that are not recorded, by their codecs.
        ending: why the recording ends when it is told to stop.
    """

    def __init__(
        self,
        source: Source,
        options: Options,
        disk: Disk | None,
        *,
        on_unit: Callable[[Unit], None],
        on_gap: Callable[[Gap], None],
        clock: Clock | None = None,
        chance: random.Random | None = None,
        since: tuple[datetime, Reason] | None = None,
        locate: Callable[[Source], Awaitable[Source]] | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """Without a disk the camera is only watched: nothing is kept or told. `since`: see `Account`.

        `locate` is asked before each connection where to connect to, and may refuse by raising `KoinonError`.
        """
        self.counts = Counts()
        self.state: str = "connecting"
        self.detail = ""
        self.frame_rate: float | None = None
        self.left_out: tuple[str, ...] = ()
        self.ending: Reason = "stopped"
        self._since, self._locate, self._watcher = since, locate, watcher
        self._source, self._options, self._disk = source, options, disk
        self._on_unit, self._on_gap = on_unit, on_gap
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._failures = 0

    async def record(self, stop: asyncio.Event) -> None:
        """The camera has been recorded until `stop` was set; every unit and gap has been told."""
        loop = asyncio.get_running_loop()
        track: Track = Unkept(self._clock)
        if self._disk is not None:
            track = Track(
                self._options, self._disk, self._clock, loop, self._on_unit, self._on_gap, self._since
            )
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                began = loop.time()
                failure = await self._session(track, stopping)
                track.end(failure.reason, failure.detail)
                if stop.is_set():
                    break
                self.state, self.detail = failure.reason, failure.detail
                if self._watcher is not None:
                    self._watcher.away(failure.reason)
                _log.warning(
                    "camera_session_ended",
                    camera=self._options.name, reason=failure.reason, detail=failure.detail,
                )  # fmt: skip
                healthy = loop.time() - began > _HEALTHY_SECONDS
                self._failures = 1 if healthy else self._failures + 1
                await asyncio.wait([stopping], timeout=self._pause())
        finally:
            stopping.cancel()
            track.end(self.ending)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_SECONDS):
                    await track.settle()
            track.stop()
            self.state = "stopped"

    async def _session(self, track: Track, stopping: "asyncio.Task[bool]") -> SessionFailed:
        """One session, from connection to its end."""
        work = asyncio.create_task(self._play(track))
        try:
            await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not work.done():
                work.cancel()
            await asyncio.wait([work])
        if work.cancelled():
            return SessionFailed(self.ending)
        error = work.exception()
        if isinstance(error, SessionFailed):
            return error
        # A mistake of ours. One camera's must not end its recording for good, nor pass unseen.
        _log.error("camera_session_crashed", camera=self._options.name, exc_info=error)
        return SessionFailed("crashed", type(error).__name__)

    async def _play(self, track: Track) -> None:
        session = Session(await self._located(), self._options)
        try:
            media = await session.open()
            self.frame_rate, self.left_out = media.frame_rate, media.left_out
            track.begin(media.codec, list(media.sets), self.counts)
            depacketiser = _DEPACKETISERS[media.codec](media.payload_type, self._deliver(track))
            depacketiser.counts = self.counts
            await session.play(depacketiser, track.report)
            track.await_key_frame()
            self.state, self.detail = "recording", ""
            watcher = self._watcher
            await session.watch(
                lambda: self._check(track), (lambda: False) if watcher is None else watcher.watched
            )
        finally:
            await session.close()

    async def _located(self) -> Source:
        if self._locate is None:
            return self._source
        try:
            return await self._locate(self._source)
        except KoinonError as error:
            raise SessionFailed("unreachable" if error.status == 503 else "refused", error.code) from None

    def _deliver(self, track: Track) -> Callable[[Frame], None]:
        """Where frames go: without a watcher straight to the recording."""
        if (watcher := self._watcher) is None:
            return track.frame
        record, watch = track.frame, watcher.frame

        def both(frame: Frame) -> None:
            watch(frame, track.format)
            record(frame)

        return both

    def _check(self, track: Track) -> SessionFailed | None:
        now, options = self._clock.monotonic(), self._options
        if (since := track.waiting_since) is not None and now - since > options.key_frame_seconds:
            return SessionFailed("no_key_frame", f"none to begin with for {options.key_frame_seconds:g} s")
        if (due := track.due) is not None and now - due > options.gop_seconds:
            return SessionFailed("no_key_frame", f"none to turn at for {options.gop_seconds:g} s")
        return None

    def _pause(self) -> float:
        """Seconds before the next attempt: doubling, and at random below that, lest a switch that comes back be
        met by all cameras at once.
        """
        options = self._options
        longest: float = min(
            options.backoff_limit_seconds, options.backoff_seconds * 2.0 ** min(self._failures - 1, 16)
        )
        return longest * self._chance.uniform(0.5, 1.0)
