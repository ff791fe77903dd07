"""A block of fixed-length records to Arrow columns, all of a column at once, and the rows that may not be good.

A row is *doubtful* where anything in it is not certainly good. What is said of the other rows is what `read_cell`
says; the doubtful ones are read by it, which names faults. A property test holds both to one result.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from koinon.integrator.formats.fixed.lanes import (
    LANE,
    ZEROS,
    Bytes,
    Flags,
    Integers,
    Lanes,
    enterprise_faults,
    national_faults,
    parse,
    read_days,
    take,
)
from koinon.integrator.formats.fixed.layout import record_places, value_width
from koinon.integrator.formats.kinds import MAX_DIGITS
from koinon.integrator.formats.model import VALUE, Encoding, FieldSpec, RecordType
from koinon.integrator.formats.tables import schema_of

_SPACE, _PLUS, _MINUS, _ZERO = 0x20, 0x2B, 0x2D, 0x30
_STATUSES = np.zeros(256, bool)
_STATUSES[list(b"VUFNA")] = True
_SPACES = np.uint64(0x2020202020202020)
_HUNDRED_MILLION = np.int64(10**LANE)


class Block:
    """Records of one length, one behind the other, and what is doubtful among them.

    Attributes:
        doubtful: one flag a record; the readers of columns set it.
    """

    def __init__(self, data: bytes, layout: "Layout") -> None:
        self.rows = len(data) // layout.stride
        self.records: Any = np.frombuffer(data, layout.dtype)
        self.bytes: Bytes = np.frombuffer(data, np.uint8).reshape(self.rows, layout.stride)
        self.doubtful: Flags = np.zeros(self.rows, bool)

    def doubt(self, faults: Flags, present: Flags | None = None) -> None:
        """These rows are doubtful, where they have a value."""
        self.doubtful |= faults if present is None else faults & present


class Layout:
    """Where the columns of a record type lie, as numpy reads them."""

    def __init__(self, record_type: RecordType, ending: bytes) -> None:
        places = {place.name: place for place in record_places(record_type)}
        self._type = record_type
        self.schema = schema_of(record_type)
        last = max(places.values(), key=lambda place: place.position)
        self.stride = last.position + last.width - 1 + len(ending)
        self._at = {
            name: (place.position - 1, place.position - 1 + place.width) for name, place in places.items()
        }
        formats: dict[str, tuple[str, int]] = {}
        for name, place in places.items():
            start, end = self._at[name]
            formats[name] = (f"V{place.width}", start)
            if name.endswith(".status") or place.kind in ("flag", "number", "money"):
                formats[f"{name}:first"] = ("u1", start)
            if place.kind == "national_number":
                # Eight digits and three, eleven digits a number; a value has a second number behind the first.
                for number in range(start, end, 11):
                    formats[f"lane:{number + 8}"] = ("<u8", number)
                    formats[f"lane:{number + 11}"] = ("<u8", number + 3)
            elif place.kind == "enterprise_number":
                formats[f"lane:{start + 8}"] = ("<u8", start)
                formats[f"lane:{end}"] = ("<u8", end - LANE)
            elif place.kind in ("digits", "number", "money", "date", "partial_date"):
                formats[f"lane:{end}"] = ("<u8", end - LANE)
                if place.width > LANE:
                    formats[f"lane:{end - LANE}"] = ("<u8", end - 2 * LANE)
        self.dtype = np.dtype(
            {
                "names": list(formats),
                "formats": [kind for kind, _ in formats.values()],
                "offsets": [offset for _, offset in formats.values()],
                "itemsize": self.stride,
            }
        )

    def read(self, data: bytes, encoding: Encoding) -> tuple[Block, Integers, list[Any]]:
        """The block with its doubtful rows, the sequence numbers (0 where there is none), and the Arrow columns
        from `subject` on.
        """
        block = Block(data, self)
        sequences, malformed = self._digits(block, "sequence", MAX_DIGITS)
        sequences[malformed] = 0
        block.doubt(sequences == 0)
        columns = [self._subject(block), self._replaced(block, "replaced_by")]
        for field in self._type.fields:
            statuses = block.records[f"{field.name}.status:first"].copy()
            present: Flags | None = statuses == VALUE
            absent: Flags | None = None
            if present is not None and present.all():
                present = None
            elif present is not None:
                absent = ~present
                block.doubt(~_STATUSES[statuses])
                rows = np.flatnonzero(absent)
                start, end = self._at[field.name]
                block.doubtful[rows[(block.bytes[rows, start:end] != _SPACE).any(axis=1)]] = True
            columns += self._field(block, field, present, absent, encoding)
            columns.append(pa.array(statuses))
        return block, sequences, columns

    def _digits(
        self, block: Block, name: str, digits: int, present: Flags | None = None
    ) -> tuple[Integers, Flags]:
        """The numbers that the last `digits` bytes of the column write, and which write none."""
        _, end = self._at[name]
        found, bad = self._lane(block, end, min(digits, LANE), present)
        numbers = found.astype(np.int64)
        if digits > LANE:
            higher, worse = self._lane(block, end - LANE, digits - LANE, present)
            numbers += higher.astype(np.int64) * _HUNDRED_MILLION
            bad |= worse
        return numbers, bad

    @staticmethod
    def _lane(block: Block, end: int, digits: int, present: Flags | None = None) -> tuple[Lanes, Flags]:
        lanes = take(block.records, end, digits)
        if present is not None:
            lanes = np.where(present, lanes, ZEROS)
        return parse(lanes)

    def _subject(self, block: Block) -> Any:
        persons = self._type.subject == "national_number"
        block.doubt(self._number_faults(block, "subject", persons))
        return _strings(block.records["subject"], None)

    def _number_faults(self, block: Block, name: str, persons: bool) -> Flags:
        start, _ = self._at[name]
        first, bad = self._lane(block, start + 8, 8)
        if persons:
            rest, worse = self._lane(block, start + 11, 3)
            return bad | worse | national_faults(first, rest)
        rest, worse = self._lane(block, start + 10, 2)
        return bad | worse | enterprise_faults(first, rest)

    def _replaced(self, block: Block, name: str, skip: int = 0) -> Any:
        """The numbers that replaced others: rare, so rows that have one are read by the reader of cells."""
        if name not in self._at:
            return pa.nulls(block.rows, pa.string())
        start, end = self._at[name]
        start += skip
        some = (block.records[f"lane:{start + 8}"] != _SPACES) | (block.records[f"lane:{end}"] != _SPACES)
        block.doubt(some)
        return pa.nulls(block.rows, pa.string())

    def _field(
        self, block: Block, field: FieldSpec, present: Flags | None, absent: Flags | None, encoding: Encoding
    ) -> list[Any]:
        match field.kind:
            case "text":
                start, end = self._at[field.name]
                return [_read_texts(block, start, end, block.records[field.name], present, absent, encoding)]
            case "number" | "money":
                numbers, bad = self._digits(block, field.name, value_width(field) - 1, present)
                signs = block.records[f"{field.name}:first"]
                plus = signs == _PLUS
                if not plus.all():
                    minus = signs == _MINUS
                    bad |= ~(plus | minus)
                    np.negative(numbers, out=numbers, where=minus)
                block.doubt(bad, present)
                return [pa.array(numbers, mask=absent)]
            case "flag":
                flags = block.records[f"{field.name}:first"] ^ np.uint8(_ZERO)
                block.doubt(flags > 1, present)
                return [pa.array(flags == 1, mask=absent)]
            case "date" | "partial_date":
                partial = field.kind == "partial_date"
                written, bad = self._lane(block, self._at[field.name][1], 8, present)
                days, worse = read_days(written, partial=partial)
                block.doubt(bad | worse, present)
                return [pa.array(days, pa.int32() if partial else pa.date32(), mask=absent)]
            case "enterprise_number":
                block.doubt(self._number_faults(block, field.name, persons=False), present)
                return [_strings(block.records[field.name], absent)]
            case "national_number":
                block.doubt(self._number_faults(block, field.name, persons=True), present)
                start, _ = self._at[field.name]
                numbers_only = np.ascontiguousarray(block.bytes[:, start : start + 11])
                return [
                    _strings(numbers_only.view("V11").reshape(-1), absent),
                    self._replaced(block, field.name, skip=11),
                ]


def _validity(absent: Flags | None) -> Any:
    return None if absent is None else pa.py_buffer(np.packbits(~absent, bitorder="little"))


def _strings(cells: Any, absent: Flags | None) -> Any:
    """Cells of ASCII, all of one width, as they are. Doubtful ones may be anything: nobody looks at them."""
    width, rows = cells.dtype.itemsize, len(cells)
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(
        rows, pa.py_buffer(offsets), pa.py_buffer(cells.copy()), _validity(absent)
    )


# Bytes of each character of a single-byte encoding in UTF-8.
_LENGTHS = {
    encoding: np.array([len(bytes([byte]).decode(encoding).encode()) for byte in range(256)], np.int32)
    for encoding in ("ISO-8859-1", "ISO-8859-15")
}


def _read_texts(
    block: Block,
    start: int,
    end: int,
    column: Any,
    present: Flags | None,
    absent: Flags | None,
    encoding: Encoding,
) -> Any:
    width = end - start
    cells: Bytes = column.copy().view(np.uint8)
    rows: Any = cells.reshape(-1, width)
    data = cells.tobytes()
    # A cell that starts with a space is empty, or has a space in front.
    block.doubt(rows[:, 0] == _SPACE, present)
    if cells.min() < _SPACE:
        block.doubtful[np.flatnonzero(cells < _SPACE) // width] = True
    if b"\x7f" in data:
        block.doubtful[np.flatnonzero(cells == 0x7F) // width] = True
    if not data.isascii():
        at = np.flatnonzero(cells.view(np.int8) < 0)
        doubtful = _doubtful_bytes(cells, at, width, encoding)
        if len(doubtful):
            block.doubtful[doubtful // width] = True
        if encoding == "UTF-8" and not _is_utf8(data, at, width):
            block.doubtful[at // width] = True
        if block.doubtful.any():
            # What is doubtful need not be text at all.
            rows[block.doubtful] = ord("x")
            data = cells.tobytes()
    offsets = np.arange(0, len(data) + 1, width, dtype=np.int32)
    padded = pa.StringArray.from_buffers(
        block.rows, pa.py_buffer(offsets), pa.py_buffer(data), _validity(absent)
    )
    trimmed = pc.ascii_rtrim(padded, characters=" ")
    if encoding == "UTF-8" or data.isascii():
        return trimmed
    validity, offset_buffer, text = trimmed.buffers()
    bounds = np.frombuffer(offset_buffer, np.int32)[: block.rows + 1]
    old = np.frombuffer(text, np.uint8)[: bounds[-1]]
    places = np.zeros(len(old) + 1, np.int32)
    np.cumsum(_LENGTHS[encoding][old], out=places[1:])
    recoded = old.tobytes().decode(encoding).encode()
    return pa.StringArray.from_buffers(
        block.rows, pa.py_buffer(places[bounds]), pa.py_buffer(recoded), validity
    )


def _is_utf8(data: bytes, at: Integers, width: int) -> bool:
    """Whether each cell of a column is UTF-8: the whole is, and none starts in the middle of a character."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    first = at[at % width == 0]
    return not len(first) or bool((np.frombuffer(data, np.uint8)[first] >= 0xC0).all())


def _doubtful_bytes(cells: Bytes, at: Integers, width: int, encoding: Encoding) -> Integers:
    """Places, among those `at` which bytes are not ASCII, of what may be a forbidden character or another encoding."""
    byte = cells[at]
    following = np.where(at % width == width - 1, 0, cells[np.minimum(at + 1, len(cells) - 1)])
    if encoding == "UTF-8":
        # U+0080 to U+009F; U+2000 to U+207F, where the controls of direction and the separators are; U+F000 on.
        doubtful = (byte == 0xC2) & (following < 0xA0)
        doubtful |= (byte == 0xE2) & (following <= 0x81)
        doubtful |= byte == 0xEF
    else:
        doubtful = byte < 0xA0
        doubtful |= (byte >= 0xC2) & (following >= 0x80) & (following <= 0xBF)
    found: Integers = at[doubtful]
    return found
