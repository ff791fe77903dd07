"""A flow for one person: what the compiled expression takes, and what the platform adds to its slowest source.

In process: the flow of admission to a social dwelling, one Ibis expression compiled to DuckDB SQL, bound to the rows
of one household of four. Peer `ibis_each_time`: the same expression executed through Ibis for each person.

Through the exchange route: signature, nonce, directory, decisions, sources, combination, durable entry, signed
answer, as in `exchange`. Each source waits `SOURCE_MS` before it answers, each person's sources in the two steps of
the plan; what is above the slowest path through the sources is ours. Four clients ask, each at once after its
answer, of a web process for each core, as `deploy/` runs them and nginx spreads them; wall time, so a quiet machine.
In turns with them, rows of their own: the four with one web process for all, and one client alone.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import pyarrow
import uvloop
from benchmarks import region
from benchmarks.frame import RUNS, result, row, show
from benchmarks.load import DOSSIERS, Generator
from benchmarks.region import Bench, Instant, free_port, open_bench, process, serve, settings_of

from koinon.integrator.drivers import Context, SourceAnswer
from koinon.integrator.entitlement.social_dwelling import tables
from koinon.integrator.processing import Compiled, TableFlow
from koinon.trust.ledger.sequencing.running import run_sequencer

SOURCE_MS = 20.0
STEPS = 2  # of the plan: the household is asked before its members' facts
CLIENTS = 4
CORES = min(CLIENTS, len(os.sched_getaffinity(0)))


def run(*, quick: bool = False) -> dict[str, Any]:
    """The rows of the benchmark `flow`; `quick` measures shorter and says so."""
    seconds, mark = (1.5, " (quick)") if quick else (4.0, "")
    one, each_time = _in_process(100 if quick else 400)
    with open_bench(DOSSIERS) as bench:
        above = uvloop.run(_exchanged(bench, RUNS, seconds))
    return result(
        "flow",
        [
            row("in_process_ms", f"one person through the compiled flow: median of each run{mark}", "ms",
                [statistics.median(run) for run in one], "<= 3",
                {"ibis_each_time": statistics.median(each_time)}),
            row("in_process_p95_ms", f"the same, 95th percentile of each run{mark}", "ms",
                [statistics.quantiles(run, n=20)[-1] for run in one]),
            row("one_person_p95_ms", f"through the exchange route, above {STEPS} steps of sources that answer after "
                f"{SOURCE_MS:g} ms: 95th percentile, {CLIENTS} clients, {CORES} web processes{mark}", "ms",
                above["p95"], "<= 10"),
            row("one_person_p50_ms", f"the same, median{mark}", "ms", above["p50"]),
            row("one_process_p95_ms", f"the same with one web process: 95th percentile{mark}", "ms",
                above["one_process"]),
            row("one_client_p95_ms", f"the same of one client alone: 95th percentile{mark}", "ms",
                above["one_client"]),
        ],
    )  # fmt: skip


def _in_process(count: int) -> tuple[list[list[float]], list[float]]:
    flow = tables.ADMISSION_TABLES
    compiled = Compiled(flow)
    rows = _household(flow)
    took: list[list[float]] = []
    for _ in range(RUNS):
        compiled.one(rows)
        times = []
        for _ in range(count):
            began = time.perf_counter()
            found = compiled.one(rows)
            times.append((time.perf_counter() - began) * 1e3)
        if len(found) != 1:
            raise RuntimeError(f"{len(found)} rows for one person")
        took.append(times)
    connection = ibis.duckdb.connect(threads=1)
    schemas = flow.schemas()
    slow = []
    for _ in range(10):
        began = time.perf_counter()
        given = {
            name: ibis.memtable(pyarrow.Table.from_pylist(list(rows.get(name, ())), schema))
            for name, schema in schemas.items()
        }
        connection.to_pyarrow(flow.over(given))
        slow.append((time.perf_counter() - began) * 1e3)
    return took, slow


def _household(flow: TableFlow) -> dict[str, list[dict[str, Any]]]:
    """A household of four, as a source delivers it; columns that it leaves out are unknown."""
    subject = "70670110052"
    members = [subject, "70670110151", "70670110250", "70670110349"]
    alone = {"subject": subject}
    given: dict[str, list[dict[str, Any]]] = {
        "application": [alone | {"at": date(2026, 6, 1)}],
        "person": [alone | {"birth_date": "1970-07-01", "alive": True, "register": "population"}],
        "household": [
            alone | {"member": each, "birth_date": "1970-07-01", "register": "population"} for each in members
        ],
        "status": [alone | {"member": each, "dependent_child": False, "disabled": False} for each in members],
        "income": [alone | {"member": each, "net_taxable_cents": 600_000} for each in members],
        "property": [alone | {"member": each, "holds": False} for each in members],
        "candidacy": [alone | {"member": each, "application": ""} for each in members],
        "enterprise": [alone | {"active": False}],
    }
    return {name: rows for name, rows in given.items() if name in flow.inputs}


async def _exchanged(bench: Bench, runs: int, seconds: float) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"p50": [], "p95": [], "one_process": [], "one_client": []}
    home, url = str(bench.home), bench.url
    ports = [str(free_port()) for _ in range(CORES)]
    async with AsyncExitStack() as stack:
        begin = stack.enter_async_context
        await begin(process("benchmarks.flow", "sequencer", home, url))
        for port in ports:
            await begin(process("benchmarks.flow", "web", home, url, port, f"127.0.0.1:{ports[0]}"))
        all_, one = [
            Generator(await begin(process("benchmarks.load", home, each, "governed")))
            for each in (",".join(ports), ports[0])
        ]
        await all_.run(CLIENTS, 1.0)
        for load, clients, row_ in [
            (all_, CLIENTS, "p95"),
            (one, CLIENTS, "one_process"),
            (one, 1, "one_client"),
        ] * runs:
            told = await load.run(clients, seconds)
            if told["failed"]:
                raise RuntimeError(f"{told['count']} answers, {told['failed']} bad: {told['why']}")
            found[row_].append(told["p95"] - STEPS * SOURCE_MS)
            if row_ == "p95":
                found["p50"].append(told["p50"] - STEPS * SOURCE_MS)
    return found


class _Slow(Instant):
    """A source that answers after `SOURCE_MS`."""

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        await asyncio.sleep(SOURCE_MS / 1e3)
        return await super().fetch_many(service, subjects, fields, context)


async def _serve(home: Path, url: str, port: int, authority: str) -> None:
    region.Instant = _Slow  # type: ignore[misc]
    await serve(settings_of(home, url, port, authority))


async def _sequence(home: Path, url: str) -> None:
    print("sequencing", flush=True)
    await run_sequencer(settings_of(home, url, 0), url)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sequencer", home, url]:
            uvloop.run(_sequence(Path(home), url))
        case ["web", home, url, port, authority]:
            uvloop.run(_serve(Path(home), url, int(port), authority))
        case _:
            show(run(quick="--quick" in sys.argv))
