"""Messages in whatever syntax: opened, written, checked, converted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

import msgspec

from koinon.base.errors import Invalid
from koinon.integrator.formats.export import CsvWriter
from koinon.integrator.formats.fixed import FixedReader, FixedWriter
from koinon.integrator.formats.json import JsonReader, JsonWriter
from koinon.integrator.formats.model import (
    Batch,
    Columns,
    Encoding,
    Header,
    RecordType,
    Reject,
    Syntax,
    Totals,
    find_record_type,
)
from koinon.integrator.formats.record_types import RECORD_TYPES
from koinon.integrator.formats.tables import TableBatch, as_tables, from_table
from koinon.integrator.formats.xml import XmlReader, XmlWriter


class Reader(Protocol):
    """A message that is being read: its header at once, then its batches, then its totals."""

    @property
    def header(self) -> Header: ...

    record_type: RecordType
    totals: Totals | None

    def batches(self) -> Iterator[Batch]:
        """The records, in order, in constant memory.

        Raises:
            BrokenMessage: the file cannot be trusted; what was given before stands, the message does not.
        """
        ...


class Tables:
    """A message that is being read as Arrow tables, in whatever syntax."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.record_type = reader.record_type

    @property
    def header(self) -> Header:
        """What the message says of itself."""
        return self._reader.header

    @property
    def totals(self) -> Totals | None:
        """After the last table; they agree with what was read."""
        return self._reader.totals

    def tables(self) -> Iterator[TableBatch]:
        """The records, in order, in constant memory.

        Raises:
            BrokenMessage: as `Reader.batches`.
        """
        if isinstance(self._reader, FixedReader):
            return self._reader.tables()
        return as_tables(self._reader.batches())


class Writer(Protocol):
    """A message that is being written. Without `close` it is truncated, and readers refuse it."""

    def write(self, columns: Columns) -> tuple[Reject, ...]:
        """The records are written, save the rejects: those the syntax has no place for."""
        ...

    def close(self) -> Totals:
        """The totals are written."""
        ...


def open_reader(stream: BinaryIO, syntax: Syntax, types: Mapping[str, RecordType] = RECORD_TYPES) -> Reader:
    """The message in `stream`, its header read.

    Raises:
        BrokenMessage: it has none, or one that `types` does not know.
    """
    match syntax:
        case "fixed":
            return FixedReader(stream, types)
        case "xml":
            return XmlReader(stream, types)
        case "jsonl":
            return JsonReader(stream, types)
        case "json":
            return JsonReader(stream, types, document=True)


def open_tables(stream: BinaryIO, syntax: Syntax, types: Mapping[str, RecordType] = RECORD_TYPES) -> Tables:
    """The message in `stream`, its header read, for who computes with whole columns.

    Raises:
        BrokenMessage: it has none, or one that `types` does not know.
    """
    return Tables(open_reader(stream, syntax, types))


def open_writer(
    stream: BinaryIO,
    syntax: Syntax,
    header: Header,
    *,
    encoding: Encoding = "UTF-8",
    types: Mapping[str, RecordType] = RECORD_TYPES,
) -> Writer:
    """A message with this header, begun in `stream`.

    Raises:
        Invalid: `encoding_not_supported`: other than UTF-8 only fixed-length records are written.
    """
    record_type = find_record_type(types, header.record_type, header.version)
    if syntax != "fixed" and encoding != "UTF-8":
        raise Invalid("encoding_not_supported", syntax=syntax)
    match syntax:
        case "fixed":
            return FixedWriter(stream, record_type, header, encoding)
        case "xml":
            return XmlWriter(stream, record_type, header)
        case "jsonl":
            return JsonWriter(stream, record_type, header)
        case "json":
            return JsonWriter(stream, record_type, header, document=True)


def write_table(writers: Sequence[Writer], record_type: RecordType, table: Any) -> tuple[Reject, ...]:
    """The records of `table` (a `pyarrow.RecordBatch` with the columns of `schema_of`) are written by each writer, save
    the rejects of any.
    """
    rejects: list[Reject] = []
    columns: Columns | None = None
    for writer in writers:
        if isinstance(writer, FixedWriter):
            rejects += writer.write_table(table)
            continue
        columns = columns or from_table(record_type, table)
        rejects += writer.write(columns)
    return tuple(rejects)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message.

    Attributes:
        read: the totals of what came in, as they stood in the message.
        written: the totals of what went out; None where nothing did.
        rejected: records left out.
    """

    header: Header
    read: Totals
    written: Totals | None
    rejected: int


def pass_on(
    reader: Reader, writer: Writer | CsvWriter | None, each: Callable[[Batch], None] = lambda batch: None
) -> Outcome:
    """Everything that `reader` gives is written by `writer`, if there is one; `each` has seen every batch, with
    the rejects of both.

    Raises:
        BrokenMessage: the message cannot be trusted; what was written has no totals.
    """
    rejected = 0
    for batch in reader.batches():
        refused = writer.write(batch.columns) if writer is not None else ()
        if refused:
            batch = Batch(batch.columns, tuple(sorted(batch.rejects + refused, key=lambda one: one.record)))
        rejected += len({reject.record for reject in batch.rejects})
        each(batch)
    written = writer.close() if writer is not None else None
    assert reader.totals is not None
    return Outcome(header=reader.header, read=reader.totals, written=written, rejected=rejected)
