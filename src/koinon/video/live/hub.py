"""The hub of a web process: one subscription a stream, any number of viewers.

A frame becomes one WebSocket message, made once; each viewer's connection is given that very object. A viewer who
does not keep up loses frames up to the next key frame and holds nobody else; what waits for one is bounded.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from koinon.base.errors import Unavailable
from koinon.base.metrics import counter, gauge
from koinon.video.live import messages
from koinon.video.live.link import Link
from koinon.video.live.timeline import Timeline
from koinon.video.live.wire import Flag, FrameHead
from koinon.video.recorder.nal import Format

GOP_BYTES: Final = 8 << 20
"""The most that is kept of a GOP: of one that is longer, a viewer who comes waits for the next key frame."""
VIEWER_BYTES: Final = 512 << 10
"""What may wait for one viewer, besides the GOP with which it begins: above it, frames are left out."""
RESUME_BYTES: Final = 64 << 10
_LINGER_SECONDS: Final = 5.0  # a stream that nobody watches is kept, for who reloads the page
_SILENT_SECONDS: Final = 3.0
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)

_log = structlog.get_logger(__name__)
_watched = gauge("koinon_live_viewers", "Viewers who watch live in this process.")
_streams = gauge("koinon_live_streams", "Streams that are watched live in this process.")
_left_out = counter("koinon_live_left_out_total", "Frames left out for viewers who did not keep up.")

Locate = Callable[[int], Awaitable[str | None]]


class Outlet(Protocol):
    """The connection of a viewer: an `asyncio.Transport`, or what stands for one."""

    def write(self, data: bytes, /) -> None:
        """The bytes will be sent."""

    def get_write_buffer_size(self) -> int:
        """What waits to be sent."""

    def is_closing(self) -> bool:
        """Whether nothing is sent any more; uvloop's transport then raises whatever is asked of it."""


class Viewer:
    """One who watches one stream.

    Attributes:
        bytes: sent so far, or waiting in its connection.
        left_out: frames it lost because it did not keep up.
        stopped: nothing is sent any more.
    """

    def __init__(self, outlet: Outlet) -> None:
        self.bytes = 0
        self.left_out = 0
        self.stopped = False
        self._outlet = outlet
        self._behind = True  # until a key frame comes
        self._begun_with = 0  # bytes of the GOP with which it began, as long as some of them wait
        self._since = 0
        self._told = 0

    def bytes_since(self) -> int:
        """Bytes sent since it was asked last."""
        new, self._told = self.bytes - self._told, self.bytes
        return new

    def restart(self) -> None:
        """It goes on, with another stream."""
        self._behind, self._since = True, 0

    def stop(self) -> None:
        """Nothing is sent any more, from this moment."""
        self.stopped = True

    def take(self, data: bytes, key: bool) -> None:
        """A frame is sent, or left out."""
        outlet = self._outlet
        if self.stopped or outlet.is_closing():
            return
        waiting = outlet.get_write_buffer_size()
        if self._behind:
            if not key or waiting > RESUME_BYTES:
                self._since += 1
                return
            self._resume()
        elif waiting > VIEWER_BYTES + self._begun_with:
            self._behind, self._since = True, 1
            return
        elif waiting <= RESUME_BYTES:
            self._begun_with = 0
        outlet.write(data)
        self.bytes += len(data)

    def begin(self, pieces: list[bytes]) -> None:
        """The opening, and the GOP that is going on if it is there, in one piece: a picture is there at once."""
        if self.stopped or not pieces or self._outlet.is_closing():
            return
        data = b"".join(pieces)
        self._behind = len(pieces) == 1
        self._since, self._begun_with = 0, len(data)
        self._outlet.write(data)
        self.bytes += len(data)

    def say(self, data: bytes) -> None:
        """A message that is no frame."""
        if not self.stopped and not self._outlet.is_closing():
            self._outlet.write(data)

    def _resume(self) -> None:
        self._behind = False
        if self._since:
            self.left_out += self._since
            _left_out.inc(self._since)
            self.say(messages.text(left_out=self._since))
            self._since = 0


class Channel:
    """One stream in this process: subscribed to once, sent to all who watch it.

    Attributes:
        away: why no frames come now, or None.
    """

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.viewers: list[Viewer] = []
        self.away: str | None = "connecting"
        self.last_frame_at = time.monotonic()
        self.gone = asyncio.Event()
        self._format: Format | None = None
        self._opening = b""
        self._gop: list[bytes] = []
        self._gop_bytes = 0
        self._timeline = Timeline()
        self._number = 0

    def join(self, viewer: Viewer) -> None:
        """The viewer is sent what it needs for a picture now, and each frame from now on."""
        self.viewers.append(viewer)
        _watched.inc()
        if self.away is not None:
            viewer.say(messages.text(away=self.away))
        elif self._opening:
            viewer.begin([self._opening, *self._gop])

    def leave(self, viewer: Viewer) -> None:
        """The viewer is sent nothing more of this stream."""
        if viewer in self.viewers:
            self.viewers.remove(viewer)
            _watched.dec()

    # What the link tells

    def on_format(self, format_: Format) -> None:
        """A new opening: what follows, from a key frame on, is decoded by it."""
        if format_ == self._format:
            return
        self._format = format_
        self._opening = messages.opening(format_)
        self._gop, self._gop_bytes = [], 0
        for viewer in self.viewers:
            viewer.begin([self._opening])

    def on_frame(self, head: FrameHead, data: bytes) -> None:
        """A frame, to all."""
        key = head.flags & Flag.KEY != 0
        self.last_frame_at = time.monotonic()
        if self._format is None or (self.away is not None and not key):
            return
        reordered = self._timeline.reordered
        placed = self._timeline.place(head.stamp)
        self._number += 1
        made = messages.media(self._number, placed, head.wall_us, key, data)
        if self._timeline.reordered and not reordered:
            # What went before was placed as if shown in order. Seldom: once, for a camera that uses B-frames.
            self._gop, self._gop_bytes = [], 0
        if key:
            if self.away is not None:
                self._back()
            self._gop, self._gop_bytes = [made], len(made)
        elif self._gop:
            self._gop.append(made)
            self._gop_bytes += len(made)
            if self._gop_bytes > GOP_BYTES:
                self._gop, self._gop_bytes = [], 0
        for viewer in self.viewers:
            viewer.take(made, key)

    def on_away(self, reason: str) -> None:
        """No frames come; who watches is told why, and shows no old picture as if it were now."""
        if self.away == reason:
            return
        self.away = reason
        self._gop, self._gop_bytes = [], 0
        told = messages.text(away=reason)
        for viewer in self.viewers:
            viewer.say(told)

    def on_gone(self, reason: str) -> None:
        """The recorder is there no more, or serves another's."""
        self.on_away(reason)
        self.gone.set()

    def _back(self) -> None:
        self.away = None
        for viewer in self.viewers:
            viewer.begin([self._opening])


class Hub:
    """All streams that are watched in this process. `locate` tells the address of the tap that serves a stream."""

    def __init__(self, locate: Locate, key: bytes) -> None:
        self._locate, self._key = locate, key
        self._channels: dict[int, Channel] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._links: dict[str, Link] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    def join(self, stream: int, viewer: Viewer) -> Channel:
        """The viewer watches the stream from now on."""
        channel = self._channels.get(stream)
        if channel is None:
            channel = self._channels[stream] = Channel(stream)
            self._tasks[stream] = asyncio.create_task(self._follow(channel), name=f"live-{stream}")
            _streams.set(len(self._channels))
        channel.join(viewer)
        return channel

    async def close(self) -> None:
        """Nothing is watched any more."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for link in self._links.values():
            link.close()

    async def _follow(self, channel: Channel) -> None:
        """The channel is served for as long as somebody watches, by whoever serves it then."""
        failures = 0
        try:
            while not await self._unwatched(channel):
                began = time.monotonic()
                try:
                    await self._serve(channel)
                except Unavailable as error:
                    channel.on_away(error.code)
                except Exception:
                    _log.exception("live_channel_failed", stream=channel.stream)
                    channel.on_away("recorder_unreachable")
                failures = 0 if time.monotonic() - began > _PAUSES[-1] else failures + 1
                if channel.viewers:
                    await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])
        finally:
            del self._channels[channel.stream], self._tasks[channel.stream]
            _streams.set(len(self._channels))
            for viewer in channel.viewers:
                viewer.say(messages.text(away="service_stopping"))

    async def _unwatched(self, channel: Channel) -> bool:
        """Whether nobody has watched for a while; who comes meanwhile is served at once."""
        until = time.monotonic() + _LINGER_SECONDS
        while not channel.viewers:
            if time.monotonic() > until:
                return True
            await asyncio.sleep(0.1)
        return False

    async def _serve(self, channel: Channel) -> None:
        """The channel has been served by one tap, until that ended or nobody watched any more."""
        address = await self._locate(channel.stream)
        if address is None:
            raise Unavailable("not_recorded")
        link = await self._link(address)
        channel.gone.clear()
        channel.last_frame_at = time.monotonic()
        link.subscribe(channel.stream, channel)
        unwatched_since: float | None = None
        try:
            while not channel.gone.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await channel.gone.wait()
                now = time.monotonic()
                if now - channel.last_frame_at > _SILENT_SECONDS:
                    if channel.away is None:
                        channel.on_away("silent")
                    if await self._locate(channel.stream) != address:
                        return
                if channel.viewers:
                    unwatched_since = None
                elif unwatched_since is None:
                    unwatched_since = now
                elif now - unwatched_since > _LINGER_SECONDS:
                    return
        finally:
            link.unsubscribe(channel.stream)
            if link.idle:
                link.close()
                self._links.pop(address, None)

    async def _link(self, address: str) -> Link:
        lock = self._opening.setdefault(address, asyncio.Lock())
        async with lock:
            link = self._links.get(address)
            if link is None or link.lost:
                link = self._links[address] = await Link.open(address, self._key)
            return link
