"""The tap of a recorder: frames of its cameras go to the web processes that ask for them, as they arrive.

Without a subscriber a frame costs one append: the GOP that is going on is kept by reference, for the length of a
GOP the recorder holds the same bytes anyway. A web process that does not keep up loses frames up to the next key
frame, and is told how many; the recorder never waits for it.
"""

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import msgspec
import structlog

from koinon.base.errors import Invalid
from koinon.base.metrics import counter, gauge
from koinon.video.live.wire import (
    FRAME,
    HEAD,
    NONCE_BYTES,
    PREAMBLE,
    Flag,
    Kind,
    Reassembly,
    message,
    prove,
    proves,
)
from koinon.video.recorder.nal import SETS, Codec, Format, merge_sets, read_format
from koinon.video.recorder.rtp import Frame

HIGH_BYTES: Final = 8 << 20
"""What may wait for one web process; above it, its frames are left out."""
LOW_BYTES: Final = 1 << 20
"""Below it a key frame is sent again."""
GOP_FRAMES: Final = 1500
GOP_BYTES: Final = 8 << 20
"""The most that is kept of a GOP: of one that is longer, a new subscriber waits for the next key frame."""
_PROOF_SECONDS: Final = 5.0
_STUCK_SECONDS: Final = 30.0  # a web process that takes nothing for so long is cut off
_CLIENTS: Final = 256
_NOT_BEGUN: Final = -1

_log = structlog.get_logger(__name__)
_left_out = counter("koinon_tap_left_out_total", "Frames not sent to a web process that did not keep up.")
_clients = gauge("koinon_tap_clients", "Web processes connected to this recorder's tap.")
_refused = counter("koinon_tap_refused_total", "Connections to the tap that did not prove the key.")
_encode = msgspec.msgpack.Encoder().encode


class _Feed:
    """One stream, as the tap knows it."""

    __slots__ = (
        "away", "format", "gop", "gop_bytes", "held", "sets", "slices", "stamp", "stream", "subscribers", "told",
    )  # fmt: skip

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.subscribers: list[_Client] = []
        self.gop: list[tuple[Frame, int]] = []
        self.gop_bytes = 0
        self.format: Format | None = None
        self.told: Format | None = None  # by the recorder: what the session's description said
        self.sets: list[bytes] = []
        self.away = "connecting"
        self.stamp = -1
        self.slices = False  # the camera marks every slice as the end of a frame
        self.held: tuple[Frame, int] | None = None


class Tap:
    """Serves the frames of a recorder's cameras. The recorder calls `frame`, `away` and `forget`.

    Attributes:
        address: where it listens, as `unix:/path` or `tcp:host:port`, once started.
    """

    def __init__(self, key: bytes, *, now: Callable[[], float] = time.time) -> None:
        self.address = ""
        self._key, self._now = key, now
        self._feeds: dict[int, _Feed] = {}
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def start(self, address: str) -> None:
        """It listens at `unix:/path`, or at `tcp:host:port`, where port 0 takes a free one.

        Raises:
            Invalid: `invalid_tap_address`.
        """
        loop = asyncio.get_running_loop()
        kind, _, where = address.partition(":")
        if kind == "unix" and where.startswith("/"):
            self._server = await loop.create_unix_server(lambda: _Client(self), sock=_listen(where))
            self.address = address
            return
        host, _, port = where.rpartition(":")
        if kind != "tcp" or not host or not port.isdigit():
            raise Invalid("invalid_tap_address", address=address, form="unix:/path or tcp:host:port")
        self._server = await loop.create_server(lambda: _Client(self), host.strip("[]"), int(port))
        self.address = f"tcp:{host}:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Nobody is served any more."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.transport.abort()
        if self.address.startswith("unix:"):
            _remove(self.address.removeprefix("unix:"))

    # What the recorder calls

    def frame(self, stream: int, frame: Frame, format_: Format | None = None) -> None:
        """A frame has arrived from the camera; `format_` is what the session's description said, where it did.

        To be called before the frame is recorded, for every frame, in the order in which they come.
        """
        feed = self._feeds.get(stream)
        if feed is None:
            feed = self._feeds[stream] = _Feed(stream)
        if format_ is not feed.told and format_ is not None:
            feed.told, feed.sets = format_, list(format_.sets)
            self._new_format(feed, format_)
        if frame.sets is not None:
            self._learn(feed, frame)
        wall = int(self._now() * 1e6)
        if not frame.first and frame.timestamp == feed.stamp:
            # It goes on with the frame before it, and the recorder adds it to that; from now on a frame waits for
            # the next one, which tells that it is whole.
            feed.slices = True
            return
        feed.stamp = frame.timestamp
        if feed.slices:
            frame_before, feed.held = feed.held, (frame, wall)
            if frame_before is None:
                return
            frame, wall = frame_before
        self._take(feed, frame, wall)

    def away(self, stream: int, reason: str) -> None:
        """No frames come from the camera now."""
        feed = self._feeds.setdefault(stream, _Feed(stream))
        feed.gop, feed.gop_bytes, feed.held, feed.away, feed.stamp = [], 0, None, reason, -1
        # The next session has its own description, which may be an equal object.
        feed.told = None
        for client in feed.subscribers:
            client.send_away(stream, reason)

    def watched(self, stream: int) -> bool:
        """Whether anybody is subscribed to the stream; while nobody is, frames may come a few at once."""
        feed = self._feeds.get(stream)
        return feed is not None and bool(feed.subscribers)

    def forget(self, stream: int) -> None:
        """This recorder records the stream no more: another may, and its subscribers are to ask which."""
        feed = self._feeds.pop(stream, None)
        for client in feed.subscribers if feed is not None else ():
            client.streams.discard(stream)
            client.untold.discard(stream)
            client.behind.pop(stream, None)
            client.send(message(Kind.GONE, stream))

    # Inside

    def _take(self, feed: _Feed, frame: Frame, wall: int) -> None:
        if frame.key:
            feed.gop, feed.gop_bytes, feed.away = [(frame, wall)], frame.size, ""
        elif feed.gop:
            feed.gop.append((frame, wall))
            feed.gop_bytes += frame.size
            if feed.gop_bytes > GOP_BYTES or len(feed.gop) > GOP_FRAMES:
                feed.gop, feed.gop_bytes = [], 0
        if feed.subscribers and feed.format is not None:
            for client in feed.subscribers:
                client.send_frame(feed.stream, frame, wall)

    def _learn(self, feed: _Feed, frame: Frame) -> None:
        """Parameter sets that are new are in force from this frame on."""
        fresh = frame.sets or []
        if feed.format is not None and all(nal in feed.sets for nal in fresh):
            return
        codec = feed.format.codec if feed.format is not None else _codec_of(fresh)
        merged = merge_sets(codec, feed.sets, fresh)
        try:
            found = read_format(codec, merged)
        except Invalid:
            if feed.format is None:
                feed.sets = merged  # not all of them have come yet
            return
        feed.sets = merged
        self._new_format(feed, found)

    def _new_format(self, feed: _Feed, found: Format) -> None:
        if feed.format is not None and set(feed.format.sets) == set(found.sets):
            return
        feed.format = found
        feed.gop, feed.gop_bytes = [], 0
        for client in feed.subscribers:
            client.untold.add(feed.stream)

    def _subscribe(self, client: "_Client", stream: int) -> None:
        feed = self._feeds.setdefault(stream, _Feed(stream))
        if stream in client.streams:
            return
        client.streams.add(stream)
        client.untold.add(feed.stream)
        feed.subscribers.append(client)
        if not feed.gop or feed.format is None:
            client.behind[stream] = _NOT_BEGUN
            client.send_away(stream, feed.away or "no_key_frame")
            return
        for frame, wall in feed.gop:
            client.send_frame(stream, frame, wall, Flag.CACHED)

    def _unsubscribe(self, client: "_Client", stream: int) -> None:
        client.streams.discard(stream)
        client.behind.pop(stream, None)
        feed = self._feeds.get(stream)
        if feed is not None and client in feed.subscribers:
            feed.subscribers.remove(client)
            client.untold.discard(stream)

    def _leave(self, client: "_Client") -> None:
        self._clients.discard(client)
        _clients.set(len(self._clients))
        for stream in list(client.streams):
            self._unsubscribe(client, stream)


class _Client(asyncio.Protocol):
    """A web process, as the tap sees it."""

    transport: asyncio.Transport

    def __init__(self, tap: Tap) -> None:
        self.streams: set[int] = set()
        self.behind: dict[int, int] = {}  # frames left out since it did not keep up
        self.untold: set[int] = set()  # feeds whose format it has not heard
        self._tap = tap
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._proven = False
        self._read = Reassembly()
        self._behind_since = 0.0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        if len(self._tap._clients) >= _CLIENTS:
            self.transport.abort()
            return
        self._tap._clients.add(self)
        _clients.set(len(self._tap._clients))
        self._patience = asyncio.get_running_loop().call_later(_PROOF_SECONDS, self._give_up)
        self.transport.write(message(Kind.HELLO, 0, self._nonce))

    def connection_lost(self, error: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._tap._leave(self)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, stream, body in self._read.feed(data):
                self._hear(kind, stream, bytes(body))
        except Invalid as error:
            _log.warning("tap_client_malformed", error=str(error))
            self.transport.abort()

    def _hear(self, kind: int, stream: int, body: bytes) -> None:
        tap = self._tap
        if not self._proven:
            theirs, proof = body[:NONCE_BYTES], body[NONCE_BYTES:]
            if kind != Kind.PROOF or not proves(tap._key, b"web", self._nonce, theirs, proof):
                self._give_up()
                return
            self._proven = True
            if self._patience is not None:
                self._patience.cancel()
            self.send(message(Kind.WELCOME, 0, prove(tap._key, b"tap", theirs, self._nonce)))
        elif kind == Kind.SUBSCRIBE:
            tap._subscribe(self, stream)
        elif kind == Kind.UNSUBSCRIBE:
            tap._unsubscribe(self, stream)
        # Others may come from a newer web process and mean nothing here.

    def _give_up(self) -> None:
        _refused.inc()
        _log.warning("tap_refused", peer=str(self.transport.get_extra_info("peername")))
        self.transport.abort()

    # What is told

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def send_away(self, stream: int, reason: str) -> None:
        self.send(message(Kind.AWAY, stream, reason.encode("ascii", "replace")))

    def send_frame(self, stream: int, frame: Frame, wall: int, flags: int = 0) -> None:
        transport = self.transport
        if transport.is_closing():
            return
        left_out = 0
        if stream in self.behind:
            # It began without a key frame, or did not keep up.
            if not frame.key or transport.get_write_buffer_size() > LOW_BYTES:
                self._leave_out(stream)
                return
            left_out = max(0, self.behind.pop(stream))
        elif transport.get_write_buffer_size() > HIGH_BYTES:
            self.behind[stream] = 0
            self._behind_since = self._behind_since or time.monotonic()
            self._leave_out(stream)
            return
        elif self._behind_since and not self.behind:
            self._behind_since = 0.0
        if stream in self.untold:
            self._tell_format(stream)
        flags |= (Flag.KEY if frame.key else 0) | (Flag.LEADING if frame.leading else 0)
        size = 5 + FRAME.size + frame.size
        head = PREAMBLE.pack(size, Kind.FRAME, stream, flags, frame.timestamp, wall, left_out)
        transport.writelines([head, *frame.parts])

    def _leave_out(self, stream: int) -> None:
        if self.behind[stream] == _NOT_BEGUN:
            return
        self.behind[stream] += 1
        _left_out.inc()
        if self._behind_since and time.monotonic() - self._behind_since > _STUCK_SECONDS:
            _log.warning("tap_client_stuck", waiting=self.transport.get_write_buffer_size())
            self.transport.abort()

    def _tell_format(self, stream: int) -> None:
        feed = self._tap._feeds.get(stream)
        if feed is not None and feed.format is not None:
            self.untold.discard(stream)
            self.send(message(Kind.FORMAT, stream, _encode(feed.format)))


def _listen(path: str) -> socket.socket:
    """A Unix socket at `path`, where one that a dead process left is removed."""
    _remove(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    Path(path).chmod(0o660)
    return listener


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        Path(path).unlink()


def _codec_of(sets: list[bytes]) -> Codec:
    """Types 32 to 34 of H.265 stand in bits 1 to 6; no parameter set of H.264 reads so."""
    return "h265" if any(nal[0] >> 1 & 63 in SETS["h265"] for nal in sets) else "h264"


assert PREAMBLE.size == HEAD.size + FRAME.size
