"""The canonical message: a header, records of one declared type, totals. The same in every syntax.

A record type is declared once, as data; layouts, schemas, readers and writers follow from the declaration.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Literal, get_args

import msgspec

from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.integrator.formats.kinds import (
    MAX_DIGITS,
    MAX_TEXT,
    Kind,
)
from koinon.integrator.model import FieldAnswer, FieldStatus

Syntax = Literal["fixed", "xml", "jsonl", "json"]
Encoding = Literal["UTF-8", "ISO-8859-1", "ISO-8859-15"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

STATUS_CODES: Mapping[FieldStatus, str] = {
    "value": "V",
    "unknown": "U",
    "not_allowed": "F",
    "no_data": "N",
    "no_answer": "A",
}
"""Each status as one character: F for forbidden, N for none, A for no answer."""
STATUS_BY_CODE: Mapping[int, FieldStatus] = {ord(code): status for status, code in STATUS_CODES.items()}
VALUE = ord("V")
BATCH = 2048
"""Records that are read at once. More are slower: they leave the processor's cache."""

_NAME = re.compile("[a-z][a-z0-9_]{0,59}")
# Part of the header in every syntax, so its characters are those every encoding has.
_HEADER_TEXT = re.compile("[!-~](?:[ -~]{0,58}[!-~])?")


class BrokenMessage(Invalid):
    """The file itself cannot be trusted: reading ends. Facts name the line or record, never a value."""

    title = "Broken message"


class FieldSpec(msgspec.Struct, frozen=True):
    """One field of a record type.

    Attributes:
        width: of a text its characters (and, in fixed-length records, its bytes); of a number or an amount its
            digits; otherwise unused.
    """

    name: str
    kind: Kind
    label: Text
    width: int = MAX_DIGITS

    def __post_init__(self) -> None:
        limit = MAX_TEXT if self.kind == "text" else MAX_DIGITS
        if not _NAME.fullmatch(self.name) or not 1 <= self.width <= limit:
            raise ValueError(f"field {self.name!r} is not well declared")


class RecordType(msgspec.Struct, frozen=True):
    """What the records of a message hold.

    Attributes:
        version: another one for every change: a reader refuses versions it does not know.
        subject: the kind of number that every record is about.
        fields: in order. Every record has every field, with its status.
    """

    name: str
    version: int
    title: Text
    subject: Literal["national_number", "enterprise_number"]
    fields: tuple[FieldSpec, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if not _NAME.fullmatch(self.name) or not 1 <= self.version <= 9999 or len(set(names)) != len(names):
            raise ValueError(f"record type {self.name!r} is not well declared")

    @property
    def amounts(self) -> tuple[str, ...]:
        """Names of the fields that the totals add up."""
        return tuple(field.name for field in self.fields if field.kind == "money")


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a message says of itself before its first record.

    Attributes:
        record_type, version: name of the declaration.
        sender: id of the party.
        purpose: code.
        reference: of the case or of the batch.
        created: UTC, whole seconds.
    """

    record_type: str
    version: int
    sender: str
    flow: str
    purpose: str
    reference: str
    created: datetime

    def __post_init__(self) -> None:
        for name in ("record_type", "sender", "flow", "purpose", "reference"):
            if not _HEADER_TEXT.fullmatch(getattr(self, name)):
                raise BrokenMessage("header_malformed", field=name)
        if not 1 <= self.version <= 9999:
            raise BrokenMessage("header_malformed", field="version")
        if self.created.tzinfo is not UTC or self.created.microsecond:
            raise BrokenMessage("header_malformed", field="created")


class Record(msgspec.Struct, frozen=True):
    """One record.

    Attributes:
        sequence: positive, at most 15 digits, rising through the message; gaps are allowed, since what was
            rejected on the way is left out and the rest keeps its number.
        subject: the number it is about, as it was asked.
        replaced_by: where the register replaced that number: by which.
        fields: every field of the record type.
    """

    sequence: int
    subject: str
    fields: Mapping[str, FieldAnswer]
    replaced_by: str | None = None


class Reject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that was left out, and why. Never holds a value.

    Attributes:
        record: its place among the records of the message, from 1.
        line: the line it starts on, from 1; None where the syntax has no lines.
        sequence: None where it could not be read.
        field: None where the whole record is meant.
        code: reason; listed in `docs/reference/formats.md`.
    """

    record: int
    line: int | None
    sequence: int | None
    field: str | None
    code: str


class Totals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The end of a message.

    Attributes:
        records: how many there are, also those that a reader rejects.
        last_sequence: of the last record; 0 without records.
        sums: cents, of each field that is an amount, over the records that have a value.
    """

    records: int
    last_sequence: int
    sums: Mapping[str, int]


class Column(msgspec.Struct, frozen=True):
    """One field of many records.

    Attributes:
        values: one a record; None where the status is another than `value`.
        statuses: one character of `STATUS_CODES` a record; None: all are values.
    """

    values: list[Any]
    statuses: bytes | None = None


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Records as columns: what batch mode computes with. All lists have the same length.

    Attributes:
        numbers: place of each record in its message, from 1.
        lines: line of each record; the same as `numbers` where the syntax has no lines.
        fields: in the order of the record type.
    """

    record_type: RecordType
    numbers: Sequence[int]
    lines: Sequence[int]
    sequences: list[int]
    subjects: list[str]
    replaced_by: list[str | None]
    fields: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.sequences)

    def records(self) -> Iterator[Record]:
        """The same, record by record."""
        names = [field.name for field in self.record_type.fields]
        answers = [_answers(column) for column in self.fields]
        rows = zip(*answers, strict=True) if answers else [()] * len(self)
        for sequence, subject, replaced_by, cells in zip(
            self.sequences, self.subjects, self.replaced_by, rows, strict=True
        ):
            yield Record(sequence, subject, dict(zip(names, cells, strict=True)), replaced_by)

    def without(self, rows: Iterable[int]) -> "Columns":
        """The columns without the records at these places (from 0)."""
        kept = bytearray(b"\x01" * len(self))
        for row in rows:
            kept[row] = 0
        return Columns(
            record_type=self.record_type,
            numbers=list(compress(self.numbers, kept)),
            lines=list(compress(self.lines, kept)),
            sequences=list(compress(self.sequences, kept)),
            subjects=list(compress(self.subjects, kept)),
            replaced_by=list(compress(self.replaced_by, kept)),
            fields=tuple(
                Column(
                    list(compress(column.values, kept)),
                    None if column.statuses is None else bytes(compress(column.statuses, kept)),
                )
                for column in self.fields
            ),
        )


class Batch(msgspec.Struct, frozen=True):
    """A piece of a message as it was read: the good records, and the rejects among them."""

    columns: Columns
    rejects: tuple[Reject, ...] = ()

    def in_order(self) -> Iterator[Record | Reject]:
        """Records and rejects as they followed one another."""
        waiting = list(reversed(self.rejects))
        for number, record in zip(self.columns.numbers, self.columns.records(), strict=True):
            while waiting and waiting[-1].record < number:
                yield waiting.pop()
            yield record
        yield from reversed(waiting)


_NOT_VALUES = {code: FieldAnswer(status=status) for code, status in STATUS_BY_CODE.items() if code != VALUE}


def _answers(column: Column) -> list[FieldAnswer]:
    if column.statuses is None:
        return [FieldAnswer(status="value", value=value) for value in column.values]
    return [
        FieldAnswer(status="value", value=value) if code == VALUE else _NOT_VALUES[code]
        for code, value in zip(column.statuses, column.values, strict=True)
    ]


def find_record_type(types: Mapping[str, RecordType], name: str, version: int) -> RecordType:
    """The declaration that a header names.

    Raises:
        BrokenMessage: `record_type_unknown`, `record_type_version`.
    """
    record_type = types.get(name)
    if record_type is None:
        raise BrokenMessage("record_type_unknown")
    if record_type.version != version:
        raise BrokenMessage("record_type_version", known=record_type.version)
    return record_type
