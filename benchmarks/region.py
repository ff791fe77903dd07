"""The demo region under load: its database, many dossiers, and a web process whose sources answer at once.

The web process is the platform's own, from socket to database; only its sources are replaced, so that what is
measured is the platform and not a source.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from koinon.app.server import listen
from koinon.app.wiring import open_platform, prepare_database
from koinon.base.database import Database, embedded
from koinon.base.database.place import find_place
from koinon.base.database.supervisor import find_server
from koinon.base.settings import Settings
from koinon.demo.region import NORTH, PURPOSE, SOUTH, Seeder, load_key
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.integrator.drivers import (
    Candidates,
    Context,
    HouseholdMember,
    Kbo,
    Ksz,
    PartialDate,
    Rijksregister,
    SourceAnswer,
)
from koinon.integrator.service import Integrator
from koinon.trust.ledger import Sealer

ROOT = Path(__file__).parents[1]
BORN = PartialDate(1970, 7, 1)
KEY = f"{NORTH}-system"


class Instant:
    """A source that knows everybody and answers without waiting."""

    def __init__(self, driver: Any, answers: Mapping[str, Any]) -> None:
        self.name = driver.name
        self.services = driver.services
        self._answers = answers

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        return (await self.fetch_many(service, [subject], fields, context))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        """The same for everybody, as many fields as were asked."""
        wanted = frozenset(fields)
        return tuple(
            SourceAnswer(
                source=self.name,
                service=service,
                subject=subject,
                status="data",
                values={
                    name: value(subject) if callable(value) else value
                    for name, value in self._answers[service].items()
                    if name in wanted
                },
            )
            for subject in subjects
        )

    async def close(self) -> None:
        """Nothing is held."""


def instant_sources() -> dict[str, Any]:
    """All sources of the first flow: somebody who lives alone, with an income and no property."""

    def alone(subject: str) -> tuple[HouseholdMember, ...]:
        return (HouseholdMember(subject, "head", BORN, "population"),)

    return {
        "rijksregister": Instant(
            Rijksregister,
            {
                "person": {"birth_date": BORN, "death_date": None, "register": "population"},
                "household": {"members": alone},
            },
        ),
        "ksz": Instant(
            Ksz,
            {
                "income": {"net_taxable_income": 1_500_000, "year": 2023},
                "property": {"full_ownership": False, "usufruct": False, "emphyteusis": False},
                "social_status": {"dependent_child": False, "disabled": False},
            },
        ),
        "kbo": Instant(Kbo, {"functions": {"active": False}}),
        "candidates": Instant(Candidates, {"application": {"application": "A-1"}}),
    }


def subjects(count: int) -> list[str]:
    """National numbers that nobody can have: the month of birth is raised by 60."""
    numbers = [f"7067{1 + n // 900:02d}{100 + n % 900:03d}" for n in range(count)]
    return [f"{number}{97 - int(number) % 97:02d}" for number in numbers]


class Bench(msgspec.Struct, frozen=True):
    """A seeded region on an embedded server of its own.

    Attributes:
        server: process number of PostgreSQL.
    """

    home: Path
    url: str
    server: int


@contextmanager
def open_bench(dossiers: int) -> Iterator[Bench]:
    """The region in a temporary folder on disk; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="koinon-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        url = embedded.ensure_running(home, scratch=True)
        try:
            asyncio.run(_seed(home, url, dossiers))
            place = find_place(home)
            server = find_server(place) if place else None
            assert server is not None
            yield Bench(home, url, server)
        finally:
            embedded.stop(home)


async def _seed(home: Path, url: str, dossiers: int) -> None:
    await prepare_database(url)
    async with await Database.open(url, kind="owner", max_size=2) as database:
        now = datetime.now(UTC)
        seeder = Seeder(Settings(home=home), database, Sealer.of(home), now)
        known = subjects(dossiers)
        region = await seeder.seed({NORTH: known[:1], SOUTH: known[:1]}, accounts=False)
        lines = [
            new_line(PURPOSE, subject, f"C{n}", "bench", now - timedelta(days=1), now + timedelta(days=9))
            for n, subject in enumerate(known)
        ]
        async with database.transaction() as connection:
            await insert_dossiers(connection, DirectoryKeys.load(home), region.parties[NORTH], lines, now)
            await connection.execute("ANALYZE")
    load_key(home, KEY)  # made by the seeder, or there is nothing to measure


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[Process]:
    """A module of the benchmarks in a process of its own, up when it has printed a line; ended afterwards."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        limit=1 << 24, env={**os.environ, "KOINON_LOG_LEVEL": "warning"},
    )  # fmt: skip
    try:
        assert child.stdout is not None
        if not await asyncio.wait_for(child.stdout.readline(), 60):
            raise RuntimeError(f"{' '.join(arguments)} ended before it was up")
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGCONT)
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), 20)
            except TimeoutError:
                child.kill()
                await child.wait()


def settings_of(home: Path, url: str, port: int, authority: str = "") -> Settings:
    """As a web process of a platform reads them. `authority` is that of who stands in front, where one does."""
    origin = f"http://{authority or f'127.0.0.1:{port}'}"
    return Settings(home=home, database_url=url, port=port, public_origin=origin, log_level="warning")


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with listen("127.0.0.1", 0) as listener:
        return int(listener.getsockname()[1])


async def serve(settings: Settings, *, governed: bool = True, database_url: str | None = None) -> None:
    """A web process of the platform over instant sources, until SIGTERM; prints a line when it serves.

    With `governed` false: the same server in front of the same flow and sources, without identity, directory,
    rules or trace.
    """
    from koinon.app.http import build_app
    from koinon.app.server import server
    from koinon.base.logging import configure
    from koinon.trust.parties.sign_in.edge import SignIn

    configure(settings.log_level, "web")
    async with open_platform(settings, url=database_url, sources=instant_sources()) as platform:
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        app = build_app(platform, sign_in) if governed else Ungoverned(platform.integrator)
        running = server(app, host=settings.host, port=settings.port, uses=platform.uses)
        serving = asyncio.ensure_future(running.serve())
        while not running.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        print("serving", flush=True)
        await serving
        await sign_in.close()


class Ungoverned:
    """The peer: reads a question, asks the sources, combines, answers. Trusts everybody and remembers nothing."""

    def __init__(self, integrator: Integrator) -> None:
        from koinon.integrator.model import ExchangeRequest

        self._flows, self._sources = integrator.flows, integrator.sources
        self._decode = msgspec.json.Decoder(ExchangeRequest).decode
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from koinon.base.ids import new_id
        from koinon.integrator.drivers import gather

        request = self._decode((await receive())["body"])
        flow, at = self._flows[request.flow], datetime.now(UTC)
        context = Context(
            purpose=request.purpose, party="0206731645", exchange=new_id(), at=at,
            deadline=time.monotonic() + 5, parameters=flow.parameters(at),
        )  # fmt: skip
        subject = request.subject[flow.subject]
        answers = await gather(flow.plan, subject, self._sources, context)
        body = self._encode({"answer": flow.combine(subject, answers, at).fields})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
