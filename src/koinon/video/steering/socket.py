"""`/video/steer`: a WebSocket a turn at a camera. Who closes it, or falls silent, has let go.

The page sends one `ViewRequest` (action `steer`) and is answered `{"opened": ...}` or `{"problem": ...}`. Then it
hears `{"turn": "waits", "place", "holder"}` or `{"turn": "holds", "waiting"}`; `{"camera": "connecting"}`, `"ready"`
(with what it can) or why not; `{"position": ...}`; and at the end `{"cut": problem}`. It says `{"move": [pan, tilt,
zoom]}`, each from -1 to 1, again every 0.2 s while a button is held; `{"stop": true}`; `{"preset": token}`. Who is of
the camera's owner (`"keeps": true`) also says `{"save": {"name", "token"}}` (a new preset without a token) and
`{"remove": token}`, and is answered `{"presets": [...]}` or `{"refused": problem}`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
import structlog

from koinon.base.clock import Clock, rfc3339
from koinon.base.connection import reset
from koinon.base.errors import KoinonError, NotIdentified, Unavailable
from koinon.base.text import Language
from koinon.trust.gate import Cut, EndReason
from koinon.trust.standing import StandingKeeper
from koinon.video.rights import Action, Rights, View
from koinon.video.rights.sockets import (
    Describe,
    Door,
    FindSession,
    Left,
    ViewSocket,
    frame,
    told,
)
from koinon.video.steering.model import Velocity
from koinon.video.steering.policy import Course, rank_of
from koinon.video.steering.service import Asker, Steering
from koinon.video.steering.turn import Turn

TICK_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 3.0
"""Whether the turn goes on is known by then, before it would be taken for a dead process's and given to another."""
MOST_WAITING: Final = 64 << 10
"""Bytes that wait for a page: who takes nothing has left."""

_CLOSE: Final = frame(8, (1000).to_bytes(2, "big"))  # RFC 6455 section 5.5.1

_log = structlog.get_logger(__name__)

_Speed = Annotated[float, msgspec.Meta(ge=-1, le=1)]


class _Save(msgspec.Struct, frozen=True):
    """Where it looks is to have that name; `token`: of the preset that it replaces."""

    name: str
    token: Annotated[str, msgspec.Meta(max_length=64)] = ""


class _Said(msgspec.Struct, frozen=True):
    """What a page says while it has its turn."""

    move: tuple[_Speed, _Speed, _Speed] | None = None
    stop: bool = False
    preset: Annotated[str, msgspec.Meta(max_length=64)] = ""
    save: _Save | None = None
    remove: Annotated[str, msgspec.Meta(max_length=64)] = ""


_read_said = msgspec.json.Decoder(_Said).decode


class SteerSocket(ViewSocket):
    """The ASGI application of `/video/steer`."""

    actions = frozenset({Action.STEER})
    views_a_session = 4  # nobody has more hands

    def __init__(
        self,
        steering: Steering,
        rights: Rights,
        keeper: StandingKeeper,
        clock: Clock,
        *,
        describe: Describe,
        language_of: Callable[[Any], Language],
        find_session: FindSession,
    ) -> None:
        super().__init__(rights, describe=describe, language_of=language_of, find_session=find_session)
        self._steering, self._keeper, self._clock = steering, keeper, clock

    async def show(self, door: Door, view: View) -> None:
        """See `ViewSocket.show`."""
        reason = EndReason.FAILED
        turn = self._turn(door, view)
        try:
            view.on_cut(lambda: self._cut(door, view, turn))
            await self._steering.demand_steerable(view.camera)
            await turn.begin()
            try:
                await door.send({"type": "websocket.send", "text": told(opened={"view": str(view.id)})})
            except OSError:
                raise Left from None
            ticking = asyncio.create_task(self._tick(door, view, turn))
            try:
                await self._listen(door, turn)
            finally:
                turn.stop()
                ticking.cancel()
                await asyncio.wait([ticking])
            reason = EndReason.LEFT
        except Cut as cut:
            reason = cut.end
        except (asyncio.CancelledError, Left):
            reason = EndReason.LEFT
            raise
        finally:
            await asyncio.shield(self._finish(view, turn, reason))

    async def _finish(self, view: View, turn: Turn, reason: EndReason) -> None:
        """The camera stands still, the next one has it, and the trace says what there was."""
        try:
            await turn.end()
        finally:
            view.use.note = {**view.use.note, **turn.account()}
            await view.end(reason)

    def _turn(self, door: Door, view: View) -> Turn:
        actor = view.use.passage.ask.actor
        assert actor.person is not None  # who is signed in
        rank = rank_of(emergency=view.request.emergency, own=view.camera.owner == actor.party)
        asker = Asker(view.id, view.camera, actor.party, actor.person, rank)

        def say(**facts: Any) -> None:
            transport = door.transport
            if not transport.is_closing():
                transport.write(frame(1, told(**facts).encode()))

        return Turn(
            self._steering,
            asker,
            self._clock,
            say=say,
            tell_holder=lambda course: self._holder(door, course),
            describe=lambda error: self.describe(door.connection, error),
        )

    async def _listen(self, door: Door, turn: Turn) -> None:
        """What the page says has been done, until it left."""
        while True:
            event = await door.receive()
            if event["type"] == "websocket.disconnect":
                return
            if door.transport.get_write_buffer_size() > MOST_WAITING:
                return
            try:
                said = _read_said(event.get("text") or "")
            except (msgspec.DecodeError, UnicodeDecodeError):
                turn.stop()  # what is not understood is no order to go on
                continue
            if said.move is not None:
                turn.move(Velocity(*said.move))
            elif said.preset:
                turn.go_to(said.preset)
            elif said.save is not None:
                turn.save(said.save.name, said.save.token)
            elif said.remove:
                turn.remove(said.remove)
            elif said.stop:
                turn.stop()

    async def _tick(self, door: Door, view: View, turn: Turn) -> None:
        """The use goes on, whoever has it is signed in, and whose turn it is is known."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await view.go_on()
                    if not await self.still_signed_in(door.connection):
                        raise NotIdentified("not_signed_in")
                    await turn.step()
            except KoinonError as error:
                self._end(door, view, turn, error)
                return
            except Exception:
                # What cannot be asked is not allowed: a camera does not go on turning on an old answer.
                self._end(door, view, turn, Unavailable("internal_error"))
                raise
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await turn.changed.wait()

    def _end(self, door: Door, view: View, turn: Turn, error: KoinonError) -> None:
        turn.cut()
        cut = error if isinstance(error, Cut) else Cut(EndReason.CUT, error.code, **error.facts)
        view.use.cut_now(cut)  # which calls `_cut`
        if view.use.cut is None:  # ended behind this connection
            reset(door.transport)

    def _cut(self, door: Door, view: View, turn: Turn) -> None:
        """Called at once, synchronously, when the use is cut: first the camera.

        The connection is closed and not reset, as that of a picture is: there is nothing on its way to take back.
        """
        turn.cut()
        cut, word = view.use.cut or Cut(EndReason.CUT, "view_ended"), b""
        try:
            word = frame(1, told(cut=self.describe(door.connection, cut)).encode())
        except Exception:
            _log.exception("last_word_failed")
        if not door.transport.is_closing():
            door.transport.write(word + _CLOSE)
            door.transport.close()
            asyncio.get_running_loop().call_later(TICK_SECONDS * 4, door.transport.abort)

    def _holder(self, door: Door, course: Course) -> dict[str, Any] | None:
        """What somebody who waits may know of who has the camera: the party, and the person of his own party."""
        claim = course.holder
        if claim is None:
            return None
        since = rfc3339(claim.held_since) if claim.held_since is not None else None
        language = self.language_of(door.connection)
        try:
            register = self._keeper.current.register
        except Unavailable:  # a newer one is on its way
            return {"party": "", "person": "", "since": since}
        party, person = register.parties.get(claim.party), register.persons.get(claim.person)
        own = door.session.party == claim.party
        return {
            "party": party.name.in_(language) if party is not None else "",
            "person": person.name if own and person is not None else "",
            "since": since,
        }
