"""One track as a recorder process records it, and how its camera is made from what the register says."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from koinon.base.clock import Clock
from koinon.video.cameras.model import Camera as Registered
from koinon.video.cameras.model import Driver, Network, Stream
from koinon.video.cameras.networks import resolve
from koinon.video.cameras.sources import SourceKey
from koinon.video.recorder import Camera, Disk, Gap, Options, Reason, Source, Unit, parse_source
from koinon.video.recordings.model import Track

FPS_SECONDS: Final = 20.0
"""Over which frames are counted."""


class Tap(Protocol):
    """What serves frames to those who watch live."""

    address: str

    def frame(self, stream: int, frame: Any, format_: Any = None) -> None:
        """A frame has arrived."""

    def away(self, stream: int, reason: str) -> None:
        """No frames come from the camera now."""

    def forget(self, stream: int) -> None:
        """This process records the stream no more."""

    def watched(self, stream: int) -> bool:
        """Whether anybody watches the stream."""


class _Tapped:
    """The watcher of one stream, for the tap."""

    def __init__(self, tap: Tap, stream: int) -> None:
        self._frame, self._away, self._watched, self._stream = tap.frame, tap.away, tap.watched, stream

    def frame(self, frame: Any, format_: Any) -> None:
        self._frame(self._stream, frame, format_)

    def away(self, reason: str) -> None:
        self._away(self._stream, reason)

    def watched(self) -> bool:
        return self._watched(self._stream)


class Recording:
    """One track as this process records it."""

    camera: Camera

    def __init__(self, track: Track, fence: int, stream: Stream, registered: Registered) -> None:
        self.track, self.fence, self.stream, self.registered = track, fence, stream, registered
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.last: Unit | None = None
        self.since = time.monotonic()
        self.counted = (time.monotonic(), 0)
        self.fps: float | None = None

    @property
    def configuration(self) -> tuple[Any, ...]:
        """What makes a new session necessary when it changes."""
        return configuration(self.stream, self.registered)

    def measure(self, now: float) -> None:
        """Frames a second are counted anew, every so often and only while it records."""
        frames = self.camera.counts.frames
        if self.camera.state != "recording":
            self.counted, self.fps = (now, frames), None
        elif now - self.counted[0] >= FPS_SECONDS:
            self.fps = (frames - self.counted[1]) / (now - self.counted[0])
            self.counted = (now, frames)


def configuration(stream: Stream, registered: Registered) -> tuple[Any, ...]:
    """What makes a new session necessary when it changes."""
    return (stream.sealed_source, stream.driver, registered.code, registered.owner)


class CameraMaker:
    """Makes the cameras of one process."""

    def __init__(
        self, key: SourceKey, options: Callable[..., Options], clock: Clock, tap: Tap | None
    ) -> None:
        self._key, self._options, self._clock, self._tap = key, options, clock, tap

    def make(
        self,
        track: Track,
        fence: int,
        stream: Stream,
        registered: Registered,
        networks: Mapping[Any, list[Network]],
        *,
        disk: Disk | None = None,
        on_unit: Callable[[Unit], None] = lambda unit: None,
        on_gap: Callable[[Gap], None] = lambda gap: None,
        since: tuple[datetime, Reason] | None = None,
    ) -> Camera:
        """A camera that writes to `disk`, if there is one, and shows its frames to the tap, if there is one.

        `networks` are those in which cameras of each party may stand, looked at anew for every session; `since` is
        when its last unit ended and why, as the gap until its first one is to be told.

        Raises:
            KoinonError: its source cannot be opened or read.
        """

        async def locate(source: Source) -> Source:
            address = await resolve(source.host, source.port, networks.get(registered.owner, []))
            return msgspec.structs.replace(source, address=address)

        url, kind = self._key.open_source(stream), Camera
        if stream.driver == Driver.AV:
            from koinon.video.recorder.av import SCHEMES, AvCamera

            source, kind = parse_source(url, SCHEMES), AvCamera
        else:
            source = parse_source(url)
        return kind(
            source,
            self._options(name=registered.code, stream=track.stream, copy=track.copy, fence=fence),
            disk,
            on_unit=on_unit,
            on_gap=on_gap,
            clock=self._clock,
            since=since,
            locate=locate,
            watcher=_Tapped(self._tap, track.stream) if self._tap is not None else None,
        )
