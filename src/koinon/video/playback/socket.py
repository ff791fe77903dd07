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
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import msgspec
import structlog

from koinon.base.connection import narrow, reset
from koinon.base.errors import Invalid, KoinonError, NotIdentified
from koinon.base.text import Language
from koinon.trust.gate import Cut, EndReason
from koinon.video.playback import messages
from koinon.video.playback.course import Ended, Media, Missing, Opening, Piece, Walk, step
from koinon.video.playback.pace import Pace
from koinon.video.playback.pieces import to_us
from koinon.video.playback.service import Playback
from koinon.video.rights import Action, Rights, View
from koinon.video.rights.sockets import (
    REQUEST_BYTES,
    SESSION_SECONDS,
    STALL_SECONDS,
    Describe,
    Door,
    FindSession,
    Left,
    Receive,
    Send,
    ViewSocket,
    told,
)

MOST_WAITING: Final = 32  # things said by the player that were not done yet
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


_read_said = msgspec.json.Decoder(Said).decode


class PlaybackSocket(ViewSocket):
    """The ASGI application of `/video/playback`."""

    actions = frozenset({Action.VIEW_RECORDING, Action.UNMASK})
    views_a_session = 32

    def __init__(
        self,
        playback: Playback,
        rights: Rights,
        *,
        describe: Describe,
        language_of: Callable[[Any], Language],
        find_session: FindSession,
    ) -> None:
        super().__init__(rights, describe=describe, language_of=language_of, find_session=find_session)
        self._playback = playback

    async def show(self, door: Door, view: View) -> None:
        """See `ViewSocket.show`."""
        connection, transport, send = door.connection, door.transport, door.send
        reason = EndReason.FAILED
        begun = False
        try:
            assert view.since is not None
            assert view.until is not None
            stream = await self._playback.find_stream(door.request.camera)
            since_us, until_us = to_us(view.since), to_us(view.until)
            course = await self._playback.walk(view, stream, since_us, until_us)
            words = view.watermark
            showing = _Showing(view, course, send, wait=connection.query_params.get("gaps") == "wait")
            begun = True
            await send(
                {
                    "type": "websocket.send",
                    "text": told(
                        opened={
                            "view": view.id,
                            "watermark": words and words.in_(self.language_of(connection)),
                            "since": since_us,
                            "until": until_us,
                            "base": showing.base_us,
                            "token": self._mint(view),
                        }
                    ),
                }
            )
            narrow(transport)
            view.on_cut(lambda: self.end_with_reason(door, view))
            await self._run(door, showing)
            reason = EndReason.LEFT
        except Left:
            reason = EndReason.LEFT
        except Cut as cut:
            reason = cut.end
        except asyncio.CancelledError:
            reason = EndReason.LEFT
            raise
        except _SignedOut:
            problem = self.describe(connection, NotIdentified("not_signed_in"))
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1.0):
                    await send({"type": "websocket.send", "text": told(cut=problem)})
            reason = EndReason.LEFT
        except KoinonError:
            if not begun:
                raise
            _log.exception("playback_failed")
        finally:
            if begun:
                reset(transport)  # what waits in buffers is not for who has gone
            await asyncio.shield(view.end(reason))

    async def _run(self, door: Door, showing: "_Showing") -> None:
        """Until one of the three ends: the player left, the session did, or sending failed.

        Raises:
            Left, _SignedOut, Cut.
        """
        tasks = [
            asyncio.create_task(showing.listen(door.receive)),
            asyncio.create_task(showing.send_all()),
            asyncio.create_task(self._watch_session(door.connection, showing)),
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
        return self.rights.mint(view, since=view.since, until=view.until)

    async def _watch_session(self, connection: Any, showing: "_Showing") -> None:
        while True:
            await asyncio.sleep(SESSION_SECONDS)
            await showing.tell(token=self._mint(showing.view))
            if not await self.still_signed_in(connection):
                raise _SignedOut


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
        """What the player says waits to be done. Raises: Left."""
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                raise Left
            text = event.get("text")
            if not isinstance(text, str) or len(text) > REQUEST_BYTES:
                continue
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # from a newer player, perhaps
                said = _read_said(text)
                if said.seek is not None:
                    # Who drags says it twenty times a second: only the last place counts.
                    self._said = deque(each for each in self._said if each.seek is None)
                if len(self._said) >= MOST_WAITING:
                    raise Left
                self._said.append(said)
                self._heard.set()

    async def send_all(self) -> None:
        """Pieces are sent as they are watched. Raises: Cut, Left when the player takes nothing any more."""
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

    async def tell(self, **facts: Any) -> None:
        await self.view.go_on()
        await self._out({"type": "websocket.send", "text": told(**facts)})

    async def _out(self, event: MutableMapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._send(event)
        except (TimeoutError, OSError):
            raise Left from None


class _SignedOut(Exception):
    """The session is no more."""


def _now() -> float:
    return asyncio.get_running_loop().time()
