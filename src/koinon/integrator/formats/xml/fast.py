"""The fast lane of reading XML: records in the shape that our writer gives them, one a line.

One regular expression, made out of the record type, recognises a whole record and cuts it; then values are
read by columns. Where anything is unusual this gives nothing, and libxml2 reads the same text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from koinon.integrator.formats.checkdigits import are_enterprise_numbers, are_national_numbers
from koinon.integrator.formats.kinds import (
    BadValue,
    Kind,
    NationalNumber,
    has_forbidden,
    read_date,
    read_partial,
)
from koinon.integrator.formats.model import STATUS_CODES, Column, Columns, FieldSpec, RecordType

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CODES: Mapping[str, str] = {"": "V"} | {str(status): code for status, code in STATUS_CODES.items()}
_MEMORY = 50_000


class FastLane:
    """The fast lane of one record type."""

    def __init__(self, record_type: RecordType) -> None:
        self._type = record_type
        self._persons = record_type.subject == "national_number"
        self._pattern = re.compile(_record_pattern(record_type), re.MULTILINE)

    def read(self, text: str, number: int, line: int) -> Columns | None:
        """The records of `text`, the first with this place and line; None where it is not records and nothing
        else, in the shape that is looked for, all valid.
        """
        rows = self._pattern.findall(text)
        # A match is one whole line, and a record cannot hold a line ending: as many matches as lines, and the
        # text is records alone.
        if not rows or len(rows) != text.count("\n") or text[-1] != "\n":
            return None
        cells = list(zip(*rows, strict=True))
        subjects = "".join(cells[1]).encode()
        first = 3 if self._persons else 2
        replaced: list[str | None] = [None] * len(rows)
        if self._persons:
            others = "".join(cells[2])
            if not are_national_numbers(subjects) or (others and not are_national_numbers(others.encode())):
                return None
            if others:
                replaced = [other or None for other in cells[2]]
        elif not are_enterprise_numbers(subjects):
            return None
        fields = []
        for place, field in enumerate(self._type.fields):
            column = _read_column(field, cells[first + 2 * place], cells[first + 2 * place + 1])
            if column is None:
                return None
            fields.append(column)
        return Columns(
            record_type=self._type,
            numbers=range(number, number + len(rows)),
            lines=range(line, line + len(rows)),
            sequences=list(map(int, cells[0])),
            subjects=list(cells[1]),
            replaced_by=replaced,
            fields=tuple(fields),
        )


def _record_pattern(record_type: RecordType) -> str:
    """One record on one line; groups: sequence, subject, number that replaced it (persons only), then status
    and text of each field.
    """
    persons = record_type.subject == "national_number"
    others = "|".join(status for status in STATUS_CODES if status != "value")
    parts = [r'^<record sequence="([1-9][0-9]{0,14})"', f' subject="([0-9]{{{11 if persons else 10}}})"']
    if persons:
        parts.append('(?: replaced_by="([0-9]{11})")?')
    parts.append(">")
    for field in record_type.fields:
        # A value whose number was replaced has another attribute: the other lane reads it.
        parts.append(f'<{field.name}(?: status="({others})"/>|>({_value_pattern(field)})</{field.name}>)')
    return "".join(parts) + "</record>\r?\n"


def _value_pattern(field: FieldSpec) -> str:
    if field.kind == "text":
        # Without references. What `check_text` refuses is looked for in the whole column at once: a set of few
        # characters is matched in half the time. Nothing is given back: what follows is no part of a text.
        return f"[^<>&\n\r]{{1,{field.width}}}+"
    if field.kind in ("number", "money"):
        return f"-?(?:0|[1-9][0-9]{{0,{field.width - 1}}}+)"
    return _PATTERNS[field.kind]


_PATTERNS: Mapping[Kind, str] = {
    "flag": "true|false",
    "date": _DATE,
    "partial_date": _DATE,
    "national_number": "[0-9]{11}",
    "enterprise_number": "[0-9]{10}",
}


def _read_column(field: FieldSpec, statuses: Sequence[str], texts: Sequence[str]) -> Column | None:
    read = _COLUMNS[field.kind]
    if not any(statuses):
        values = read(texts)
        return None if values is None else Column(values)
    # Where there is no value a valid one stands in for the reading, and is taken out again.
    codes = "".join([_CODES[status] for status in statuses]).encode()
    places = [match.start() for match in _NOT_VALUE.finditer(codes)]
    filled, stand_in = list(texts), _STAND_INS[field.kind]
    for place in places:
        filled[place] = stand_in
    values = read(filled)
    if values is None:
        return None
    for place in places:
        values[place] = None
    return Column(values, codes)


_NOT_VALUE = re.compile(b"[^V]")
_STAND_INS: Mapping[Kind, str] = {
    "text": "x",
    "number": "0",
    "money": "0",
    "flag": "false",
    "date": "2000-01-01",
    "partial_date": "2000-00-00",
    "national_number": "00000000097",
    "enterprise_number": "0000000097",
}


def _read_texts(texts: Sequence[str]) -> list[str] | None:
    joined = "\n".join(texts)
    if "\n " in joined or " \n" in joined or joined[0] == " " or joined[-1] == " ":
        return None
    if has_forbidden("".join(texts)):
        return None
    return list(texts)


class _Remembered(dict[str, Any]):
    """Values by their text: a column of dates has far fewer different ones than rows."""

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read

    def __missing__(self, text: str) -> Any:
        if len(self) >= _MEMORY:
            self.clear()
        value = self[text] = self._read(text)
        return value

    def column(self, texts: Sequence[str]) -> list[Any] | None:
        try:
            return list(map(self.__getitem__, texts))
        except BadValue:
            return None


def _read_national(texts: Sequence[str]) -> list[NationalNumber] | None:
    return list(map(NationalNumber, texts)) if are_national_numbers("".join(texts).encode()) else None


def _read_enterprise(texts: Sequence[str]) -> list[str] | None:
    return list(texts) if are_enterprise_numbers("".join(texts).encode()) else None


_COLUMNS: Mapping[Kind, Callable[[Sequence[str]], list[Any] | None]] = {
    "text": _read_texts,
    "number": lambda texts: list(map(int, texts)),
    "money": lambda texts: list(map(int, texts)),
    "flag": lambda texts: [text == "true" for text in texts],
    "date": _Remembered(read_date).column,
    "partial_date": _Remembered(read_partial).column,
    "national_number": _read_national,
    "enterprise_number": _read_enterprise,
}
