"""A region with cameras, and a process that gives views of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.demo.region.video import ZONE_CENTRE, ZONE_SOUTH, ZONE_WEST
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras import Camera, Group, GroupKind, PlaceKind, Sensor
from koinon.video.cameras import store as cameras
from koinon.video.rights import Rights, Tokens

PLACES = {
    ZONE_WEST: ("west", "21012", "5340", 50.8551, 4.3402),
    ZONE_SOUTH: ("south", "21013", "5341", 50.8358, 4.3364),
    ZONE_CENTRE: ("centre", "21004", "5339", 50.8467, 4.3525),
}


class Film:
    """The region's cameras by zone, and whoever looks at them."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.camera: dict[str, Camera] = {}

    async def place(self, zone: str, code: str | None = None, **changes: Any) -> Camera:
        group, municipality, police, latitude, longitude = PLACES[zone]
        now = datetime.now(UTC)
        camera = Camera(
            **{
                "code": code or f"{group}-1",
                "owner": self.world.region.parties[zone],
                "name": f"{group} 1 (demo)",
                "latitude": latitude,
                "longitude": longitude,
                "place_kind": PlaceKind.PUBLIC_OPEN,
                "municipality": municipality,
                "zone": police,
                "sensor": Sensor.FIXED,
                "declaration": "demo",
                "shared": True,
                "demo": True,
                "registered_at": now,
                "changed_at": now,
                **changes,
            }
        )
        async with self.world.database.transaction() as connection:
            title = Text(group, group, group)
            await cameras.insert_group(connection, Group(code=group, title=title, kind=GroupKind.TERRITORY))
            await cameras.insert_camera(connection, camera)
            await cameras.set_groups(connection, camera.id, [group])
        self.camera[camera.code] = camera
        return camera

    def session(self, login: str, profile: str, zone: str = ZONE_WEST, kind: str = "police_zone") -> Session:
        now = datetime.now(UTC)
        return Session(
            token_hash=new_id().bytes * 2,
            csrf_token="-",
            issuer="local",
            subject=login,
            person=self.world.region.persons[login],
            party=self.world.region.parties[zone],
            party_kind=kind,
            party_name=Text("Demo", "Démo", "Demo"),
            name=login,
            profile=profile,
            language=None,
            signed_in_at=now,
            expires_at=now + timedelta(hours=1),
        )


@pytest.fixture
async def film(world: Any) -> Film:
    """One camera in each zone, in a territory group of its own."""
    found = Film(world)
    for zone in PLACES:
        await found.place(zone)
    return found


MakeRights = Callable[..., Awaitable[Rights]]


@pytest.fixture
def make_rights(world: Any, make_gate: Any) -> MakeRights:
    async def make(**options: Any) -> Rights:
        gate, uses = await make_gate(**options)
        return Rights(database=gate.database, gate=gate, uses=uses, tokens=Tokens.load(world.home))

    return make
