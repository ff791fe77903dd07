"""The frame of every benchmark: rows, machine, CPU seconds of process trees, repetition.

A benchmark is a module `benchmarks/<name>.py` with a function `run() -> dict` that returns `result(...)`:

    {"name", "machine", "date",
     "rows": [{"key", "what", "value", "min", "max", "unit", "reach", "ok", "peers"}]}

`value` is the median of at least five runs, `reach` is the bound to keep ("<= 80", ">= 10000", "" for a fact
that is only reported), `ok` whether it was kept, `peers` the same figure of others, measured in the same run.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RUNS = 5
_TICK = os.sysconf("SC_CLK_TCK")


def row(
    key: str,
    what: str,
    unit: str,
    values: Sequence[float],
    reach: str = "",
    peers: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """One row: the median of `values`, held against `reach`."""
    value = statistics.median(values)
    return {
        "key": key,
        "what": what,
        "value": _rounded(value),
        "min": _rounded(min(values)),
        "max": _rounded(max(values)),
        "unit": unit,
        "reach": reach,
        "ok": _keeps(value, reach),
        "peers": {name: _rounded(peer) for name, peer in (peers or {}).items()},
    }


def result(name: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What `run` returns."""
    return {
        "name": name,
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": list(rows),
    }


def machine() -> str:
    """Processor, cores given to this process, memory, system, Python, and the load at this moment."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def repeat(measure: Callable[[], float], runs: int = RUNS) -> list[float]:
    """What `measure` returned, `runs` times."""
    return [measure() for _ in range(runs)]


def time_per_call(call: Callable[[], object], *, seconds: float = 0.3) -> float:
    """Microseconds that one `call` takes, over about `seconds`."""
    count, elapsed = 1, 0.0
    while elapsed < seconds:
        began = time.perf_counter()
        for _ in range(count):
            call()
        elapsed = time.perf_counter() - began
        if elapsed < seconds:
            count = max(count * 2, int(count * seconds / max(elapsed, 1e-9)))
    return elapsed / count * 1e6


class CpuMeter:
    """CPU seconds that trees of processes have used since it was made, each process once; ended children are
    counted too. An embedded server that the benchmark started is in the benchmark's own tree.

    Resolution 10 ms a process: measure over seconds.
    """

    def __init__(self, *roots: int) -> None:
        self._roots = roots
        self._before = _tree_seconds(roots)

    def seconds(self) -> float:
        """CPU seconds since it was made."""
        return _tree_seconds(self._roots) - self._before


def fsync_per_s(folder: Path, *, seconds: float = 0.5) -> float:
    """Small durable writes that the disk under `folder` takes in a second, one after the other."""
    path = folder / "fsync.probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            os.pwrite(descriptor, b"x" * 512, 512 * (count % 64))
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()


def show(outcome: Mapping[str, Any]) -> None:
    """The rows as a table on standard output; or as JSON with `--json` on the command line."""
    if "--json" in sys.argv:
        print(json.dumps(outcome, indent=2))
        return
    print(f"{outcome['name']}: {outcome['machine']}")
    for each in outcome["rows"]:
        mark = "" if not each["reach"] else "ok" if each["ok"] else "NOT REACHED"
        peers = ", ".join(f"{name} {value}" for name, value in each["peers"].items())
        print(
            f"  {each['key']:28} {each['value']:>12} {each['unit']:8} "
            f"[{each['min']}..{each['max']}] {each['reach']:>10} {mark}  {peers}"
        )


def _tree_seconds(roots: Sequence[int]) -> float:
    parents: dict[int, list[int]] = {}
    fields: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in parentheses may hold spaces; what follows does not.
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            fields[int(entry.name)] = stat
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    ticks, waiting, counted = 0, list(roots), set()
    while waiting:
        pid = waiting.pop()
        if pid in fields and pid not in counted:
            counted.add(pid)
            ticks += sum(int(value) for value in fields[pid][11:15])  # utime, stime, cutime, cstime
            waiting += parents.get(pid, [])
    return ticks / _TICK


def _keeps(value: float, reach: str) -> bool:
    if not reach:
        return True
    relation, bound = reach.split(" ", 1)
    limit = float(bound.replace(",", ""))
    return value <= limit if relation == "<=" else value >= limit


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)
