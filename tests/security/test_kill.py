"""kill -9 of web, worker, sequencer and database at any point, end to end: nothing acknowledged is lost or doubled."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from koinon.app.schemas import SCHEMAS
from koinon.app.wiring import prepare_database
from koinon.base.clock import SystemClock
from koinon.base.database import Database, embedded, migrate
from koinon.base.database.place import find_place
from koinon.base.database.supervisor import find_server
from koinon.base.errors import KoinonError
from koinon.base.settings import Settings
from koinon.client import Answer, AsyncClient, StreamCut, discover
from koinon.client.conversation import Retries
from koinon.demo.region import FLOW, NORTH, PURPOSE, Region, Seeder, load_key
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.trust.ledger import Log, Private, Sealer, find_entries, read_private

SUBJECT = "80690112370"
KILL_SECONDS = 20.0
WEB = """
from koinon.app.run import run_web
from koinon.app.server import listen
from koinon.base.settings import load_settings
settings = load_settings()
run_web(settings, listen(settings.host, settings.port))
"""


class Kept:
    """Processes that are started again when they die, as a family's parent or a service manager would."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = (home / "processes.log").open("ab")
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.starts: dict[str, int] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def keep(self, name: str, *command: str) -> None:
        async def keep() -> None:
            while True:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, *command, stdout=self.log, stderr=self.log, env=environment(self.home)
                )
                self.running[name] = process
                self.starts[name] = self.starts.get(name, 0) + 1
                await process.wait()
                await asyncio.sleep(0.1)

        self.tasks.append(asyncio.create_task(keep()))

    def kill(self, name: str) -> None:
        if name == "database":
            place = find_place(self.home)
            server = find_server(place) if place is not None else None
            if server is not None:
                os.kill(server, signal.SIGKILL)
        elif name in self.running:
            with contextlib.suppress(ProcessLookupError):
                self.running[name].send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()
        self.log.close()


def environment(home: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KOINON_")}
    return {**clean, "KOINON_HOME": str(home)}


async def verify_ledger(home: Path) -> tuple[int, str]:
    """The exit code of `koinon ledger verify --log exchange`, and what it printed."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "koinon.app.cli", "ledger", "verify", "--log", "exchange"],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def until(true: Callable[[], Any], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(KoinonError, httpx.HTTPError, OSError):
            found = true()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.1)


async def seed(home: Path, port: int) -> str:
    settings = Settings(home=home)
    (home / "koinon.toml").write_text(f'host = "127.0.0.1"\nport = {port}\nlog_level = "warning"\n')
    url = embedded.ensure_running(home, scratch=True)
    await migrate(url, SCHEMAS)
    await prepare_database(url)
    async with await Database.open(url, kind="owner", max_size=2) as database:
        seeder = Seeder(settings, database, Sealer.of(home), SystemClock().now())
        await seeder.seed({NORTH: [SUBJECT]}, accounts=False)
        now = SystemClock().now()
        numbers = [f"7067{1 + n // 900:02d}{100 + n % 900:03d}" for n in range(4000)]
        lines = [
            new_line(PURPOSE, f"{n}{97 - int(n) % 97:02d}", f"C{i}", "demo", now, now + timedelta(days=9))
            for i, n in enumerate(numbers)
        ]
        async with database.transaction() as connection:
            keys = DirectoryKeys.load(home)
            await insert_dossiers(connection, keys, Region.load(home).parties[NORTH], lines, now)
    return url


@pytest.mark.slow
@pytest.mark.timeout(420)
async def test_kill_of_anything_loses_no_acknowledged_exchange_and_doubles_none(home: Path) -> None:
    chance = random.Random(9421)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = await seed(home, port)
    origin = f"http://127.0.0.1:{port}"
    kept = Kept(home)
    for name in ("web-1", "web-2"):
        kept.keep(name, "-c", WEB)
    for name in ("worker", "sequencer"):
        kept.keep(name, "-m", "koinon.app.cli", "run", name)
    acknowledged: list[Answer] = []
    tried: list[str] = []
    streams = {"whole": 0, "cut": 0}
    going = True
    try:

        def ready() -> bool:
            keys = httpx.get(f"{origin}/api/keys", timeout=2).json()["logs"]
            return httpx.get(f"{origin}/health/ready", timeout=2).status_code == 200 and all(keys.values())

        await until(lambda: asyncio.to_thread(ready), 90, "the platform is not up")
        pins = await asyncio.to_thread(discover, origin)
        key = load_key(home, f"{NORTH}-system")
        hasty = Retries(attempts=3, first_wait_seconds=0.05, longest_wait_seconds=0.3)

        async def ask(number: int) -> None:
            count = 0
            async with AsyncClient(origin, key, pins, retries=hasty, timeout_seconds=3) as client:
                while going:
                    count += 1
                    name = f"K{number}-{count}"
                    tried.append(name)
                    for _ in range(40):  # the same question with the same key until it is answered
                        try:
                            answer = await client.ask(
                                flow=FLOW,
                                purpose=PURPOSE,
                                case=name,
                                subject={"national_number": SUBJECT},
                                idempotency_key=name,
                            )
                        except (KoinonError, httpx.HTTPError, OSError):
                            await asyncio.sleep(0.2)
                            continue
                        acknowledged.append(answer)
                        break
                    await asyncio.sleep(0.02)

        async def stream() -> None:
            async with AsyncClient(origin, key, pins, retries=hasty, timeout_seconds=3) as client:
                while going:
                    try:
                        async for _ in client.communicate(flow=FLOW, purpose=PURPOSE, case="STREAM"):
                            pass
                        streams["whole"] += 1
                    except StreamCut:
                        streams["cut"] += 1
                    except (KoinonError, httpx.HTTPError, OSError):
                        await asyncio.sleep(0.2)

        async def kill() -> None:
            nonlocal going
            victims = ["web-1", "worker", "sequencer", "web-2", "database"]
            deadline = time.monotonic() + KILL_SECONDS
            while time.monotonic() < deadline:
                chance.shuffle(victims)
                for victim in victims:
                    before = len(acknowledged)
                    kept.kill(victim)
                    await asyncio.sleep(chance.uniform(0.3, 1.2))
                    # Each blow falls on a platform that answered since the last one.
                    await until(lambda n=before: len(acknowledged) > n, 60, f"no answer after {victim}")  # type: ignore[misc]
            going = False

        await asyncio.gather(*(ask(n) for n in range(4)), stream(), stream(), kill())
        asked = set(tried)
        assert len(acknowledged) > 50 and streams["cut"] >= 1, (len(acknowledged), streams)
        assert all(kept.starts[name] > 1 for name in ("web-1", "web-2", "worker", "sequencer")), kept.starts

        async with await Database.open(url, kind="owner", max_size=2) as database:

            async def settled() -> bool:
                async with database.acquire() as connection:
                    return not await connection.fetchval(
                        "SELECT (SELECT count(*) FROM ledger.pending) + (SELECT count(*) FROM gate.running)"
                    )

            # Dead processes are seen as such after 15 s, and looked for every 5.
            await until(settled, 60, "uses of dead processes still stand as running")
            async with database.acquire() as connection:
                begun = await find_entries(connection, kind="exchange.begun", log=Log.EXCHANGE, limit=1000)
                ended = await find_entries(connection, kind="exchange.ended", log=Log.EXCHANGE, limit=1000)
                rows = await connection.fetch(
                    "SELECT key, exchange FROM gate.idempotency WHERE key LIKE 'K%'"
                )
                released = []
                entries = await find_entries(
                    connection, kind="exchange.released", log=Log.EXCHANGE, limit=10000
                )
                for private in await read_private(connection, Sealer.of(home), entries):
                    assert isinstance(private, Private)
                    released.append((private.fields["case"], private.fields["exchange"]))
        # Every use that began has ended once; those of killed processes at an unknown moment.
        assert len(begun) == len(ended) > 1
        assert "unknown" in {entry.public["reason"] for entry in ended}
        # No exchange is doubled: one idempotency key, one exchange, in answers, in the trace and in the gate.
        by_key: dict[str, set[str]] = {}
        for case, exchange in released:
            by_key.setdefault(str(case), set()).add(str(exchange))
        answered = {answer.case: str(answer.exchange) for answer in acknowledged}
        assert len(answered) == len(acknowledged)
        kept_keys = {row["key"]: str(row["exchange"]) for row in rows}
        for case, exchange in answered.items():
            assert case in asked and exchange in by_key[case]
            assert by_key[case] == {exchange}, f"{case} became {by_key[case]}"
            assert kept_keys[case] == exchange
        # Every acknowledged receipt is in the tree, and its proof verifies against a signed checkpoint.
        async with AsyncClient(origin, key, pins, timeout_seconds=10) as client:
            for answer in acknowledged:
                verified = await client.verify_receipt(answer)
                assert verified.index >= 0
        code, said = await verify_ledger(home)
        assert code == 0, said
        # The same command names the place when whoever owns the database changes one entry and takes another away.
        async with (
            await Database.open(url, kind="owner", max_size=1) as database,
            database.acquire() as connection,
        ):
            await connection.execute(
                "UPDATE ledger.entry SET bytes = bytes || '\\x20' WHERE id = "
                "(SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = 7)"
            )
            await connection.execute("DELETE FROM ledger.leaf WHERE log = 'exchange' AND index = 11")
        code, said = await verify_ledger(home)
        assert code == 1, said
        assert "entry_altered: ledger.entry.bytes index 7" in said, said
        assert "index 11" in said, said
    except BaseException:
        print((home / "processes.log").read_text()[-6000:])
        raise
    finally:
        going = False
        await kept.stop()
        embedded.stop(home)
