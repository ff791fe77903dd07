"""Ten million rows made 10-anonymous: how long, how many left out, how much lost.

The rows are made here, with a fixed seed: age, sex, household size, postal code (a hierarchy of zones), and a
sensitive column of 40 values; sizes of places follow a power law, ages a pyramid, as registers have them. From the
Arrow table in memory to the anonymous Arrow table with its measures, which are counted in the result.

Peer `anjana`: k-anonymity by global recoding along hierarchies that its user writes, the best known package of its
kind. It pins old packages and runs in an environment of its own, made from `requirements/peers.lock` where that can
be installed; it does not manage ten million rows, so both are timed on what it does manage (`PEER_ROWS`), and its
loss is reckoned by our formula on its result.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy
import pyarrow
from benchmarks.frame import RUNS, result, row, show

from koinon.integrator.processing.anonymise import Anonymity, Quasi, anonymise

ROWS = 10_000_000
PEER_ROWS = 20_000
K = 10
ROOT = Path(__file__).parents[1]


def make_rows(count: int, seed: int = 4) -> pyarrow.Table:
    """Synthetic inhabitants; nobody's data."""
    random = numpy.random.default_rng(seed)
    places = numpy.array([str(1000 + 7 * n) for n in range(600)])
    share = 1 / numpy.arange(1, 601) ** 0.8
    return pyarrow.table(
        {
            "age": numpy.minimum(random.gamma(4.0, 11.0, count).astype(numpy.int64), 112),
            "sex": pyarrow.array(random.integers(0, 2, count)).cast("string"),
            "household": numpy.minimum(random.geometric(0.42, count), 12),
            "place": pyarrow.DictionaryArray.from_arrays(
                random.choice(600, count, p=share / share.sum()).astype(numpy.int32), places
            ),
            "benefit": random.integers(0, 40, count),
        }
    )


def asked(spared: float = 0.0) -> Anonymity:
    """What is asked of the rows."""
    zones = {str(1000 + 7 * n): (f"zone {n // 25}", f"province {n // 150}") for n in range(600)}
    return Anonymity(
        quasi=(
            Quasi(column="age", kind="number"),
            Quasi(column="sex", kind="category"),
            Quasi(column="household", kind="number"),
            Quasi(column="place", kind="category", hierarchy=zones),
        ),
        sensitive=("benefit",),
        k=K,
        l=3,
        most_suppressed_share=spared,
    )


# Run by the other environment's interpreter: rows on standard input, the result and its time on standard output.
_PEER = """
import json, sys, time
import pandas
from anjana.anonymity import k_anonymity
given = json.load(sys.stdin)
data = pandas.DataFrame(given["rows"]).astype(str)
hierarchies = {name: {int(level): values for level, values in each.items()}
               for name, each in given["hierarchies"].items()}
began = time.perf_counter()
made = k_anonymity(data, [], given["quasi"], given["k"], given["suppressed"], hierarchies)
took = time.perf_counter() - began
json.dump({"seconds": took, "rows": made[given["quasi"]].astype(str).to_dict("list")}, sys.stdout)
"""


def measure_peer(rows: pyarrow.Table) -> dict[str, Any]:
    """`seconds`, `certainty_penalty`, `suppressed_share` of anjana; or `why` there are none.

    Its hierarchies are those of our own run where it has one (places); ages in tens and in forties, households in
    fours. It is asked for k alone, we for l = 3 too.
    """
    columns = {
        name: [str(each) for each in rows[name].to_pylist()]
        for name in rows.column_names
        if name != "benefit"
    }
    numbers = {"age": [(10, 112), (40, 112)], "household": [(4, 12)]}
    groups: dict[str, dict[str, list[str]]] = {}
    for name, widths in numbers.items():
        groups[name] = {"0": columns[name]}
        for level, (wide, _) in enumerate(widths, start=1):
            groups[name][str(level)] = [
                f"{int(v) // wide * wide}..{int(v) // wide * wide + wide - 1}" for v in columns[name]
            ]
    zones = asked().quasi[3].hierarchy or {}
    groups["place"] = {"0": columns["place"]} | {
        str(level + 1): [zones[v][level] for v in columns["place"]] for level in (0, 1)
    }
    groups["sex"] = {"0": columns["sex"]}
    for each in groups.values():
        each[str(len(each))] = ["*"] * rows.num_rows
    question = {"rows": columns, "quasi": list(columns), "k": K, "suppressed": 0.2, "hierarchies": groups}
    with tempfile.TemporaryDirectory(prefix="koinon-peer-") as folder:
        python = Path(folder) / "bin" / "python"
        uv = str(Path(sys.executable).parent / "uv")
        try:
            subprocess.run(
                [uv, "venv", "-q", "--clear", "-p", sys.executable, folder], check=True, capture_output=True
            )
            subprocess.run(
                [uv, "pip", "sync", "-q", "--require-hashes", "-p", str(python), str(ROOT / "requirements/peers.lock")],
                check=True, capture_output=True, timeout=300,
            )  # fmt: skip
            done = subprocess.run(
                [str(python), "-c", _PEER], input=json.dumps(question).encode(), check=True, capture_output=True,
                timeout=600,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", b"") or b"").decode().strip()[-120:]
            return {"why": f"not installed ({type(error).__name__} {said})"}
    answer = json.loads(done.stdout)
    kept = answer["rows"]
    count = len(kept["age"])
    lost = sum(_penalty(name, word, zones) for name in kept for word in kept[name]) / 4
    gone = rows.num_rows - count
    return {
        "seconds": answer["seconds"],
        "certainty_penalty": (lost + gone) / rows.num_rows,
        "suppressed_share": gone / rows.num_rows,
    }


def _penalty(name: str, word: str, zones: Any) -> float:
    """The normalised certainty penalty of one generalised value, by the formula of `Loss`."""
    if word == "*":
        return 1.0
    if name in ("age", "household"):
        low, _, high = word.partition("..")
        top, bottom = (112, 0) if name == "age" else (12, 1)
        return (min(int(high), top) - max(int(low), bottom)) / (top - bottom) if high else 0.0
    return {"zone": 25 / 600, "province": 150 / 600}.get(word.split(" ")[0], 0.0) if name == "place" else 0.0


def run(*, quick: bool = False, rows: int = 0) -> dict[str, Any]:
    """The rows of the benchmark `anonymise`; `quick` takes a tenth of the rows and says so."""
    count = rows or (ROWS // 10 if quick else ROWS)
    given = make_rows(count)
    took, cpu, found = [], [], []
    for _ in range(3 if quick else RUNS):
        began, used = time.perf_counter(), time.process_time()
        made = anonymise(given, asked(0.002), threads=2, memory_mb=4096)
        took.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
        if made.k < K or made.l is None or made.l < 3:
            raise RuntimeError(f"k {made.k}, l {made.l}")
        found.append(made)
    few = make_rows(PEER_ROWS)
    few_took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        few_made = anonymise(few, asked(0.002), threads=2)
        few_took.append(time.perf_counter() - began)
    peer = measure_peer(few)
    whole = f"of {count:,} rows"
    part = f"of {PEER_ROWS:,} rows"
    note = "" if "seconds" in peer else f"; anjana: {peer['why']}"
    return result(
        "anonymise",
        [
            row("seconds", f"k = {K}, l = 3, two threads, {whole}", "s", took,
                "<= 10" if count == ROWS else ""),
            row("cpu_seconds", f"the same, CPU of the process, {whole}", "s", cpu),
            row("suppressed_share", f"rows left out, at most 0.002 {whole}", "share",
                [each.suppressed_share for each in found], "<= 0.002"),
            row("certainty_penalty", f"global certainty penalty (Xu 2006, Ghinita 2007), 0 to 1, {whole}", "share",
                [each.loss.certainty_penalty for each in found]),
            row("average_class", f"rows for each class, over k (LeFevre 2006), {whole}", "ratio",
                [each.loss.average_class for each in found]),
            row("k_reached", f"smallest class, counted in the result, {whole}", "rows", [each.k for each in found],
                f">= {K}"),
            row("seconds_small", f"the same {part}{note}", "s", few_took, "",
                {"anjana": peer["seconds"]} if "seconds" in peer else {}),
            row("certainty_penalty_small", f"the same {part}{note}", "share", [few_made.loss.certainty_penalty], "",
                {"anjana": peer["certainty_penalty"]} if "seconds" in peer else {}),
            row("suppressed_share_small", f"the same {part}{note}", "share", [few_made.suppressed_share], "",
                {"anjana": peer["suppressed_share"]} if "seconds" in peer else {}),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    chosen = [int(each) for each in sys.argv[1:] if each.isdigit()]
    show(run(quick="--quick" in sys.argv, rows=chosen[0] if chosen else 0))
