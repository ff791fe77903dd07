"""A camera that turns only while somebody says so: the dead man's switch between who steers and the camera."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import structlog

from koinon.base.errors import Conflict
from koinon.video.steering.model import STILL, Position, Velocity
from koinon.video.steering.onvif import OnvifCamera
from koinon.video.steering.soap import CameraFault

TIMEOUT_SECONDS: Final = 1.0
"""After so long the camera stands still by itself, where nobody says anything any more."""
RENEW_SECONDS: Final = 0.4
SILENT_SECONDS: Final = 0.75
"""Who has said nothing for so long has let go; a page says it every 0.2 s while a button is held."""
_PACE_SECONDS: Final = 0.05  # between two velocities: a hand on the buttons is no faster
_LOOK_SECONDS: Final = 0.5
_STOP_PAUSES: Final = (0.0, 0.1, 0.2, 0.4, 0.8, 1.5)

T = TypeVar("T")

_log = structlog.get_logger()


class Motion:
    """The movements of one camera while one person has it.

    Attributes:
        counted: how many movements of each kind there were: `pan_tilt`, `zoom`, `preset`. A button held is one.
    """

    def __init__(
        self,
        camera: OnvifCamera,
        tell: Callable[[str], None],
        look: Callable[[Position], None] = lambda _: None,
    ) -> None:
        """`tell` hears `ready`, or why the camera does not do as told, when that changes; `look` where it looks."""
        self._camera, self._tell, self._look = camera, tell, look
        self.counted: Counter[str] = Counter()
        self._told = ""
        self._velocity = STILL
        self._preset: str | None = None
        self._said = 0.0
        self._woken = asyncio.Event()
        self._underway = False  # a command was sent and is not answered
        self._may_move = False  # something was commanded after the last Stop that was acknowledged
        self._unsettled = False  # it may still be on its way: where it looks is asked
        self._where: Position | None = None
        self._halting: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[Any] | None = None  # something that wants it to stand still
        self._driving = asyncio.create_task(self._drive(), name="camera-driven")
        self._driving.add_done_callback(_report)

    @property
    def turning(self) -> bool:
        """Whether somebody holds a button."""
        return bool(self._velocity.kinds)

    @property
    def moving(self) -> bool:
        """Whether it is on its way, or may be."""
        halting = self._halting is not None and not self._halting.done()
        return self.turning or self._preset is not None or self._underway or self._unsettled or halting

    async def while_still(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """`work` has been done at the camera, which stands still meanwhile; a movement that is asked comes after it.

        Raises:
            Conflict: `camera_moves`.
            As `work`.
        """
        if self.moving:
            raise Conflict("camera_moves")
        keeping: asyncio.Task[T] = asyncio.create_task(work(), name="camera-kept")
        self._keeping = keeping
        return await keeping

    def move(self, velocity: Velocity) -> None:
        """It turns that fast for as long as this is said again, every `SILENT_SECONDS` at least."""
        if not velocity.kinds:
            self.stop()
            return
        self.counted.update(velocity.kinds - self._velocity.kinds)
        self._preset = None
        changed = velocity != self._velocity
        self._velocity, self._said = velocity, asyncio.get_running_loop().time()
        if changed:
            self._woken.set()

    def go_to(self, preset: str) -> None:
        """It goes to that place by itself; `stop` stops it on its way."""
        self.counted["preset"] += 1
        self._velocity, self._preset = STILL, preset
        self._woken.set()

    def stop(self) -> None:
        """A Stop is on its way at once, whatever the camera still owes an answer to."""
        self._velocity, self._preset = STILL, None
        self._woken.set()
        if self._may_move and (self._halting is None or self._halting.done()):
            self._halting = asyncio.create_task(self._halt(), name="camera-stopped")

    async def close(self) -> None:
        """The camera stands still, or was told to several times in vain; nothing is asked of it any more."""
        self.stop()
        # What was commanded a moment ago is waited for: a Stop follows it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(sum(_STOP_PAUSES) + 3.0):
                while self._may_move:
                    self.stop()
                    await asyncio.wait([task for task in (self._halting,) if task is not None])
                    if self._underway:
                        await asyncio.sleep(_LOOK_SECONDS / 2)
                    elif self._may_move:
                        break  # told in vain
        self._driving.cancel()
        await asyncio.wait([self._driving])
        await self._camera.close()

    async def _drive(self) -> None:
        while True:
            # A movement after a Stop that is on its way would be undone by it.
            while before := [each for each in (self._halting, self._keeping) if each and not each.done()]:
                await asyncio.wait(before)
            if self._preset is not None:
                preset, self._preset = self._preset, None
                await self._command(self._camera.go_to(preset))
            elif self._velocity.kinds:
                velocity = self._velocity
                if await self._command(self._camera.move(velocity, TIMEOUT_SECONDS)):
                    await self._hold(velocity)
                continue
            if not self._velocity.kinds and self._preset is None:
                await self._rest()

    async def _command(self, command: Awaitable[None]) -> bool:
        """Whether it may go on: false where it was let go meanwhile, and a Stop was sent."""
        stopped = self._halting
        self._underway = self._may_move = self._unsettled = True
        try:
            await command
            self._say("ready")
        except CameraFault as fault:
            self._say(fault.reason)
            await asyncio.sleep(_PACE_SECONDS)
        finally:
            self._underway = False
        if self._halting is not stopped:
            # Let go while the camera took its time: whether it heard the Stop last is not known.
            await self._halt()
            return False
        return True

    async def _hold(self, velocity: Velocity) -> None:
        """The movement has gone on for a moment, is another one, or was let go."""
        loop = asyncio.get_running_loop()
        self._woken.clear()
        silent = self._said + SILENT_SECONDS - loop.time()
        if velocity == self._velocity:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(RENEW_SECONDS, silent))):
                    await self._woken.wait()
        if self._velocity.kinds and loop.time() >= self._said + SILENT_SECONDS:
            self.stop()
        elif self._velocity.kinds and self._velocity != velocity:
            await asyncio.sleep(_PACE_SECONDS)

    async def _rest(self) -> None:
        """Something is asked again; until then where it looks is told while that changes."""
        self._woken.clear()
        try:
            async with asyncio.timeout(_LOOK_SECONDS if self._unsettled else None):
                await self._woken.wait()
            return
        except TimeoutError:
            pass
        try:
            where = await self._camera.position()
        except CameraFault:
            self._unsettled = False
            return
        self._unsettled = where != self._where
        if self._unsettled:
            self._where = where
            self._look(where)

    async def _halt(self) -> None:
        for pause in _STOP_PAUSES:
            await asyncio.sleep(pause)
            try:
                await self._camera.stop()
            except CameraFault as fault:
                self._say(fault.reason)
                continue
            self._say("ready")
            if not self._underway and not self._velocity.kinds and self._preset is None:
                self._may_move = False
            return
        _log.error("camera_not_stopped", reason=self._told)

    def _say(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            self._tell(reason)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("camera_drive_failed", error=repr(task.exception()))
