"""The live picture under its masks: the plain frames go through a process that masks, what comes out is fanned out.

Which masks count is asked every second: one that its owner sets is in force within that. While a camera has none, its
frames pass as they are. Where that cannot be told, or masking fails, nothing is shown.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from koinon.base.errors import Unavailable
from koinon.video.cameras.model import CameraId
from koinon.video.live.channel import Channel
from koinon.video.live.wire import Flag, FrameHead
from koinon.video.masks import Coded, Mask, MaskedStream, MaskPool
from koinon.video.masks.policy import mask_of
from koinon.video.recorder.nal import Format

_ASK_SECONDS: Final = 1.0
_UNKNOWN_SECONDS: Final = 5.0  # so long the masks that were known last are relied on
_MASK: Final = (1 << 32) - 1
_HALF: Final = 1 << 31

ListMasks = Callable[[CameraId], Awaitable[Sequence[Mask]]]

_log = structlog.get_logger(__name__)


class Masking:
    """Masks live pictures, in the processes of a pool."""

    def __init__(self, pool: MaskPool, list_masks: ListMasks, now: Callable[[], datetime]) -> None:
        self._pool, self._list_masks, self._now = pool, list_masks, now

    async def close(self) -> None:
        """Nothing is masked any more."""
        await self._pool.close()

    async def feed(self, camera: CameraId, source: Channel, out: Channel) -> None:
        """`out` is told what comes from `source`, under the camera's masks, until this is cancelled.

        Raises:
            Unavailable: `masks_unknown`, `masks_full`, `masking_failed`.
            TooMany: `share_taken`: each who watches it has as many others as are left free.
        """
        watch = _Watch(lambda: self._current(camera))
        # The plain picture is kept coming while one way of passing it on takes over from the other.
        keep = _Nothing()
        source.listen(keep)
        try:
            masks = await watch.ask()
            while True:
                if masks:
                    masks = await self._masked(watch, masks, source, out)
                else:
                    masks = await self._plain(watch, source, out)
        finally:
            source.ignore(keep)

    async def _plain(self, watch: "_Watch", source: Channel, out: Channel) -> Sequence[Mask]:
        """The frames have passed as they are, until there were masks."""
        source.listen(out)
        try:
            while not (masks := await watch.next()):
                pass
            return masks
        finally:
            source.ignore(out)

    async def _masked(
        self, watch: "_Watch", masks: Sequence[Mask], source: Channel, out: Channel
    ) -> Sequence[Mask]:
        """The frames have passed masked, until there were no masks any more."""
        whose = {each.whose for each in out.viewers if each.whose is not None}
        async with self._pool.open(masks, *whose) as stream:
            feeder = _Feeder(stream, out)
            pouring = asyncio.create_task(_pour(stream, out))
            asking = asyncio.create_task(watch.next())
            source.listen(feeder)
            try:
                while True:
                    await asyncio.wait([asking, pouring], return_when=asyncio.FIRST_COMPLETED)
                    if pouring.done():
                        pouring.result()  # raises why it ended
                        raise Unavailable("masking_failed")
                    now = asking.result()
                    if not now:
                        return now
                    if now != masks:
                        masks = now
                        stream.set_masks(masks)
                    asking = asyncio.create_task(watch.next())
            finally:
                source.ignore(feeder)
                for task in (asking, pouring):
                    task.cancel()
                await asyncio.gather(asking, pouring, return_exceptions=True)

    async def _current(self, camera: CameraId) -> Sequence[Mask]:
        """The masks that count now and from now on, if any of them covers anything."""
        now = self._now()
        found = mask_of(await self._list_masks(camera), now, datetime.max.replace(tzinfo=now.tzinfo))
        return found if any(each.polygons for each in found) else ()


class _Watch:
    """Asks for the masks, every so often; relies for a while on what was known last."""

    def __init__(self, ask: Callable[[], Awaitable[Sequence[Mask]]]) -> None:
        self._ask = ask
        self._known: Sequence[Mask] | None = None
        self._known_at = 0.0

    async def ask(self) -> Sequence[Mask]:
        """The masks now. Raises `Unavailable: masks_unknown`."""
        try:
            self._known, self._known_at = await self._ask(), time.monotonic()
        except Exception as error:
            _log.warning("masks_not_asked", error=repr(error))
            if self._known is None or time.monotonic() - self._known_at > _UNKNOWN_SECONDS:
                raise Unavailable("masks_unknown") from None
        return self._known

    async def next(self) -> Sequence[Mask]:
        """The masks a little later."""
        await asyncio.sleep(_ASK_SECONDS)
        return await self.ask()


class _Feeder:
    """Plain frames, to what masks them."""

    def __init__(self, stream: MaskedStream, out: Channel) -> None:
        self._stream, self._out = stream, out
        self._stamp = -1
        self._ticks = 0

    def on_format(self, format_: Format) -> None:
        self._stream.open(format_)

    def on_frame(self, head: FrameHead, data: bytes) -> None:
        if self._stamp >= 0:
            self._ticks += ((head.stamp - self._stamp + _HALF) & _MASK) - _HALF
        self._stamp = head.stamp
        self._stream.feed(Coded(self._ticks, head.wall_us, head.flags & Flag.KEY != 0, data))

    def on_away(self, reason: str) -> None:
        self._out.on_away(reason)

    def on_gone(self, reason: str) -> None:
        self._out.on_away(reason)


class _Nothing:
    """Keeps a channel subscribed."""

    def on_format(self, format_: Format) -> None: ...

    def on_frame(self, head: FrameHead, data: bytes) -> None: ...

    def on_away(self, reason: str) -> None: ...

    def on_gone(self, reason: str) -> None: ...


async def _pour(stream: MaskedStream, out: Channel) -> None:
    """What is masked goes to the viewers."""
    async for made in stream:
        if isinstance(made, Format):
            out.on_format(made)
        else:
            flags = Flag.KEY if made.key else 0
            out.on_frame(FrameHead(flags, made.ticks & _MASK, made.wall_us, 0), made.data)
