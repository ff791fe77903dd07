"""Simulated sources on this machine: one of each for the run, told to behave again before each test."""

import asyncio
import json
import socket
import threading
import time
import tomllib
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from koinon.base.clock import SystemClock
from koinon.base.settings import Settings
from koinon.demo.population import Population, open_population
from koinon.demo.sources import SOURCES, make_server, make_source, register_households
from koinon.demo.sources.signing import give_certificates
from koinon.integrator.drivers import Context, HttpClient, Kbo, Ksz, Reachable, Rijksregister, read_address
from koinon.integrator.drivers.signed import SignedMessages, SignedSettings, open_messages

PARTY = "1990000009"
PURPOSE = "social_dwelling_admission"
AT = datetime(2026, 11, 24, 9, tzinfo=UTC)


class Server:
    """A simulated source in a thread of its own, and its control."""

    def __init__(self, name: str, settings: Settings, population: Population) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.server = make_server(make_source(name, settings, population=population, control=True), 0)
        self.thread = threading.Thread(
            target=asyncio.run, args=(self.server.serve([self.listener]),), daemon=True
        )
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)

    def behave(self, mode: str | None = None, **more: object) -> dict:
        body = json.dumps({"mode": mode, **more}).encode()
        request = urllib.request.Request(f"{self.origin}/control", body, method="POST")
        return json.load(urllib.request.urlopen(request))

    @property
    def requests(self) -> int:
        return json.load(urllib.request.urlopen(f"{self.origin}/control"))["requests"]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(5)


@pytest.fixture(scope="session")
def source_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="session")
def population(source_home: Path) -> Population:
    return open_population(source_home, size=20_000)


@pytest.fixture(scope="session")
def running(source_home: Path, population: Population) -> Iterator[dict[str, Server]]:
    settings = Settings(home=source_home)
    persons = [persona.number for persona in population.personas().values()]
    register_households(settings, population, persons, PARTY, PURPOSE, date(2025, 1, 1))
    servers = {name: Server(name, settings, population) for name in SOURCES}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def servers(running: dict[str, Server]) -> dict[str, Server]:
    for server in running.values():
        server.behave()
    return running


@pytest.fixture
async def open_client(servers: dict[str, Server]) -> AsyncIterator[Callable[..., HttpClient]]:
    """`open_client("kbo")`: a client of that simulated source."""
    opened = []

    def open_(name: str, **options: object) -> HttpClient:
        reachable = Reachable.loopback()
        client = HttpClient(
            read_address(servers[name].origin, reachable), reachable, **{"accept_simulated": True, **options}
        )
        opened.append(client)
        return client

    yield open_
    for client in opened:
        await client.close()


@pytest.fixture
def rijksregister(open_client: Callable[..., HttpClient]) -> Rijksregister:
    return Rijksregister(open_client("rijksregister"))


@pytest.fixture
def kbo(open_client: Callable[..., HttpClient]) -> Kbo:
    return Kbo(open_client("kbo"))


@pytest.fixture(scope="session")
def ksz_signed(source_home: Path) -> SignedMessages:
    """As the demo region connects it: signed by the platform's certificate, believed by the source's own."""
    how = tomllib.loads(give_certificates(source_home))["ksz"]["signed"]
    return open_messages("ksz", msgspec.convert(how, SignedSettings), source_home, SystemClock())


@pytest.fixture
def ksz(open_client: Callable[..., HttpClient], ksz_signed: SignedMessages) -> Ksz:
    return Ksz(open_client("ksz"), signed=ksz_signed)


def context(seconds: float = 5.0, **changes: object) -> Context:
    values = {
        "purpose": PURPOSE,
        "party": PARTY,
        "exchange": uuid.uuid4(),
        "at": AT,
        "deadline": time.monotonic() + seconds,
        "parameters": {"income_year": "2023"},
    }
    return Context(**{**values, **changes})
