"""Every process ends when it is told to, also while the database is away."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from koinon.app.demo import free_ports
from koinon.app.wiring import prepare_database
from koinon.base.clock import SystemClock
from koinon.base.database import Database, embedded
from koinon.base.database.place import find_place
from koinon.base.database.supervisor import find_server, supervisor_of
from koinon.base.settings import Settings
from koinon.demo.region import NORTH, SOUTH, Seeder
from koinon.trust.ledger import Sealer

KINDS = {"web": 1, "worker": 4, "sequencer": 0, "recorder": 0}
"""Processes, and how many releasing ones each is."""


@pytest.fixture
async def url(own_home: Path) -> str:
    """Of a server of the test's own, with a region in it."""
    url = await asyncio.to_thread(embedded.ensure_running, own_home)
    await prepare_database(url)
    async with await Database.open(url, kind="owner", max_size=2) as database:
        seeder = Seeder(Settings(home=own_home), database, Sealer.of(own_home), SystemClock().now())
        await seeder.seed({NORTH: [], SOUTH: []}, accounts=False)
    return url


@contextlib.asynccontextmanager
async def running(home: Path, url: str) -> AsyncIterator[dict[str, Process]]:
    """One of each, up: killed at the end where it still runs."""
    [port] = free_ports(1)
    env = {**os.environ, "KOINON_HOME": str(home), "KOINON_DATABASE_URL": url, "KOINON_PORT": str(port)}
    processes: dict[str, Process] = {}
    try:
        for kind in KINDS:
            processes[kind] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "koinon.app.cli", "run", kind, env=env, stdout=DEVNULL, stderr=DEVNULL
            )
        connection = await asyncpg.connect(url)
        async with asyncio.timeout(60):
            for kind, count in KINDS.items():
                released = "SELECT count(*) FROM gate.process WHERE kind = $1"
                while await connection.fetchval(released, kind) < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                known = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
                while not await connection.fetchval(known, f"koinon-{kind}"):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        await connection.close()
        yield processes
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


def server_and_children(home: Path) -> list[int]:
    place = find_place(home)
    server = find_server(place) if place is not None else None
    assert server is not None
    found = [server]
    for each in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(each.read_text().rsplit(")", 1)[1].split()[1]) == server:
                found.append(int(each.parent.name))
    return found


@pytest.mark.parametrize("away", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_whoever_is_told_to_end_ends_while_the_database_is_away(
    own_home: Path, url: str, away: signal.Signals
) -> None:
    supervisor = supervisor_of(own_home)
    assert supervisor is not None
    async with running(own_home, url) as processes:
        os.kill(supervisor, signal.SIGSTOP)  # first, or it starts the server again at once
        gone = server_and_children(own_home)
        try:
            for pid in gone:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, away)
            await asyncio.sleep(2)  # each has noticed
            assert {kind for kind, each in processes.items() if each.returncode is None} >= {"web", "worker"}
            for process in processes.values():
                if process.returncode is None:
                    process.terminate()
            async with asyncio.timeout(60):  # systemd kills after 90
                for process in processes.values():
                    await process.wait()
        finally:
            for pid in (*gone, supervisor):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
