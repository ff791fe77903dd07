"""The hub of a web process: one subscription a stream, any number of viewers.

What may only leave masked is a channel of its own, fed from the plain one (`masking.py`).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from koinon.base.errors import TooMany, Unavailable
from koinon.base.metrics import gauge
from koinon.video.cameras.model import CameraId
from koinon.video.live import messages
from koinon.video.live.channel import Channel, Viewer
from koinon.video.live.link import Link
from koinon.video.live.masking import Masking
from koinon.video.live.wire import Flag, FrameHead
from koinon.video.recorder.nal import Format

_LINGER_SECONDS: Final = 5.0  # a stream that nobody watches is kept, for who reloads the page
_SILENT_SECONDS: Final = 3.0
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)

_log = structlog.get_logger(__name__)
_streams = gauge("koinon_live_streams", "Streams that are watched live in this process.")

Locate = Callable[[int], Awaitable[str | None]]
Ask = Callable[[int], Awaitable[bool]]
# A stream that says one of these may still come within a moment.
_PASSING: Final = frozenset({"connecting", "silent", "recorder_unreachable"})
_Key = tuple[int, CameraId | None]  # the camera under whose masks, or None: the picture as it is


class Hub:
    """All streams that are watched in this process. `locate` tells the address of the tap that serves a stream;
    `ask` asks for one that nobody serves, and tells whether it may come.

    Without `masking`, nothing is shown that may only leave masked.
    """

    def __init__(
        self, locate: Locate, key: bytes, masking: Masking | None = None, ask: Ask | None = None
    ) -> None:
        self._locate, self._key, self._masking, self._ask = locate, key, masking, ask
        self._channels: dict[_Key, Channel] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._links: dict[str, Link] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    @property
    def masks(self) -> bool:
        """Whether it can show what may only leave masked."""
        return self._masking is not None

    def join(self, stream: int, viewer: Viewer, *, masked: CameraId | None = None) -> Channel:
        """The viewer watches the stream from now on; `masked`: under the masks of that camera.

        Raises:
            Unavailable: `masked_picture_unavailable`.
        """
        if masked is not None and self._masking is None:
            raise Unavailable("masked_picture_unavailable")
        channel = self._channel((stream, masked))
        channel.join(viewer)
        return channel

    async def take_key(self, stream: int, seconds: float) -> tuple[Format, FrameHead, bytes]:
        """The next key frame of the stream, or the one that was sent last, as it came, and how it is decoded.

        Raises:
            Unavailable: why no picture comes; `silent` after so many seconds.
        """
        channel, catch = self._channel((stream, None)), _Catch()
        channel.listen(catch)
        try:
            async with asyncio.timeout(seconds):
                return await catch.caught
        except TimeoutError:
            raise Unavailable(catch.away or "silent") from None
        finally:
            channel.ignore(catch)

    def _channel(self, key: _Key) -> Channel:
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(key[0])
            self._tasks[key] = asyncio.create_task(self._follow(key, channel), name=f"live-{key[0]}")
            _streams.set(len(self._channels))
        return channel

    async def close(self) -> None:
        """Nothing is watched any more."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for link in self._links.values():
            link.close()

    async def _follow(self, key: _Key, channel: Channel) -> None:
        """The channel is served for as long as somebody watches, by whoever serves it then."""
        failures = 0
        try:
            while not await self._unwatched(channel):
                began = time.monotonic()
                try:
                    if key[1] is None:
                        await self._serve(channel)
                    else:
                        await self._mask(key[0], key[1], channel)
                except (Unavailable, TooMany) as error:
                    channel.on_away(error.code)
                except Exception:
                    _log.exception("live_channel_failed", stream=channel.stream)
                    channel.on_away("recorder_unreachable")
                failures = 0 if time.monotonic() - began > _PAUSES[-1] else failures + 1
                if channel.watched:
                    await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])
        finally:
            del self._channels[key], self._tasks[key]
            _streams.set(len(self._channels))
            for viewer in channel.viewers:
                viewer.say(messages.text(away="service_stopping"))

    async def _unwatched(self, channel: Channel) -> bool:
        """Whether nobody has watched for a while; who comes meanwhile is served at once."""
        until = time.monotonic() + _LINGER_SECONDS
        while not channel.watched:
            if time.monotonic() > until:
                return True
            await asyncio.sleep(0.1)
        return False

    async def _serve(self, channel: Channel) -> None:
        """The channel has been served by one tap, until that ended or nobody watched any more."""
        address = await self._locate(channel.stream)
        if address is None:
            # One that is not recorded is pulled while somebody watches it.
            coming = self._ask is not None and await self._ask(channel.stream)
            raise Unavailable("connecting" if coming else "not_recorded")
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
                if channel.watched:
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

    async def _mask(self, stream: int, camera: CameraId, channel: Channel) -> None:
        """The masked channel has been fed from the plain one, until nobody watched it any more."""
        assert self._masking is not None
        feeding = asyncio.create_task(self._masking.feed(camera, self._channel((stream, None)), channel))
        try:
            while not feeding.done():
                await asyncio.wait([feeding], timeout=1.0)
                if not channel.watched and await self._unwatched(channel):
                    return
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
        feeding.result()

    async def _link(self, address: str) -> Link:
        lock = self._opening.setdefault(address, asyncio.Lock())
        async with lock:
            link = self._links.get(address)
            if link is None or link.lost:
                link = self._links[address] = await Link.open(address, self._key)
            return link


class _Catch:
    """Waits for one key frame of a channel."""

    def __init__(self) -> None:
        self.caught: asyncio.Future[tuple[Format, FrameHead, bytes]] = (
            asyncio.get_running_loop().create_future()
        )
        self.away: str | None = None
        self._format: Format | None = None

    def on_format(self, format_: Format) -> None:
        self._format = format_

    def on_frame(self, head: FrameHead, data: bytes) -> None:
        if head.flags & Flag.KEY and self._format is not None and not self.caught.done():
            self.caught.set_result((self._format, head, data))

    def on_away(self, reason: str) -> None:
        self.away = reason
        if reason not in _PASSING and not self.caught.done():
            self.caught.set_exception(Unavailable(reason))

    def on_gone(self, reason: str) -> None:
        self.on_away(reason)
