"""A camera is recorded until told to stop: sessions follow each other, what lies between is a gap."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final

import structlog

from koinon.base.clock import Clock, SystemClock
from koinon.video.recorder.disk import Disk
from koinon.video.recorder.model import Gap, Options, Source, Unit
from koinon.video.recorder.nal import Codec
from koinon.video.recorder.rtp import Counts, Depacketiser, H264Depacketiser, H265Depacketiser
from koinon.video.recorder.rtsp import Session, SessionFailed
from koinon.video.recorder.track import Track

_HEALTHY_SECONDS: Final = 30.0  # a session that lasted so long starts the pauses anew
_SETTLE_SECONDS: Final = 30.0  # for the last unit to become durable

_DEPACKETISERS: Final[dict[Codec, type[Depacketiser]]] = {"h264": H264Depacketiser, "h265": H265Depacketiser}

_log = structlog.get_logger(__name__)


class Camera:
    """The recording of one camera.

    Attributes:
        counts: of what arrived and what did not arrive whole, over all sessions.
        state: `connecting`, `recording`, or the reason why it is not; for health pages.
    """

    def __init__(
        self,
        source: Source,
        options: Options,
        disk: Disk,
        *,
        on_unit: Callable[[Unit], None],
        on_gap: Callable[[Gap], None],
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.counts = Counts()
        self.state: str = "connecting"
        self._source, self._options, self._disk = source, options, disk
        self._on_unit, self._on_gap = on_unit, on_gap
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._failures = 0

    async def record(self, stop: asyncio.Event) -> None:
        """The camera has been recorded until `stop` was set; every unit and gap has been told."""
        loop = asyncio.get_running_loop()
        track = Track(self._options, self._disk, self._clock, loop, self._on_unit, self._on_gap)
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                began = loop.time()
                failure = await self._session(track, stopping)
                track.end(failure.reason, failure.detail)
                if stop.is_set():
                    break
                self.state = failure.reason
                _log.warning(
                    "camera_session_ended",
                    camera=self._options.name, reason=failure.reason, detail=failure.detail,
                )  # fmt: skip
                healthy = loop.time() - began > _HEALTHY_SECONDS
                self._failures = 1 if healthy else self._failures + 1
                await asyncio.wait([stopping], timeout=self._pause())
        finally:
            stopping.cancel()
            track.end("stopped")
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
            return SessionFailed("stopped")
        error = work.exception()
        if isinstance(error, SessionFailed):
            return error
        # A mistake of ours. One camera's must not end its recording for good, nor pass unseen.
        _log.error("camera_session_crashed", camera=self._options.name, exc_info=error)
        return SessionFailed("crashed", type(error).__name__)

    async def _play(self, track: Track) -> None:
        session = Session(self._source, self._options)
        try:
            media = await session.open()
            track.begin(media.codec, list(media.sets), self.counts)
            depacketiser = _DEPACKETISERS[media.codec](media.payload_type, track.frame)
            depacketiser.counts = self.counts
            await session.play(depacketiser, track.report)
            track.await_key_frame()
            self.state = "recording"
            await session.watch(lambda: self._check(track))
        finally:
            await session.close()

    def _check(self, track: Track) -> SessionFailed | None:
        since, limit = track.waiting_since, self._options.key_frame_seconds
        if since is not None and self._clock.monotonic() - since > limit:
            return SessionFailed("no_key_frame", f"none to begin with for {limit:g} s")
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
