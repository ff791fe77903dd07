"""Reading a message in fixed-length records, by columns, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from koinon.base.late import late
from koinon.integrator.formats.encodings import find_encoding
from koinon.integrator.formats.fixed.cells import (
    MixedEncodings,
    read_ascii,
    read_cell,
    read_column,
    read_digits,
    read_digits_column,
    read_enterprise_column,
    read_national_column,
    read_replaced,
    read_replaced_column,
    read_signed,
)
from koinon.integrator.formats.fixed.layout import (
    HEADER_BYTES,
    MARK,
    Place,
    cutter,
    header_places,
    record_bytes,
    status_offsets,
    totals_bytes,
    totals_places,
)
from koinon.integrator.formats.gathering import check_sequence, check_subject
from koinon.integrator.formats.kinds import MAX_DIGITS, BadValue
from koinon.integrator.formats.lines import BLOCK_BYTES, Lines
from koinon.integrator.formats.model import (
    Batch,
    BrokenMessage,
    Column,
    Columns,
    Encoding,
    Header,
    RecordType,
    Reject,
    Totals,
    find_record_type,
)
from koinon.integrator.formats.tables import TableBatch, to_table
from koinon.integrator.formats.tally import Tally

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from koinon.integrator.formats.fixed.columnar import Layout
else:
    np = late("numpy")
    pa = late("pyarrow")
    pc = late("pyarrow.compute")

# From the first to behind the last byte, from 0, of the number that replaced a person's.
_REPLACED = (1 + MAX_DIGITS + 11, 1 + MAX_DIGITS + 22)
TABLE_BYTES = 1 << 20
"""Bytes that become a table at once: enough for numpy's cost of a call not to count, and still in the cache."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class FixedReader:
    """A message in fixed-length records.

    Attributes:
        totals: after the last batch; they agree with what was read.
    """

    def __init__(self, stream: BinaryIO, types: Mapping[str, RecordType]) -> None:
        """Reads the header.

        Raises:
            BrokenMessage: there is none, or it is not one that `types` knows.
        """
        self._lines = Lines(stream)
        self.header, self.encoding, self._ending, length = _read_header(self._lines.first())
        self.record_type = find_record_type(types, self.header.record_type, self.header.version)
        self.totals: Totals | None = None
        self._length = record_bytes(self.record_type)
        if length != self._length:
            raise BrokenMessage("record_length_wrong", line=1, expected=self._length)
        self._stride = self._length + len(self._ending)
        self._cut = cutter(self.record_type, self._ending)
        self._statuses = status_offsets(self.record_type)
        self._tally = Tally(self.record_type)
        self._count = 0

    def batches(self) -> Iterator[Batch]:
        """The records, in order.

        Raises:
            BrokenMessage: the file is truncated, its encoding, order or totals are wrong.
        """
        for block, lines, numbers, rejects in self._blocks():
            batch = self._read(block, lines, numbers, rejects)
            self._tally.count(batch)
            if len(batch.columns) or batch.rejects:
                yield batch
        self._end()

    def tables(self) -> Iterator[TableBatch]:
        """The same records as Arrow tables, several times faster; and the same rejects.

        Raises:
            BrokenMessage: as `batches`.
        """
        from koinon.integrator.formats.fixed.columnar import Layout

        layout = Layout(self.record_type, self._ending)
        for block, lines, numbers, rejects in self._blocks(TABLE_BYTES):
            batch = self._read_table(layout, block, lines, numbers, rejects)
            if len(batch) or batch.rejects:
                yield batch
        self._end()

    def _end(self) -> None:
        if self.totals is None:
            raise BrokenMessage("message_truncated", records=self._count)
        self._tally.check(self.totals)

    def _blocks(
        self, size: int = BLOCK_BYTES
    ) -> Iterator[tuple[bytes, Sequence[int], Sequence[int], list[Reject]]]:
        """Pieces of nothing but records of the right length, with their lines and numbers, and what was between
        them.
        """
        for block in self._lines.blocks(size):
            rejects: list[Reject] = []
            line = self._lines.next_line
            count = self._regular(block)
            if count:
                lines, numbers = range(line, line + count), range(self._count + 1, self._count + count + 1)
                self._count += count
                yield block[: count * self._stride], lines, numbers, []
            if rest := block[count * self._stride :]:
                yield *self._straighten(rest, line + count, rejects), rejects

    def _read_table(
        self,
        layout: Layout,
        data: bytes,
        lines: Sequence[int],
        numbers: Sequence[int],
        rejects: list[Reject],
    ) -> TableBatch:
        if not data:
            empty = self._read(b"", (), (), rejects)
            self._tally.count(empty)
            return TableBatch(to_table(empty.columns), empty.rejects)
        block, sequences, columns = layout.read(data, self.encoding)
        on = _places(lines)
        self._order(sequences, on)
        arrays = [pa.array(_places(numbers)), pa.array(on), pa.array(sequences), *columns]
        table = pa.RecordBatch.from_arrays(arrays, schema=layout.schema)
        if not block.doubtful.any():
            self._tally.count_table(table, rejects)
            return TableBatch(table, tuple(rejects))
        rows = np.flatnonzero(block.doubtful).tolist()
        # Cell by cell: it names the faults, and what was only unusual joins the rest in its place.
        slow = self._read(
            block.bytes[rows].tobytes(),
            [lines[row] for row in rows],
            [numbers[row] for row in rows],
            rejects,
            ordered=True,
        )
        table = table.filter(pa.array(~block.doubtful))
        if len(slow.columns):
            together = pa.concat_batches([table, to_table(slow.columns)])
            table = together.take(pc.sort_indices(together.column("number")))
        self._tally.count_table(table, slow.rejects)
        return TableBatch(table, slow.rejects)

    def _order(self, sequences: Any, lines: Any) -> None:
        """The numbers that could be read follow what came before."""
        known = sequences > 0
        self._tally.order_array(sequences[known], lines[known])

    def _regular(self, block: bytes) -> int:
        """How many records of the right length it starts with. A byte of a value cannot be a line ending: each
        column is checked for what it may hold.
        """
        if self.totals is not None:
            return 0
        count = len(block) // self._stride
        marks = [
            (0, b"R"),
            *((self._length + place, self._ending[place : place + 1]) for place in range(len(self._ending))),
        ]
        for offset, mark in marks:
            found = block[offset : count * self._stride : self._stride]
            if found != mark * count:
                count -= len(found.lstrip(mark))
        return count

    def _straighten(
        self, block: bytes, first: int, rejects: list[Reject]
    ) -> tuple[bytes, list[int], list[int]]:
        """The records of the right length, with their lines and numbers; totals are read, the rest is
        rejected.
        """
        kept, lines, numbers = [], [], []
        pieces = block.split(b"\n")
        unended = pieces.pop()
        for line, piece in enumerate(pieces, first):
            row = piece + b"\n"
            if self.totals is not None:
                raise BrokenMessage("message_trailing", line=line)
            if row[:1] == b"T":
                self.totals = self._read_totals(row, line)
                continue
            self._count += 1
            if len(row) == self._stride and row[:1] == b"R" and row.endswith(self._ending):
                kept.append(row)
                lines.append(line)
                numbers.append(self._count)
                continue
            code = "record_tag_unknown" if row[:1] != b"R" else "record_length_wrong"
            rejects.append(Reject(record=self._count, line=line, sequence=None, field=None, code=code))
        if unended:
            # A complete last line without its ending is as good as one with it; half a line is a cut file.
            line = first + len(pieces)
            if self.totals is not None:
                raise BrokenMessage("message_trailing", line=line)
            if unended[:1] != b"T" or len(unended) != totals_bytes(self.record_type):
                raise BrokenMessage("message_truncated", line=line)
            self.totals = self._read_totals(unended + self._ending, line)
        return b"".join(kept), lines, numbers

    def _read_totals(self, row: bytes, line: int) -> Totals:
        if len(row) != totals_bytes(self.record_type) + len(self._ending) or not row.endswith(self._ending):
            raise BrokenMessage("totals_malformed", line=line)
        cells = _cut_line(row, totals_places(self.record_type))
        try:
            return Totals(
                records=read_digits(cells["records"]),
                last_sequence=read_digits(cells["last_sequence"]),
                sums={name: read_signed(cells[f"sum.{name}"]) for name in self.record_type.amounts},
            )
        except BadValue:
            raise BrokenMessage("totals_malformed", line=line) from None

    def _read(
        self,
        block: bytes,
        lines: Sequence[int],
        numbers: Sequence[int],
        rejects: list[Reject],
        *,
        ordered: bool = False,
    ) -> Batch:
        spec = self.record_type
        if not block:
            empty = Columns(
                record_type=spec,
                numbers=(),
                lines=(),
                sequences=[],
                subjects=[],
                replaced_by=[],
                fields=tuple(Column([]) for _ in spec.fields),
            )
            return Batch(empty, tuple(rejects))
        cells = list(zip(*self._cut.iter_unpack(block), strict=True))
        faults: list[tuple[int, str, str]] = []
        sequences = self._read_sequences(cells[0], lines, faults, ordered)
        subjects, replaced = self._read_subjects(cells[1], self._replaced(block), faults)
        fields = []
        for place, field in enumerate(spec.fields):
            statuses = block[self._statuses[place] :: self._stride]
            column = read_column(field, statuses, cells[2 + place], self.encoding)
            if column is None:
                values = []
                for row, (status, cell) in enumerate(zip(statuses, cells[2 + place], strict=True)):
                    try:
                        values.append(read_cell(field, status, cell, self.encoding))
                    except BadValue as bad:
                        values.append(None)
                        faults.append((row, field.name, bad.code))
                    except MixedEncodings:
                        raise BrokenMessage("encoding_mixed", line=lines[row], field=field.name) from None
                column = Column(values, statuses)
            fields.append(column)
        columns = Columns(
            record_type=spec,
            numbers=numbers,
            lines=lines,
            sequences=sequences,
            subjects=subjects,
            replaced_by=replaced,
            fields=tuple(fields),
        )
        if faults:
            rejects += [
                Reject(
                    record=numbers[row],
                    line=lines[row],
                    sequence=sequences[row] or None,
                    field=name,
                    code=code,
                )
                for row, name, code in faults
            ]
            columns = columns.without({row for row, _, _ in faults})
        rejects.sort(key=lambda reject: reject.record)
        return Batch(columns, tuple(rejects))

    def _read_sequences(
        self,
        cells: Sequence[bytes],
        lines: Sequence[int],
        faults: list[tuple[int, str, str]],
        ordered: bool,
    ) -> list[int]:
        """The sequence numbers, 0 for those that cannot be read; the rest must rise, if nobody saw to it yet."""
        sequences = read_digits_column(cells)
        if sequences is not None and 0 not in sequences:
            if not ordered:
                self._tally.order(sequences, lines)
            return sequences
        sequences, good = [], []
        for row, cell in enumerate(cells):
            try:
                sequences.append(check_sequence(read_digits(cell)))
                good.append(row)
            except BadValue:
                sequences.append(0)
                faults.append((row, "sequence", "sequence_malformed"))
        if not ordered:
            self._tally.order([sequences[row] for row in good], [lines[row] for row in good])
        return sequences

    def _replaced(self, block: bytes) -> list[bytes] | None:
        """The numbers that replaced the subjects', as cells; None where all are spaces, as they mostly are."""
        if self.record_type.subject != "national_number":
            return None
        spaces = b" " * (len(block) // self._stride)
        if all(block[place :: self._stride] == spaces for place in range(*_REPLACED)):
            return None
        first, end = _REPLACED
        return [block[start + first : start + end] for start in range(0, len(block), self._stride)]

    def _read_subjects(
        self, cells: Sequence[bytes], others: Sequence[bytes] | None, faults: list[tuple[int, str, str]]
    ) -> tuple[list[str], list[str | None]]:
        persons = self.record_type.subject == "national_number"
        subjects = read_national_column(cells) if persons else read_enterprise_column(cells)
        nobody: list[str | None] = [None] * len(cells)
        replaced = nobody if others is None else read_replaced_column(others)
        if subjects is not None and replaced is not None:
            return subjects, replaced
        subjects, replaced = [], []
        for row, cell in enumerate(cells):
            subject, other = "", None
            try:
                subject = read_ascii(cell, f"{self.record_type.subject}_malformed")
                subject, _ = check_subject(self.record_type, subject, None)
            except BadValue as bad:
                faults.append((row, "subject", bad.code))
            try:
                other = None if others is None else read_replaced(others[row])
            except BadValue as bad:
                faults.append((row, "replaced_by", bad.code))
            subjects.append(subject)
            replaced.append(other)
        return subjects, replaced


def _places(of: Sequence[int]) -> Any:
    return np.arange(of.start, of.stop, dtype=np.int64) if isinstance(of, range) else np.array(of, np.int64)


def _cut_line(line: bytes, places: Sequence[Place]) -> dict[str, bytes]:
    return {place.name: line[place.position - 1 : place.position - 1 + place.width] for place in places}


def _read_header(line: bytes) -> tuple[Header, Encoding, bytes, int]:
    """The header, the encoding of what follows, how lines end, and the length of records."""
    ending = b"\r\n" if line.endswith(b"\r") else b"\n"
    line = line.removesuffix(b"\r")
    if not line.startswith(b"H" + MARK.encode()):
        raise BrokenMessage("header_missing")
    if len(line) != HEADER_BYTES or not line.isascii():
        raise BrokenMessage("header_malformed", line=1)
    cells = {name: cell.rstrip(b" ").decode() for name, cell in _cut_line(line, header_places()).items()}
    for name in ("record_bytes", "version"):
        if not cells[name].isdigit():
            raise BrokenMessage("header_malformed", field=name)
    try:
        created = datetime.strptime(cells["created"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise BrokenMessage("header_malformed", field="created") from None
    header = Header(
        record_type=cells["record_type"],
        version=int(cells["version"]),
        sender=cells["sender"],
        flow=cells["flow"],
        purpose=cells["purpose"],
        reference=cells["reference"],
        created=created,
    )
    return header, find_encoding(cells["encoding"]), ending, int(cells["record_bytes"])
