"""One person's turn at a camera: waiting for it, having it, over. What it was is told for the trace."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog

from koinon.base.clock import Clock, rfc3339
from koinon.base.errors import Conflict, KoinonError, NotAllowed, NotFound, Unavailable
from koinon.video.cameras import Control
from koinon.video.steering.model import Ability, Position, Preset, Velocity
from koinon.video.steering.motion import Motion
from koinon.video.steering.policy import Course
from koinon.video.steering.service import Asker, Steering
from koinon.video.steering.soap import CameraFault
from koinon.video.steering.upkeep import Upkeep

_AGAIN_SECONDS: Final = 2.0

_log = structlog.get_logger()

Say = Callable[..., None]


class Turn:
    """`step` it twice a second, and whenever `changed` is set; `end` it in every case.

    Attributes:
        held_since: when he got the camera; None while he waits.
    """

    def __init__(
        self,
        steering: Steering,
        asker: Asker,
        clock: Clock,
        *,
        say: Say,
        tell_holder: Callable[[Course], Any],
        describe: Callable[[KoinonError], Any],
    ) -> None:
        """`say` tells the page facts by name; `tell_holder` makes of a course what who waits may know of it, `describe`
        of an error what the page shows.
        """
        self._steering, self._asker, self._clock = steering, asker, clock
        self._say, self._tell_holder, self._describe = say, tell_holder, describe
        self.held_since: datetime | None = None
        self.changed = steering.listen(asker.camera.id)
        self._motion: Motion | None = None
        self._upkeep: Upkeep | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._ability: Ability | None = None
        self._ip: str | None = None
        self._control: Control | None = None  # by which it is connected
        self._connecting: asyncio.Task[None] | None = None
        self._moves = 0  # movements, and presets that were set and removed, that were told to the others
        self._said: object = None
        self._asked = False
        self._over = False
        self._refused: KoinonError | None = None

    async def begin(self) -> None:
        """He waits. Raises as `Steering.ask`."""
        await self._steering.ask(self._asker)
        self._asked = True

    async def step(self) -> None:
        """He waits still, has it still, or has it now; the page knows.

        Raises:
            Cut: see `Steering.settle`.
            KoinonError: the camera can be steered no more: see `Steering.demand_steerable`.
        """
        self.changed.clear()
        if self._refused is not None:
            raise self._refused
        control = await self._steering.demand_steerable(self._asker.camera, self._ip)
        if self._control not in (None, control):  # its owner steers it elsewhere now
            raise NotFound("camera_not_steerable")
        done = [each.counted.total() for each in (self._motion, self._upkeep) if each is not None]
        moves = sum(done)
        moved = moves != self._moves or (self._motion is not None and self._motion.turning)
        self._moves = moves
        course = await self._steering.settle(self._asker, moved=moved)
        holder = course.holder
        if holder is not None and holder.use == self._asker.use:
            if self.held_since is None and not self._over:
                self.held_since = self._clock.now()
                self._connecting = asyncio.create_task(self._connect(), name="camera-connected")
            self._once(turn="holds", waiting=len(course.waiting))
        else:
            place = [each.use for each in course.waiting].index(self._asker.use) + 1
            self._once(turn="waits", place=place, holder=self._tell_holder(course))

    def move(self, velocity: Velocity) -> None:
        """See `Motion.move`; nothing where he does not have the camera."""
        if self._motion is not None and not self._over:
            self._motion.move(velocity)

    def go_to(self, preset: str) -> None:
        """See `Motion.go_to`; a place that the camera does not know is none."""
        if self._motion is not None and not self._over and preset in self._presets:
            self._motion.go_to(preset)

    def save(self, name: str, token: str) -> None:
        """See `Upkeep.save`; the page hears the presets, or why not."""
        self._keep(lambda upkeep: upkeep.save(name, token))

    def remove(self, token: str) -> None:
        """See `Upkeep.remove`; the page hears the presets, or why not."""
        self._keep(lambda upkeep: upkeep.remove(token))

    def stop(self) -> None:
        """The camera is told to stand still, at once."""
        if self._motion is not None:
            self._motion.stop()

    def cut(self) -> None:
        """It is over: the camera is told to stand still and obeys no more. Called synchronously, by the gate."""
        self._over = True
        self.stop()
        if self._keeping is not None:  # a slow camera has yet to be told of a change that was asked before
            self._keeping.cancel()

    async def end(self) -> None:
        """The camera stands still, and the next one has it."""
        self._over = True
        self._steering.forget(self._asker.camera.id, self.changed)
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        if self._motion is not None:
            await self._motion.close()
        if self._asked:
            try:
                await self._steering.let_go(self._asker)
            except KoinonError as error:  # it runs out by itself
                _log.warning("claim_not_deleted", error=repr(error))

    def account(self) -> dict[str, Any]:
        """What the trace says: from when to when it was held (RFC 3339), how many movements of each kind there were,
        and how many presets were set and removed, where any were.
        """
        if self.held_since is None:
            return {"held_since": None}
        counted = dict(sorted(self._motion.counted.items())) if self._motion is not None else {}
        told = {
            "held_since": rfc3339(self.held_since),
            "held_until": rfc3339(self._clock.now()),
            "movements": counted,
        }
        if self._upkeep is not None and self._upkeep.counted.total():
            told["presets"] = dict(sorted((+self._upkeep.counted).items()))
        return told

    @property
    def _presets(self) -> frozenset[str]:
        return frozenset(each.token for each in self._ability.presets) if self._ability else frozenset()

    def _keep(self, change: Callable[[Upkeep], Awaitable[tuple[Preset, ...]]]) -> None:
        """One change at a time. It is not waited for here: a Stop is to be heard meanwhile."""
        if self._keeping is not None and not self._keeping.done():
            self._say(refused=self._describe(Conflict("preset_underway")))
            return
        self._keeping = asyncio.create_task(self._change(change), name="presets-kept")

    async def _change(self, change: Callable[[Upkeep], Awaitable[tuple[Preset, ...]]]) -> None:
        try:
            if not self._asker.owns:
                raise NotAllowed("preset_owners_only")
            if self._upkeep is not None:
                await self._steering.demand_steerable(self._asker.camera, self._ip)
            if self._upkeep is None or self._ability is None or self._over:
                raise Conflict("camera_not_held")
            found = await change(self._upkeep)
        except KoinonError as error:
            self._say(refused=self._describe(error))
        except Exception:
            _log.exception("presets_not_kept")
            self._say(refused=self._describe(Unavailable("internal_error")))
        else:
            self._ability = msgspec.structs.replace(self._ability, presets=found)
            self._say(presets=found)

    async def _connect(self) -> None:
        """The camera answers; it is tried until it does, and the page knows why it does not."""
        self._say(camera="connecting")
        while True:
            try:
                found, ip, control = await self._steering.connect(self._asker.camera)
            except CameraFault as fault:
                _log.warning("camera_not_connected", reason=fault.reason, detail=fault.detail)
                self._say(camera=fault.reason)
            except KoinonError as error:
                self._refuse(error)
                return
            except Exception:
                _log.exception("camera_connection_failed")
                self._refuse(Unavailable("internal_error"))
                return
            else:
                self._ability, self._ip, self._control = found.ability, ip, control
                self._motion = Motion(found, lambda reason: self._say(camera=reason), self._look)
                self._upkeep = Upkeep(found, self._motion)
                self._say(camera="ready", can=found.ability, keeps=self._asker.owns)
                with contextlib.suppress(CameraFault):
                    self._look(await found.position())
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    def _refuse(self, error: KoinonError) -> None:
        """The next step, which is at once, ends it."""
        self._refused = error
        self.changed.set()

    def _look(self, position: Position) -> None:
        self._say(position=position)

    def _once(self, **facts: Any) -> None:
        if facts != self._said:
            self._said = facts
            self._say(**facts)
