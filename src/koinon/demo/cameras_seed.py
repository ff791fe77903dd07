"""Six virtual cameras in the register of the demo region: two in each of three police zones, marked *demo*; and one
whose recordings stay in a simulated system of its owner.

They stand at real squares of Brussels, where no camera of this project is; their RTSP addresses are given.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from koinon.base.database import Connection
from koinon.base.text import Text
from koinon.demo.cameras.fleet import KEPT_ELSEWHERE
from koinon.trust.ledger import Sealer
from koinon.trust.parties import INSTALLER, Author, PartyId
from koinon.video.cameras import (
    Camera,
    CameraId,
    Group,
    GroupKind,
    PlaceKind,
    Role,
    Sensor,
    SourceKey,
    service,
    store,
)
from koinon.video.remote.sources import set_source

LOOPBACK = "127.0.0.0/8"


class DemoCamera(msgspec.Struct, frozen=True):
    """A virtual camera: whose (code of the demo party), where, what it sees, in which groups it is put."""

    code: str
    party: str
    name: str
    latitude: float
    longitude: float
    municipality: str
    direction_deg: float
    groups: tuple[str, ...]
    sensor: Sensor = Sensor.FIXED
    field_of_view_deg: float = 78.0
    range_m: float = 90.0
    pixels_per_metre: float = 62.5
    height_m: float = 6.0
    place_kind: PlaceKind = PlaceKind.PUBLIC_OPEN


CAMERAS: tuple[DemoCamera, ...] = (
    DemoCamera(
        "west-1",
        "zone-west",
        "Demo: Gemeenteplein / Place communale",
        50.8548,
        4.3388,
        "21012",
        70.0,
        ("west", "traffic"),
    ),
    DemoCamera(
        "west-2",
        "zone-west",
        "Demo: Spiegelplein / place du Miroir",
        50.8786,
        4.3262,
        "21010",
        200.0,
        ("west",),
        Sensor.PTZ,
        pixels_per_metre=125.0,
        range_m=120.0,
    ),
    DemoCamera(
        "south-1",
        "zone-south",
        "Demo: Dapperheidsplein / place de la Vaillance",
        50.8364,
        4.3072,
        "21001",
        315.0,
        ("south", "traffic"),
    ),
    DemoCamera(
        "south-2",
        "zone-south",
        "Demo: Sint-Gillisvoorplein / parvis de Saint-Gilles",
        50.8289,
        4.3451,
        "21013",
        25.0,
        ("south",),
        field_of_view_deg=60.0,
        pixels_per_metre=25.0,
    ),
    DemoCamera(
        "centre-1",
        "zone-centre",
        "Demo: De Brouckèreplein / place De Brouckère",
        50.8510,
        4.3529,
        "21004",
        160.0,
        ("centre", "traffic"),
        pixels_per_metre=250.0,
        range_m=60.0,
    ),
    DemoCamera(
        "centre-2",
        "zone-centre",
        "Demo: Flageyplein / place Eugène Flagey",
        50.8275,
        4.3722,
        "21009",
        250.0,
        ("centre",),
        Sensor.DOME_360,
        range_m=40.0,
    ),
)

ELSEWHERE = DemoCamera(
    "metro-1",
    "zone-centre",
    "Demo: metroperron Beurs / quai de métro Bourse",
    50.8482,
    4.3498,
    "21004",
    90.0,
    ("centre",),
    height_m=3.0,
    range_m=30.0,
    place_kind=PlaceKind.PUBLIC_CLOSED,
)
"""Recorded by a simulated system of its owner, and here only what somebody asked for."""

GROUPS: tuple[Group, ...] = (
    Group(
        code="west",
        title=Text("Zone West (demo)", "Zone Ouest (démo)", "Zone West (demo)"),
        kind=GroupKind.TERRITORY,
    ),
    Group(
        code="south",
        title=Text("Zone Zuid (demo)", "Zone Midi (démo)", "Zone South (demo)"),
        kind=GroupKind.TERRITORY,
    ),
    Group(
        code="centre",
        title=Text("Zone Centrum (demo)", "Zone Centre (démo)", "Zone Centre (demo)"),
        kind=GroupKind.TERRITORY,
    ),
    Group(
        code="traffic",
        title=Text("Verkeer (demo)", "Circulation (démo)", "Traffic (demo)"),
        kind=GroupKind.THEME,
    ),
)


async def seed_cameras(
    connection: Connection,
    sealer: Sealer,
    home: Path,
    parties: Mapping[str, PartyId],
    sources: Mapping[str, str],
    *,
    subs: Mapping[str, str] | None = None,
    controls: Mapping[str, str] | None = None,
    at: datetime,
) -> dict[str, CameraId]:
    """The six cameras stand in the register, shared, in their groups; gives their ids by code.

    Args:
        parties: ids of the demo parties by code.
        sources, subs: RTSP address of the main and of the small stream by the camera's code; a camera without
            one has no such stream yet (`set_sources`).
        controls: address at which a camera that can be turned is steered, by its code.
    """
    for group in GROUPS:
        await service.make_group(connection, sealer, group, by=INSTALLER, at=at)
    ids = {each.code: await _register(connection, sealer, each, parties, at) for each in CAMERAS}
    await set_sources(connection, sealer, home, ids, parties, sources, at=at)
    await set_sources(connection, sealer, home, ids, parties, subs or {}, role=Role.SUB, at=at)
    await set_controls(connection, sealer, home, ids, parties, controls or {}, at=at)
    return ids


async def set_controls(
    connection: Connection,
    sealer: Sealer,
    home: Path,
    ids: Mapping[str, CameraId],
    parties: Mapping[str, PartyId],
    controls: Mapping[str, str],
    *,
    at: datetime,
) -> None:
    """The cameras are steered there."""
    owners = {each.code: parties[each.party] for each in CAMERAS}
    for code, url in controls.items():
        by = Author(party=owners[code], profile="camera_manager")
        await service.set_control(connection, sealer, SourceKey.of(home), ids[code], url, by=by, at=at)


async def _register(
    connection: Connection, sealer: Sealer, each: DemoCamera, parties: Mapping[str, PartyId], at: datetime
) -> CameraId:
    owner = parties[each.party]
    await service.allow_network(connection, sealer, owner, LOOPBACK, loopback=True, by=INSTALLER, at=at)
    by = Author(party=owner, profile="camera_manager")
    camera = await service.register_camera(
        connection,
        sealer,
        Camera(
            code=each.code,
            owner=owner,
            name=each.name,
            latitude=each.latitude,
            longitude=each.longitude,
            height_m=each.height_m,
            direction_deg=each.direction_deg,
            field_of_view_deg=each.field_of_view_deg,
            range_m=each.range_m,
            pixels_per_metre=each.pixels_per_metre,
            place_kind=each.place_kind,
            municipality=each.municipality,
            sensor=each.sensor,
            declaration=f"DEMO/{each.code}",
        ),
        by=by,
        at=at,
    )
    await service.set_groups(connection, sealer, camera.id, each.groups, by=by, at=at)
    await service.share_camera(connection, sealer, camera.id, by=by, at=at)
    return camera.id


async def seed_elsewhere(
    connection: Connection,
    sealer: Sealer,
    home: Path,
    parties: Mapping[str, PartyId],
    url: str,
    *,
    at: datetime,
) -> CameraId:
    """A seventh camera stands in the register: `url` shows it live, and replays what its owner recorded."""
    found = await store.find_camera_by_code(connection, ELSEWHERE.code)
    camera = found.id if found is not None else await _register(connection, sealer, ELSEWHERE, parties, at)
    by = Author(party=parties[ELSEWHERE.party], profile="camera_manager")
    key = SourceKey.of(home)
    await service.set_stream(connection, sealer, key, camera, Role.MAIN, url, recorded=False, by=by, at=at)
    await set_source(connection, sealer, key, camera, url, keep_days=KEPT_ELSEWHERE, by=by, at=at)
    return camera


async def set_sources(
    connection: Connection,
    sealer: Sealer,
    home: Path,
    ids: Mapping[str, CameraId],
    parties: Mapping[str, PartyId],
    sources: Mapping[str, str],
    *,
    role: Role = Role.MAIN,
    at: datetime,
) -> None:
    """The cameras' pictures come from there: virtual cameras listen on another port each time they start.

    The small stream is only watched, not recorded.
    """
    owners = {each.code: parties[each.party] for each in CAMERAS}
    for code, url in sources.items():
        await service.set_stream(
            connection,
            sealer,
            SourceKey.of(home),
            ids[code],
            role,
            url,
            recorded=role is Role.MAIN,
            by=Author(party=owners[code], profile="camera_manager"),
            at=at,
        )
