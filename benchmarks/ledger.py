"""Appending: 32 writers, each waiting until its entry is durable, while a sequencer numbers and publishes.

One process writes (a commit is shared by whoever waits, as the gate does), one is the sequencer, PostgreSQL is its own,
in a temporary folder on disk. CPU is that of all three. Peers write the same entries.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from benchmarks.frame import RUNS, CpuMeter, fsync_per_s, result, row, show

from koinon.base.batching import Batcher
from koinon.base.database import Connection, Database, Schema, embedded, migrate
from koinon.base.database.place import find_place
from koinon.base.database.supervisor import find_server
from koinon.base.objects import LocalObjects
from koinon.base.settings import load_settings
from koinon.trust.ledger import SCHEMA, Entry, Log, Promise, Sealer
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.notes import split_note
from koinon.trust.ledger.published import CHECKPOINT, PublishedLog
from koinon.trust.ledger.sequencing.running import run_sequencer

WRITERS = 32
SECONDS = 4.0
PEER_SECONDS = 2.0
SUBJECTS = 100_000
BASE = Path(__file__).parents[1] / "src" / "koinon" / "base" / "migrations"


def run() -> dict[str, Any]:
    """The rows `appends_per_s`, `cpu_us_per_entry`, `merge_p99_ms`, `fsync_per_s`."""
    with tempfile.TemporaryDirectory(prefix="koinon-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        url = embedded.ensure_running(home, scratch=True)
        try:
            return uvloop.run(_measure(home, url))
        finally:
            embedded.stop(home)


async def _measure(home: Path, url: str) -> dict[str, Any]:
    await migrate(url, [Schema("base", BASE), SCHEMA])
    place = find_place(home)
    server = find_server(place) if place else None
    assert server is not None
    runs: list[dict[str, float]] = []
    disk: list[float] = []
    peers: dict[str, list[tuple[float, float]]] = {"one_row_one_commit": [], "copy_limit": []}
    async with await Database.open(url, kind="web", max_size=WRITERS) as database:
        for _ in range(RUNS):
            disk.append(fsync_per_s(home))
            runs.append(await _append(home, database, server))
            peers["one_row_one_commit"].append(await _one_by_one(home, database, server))
            peers["copy_limit"].append(await _copy(home, url, server))

    def peer(part: int) -> dict[str, float]:
        return {name: statistics.median(each[part] for each in found) for name, found in peers.items()}

    def ours(name: str) -> list[float]:
        return [each[name] for each in runs]

    return result(
        "ledger",
        [
            row("appends_per_s", f"entries that {WRITERS} writers had durable and sequenced in a second", "1/s",
                ours("rate"), ">= 10000", peer(0)),
            row("cpu_us_per_entry", "CPU of writer, sequencer (with publishing) and PostgreSQL for an entry", "us",
                ours("cpu"), "<= 80", peer(1)),
            row("merge_p99_ms", "from the promise to a published checkpoint that covers the entry, 99th percentile",
                "ms", ours("merge"), "<= 2000"),
            row("cpu_us_writer", "of that, the writers' process", "us", ours("writer")),
            row("cpu_us_sequencer", "of that, the sequencer's process", "us", ours("sequencer")),
            row("cpu_us_postgresql", "of that, PostgreSQL with its background processes", "us", ours("postgresql")),
            row("fsync_per_s", "fdatasync of 512 bytes, one after the other, on the same disk", "1/s", disk),
        ],
    )  # fmt: skip


def _entry(n: int, at: datetime) -> Entry:
    """A use as the gate writes it: about 430 bytes in the tree, 200 sealed, one subject."""
    return Entry(
        log=Log.EXCHANGE,
        kind="exchange.released",
        at=at,
        public={
            "party": "0206731645",
            "authorisation": "2026/014",
            "purpose": "social_dwelling_admission",
            "action": "consult",
            "resource": "flow/social-dwelling-admission",
            "rule": "social-dwelling-admission",
            "version": 3,
        },
        private={
            "actor": "019a8f3e-7c11-7d5e-8a44-0f6f2c1b9e77",
            "profile": "case_handler",
            "case": f"2026-{n:07}",
            "fields": ["income_condition", "property_condition"],
            "filtered": [],
        },
        subjects=(f"8561230{n % SUBJECTS:07}",),
    )


async def _append(home: Path, database: Database, server: int) -> dict[str, float]:
    """What one run gave."""
    sealer = Sealer.of(home)
    sequencer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.ledger", "sequencer", str(home), database.url
    )
    published = PublishedLog(LocalObjects(home / "objects"), Log.EXCHANGE, 1)
    seen: list[tuple[float, int]] = []
    written: dict[Any, float] = {}

    async def commit(entries: Sequence[Entry]) -> Sequence[Promise]:
        prepared = sealer.prepare(entries, entries[0].at)
        async with database.acquire() as connection:
            await prepared.append(connection)
        return prepared.promises

    async def write(number: int) -> None:
        n = number
        while time.perf_counter() < until:
            promise = await record(_entry(n, datetime.now(UTC)))
            written[promise.entry] = time.perf_counter()
            n += WRITERS

    async def watch() -> None:
        """Notes when each checkpoint was seen; looks at the file's time first, to cost little."""
        path, stamp = home / "objects" / published.prefix / CHECKPOINT, 0
        while True:
            with contextlib.suppress(FileNotFoundError):
                if (changed := path.stat().st_mtime_ns) != stamp:
                    stamp = changed
                    size = Checkpoint.parse(split_note(path.read_bytes())[0]).size
                    seen.append((time.perf_counter(), size))
            await asyncio.sleep(0.02)

    record: Batcher[Entry, Promise] = Batcher(commit)
    watcher = asyncio.create_task(watch())
    try:
        await asyncio.sleep(2.5)
        already = seen[-1][1]
        everything = CpuMeter(os.getpid(), server)  # the sequencer is our child
        numbering, theirs = CpuMeter(sequencer.pid), CpuMeter(server)
        began = time.perf_counter()
        until = began + SECONDS
        await asyncio.gather(*(write(n) for n in range(WRITERS)))
        while seen[-1][1] < already + len(written):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        elapsed = max(written.values()) - began
        cpu = {"sequencer": numbering.seconds(), "postgresql": theirs.seconds()}
        cpu["writer"] = everything.seconds() - sum(cpu.values())
        async with database.acquire() as connection:
            waits = await _merge_times(connection, already, written, seen)
    finally:
        watcher.cancel()
        sequencer.terminate()
        await sequencer.wait()
    return {
        "rate": len(written) / elapsed,
        "cpu": sum(cpu.values()) / len(written) * 1e6,
        "merge": statistics.quantiles(waits, n=100)[98] * 1e3,
        **{name: seconds / len(written) * 1e6 for name, seconds in cpu.items()},
    }


async def _merge_times(
    connection: Connection, start: int, written: dict[Any, float], seen: list[tuple[float, int]]
) -> list[float]:
    rows = await connection.fetch(
        "SELECT entry, index FROM ledger.leaf WHERE log = 'exchange' AND index >= $1 ORDER BY index", start
    )
    assert len(rows) == len(written), "an entry was lost or doubled"
    waits, place = [], 0
    for entry, index in rows:
        while seen[place][1] <= index:
            place += 1
        waits.append(max(0.0, seen[place][0] - written[entry]))
    return waits


async def _one_by_one(home: Path, database: Database, server: int) -> tuple[float, float]:
    """Each writer commits its own entry; nobody numbers it."""
    sealer = Sealer.of(home)
    count = 0
    meter, began = CpuMeter(os.getpid(), server), time.perf_counter()

    async def write(number: int) -> None:
        nonlocal count
        while time.perf_counter() < began + PEER_SECONDS:
            at = datetime.now(UTC)
            async with database.acquire() as connection:
                await sealer.prepare([_entry(number, at)], at).append(connection)
            count += 1

    await asyncio.gather(*(write(n) for n in range(WRITERS)))
    elapsed, used = time.perf_counter() - began, meter.seconds()
    await _forget(database.url)
    return count / elapsed, used / count * 1e6


async def _copy(home: Path, url: str, server: int) -> tuple[float, float]:
    """The same bytes by COPY into a table without an index, 32 rows a commit: what the database could take."""
    sealer = Sealer.of(home)
    at = datetime.now(UTC)
    arguments = sealer.prepare([_entry(n, at) for n in range(32)], at).arguments
    rows = [
        (entry, data, sealed)
        for entry, data, sealed in zip(arguments[0], arguments[2], arguments[8], strict=True)
    ]
    async with await Database.open(url, kind="owner") as database, database.acquire() as connection:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS ledger.copied (id uuid, bytes bytea, sealed bytea)"
        )
        meter, began, count = CpuMeter(os.getpid(), server), time.perf_counter(), 0
        while time.perf_counter() < began + PEER_SECONDS:
            await connection.copy_records_to_table("copied", schema_name="ledger", records=rows)
            count += len(rows)
        elapsed, used = time.perf_counter() - began, meter.seconds()
        await connection.execute("DROP TABLE ledger.copied")
    return count / elapsed, used / count * 1e6


async def _forget(url: str) -> None:
    """What the peer appended is gone, or the next run's sequencer would number it."""
    async with await Database.open(url, kind="owner") as database, database.acquire() as connection:
        await connection.execute("TRUNCATE ledger.pending")


async def _sequencer(home: Path, url: str) -> None:
    await run_sequencer(load_settings({}, home), url)


if __name__ == "__main__":
    if len(sys.argv) > 3 and sys.argv[1] == "sequencer":
        uvloop.run(_sequencer(Path(sys.argv[2]), sys.argv[3]))
    else:
        show(run())
