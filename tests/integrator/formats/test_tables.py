"""Fixed-length records as Arrow tables are the records that the reader of cells gives, whatever the bytes are."""

import io
import random
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integrator.formats.samples import (
    BARE,
    EVERY,
    FIRMS,
    TYPES,
    enterprise,
    header_of,
    person,
    record,
    value,
    written,
)

from koinon.integrator.drivers import PartialDate, is_enterprise_number, is_national_number
from koinon.integrator.drivers.numbers import check_digits
from koinon.integrator.formats import (
    BrokenMessage,
    NationalNumber,
    Record,
    Reject,
    gather,
    open_tables,
    open_writer,
)
from koinon.integrator.formats.fixed import FixedReader
from koinon.integrator.formats.fixed.lanes import ZEROS, enterprise_faults, national_faults, parse, read_days
from koinon.integrator.formats.kinds import BadValue, read_date, read_partial
from koinon.integrator.formats.tables import from_table, schema_of, to_table
from koinon.integrator.model import FieldAnswer

Outcome = tuple[list[Record], list[Reject], Any]


def _by_cells(data: bytes) -> Outcome:
    records: list[Record] = []
    rejects: list[Reject] = []
    try:
        reader = FixedReader(io.BytesIO(data), TYPES)
        for batch in reader.batches():
            records += batch.columns.records()
            rejects += batch.rejects
    except BrokenMessage as error:
        return [], [], (error.code, error.facts)
    return records, rejects, reader.totals


def _by_tables(data: bytes) -> Outcome:
    records: list[Record] = []
    rejects: list[Reject] = []
    try:
        reader = FixedReader(io.BytesIO(data), TYPES)
        for batch in reader.tables():
            batch.table.validate(full=True)
            records += from_table(reader.record_type, batch.table).records()
            rejects += batch.rejects
    except BrokenMessage as error:
        return [], [], (error.code, error.facts)
    return records, rejects, reader.totals


def _same(data: bytes) -> Outcome:
    expected = _by_cells(data)
    assert _by_tables(data) == expected
    return expected


ODD = [
    record(2, name=value("Łódź"), rent=FieldAnswer(status="unknown")),
    record(3, landlord=value(NationalNumber(person(8), person(9))), born=value(PartialDate(1980))),
    record(
        4, income=value(-5), decided=FieldAnswer(status="no_data"), landlord=FieldAnswer(status="no_answer")
    ),
    Record(5, person(5), dict(record(5).fields), person(6)),
    record(6, name=value("日本 ￼ – x"), born=value(PartialDate(2024, 2, 29))),
    record(7, **{field.name: FieldAnswer(status="not_allowed") for field in EVERY.fields}),
]
TEN = [record(1), *ODD, record(8), record(9), record(10)]
LATIN = [record(n, name=value(f"Zoë Ümit ß {n}")) for n in range(1, 10)]
SPOILERS = [
    b"0", b"1", b"9", b"+", b"-", b" ", b"R", b"T", b"V", b"U", b"x", b"\n", b"\r", b"\x00", b"\x1f", b"\x7f",
    b"\x80", b"\x85", b"\x9f", b"\xa0", b"\xa4", b"\xc3\xa9", b"\xc2\x85", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\xff",
    b"\xe9", b"\xed\xa0\x80", b"29", b"00", b"",
]  # fmt: skip


@given(st.data(), st.sampled_from(["UTF-8", "ISO-8859-1", "ISO-8859-15"]))
@settings(max_examples=400)
def test_tables_and_cells_give_the_same_records_and_rejects_on_spoiled_bytes(
    data: st.DataObject, encoding: str
) -> None:
    message = written("fixed", TEN if encoding == "UTF-8" else LATIN, encoding=encoding)
    first = message.index(b"\n") + 1
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(first, len(message) - 1))
        spoiler = data.draw(st.sampled_from(SPOILERS))
        # Mostly in place, so that the record keeps its length and it is the value that is wrong.
        cut = data.draw(st.sampled_from([len(spoiler)] * 6 + [0, 1, 2]))
        message = message[:place] + spoiler + message[place + cut :]
    _same(message)


@given(st.binary(max_size=600))
@settings(max_examples=300)
def test_tables_and_cells_agree_on_arbitrary_bytes_behind_a_header(noise: bytes) -> None:
    message = written("fixed", [record(1)])
    header, rest = message.split(b"\n", 1)
    row = rest[: rest.index(b"\n")]
    filled = (row[:16] + noise + row)[: len(row)] if noise else row
    _same(header + b"\n" + filled + b"\n" + rest)
    _same(header + b"\n" + noise)


def test_every_value_that_is_unusual_comes_back_and_rejects_keep_line_field_and_reason() -> None:
    message = written("fixed", TEN)
    assert _same(message)[0] == TEN
    lines = message.splitlines(keepends=True)
    lines[3] = lines[3].replace(b"V+000002345681", b"V+00000234568x")
    lines[9] = lines[9][:-1].replace(b"V", b"?", 1) + b"\n"
    records, rejects, _ = _same(b"".join(lines))
    assert [(one.record, one.line, one.sequence, one.field, one.code) for one in rejects] == [
        (3, 4, 3, "income", "number_malformed"),
        (9, 10, 9, "name", "status_unknown"),
    ]
    assert [one.sequence for one in records] == [1, 2, 4, 5, 6, 7, 8, 10]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("count", [1, 2, 7000, 20_000])
def test_the_seams_between_tables_lose_nothing(count: int, ending: bytes) -> None:
    firms = [Record(n, enterprise(n % 900), {"debt": value(n * 100 - 50_000)}) for n in range(1, count + 1)]
    message = written("fixed", firms, record_type=FIRMS).replace(b"\n", ending)
    records, rejects, totals = _by_tables(message)
    assert (records, rejects, totals.records) == (firms, [], count)


def test_bare_records_and_no_records_are_tables_too() -> None:
    bare = [Record(one.sequence, one.subject, {}) for one in map(record, range(1, 40))]
    assert _same(written("fixed", bare, record_type=BARE))[0] == bare
    assert _same(written("fixed", []))[0] == []


def test_amounts_at_their_limit_are_added_without_overflow() -> None:
    most = 10**15 - 1
    firms = [Record(n, enterprise(n % 900), {"debt": value(most)}) for n in range(1, 20_001)]
    _, _, totals = _by_tables(written("fixed", firms, record_type=FIRMS))
    assert totals.sums == {"debt": most * 20_000}


@pytest.mark.parametrize("syntax", ["fixed", "xml", "jsonl", "json"])
def test_every_syntax_gives_tables_of_the_declared_columns(syntax: str) -> None:
    records: list[Record] = []
    reader = open_tables(io.BytesIO(written(syntax, TEN)), syntax, TYPES)
    for batch in reader.tables():
        assert batch.table.schema == schema_of(EVERY)
        records += from_table(EVERY, batch.table).records()
    assert records == TEN
    assert reader.totals is not None and reader.totals.records == len(TEN)


def test_a_table_made_of_lists_is_the_same_records() -> None:
    (batch,) = gather(EVERY, TEN)
    assert list(from_table(EVERY, to_table(batch.columns)).records()) == TEN


def test_lanes_of_digits_are_numbers_and_anything_else_is_a_fault() -> None:
    chance = random.Random(8)
    cells = [bytes(chance.choice(b"0123456789") for _ in range(8)) for _ in range(2000)]
    values, bad = parse(np.frombuffer(b"".join(cells), np.uint64))
    assert not bad.any() and values.tolist() == [int(cell) for cell in cells]
    for byte in range(256):
        for place in range(8):
            cell = b"0" * place + bytes([byte]) + b"9" * (7 - place)
            assert bool(parse(np.frombuffer(cell, np.uint64))[1][0]) == (byte not in b"0123456789")
    assert parse(np.array([ZEROS]))[0].tolist() == [0]


def test_check_digits_and_dates_of_a_column_are_those_of_each() -> None:
    chance = random.Random(97)
    numbers = [f"{chance.randrange(10**11):011}" for _ in range(5000)]
    for _ in range(5000):
        nine = f"{chance.randrange(10**9):09}"
        numbers.append(nine + check_digits(nine, born_from_2000=chance.random() < 0.5))
    first = np.array([int(number[:8]) for number in numbers], np.uint64)
    last = np.array([int(number[8:]) for number in numbers], np.uint64)
    assert (~national_faults(first, last)).tolist() == [is_national_number(number) for number in numbers]
    firms = [f"{n:08}{97 - n % 97:02}" for n in (chance.randrange(3 * 10**7) for _ in range(3000))]
    firms += [f"{chance.randrange(10**10):010}" for _ in range(3000)]
    first = np.array([int(firm[:8]) for firm in firms], np.uint64)
    last = np.array([int(firm[8:]) for firm in firms], np.uint64)
    assert (~enterprise_faults(first, last)).tolist() == [is_enterprise_number(firm) for firm in firms]

    written_days = [
        year * 10_000 + part for year in (0, 1, 1900, 2000, 2023, 2024, 9999) for part in range(10_000)
    ]
    for partial, read in ((False, read_date), (True, read_partial)):
        days, faults = read_days(np.array(written_days, np.uint64), partial=partial)
        for number, day, fault in zip(written_days, days.tolist(), faults, strict=True):
            text = f"{number:08}"
            try:
                expected: Any = read(f"{text[:4]}-{text[4:6]}-{text[6:]}")
            except BadValue:
                assert fault
                continue
            assert not fault
            if partial:
                assert day == expected.year * 10_000 + expected.month * 100 + expected.day
            else:
                assert day == expected.toordinal() - 719_163


def test_a_long_file_is_read_as_tables_in_constant_memory() -> None:
    out = io.BytesIO()
    writer = open_writer(out, "fixed", header_of(FIRMS), types=TYPES)
    (batch,) = gather(FIRMS, [Record(n, enterprise(n % 900), {"debt": value(n)}) for n in range(1, 2001)])
    writer.write(batch.columns)
    row = out.getvalue().splitlines(keepends=True)[1]

    class Endless(io.RawIOBase):
        """The header, then `left` records made as they are asked for."""

        def __init__(self, left: int) -> None:
            self.ready, self.at, self.left = out.getvalue().splitlines(keepends=True)[0], 0, left

        def read(self, size: int = -1) -> bytes:
            while len(self.ready) < size and self.at < self.left:
                numbers = range(self.at + 1, min(self.at + 5000, self.left) + 1)
                self.ready += b"".join(b"R%015d" % n + row[16:] for n in numbers)
                self.at = numbers[-1]
            data, self.ready = self.ready[:size], self.ready[size:]
            return data

    def peak(records: int) -> int:
        tracemalloc.start()
        reader = FixedReader(Endless(records), TYPES)  # type: ignore[arg-type]
        seen = 0
        with pytest.raises(BrokenMessage, match="message_truncated"):
            for piece in reader.tables():
                seen += len(piece)
        assert seen == records
        most = tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes()
        tracemalloc.stop()
        return most

    short = peak(100_000)
    assert peak(600_000) < short + 8_000_000
