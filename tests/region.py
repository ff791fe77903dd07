"""A seeded demo region, cloned for each test, and a gate over it."""

import asyncio
import fcntl
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from koinon.base.clock import SystemClock
from koinon.base.database import Database
from koinon.base.ids import new_id
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.demo.region import FLOW, NORTH, PURPOSE, SOUTH, Region, Seeder, load_key
from koinon.integrator.directory import DirectoryKeys, ReferenceDirectory
from koinon.trust.gate import Actor, Ask, Gate, ProcessId, Uses
from koinon.trust.ledger import Sealer
from koinon.trust.standing import StandingKeeper, StandingLoader
from koinon.trust.standing.acts import Deed, Target, TargetKind

TEMPLATE = "koinon_region"
KNOWN = {NORTH: ["80690112370", "75721054372"], SOUTH: ["80690112370"]}
CONTRACTOR = "1990000035"
FIELDS = frozenset({"adult", "income_within_ceiling", "no_property", "admissible"})


def on(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def region_template(server_url: str, template_url: str, server_home: Path) -> Path:
    """A migrated database with the demo region in it, to clone; and the home that belongs to it."""
    home = server_home / "region"
    with (server_home / "database" / "region.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "demo" / "region.json").exists():
            asyncio.run(_seed(server_url, template_url, home))
    return home


async def _seed(server_url: str, template_url: str, home: Path) -> None:
    name = urlsplit(template_url).path[1:]
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE {name}")
    finally:
        await connection.close()
    async with await Database.open(on(server_url, TEMPLATE), kind="owner", max_size=2) as database:
        seeder = Seeder(Settings(home=home), database, Sealer.of(home), SystemClock().now())
        await seeder.seed(KNOWN, contractors=[CONTRACTOR], accounts=False)


class World:
    """The region of one test: its database, home and ids, and what its people can do."""

    def __init__(self, url: str, home: Path, database: Database) -> None:
        self.url = url
        self.home = home
        self.settings = Settings(home=home)
        self.database = database
        self.region = Region.load(home)
        self.sealer = Sealer.of(home)
        self.clock = SystemClock()

    def system(self, party: str = NORTH) -> Actor:
        return Actor(
            party=self.region.parties[party],
            system=self.region.systems[party],
            key=load_key(self.home, f"{party}-system").key_id,
            profile="system",
        )

    def person(self, login: str, profile: str, party: str = NORTH) -> Actor:
        return Actor(party=self.region.parties[party], person=self.region.persons[login], profile=profile)

    def ask(self, actor: Actor | None = None, **changes: Any) -> Ask:
        values: dict[str, Any] = {
            "actor": actor or self.system(),
            "purpose": PURPOSE,
            "case": "CASE-1",
            "action": "consult",
            "resource": f"flow/{FLOW}",
            "fields": FIELDS,
            "subjects": (KNOWN[NORTH][0],),
            "sources": {"ksz/income": frozenset({"net_taxable_income"})},
        }
        return Ask(**(values | changes))

    async def act(self, holder: str, deed: Deed, kind: TargetKind, id_: str) -> None:
        """An act of a member, in a transaction of its own, as another process would make it."""
        seeder = Seeder(self.settings, self.database, self.sealer, self.clock.now())
        reason = Text("Proef van de rem", "Essai du frein", "Trial of the brake")
        async with self.database.transaction() as connection:
            await seeder.act(connection, holder, deed, Target(kind, id_), reason)


@pytest.fixture
async def world(server_url: str, region_template: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A fresh region."""
    home = tmp_path / "home"
    shutil.copytree(region_template, home)
    name = f"region_{uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    try:
        # The other strategy writes the whole copy to the log too: twice the work.
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        async with await Database.open(on(server_url, name), kind="owner", max_size=6) as database:
            yield World(on(server_url, name), home, database)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


MakeGate = Callable[..., Awaitable[tuple[Gate, Uses]]]


@pytest.fixture
async def make_gate(world: World) -> AsyncIterator[MakeGate]:
    """`await make_gate()`: a releasing process with the rights of the web role; everything is stopped at the end."""
    closers: list[Callable[[], Awaitable[None]]] = []

    async def make(*, poll: float = 0.05, limit: float = 0.7, url: str | None = None) -> tuple[Gate, Uses]:
        database = await Database.open(url or world.url, kind="web", max_size=6)
        closers.append(database.close)
        keeper = StandingKeeper(
            database, StandingLoader(), clock=world.clock, poll_seconds=poll, limit_seconds=limit
        )
        await keeper.start()
        closers.append(keeper.stop)
        directory = ReferenceDirectory(database, DirectoryKeys.load(world.home))
        gate = Gate(
            database=database, keeper=keeper, sealer=world.sealer, directory=directory, clock=world.clock
        )
        uses = Uses(gate, ProcessId(new_id()), "web")
        await uses.start()
        closers.append(uses.stop)
        return gate, uses

    yield make
    for close in reversed(closers):
        await close()
