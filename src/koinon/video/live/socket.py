"""`/video/live`: a WebSocket a view. ASGI for its beginning and what the player says; frames go to the transport.

The player sends one `ViewRequest`; it is answered `{"opened": ...}` or `{"problem": ...}` in the reader's language.
Binary messages follow (`messages.py`), and texts: `{"away": reason}`, `{"left_out": frames}`, `{"role": "sub"}`,
`{"clock": ..., "now": ...}`, and `{"cut": problem}` just before the connection is reset. The player may say
`{"role": "main" | "sub"}` and `{"clock": number}`.

A frame is one object for all viewers, so it is not passed to ASGI's `send`, which would copy it for each.
"""

import array
import asyncio
import contextlib
import fcntl
import os
import socket
import termios
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
import structlog
from litestar.connection import ASGIConnection

from koinon.base.connection import narrow, reset, transport_of
from koinon.base.errors import Invalid, KoinonError, NotFound, NotIdentified, TooMany, Unavailable
from koinon.base.text import Language
from koinon.trust.gate import Cut, EndReason
from koinon.trust.parties.sign_in import Session, viewer_of
from koinon.video.cameras.model import CameraId, Role
from koinon.video.live import messages
from koinon.video.live.channel import GOP_BYTES, VIEWER_BYTES, Channel, Viewer
from koinon.video.live.service import Live
from koinon.video.rights import Action, Rights, View, ViewRequest

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Describe = Callable[[Any, KoinonError], dict[str, Any]]
FindSession = Callable[[Any], Awaitable[Session | None]]

VIEWS_A_SESSION: Final = 64
"""A wall has sixteen; a session that opens more without end is none of a person."""
SEND_BYTES: Final = 64 << 10
"""Of the kernel's buffer towards a player: the GOP with which it begins passes in a few turns. A reset drops it."""
MOST_WAITING: Final = GOP_BYTES + VIEWER_BYTES
"""Bytes that wait for a player which asks for more all the same: one GOP with which it begins, and what may be late."""
REQUEST_BYTES: Final = 8 * 1024
_REQUEST_SECONDS: Final = 10.0
_TICK_SECONDS: Final = 1.0
_SESSION_SECONDS: Final = 15.0  # a viewer who signed out sees nothing more after so long
_STALL_SECONDS: Final = 30.0  # one who takes nothing for so long has left
_WORD_SECONDS: Final = 0.1
_SIOCOUTQNSD: Final = 0x894B  # bytes in a TCP socket that were not sent yet (linux/sockios.h)
_PROBLEM: Final = 4403  # a close code of our own (RFC 6455 section 7.4.2)

_log = structlog.get_logger(__name__)


class _Said(msgspec.Struct, frozen=True):
    """What a player says while it watches."""

    role: Role | None = None
    clock: float | None = None


class _Place(NamedTuple):
    """Which stream a viewer is on."""

    role: Role
    channel: Channel


_read_request = msgspec.json.Decoder(ViewRequest).decode
_read_said = msgspec.json.Decoder(_Said).decode


class LiveSocket:
    """The ASGI application of `/video/live`.

    `describe` gives an error as a document in the reader's language, `language_of` that language; `find_session`
    looks the session up anew.
    """

    def __init__(
        self,
        live: Live,
        rights: Rights,
        *,
        describe: Describe,
        language_of: Callable[[Any], Language],
        find_session: FindSession,
    ) -> None:
        self._live, self._rights = live, rights
        self._language_of = language_of
        self._describe, self._find_session = describe, find_session
        self._views: Counter[bytes] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise NotFound("no_such_page")
        await receive()  # websocket.connect
        transport = transport_of(scope)
        if not from_own_page(scope) or transport is None:
            # Before it is accepted a close is a plain 403: another site's script learns nothing.
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)  # type: ignore[arg-type]
        try:
            session = viewer_of(connection)
            if session is None:
                raise NotIdentified("not_signed_in")
            request = _decode(await _first_text(receive))
            if self._views[session.token_hash] >= VIEWS_A_SESSION:
                raise TooMany("too_many_views", most=VIEWS_A_SESSION)
            self._views[session.token_hash] += 1
            try:
                await self._show(connection, session, request, transport, receive, send)
            finally:
                self._views[session.token_hash] -= 1
                if not self._views[session.token_hash]:
                    del self._views[session.token_hash]
        except _Left:
            return
        except KoinonError as error:
            problem = self._describe(connection, error)
        except Exception:
            _log.exception("live_failed")
            problem = self._describe(connection, KoinonError("internal_error"))
        else:
            return
        with contextlib.suppress(Exception):  # who has gone hears nothing
            await send({"type": "websocket.send", "text": _json(problem=problem)})
            await send({"type": "websocket.close", "code": _PROBLEM})

    async def _show(
        self,
        connection: Any,
        session: Session,
        request: ViewRequest,
        transport: asyncio.Transport,
        receive: Receive,
        send: Send,
    ) -> None:
        """The view has been opened, shown and ended."""
        station = await self._rights.find_station(session)
        view = await self._rights.open(session, request, station=station)
        reason = EndReason.FAILED
        viewer = Viewer(transport)
        place: _Place | None = None
        try:
            if view.masked and not self._live.hub.masks:
                raise Unavailable("masked_picture_unavailable")
            found = await self._find(request.camera, _role(connection.query_params.get("role")))
            if found is None:
                raise NotFound("camera_has_no_stream")
            words = view.watermark
            opened = {
                "view": str(view.id),
                "watermark": words and words.in_(self._language_of(connection)),
                "role": found[0],
                "now": time.time() * 1000,
            }
            try:
                await send({"type": "websocket.send", "text": _json(opened=opened)})
            except OSError:  # what a server raises to who tells one that has gone (ASGI 2.4)
                raise _Left from None
            narrow(transport, SEND_BYTES)
            view.on_cut(lambda: self._cut(connection, view, viewer, transport))
            place = _Place(found[0], self._live.hub.join(found[1], viewer, masked=_masked(view)))
            watch = asyncio.create_task(self._tick(connection, view, viewer, transport))
            try:
                place = await self._listen(view, request.camera, viewer, place, receive)
            finally:
                watch.cancel()
                await asyncio.wait([watch])
            reason = EndReason.LEFT if view.use.cut is None else view.use.cut.end
        except Cut as cut:
            reason = cut.end
        except (asyncio.CancelledError, _Left):
            reason = EndReason.LEFT
            raise
        finally:
            viewer.stop()
            if place is not None:
                place.channel.leave(viewer)
                # Whatever waits in buffers is not for who has gone.
                reset(transport)
            view.use.bytes += viewer.bytes_since()
            await asyncio.shield(view.end(reason))

    async def _listen(
        self, view: View, camera: CameraId, viewer: Viewer, place: _Place, receive: Receive
    ) -> _Place:
        """What the player says has been done, until it left."""
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return place
            if viewer.waiting > MOST_WAITING:
                return place  # it speaks and takes nothing: what it asks for would only pile up here
            try:
                said = _read_said(event.get("text") or "")
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # from a newer player, perhaps
            if said.clock is not None:
                viewer.say(messages.text(clock=said.clock, now=time.time() * 1000))
            if said.role is not None and said.role is not place.role:
                found = await self._find(camera, said.role)
                if found is None or found[0] is place.role:
                    viewer.say(messages.text(role=place.role, why="no_other_stream"))
                    continue
                place.channel.leave(viewer)
                viewer.restart()
                viewer.say(messages.text(role=found[0]))
                place = _Place(found[0], self._live.hub.join(found[1], viewer, masked=_masked(view)))

    async def _tick(self, connection: Any, view: View, viewer: Viewer, transport: asyncio.Transport) -> None:
        """The view goes on, its bytes are told, and its session and its reader are still there."""
        loop = asyncio.get_running_loop()
        checked = moving = loop.time()
        waiting = 0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                view.use.bytes += viewer.bytes_since()  # what was sent was sent, whatever comes of it
                await view.go_on()
            except Cut:
                viewer.stop()
                if (
                    view.use.cut is None
                ):  # ended behind this connection; else `on_cut` has done what is to be done
                    reset(transport)
                return
            if transport.is_closing():
                return
            now = loop.time()
            size = transport.get_write_buffer_size()
            if size == 0 or size != waiting:
                moving, waiting = now, size
            elif now - moving > _STALL_SECONDS:
                reset(transport)
                return
            if now - checked > _SESSION_SECONDS:
                checked = now
                if await self._still(connection) is None:
                    problem = self._describe(connection, NotIdentified("not_signed_in"))
                    viewer.stop()
                    _end_with_word(transport, messages.text(cut=problem))
                    return

    async def _still(self, connection: Any) -> Session | None:
        try:
            return await self._find_session(connection)
        except Exception as error:
            # The database may be away for a moment; the gate cuts what it can no longer confirm.
            _log.warning("session_not_checked", error=repr(error))
            return viewer_of(connection)

    def _cut(self, connection: Any, view: View, viewer: Viewer, transport: asyncio.Transport) -> None:
        """Called at once, synchronously, when the view is cut."""
        viewer.stop()
        view.use.bytes += viewer.bytes_since()
        cut = view.use.cut
        error = Cut(EndReason.CUT, "view_ended") if cut is None else cut
        try:
            word = messages.text(cut=self._describe(connection, error))
        except Exception:
            _log.exception("last_word_failed")
            word = b""
        _end_with_word(transport, word)

    async def _find(self, camera: CameraId, role: Role) -> tuple[Role, int] | None:
        """The stream of that role, else the other."""
        for each in (role, Role.MAIN, Role.SUB):
            found = await self._live.find(camera, each)
            if found is not None:
                return each, found
        return None


class _Left(Exception):
    """The player went away before it saw anything."""


async def _first_text(receive: Receive) -> str:
    """The first message.

    Raises:
        Invalid: `body_incomplete`, `body_malformed`.
    """
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            event = await receive()
    except TimeoutError:
        raise Invalid("body_incomplete") from None
    if event["type"] == "websocket.disconnect":
        raise _Left
    text = event.get("text")
    if not isinstance(text, str) or len(text) > REQUEST_BYTES:
        raise Invalid("body_malformed", why="one text message of at most 8 KiB is expected")
    return text


def _decode(text: str) -> ViewRequest:
    try:
        request = _read_request(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("body_malformed", why=str(error)[:200]) from None
    if request.action is not Action.VIEW_LIVE:
        raise Invalid("action_not_here", action=request.action, only=Action.VIEW_LIVE)
    return request


def from_own_page(scope: Scope) -> bool:
    """Whether the handshake comes from one of our pages. A browser always says from where; nobody else has a session.

    Source: RFC 6455 section 10.2.
    """
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    return bool(origin) and urlsplit(origin).netloc == headers.get(b"host", b"").decode("latin-1")


def _end_with_word(transport: asyncio.Transport, word: bytes) -> None:
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


def _masked(view: View) -> CameraId | None:
    """The camera, where only its masked picture may leave."""
    return view.request.camera if view.masked else None


def _role(text: str | None) -> Role:
    return Role.SUB if text == "sub" else Role.MAIN


def _json(**told: Any) -> str:
    return msgspec.json.encode(told, enc_hook=str).decode()
