"""`/video/live`: a WebSocket a view. ASGI for its beginning and what the player says; frames go to the transport.

The player sends one `ViewRequest`; it is answered `{"opened": ...}` or `{"problem": ...}` in the reader's language.
Binary messages follow (`messages.py`), and texts: `{"away": reason}`, `{"left_out": frames}`, `{"role": "sub"}`,
`{"clock": ..., "now": ...}`, and `{"cut": problem}` just before the connection is reset. The player may say
`{"role": "main" | "sub"}` and `{"clock": number}`.

A frame is one object for all viewers, so it is not passed to ASGI's `send`, which would copy it for each.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from koinon.base.connection import narrow, reset
from koinon.base.errors import NotFound, NotIdentified, Unavailable
from koinon.base.text import Language
from koinon.trust.gate import Cut, EndReason
from koinon.video.cameras.model import CameraId, Role
from koinon.video.live import messages
from koinon.video.live.channel import GOP_BYTES, VIEWER_BYTES, Channel, Viewer
from koinon.video.live.service import Live
from koinon.video.rights import Action, Rights, View
from koinon.video.rights.sockets import (
    SESSION_SECONDS,
    STALL_SECONDS,
    Describe,
    Door,
    FindSession,
    Left,
    Receive,
    ViewSocket,
    end_with_word,
    told,
)

SEND_BYTES: Final = 64 << 10
"""Of the kernel's buffer towards a player: the GOP with which it begins passes in a few turns. A reset drops it."""
MOST_WAITING: Final = GOP_BYTES + VIEWER_BYTES
"""Bytes that wait for a player which asks for more all the same: one GOP with which it begins, and what may be late."""
_TICK_SECONDS: Final = 1.0


class _Said(msgspec.Struct, frozen=True):
    """What a player says while it watches."""

    role: Role | None = None
    clock: float | None = None


class _Place(NamedTuple):
    """Which stream a viewer is on."""

    role: Role
    channel: Channel


_read_said = msgspec.json.Decoder(_Said).decode


class LiveSocket(ViewSocket):
    """The ASGI application of `/video/live`."""

    actions = frozenset({Action.VIEW_LIVE})
    views_a_session = 64  # a wall has sixteen; a session that opens more without end is none of a person

    def __init__(
        self,
        live: Live,
        rights: Rights,
        *,
        describe: Describe,
        language_of: Callable[[Any], Language],
        find_session: FindSession,
    ) -> None:
        super().__init__(rights, describe=describe, language_of=language_of, find_session=find_session)
        self._live = live

    async def show(self, door: Door, view: View) -> None:
        """See `ViewSocket.show`."""
        connection, transport, request = door.connection, door.transport, door.request
        reason = EndReason.FAILED
        viewer = Viewer(transport, door.session.person)
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
                "watermark": words and words.in_(self.language_of(connection)),
                "role": found[0],
                "now": time.time() * 1000,
            }
            try:
                await door.send({"type": "websocket.send", "text": told(opened=opened)})
            except OSError:  # what a server raises to who tells one that has gone (ASGI 2.4)
                raise Left from None
            narrow(transport, SEND_BYTES)
            view.on_cut(lambda: self._cut(door, view, viewer))
            place = _Place(found[0], self._live.hub.join(found[1], viewer, masked=_masked(view)))
            watch = asyncio.create_task(self._tick(door, view, viewer))
            try:
                place = await self._listen(view, request.camera, viewer, place, door.receive)
            finally:
                watch.cancel()
                await asyncio.wait([watch])
            reason = EndReason.LEFT if view.use.cut is None else view.use.cut.end
        except Cut as cut:
            reason = cut.end
        except (asyncio.CancelledError, Left):
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

    async def _tick(self, door: Door, view: View, viewer: Viewer) -> None:
        """The view goes on, its bytes are told, and its session and its reader are still there."""
        loop, transport = asyncio.get_running_loop(), door.transport
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
            elif now - moving > STALL_SECONDS:
                reset(transport)
                return
            if now - checked > SESSION_SECONDS:
                checked = now
                if not await self.still_signed_in(door.connection):
                    problem = self.describe(door.connection, NotIdentified("not_signed_in"))
                    viewer.stop()
                    end_with_word(transport, messages.text(cut=problem))
                    return

    def _cut(self, door: Door, view: View, viewer: Viewer) -> None:
        """Called at once, synchronously, when the view is cut."""
        viewer.stop()
        view.use.bytes += viewer.bytes_since()
        self.end_with_reason(door, view)

    async def _find(self, camera: CameraId, role: Role) -> tuple[Role, int] | None:
        """The stream of that role, else the other."""
        for each in (role, Role.MAIN, Role.SUB):
            found = await self._live.find(camera, each)
            if found is not None:
                return each, found
        return None


def _masked(view: View) -> CameraId | None:
    """The camera, where only its masked picture may leave."""
    return view.request.camera if view.masked else None


def _role(text: str | None) -> Role:
    return Role.SUB if text == "sub" else Role.MAIN
