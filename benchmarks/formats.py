"""Reading messages: fixed-length records into typed columns, XML into the same; peers build the same records.

Nine fields of seven kinds, one value in twenty missing. The first reading as tables is not counted: Arrow
looks for its modules then. Files lie in the page cache. Rates are per second of
processor time of one core, ours and the peers': reading is one thread that never waits, and other processes
on the machine then count less. Every reading checks
everything: form, check digits, encoding, order, totals.
"""

import io
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchmarks.frame import RUNS, result, row, show
from lxml import etree

from koinon.base.text import Text
from koinon.integrator.drivers import PartialDate, check_digits
from koinon.integrator.formats import (
    FieldSpec,
    Header,
    Record,
    RecordType,
    Syntax,
    declare,
    gather,
    open_reader,
    open_tables,
    open_writer,
    pass_on,
)
from koinon.integrator.formats.fixed import record_places
from koinon.integrator.model import FieldAnswer, FieldStatus

RECORDS = 100_000
PEER_RECORDS = 25_000
GIGABYTE = 1 << 30
_NO = Text("-", "-", "-")
TYPE = RecordType(
    "benchmark",
    1,
    _NO,
    "national_number",
    (
        FieldSpec("name", "text", _NO, 40),
        FieldSpec("street", "text", _NO, 40),
        FieldSpec("income", "money", _NO, 12),
        FieldSpec("persons", "number", _NO, 3),
        FieldSpec("admissible", "flag", _NO),
        FieldSpec("registered", "flag", _NO),
        FieldSpec("decided", "date", _NO),
        FieldSpec("born", "partial_date", _NO),
        FieldSpec("employer", "enterprise_number", _NO),
    ),
)
TYPES = declare((TYPE,))


def run() -> dict[str, Any]:
    """The rows `fixed_records_per_s`, `xml_mb_per_s`, and beside them writing, JSON lines and row by row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files: dict[Syntax, Path] = {}
        writing: dict[Syntax, list[float]] = {}
        batches = list(gather(TYPE, _records(RECORDS)))
        for syntax in ("fixed", "xml", "jsonl"):
            files[syntax] = folder / syntax
            writing[syntax] = []
            for _ in range(RUNS):
                with files[syntax].open("wb") as stream:
                    began = time.process_time()
                    writer = open_writer(stream, syntax, _header(), types=TYPES)
                    for batch in batches:
                        writer.write(batch.columns)
                    writer.close()
                    writing[syntax].append(time.process_time() - began)
        del batches
        size = files["xml"].stat().st_size / 1e6
        times: dict[str, list[float]] = {
            name: [] for name in ("fixed", "lists", "rows", "xml", "jsonl", "iterparse")
        }
        _read_tables(files["fixed"])
        # In turn, so that a busy moment of the machine touches all alike.
        for _ in range(RUNS):
            times["fixed"].append(_timed(lambda: _read_tables(files["fixed"])))
            times["lists"].append(_timed(lambda: _read(files["fixed"], "fixed")))
            times["rows"].append(_timed(lambda: _read_rows(files["fixed"])))
            times["xml"].append(_timed(lambda: _read(files["xml"], "xml")))
            times["jsonl"].append(_timed(lambda: _read(files["jsonl"], "jsonl")))
            times["iterparse"].append(_timed(lambda: _iterparse(files["xml"])))
        slow = [_timed(lambda: _read(files["xml"], "slow")) for _ in range(RUNS)]
        pandas, said = _pandas(files["fixed"])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        growth = alone.submit(_growth_mb, GIGABYTE).result()
    fixed = _rates(times["fixed"], RECORDS)
    peers = {"pandas_read_fwf": pandas} if pandas else {}
    ratio = (
        [row("fixed_times_peer", "fixed_records_per_s over the peer", "x",
             [rate / pandas for rate in fixed], ">= 5", peers)]
        if pandas
        else []
    )  # fmt: skip
    return result(
        "formats",
        [
            row("fixed_records_per_s",
                f"fixed-length records of nine fields to typed, checked Arrow columns, one core; {said}", "1/s",
                fixed, ">= 1,000,000", peers),
            *ratio,
            row("xml_mb_per_s", "the same records as XML in our writer's shape to typed, checked columns", "MB/s",
                _rates(times["xml"], size), ">= 50",
                {"lxml_iterparse": max(_rates(times["iterparse"], size))}),
            row("xml_foreign_mb_per_s", "XML in another shape, which libxml2 reads whole", "MB/s",
                _rates(slow, size)),
            row("fixed_lists_per_s", "the same to typed, checked columns that are Python lists", "1/s",
                _rates(times["lists"], RECORDS)),
            row("fixed_rows_per_s", "fixed-length records, each a Record with its FieldAnswers", "1/s",
                _rates(times["rows"], RECORDS)),
            row("jsonl_records_per_s", "the same records as JSON lines to checked columns", "1/s",
                _rates(times["jsonl"], RECORDS)),
            row("fixed_written_per_s", "columns to fixed-length records", "1/s",
                _rates(writing["fixed"], RECORDS)),
            row("xml_written_per_s", "columns to XML", "1/s", _rates(writing["xml"], RECORDS)),
            row("gigabyte_growth_mb", "by how much a process grows that writes a gigabyte of XML and turns it into "
                "fixed-length records, beyond what a thousandth of it takes", "MB", [growth], "<= 16"),
        ],
    )  # fmt: skip


def _growth_mb(size: int) -> float:
    """By how much this process' peak grows between a small message and one of `size` bytes."""
    (batch,) = gather(TYPE, _records(1000))
    columns = batch.columns

    def carry(folder: Path, size: int) -> None:
        message, other = folder / "message", folder / "other"
        with message.open("wb") as stream:
            writer = open_writer(stream, "xml", _header(), types=TYPES)
            first = 1
            while stream.tell() < size:
                columns.sequences[:] = range(first, first + 1000)
                writer.write(columns)
                first += 1000
            writer.close()
        with message.open("rb") as stream, other.open("wb") as out:
            reader = open_reader(stream, "xml", TYPES)
            outcome = pass_on(reader, open_writer(out, "fixed", reader.header, types=TYPES))
        assert outcome.rejected == 0 and outcome.read == outcome.written

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    with tempfile.TemporaryDirectory() as name:
        carry(Path(name), size // 1000)
        before = peak()
        carry(Path(name), size)
        return peak() - before


def _rates(times: list[float], amount: float) -> list[float]:
    return [amount / each for each in times]


def _timed(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _read(path: Path, syntax: Any) -> None:
    with path.open("rb") as stream:
        if syntax == "slow":
            from koinon.integrator.formats.xml import XmlReader

            reader: Any = XmlReader(stream, TYPES, fast=False)
        else:
            reader = open_reader(stream, syntax, TYPES)
        count = 0
        for batch in reader.batches():
            assert not batch.rejects
            count += len(batch.columns)
    assert count == RECORDS


def _read_tables(path: Path) -> None:
    with path.open("rb") as stream:
        count = 0
        for batch in open_tables(stream, "fixed", TYPES).tables():
            assert not batch.rejects
            count += len(batch)
    assert count == RECORDS


def _read_rows(path: Path) -> None:
    with path.open("rb") as stream:
        reader = open_reader(stream, "fixed", TYPES)
        count = sum(1 for batch in reader.batches() for _ in batch.columns.records())
    assert count == RECORDS


_READ: dict[str, Callable[[str], Any]] = {
    "text": str,
    "money": int,
    "number": int,
    "flag": lambda text: text == "true",
    "date": date.fromisoformat,
    "partial_date": PartialDate.parse,
    "enterprise_number": str,
}


def _iterparse(path: Path) -> None:
    """The same typed values with plain lxml, checking nothing beyond what the conversions check."""
    space = f"{{urn:koinon:message:{TYPE.name}:{TYPE.version}}}"
    readers = {f"{space}{field.name}": _READ[field.kind] for field in TYPE.fields}
    columns: dict[str, list[Any]] = {name: [] for name in readers}
    count = 0
    for _, element in etree.iterparse(str(path), tag=f"{space}record"):
        int(element.get("sequence", "")), element.get("subject"), element.get("replaced_by")
        for child in element:
            status = child.get("status")
            columns[str(child.tag)].append(
                (status, None) if status else readers[str(child.tag)](child.text or "")
            )
        count += 1
        if count % 2048 == 0:
            columns = {name: [] for name in readers}
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]  # type: ignore[union-attr]
    assert count == RECORDS


def _pandas(path: Path) -> tuple[float, str]:
    """Records a second of `pandas.read_fwf` with the same typed columns, and what is to be said of it."""
    try:
        import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return 0.0, "peer pandas_read_fwf not run: pandas is not installed"
    places = record_places(TYPE)[1:]
    spans = [(place.position - 1, place.position - 1 + place.width) for place in places]
    names = [place.name for place in places]
    kinds = {
        place.name: "Int64" if place.kind in ("digits", "number", "money") else "string" for place in places
    }
    lines = path.read_bytes().split(b"\n")[1 : PEER_RECORDS + 1]
    # It counts characters where the layout counts bytes: one character a byte, so that both cut in the same places.
    data = b"\n".join(lines).decode("latin-1")

    def read() -> None:
        frame = pandas.read_fwf(io.StringIO(data), colspecs=spans, names=names, dtype=kinds, header=None)
        frame["decided"] = pandas.to_datetime(frame["decided"], format="%Y%m%d")
        frame["admissible"] = frame["admissible"] == "1"
        frame["registered"] = frame["registered"] == "1"
        assert len(frame) == PEER_RECORDS

    best = min(_timed(read) for _ in range(RUNS))
    return PEER_RECORDS / best, f"the peer reads {PEER_RECORDS:,} and checks no digits, dates or totals"


def _header() -> Header:
    return Header(
        record_type=TYPE.name,
        version=TYPE.version,
        sender="benchmark",
        flow="benchmark",
        purpose="benchmark",
        reference="1",
        created=datetime(2026, 11, 24, tzinfo=UTC),
    )


def _records(count: int) -> Iterator[Record]:
    chance = random.Random(2015)
    names = [
        f"Test-{a} {b}" for a in ("Zoë", "Jan", "Émile", "Fatima") for b in ("Peeters", "Van den Bossche")
    ]
    others: tuple[FieldStatus, ...] = ("unknown", "no_data", "no_answer", "not_allowed")

    def value(of: Any) -> FieldAnswer:
        if chance.random() < 0.05:
            return FieldAnswer(status=chance.choice(others))
        return FieldAnswer(status="value", value=of)

    for n in range(1, count + 1):
        nine = f"{chance.randrange(100):02}{61 + chance.randrange(12):02}{1 + chance.randrange(28):02}{n % 1000:03}"
        eight = 19_900_000 + chance.randrange(90_000)
        born = PartialDate(1930 + chance.randrange(80), 1 + chance.randrange(12), chance.randrange(29))
        yield Record(
            n,
            nine + check_digits(nine, born_from_2000=chance.random() < 0.3),
            {
                "name": value(chance.choice(names)),
                "street": value(f"Voorbeeldstraat / Rue de l'Exemple {chance.randrange(300)}"),
                "income": value(chance.randrange(9_000_000)),
                "persons": value(chance.randrange(1, 8)),
                "admissible": value(chance.random() < 0.5),
                "registered": value(True),
                "decided": value(date(2026, 1 + chance.randrange(12), 1 + chance.randrange(28))),
                "born": value(born),
                "employer": value(f"{eight:08}{97 - eight % 97:02}"),
            },
        )


if __name__ == "__main__":
    show(run())
