"""Answers as CSV, for people and their spreadsheets. Written, never read back: it is no syntax of a message.

A cell that a spreadsheet would take for a formula gets an apostrophe in front; so does one that starts with an
apostrophe, and the mark can be taken off again. Numbers are numbers and stay as they are.

Source: RFC 4180; OWASP CSV Injection.
"""

import csv
import io
from typing import Any, BinaryIO

from koinon.integrator.formats.kinds import NationalNumber, write_text
from koinon.integrator.formats.model import STATUS_BY_CODE, Batch, Columns, RecordType, Reject, Totals
from koinon.integrator.formats.tally import Tally

# Full-width forms too: spreadsheets of some languages take them for the same sign.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")


def guarded(text: str) -> str:
    """`text` such that no spreadsheet computes it."""
    return "'" + text if text.startswith(_DANGEROUS) else text


class CsvWriter:
    """Records as CSV in UTF-8: sequence, subject, the number that replaced it; two columns a field: value and
    status.
    """

    def __init__(self, stream: BinaryIO, record_type: RecordType) -> None:
        """Writes the names of the columns."""
        self._stream = stream
        self._type = record_type
        self._tally = Tally(record_type)
        names = ["sequence", "subject", "replaced_by"]
        for field in record_type.fields:
            names += [field.name, f"{field.name}.status"]
        # With a mark: without one spreadsheets take UTF-8 for the local encoding.
        stream.write(b"\xef\xbb\xbf")
        self._rows([names])

    def write(self, columns: Columns) -> tuple[Reject, ...]:
        """The records are written; CSV takes all of them."""
        self._tally.count(Batch(columns))
        self._tally.order(columns.sequences, columns.lines)
        cells: list[list[Any]] = [
            [str(sequence) for sequence in columns.sequences],
            columns.subjects,
            [replaced or "" for replaced in columns.replaced_by],
        ]
        for column in columns.fields:
            cells.append([_cell(value) for value in column.values])
            statuses = column.statuses or b"V" * len(column.values)
            cells.append([STATUS_BY_CODE[status] for status in statuses])
        self._rows([list(row) for row in zip(*cells, strict=True)])
        return ()

    def close(self) -> Totals:
        """Nothing more is written: CSV has no totals of its own."""
        return self._tally.totals()

    def _rows(self, rows: list[list[str]]) -> None:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        self._stream.write(text.getvalue().encode())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, NationalNumber) or type(value) is int:
        return write_text(value)
    return guarded(write_text(value))
