"""Records that come one at a time, checked and made into batches of columns."""

from collections.abc import Iterable, Iterator
from typing import Any

from koinon.integrator.formats.kinds import (
    MAX_DIGITS,
    BadValue,
    check_enterprise_number,
    check_national_number,
    check_value,
)
from koinon.integrator.formats.model import (
    BATCH,
    STATUS_CODES,
    Batch,
    Column,
    Columns,
    Record,
    RecordType,
    Reject,
)


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
