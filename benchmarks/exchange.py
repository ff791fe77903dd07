"""The governed exchange, from socket to socket: what one costs in CPU, and how long 32 clients wait for one.

Everything is there: signatures verified and made, nonce and idempotency key kept, standing, reference directory,
decisions on the flow and on each of its seven source services, combination, sealed and durable trace, receipt. The
sources answer at once. The web process, PostgreSQL (on disk, embedded settings), the sequencer and the load generator
are processes of their own. Requests are signed beforehand; every answer is verified, and the ledger must hold
exactly one entry for each, or there is no result.

CPU, not wall time, is what counts: the figures hold on a busy machine too, where waiting does not. `p99_ms_32` is
wall time and is as good as the machine is quiet: the load beside it is in `machine`.

Peer `ungoverned_proxy`: the same HTTP server, flow and sources without identity, directory, rules or trace.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop
from benchmarks.frame import RUNS, CpuMeter, result, row, show
from benchmarks.load import DOSSIERS, Generator
from benchmarks.region import Bench, free_port, open_bench, process, serve, settings_of

from koinon.base.database import Database
from koinon.trust.ledger.sequencing.running import run_sequencer

CLIENTS = 32
SECONDS = 5.0
WARM_UP_SECONDS = 2.0


def run(*, quick: bool = False) -> dict[str, Any]:
    """The rows of the benchmark `exchange`; `quick` measures shorter and says so."""
    with open_bench(DOSSIERS) as bench:
        return uvloop.run(_measure(bench, RUNS, 1.5 if quick else SECONDS, " (quick)" if quick else ""))


async def _measure(bench: Bench, runs: int, seconds: float, mark: str) -> dict[str, Any]:
    governed: list[dict[str, float]] = []
    alone: list[dict[str, float]] = []
    proxy: list[dict[str, float]] = []
    ports = [free_port(), free_port()]
    async with (
        process("benchmarks.exchange", "sequencer", str(bench.home), bench.url) as sequencer,
        process("benchmarks.exchange", "web", str(bench.home), bench.url, str(ports[0])) as web,
        process("benchmarks.exchange", "proxy", str(bench.home), bench.url, str(ports[1])) as bare,
        process("benchmarks.load", str(bench.home), str(ports[0]), "governed") as load,
        process("benchmarks.load", str(bench.home), str(ports[1]), "bare") as load_bare,
        await Database.open(bench.url, kind="owner", max_size=1) as database,
    ):
        trees = {"web": web.pid, "sequencer": sequencer.pid, "postgresql": bench.server}
        await Generator(load).run(CLIENTS, WARM_UP_SECONDS)
        await Generator(load_bare).run(CLIENTS, WARM_UP_SECONDS / 4)
        for _ in range(runs):
            governed.append(await _governed(database, trees, Generator(load), CLIENTS, seconds))
            proxy.append(await _ungoverned(bare.pid, Generator(load_bare), seconds / 3))
            alone.append(await _governed(database, trees, Generator(load), 1, seconds / 3))

    def ours(name: str) -> list[float]:
        return [each[name] for each in governed]

    def theirs(name: str) -> dict[str, float]:
        return {"ungoverned_proxy": statistics.median(each[name] for each in proxy)}

    return result(
        "exchange",
        [
            row("per_cpu_second", "governed exchanges of the first flow (seven source services) in a CPU second of the "
                "web process and PostgreSQL: its backends and its background processes, without those of the "
                f"sequencer{mark}", "1/s", ours("per_cpu_second"), ">= 1000", theirs("per_cpu_second")),
            row("web_cpu_us", f"CPU of the web process for an exchange{mark}", "us", ours("web"), "<= 600",
                theirs("web")),
            row("p99_ms_32", f"from sending to the whole answer, 99th percentile, {CLIENTS} clients that ask again "
                f"at once{mark}", "ms", ours("p99"), "<= 50", theirs("p99")),
            row("p50_ms_32", f"the same, median{mark}", "ms", ours("p50"), "", theirs("p50")),
            row("p50_ms_1", f"the same, median of one client alone{mark}", "ms", [each["p50"] for each in alone]),
            row("per_second", f"exchanges in a second of wall time, {CLIENTS} clients, one web process{mark}", "1/s",
                ours("rate"), "", theirs("rate")),
            row("postgresql_backends_us", f"CPU of the web process's backends for an exchange{mark}", "us",
                ours("backends")),
            row("postgresql_background_us", "CPU of checkpointer, writers and the rest of PostgreSQL for an "
                f"exchange{mark}", "us", ours("background")),
            row("sequencer_us", "CPU of the sequencer (numbering, publishing, signing) for an exchange, not counted "
                f"above{mark}", "us", ours("sequencer")),
            row("sequencer_backends_us", f"CPU of the sequencer's backends for an exchange, not counted above{mark}",
                "us", ours("sequencer_backends")),
            row("per_cpu_second_with_sequencer", f"exchanges in a CPU second of all of them together{mark}", "1/s",
                ours("per_cpu_second_all")),
        ],
    )  # fmt: skip


async def _governed(
    database: Database, trees: Mapping[str, int], load: Generator, clients: int, seconds: float
) -> dict[str, float]:
    """One run: CPU by part, in microseconds an exchange, and times.

    Raises:
        RuntimeError: an answer was not good, or the ledger does not hold one entry for each.
    """
    roles = backends(trees["postgresql"])
    before = await _entries(database)
    await load.sign(clients, seconds)
    meters = {name: CpuMeter(pid) for name, pid in trees.items()}
    meters["backends"] = CpuMeter(*roles["koinon_web"])
    meters["sequencer_backends"] = CpuMeter(*roles["koinon_sequencer"])
    told = await load.go()
    cpu = {name: meter.seconds() / told["count"] * 1e6 for name, meter in meters.items()}
    made = await _entries(database) - before
    if told["failed"] or made != told["count"]:
        raise RuntimeError(f"{told['count']} answers, {told['failed']} bad: {told['why']}; {made} entries")
    # Read one after the other and in steps of 10 ms a process, so that nothing can look like less than nothing.
    cpu["background"] = max(0.0, cpu["postgresql"] - cpu["backends"] - cpu["sequencer_backends"])
    serving = cpu["web"] + cpu["backends"] + cpu["background"]
    return {
        **cpu,
        "per_cpu_second": 1e6 / serving,
        "per_cpu_second_all": 1e6 / (cpu["web"] + cpu["postgresql"] + cpu["sequencer"]),
        "p50": told["p50"],
        "p99": told["p99"],
        "rate": told["count"] / told["seconds"],
    }


async def _ungoverned(pid: int, load: Generator, seconds: float) -> dict[str, float]:
    await load.sign(CLIENTS, seconds)
    meter = CpuMeter(pid)
    told = await load.go()
    cpu = meter.seconds() / told["count"] * 1e6
    if told["failed"]:
        raise RuntimeError(f"{told['count']} answers of the peer, {told['failed']} bad: {told['why']}")
    return {
        "web": cpu,
        "per_cpu_second": 1e6 / cpu,
        "p50": told["p50"],
        "p99": told["p99"],
        "rate": told["count"] / told["seconds"],
    }


async def _entries(database: Database) -> int:
    async with database.acquire() as connection:
        return int(
            await connection.fetchval("SELECT count(*) FROM ledger.entry WHERE kind = 'exchange.released'")
        )


def backends(server: int) -> Mapping[str, Sequence[int]]:
    """PostgreSQL's processes by role; those without one under an empty name."""
    found: dict[str, list[int]] = {"koinon_web": [], "koinon_sequencer": [], "": []}
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == server
            ):
                words = (entry / "cmdline").read_bytes().decode().split()
                found.setdefault(
                    words[1] if len(words) > 2 and words[1].startswith("koinon") else "", []
                ).append(int(entry.name))
        except OSError:
            continue
    return found


async def _sequence(home: Path, url: str) -> None:
    """The platform's sequencer, until SIGTERM."""
    print("sequencing", flush=True)
    await run_sequencer(settings_of(home, url, 0), url)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sequencer", home, url]:
            uvloop.run(_sequence(Path(home), url))
        case ["web" | "proxy" as part, home, url, port]:
            uvloop.run(serve(settings_of(Path(home), url, int(port)), governed=part == "web"))
        case _:
            show(run(quick="--quick" in sys.argv))
