"""A million persons through flow (b), social dwelling: every one checked in the reference directory, with a leaf each.

Everything is there: the file is read from end to end, chunks are queued in PostgreSQL, each chunk is looked up in one
statement, seven sources are read in bulk (Parquet files in folders, found through for the chunk's persons in random
order), the flow's one Ibis expression decides, the gate takes the minimum, and one entry with a leaf a person is
recorded in the transaction of the checkpoint; then the result file is written, sealed, and the receipt signed. One
runner process does three chunks at once; PostgreSQL is a process tree of its own on the same machine. The clock is the
platform's own: from the step `received` to the step `done`. Uploading and making the data are not measured.

There is no result unless every person is among the totals, the ledger holds exactly one slot a person, and a leaf
picked at random is proven.

Peer `interactive_repeated`: the same question, person by person through `Integrator.ask`, over sources that answer at
once, 32 at a time in one process; on as many persons as it can do in some seconds.
"""

import asyncio
import random
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import uvloop
from benchmarks.frame import CpuMeter, result, row, show
from benchmarks.region import instant_sources, process, settings_of

from koinon.app.wiring import open_platform, prepare_database
from koinon.base.clock import civil_date
from koinon.base.database import Database, embedded
from koinon.base.database.place import find_place
from koinon.base.database.supervisor import find_server
from koinon.base.logging import configure
from koinon.base.settings import Settings
from koinon.demo.region import FLOW, NORTH, PURPOSE, SOUTH, Region, Seeder
from koinon.integrator.deferred import (
    ADMISSION_INPUTS,
    PIECE_BYTES,
    BatchRequest,
    Bulk,
    Deferred,
    FolderSource,
    Runner,
    SealedObjects,
    question_type,
)
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.integrator.entitlement.social_dwelling.tables import ADMISSION_TABLES
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats import Column, Columns, Header, open_writer
from koinon.integrator.model import ExchangeRequest
from koinon.trust.gate import Actor
from koinon.trust.ledger import Sealer

PERSONS, RUNS, CONCURRENCY, RECORDS = 1_000_000, 5, 3, 25_000
QUICK = 60_000
_SOURCES = ("rijksregister", "ksz", "kbo", "candidates")


def run(*, quick: bool = False, persons: int | None = None, runs: int | None = None) -> dict[str, Any]:
    """The rows of the benchmark `batch`; `quick` measures fewer persons and says so."""
    count = persons or (QUICK if quick else PERSONS)
    times = runs or (2 if quick else RUNS)
    with _region(count) as (home, url, server, numbers):
        return uvloop.run(_measure(home, url, server, numbers, times))


async def _measure(home: Path, url: str, server: int, numbers: list[str], runs: int) -> dict[str, Any]:
    count = len(numbers)
    found: list[dict[str, float]] = []
    async with open_platform(settings_of(home, url, 0), sources=instant_sources()) as platform:
        deferred = Deferred(platform.integrator, platform.objects, SealedObjects.load(platform.objects, home))
        region = Region.load(home)
        actor = _system(region, home)
        peer = await _repeated(platform.integrator, actor, numbers, 4.0 if count > QUICK else 1.5)
        for number in range(runs):
            data = _message(numbers, str(region.parties[NORTH]), f"RUN-{number}")
            found.append(await _one(deferred, actor, data, f"RUN-{number}", home, url, server, numbers))
            await deferred.store.forget(found[-1].pop("batch"))  # type: ignore[arg-type]

    def ours(name: str) -> list[float]:
        return [each[name] for each in found]

    what = f"of {count} persons through {FLOW}, every one directory-checked and with its leaf"
    reach = ">= 25000" if count == PERSONS else ""
    return result(
        "batch",
        [
            row("persons_per_s", f"persons a second {what}; one runner process, {CONCURRENCY} chunks at once, from "
                "received to done", "1/s", ours("rate"), reach, {"interactive_repeated": peer}),
            row("peak_mb", "peak memory of the runner process", "MB", ours("peak_mb"),
                "<= 1000" if count == PERSONS else ""),
            row("cpu_us", "CPU of the runner and PostgreSQL for a person", "us", ours("cpu_us")),
            row("postgresql_us", "of which PostgreSQL", "us", ours("postgresql_us")),
            row("check_s", "reading and checking the whole file", "s", ours("check_s")),
            row("chunks_s", "answering and recording all chunks", "s", ours("chunks_s")),
            row("finish_s", "writing the result and the receipt", "s", ours("finish_s")),
        ],
    )  # fmt: skip


async def _one(
    deferred: Deferred,
    actor: Actor,
    data: bytes,
    number: str,
    home: Path,
    url: str,
    server: int,
    numbers: list[str],
) -> dict[str, float]:
    request = BatchRequest(
        number=number, flow=FLOW, purpose=PURPOSE, syntax="fixed", length=len(data), sha256=sha256(data).hexdigest()
    )  # fmt: skip
    view, _ = await deferred.create(request, actor)
    async with process("benchmarks.batch", "runner", str(home), url) as runner:
        meters = [CpuMeter(server), CpuMeter(runner.pid)]
        for start in range(0, len(data), PIECE_BYTES):
            view = await deferred.put_piece(view.id, start, data[start : start + PIECE_BYTES], actor)
        while view.state not in ("done", "refused", "stopped"):
            await asyncio.sleep(0.2)
            view = await deferred.look(view.id, actor)
        cpu = [meter.seconds() for meter in meters]
        peak = _peak_mb(runner.pid)
    count = len(numbers)
    database = deferred.integrator.gate.database
    async with database.acquire() as connection:
        steps = {
            each["state"]: each["at"]
            for each in await connection.fetch(
                "SELECT state, at FROM deferred.step WHERE batch = $1", view.id
            )
        }
        slots = await connection.fetchval(
            "SELECT count(*) FROM ledger.slot s JOIN deferred.task t ON t.entry = s.entry WHERE t.batch = $1",
            view.id,
        )
        chunks = await connection.fetchrow(
            "SELECT min(done_at) AS first, max(done_at) AS last FROM deferred.task WHERE batch = $1 AND kind = 'chunk'",
            view.id,
        )
    assert chunks is not None
    totals = view.totals or {}
    if view.state != "done" or slots != count or totals["answered"] + totals["unknown"] != count:
        raise RuntimeError(f"{view.state} {view.code} {view.facts}: {slots} leaves, totals {totals}")
    record = random.randrange(count)
    proof = await deferred.prove(view.id, record + 1, actor)
    if proof.person.subject != numbers[record]:
        raise RuntimeError("a leaf is not the person's")
    seconds = (steps["done"] - steps["received"]).total_seconds()
    return {
        "batch": view.id,
        "rate": count / seconds,
        "peak_mb": peak,
        "cpu_us": sum(cpu) / count * 1e6,
        "postgresql_us": cpu[0] / count * 1e6,
        "check_s": (steps["queued"] - steps["received"]).total_seconds(),
        "chunks_s": (chunks["last"] - steps["queued"]).total_seconds(),
        "finish_s": (steps["done"] - chunks["last"]).total_seconds(),
    }


async def _repeated(integrator: Any, actor: Actor, numbers: list[str], seconds: float) -> float:
    """Persons a second, one question each."""
    waiting, done, until = iter(numbers), 0, time.perf_counter() + seconds
    began = time.perf_counter()

    async def ask() -> None:
        nonlocal done
        for number in waiting:
            await integrator.ask(
                ExchangeRequest(flow=FLOW, purpose=PURPOSE, case="BENCH", subject={"national_number": number}), actor
            )  # fmt: skip
            done += 1
            if time.perf_counter() > until:
                return

    await asyncio.gather(*(ask() for _ in range(32)))
    return done / (time.perf_counter() - began)


def _system(region: Region, home: Path) -> Actor:
    from koinon.demo.region import load_key

    key = load_key(home, f"{NORTH}-system").key_id
    return Actor(party=region.parties[NORTH], system=region.systems[NORTH], key=key, profile="system")


async def _run(home: Path, url: str) -> None:
    """A runner of the platform over bulk sources, until SIGTERM; prints a line when it is up, and nothing before."""
    configure("warning", "worker")
    async with open_platform(settings_of(home, url, 0), sources={}, kind="worker") as platform:
        sources = {name: FolderSource(name, home / "sources" / name) for name in _SOURCES}
        computation = Bulk(FLOWS[FLOW], ADMISSION_TABLES, ADMISSION_INPUTS, sources, records=RECORDS)
        runner = Runner(
            database=platform.database,
            gate=platform.gate,
            uses=platform.uses,
            sealed=SealedObjects.load(platform.objects, home),
            computations={FLOW: computation},
            key=platform.key,
            concurrency=CONCURRENCY,
            poll_seconds=0.05,
        )
        # Where pandas is installed, Arrow imports it with the first array: seconds that are not the batch's.
        pa.array([0])
        print("running", flush=True)
        await runner.run()


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no peak memory is told")


@contextmanager
def _region(count: int) -> Any:
    """The demo region on disk with `count` dossiers and the deliveries of the sources; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="koinon-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        url = embedded.ensure_running(home, scratch=True)
        try:
            whole = _numbers(count)
            order = numpy.random.default_rng(7).permutation(count)
            numbers = [f"{number:011d}" for number in whole[order].tolist()]
            asyncio.run(_seed(home, url, numbers))
            _deliver(home / "sources", whole)
            place = find_place(home)
            server = find_server(place) if place else None
            assert server is not None
            yield home, url, server, numbers
        finally:
            embedded.stop(home)


def _numbers(count: int) -> "numpy.ndarray[Any, Any]":
    """National numbers that nobody can have (the month of birth is raised by 60), rising."""
    serial = numpy.arange(count)
    year, month, day, order = (
        serial // 335_664 + 50,
        serial // 27_972 % 12 + 61,
        serial // 999 % 28 + 1,
        serial % 999,
    )
    nine = ((year * 100 + month) * 100 + day) * 1000 + order
    return numpy.sort(nine * 100 + 97 - nine % 97)


async def _seed(home: Path, url: str, numbers: list[str]) -> None:
    await prepare_database(url)
    async with await Database.open(url, kind="owner", max_size=2) as database:
        now = datetime.now(UTC)
        seeder = Seeder(Settings(home=home), database, Sealer.of(home), now)
        region = await seeder.seed({NORTH: numbers[:1], SOUTH: numbers[:1]}, accounts=False)
        since, until = now - timedelta(days=1), now + timedelta(days=9)
        keys = DirectoryKeys.load(home)
        for start in range(1, len(numbers), 50_000):
            lines = [
                new_line(PURPOSE, number, "BENCH", "bench", since, until)
                for number in numbers[start : start + 50_000]
            ]
            async with database.transaction() as connection:
                await insert_dossiers(connection, keys, region.parties[NORTH], lines, now)
        async with database.acquire() as connection:
            await connection.execute("ANALYZE")


def _deliver(folder: Path, numbers: "numpy.ndarray[Any, Any]") -> None:
    """What each source delivers: synthetic households of one to four, incomes, rights; some of it not known."""
    dice = numpy.random.default_rng(11)
    count = len(numbers)
    size = dice.choice([1, 2, 3, 4], count, p=[0.45, 0.25, 0.15, 0.15])
    subject = numpy.repeat(numbers, size)
    place = numpy.arange(len(subject)) - numpy.repeat(numpy.cumsum(size) - size, size)
    child = place >= 2
    # Members beside the subject have numbers of their own, which nobody asks about.
    member = numpy.where(place == 0, subject, subject + place)
    born = numpy.char.add(dice.integers(1940, 2006, count).astype(str), "-07-01")
    born_of = numpy.where(child, "2015-05-05", numpy.repeat(born, size))

    def unknown(values: Any, share: float) -> pa.Array:
        return pa.array(values, mask=dice.random(len(values)) < share)

    def write(source: str, service: str, **columns: Any) -> None:
        (folder / source).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), folder / source / f"{service}.parquet", row_group_size=50_000)

    register = dice.choice(["population", "foreigners", "waiting"], count, p=[0.9, 0.08, 0.02])
    write(
        "rijksregister",
        "person",
        subject=numbers,
        birth_date=born,
        alive=dice.random(count) > 0.01,
        register=register,
    )
    write(
        "rijksregister",
        "household",
        subject=subject,
        member=member,
        birth_date=born_of,
        register=numpy.repeat(register, size),
    )
    write(
        "ksz",
        "social_status",
        subject=subject,
        member=member,
        dependent_child=child,
        disabled=unknown(dice.random(len(subject)) < 0.05, 0.01),
    )
    write(
        "ksz",
        "income",
        subject=subject,
        member=member,
        net_taxable_cents=unknown(numpy.where(child, 0, dice.integers(0, 4_500_000, len(subject))), 0.02),
    )
    write("ksz", "property", subject=subject, member=member, holds=dice.random(len(subject)) < 0.1)
    write("kbo", "functions", subject=numbers, active=dice.random(count) < 0.05)
    write("candidates", "application", subject=subject, member=member,
          application=numpy.where(dice.random(len(subject)) < 0.9, "", "A-1"))  # fmt: skip


def _message(numbers: list[str], sender: str, number: str) -> bytes:
    """The consumer's file, in fixed-length records, in its own order."""
    import io

    type_ = question_type(FLOWS[FLOW])
    header = Header(
        record_type=type_.name, version=type_.version, sender=sender, flow=FLOW, purpose=PURPOSE, reference=number,
        created=datetime.now(UTC).replace(microsecond=0),
    )  # fmt: skip
    stream = io.BytesIO()
    writer = open_writer(stream, "fixed", header, types={type_.name: type_})
    today = civil_date(datetime.now(UTC))
    for start in range(0, len(numbers), 10_000):
        subjects = numbers[start : start + 10_000]
        places = list(range(start + 1, start + 1 + len(subjects)))
        refused = writer.write(
            Columns(
                record_type=type_, numbers=places, lines=places, sequences=places, subjects=subjects,
                replaced_by=[None] * len(subjects), fields=(Column([today] * len(subjects)),),
            )
        )  # fmt: skip
        assert not refused
    writer.close()
    return stream.getvalue()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["runner", home, url]:
            uvloop.run(_run(Path(home), url))
        case arguments:
            options = dict(pairwise(arguments))
            show(
                run(
                    quick="--quick" in arguments,
                    persons=int(options["--persons"]) if "--persons" in options else None,
                    runs=int(options["--runs"]) if "--runs" in options else None,
                )
            )
