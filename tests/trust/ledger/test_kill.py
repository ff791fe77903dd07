"""Real processes, killed in a loop while others write."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest

from koinon.app.demo import free_ports
from koinon.app.schemas import SCHEMAS
from koinon.base.database import Database, embedded, migrate
from koinon.base.database.place import find_place
from koinon.base.database.supervisor import find_server
from koinon.base.errors import KoinonError
from koinon.base.objects import LocalObjects
from koinon.base.settings import load_settings
from koinon.trust.ledger import Entry, Log, Sealer, append, quorum_age
from koinon.trust.ledger.audit import verify_log
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.merkle import Frontier
from koinon.trust.ledger.notes import Verifier
from koinon.trust.ledger.sequencing.running import make_signer
from koinon.trust.ledger.witness.client import WitnessAddress, WitnessClient
from koinon.trust.ledger.witness.server import prepare_witness

AT = datetime(2026, 11, 24, 9, 31, tzinfo=UTC)
SEQUENCER = """
import asyncio, sys
from pathlib import Path
from koinon.base.settings import load_settings
from koinon.trust.ledger.sequencing.running import run_sequencer
asyncio.run(run_sequencer(load_settings(home=Path(sys.argv[1])), sys.argv[2], lease_seconds=1.0))
"""
WITNESS = """
import sys
from pathlib import Path
from koinon.trust.ledger.witness.client import WitnessAddress, WitnessClient
from koinon.trust.ledger.witness.server import run_witness
run_witness(Path(sys.argv[1]), "witness.invalid/w1", "127.0.0.1", int(sys.argv[2]))
"""
VICTIMS = ("sequencer", "database", "sequencer", "witness", "sequencer", "database")


class Processes:
    """Started, killed, and started again when they end."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("ab")
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task] = []
        self.starts: dict[str, int] = {}
        self.refusals: list[int] = []

    def keep(self, name: str, *command: str, **environment: str) -> None:
        async def keep() -> None:
            while True:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", *command, stdout=self._log, stderr=self._log,
                    env={**os.environ, **environment},
                )  # fmt: skip
                self._running[name] = process
                self.starts[name] = self.starts.get(name, 0) + 1
                await process.wait()
                await asyncio.sleep(0.05)

        self._tasks.append(asyncio.create_task(keep()))

    def kill(self, name: str) -> None:
        if name in self._running:
            with contextlib.suppress(ProcessLookupError):
                self._running[name].send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._log.close()


@pytest.mark.slow
async def test_killing_sequencer_witness_and_database_loses_and_doubles_nothing(home):
    chance = random.Random(9162)
    url = embedded.ensure_running(home, scratch=True)
    await migrate(url, SCHEMAS)
    port = free_ports(1)[0]
    witness = prepare_witness(home / "witness", "witness.invalid/w1")
    origin = load_settings({}, home).ledger_origin
    vkeys = {log: make_signer(home, log, f"{origin}/{log.value}").verifier for log in Log}
    (home / "witness" / "logs.txt").write_text("".join(f"{vkey}\n" for vkey in vkeys.values()))
    processes = Processes(home / "processes.log")
    processes.keep("witness", WITNESS, str(home / "witness"), str(port))
    processes.keep(
        "sequencer",
        SEQUENCER,
        str(home),
        url,
        KOINON_WITNESS_URLS=f"http://127.0.0.1:{port}",
        KOINON_WITNESS_KEYS=str(witness.verifier),
        KOINON_LEDGER_QUORUM="1",
    )
    sealer = Sealer.of(home)
    acknowledged: set[object] = set()
    tried: set[object] = set()
    published: dict[int, bytes] = {}
    writing = True

    async def write(database: Database) -> None:
        while writing:
            entries = [
                Entry(log=Log.EXCHANGE, kind="use", at=AT, subjects=("85612300155",)) for _ in range(3)
            ]
            tried.update(entry.id for entry in entries)
            try:
                async with database.transaction() as connection:
                    await append(connection, sealer, entries)
            except (KoinonError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await asyncio.sleep(0.05)
            else:
                acknowledged.update(entry.id for entry in entries)
                await asyncio.sleep(0.004)

    async def watch() -> None:
        path = home / "objects" / "ledger" / "exchange" / "1" / "checkpoint"
        while True:
            with contextlib.suppress(FileNotFoundError):
                checkpoint, _ = open_checkpoint(path.read_bytes(), vkeys[Log.EXCHANGE])
                assert published.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root
                assert checkpoint.size == max(published), "a published checkpoint was taken back"
            await asyncio.sleep(0.005)

    async def kill() -> None:
        """Each kill strikes at a random moment of a sequencer that was seen to work since the last one."""
        nonlocal writing
        for victim in VICTIMS:
            before, deadline = max(published, default=-1), time.monotonic() + 15
            while max(published, default=-1) == before:
                assert time.monotonic() < deadline, (
                    f"nothing was published for 15 s before killing the {victim}"
                )
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0.0, 0.7))
            if victim == "database":
                server = find_server(find_place(home))
                if server is not None:
                    os.kill(server, signal.SIGKILL)
            else:
                processes.kill(victim)
        writing = False

    watcher = asyncio.create_task(watch())
    try:
        async with await Database.open(url, kind="web", max_size=6) as database:
            await asyncio.gather(*(write(database) for _ in range(4)), kill())
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with contextlib.suppress(KoinonError, asyncpg.PostgresError):
                    async with database.acquire() as connection:
                        waiting = await connection.fetchval("SELECT count(*) FROM ledger.pending")
                        size = await connection.fetchval(
                            "SELECT size FROM ledger.head WHERE log = 'exchange'"
                        )
                        age = await quorum_age(connection, Log.EXCHANGE, 1)
                    if waiting == 0 and size == max(published, default=-1) and age == 0.0:
                        break
                await asyncio.sleep(0.1)
        assert not watcher.done(), watcher.exception()
        async with await Database.open(url, kind="owner") as database:
            async with database.acquire() as connection:
                rows = await connection.fetch(
                    "SELECT index, entry, hash FROM ledger.leaf WHERE log = 'exchange' ORDER BY index"
                )
            (report,) = await verify_log(
                database,
                LocalObjects(home / "objects"),
                Log.EXCHANGE,
                verifier_of=lambda head: vkeys[Log.EXCHANGE],
                witnesses=[witness.verifier],
                sealer=sealer,
            )
        log = (home / "processes.log").read_text()
        numbered = [row["entry"] for row in rows]
        assert acknowledged <= set(numbered), f"{len(acknowledged - set(numbered))} lost"
        assert len(numbered) == len(set(numbered)) and set(numbered) <= tried
        assert [row["index"] for row in rows] == list(range(len(rows)))
        tree = Frontier()
        for row in rows:
            tree.append(row["hash"])
            if tree.size in published:
                assert published[tree.size] == tree.root(), tree.size
        assert max(published) == len(rows) and len(published) > len(VICTIMS)
        assert report.findings == [] and report.cosigned == len(rows), log[-2000:]
        assert processes.starts["sequencer"] > VICTIMS.count("sequencer") and len(acknowledged) > 100
        for refusal in ("forked_from_witness", "restored_below", "tiles_disagree", "row_missing"):
            assert refusal not in log
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await processes.stop()
        embedded.stop(home)


async def test_a_witness_process_speaks_http_and_remembers_after_a_kill(home):
    port = free_ports(1)[0]
    folder = home / "witness"
    signer = prepare_witness(folder, "witness.invalid/w1")
    log = make_signer(home, Log.EXCHANGE, "koinon.invalid/test/exchange")
    (folder / "logs.txt").write_text(f"{log.verifier}\n")
    processes = Processes(home / "processes.log")
    processes.keep("witness", WITNESS, str(folder), str(port))
    leaf = bytes(32)
    tree = Frontier()
    tree.append(leaf)
    checkpoint = Checkpoint("koinon.invalid/test/exchange", 1, tree.root())

    async def prove(old: int, _size: int) -> list[bytes]:
        return []

    try:
        async with httpx.AsyncClient() as http:
            client = WitnessClient(
                http, WitnessAddress(f"http://127.0.0.1:{port}", Verifier.parse(str(signer.verifier)))
            )

            async def eventually(call):
                for _ in range(200):
                    try:
                        return await call()
                    except KoinonError:
                        await asyncio.sleep(0.05)
                return await call()

            assert await eventually(lambda: client.ask_size(log)) == 0
            await client.cosign(checkpoint, checkpoint.sign(log), log, prove)
            processes.kill("witness")
            assert await eventually(lambda: client.ask_size(log)) == 1
    finally:
        await processes.stop()
