"""The edge of a view over a WebSocket: who is let in, what is asked, how it is refused and ended.

The player sends one `ViewRequest`; what is wrong is answered `{"problem": ...}` in the reader's language, and a view
that is cut ends with `{"cut": problem}` just before the connection is reset.
"""

import array
import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
import structlog
from litestar.connection import ASGIConnection

from koinon.base.connection import reset, transport_of
from koinon.base.errors import Invalid, KoinonError, NotFound, NotIdentified, TooMany
from koinon.base.text import Language, refuse_nul
from koinon.portal import refuse_cross_origin
from koinon.trust.gate import Cut, EndReason
from koinon.trust.parties.sign_in import Session, viewer_of
from koinon.video.rights.model import Action, ViewRequest
from koinon.video.rights.running import View
from koinon.video.rights.service import Rights

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Describe = Callable[[Any, KoinonError], dict[str, Any]]
FindSession = Callable[[Any], Awaitable[Session | None]]

REQUEST_BYTES: Final = 8 * 1024
SESSION_SECONDS: Final = 15.0
"""A viewer who signed out sees nothing more after so long."""
STALL_SECONDS: Final = 30.0
"""One who takes nothing for so long has left."""
_REQUEST_SECONDS: Final = 10.0
_WORD_SECONDS: Final = 0.1
_PROBLEM: Final = 4403  # a close code of our own (RFC 6455 section 7.4.2)
_SIOCOUTQNSD: Final = 0x894B  # bytes that TCP has not sent yet (linux/sockios.h)

_log = structlog.get_logger(__name__)
_read_request = msgspec.json.Decoder(ViewRequest).decode


class Left(Exception):
    """The player went away, or takes nothing any more."""


class Door(NamedTuple):
    """A connection from one of our pages, of somebody who is signed in, and the view that it asks for."""

    connection: Any
    session: Session
    request: ViewRequest
    transport: asyncio.Transport
    receive: Receive
    send: Send


class ViewSocket(ABC):
    """An ASGI application that shows one view a WebSocket.

    `describe` gives an error as a document in the reader's language, `language_of` that language; `find_session`
    looks the session up anew.

    Attributes:
        actions: what may be asked here. views_a_session: how many at once.
    """

    actions: ClassVar[frozenset[Action]]
    views_a_session: ClassVar[int]

    def __init__(
        self,
        rights: Rights,
        *,
        describe: Describe,
        language_of: Callable[[Any], Language],
        find_session: FindSession,
    ) -> None:
        self.rights = rights
        self.describe, self.language_of, self._find_session = describe, language_of, find_session
        self._views: Counter[bytes] = Counter()

    @abstractmethod
    async def show(self, door: Door, view: View) -> None:
        """The view has been shown and ended; a `KoinonError` before its first message is told to the player."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise NotFound("no_such_page")
        await receive()  # websocket.connect
        transport = transport_of(scope)
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)  # type: ignore[arg-type]
        if transport is None or not _from_own_page(connection):
            # Before it is accepted a close is a plain 403: another site's script learns nothing.
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        try:
            session = viewer_of(connection)
            if session is None:
                raise NotIdentified("not_signed_in")
            request = self._decode(await _first_text(receive))
            if self._views[session.token_hash] >= self.views_a_session:
                raise TooMany("too_many_views", most=self.views_a_session)
            self._views[session.token_hash] += 1
            try:
                station = await self.rights.find_station(session)
                view = await self.rights.open(session, request, station=station)
                await self.show(Door(connection, session, request, transport, receive, send), view)
            finally:
                self._views[session.token_hash] -= 1
                if not self._views[session.token_hash]:
                    del self._views[session.token_hash]
        except Left:
            return
        except KoinonError as error:
            problem = self.describe(connection, error)
        except Exception:
            _log.exception("view_failed", path=scope["path"])
            problem = self.describe(connection, KoinonError("internal_error"))
        else:
            return
        with contextlib.suppress(Exception):  # who has gone hears nothing
            await send({"type": "websocket.send", "text": told(problem=problem)})
            await send({"type": "websocket.close", "code": _PROBLEM})

    def _decode(self, text: str) -> ViewRequest:
        refuse_nul(text.encode("utf-8", "surrogatepass"))
        try:
            request = _read_request(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid("body_malformed", why=str(error)[:200]) from None
        if request.action not in self.actions:
            raise Invalid("action_not_here", action=request.action, only=sorted(self.actions)[-1])
        return request

    async def still_signed_in(self, connection: Any) -> bool:
        """Whether the viewer's session goes on.

        True also where the database is away for a moment: the gate cuts what it can no longer confirm.
        """
        try:
            return await self._find_session(connection) is not None
        except Exception as error:
            _log.warning("session_not_checked", error=repr(error))
            return True

    def end_with_reason(self, door: Door, view: View) -> None:
        """To be called at once, synchronously, when the view is cut: the connection ends, with the reason if it can."""
        cut = view.use.cut
        error = Cut(EndReason.CUT, "view_ended") if cut is None else cut
        try:
            word = told(cut=self.describe(door.connection, error)).encode()
        except Exception:
            _log.exception("last_word_failed")
            word = b""
        end_with_word(door.transport, frame(1, word) if word else b"")


def told(**facts: Any) -> str:
    """A text message: one JSON object."""
    return msgspec.json.encode(facts, enc_hook=str).decode()


def frame(opcode: int, *parts: bytes) -> bytes:
    """A whole message as it stands on the wire. What a server sends is not masked (RFC 6455 section 5.2)."""
    size = sum(map(len, parts))
    if size < 126:
        head = struct.pack(">BB", 0x80 | opcode, size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    return b"".join((head, *parts))


def end_with_word(transport: asyncio.Transport, word: bytes) -> None:
    """The connection is reset at once where anything waits in it; where nothing does, a message goes out first, and
    the reset comes a moment later: a browser that meets it too early throws the message away.
    """
    if transport.is_closing():
        return
    if word and _write_alone(transport, word):
        asyncio.get_running_loop().call_later(_WORD_SECONDS, reset, transport)
    else:
        reset(transport)


def _write_alone(transport: asyncio.Transport, data: bytes) -> bool:
    """The message is on its way and nothing that was not sent yet is before it, neither here nor in the kernel."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_write_buffer_size() or transport.get_extra_info("sslcontext"):
        return False
    try:
        waiting = array.array("i", [0])
        local = connection.family == socket.AF_UNIX
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ if local else _SIOCOUTQNSD, waiting)
        return waiting[0] == 0 and os.write(connection.fileno(), data) == len(data)
    except OSError:
        return False


def _from_own_page(connection: Any) -> bool:
    """A browser always says from where a handshake comes (RFC 6455 section 10.2); nobody else has a session."""
    if not connection.headers.get("origin"):
        return False
    try:
        refuse_cross_origin(connection)
    except KoinonError:
        return False
    return True


async def _first_text(receive: Receive) -> str:
    """The first message.

    Raises:
        Invalid: `body_incomplete`, `body_malformed`.
        Left.
    """
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            event = await receive()
    except TimeoutError:
        raise Invalid("body_incomplete") from None
    if event["type"] == "websocket.disconnect":
        raise Left
    text = event.get("text")
    if not isinstance(text, str) or len(text) > REQUEST_BYTES:
        raise Invalid("body_malformed", why="one text message of at most 8 KiB is expected")
    return text
