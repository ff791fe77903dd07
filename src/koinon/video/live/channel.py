"""One stream in a web process: a frame becomes one WebSocket message, made once, for all who watch.

A viewer who does not keep up loses frames up to the next key frame and holds nobody else; what waits for one is
bounded.
"""

import asyncio
import time
from collections.abc import Hashable
from typing import Final, Protocol

from koinon.base.metrics import counter, gauge
from koinon.video.live import messages
from koinon.video.live.link import Listener
from koinon.video.live.timeline import Timeline
from koinon.video.live.wire import Flag, FrameHead
from koinon.video.recorder.nal import Format

GOP_BYTES: Final = 8 << 20
"""The most that is kept of a GOP: of one that is longer, a viewer who comes waits for the next key frame."""
VIEWER_BYTES: Final = 512 << 10
"""What may wait for one viewer, besides the GOP with which it begins: above it, frames are left out."""
RESUME_BYTES: Final = 64 << 10

_watched = gauge("koinon_live_viewers", "Viewers who watch live in this process.")
_left_out = counter("koinon_live_left_out_total", "Frames left out for viewers who did not keep up.")


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
        whose: which person's, if that matters.
        bytes: sent so far, or waiting in its connection.
        left_out: frames it lost because it did not keep up.
        stopped: nothing is sent any more.
    """

    def __init__(self, outlet: Outlet, whose: Hashable = None) -> None:
        self.whose = whose
        self.bytes = 0
        self.left_out = 0
        self.stopped = False
        self._outlet = outlet
        self._behind = True  # until a key frame comes
        self._begun_with = 0  # bytes of the GOP with which it began, as long as some of them wait
        self._since = 0
        self._told = 0

    @property
    def waiting(self) -> int:
        """Bytes that it has not taken yet."""
        return 0 if self._outlet.is_closing() else self._outlet.get_write_buffer_size()

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
        self._heads: list[tuple[FrameHead, int]] = []  # of the frames in the GOP, with their sizes
        self._raw: list[Listener] = []
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

    @property
    def watched(self) -> bool:
        """Whether anybody watches: a viewer, or who makes another picture of it."""
        return bool(self.viewers or self._raw)

    def listen(self, listener: Listener) -> None:
        """The listener is told all that comes as it came; first what is known, and the GOP that is going on."""
        self._raw.append(listener)
        if self._format is not None:
            listener.on_format(self._format)
        if self.away is not None:
            listener.on_away(self.away)
            return
        for (head, size), made in zip(self._heads, self._gop, strict=True):
            listener.on_frame(head, made[-size:])

    def ignore(self, listener: Listener) -> None:
        """The listener is told nothing more."""
        self._raw.remove(listener)

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
        self._forget_gop()
        for viewer in self.viewers if self.away is None else ():  # else it is sent when the picture is back
            viewer.begin([self._opening])
        for listener in self._raw:
            listener.on_format(format_)

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
            self._forget_gop()
        if key:
            if self.away is not None:
                self._back()
            self._forget_gop()
        if key or self._gop:
            self._gop.append(made)
            self._heads.append((head, len(data)))
            self._gop_bytes += len(made)
            if self._gop_bytes > GOP_BYTES:
                self._forget_gop()
        for viewer in self.viewers:
            viewer.take(made, key)
        for listener in self._raw:
            listener.on_frame(head, data)

    def on_away(self, reason: str) -> None:
        """No frames come; who watches is told why, and shows no old picture as if it were now."""
        if self.away == reason:
            return
        self.away = reason
        self._forget_gop()
        told = messages.text(away=reason)
        for viewer in self.viewers:
            viewer.say(told)
        for listener in self._raw:
            listener.on_away(reason)

    def on_gone(self, reason: str) -> None:
        """The recorder is there no more, or serves another's."""
        self.on_away(reason)
        self.gone.set()

    def _back(self) -> None:
        self.away = None
        for viewer in self.viewers:
            viewer.begin([self._opening])

    def _forget_gop(self) -> None:
        self._gop, self._heads, self._gop_bytes = [], [], 0
