"""`/video/playback`: a WebSocket a view of recordings.

The player sends one `ViewRequest` with `since` and `until`; it is answered `{"opened": ...}` or `{"problem": ...}` in
the reader's language. Binary messages follow (`messages.py`), at the pace at which they are watched, and texts:

    {"moved": {"n", "at"}}        what follows is from there; what came before is not to be shown
    {"missing": [spans]}          no pictures there, and why; playback goes on after it
    {"frame": {"n", "at", "shown"}}   the answer to a step, after its media; null where there is no such frame
    {"ended": {"at"}}             nothing more before the end of the view
    {"token": token}              a new media token, good for a minute, for thumbnails (the first is in `opened`)
    {"cut": problem}              just before the connection is reset

The player may say `{"n", "seek": us}`, `{"n", "step": 1 | -1, "at": us}`, `{"n", "play": speed, "at": us}`,
`{"pause": true}` and, so that what is sent ahead stays little, `{"here": us}`. Times are Unix microseconds. With
`?gaps=wait` playback runs through gaps in their own time, for players that keep several cameras together; else they are
skipped.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec
import structlog
from litestar.connection import ASGIConnection

from koinon.base.connection import narrow, reset, transport_of
from koinon.base.errors import Invalid, KoinonError, NotFound, NotIdentified, TooMany
from koinon.base.text import Language
from koinon.portal import refuse_cross_origin
from koinon.trust.gate import Cut, EndReason
from koinon.trust.parties.sign_in import Session, viewer_of
from koinon.video.playback import messages
from koinon.video.playback.course import Ended, Media, Missing, Opening, Piece, Walk, step
from koinon.video.playback.pace import Pace
from koinon.video.playback.pieces import to_us
from koinon.video.playback.service import Playback
from koinon.video.rights import Action, Rights, View, ViewRequest

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Describe = Callable[[Any, KoinonError], dict[str, Any]]
FindSession = Callable[[Any], Awaitable[Session | None]]

VIEWS_A_SESSION: Final = 32
REQUEST_BYTES: Final = 8 * 1024
MOST_WAITING: Final = 32  # things said by the player that were not done yet
_REQUEST_SECONDS: Final = 10.0
_STALL_SECONDS: Final = 30.0
_SESSION_SECONDS: Final = 15.0
_PROBLEM: Final = 4403  # a close code of our own (RFC 6455 section 7.4.2)

_log = structlog.get_logger(__name__)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a player says while it watches. One thing a message."""

    n: int = 0
    seek: int | None = None
    play: float | None = None
    pause: bool = False
    step: int | None = None
    at: int | None = None
    here: int | None = None


_read_request = msgspec.json.Decoder(ViewRequest).decode
_read_said = msgspec.json.Decoder(Said).decode


class PlaybackSocket:
    """The ASGI application of `/video/playback`; parameters as those of `live.LiveSocket`."""

    def __init__(
        self,
        playback: Playback,
        rights: Rights,
        *,
        describe: Describe,
        language_of: Callable[[Any], Language],
        find_session: FindSession,
    ) -> None:
        self._playback, self._rights = playback, rights
        self._describe, self._language_of, self._find_session = describe, language_of, find_session
        self._views: Counter[bytes] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise NotFound("no_such_page")
        await receive()  # websocket.connect
        transport = transport_of(scope)
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)  # type: ignore[arg-type]
        if transport is None or not _from_own_page(connection):
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: a plain 403
            return
        await send({"type": "websocket.accept"})
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
            _log.exception("playback_failed")
            problem = self._describe(connection, KoinonError("internal_error"))
        else:
            return
        with contextlib.suppress(Exception):  # who has gone hears nothing
            await send({"type": "websocket.send", "text": messages.text(problem=problem)})
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
        begun = False
        try:
            assert view.since is not None
            assert view.until is not None
            stream = await self._playback.find_stream(request.camera)
            since_us, until_us = to_us(view.since), to_us(view.until)
            course = await self._playback.walk(view, stream, since_us, until_us)
            words = view.watermark
            showing = _Showing(view, course, send, wait=connection.query_params.get("gaps") == "wait")
            begun = True
            await send(
                {
                    "type": "websocket.send",
                    "text": messages.text(
                        opened={
                            "view": view.id,
                            "watermark": words and words.in_(self._language_of(connection)),
                            "since": since_us,
                            "until": until_us,
                            "base": showing.base_us,
                            "token": self._mint(view),
                        }
                    ),
                }
            )
            narrow(transport)
            view.on_cut(lambda: self._cut(connection, view, transport))
            await self._run(connection, showing, receive)
            reason = EndReason.LEFT
        except _Left:
            reason = EndReason.LEFT
        except Cut as cut:
            reason = cut.end
        except asyncio.CancelledError:
            reason = EndReason.LEFT
            raise
        except _SignedOut:
            problem = self._describe(connection, NotIdentified("not_signed_in"))
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1.0):
                    await send({"type": "websocket.send", "text": messages.text(cut=problem)})
            reason = EndReason.LEFT
        except KoinonError:
            if not begun:
                raise
            _log.exception("playback_failed")
        finally:
            if begun:
                reset(transport)  # what waits in buffers is not for who has gone
            await asyncio.shield(view.end(reason))

    async def _run(self, connection: Any, showing: "_Showing", receive: Receive) -> None:
        """Until one of the three ends: the player left, the session did, or sending failed.

        Raises:
            _Left, _SignedOut, Cut.
        """
        tasks = [
            asyncio.create_task(showing.listen(receive)),
            asyncio.create_task(showing.send_all()),
            asyncio.create_task(self._watch_session(connection, showing)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _mint(self, view: View) -> str:
        """For the small pictures of the timeline, which are fetched beside this connection."""
        assert view.since is not None
        assert view.until is not None
        return self._rights.mint(view, since=view.since, until=view.until)

    async def _watch_session(self, connection: Any, showing: "_Showing") -> None:
        while True:
            await asyncio.sleep(_SESSION_SECONDS)
            await showing.tell(token=self._mint(showing.view))
            try:
                session = await self._find_session(connection)
            except Exception as error:
                # The database may be away for a moment; the gate cuts what it can no longer confirm.
                _log.warning("session_not_checked", error=repr(error))
                continue
            if session is None:
                raise _SignedOut

    def _cut(self, connection: Any, view: View, transport: asyncio.Transport) -> None:
        """Called at once, synchronously, when the view is cut."""
        cut = view.use.cut
        error = Cut(EndReason.CUT, "view_ended") if cut is None else cut
        try:
            told = messages.text(cut=self._describe(connection, error)).encode()
            if transport.get_write_buffer_size() == 0 and not transport.get_extra_info("sslcontext"):
                transport.write(_text_frame(told))  # nothing waits before it, so it goes out before the reset
        finally:
            reset(transport)


class _Showing:
    """One view that is shown: what the player wants, and what it gets."""

    def __init__(self, view: View, course: Walk, send: Send, *, wait: bool) -> None:
        self.base_us = messages.base_of(course.since_us)
        self.view, self._course, self._send, self._wait = view, course, send, wait
        self._pace = Pace(course.since_us, _now())
        self._said: deque[Said] = deque()
        self._heard = asyncio.Event()
        self._pending: Piece | None = None
        self._still = False  # nothing is sent until the player says something: at the end, and between steps
        self._resume_at: int | None = None  # where playing goes on after steps

    async def listen(self, receive: Receive) -> None:
        """What the player says waits to be done. Raises: _Left."""
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                raise _Left
            text = event.get("text")
            if not isinstance(text, str) or len(text) > REQUEST_BYTES:
                continue
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # from a newer player, perhaps
                said = _read_said(text)
                if said.seek is not None:
                    # Who drags says it twenty times a second: only the last place counts.
                    self._said = deque(each for each in self._said if each.seek is None)
                if len(self._said) >= MOST_WAITING:
                    raise _Left
                self._said.append(said)
                self._heard.set()

    async def send_all(self) -> None:
        """Pieces are sent as they are watched. Raises: Cut, _Left when the player takes nothing any more."""
        while True:
            self._heard.clear()
            while self._said:
                await self._do(self._said.popleft())
            delay = None
            if not self._still:
                if self._pending is None:
                    self._pending = await self._course.next(keys_only=self._pace.keys_only)
                    if self._said:
                        continue
                delay = self._pace.wait(self._pending.us, _now()) if isinstance(self._pending, Media) else 0.0
            if delay == 0.0 and self._pending is not None:
                piece, self._pending = self._pending, None
                await self._give(piece)
                if isinstance(piece, Missing) and not self._wait:
                    self._pace.skip(to_us(piece.spans[0].start), to_us(piece.spans[-1].end))
                self._still = isinstance(piece, Ended)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._heard.wait()

    async def _give(self, piece: Piece) -> None:
        match piece:
            case Opening():
                await self._bytes(messages.opening(piece, self.base_us))
            case Media():
                await self._bytes(messages.media(piece, self.base_us))
            case Missing():
                await self.tell(missing=messages.spans(piece.spans))
            case Ended():
                await self.tell(ended={"at": self._course.until_us})

    async def _do(self, said: Said) -> None:
        now = _now()
        if said.seek is not None:
            await self._go(said.seek, said.n)
        elif said.step is not None and said.at is not None:
            self._pace.pause(now)
            self._pending = None
            found, target = await step(self._course, said.at, forwards=said.step > 0)
            await self.tell(moved={"n": said.n, "at": target})
            for piece in found:
                await self._give(piece)
            shown = None if target is None else messages.find_place(found, target, self.base_us)
            await self.tell(frame={"n": said.n, "at": target, "shown": shown})
            self._resume_at = said.at if target is None else target
            self._still = True
        elif said.play is not None:
            fast = self._pace.keys_only
            try:
                self._pace.play(said.play, now)
            except Invalid as error:
                await self.tell(refused={"code": error.code})
                return
            at = said.at if said.at is not None else self._resume_at
            if at is not None and (self._resume_at is not None or fast != self._pace.keys_only):
                await self._go(at, said.n)
        elif said.pause:
            self._pace.pause(now)
        elif said.here is not None:
            self._pace.hear(said.here, now)

    async def _go(self, us: int, n: int) -> None:
        us = min(max(us, self._course.since_us), self._course.until_us)
        self._course.seek(us)
        self._pace.move(us, _now())
        self._pending = self._resume_at = None
        self._still = False
        await self.tell(moved={"n": n, "at": us})

    async def _bytes(self, data: bytes) -> None:
        await self.view.go_on(len(data))
        await self._out({"type": "websocket.send", "bytes": data})

    async def tell(self, **told: Any) -> None:
        await self.view.go_on()
        await self._out({"type": "websocket.send", "text": messages.text(**told)})

    async def _out(self, event: MutableMapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                await self._send(event)
        except (TimeoutError, OSError):
            raise _Left from None


class _Left(Exception):
    """The player went away, or takes nothing any more."""


class _SignedOut(Exception):
    """The session is no more."""


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
    if request.action not in (Action.VIEW_RECORDING, Action.UNMASK):
        raise Invalid("action_not_here", action=request.action, only=Action.VIEW_RECORDING)
    return request


def _from_own_page(connection: Any) -> bool:
    """A browser always says from where a handshake comes (RFC 6455 section 10.2); nobody else has a session."""
    if not connection.headers.get("origin"):
        return False
    try:
        refuse_cross_origin(connection)
    except KoinonError:
        return False
    return True


def _text_frame(data: bytes) -> bytes:
    """A whole text message that is not masked (RFC 6455 section 5.2)."""
    size = bytes((len(data),)) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
    return b"\x81" + size + data


def _now() -> float:
    return asyncio.get_running_loop().time()
