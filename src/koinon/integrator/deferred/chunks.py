"""Chunks as Arrow tables: questions as the check wrote them, and the answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from koinon.base.late import late
from koinon.integrator.deferred.model import RecordStatus
from koinon.integrator.deferred.policy import record_key
from koinon.integrator.formats import FieldSpec, RecordType, schema_of
from koinon.integrator.formats.model import STATUS_CODES

if TYPE_CHECKING:
    import numpy
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    numpy = late("numpy")
    pa = late("pyarrow")
    pc = late("pyarrow.compute")

VALUE, UNKNOWN, FORBIDDEN, NONE, NO_ANSWER = (
    ord(STATUS_CODES[status]) for status in ("value", "unknown", "not_allowed", "no_data", "no_answer")
)
STATUSES: Sequence[RecordStatus] = tuple(RecordStatus)
_PLACE = {status: place for place, status in enumerate(STATUSES)}
_ARROW = {
    "text": "string",
    "number": "int64",
    "money": "int64",
    "flag": "bool",
    "date": "date32",
    "partial_date": "string",
    "national_number": "string",
    "enterprise_number": "string",
}
"""Kind of a field -> alias of its Arrow type."""


class AnswerColumn(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to one field about the persons of a chunk, in their order.

    Attributes:
        values: an Arrow array; null where the status is another than a value. Of a list its rows, see `list_of`.
        statuses: one code of `STATUS_CODES` each, as uint8.
    """

    values: pa.Array
    statuses: numpy.ndarray[Any, numpy.dtype[numpy.uint8]]

    @property
    def kind(self) -> str:
        """See `gate.batches.Answers`."""
        return str(self.values.type)

    @classmethod
    def of(cls, values: pa.Array, absent: int = UNKNOWN) -> AnswerColumn:
        """Values where there are, and `absent` where there are none."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        known = values.is_valid().to_numpy(zero_copy_only=False)
        return cls(values=values, statuses=numpy.where(known, VALUE, absent).astype(numpy.uint8))


class Questions(msgspec.Struct, frozen=True, kw_only=True):
    """The good records of a chunk. All lists have the same length.

    Attributes:
        numbers: place of each in the file, from 1: its record key follows from it.
        at: reference date of each, days since 1970.
    """

    numbers: Sequence[int]
    sequences: Sequence[int]
    subjects: Sequence[str]
    at: Sequence[int]

    def encode(self) -> bytes:
        """As Arrow IPC."""
        table = pa.table(
            {
                "number": pa.array(self.numbers, pa.int64()),
                "sequence": pa.array(self.sequences, pa.int64()),
                "subject": pa.array(self.subjects, pa.string()),
                "at": pa.array(self.at, pa.int32()),
            }
        )
        return _encode(table)

    @classmethod
    def decode(cls, data: bytes) -> Questions:
        """What `encode` wrote."""
        table = _decode(data)
        numbers, sequences, subjects, at = (column.to_pylist() for column in table.columns)
        return cls(numbers=numbers, sequences=sequences, subjects=subjects, at=at)

    def only(self, mask: bytes) -> Questions:
        """Those whose place in `mask` is not 0."""
        if all(mask):
            return self
        return Questions(
            numbers=list(compress(self.numbers, mask)),
            sequences=list(compress(self.sequences, mask)),
            subjects=list(compress(self.subjects, mask)),
            at=list(compress(self.at, mask)),
        )


def encode_part(
    questions: Questions,
    mask: bytes,
    kept: Mapping[str, AnswerColumn],
    replaced_by: pa.Array | None,
    record_type: RecordType,
) -> tuple[bytes, dict[str, int]]:
    """The answers of a chunk as Arrow IPC, and how many records ended with each status.

    `kept` and `replaced_by` tell of those whose place in `mask` is 1; the others were not asked about. A field that was
    not kept is `not_allowed`. Of a list the record has how many rows there are; the rows lie beside it, for
    `decode_rows`.
    """
    known = numpy.frombuffer(mask, numpy.uint8).astype(bool)
    count = len(known)
    places = numpy.flatnonzero(known)
    whole = len(places) == count
    spread = None
    if not whole:
        back = numpy.zeros(count, numpy.int64)
        back[places] = numpy.arange(len(places))
        spread = pa.array(back, mask=~known)
    record = numpy.full(len(places), _PLACE[RecordStatus.ANSWERED], numpy.uint8)
    columns: dict[str, Any] = {
        "number": pa.array(questions.numbers, pa.int64()),
        "sequence": pa.array(questions.sequences, pa.int64()),
        "subject": pa.array(questions.subjects, pa.string()),
        "replaced_by": pa.nulls(count, pa.string()) if replaced_by is None else _spread(replaced_by, spread),
    }
    for statuses, status in (((UNKNOWN, NONE), RecordStatus.UNKNOWN), ((NO_ANSWER,), RecordStatus.NO_ANSWER)):
        for each in kept.values():
            record[numpy.isin(each.statuses, statuses)] = _PLACE[status]
    for field in record_type.fields[2:]:
        column = kept.get(field.name)
        codes = numpy.full(count, FORBIDDEN, numpy.uint8)
        if column is None:
            columns[field.name] = pa.nulls(count, pa.type_for_alias(_ARROW[field.kind]))
        else:
            codes[places] = column.statuses
            values = _spread(column.values, spread)
            if pa.types.is_list(values.type):
                columns[_rows_name(field.name)] = values
                values = pc.list_value_length(values)
            columns[field.name] = values.cast(pa.type_for_alias(_ARROW[field.kind]))
        columns[f"{field.name}.status"] = pa.array(codes)
    statuses_of = numpy.full(count, _PLACE[RecordStatus.NOT_IN_DIRECTORY], numpy.uint8)
    statuses_of[places] = record
    columns["record_status"] = pa.array(statuses_of)
    counted = numpy.bincount(statuses_of, minlength=len(STATUSES))
    counts = {status.value: int(n) for status, n in zip(STATUSES, counted, strict=True) if n}
    return _encode(pa.table(columns)), counts


def read_part(data: bytes) -> pa.RecordBatch:
    """The answers of a chunk as `encode_part` laid them down.

    Columns: `number`, `sequence`, `subject`, `replaced_by`, each field with its `<field>.status` (a code of
    `STATUS_CODES`), `record_status` (its place in `STATUSES`).
    """
    return _decode(data)


def decode_part(data: bytes, batch: UUID, record_type: RecordType) -> pa.RecordBatch:
    """The answers of a chunk with the columns of `schema_of`, of the result's record type."""
    table = _decode(data)
    numbers = table["number"]
    names = pa.array([status.value for status in STATUSES])
    arrays = [
        *(numbers, numbers, table["sequence"], table["subject"], table["replaced_by"]),
        *(_keys(batch, numbers), _values(len(table))),
        *(names.take(table["record_status"]), _values(len(table))),
    ]
    for field in record_type.fields[2:]:
        arrays += _columns(field, table[field.name], table[f"{field.name}.status"])
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(record_type))


def list_of(record_type: RecordType, lists: Sequence[Sequence[Mapping[str, Any]] | None]) -> pa.Array:
    """The rows of each list as an Arrow array of lists of structs, one member a field of the rows' type; null where
    the list is not known.
    """
    row = pa.struct([(field.name, pa.type_for_alias(_ARROW[field.kind])) for field in record_type.fields])
    return pa.array(lists, pa.list_(row))


def decode_rows(data: bytes, batch: UUID, field: str, record_type: RecordType, first: int) -> pa.RecordBatch:
    """The rows of that list about everybody in the chunk, in order, numbered from `first`; each names its record.

    With the columns of `schema_of`.
    """
    table = _decode(data)
    if _rows_name(field) not in table.schema.names:
        return pa.RecordBatch.from_pylist([], schema=schema_of(record_type))
    lists = table[_rows_name(field)]
    owners, rows = pc.list_parent_indices(lists), pc.list_flatten(lists)
    places = pa.array(numpy.arange(first, first + len(owners)))
    subjects, replaced_by = table["subject"].take(owners), table["replaced_by"].take(owners)
    arrays = [places, places, places, subjects, replaced_by]
    arrays += [_keys(batch, table["number"].take(owners)), _values(len(owners))]
    for spec in record_type.fields[1:]:
        values = rows.field(spec.name)
        known = values.is_valid().to_numpy(zero_copy_only=False)
        arrays += _columns(spec, values, pa.array(numpy.where(known, VALUE, NONE).astype(numpy.uint8)))
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(record_type))


def _keys(batch: UUID, numbers: pa.Array) -> pa.Array:
    """The `record_key` of each, made of all at once."""
    return pc.binary_join_element_wise(record_key(batch, ""), numbers.cast(pa.string()), "")


def _values(count: int) -> pa.Array:
    """The statuses of a column that has a value everywhere."""
    return pa.array(numpy.full(count, VALUE, numpy.uint8))


def _columns(field: FieldSpec, values: pa.Array, statuses: pa.Array) -> list[pa.Array]:
    """The columns of the field in a table of its record type, see `schema_of`."""
    if field.kind == "partial_date":
        digits = pc.utf8_rpad(pc.replace_substring(values, "-", ""), 8, "0")
        return [digits.cast(pa.int32()), statuses]
    if field.kind == "national_number":
        return [values, pa.nulls(len(values), pa.string()), statuses]
    return [values, statuses]


def _rows_name(field: str) -> str:
    return f"{field}.rows"


def _spread(values: Any, places: pa.Array | None) -> Any:
    return values if places is None else values.take(places)


def _encode(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _decode(data: bytes) -> pa.RecordBatch:
    return pa.ipc.open_file(pa.py_buffer(data)).read_all().combine_chunks().to_batches()[0]
