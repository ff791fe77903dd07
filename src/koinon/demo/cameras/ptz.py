"""A simulated camera that can be turned: it speaks ONVIF over SOAP 1.2 as a real one does, and marks each answer.

A `SimulatedSource` behind the shell of the simulated sources, so it can be told to be slow, down, or to answer with a
fault. It knows who asks by WS-Security UsernameToken, or by HTTP Digest where it is told to accept nothing else.
"""

import base64
import binascii
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal
from xml.sax.saxutils import escape

import msgspec
from lxml import etree

from koinon.demo.sources.server import Asked, Said

CONTENT_TYPE: Final = "application/soap+xml; charset=utf-8"
USER: Final = "platform"
PASSWORD: Final = "steer-me"  # noqa: S105 - of a simulated camera
_ENVELOPE: Final = "http://www.w3.org/2003/05/soap-envelope"
_DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
_PTZ: Final = "http://www.onvif.org/ver20/ptz/wsdl"
_SCHEMA: Final = "http://www.onvif.org/ver10/schema"
_ERRORS: Final = "http://www.onvif.org/ver10/error"
_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_SPACES: Final = "http://www.onvif.org/ver10/tptz"
_REALM: Final = "simulated camera"
_STALE_SECONDS: Final = 300.0
_PAIR: Final = re.compile(r'(\w+)="?([^",]*)"?')
SPEED: Final = 0.5  # of the whole range in a second, at full speed
MOST_NAME: Final = 32
"""Characters of a preset's name, as cameras that can do little have it."""
PRESETS: Final = {
    "1": ("Plein / Place", (0.0, 0.0, 0.0)),
    "2": ("Kruispunt / Carrefour", (0.4, -0.1, 0.3)),
    "3": ("Halte / Arrêt", (-0.6, 0.1, 0.5)),
}


class Heard(msgspec.Struct, frozen=True):
    """A command that the camera obeyed: its name, the velocity of a move, when (monotonic seconds)."""

    name: str
    velocity: tuple[float, float, float]
    at: float


class _Fault(Exception):
    def __init__(self, whose: str, *codes: str, status: int = 400) -> None:
        super().__init__(codes[-1])
        self.whose, self.codes, self.status = whose, codes, status


class PtzCamera:
    """The camera, as a simulated source.

    Attributes:
        heard: the commands that it obeyed, oldest first.
        user, password: of the one account. accepts: how it wants to know who asks.
        ahead_seconds: how wrong its clock is. old: it does not know `GetServices`.
        address: where it says that its services are; empty: where it was asked.
        presets: name and position by token. most_presets: so many it can keep.
    """

    content_type = CONTENT_TYPE

    def __init__(
        self,
        *,
        user: str = USER,
        password: str = PASSWORD,
        accepts: Literal["token", "digest"] = "token",
        ahead_seconds: float = 0.0,
        old: bool = False,
        address: str = "",
        most_presets: int = 8,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.user, self.password, self.accepts = user, password, accepts
        self.ahead_seconds, self.old, self.address = ahead_seconds, old, address
        self.presets = dict(PRESETS)
        self.most_presets = most_presets
        self.heard: list[Heard] = []
        self._now = now
        self._nonces: set[str] = set()
        self._challenge = secrets.token_hex(16)
        self._from = (0.0, 0.0, 0.0)
        self._velocity = (0.0, 0.0, 0.0)
        self._since = now()
        self._until = 0.0
        self._target: tuple[float, float, float] | None = None

    @property
    def moving(self) -> bool:
        """Whether it turns at this moment."""
        if self._target is not None:
            return self.position != self._target
        return any(self._velocity) and self._now() < self._until

    @property
    def position(self) -> tuple[float, float, float]:
        """Pan, tilt, zoom at this moment."""
        now = self._now()
        if self._target is not None:
            reach = SPEED * (now - self._since)
            pan, tilt, zoom = (
                end if abs(end - start) <= reach else start + reach * (1 if end > start else -1)
                for start, end in zip(self._from, self._target, strict=True)
            )
            return pan, tilt, zoom
        spent = max(0.0, min(now, self._until) - self._since)
        pan, tilt, zoom = (
            max(lowest, min(1.0, start + SPEED * spent * speed))
            for start, speed, lowest in zip(self._from, self._velocity, (-1.0, -1.0, 0.0), strict=True)
        )
        return pan, tilt, zoom

    def answer(self, asked: Asked, trick: str) -> Said:
        """One SOAP request is answered; `trick` is `fault` or empty."""
        if asked.method != "POST" or not asked.path.startswith("/onvif/"):
            return Said(404, "text/plain", b"")
        try:
            body, header = _read(asked.body)
            name = etree.QName(body).localname
            act = _ACTS.get((etree.QName(body).namespace or "", name))
            if name != "GetSystemDateAndTime" and not self._knows(asked, header):
                if self.accepts == "digest":
                    challenge = (
                        f'Digest realm="{_REALM}", qop="auth", nonce="{self._challenge}", algorithm=MD5'
                    )
                    return Said(401, "text/plain", b"", ((b"www-authenticate", challenge.encode()),))
                raise _Fault("Sender", "NotAuthorized")
            if act is None or (self.old and name == "GetServices"):
                raise _Fault("Receiver", "ActionNotSupported", status=500)
            if trick == "fault" and (etree.QName(body).namespace == _PTZ):
                raise _Fault("Receiver", "Action", "PTZMovementFailed", status=500)
            return Said(200, CONTENT_TYPE, _envelope(act(self, body, asked)))
        except _Fault as fault:
            return Said(fault.status, CONTENT_TYPE, _envelope(_written(fault)))

    def _knows(self, asked: Asked, header: etree._Element | None) -> bool:
        if self.accepts == "digest":
            return self._knows_digest(asked)
        token = header.find(f".//{{{_WSSE}}}UsernameToken") if header is not None else None
        if token is None:
            return False
        name, given, nonce = (
            token.findtext(f"{{{_WSSE}}}{each}") or "" for each in ("Username", "Password", "Nonce")
        )
        created = token.findtext(f"{{{_WSU}}}Created") or ""
        try:
            raw, at = base64.b64decode(nonce, validate=True), datetime.fromisoformat(created)
        except (ValueError, binascii.Error):
            return False
        late = abs((at - datetime.now(UTC)).total_seconds() - self.ahead_seconds)
        if late > _STALE_SECONDS or nonce in self._nonces:
            return False
        digest = hashlib.sha1(raw + created.encode() + self.password.encode(), usedforsecurity=False).digest()
        good = name == self.user and given == base64.b64encode(digest).decode()
        if good:
            self._nonces.add(nonce)
        return good

    def _knows_digest(self, asked: Asked) -> bool:
        said = dict(_PAIR.findall(asked.headers.get(b"authorization", b"").decode("latin-1")))

        def md5(text: str) -> str:
            return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

        secret = md5(f"{self.user}:{_REALM}:{self.password}")
        request = md5(f"POST:{asked.path}")
        wanted = md5(
            f"{secret}:{self._challenge}:{said.get('nc')}:{said.get('cnonce')}:{said.get('qop')}:{request}"
        )
        return (
            said.get("username") == self.user
            and said.get("uri") == asked.path
            and said.get("response") == wanted
        )

    def _at(self, asked: Asked, what: str) -> str:
        host = asked.headers.get(b"host", b"127.0.0.1").decode("ascii", "replace")
        return escape(f"{self.address or f'http://{host}'}/onvif/{what}")

    def _tell_time(self, _body: etree._Element, _asked: Asked) -> str:
        at = datetime.fromtimestamp(time.time() + self.ahead_seconds, UTC)
        return (
            f'<GetSystemDateAndTimeResponse xmlns="{_DEVICE}" xmlns:t="{_SCHEMA}"><SystemDateAndTime>'
            "<t:DateTimeType>NTP</t:DateTimeType><t:DaylightSavings>false</t:DaylightSavings>"
            f"<t:UTCDateTime><t:Time><t:Hour>{at.hour}</t:Hour><t:Minute>{at.minute}</t:Minute>"
            f"<t:Second>{at.second}</t:Second></t:Time><t:Date><t:Year>{at.year}</t:Year>"
            f"<t:Month>{at.month}</t:Month><t:Day>{at.day}</t:Day></t:Date></t:UTCDateTime>"
            "</SystemDateAndTime></GetSystemDateAndTimeResponse>"
        )

    def _tell_services(self, _body: etree._Element, asked: Asked) -> str:
        services = "".join(
            f"<Service><Namespace>{space}</Namespace><XAddr>{self._at(asked, what)}</XAddr><Version>"
            "<t:Major>2</t:Major><t:Minor>60</t:Minor></Version></Service>"
            for space, what in (
                (_DEVICE, "device_service"),
                (_MEDIA, "media_service"),
                (_PTZ, "ptz_service"),
            )
        )
        return f'<GetServicesResponse xmlns="{_DEVICE}" xmlns:t="{_SCHEMA}">{services}</GetServicesResponse>'

    def _tell_capabilities(self, _body: etree._Element, asked: Asked) -> str:
        return (
            f'<GetCapabilitiesResponse xmlns="{_DEVICE}" xmlns:t="{_SCHEMA}"><Capabilities>'
            f"<t:Media><t:XAddr>{self._at(asked, 'media_service')}</t:XAddr><t:StreamingCapabilities/></t:Media>"
            f"<t:PTZ><t:XAddr>{self._at(asked, 'ptz_service')}</t:XAddr></t:PTZ>"
            "</Capabilities></GetCapabilitiesResponse>"
        )

    def _tell_profiles(self, _body: etree._Element, _asked: Asked) -> str:
        return (
            f'<GetProfilesResponse xmlns="{_MEDIA}" xmlns:t="{_SCHEMA}"><Profiles token="still" fixed="true">'
            "<t:Name>still</t:Name></Profiles>"
            '<Profiles token="main" fixed="true"><t:Name>main</t:Name><t:PTZConfiguration token="ptz-0">'
            "<t:Name>ptz</t:Name><t:UseCount>1</t:UseCount><t:NodeToken>node-0</t:NodeToken></t:PTZConfiguration>"
            "</Profiles></GetProfilesResponse>"
        )

    def _tell_nodes(self, _body: etree._Element, _asked: Asked) -> str:
        span = "<t:Min>-1</t:Min><t:Max>1</t:Max>"
        return (
            f'<GetNodesResponse xmlns="{_PTZ}" xmlns:t="{_SCHEMA}"><PTZNode token="node-0"><t:Name>node</t:Name>'
            "<t:SupportedPTZSpaces><t:ContinuousPanTiltVelocitySpace>"
            f"<t:URI>{_SPACES}/PanTiltSpaces/VelocityGenericSpace</t:URI>"
            f"<t:XRange>{span}</t:XRange><t:YRange>{span}</t:YRange></t:ContinuousPanTiltVelocitySpace>"
            f"<t:ContinuousZoomVelocitySpace><t:URI>{_SPACES}/ZoomSpaces/VelocityGenericSpace</t:URI>"
            f"<t:XRange>{span}</t:XRange></t:ContinuousZoomVelocitySpace></t:SupportedPTZSpaces>"
            f"<t:MaximumNumberOfPresets>{self.most_presets}</t:MaximumNumberOfPresets>"
            "<t:HomeSupported>false</t:HomeSupported></PTZNode></GetNodesResponse>"
        )

    def _tell_presets(self, body: etree._Element, _asked: Asked) -> str:
        _check_profile(body)
        presets = "".join(
            f'<Preset token="{token}"><t:Name>{escape(name)}</t:Name>'
            f"<t:PTZPosition>{_where(at)}</t:PTZPosition></Preset>"
            for token, (name, at) in self.presets.items()
        )
        return f'<GetPresetsResponse xmlns="{_PTZ}" xmlns:t="{_SCHEMA}">{presets}</GetPresetsResponse>'

    def _tell_status(self, body: etree._Element, _asked: Asked) -> str:
        _check_profile(body)
        state = "MOVING" if self.moving else "IDLE"
        return (
            f'<GetStatusResponse xmlns="{_PTZ}" xmlns:t="{_SCHEMA}"><PTZStatus><t:Position>'
            f"{_where(self.position)}</t:Position>"
            f"<t:MoveStatus><t:PanTilt>{state}</t:PanTilt><t:Zoom>{state}</t:Zoom></t:MoveStatus>"
            f"<t:UtcTime>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</t:UtcTime></PTZStatus></GetStatusResponse>"
        )

    def _move(self, body: etree._Element, _asked: Asked) -> str:
        _check_profile(body)
        velocity = body.find(f"{{{_PTZ}}}Velocity")
        turned = velocity.find(f"{{{_SCHEMA}}}PanTilt") if velocity is not None else None
        zoomed = velocity.find(f"{{{_SCHEMA}}}Zoom") if velocity is not None else None
        try:
            pan, tilt = (float(turned.get(each, "")) if turned is not None else 0.0 for each in "xy")
            zoom = float(zoomed.get("x", "")) if zoomed is not None else 0.0
            seconds = float((body.findtext(f"{{{_PTZ}}}Timeout") or "PT60S")[2:-1])
        except ValueError:
            raise _Fault("Sender", "InvalidArgVal", "InvalidVelocity") from None
        if max(abs(pan), abs(tilt), abs(zoom)) > 1:
            raise _Fault("Sender", "InvalidArgVal", "InvalidVelocity")
        self._set(pan, tilt, zoom, seconds)
        self._hear("ContinuousMove")
        return f'<ContinuousMoveResponse xmlns="{_PTZ}"/>'

    def _stop(self, body: etree._Element, _asked: Asked) -> str:
        _check_profile(body)
        self._set(0.0, 0.0, 0.0, 0.0)
        self._hear("Stop")
        return f'<StopResponse xmlns="{_PTZ}"/>'

    def _go_to(self, body: etree._Element, _asked: Asked) -> str:
        _check_profile(body)
        token = body.findtext(f"{{{_PTZ}}}PresetToken") or ""
        if token not in self.presets:
            raise _Fault("Sender", "InvalidArgVal", "NoToken")
        self._set(0.0, 0.0, 0.0, 0.0)
        self._target = self.presets[token][1]
        self._hear("GotoPreset")
        return f'<GotoPresetResponse xmlns="{_PTZ}"/>'

    def _set_preset(self, body: etree._Element, _asked: Asked) -> str:
        """Where it looks is kept, under a token that is there too (ONVIF PTZ Service Specification, SetPreset)."""
        _check_profile(body)
        token, name = body.findtext(f"{{{_PTZ}}}PresetToken"), body.findtext(f"{{{_PTZ}}}PresetName")
        if token is not None and token not in self.presets:
            raise _Fault("Sender", "InvalidArgVal", "NoToken")
        if name is not None and not 0 < len(name) <= MOST_NAME:
            raise _Fault("Sender", "InvalidArgVal", "InvalidPresetName")
        if any(each == name for other, (each, _) in self.presets.items() if other != token):
            raise _Fault("Sender", "InvalidArgVal", "PresetExist")
        if self.moving:
            raise _Fault("Receiver", "Action", "MovingPTZ", status=500)
        if token is None:
            if len(self.presets) >= self.most_presets:
                raise _Fault("Receiver", "Action", "TooManyPresets", status=500)
            token = str(1 + max(map(int, self.presets), default=0))
        named = name or (self.presets[token][0] if token in self.presets else f"Preset {token}")
        self.presets[token] = (named, self.position)
        self._hear("SetPreset")
        return f'<SetPresetResponse xmlns="{_PTZ}"><PresetToken>{token}</PresetToken></SetPresetResponse>'

    def _remove_preset(self, body: etree._Element, _asked: Asked) -> str:
        _check_profile(body)
        if self.presets.pop(body.findtext(f"{{{_PTZ}}}PresetToken") or "", None) is None:
            raise _Fault("Sender", "InvalidArgVal", "NoToken")
        self._hear("RemovePreset")
        return f'<RemovePresetResponse xmlns="{_PTZ}"/>'

    def _set(self, pan: float, tilt: float, zoom: float, seconds: float) -> None:
        self._from, self._target = self.position, None
        self._velocity, self._since = (pan, tilt, zoom), self._now()
        self._until = self._since + seconds

    def _hear(self, name: str) -> None:
        self.heard.append(Heard(name, self._velocity, self._now()))
        del self.heard[:-1000]


_ACTS: Final[dict[tuple[str, str], Callable[[PtzCamera, etree._Element, Asked], str]]] = {
    (_DEVICE, "GetSystemDateAndTime"): PtzCamera._tell_time,
    (_DEVICE, "GetServices"): PtzCamera._tell_services,
    (_DEVICE, "GetCapabilities"): PtzCamera._tell_capabilities,
    (_MEDIA, "GetProfiles"): PtzCamera._tell_profiles,
    (_PTZ, "GetNodes"): PtzCamera._tell_nodes,
    (_PTZ, "GetPresets"): PtzCamera._tell_presets,
    (_PTZ, "GetStatus"): PtzCamera._tell_status,
    (_PTZ, "ContinuousMove"): PtzCamera._move,
    (_PTZ, "Stop"): PtzCamera._stop,
    (_PTZ, "GotoPreset"): PtzCamera._go_to,
    (_PTZ, "SetPreset"): PtzCamera._set_preset,
    (_PTZ, "RemovePreset"): PtzCamera._remove_preset,
}


def _check_profile(body: etree._Element) -> None:
    if body.findtext(f"{{{_PTZ}}}ProfileToken") != "main":
        raise _Fault("Sender", "InvalidArgVal", "NoProfile")


def _where(position: tuple[float, float, float]) -> str:
    pan, tilt, zoom = position
    return f'<t:PanTilt x="{pan:.4f}" y="{tilt:.4f}"/><t:Zoom x="{zoom:.4f}"/>'


def _read(data: bytes) -> tuple[etree._Element, etree._Element | None]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    with suppress(etree.XMLSyntaxError):
        root = etree.fromstring(data, parser)
        body = root.find(f"{{{_ENVELOPE}}}Body")
        if root.tag == f"{{{_ENVELOPE}}}Envelope" and body is not None and len(body) == 1:
            return body[0], root.find(f"{{{_ENVELOPE}}}Header")
    raise _Fault("Sender", "WellFormed")


def _written(fault: _Fault) -> str:
    code = ""
    for each in reversed(fault.codes):
        code = f"<s:Subcode><s:Value>ter:{each}</s:Value>{code}</s:Subcode>"
    return (
        f'<s:Fault xmlns:ter="{_ERRORS}"><s:Code><s:Value>s:{fault.whose}</s:Value>{code}</s:Code>'
        f'<s:Reason><s:Text xml:lang="en">{fault.codes[-1]}</s:Text></s:Reason></s:Fault>'
    )


def _envelope(body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{_ENVELOPE}"><s:Header>'
        '<simulated xmlns="urn:koinon:demo:simulated">a simulated camera</simulated></s:Header>'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
