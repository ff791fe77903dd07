"""Arrow columns to a block of fixed-length records, all of a column at once: the way back of `columnar`.

A block is written here where every text is ASCII and everything has its place; of any other nothing is written, and
`write_column` says what is the matter. A property test holds both to the same bytes.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from koinon.integrator.formats.fixed.lanes import Bytes, Integers
from koinon.integrator.formats.fixed.layout import record_bytes, record_places, value_width
from koinon.integrator.formats.kinds import Kind
from koinon.integrator.formats.model import FieldSpec, RecordType

_SPACE, _PLUS, _MINUS, _ZERO, _ONE, _NEWLINE, _RECORD = b" +-01\nR"
_NUMBERS: tuple[Kind, ...] = ("number", "money")
_DATES: tuple[Kind, ...] = ("date", "partial_date")


class _Unusual(Exception):
    """A value that the reader of cells must be asked about."""


def lay_rows(record_type: RecordType, table: Any) -> bytes | None:
    """The records of `table` (a `pyarrow.RecordBatch` with the columns of `schema_of`), each with its line ending;
    None where a value is not plain.
    """
    rows: Bytes = np.full((table.num_rows, record_bytes(record_type) + 1), _SPACE, np.uint8)
    cells = {
        place.name: rows[:, place.position - 1 : place.position - 1 + place.width]
        for place in record_places(record_type)
    }
    cells["tag"][:] = _RECORD
    rows[:, -1] = _NEWLINE
    try:
        _digits(cells["sequence"], _integers(table["sequence"]))
        _text(cells["subject"], table["subject"], exact=True)
        if record_type.subject == "national_number":
            _text(cells["replaced_by"], table["replaced_by"])
        for field in record_type.fields:
            cells[f"{field.name}.status"][:, 0] = table[f"{field.name}.status"]
            _field(cells[field.name], field, table)
    except _Unusual:
        return None
    return rows.tobytes()


def _field(cell: Bytes, field: FieldSpec, table: Any) -> None:
    """The values of the field are in its cells; what has none stays spaces."""
    column = table[field.name]
    if field.kind == "text":
        _text(cell, column)
        return
    if field.kind == "enterprise_number":
        _text(cell, column, exact=True)
        return
    if field.kind == "national_number":
        _text(cell[:, :11], column, exact=True)
        _text(cell[:, 11:], table[f"{field.name}.replaced_by"])
        return
    if column.null_count == len(column):
        return
    if field.kind == "flag":
        cell[:, 0] = np.where(column.fill_null(False).to_numpy(zero_copy_only=False), _ONE, _ZERO)
    elif field.kind in _NUMBERS:
        values = _integers(column)
        cell[:, 0] = np.where(values < 0, _MINUS, _PLUS)
        _digits(cell[:, 1:], np.abs(values))
    elif field.kind in _DATES:
        _digits(cell, _integers(column) if field.kind == "partial_date" else _written(column))
    assert cell.shape[1] == value_width(field)
    if column.null_count:
        cell[column.is_null().to_numpy(zero_copy_only=False)] = _SPACE


def _integers(column: Any) -> Integers:
    numbers: Integers = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return numbers


def _written(column: Any) -> Integers:
    """The number that `yyyymmdd` writes of each date; that of 1970 began with where there is none."""
    days = column.cast(pa.int32()).fill_null(0).to_numpy().astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    since = months.astype(np.int64)  # January 1970
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    written: Integers = (1970 + since // 12) * 10_000 + (since % 12 + 1) * 100 + day
    return written


def _digits(cell: Bytes, values: Integers) -> None:
    """The values, none below 0, with zeros in front."""
    width = cell.shape[1]
    if len(values) and (values.min() < 0 or values.max() >= 10**width):
        raise _Unusual
    rest = values
    for place in range(width - 1, -1, -1):
        if not rest.any():
            cell[:, : place + 1] = _ZERO
            return
        tenth = rest // 10
        cell[:, place] = rest - tenth * 10 + _ZERO
        rest = tenth


def _text(cell: Bytes, column: Any, *, exact: bool = False) -> None:
    """The texts, with spaces behind; `exact`: none is shorter than its cell."""
    width = cell.shape[1]
    if column.null_count == len(column):
        return
    lengths = pc.min_max(pc.binary_length(column)).as_py()
    if lengths["max"] > width or (exact and lengths["min"] < width):
        raise _Unusual
    if not pc.all(pc.string_is_ascii(column)).as_py():
        raise _Unusual
    padded = pc.ascii_rpad(column.fill_null(""), width, " ")
    _, offsets, data = padded.buffers()
    first = int(np.frombuffer(offsets, np.int32)[padded.offset])
    cell[:] = np.frombuffer(data, np.uint8, len(padded) * width, first).reshape(len(padded), width)
