"""Cameras and what belongs to them: streams, groups, allowed networks, control centres and work stations.

Pure values. Positions are WGS84 in degrees; directions are degrees clockwise from true north.
"""

import ipaddress
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

import msgspec

from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.trust.parties import PartyId

CameraId = NewType("CameraId", UUID)
StreamId = NewType("StreamId", int)
CentreId = NewType("CentreId", UUID)
StationId = NewType("StationId", UUID)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def fresh_id() -> Any:
    """A new id; typed `Any` because each kind of id is a type of its own."""
    return new_id()


class PlaceKind(StrEnum):
    """What kind of place a camera looks at.

    Source: law of 21 March 2007 on surveillance cameras, article 2: open places, closed places that the public
    may enter, closed places that it may not.
    """

    PUBLIC_OPEN = "public_open"
    PUBLIC_CLOSED = "public_closed"
    NOT_PUBLIC = "not_public"


class Sensor(StrEnum):
    """What kind of eye it is; `anpr` reads number plates."""

    FIXED = "fixed"
    PTZ = "ptz"
    DOME_360 = "dome_360"
    THERMAL = "thermal"
    ANPR = "anpr"


class State(StrEnum):
    """Whether it is recorded: a paused camera is not, a retired one never again."""

    ACTIVE = "active"
    PAUSED = "paused"
    RETIRED = "retired"


class Role(StrEnum):
    """Which of a camera's pictures a stream carries: the large one, or the small one for small views."""

    MAIN = "main"
    SUB = "sub"


class Driver(StrEnum):
    """What reads the stream: the recorder's own RTSP client, or PyAV for what that does not speak."""

    RTSP = "rtsp"
    AV = "av"


class GroupKind(StrEnum):
    """What the cameras of a group have in common."""

    TERRITORY = "territory"
    OWNER = "owner"
    THEME = "theme"


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """A camera of a party.

    Attributes:
        code: unique in the region, and the name of its folder of recordings; never changes.
        height_m: above the ground, in metres.
        direction_deg: of the middle of the picture; none for a camera that looks all round, or where unknown.
        field_of_view_deg: horizontal angle of the picture.
        range_m: how far it sees.
        pixels_per_metre: across the subject, at the distance that matters (EN IEC 62676-4).
        municipality: NIS code. zone: code of the police zone on whose territory it stands.
        declaration: reference of the declaration to the authority.
        regime: of retention, a code of the rule bank's table.
        doubly_recorded: by two recorders at once.
        shared: whether others may see it at all, under a convention.
    """

    id: CameraId = msgspec.field(default_factory=fresh_id)
    code: str
    owner: PartyId
    name: str
    latitude: float
    longitude: float
    height_m: float | None = None
    direction_deg: float | None = None
    field_of_view_deg: float | None = None
    range_m: float | None = None
    pixels_per_metre: float | None = None
    place_kind: PlaceKind
    municipality: str
    zone: str | None = None
    sensor: Sensor
    declaration: str = ""
    regime: str = "standard"
    doubly_recorded: bool = False
    state: State = State.ACTIVE
    shared: bool = False
    demo: bool = False
    registered_at: datetime | None = None
    changed_at: datetime | None = None


FACTS = (
    "name",
    "latitude",
    "longitude",
    "height_m",
    "direction_deg",
    "field_of_view_deg",
    "range_m",
    "pixels_per_metre",
    "place_kind",
    "municipality",
    "zone",
    "sensor",
    "declaration",
    "regime",
    "doubly_recorded",
)
"""What of a camera its owner may change; state and sharing have acts of their own, the rest never changes."""


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """Where one picture of a camera comes from.

    Attributes:
        sealed_source: the URL with its credentials, for `sources.open_source`.
        address: the same without credentials, for people.
        recorded: whether the recorder keeps it; else it is only there to be watched.
    """

    id: StreamId
    camera: CameraId
    role: Role
    sealed_source: bytes
    address: str
    driver: Driver = Driver.RTSP
    recorded: bool = True

    def __repr__(self) -> str:
        return f"Stream({self.id}, {self.role.value}, {self.address})"


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """Where a camera that can be turned is steered.

    Attributes:
        sealed_source: the URL of its ONVIF device service with its credentials, for `SourceKey.open_control`.
        address: the same without credentials, for people.
    """

    camera: CameraId
    sealed_source: bytes
    address: str

    def __repr__(self) -> str:
        return f"Control({self.camera}, {self.address})"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Cameras about which a convention speaks together.

    Attributes:
        derived: follows from the cameras themselves (their municipality, zone, owner); nobody edits it.
    """

    code: str
    title: Text
    kind: GroupKind
    derived: bool = False


class Centre(msgspec.Struct, frozen=True, kw_only=True):
    """A room of a party in which images are watched."""

    id: CentreId = msgspec.field(default_factory=fresh_id)
    party: PartyId
    name: str
    registered_at: datetime | None = None


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """A browser of a control centre.

    Attributes:
        public_key: ECDSA P-256, the uncompressed point of 65 bytes (SEC 1 section 2.3.3). The private half
            cannot leave the browser.
    """

    id: StationId = msgspec.field(default_factory=fresh_id)
    centre: CentreId
    name: str
    public_key: bytes
    registered_at: datetime | None = None
    revoked_at: datetime | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a camera is, as far as the recorder says.

    Attributes:
        state: `recording`, `interrupted` (it should be, and is not), `elsewhere` (its owner records it), or `unknown`
            where nobody says.
        since: of that state.
        detail: the reason's code.
    """

    state: str = "unknown"
    since: datetime | None = None
    detail: str = ""


class Observation(StrEnum):
    """What a picture is fine enough for. The values are the words of EN IEC 62676-4:2014, section 6.7."""

    MONITOR = "monitor"
    DETECT = "detect"
    OBSERVE = "observe"
    RECOGNISE = "recognise"
    IDENTIFY = "identify"
    INSPECT = "inspect"


DENSITIES: dict[Observation, float] = {
    Observation.MONITOR: 12.5,
    Observation.DETECT: 25.0,
    Observation.OBSERVE: 62.5,
    Observation.RECOGNISE: 125.0,
    Observation.IDENTIFY: 250.0,
    Observation.INSPECT: 1000.0,
}
"""Pixels a metre from which a picture serves a purpose. Source: EN IEC 62676-4:2014."""


def observation(pixels_per_metre: float | None) -> Observation | None:
    """The most demanding purpose that the density serves; None below 12.5 pixels a metre, and where unknown."""
    if pixels_per_metre is None:
        return None
    served = [purpose for purpose, density in DENSITIES.items() if pixels_per_metre >= density]
    return served[-1] if served else None


def owner_group(party: PartyId) -> str:
    """Code of the group of all cameras of a party."""
    return f"owner-{party.hex}"


def derived_groups(camera: Camera) -> tuple[str, ...]:
    """Codes of the groups that the camera is in by what it is: its owner's, its municipality's, its zone's."""
    zone = (f"zone-{camera.zone}",) if camera.zone else ()
    return (owner_group(camera.owner), f"municipality-{camera.municipality}", *zone)


def in_networks(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of them."""
    return any(address.version == each.version and address in each for each in networks)
