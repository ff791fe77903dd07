"""Writing a message in fixed-length records."""

from typing import Any, BinaryIO

from koinon.integrator.formats.fixed.cells import write_column
from koinon.integrator.formats.fixed.layout import (
    HEADER,
    MARK,
    SUM_DIGITS,
    record_bytes,
    value_width,
)
from koinon.integrator.formats.kinds import MAX_DIGITS, BadValue
from koinon.integrator.formats.model import (
    Batch,
    Column,
    Columns,
    Encoding,
    Header,
    RecordType,
    Reject,
    Totals,
)
from koinon.integrator.formats.tables import from_table
from koinon.integrator.formats.tally import Tally


class FixedWriter:
    """A message in fixed-length records, written as it comes."""

    def __init__(
        self, stream: BinaryIO, record_type: RecordType, header: Header, encoding: Encoding = "UTF-8"
    ) -> None:
        """Writes the header."""
        self._stream = stream
        self._type = record_type
        self._encoding = encoding
        self._widths = [value_width(field) for field in record_type.fields]
        self._tally = Tally(record_type)
        cells = {
            "tag": "H",
            "mark": MARK,
            "encoding": encoding,
            "record_bytes": f"{record_bytes(record_type):05}",
            "record_type": header.record_type,
            "version": f"{header.version:04}",
            "sender": header.sender,
            "flow": header.flow,
            "purpose": header.purpose,
            "reference": header.reference,
            "created": header.created.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0"),
        }
        stream.write("".join(cells[name].ljust(width) for name, width in HEADER).encode("ascii") + b"\n")

    def write(self, columns: Columns) -> tuple[Reject, ...]:
        """The records are written, save those whose text has no place here: they are the rejects."""
        rejects: list[Reject] = []
        cells = [self._cells(place, columns, rejects) for place in range(len(self._type.fields))]
        if rejects:
            numbers = {reject.record for reject in rejects}
            columns = columns.without(
                [row for row, number in enumerate(columns.numbers) if number in numbers]
            )
            cells = [self._cells(place, columns, rejects) for place in range(len(self._type.fields))]
            rejects.sort(key=lambda reject: reject.record)
        if not len(columns):
            return tuple(rejects)
        self._tally.order(columns.sequences, columns.lines)
        self._tally.count(Batch(columns))
        parts: list[list[bytes]] = [[b"R%015d" % sequence for sequence in columns.sequences]]
        if self._type.subject == "national_number":
            parts.append(
                [
                    f"{subject}{replaced or '':11}".encode()
                    for subject, replaced in zip(columns.subjects, columns.replaced_by, strict=True)
                ]
            )
        else:
            parts.append([subject.encode() for subject in columns.subjects])
        for column, values in zip(columns.fields, cells, strict=True):
            parts.append(_statuses(column))
            parts.append(values)
        parts.append([b"\n"] * len(columns))
        self._stream.write(b"".join(map(b"".join, zip(*parts, strict=True))))
        return tuple(rejects)

    def write_table(self, table: Any) -> tuple[Reject, ...]:
        """The same of a `pyarrow.RecordBatch` with the columns of `schema_of`, several times faster."""
        from koinon.integrator.formats.fixed.rows import lay_rows

        rows = lay_rows(self._type, table)
        if rows is None:
            return self.write(from_table(self._type, table))
        self._tally.order_array(table["sequence"].to_numpy(), table["line"].to_numpy())
        self._tally.count_table(table, ())
        self._stream.write(rows)
        return ()

    def close(self) -> Totals:
        """The totals are written."""
        totals = self._tally.totals()
        sums = "".join(f"{totals.sums[name]:+0{1 + SUM_DIGITS}d}" for name in self._type.amounts)
        line = f"T{totals.records:0{MAX_DIGITS}}{totals.last_sequence:0{MAX_DIGITS}}{sums}\n"
        self._stream.write(line.encode())
        return totals

    def _cells(self, place: int, columns: Columns, rejects: list[Reject]) -> list[bytes]:
        field, width, values = self._type.fields[place], self._widths[place], columns.fields[place].values
        try:
            return write_column(field, width, values, self._encoding)
        except BadValue:
            pass
        cells = []
        for row, value in enumerate(values):
            try:
                cells += write_column(field, width, [value], self._encoding)
            except BadValue as bad:
                cells.append(b"")
                rejects.append(
                    Reject(
                        record=columns.numbers[row],
                        line=columns.lines[row],
                        sequence=columns.sequences[row],
                        field=field.name,
                        code=bad.code,
                    )
                )
        return cells


def _statuses(column: Column) -> list[bytes]:
    if column.statuses is None:
        return [b"V"] * len(column.values)
    return [column.statuses[row : row + 1] for row in range(len(column.values))]
