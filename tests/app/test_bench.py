"""`koinon bench` finds the benchmarks of a checkout, runs them, keeps what they found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from koinon.app import bench
from koinon.base.errors import Unavailable

ROOT = Path(__file__).parents[2]
ROWS = {"key", "what", "value", "min", "max", "unit", "reach", "ok", "peers"}
# The keys that the project promises, with the bound of each.
CLAIMS = {
    "decision": {"p50_us_10": "<= 5", "p50_us_1000": "<= 5", "p50_us_10000": "<= 5"},
    "exchange": {"per_cpu_second": ">= 1000", "web_cpu_us": "<= 600", "p99_ms_32": "<= 50"},
    "cut": {"max_s": "<= 1", "blackholed_max_s": "<= 1"},
}


def koinon(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "koinon.app.cli", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_benchmark_of_the_checkout_is_found_and_what_they_share_is_none() -> None:
    names = bench.list_benchmarks(bench.benchmarks_folder(ROOT))
    assert {"decision", "ledger", "merkle", "exchange", "cut"} <= set(names)
    assert not {"frame", "load", "region"} & set(names)


def test_outside_a_checkout_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        bench.benchmarks_folder(tmp_path)
    assert refused.value.code == "benchmarks_missing"


def test_an_unknown_benchmark_is_refused_with_those_that_exist() -> None:
    done = koinon("nothing", "--json")
    assert done.returncode != 0
    assert "benchmark_unknown" in done.stderr
    assert "exchange" in done.stderr
    assert done.stdout == ""


def test_what_was_measured_is_printed_and_kept_as_the_same_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / "frame.py").write_bytes((ROOT / "benchmarks" / "frame.py").read_bytes())
    (folder / "small.py").write_text(
        "from measured.frame import result, row\n"
        "def run():\n"
        "    rows = [row('late_s', 'too late', 's', [3.0, 1.0, 2.0], '<= 1', {'peer': 4})]\n"
        "    return result('small', rows)\n"
    )
    monkeypatch.setattr(bench, "benchmarks_folder", lambda _: folder)
    bench.bench("small", as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "results" / "small.json").read_text())
    (row,) = printed["rows"]
    assert set(row) == ROWS
    assert (row["value"], row["min"], row["max"], row["ok"]) == (2.0, 1.0, 3.0, False)


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_the_kept_results_hold_the_promised_rows_from_a_full_run(name: str) -> None:
    kept = ROOT / "benchmarks" / "results" / f"{name}.json"
    if not kept.exists():
        pytest.skip(f"{name} was not measured in this checkout")
    outcome = json.loads(kept.read_text())
    assert outcome["name"] == name
    rows = {row["key"]: row for row in outcome["rows"]}
    for key, reach in CLAIMS[name].items():
        assert set(rows[key]) == ROWS
        assert rows[key]["reach"] == reach
        assert "(quick)" not in rows[key]["what"]
        bound = float(reach.split()[1])
        value = rows[key]["value"]
        assert rows[key]["ok"] is (value <= bound if reach.startswith("<=") else value >= bound)
