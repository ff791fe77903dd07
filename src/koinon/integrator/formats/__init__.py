"""One canonical message, three syntaxes: XML, JSON and fixed-length records.

A record type is declared once (`RecordType`); readers, writers, schemas and layouts follow from it. Messages
of any length are read and written in constant memory; a bad record is a `Reject` among the good ones, a
file that cannot be trusted a `BrokenMessage`.
"""

from koinon.integrator.formats.export import CsvWriter
from koinon.integrator.formats.gathering import gather
from koinon.integrator.formats.kinds import Kind, NationalNumber
from koinon.integrator.formats.messages import (
    Outcome,
    Reader,
    Tables,
    Writer,
    open_reader,
    open_tables,
    open_writer,
    pass_on,
    write_table,
)
from koinon.integrator.formats.model import (
    Batch,
    BrokenMessage,
    Column,
    Columns,
    Encoding,
    FieldSpec,
    Header,
    Record,
    RecordType,
    Reject,
    Syntax,
    Totals,
)
from koinon.integrator.formats.record_types import (
    LISTS,
    RECORD_TYPES,
    answer_type,
    declare,
    question_type,
    row_values,
)
from koinon.integrator.formats.tables import TableBatch, from_table, schema_of, to_table

__all__ = [
    "LISTS",
    "RECORD_TYPES",
    "Batch",
    "BrokenMessage",
    "Column",
    "Columns",
    "CsvWriter",
    "Encoding",
    "FieldSpec",
    "Header",
    "Kind",
    "NationalNumber",
    "Outcome",
    "Reader",
    "Record",
    "RecordType",
    "Reject",
    "Syntax",
    "TableBatch",
    "Tables",
    "Totals",
    "Writer",
    "answer_type",
    "declare",
    "from_table",
    "gather",
    "open_reader",
    "open_tables",
    "open_writer",
    "pass_on",
    "question_type",
    "row_values",
    "schema_of",
    "to_table",
    "write_table",
]
