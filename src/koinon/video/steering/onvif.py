"""The few messages of ONVIF that turn a camera.

Source: ONVIF Core Specification (device service), Media, Media2 and PTZ Service Specifications; Profiles S and T (PTZ).
"""

from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from lxml import etree

from koinon.video.steering.model import Ability, Position, Preset, Velocity
from koinon.video.steering.soap import CameraFault, Soap

DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2: Final = "http://www.onvif.org/ver20/media/wsdl"
PTZ: Final = "http://www.onvif.org/ver20/ptz/wsdl"
SCHEMA: Final = "http://www.onvif.org/ver10/schema"
MOST_PRESETS: Final = 64
_T: Final = f"{{{SCHEMA}}}"
_P: Final = f"{{{PTZ}}}"


class OnvifCamera:
    """A camera that was found to turn. Attributes: ability."""

    def __init__(self, soap: Soap, path: str, profile: str, ability: Ability) -> None:
        self._soap, self._path, self._profile = soap, path, escape(profile)
        self.ability = ability

    @classmethod
    async def open(cls, soap: Soap, path: str) -> Self:
        """The camera whose device service is at `path`: its clock, a profile that turns, what it can, its presets.

        Raises:
            CameraFault: also `cannot_turn`.
        """
        soap.ahead = await _clock(soap, path) - datetime.now(UTC)
        services = await _services(soap, path)
        ptz = services.get(PTZ)
        if ptz is None:
            raise CameraFault("cannot_turn", "no_ptz_service")
        profile, node = await _profile(soap, services)
        nodes = await soap.call(ptz, f"{PTZ}/GetNodes", f'<GetNodes xmlns="{PTZ}"/>')
        found = {each.get("token"): each for each in nodes.findall(f"{_P}PTZNode")}
        spaces = found[node].find(f"{_T}SupportedPTZSpaces") if node in found else None
        turns = spaces is not None and spaces.find(f"{_T}ContinuousPanTiltVelocitySpace") is not None
        zooms = spaces is not None and spaces.find(f"{_T}ContinuousZoomVelocitySpace") is not None
        if not turns and not zooms:
            raise CameraFault("cannot_turn", "no_continuous_move")
        most = _count(found[node].findtext(f"{_T}MaximumNumberOfPresets"))
        camera = cls(soap, ptz, profile, Ability(turns, zooms))
        camera.ability = Ability(turns, zooms, await camera.list_presets(), most)
        return camera

    async def move(self, velocity: Velocity, seconds: float) -> None:
        """It turns that fast until it is told otherwise, and at most for so long. Raises `CameraFault`."""
        parts = ""
        if self.ability.pan_tilt:
            parts += f'<t:PanTilt x="{velocity.pan:.3f}" y="{velocity.tilt:.3f}"/>'
        if self.ability.zoom:
            parts += f'<t:Zoom x="{velocity.zoom:.3f}"/>'
        await self._ask(
            "ContinuousMove",
            f'<Velocity xmlns:t="{SCHEMA}">{parts}</Velocity><Timeout>PT{seconds:g}S</Timeout>',
        )

    async def stop(self) -> None:
        """It has been told to stand still, whatever moved it. Raises `CameraFault`."""
        await self._ask("Stop", "<PanTilt>true</PanTilt><Zoom>true</Zoom>")

    async def go_to(self, preset: str) -> None:
        """It goes to that place by itself. Raises `CameraFault`."""
        await self._ask("GotoPreset", f"<PresetToken>{escape(preset)}</PresetToken>")

    async def list_presets(self) -> tuple[Preset, ...]:
        """The places to which it can go. Raises `CameraFault`."""
        answer = await self._ask("GetPresets", "")
        found = []
        for each in answer.findall(f"{_P}Preset")[:MOST_PRESETS]:
            token = each.get("token") or ""
            if 0 < len(token) <= 64:
                name = (each.findtext(f"{_T}Name") or token).strip()
                found.append(
                    Preset(token, "".join(letter for letter in name if letter.isprintable())[:64] or token)
                )
        return tuple(found)

    async def set_preset(self, name: str, token: str = "") -> str:
        """Where it looks now is a place of that name: a new one, or that one anew. Its token. Raises `CameraFault`.

        Source: ONVIF PTZ Service Specification, SetPreset: with a token the position is overwritten too, so a name
        alone cannot be changed.
        """
        inside = f"<PresetName>{escape(name)}</PresetName>"
        if token:
            inside += f"<PresetToken>{escape(token)}</PresetToken>"
        answer = await self._ask("SetPreset", inside)
        given = answer.findtext(f"{_P}PresetToken") or ""
        if not 0 < len(given) <= 64 or (token and given != token):
            raise CameraFault("garbage", "preset_token")
        return given

    async def remove_preset(self, token: str) -> None:
        """It no longer knows that place. Raises `CameraFault`."""
        await self._ask("RemovePreset", f"<PresetToken>{escape(token)}</PresetToken>")

    async def position(self) -> Position:
        """Where it looks now. Raises `CameraFault`."""
        answer = await self._ask("GetStatus", "")
        where = answer.find(f"{_P}PTZStatus/{_T}Position")
        turned = where.find(f"{_T}PanTilt") if where is not None else None
        zoomed = where.find(f"{_T}Zoom") if where is not None else None
        return Position(_number(turned, "x"), _number(turned, "y"), _number(zoomed, "x"))

    async def close(self) -> None:
        """Nothing is asked any more."""
        await self._soap.close()

    async def _ask(self, name: str, inside: str) -> etree._Element:
        body = f'<{name} xmlns="{PTZ}"><ProfileToken>{self._profile}</ProfileToken>{inside}</{name}>'
        answer = await self._soap.call(self._path, f"{PTZ}/{name}", body)
        if answer.tag != f"{_P}{name}Response":
            raise CameraFault("garbage", "other_answer")
        return answer


async def _clock(soap: Soap, path: str) -> datetime:
    """What time it is by the camera; ours where it does not say. Anybody may ask (ONVIF Core, section 8.2.2)."""
    answer = await soap.call(
        path,
        f"{DEVICE}/GetSystemDateAndTime",
        f'<GetSystemDateAndTime xmlns="{DEVICE}"/>',
        identified=False,
    )
    told = answer.find(f".//{_T}UTCDateTime")
    try:
        names = ("Date/Year", "Date/Month", "Date/Day", "Time/Hour", "Time/Minute", "Time/Second")
        year, month, day, hour, minute, second = (
            int((told.findtext(_T + name.replace("/", f"/{_T}")) or "") if told is not None else "")
            for name in names
        )
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)


async def _services(soap: Soap, path: str) -> dict[str, str]:
    """At which path each service is, by its namespace. Of the addresses that a camera names only the path counts: where
    it thinks it is may be anywhere, and only the configured host and port were checked.
    """
    try:
        answer = await soap.call(
            path,
            f"{DEVICE}/GetServices",
            f'<GetServices xmlns="{DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>',
        )
        d = f"{{{DEVICE}}}"
        named = {
            (each.findtext(f"{d}Namespace") or "").strip(): (each.findtext(f"{d}XAddr") or "").strip()
            for each in answer.findall(f"{d}Service")
        }
    except CameraFault as fault:
        if fault.reason != "fault":
            raise
        # A camera from before ONVIF 2.
        answer = await soap.call(
            path,
            f"{DEVICE}/GetCapabilities",
            f'<GetCapabilities xmlns="{DEVICE}"><Category>All</Category></GetCapabilities>',
        )
        named = {
            space: (answer.findtext(f".//{_T}{name}/{_T}XAddr") or "").strip()
            for name, space in (("Media", MEDIA), ("PTZ", PTZ))
        }
    return {space: found for space, address in named.items() if (found := _path_of(address))}


def _path_of(address: str) -> str:
    """The path of an address that a camera names; empty where it is none."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    plain = path.isascii() and path.isprintable() and " " not in path
    return path if path.startswith("/") and plain and len(path) <= 512 else ""


async def _profile(soap: Soap, services: dict[str, str]) -> tuple[str, str]:
    """A profile of media that turns, and the node that turns it.

    Raises:
        CameraFault: also `cannot_turn`.
    """
    for space, asked, tag, node in (
        (MEDIA, "", "Profiles", f"{_T}PTZConfiguration/{_T}NodeToken"),
        (MEDIA2, "<Type>PTZ</Type>", "Profiles", f"{{{MEDIA2}}}Configurations/{{{MEDIA2}}}PTZ/{_T}NodeToken"),
    ):
        if space not in services:
            continue
        answer = await soap.call(
            services[space], f"{space}/GetProfiles", f'<GetProfiles xmlns="{space}">{asked}</GetProfiles>'
        )
        for each in answer.findall(f"{{{space}}}{tag}"):
            token, found = each.get("token"), (each.findtext(node) or "").strip()
            if token and found:
                return token, found
    raise CameraFault("cannot_turn", "no_profile")


def _count(text: str | None) -> int:
    """A number as it may be; none where it is not said."""
    said = (text or "").strip()
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 6 else 0


def _number(element: etree._Element | None, name: str) -> float | None:
    try:
        value = float((element.get(name) if element is not None else None) or "")
    except ValueError:
        return None
    return round(value, 3) if -10 < value < 10 else None
