"""A camera that may be, and three parties with people who look after theirs."""

from datetime import UTC, date, datetime

from koinon.base.text import Text
from koinon.demo.region import enterprise_number
from koinon.trust.ledger import Sealer
from koinon.trust.parties import INSTALLER, Author, Party, Person, Role
from koinon.trust.parties import service as parties
from koinon.video.cameras import Camera, PlaceKind, Sensor, SourceKey, service, store

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)


def facts(**changes):
    values = {
        "code": "square-1",
        "name": "Square 1",
        "latitude": 50.8467,
        "longitude": 4.3525,
        "height_m": 6.25,
        "direction_deg": 120.5,
        "field_of_view_deg": 90.0,
        "range_m": 60.0,
        "pixels_per_metre": 62.5,
        "place_kind": PlaceKind.PUBLIC_OPEN,
        "municipality": "21004",
        "sensor": Sensor.FIXED,
        "declaration": "D-1",
    }
    return values | changes


class Owners:
    """`zone` and `port` have a camera manager of their own; `depot` has none."""

    def __init__(self, database, home):
        self.database = database
        self.home = home
        self.sealer = Sealer.of(home)
        self.key = SourceKey.of(home)
        self.parties = {}
        self.at = AT

    async def make(self):
        async with self.database.transaction() as connection:
            for number, (name, kind, profiles) in enumerate(
                [
                    ("zone", "police_zone", ("camera_manager", "control_room_operator", "party_manager")),
                    ("port", "port_authority", ("camera_manager",)),
                    ("depot", "transport_operator", ()),
                ],
                700,
            ):
                party = Party(
                    enterprise_number=enterprise_number(number),
                    name=Text(f"{name} nl", f"{name} fr", f"{name} en"),
                    kind=kind,
                    joined_on=date(2026, 1, 1),
                    demo=True,
                )
                await parties.register_party(connection, self.sealer, party, by=INSTALLER, at=AT)
                self.parties[name] = party.id
                for profile in profiles:
                    roles = (Role(profile=profile, valid_from=date(2026, 1, 1)),)
                    person = Person(party=party.id, name=f"{name} {profile}", language="nl", roles=roles)
                    await parties.register_person(connection, self.sealer, person, by=INSTALLER, at=AT)
        return self

    def author(self, party, profile="camera_manager"):
        return Author(party=self.parties[party], profile=profile)

    def operator(self):
        return Author(profile="operator")

    async def do(self, verb, *arguments, by=None, **named):
        """`verb` of the service, in a transaction of its own; the zone's camera manager does it."""
        async with self.database.transaction() as connection:
            return await verb(
                connection, self.sealer, *arguments, by=by or self.author("zone"), at=self.at, **named
            )

    async def register(self, party="zone", by=None, **changes):
        camera = Camera(owner=self.parties[party], **facts(**changes))
        return await self.do(service.register_camera, camera, by=by or self.author(party))

    async def allow(self, party="zone", network="10.4.0.0/16", loopback=False):
        return await self.do(
            service.allow_network, self.parties[party], network, loopback=loopback, by=INSTALLER
        )

    async def find(self, camera):
        async with self.database.acquire() as connection:
            return await store.find_camera(connection, camera.id)

    async def kinds(self, log=None):
        """Kinds of the entries about cameras, in their order, of both logs or of one."""
        rows = await self.database_rows(
            "SELECT kind, log FROM ledger.entry WHERE kind LIKE 'camera.%' ORDER BY id"
        )
        return [row["kind"] for row in rows if log in (None, row["log"])]

    async def database_rows(self, query, *values):
        async with self.database.acquire() as connection:
            return await connection.fetch(query, *values)
