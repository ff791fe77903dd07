"""Where everything stands in fixed-length records. Follows from the record type; positions count from 1.

One line is one record: `H` the header, then `R` the records, then `T` the totals. Records have one length, in
bytes; header and totals have their own. Text is padded with spaces on the right, numbers with zeros on the
left behind their sign. A field is one character of status (`STATUS_CODES`) and its value, which is spaces
where there is none.
"""

import struct
from collections.abc import Iterable, Mapping

import msgspec

from koinon.integrator.formats.kinds import MAX_DIGITS, Kind
from koinon.integrator.formats.model import FieldSpec, RecordType

MARK = "KOINON01"
SUBJECT_WIDTHS: Mapping[str, int] = {"national_number": 11, "enterprise_number": 10}
SUM_DIGITS = 20

HEADER = (
    ("tag", 1),
    ("mark", len(MARK)),
    ("encoding", 11),
    ("record_bytes", 5),
    ("record_type", 60),
    ("version", 4),
    ("sender", 60),
    ("flow", 60),
    ("purpose", 60),
    ("reference", 60),
    ("created", 20),
)
HEADER_BYTES = sum(width for _, width in HEADER)


class Place(msgspec.Struct, frozen=True):
    """Where one thing stands in a line.

    Attributes:
        position: of its first byte, from 1.
        padding: what fills it, and on which side.
    """

    name: str
    position: int
    width: int
    kind: str
    padding: str = ""


def value_width(field: FieldSpec) -> int:
    """Bytes of the value of `field`, without its status."""
    fixed: Mapping[Kind, int] = {
        "flag": 1,
        "date": 8,
        "partial_date": 8,
        "national_number": 22,
        "enterprise_number": 10,
    }
    if field.kind in ("number", "money"):
        return 1 + field.width
    return fixed.get(field.kind, field.width)


def record_bytes(record_type: RecordType) -> int:
    """Length of one record, without its line ending."""
    return record_places(record_type)[-1].position + record_places(record_type)[-1].width - 1


def totals_bytes(record_type: RecordType) -> int:
    """Length of the totals, without their line ending."""
    return 1 + 2 * MAX_DIGITS + len(record_type.amounts) * (1 + SUM_DIGITS)


def header_places() -> tuple[Place, ...]:
    """The layout of the header."""
    numbers = ("record_bytes", "version")
    return _placed(
        (name, width, "digits" if name in numbers else "ascii", "zeros left" if name in numbers else "right")
        for name, width in HEADER
    )


def record_places(record_type: RecordType) -> tuple[Place, ...]:
    """The layout of a record."""
    parts = [
        ("tag", 1, "R", ""),
        ("sequence", MAX_DIGITS, "digits", "zeros left"),
        ("subject", SUBJECT_WIDTHS[record_type.subject], record_type.subject, ""),
    ]
    if record_type.subject == "national_number":
        parts.append(("replaced_by", 11, "national_number", "spaces where none"))
    for field in record_type.fields:
        width = value_width(field)
        padding = "sign, zeros left" if field.kind in ("number", "money") else ""
        parts.append((f"{field.name}.status", 1, "status", ""))
        parts.append((field.name, width, field.kind, "spaces right" if field.kind == "text" else padding))
    return _placed(parts)


def totals_places(record_type: RecordType) -> tuple[Place, ...]:
    """The layout of the totals."""
    parts = [
        ("tag", 1, "T", ""),
        ("records", MAX_DIGITS, "digits", "zeros left"),
        ("last_sequence", MAX_DIGITS, "digits", "zeros left"),
    ]
    parts += [(f"sum.{name}", 1 + SUM_DIGITS, "money", "sign, zeros left") for name in record_type.amounts]
    return _placed(parts)


def cutter(record_type: RecordType, ending: bytes) -> struct.Struct:
    """What cuts a record with its line ending into sequence, subject and values. Statuses, and the numbers that
    replaced others, which are rare, are read elsewhere, all of a column at once.
    """
    parts = ["1x", f"{MAX_DIGITS}s", f"{SUBJECT_WIDTHS[record_type.subject]}s"]
    if record_type.subject == "national_number":
        parts.append("11x")
    parts += [f"1x{value_width(field)}s" for field in record_type.fields]
    return struct.Struct("".join(parts) + f"{len(ending)}x")


def status_offsets(record_type: RecordType) -> tuple[int, ...]:
    """Offset of each field's status in a record, from 0."""
    return tuple(place.position - 1 for place in record_places(record_type) if place.name.endswith(".status"))


def _placed(parts: Iterable[tuple[str, int, str, str]]) -> tuple[Place, ...]:
    places, position = [], 1
    for name, width, kind, padding in parts:
        places.append(Place(name, position, width, kind, padding))
        position += width
    return tuple(places)
