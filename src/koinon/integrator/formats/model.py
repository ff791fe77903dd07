"""The canonical message: a header, records of one declared type, totals. The same in every syntax.

A record type is declared once, as data; layouts, schemas, readers and writers follow from the declaration.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import compress, islice
from operator import lt
from typing import Any, Literal, get_args

import msgspec

from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.integrator.formats.kinds import (
    MAX_DIGITS,
    MAX_TEXT,
    BadValue,
    Kind,
    check_enterprise_number,
    check_national_number,
    check_value,
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


class Gathering:
    """Records that come one at a time, made into batches. Checked cells go in, columns come out."""

    def __init__(self, record_type: RecordType) -> None:
        self._type = record_type
        self._rows: list[tuple[int, int, int, str, str | None, bytes, tuple[Any, ...]]] = []
        self._rejects: list[Reject] = []

    def __len__(self) -> int:
        return len(self._rows) + len(self._rejects)

    def add(
        self,
        number: int,
        line: int,
        sequence: int,
        subject: str,
        replaced_by: str | None,
        statuses: bytes,
        values: tuple[Any, ...],
    ) -> None:
        """The record is in the batch. `values` holds None where the status is no value."""
        self._rows.append((number, line, sequence, subject, replaced_by, statuses, values))

    def reject(self, reject: Reject) -> None:
        """The reject is in the batch."""
        self._rejects.append(reject)

    def take(self) -> Batch:
        """What was gathered since the last time."""
        rows, rejects = self._rows, tuple(self._rejects)
        self._rows, self._rejects = [], []
        if rows:
            numbers, lines, sequences, subjects, replaced, statuses, values = zip(*rows, strict=True)
            by_field = zip(zip(*statuses, strict=True), zip(*values, strict=True), strict=True)
            fields = tuple(_column(bytes(codes), list(cells)) for codes, cells in by_field)
        else:
            numbers = lines = sequences = subjects = replaced = ()
            fields = tuple(Column([]) for _ in self._type.fields)
        columns = Columns(
            record_type=self._type,
            numbers=numbers,
            lines=lines,
            sequences=list(sequences),
            subjects=list(subjects),
            replaced_by=list(replaced),
            fields=fields,
        )
        return Batch(columns, rejects)


def _column(statuses: bytes, values: list[Any]) -> Column:
    return Column(values, None if statuses == b"V" * len(statuses) else statuses)


def check_sequence(value: object) -> int:
    """`value`, a sequence number.

    Raises:
        BadValue: `sequence_malformed`.
    """
    if type(value) is not int or not 0 < value < 10**MAX_DIGITS:
        raise BadValue("sequence_malformed")
    return value


def check_subject(record_type: RecordType, subject: object, replaced_by: object) -> tuple[str, str | None]:
    """Both numbers, which are of the kind that the record type is about.

    Raises:
        BadValue: `national_number_malformed`, `enterprise_number_malformed`, `replaced_by_not_expected`.
    """
    if record_type.subject == "enterprise_number":
        if replaced_by is not None:
            raise BadValue("replaced_by_not_expected")
        return check_enterprise_number(subject), None
    number = check_national_number(subject)
    return number, None if replaced_by is None else check_national_number(replaced_by)


def gather(record_type: RecordType, records: Iterable[Record], size: int = BATCH) -> Iterator[Batch]:
    """The records as checked batches; one that is not valid is among the rejects of its batch."""
    gathering = Gathering(record_type)
    for number, record in enumerate(records, 1):
        field: str | None = None
        sequence: int | None = None
        try:
            field = "sequence"
            sequence = check_sequence(record.sequence)
            field = "subject"
            subject, replaced_by = check_subject(record_type, record.subject, record.replaced_by)
            field = None
            if extra := record.fields.keys() - {spec.name for spec in record_type.fields}:
                field = min(extra)
                raise BadValue("field_unknown")
            codes, values = "", []
            for spec in record_type.fields:
                field = spec.name
                answer = record.fields.get(spec.name)
                if answer is None:
                    raise BadValue("field_missing")
                if answer.missing:
                    # What would be needed to know is for people; a batch that needs it declares a text field.
                    raise BadValue("missing_not_carried")
                if answer.status == "value":
                    values.append(check_value(spec.kind, answer.value, spec.width))
                elif answer.value is not None:
                    raise BadValue("value_not_expected")
                else:
                    values.append(None)
                codes += STATUS_CODES[answer.status]
        except BadValue as bad:
            gathering.reject(Reject(record=number, line=None, sequence=sequence, field=field, code=bad.code))
        else:
            gathering.add(number, number, sequence, subject, replaced_by, codes.encode(), tuple(values))
        if len(gathering) >= size:
            yield gathering.take()
    if len(gathering):
        yield gathering.take()


class Tally:
    """What the records of a message add up to; and whether their numbers rise."""

    def __init__(self, record_type: RecordType) -> None:
        self._amounts = [
            (place, field.name) for place, field in enumerate(record_type.fields) if field.kind == "money"
        ]
        self._sums = {name: 0 for _, name in self._amounts}
        self._complete = True
        self._last = 0
        self._records = 0

    def order(self, sequences: Sequence[int], lines: Sequence[int]) -> None:
        """The numbers follow what came before. Also of records that are rejected for another reason.

        Raises:
            BrokenMessage: `sequence_repeated`, `sequence_reordered`, with the line.
        """
        if not sequences:
            return
        last = self._last
        if last < sequences[0] and all(map(lt, sequences, islice(sequences, 1, None))):
            self._last = sequences[-1]
            return
        for sequence, line in zip(sequences, lines, strict=True):
            if sequence <= last:
                code = "sequence_repeated" if sequence == last else "sequence_reordered"
                raise BrokenMessage(code, line=line, sequence=sequence)
            last = sequence

    def count(self, batch: Batch) -> None:
        """The batch is added."""
        self._records += len(batch.columns)
        if batch.rejects:
            self._records += len({reject.record for reject in batch.rejects})
            self._complete = False
        for place, name in self._amounts:
            self._sums[name] += sum(filter(None, batch.columns.fields[place].values))

    def count_table(self, table: Any, rejects: Sequence[Reject]) -> None:
        """The same for a `pyarrow.RecordBatch`."""
        self._records += table.num_rows
        if rejects:
            self._records += len({reject.record for reject in rejects})
            self._complete = False
        for _, name in self._amounts:
            column = table.column(name)
            # Of 15 digits: below 9,000 of them the sum has its place in 64 bits.
            parts = range(0, len(column), 8192)
            self._sums[name] += sum(column.slice(start, 8192).sum().as_py() or 0 for start in parts)

    def totals(self) -> Totals:
        """What was counted."""
        return Totals(records=self._records, last_sequence=self._last, sums=dict(self._sums))

    def check(self, totals: Totals) -> None:
        """The totals of the message are what was counted. Sums only where nothing was rejected: a rejected
        record's amounts are not known. The last sequence number likewise.

        Raises:
            BrokenMessage: `totals_wrong`, naming what differs.
        """
        counted = self.totals()
        wrong = None
        if totals.records != counted.records:
            wrong = "records"
        elif totals.sums.keys() != counted.sums.keys():
            wrong = "sums"
        elif self._complete and totals.last_sequence != counted.last_sequence:
            wrong = "last_sequence"
        elif self._complete:
            wrong = next((name for name, value in counted.sums.items() if totals.sums[name] != value), None)
        if wrong:
            raise BrokenMessage("totals_wrong", differs=wrong, records=counted.records)


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
