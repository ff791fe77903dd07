"""Values of fixed-length records: one at a time, where every fault has its name; and a whole column at once.

A column is checked and read by operations over all its bytes together, which is some twenty times cheaper
than value by value. `read_column` gives nothing (None) where anything at all is unusual: then `read_cell` says
what. Both must agree on every input; a property test holds them to it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from koinon.integrator.drivers import PartialDate
from koinon.integrator.formats.checkdigits import DIGITS, are_enterprise_numbers, are_national_numbers
from koinon.integrator.formats.encodings import UTF8_SEQUENCE, looks_like_utf8
from koinon.integrator.formats.kinds import (
    BadValue,
    Kind,
    NationalNumber,
    check_enterprise_number,
    check_national_number,
    check_text,
    has_forbidden,
    read_date,
    read_partial,
)
from koinon.integrator.formats.model import VALUE, Column, Encoding, FieldSpec

_INTEGER = re.compile(rb"[+-][0-9]+")
_INTEGERS = msgspec.json.Decoder(list[int])
_PLUS_TO_ONE = bytes.maketrans(b"+", b"1")
_PRINTABLE_ASCII = bytes(range(0x20, 0x7F))
_MEMORY = 50_000
"""Dates remembered: those of a century, with the incomplete ones, and no more for whoever sends nonsense."""


class MixedEncodings(Exception):
    """Bytes that are not of the encoding the file declares."""


# --- one value -----------------------------------------------------------------------------------------------


def read_digits(cell: bytes) -> int:
    """The number that digits alone write.

    Raises:
        BadValue: `number_malformed`.
    """
    if not cell.isdigit():
        raise BadValue("number_malformed")
    return int(cell)


def read_signed(cell: bytes) -> int:
    """The number that a sign and digits write.

    Raises:
        BadValue: `number_malformed`.
    """
    if not _INTEGER.fullmatch(cell):
        raise BadValue("number_malformed")
    return int(cell)


def read_ascii(cell: bytes, code: str) -> str:
    """The text of `cell`.

    Raises:
        BadValue: `code`, where it is not ASCII.
    """
    if not cell.isascii():
        raise BadValue(code)
    return cell.decode("ascii")


def _read_text(cell: bytes, encoding: Encoding) -> str:
    if encoding != "UTF-8" and looks_like_utf8(cell):
        raise MixedEncodings
    try:
        text = cell.rstrip(b" ").decode(encoding)
    except UnicodeDecodeError:
        raise MixedEncodings from None
    return check_text(text, len(cell))


def _read_flag(cell: bytes, _encoding: Encoding) -> bool:
    if cell not in (b"0", b"1"):
        raise BadValue("flag_malformed")
    return cell == b"1"


def _dashed(cell: bytes) -> str:
    text = read_ascii(cell, "date_malformed")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def _read_national(cell: bytes, _encoding: Encoding) -> NationalNumber:
    text = read_ascii(cell, "national_number_malformed")
    return NationalNumber(check_national_number(text[:11]), read_replaced(cell[11:]))


def read_replaced(cell: bytes) -> str | None:
    """The number that replaced another one, or None where it is spaces.

    Raises:
        BadValue: `national_number_malformed`.
    """
    text = read_ascii(cell, "national_number_malformed")
    return check_national_number(text) if text.strip(" ") else None


def _read_enterprise(cell: bytes, _encoding: Encoding) -> str:
    return check_enterprise_number(read_ascii(cell, "enterprise_number_malformed"))


_CELLS: Mapping[Kind, Callable[[bytes, Encoding], Any]] = {
    "text": _read_text,
    "number": lambda cell, _encoding: read_signed(cell),
    "money": lambda cell, _encoding: read_signed(cell),
    "flag": _read_flag,
    "date": lambda cell, _encoding: read_date(_dashed(cell)),
    "partial_date": lambda cell, _encoding: read_partial(_dashed(cell)),
    "national_number": _read_national,
    "enterprise_number": _read_enterprise,
}


def read_cell(field: FieldSpec, status: int, cell: bytes, encoding: Encoding) -> Any:
    """The value of one field; None where the status is another than value.

    Raises:
        BadValue: why it is none.
        MixedEncodings: its bytes are not of `encoding`.
    """
    if status == VALUE:
        return _CELLS[field.kind](cell, encoding)
    if status not in b"VUFNA":
        raise BadValue("status_unknown")
    if cell.strip(b" "):
        raise BadValue("value_not_expected")
    return None


# --- a column ------------------------------------------------------------------------------------------------


def read_column(
    field: FieldSpec, statuses: bytes, cells: Sequence[bytes], encoding: Encoding
) -> Column | None:
    """The column, or None where a cell of it is not valid."""
    read = _COLUMNS[field.kind]
    if not statuses.translate(None, b"V"):
        values = read(cells, encoding)
        return None if values is None else Column(values)
    if statuses.translate(None, b"VUFNA"):
        return None
    # Where there is no value a valid one stands in for the reading, and is taken out again.
    blank, stand_in = b" " * len(cells[0]), _STAND_INS[field.kind](len(cells[0]))
    places = [match.start() for match in _NOT_VALUE.finditer(statuses)]
    filled = list(cells)
    for place in places:
        if filled[place] != blank:
            return None
        filled[place] = stand_in
    values = read(filled, encoding)
    if values is None:
        return None
    for place in places:
        values[place] = None
    return Column(values, statuses)


_NOT_VALUE = re.compile(b"[^V]")
_STAND_INS: Mapping[Kind, Callable[[int], bytes]] = {
    "text": lambda width: b"x".ljust(width),
    "number": lambda width: b"+".ljust(width, b"0"),
    "money": lambda width: b"+".ljust(width, b"0"),
    "flag": lambda _width: b"0",
    "date": lambda _width: b"20000101",
    "partial_date": lambda _width: b"20000000",
    "national_number": lambda width: b"00000000097".ljust(width),
    "enterprise_number": lambda _width: b"0000000097",
}


def read_digits_column(cells: Sequence[bytes]) -> list[int] | None:
    """The numbers of cells that hold digits alone, all of one width."""
    if not b"".join(cells).isdigit():
        return None
    # A one before each: JSON knows no leading zeros. msgspec reads a list of numbers in a third of the time
    # of `int` on each.
    base = 10 ** len(cells[0])
    return [value - base for value in _INTEGERS.decode(b"[1" + b",1".join(cells) + b"]")]


def _read_signed_column(cells: Sequence[bytes], _encoding: Encoding) -> list[int] | None:
    joined = b",".join(cells)
    signs = joined.translate(None, DIGITS)
    if signs == b"+" + b",+" * (len(cells) - 1) and joined[:: len(cells[0]) + 1] == b"+" * len(cells):
        base: int = 10 ** (len(cells[0]) - 1)
        return [value - base for value in _INTEGERS.decode(b"[" + joined.translate(_PLUS_TO_ONE) + b"]")]
    if all(map(_INTEGER.fullmatch, cells)):
        return list(map(int, cells))
    return None


def _read_text_column(cells: Sequence[bytes], encoding: Encoding) -> list[str] | None:
    joined = b"".join(cells)
    # A cell that starts with a space is empty, or has a space in front.
    if b" " in joined[:: len(cells[0])]:
        return None
    if joined.isascii():
        if joined.translate(None, _PRINTABLE_ASCII):
            return None
        return [cell.decode().rstrip(" ") for cell in cells]
    if encoding != "UTF-8" and UTF8_SEQUENCE.search(joined):
        return None
    try:
        values = [cell.decode(encoding).rstrip(" ") for cell in cells]
    except UnicodeDecodeError:
        return None
    return None if has_forbidden("".join(values)) else values


def _read_flag_column(cells: Sequence[bytes], _encoding: Encoding) -> list[bool] | None:
    joined = b"".join(cells)
    return None if joined.translate(None, b"01") else [byte == 0x31 for byte in joined]


class _Remembered(dict[bytes, Any]):
    """Values by their bytes: a column of dates has far fewer different ones than rows."""

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read

    def __missing__(self, cell: bytes) -> Any:
        if len(self) >= _MEMORY:
            self.clear()
        value = self[cell] = self._read(_dashed(cell))
        return value

    def column(self, cells: Sequence[bytes], _encoding: Encoding) -> list[Any] | None:
        try:
            return list(map(self.__getitem__, cells))
        except BadValue:
            return None


def read_national_column(cells: Sequence[bytes]) -> list[str] | None:
    """The numbers, all valid; else None."""
    if not are_national_numbers(b"".join(cells)):
        return None
    return b"\n".join(cells).decode("ascii").split("\n")


def read_enterprise_column(cells: Sequence[bytes]) -> list[str] | None:
    """The numbers, all valid; else None."""
    if not are_enterprise_numbers(b"".join(cells)):
        return None
    return b"\n".join(cells).decode("ascii").split("\n")


def read_replaced_column(cells: Sequence[bytes]) -> list[str | None] | None:
    """Numbers that replaced others, None where a cell is spaces; None for all where one is not valid."""
    if not b"".join(cells).strip(b" "):
        return [None] * len(cells)
    try:
        return list(map(read_replaced, cells))
    except BadValue:
        return None


def _read_national_values(cells: Sequence[bytes], _encoding: Encoding) -> list[NationalNumber] | None:
    numbers = read_national_column([cell[:11] for cell in cells])
    replaced = read_replaced_column([cell[11:] for cell in cells])
    if numbers is None or replaced is None:
        return None
    return list(map(NationalNumber, numbers, replaced))


_COLUMNS: Mapping[Kind, Callable[[Sequence[bytes], Encoding], list[Any] | None]] = {
    "text": _read_text_column,
    "number": _read_signed_column,
    "money": _read_signed_column,
    "flag": _read_flag_column,
    "date": _Remembered(read_date).column,
    "partial_date": _Remembered(read_partial).column,
    "national_number": _read_national_values,
    "enterprise_number": lambda cells, _encoding: read_enterprise_column(cells),
}


# --- writing -------------------------------------------------------------------------------------------------


def write_column(field: FieldSpec, width: int, values: Sequence[Any], encoding: Encoding) -> list[bytes]:
    """The cells of `values`, each of `width` bytes; spaces for None.

    Raises:
        BadValue: `text_not_encodable`, `text_too_long`, `text_ambiguous`.
    """
    blank = b" " * width
    write = _WRITERS.get(field.kind)
    if write is not None:
        return [blank if value is None else write(value) for value in values]
    if field.kind == "text":
        return [blank if value is None else _write_text(value, width, encoding) for value in values]
    form = f"{{:+0{width}d}}".format
    return [blank if value is None else form(value).encode() for value in values]


def _write_text(value: str, width: int, encoding: Encoding) -> bytes:
    try:
        cell = value.encode(encoding)
    except UnicodeEncodeError:
        raise BadValue("text_not_encodable") from None
    if len(cell) > width:
        raise BadValue("text_too_long")
    if encoding != "UTF-8" and looks_like_utf8(cell):
        raise BadValue("text_ambiguous")
    return cell.ljust(width)


def _write_date(value: date | PartialDate) -> bytes:
    return f"{value.year:04}{value.month:02}{value.day:02}".encode()


def _write_national(value: NationalNumber) -> bytes:
    return f"{value.number}{value.replaced_by or '':11}".encode()


_WRITERS: Mapping[Kind, Callable[[Any], bytes]] = {
    "flag": lambda value: b"1" if value else b"0",
    "date": _write_date,
    "partial_date": _write_date,
    "national_number": _write_national,
    "enterprise_number": str.encode,
}
