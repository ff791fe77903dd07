"""The web process's end of a tap: one connection to a recorder carries all the streams that are watched here."""

import asyncio
import secrets
from typing import Final, Protocol, cast

import msgspec
import structlog

from koinon.base.errors import Invalid, Unavailable
from koinon.video.live.wire import (
    FRAME,
    NONCE_BYTES,
    FrameHead,
    Kind,
    Reassembly,
    message,
    prove,
    proves,
)
from koinon.video.recorder.nal import Format

_OPEN_SECONDS: Final = 3.0

_log = structlog.get_logger(__name__)
_read_format = msgspec.msgpack.Decoder(Format).decode


class Listener(Protocol):
    """Who watches a stream; called from the connection, in the order of what came."""

    def on_format(self, format_: Format) -> None:
        """How the frames that follow are decoded."""

    def on_frame(self, head: FrameHead, data: bytes) -> None:
        """A frame: its NALs, each after its length in four bytes."""

    def on_away(self, reason: str) -> None:
        """No frames come now."""

    def on_gone(self, reason: str) -> None:
        """Nothing comes any more on this connection: who serves the stream is to be asked again."""


class Link(asyncio.Protocol):
    """A connection to a tap; open it with `Link.open`."""

    transport: asyncio.Transport

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._theirs = b""
        self._read = Reassembly()
        self._listeners: dict[int, Listener] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost = False

    @classmethod
    async def open(cls, address: str, key: bytes) -> "Link":
        """A connection whose other end has proved the key.

        Raises:
            Unavailable: `recorder_unreachable`.
        """
        loop = asyncio.get_running_loop()
        kind, _, where = address.partition(":")
        link = cls(key)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                if kind == "unix":
                    await loop.create_unix_connection(lambda: link, where)
                else:
                    host, _, port = where.rpartition(":")
                    await loop.create_connection(lambda: link, host.strip("[]"), int(port))
                await link._ready
        except (OSError, TimeoutError, ValueError, Unavailable) as error:
            if hasattr(link, "transport"):
                link.transport.abort()
            _log.warning("recorder_unreachable", address=address, error=repr(error))
            raise Unavailable("recorder_unreachable") from None
        return link

    @property
    def lost(self) -> bool:
        """Whether the connection has ended."""
        return self._lost

    @property
    def idle(self) -> bool:
        """Whether nobody watches anything by it."""
        return not self._listeners

    def subscribe(self, stream: int, listener: Listener) -> None:
        """The listener is told of the stream from now on."""
        if self._lost:
            listener.on_gone("recorder_unreachable")
            return
        self._listeners[stream] = listener
        self.transport.write(message(Kind.SUBSCRIBE, stream))

    def unsubscribe(self, stream: int) -> None:
        """Nobody here watches the stream any more."""
        if self._listeners.pop(stream, None) is not None and not self._lost:
            self.transport.write(message(Kind.UNSUBSCRIBE, stream))

    def close(self) -> None:
        """The connection is ended."""
        self._listeners.clear()
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if not self._ready.done():
            self._ready.set_exception(Unavailable("recorder_unreachable"))
        listeners, self._listeners = self._listeners, {}
        for listener in listeners.values():
            listener.on_gone("recorder_unreachable")

    def data_received(self, data: bytes) -> None:
        try:
            for kind, stream, body in self._read.feed(data):
                if self._ready.done():
                    self._hear(kind, stream, body)
                else:
                    self._greet(kind, bytes(body))
        except (Invalid, msgspec.DecodeError) as error:
            _log.warning("tap_malformed", error=str(error))
            self.transport.abort()

    def _greet(self, kind: int, body: bytes) -> None:
        if kind == Kind.HELLO and not self._theirs and len(body) == NONCE_BYTES:
            self._theirs = body
            proof = prove(self._key, b"web", body, self._nonce)
            self.transport.write(message(Kind.PROOF, 0, self._nonce + proof))
        elif kind == Kind.WELCOME and proves(self._key, b"tap", self._nonce, self._theirs, body):
            self._ready.set_result(None)
        else:
            raise Invalid("tap_message_malformed", kind=kind)

    def _hear(self, kind: int, stream: int, body: memoryview) -> None:
        listener = self._listeners.get(stream)
        if listener is None:
            return  # left a moment ago
        if kind == Kind.FRAME:
            if len(body) < FRAME.size:
                raise Invalid("tap_message_malformed", kind=kind)
            listener.on_frame(FrameHead(*FRAME.unpack_from(body)), bytes(body[FRAME.size :]))
        elif kind == Kind.FORMAT:
            listener.on_format(_read_format(body))
        elif kind == Kind.AWAY:
            listener.on_away(bytes(body[:64]).decode("ascii", "replace"))
        elif kind == Kind.GONE:
            del self._listeners[stream]
            listener.on_gone("moved")
