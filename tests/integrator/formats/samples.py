"""A record type with every kind of field, and messages of it."""

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

import pytest

from koinon.base.text import Text
from koinon.integrator.drivers import PartialDate, check_digits
from koinon.integrator.formats import (
    BrokenMessage,
    FieldSpec,
    Header,
    NationalNumber,
    Record,
    RecordType,
    Reject,
    Totals,
    declare,
    gather,
    open_reader,
    open_writer,
)
from koinon.integrator.model import FieldAnswer

_NO = Text("x", "x", "x")
EVERY = RecordType(
    "every_kind",
    3,
    _NO,
    "national_number",
    (
        FieldSpec("name", "text", _NO, 30),
        FieldSpec("children", "number", _NO, 4),
        FieldSpec("income", "money", _NO, 12),
        FieldSpec("rent", "money", _NO, 8),
        FieldSpec("admissible", "flag", _NO),
        FieldSpec("decided", "date", _NO),
        FieldSpec("born", "partial_date", _NO),
        FieldSpec("landlord", "national_number", _NO),
        FieldSpec("employer", "enterprise_number", _NO),
    ),
)
FIRMS = RecordType("firms", 1, _NO, "enterprise_number", (FieldSpec("debt", "money", _NO, 15),))
BARE = RecordType("bare", 1, _NO, "national_number", ())
TYPES = declare((EVERY, FIRMS, BARE))
SYNTAXES = ("fixed", "xml", "jsonl", "json")


def header_of(record_type: RecordType) -> Header:
    return Header(
        record_type=record_type.name,
        version=record_type.version,
        sender="party-1",
        flow="social-dwelling-admission",
        purpose="social_dwelling_admission",
        reference="batch 2026/0042",
        created=datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
    )


HEADER = header_of(EVERY)


def person(order: int) -> str:
    """A national number that nobody can have."""
    nine = f"80{61 + order % 12:02}{1 + order % 28:02}{order % 1000:03}"
    return nine + check_digits(nine, born_from_2000=False)


def enterprise(order: int) -> str:
    eight = 19900000 + order
    return f"{eight:08}{97 - eight % 97:02}"


def value(of: object) -> FieldAnswer:
    return FieldAnswer(status="value", value=of)


def record(sequence: int, **changes: FieldAnswer) -> Record:
    fields = {
        "name": value("Zoë Van den Bossche"),
        "children": value(sequence % 5),
        "income": value(2_345_678 + sequence),
        "rent": value(-120),
        "admissible": value(sequence % 2 == 0),
        "decided": value(date(2026, 11, 1 + sequence % 28)),
        "born": value(PartialDate(1980, 6, 0)),
        "landlord": value(NationalNumber(person(sequence + 7))),
        "employer": value(enterprise(sequence)),
    }
    return Record(sequence, person(sequence), fields | changes)


def written(
    syntax: str,
    records: Iterable[Record],
    *,
    record_type: RecordType = EVERY,
    encoding: str = "UTF-8",
) -> bytes:
    out = io.BytesIO()
    writer = open_writer(out, syntax, header_of(record_type), encoding=encoding, types=TYPES)
    for batch in gather(record_type, records):
        assert not batch.rejects
        assert not writer.write(batch.columns)
    writer.close()
    return out.getvalue()


def read(syntax: str, data: bytes) -> tuple[Header, list[Record], list[Reject], Totals]:
    reader = open_reader(io.BytesIO(data), syntax, TYPES)
    records, rejects = [], []
    for batch in reader.batches():
        records += batch.columns.records()
        rejects += batch.rejects
    assert reader.totals is not None
    return reader.header, records, rejects, reader.totals


def broken(syntax: str, data: bytes) -> BrokenMessage:
    with pytest.raises(BrokenMessage) as caught:
        read(syntax, data)
    return caught.value


def reasons(rejects: Sequence[Reject]) -> list[tuple[int, int | None, int | None, str | None, str]]:
    return [(one.record, one.line, one.sequence, one.field, one.code) for one in rejects]
