"""Files of any length are read and written in constant memory."""

import subprocess
import sys
from pathlib import Path

import pytest

# A process of its own: its memory is its own. It writes a message, reads it and writes it again in another
# syntax, and says by how much its peak grew between the first records and the last.
SAMPLES = str(Path(__file__).with_name("samples.py"))
SCRIPT = """
import importlib.util, resource, sys
from pathlib import Path
from koinon.integrator.formats import gather, open_reader, open_writer, pass_on

# By its path: another distribution installs a package of the name `tests`.
spec = importlib.util.spec_from_file_location("samples", sys.argv[5])
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)
EVERY, HEADER, TYPES, record = samples.EVERY, samples.HEADER, samples.TYPES, samples.record

syntax, other, count, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

(batch,) = gather(EVERY, map(record, range(1, 1001)))
columns = batch.columns

def write(times):
    with (folder / "message").open("wb") as stream:
        writer = open_writer(stream, syntax, HEADER, types=TYPES)
        for time in range(times):
            columns.sequences[:] = range(time * 1000 + 1, time * 1000 + 1001)
            writer.write(columns)
        writer.close()

def carry():
    with (folder / "message").open("rb") as stream, (folder / "other").open("wb") as out:
        reader = open_reader(stream, syntax, TYPES)
        outcome = pass_on(reader, open_writer(out, other, reader.header, types=TYPES))
    assert outcome.rejected == 0 and outcome.read == outcome.written, outcome
    return outcome.read.records

write(5)
carry()
before = peak()
write(count)
assert carry() == count * 1000
print((folder / "message").stat().st_size / 2**20, peak() - before)
"""


def _grown(syntax: str, other: str, thousands: int, folder: Path) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, syntax, other, str(thousands), str(folder), SAMPLES],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    size, growth = done.stdout.split()
    return float(size), float(growth)


@pytest.mark.parametrize(
    ("syntax", "other", "thousands"), [("fixed", "xml", 250), ("xml", "jsonl", 80), ("jsonl", "fixed", 60)]
)
def test_tens_of_megabytes_take_no_more_memory_than_one(
    syntax: str, other: str, thousands: int, tmp_path: Path
) -> None:
    megabytes, growth = _grown(syntax, other, thousands, tmp_path)
    assert megabytes > 20
    assert growth < 8


@pytest.mark.slow
def test_a_hundred_megabytes_take_no_more_memory_than_one(tmp_path: Path) -> None:
    """`benchmarks/formats.py` does it with a gigabyte."""
    megabytes, growth = _grown("xml", "fixed", 450, tmp_path)
    assert megabytes > 120
    assert growth < 16
