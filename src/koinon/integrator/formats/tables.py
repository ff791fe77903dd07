"""Records as Arrow tables: what batch mode computes with where a list a field would cost more than the computation.

Every kind has one Arrow type. A value is null exactly where the status beside it is another than `value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from koinon.base.late import late
from koinon.integrator.drivers import PartialDate
from koinon.integrator.formats.kinds import Kind, NationalNumber
from koinon.integrator.formats.model import Batch, Column, Columns, RecordType, Reject

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
else:
    np = late("numpy")
    pa = late("pyarrow")

_TYPES: Mapping[Kind, str] = {
    "text": "string",
    "number": "int64",
    "money": "int64",
    "flag": "bool",
    "date": "date32",
    "partial_date": "int32",
    "national_number": "string",
    "enterprise_number": "string",
}
"""Kind -> alias of its Arrow type."""
PLACES = 5
"""Columns before those of the fields."""


class TableBatch(msgspec.Struct, frozen=True):
    """A piece of a message as a table, and the rejects among its records.

    Attributes:
        table: a `pyarrow.RecordBatch` with the columns of `schema_of`.
    """

    table: Any
    rejects: tuple[Reject, ...] = ()

    def __len__(self) -> int:
        return int(self.table.num_rows)


def schema_of(record_type: RecordType) -> Any:
    """The columns of a table of this record type.

    First `number` (place in the message, from 1), `line`, `sequence`, `subject`, `replaced_by`; then of each field
    its value and `<name>.status`, one byte of `STATUS_CODES`. Amounts are cents; an incomplete date is the number
    that `yyyymmdd` writes, with zeros for what is unknown; what replaced a national number is in `<name>.replaced_by`.
    """
    columns = [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("replaced_by", pa.string()),
    ]
    for field in record_type.fields:
        columns.append(pa.field(field.name, pa.type_for_alias(_TYPES[field.kind])))
        if field.kind == "national_number":
            columns.append(pa.field(f"{field.name}.replaced_by", pa.string()))
        columns.append(pa.field(f"{field.name}.status", pa.uint8(), nullable=False))
    return pa.schema(columns)


def to_table(columns: Columns) -> Any:
    """The records as a `pyarrow.RecordBatch`."""
    count = len(columns)
    arrays: list[Any] = [
        pa.array(columns.numbers, pa.int64()),
        pa.array(columns.lines, pa.int64()),
        pa.array(columns.sequences, pa.int64()),
        pa.array(columns.subjects, pa.string()),
        pa.array(columns.replaced_by, pa.string()),
    ]
    for field, column in zip(columns.record_type.fields, columns.fields, strict=True):
        values: Sequence[Any] = column.values
        if field.kind == "partial_date":
            values = [None if v is None else v.year * 10_000 + v.month * 100 + v.day for v in values]
        elif field.kind == "national_number":
            arrays.append(pa.array([v and v.number for v in values], pa.string()))
            values = [v and v.replaced_by for v in values]
        arrays.append(pa.array(values, pa.type_for_alias(_TYPES[field.kind])))
        codes = b"V" * count if column.statuses is None else column.statuses
        arrays.append(pa.array(np.frombuffer(codes, np.uint8)))
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(columns.record_type))


def from_table(record_type: RecordType, table: Any) -> Columns:
    """The same records as lists."""
    columns = iter(table.columns)
    numbers, lines, sequences, subjects, replaced = (next(columns).to_pylist() for _ in range(PLACES))
    fields = []
    for field in record_type.fields:
        values = next(columns).to_pylist()
        if field.kind == "partial_date":
            values = [
                None if v is None else PartialDate(v // 10_000, v // 100 % 100, v % 100) for v in values
            ]
        elif field.kind == "national_number":
            others = next(columns).to_pylist()
            values = [
                None if v is None else NationalNumber(v, other)
                for v, other in zip(values, others, strict=True)
            ]
        codes = next(columns).to_numpy().tobytes()
        fields.append(Column(values, None if codes == b"V" * len(codes) else codes))
    return Columns(
        record_type=record_type,
        numbers=numbers,
        lines=lines,
        sequences=sequences,
        subjects=subjects,
        replaced_by=replaced,
        fields=tuple(fields),
    )


def as_tables(batches: Iterable[Batch]) -> Iterator[TableBatch]:
    """Batches of any reader as tables."""
    for batch in batches:
        yield TableBatch(to_table(batch.columns), batch.rejects)


EPOCH = date(1970, 1, 1).toordinal()
