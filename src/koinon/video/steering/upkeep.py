"""The presets of a camera, as its owner keeps them: saved where it looks, saved anew, removed.

Source: ONVIF PTZ Service Specification, SetPreset and RemovePreset, with the faults that they name.
"""

from collections import Counter
from collections.abc import Awaitable

from koinon.base.errors import Conflict, Invalid, KoinonError, NotFound, Unavailable
from koinon.video.steering.model import Preset
from koinon.video.steering.motion import Motion
from koinon.video.steering.onvif import MOST_PRESETS, OnvifCamera
from koinon.video.steering.policy import LONGEST_NAME, check_known, check_name, check_place
from koinon.video.steering.soap import CameraFault


class Upkeep:
    """What one person changes of the presets of a camera while he has it.

    Attributes:
        counted: how many were `set` and `removed`: those that the camera was told and did not refuse.
    """

    def __init__(self, camera: OnvifCamera, motion: Motion) -> None:
        self._camera, self._motion = camera, motion
        self.counted: Counter[str] = Counter()

    async def save(self, name: str, token: str) -> tuple[Preset, ...]:
        """Where the camera looks has that name: a new preset, or the one of that token. All presets then.

        Raises:
            Invalid: `preset_name_invalid`, `preset_name_refused`: the camera wants another one.
            NotFound: `preset_unknown`.
            Conflict: `presets_full`, `preset_name_taken`, `camera_moves`.
            Unavailable: `preset_unconfirmed`: it did not do it, or did not say so.
        """
        name = check_name(name)

        async def save() -> tuple[Preset, ...]:
            # Asked anew: somebody may have changed them at the camera itself.
            before = await self._camera.list_presets()
            check_place(before, min(self._camera.ability.most_presets, MOST_PRESETS), name, token)
            await self._count("set", self._camera.set_preset(name, token))
            return await self._camera.list_presets()

        return await self._done(self._motion.while_still(save))

    async def remove(self, token: str) -> tuple[Preset, ...]:
        """The camera no longer has that preset. All presets then. Raises as `save`."""

        async def remove() -> tuple[Preset, ...]:
            check_known(await self._camera.list_presets(), token)
            await self._count("removed", self._camera.remove_preset(token))
            return await self._camera.list_presets()

        return await self._done(self._motion.while_still(remove))

    async def _count(self, kind: str, told: Awaitable[object]) -> None:
        self.counted[kind] += 1  # before: whether a camera that does not answer did it is not known
        try:
            await told
        except CameraFault as fault:
            if fault.reason in ("fault", "unauthorised"):
                self.counted[kind] -= 1
            raise

    async def _done(self, changing: Awaitable[tuple[Preset, ...]]) -> tuple[Preset, ...]:
        try:
            return await changing
        except CameraFault as fault:
            raise _refusal(fault, self._camera.ability.most_presets) from None


def _refusal(fault: CameraFault, most: int) -> KoinonError:
    match fault.detail:
        case "PresetExist":
            return Conflict("preset_name_taken")
        case "InvalidPresetName":
            return Invalid("preset_name_refused", most=LONGEST_NAME)
        case "TooManyPresets":
            return Conflict("presets_full", most=most)
        case "MovingPTZ":
            return Conflict("camera_moves")
        case "NoToken":
            return NotFound("preset_unknown")
        case _:
            return Unavailable("preset_unconfirmed", reason=fault.reason)
