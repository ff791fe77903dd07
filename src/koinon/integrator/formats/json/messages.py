"""A message as JSON: one document, or lines (JSON Lines) for files of any length.

Lines: `{"header": ...}`, one object a record, `{"totals": ...}`. The document: the same three in one object,
`header`, `records`, `totals`; it is read whole and therefore limited.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, BinaryIO

import msgspec

from koinon.integrator.drivers import PartialDate
from koinon.integrator.formats.gathering import Gathering, check_sequence, check_subject
from koinon.integrator.formats.kinds import (
    BadValue,
    NationalNumber,
    check_integer,
    check_national_number,
    check_value,
    read_date,
    read_partial,
)
from koinon.integrator.formats.lines import Lines
from koinon.integrator.formats.model import (
    BATCH,
    STATUS_BY_CODE,
    STATUS_CODES,
    VALUE,
    Batch,
    BrokenMessage,
    Columns,
    FieldSpec,
    Header,
    RecordType,
    Reject,
    Totals,
    find_record_type,
)
from koinon.integrator.formats.tally import Tally

MAX_DOCUMENT_BYTES = 16 << 20
_SUM = re.compile("-?(?:0|[1-9][0-9]{0,19})")
_CODES: Mapping[str, bytes] = {status: code.encode() for status, code in STATUS_CODES.items()}


class JsonReader:
    """A message as JSON lines, or as one document.

    Attributes:
        totals: after the last batch; they agree with what was read.
    """

    def __init__(self, stream: BinaryIO, types: Mapping[str, RecordType], *, document: bool = False) -> None:
        """Reads the header; of a document everything.

        Raises:
            BrokenMessage: there is none, it is not one that `types` knows, or the document is too large or broken.
        """
        self.totals: Totals | None = None
        self._document: Mapping[str, Any] | None = None
        self._lines = Lines(stream)
        if document:
            header = self._read_document(stream)
        else:
            first = _object(self._lines.first().rstrip(b"\r"), "header_missing")
            if first.keys() != {"header"}:
                raise BrokenMessage("header_missing")
            header = first["header"]
        self.header = _read_header(header)
        self.record_type = find_record_type(types, self.header.record_type, self.header.version)
        self._fields = {field.name: field for field in self.record_type.fields}
        self._tally = Tally(self.record_type)
        self._gathering = Gathering(self.record_type)
        self._count = 0

    def batches(self) -> Iterator[Batch]:
        """The records, in order.

        Raises:
            BrokenMessage: the file is truncated, its encoding, order or totals are wrong.
        """
        for line, item in self._items():
            self._count += 1
            self._read_record(item, line)
            if len(self._gathering) >= BATCH:
                yield self._batch()
        if len(self._gathering):
            yield self._batch()
        if self.totals is None:
            raise BrokenMessage("message_truncated", records=self._count)
        self._tally.check(self.totals)

    def _batch(self) -> Batch:
        batch = self._gathering.take()
        self._tally.count(batch)
        return batch

    def _read_document(self, stream: BinaryIO) -> object:
        data = stream.read(MAX_DOCUMENT_BYTES + 1)
        if len(data) > MAX_DOCUMENT_BYTES:
            raise BrokenMessage("message_too_large", limit_bytes=MAX_DOCUMENT_BYTES)
        document = _object(data, "json_malformed")
        if document.keys() != {"header", "records", "totals"} or not isinstance(document["records"], list):
            raise BrokenMessage("message_malformed")
        self._document = document
        return document["header"]

    def _items(self) -> Iterator[tuple[int, Any]]:
        """Records with their line (in a document: their place); None for one that is no JSON object."""
        if self._document is not None:
            yield from enumerate(self._document["records"], 1)
            self.totals = _read_totals(self._document["totals"], None)
            return
        for block in self._lines.blocks():
            for line, data in enumerate(block.removesuffix(b"\n").split(b"\n"), self._lines.next_line):
                if self.totals is not None:
                    raise BrokenMessage("message_trailing", line=line)
                try:
                    item = _decode(data.removesuffix(b"\r"))
                except UnicodeDecodeError:
                    raise BrokenMessage("encoding_mixed", line=line) from None
                except ValueError:
                    item = None
                if isinstance(item, dict) and item.keys() == {"totals"}:
                    self.totals = _read_totals(item["totals"], line)
                else:
                    yield line, item

    def _read_record(self, item: Any, line: int) -> None:
        rejects: list[tuple[str | None, str]] = []
        sequence, subject, replaced = None, "", None
        codes, values = b"", []
        if isinstance(item, dict):
            try:
                sequence = check_sequence(item.get("sequence"))
                self._tally.order([sequence], [line])
            except BadValue as bad:
                rejects.append(("sequence", bad.code))
            try:
                if "replaced_by" in item and item["replaced_by"] is None:
                    raise BadValue("national_number_malformed")
                subject, replaced = check_subject(
                    self.record_type, item.get("subject"), item.get("replaced_by")
                )
            except BadValue as bad:
                rejects.append(("subject", bad.code))
            if item.keys() - {"sequence", "subject", "replaced_by", "fields"}:
                rejects.append((None, "attribute_unknown"))
            fields = item.get("fields")
            if isinstance(fields, dict):
                if fields.keys() - self._fields.keys():
                    rejects.append((None, "field_unknown"))
                for spec in self.record_type.fields:
                    try:
                        status, value = _read_field(spec, fields)
                        codes += _CODES[status]
                        values.append(value)
                    except BadValue as bad:
                        rejects.append((spec.name, bad.code))
            else:
                rejects.append((None, "fields_missing"))
        else:
            rejects.append((None, "json_malformed"))
        if rejects:
            for field, code in rejects:
                self._gathering.reject(
                    Reject(
                        record=self._count,
                        line=None if self._document is not None else line,
                        sequence=sequence,
                        field=field,
                        code=code,
                    )
                )
        else:
            assert sequence is not None
            self._gathering.add(self._count, line, sequence, subject, replaced, codes, tuple(values))


class JsonWriter:
    """A message as JSON lines, or as one document, written as it comes."""

    def __init__(
        self, stream: BinaryIO, record_type: RecordType, header: Header, *, document: bool = False
    ) -> None:
        """Writes the header."""
        self._stream = stream
        self._type = record_type
        self._tally = Tally(record_type)
        self._document = document
        self._first = True
        head = msgspec.json.encode(header)
        stream.write(b'{"header":' + head + (b',"records":[' if document else b"}\n"))

    def write(self, columns: Columns) -> tuple[Reject, ...]:
        """The records are written. JSON carries every valid record: there are no rejects."""
        if not len(columns):
            return ()
        self._tally.order(columns.sequences, columns.lines)
        self._tally.count(Batch(columns))
        cells = []
        for column in columns.fields:
            statuses = column.statuses or b"V" * len(column.values)
            cells.append(
                [
                    _answer(value) if status == VALUE else {"status": STATUS_BY_CODE[status]}
                    for status, value in zip(statuses, column.values, strict=True)
                ]
            )
        names = [field.name for field in self._type.fields]
        rows = zip(*cells, strict=True) if cells else [()] * len(columns)
        items: list[dict[str, Any]] = []
        for sequence, subject, replaced, row in zip(
            columns.sequences, columns.subjects, columns.replaced_by, rows, strict=True
        ):
            item: dict[str, Any] = {"sequence": sequence, "subject": subject}
            if replaced:
                item["replaced_by"] = replaced
            item["fields"] = dict(zip(names, row, strict=True))
            items.append(item)
        if self._document:
            lead = b"" if self._first else b","
            self._stream.write(lead + msgspec.json.encode(items)[1:-1])
        else:
            self._stream.write(_LINES.encode_lines(items))
        self._first = False
        return ()

    def close(self) -> Totals:
        """The totals are written."""
        totals = self._tally.totals()
        lead = b'],"totals":' if self._document else b'{"totals":'
        # As text: a sum may pass what readers of JSON keep exact (2^53).
        sums = {name: str(amount) for name, amount in totals.sums.items()}
        item = {"records": totals.records, "last_sequence": totals.last_sequence, "sums": sums}
        self._stream.write(lead + msgspec.json.encode(item) + b"}\n")
        return totals


_LINES = msgspec.json.Encoder()


def _answer(value: Any) -> dict[str, Any]:
    if isinstance(value, NationalNumber):
        answer = {"status": "value", "value": value.number}
        return {**answer, "replaced_by": value.replaced_by} if value.replaced_by else answer
    return {"status": "value", "value": str(value) if isinstance(value, PartialDate | date) else value}


def _read_field(spec: FieldSpec, fields: Mapping[str, Any]) -> tuple[str, Any]:
    """Status and value of one field.

    Raises:
        BadValue: why there is none.
    """
    answer = fields.get(spec.name)
    if answer is None and spec.name not in fields:
        raise BadValue("field_missing")
    if not isinstance(answer, dict):
        raise BadValue("field_malformed")
    status = answer.get("status")
    if not isinstance(status, str) or status not in _CODES:
        raise BadValue("status_unknown")
    person = spec.kind == "national_number"
    if answer.keys() - ({"status", "value", "replaced_by"} if person else {"status", "value"}):
        raise BadValue("attribute_unknown")
    if status != "value":
        if len(answer) > 1:
            raise BadValue("value_not_expected")
        return status, None
    if "value" not in answer:
        raise BadValue("value_missing")
    value = answer["value"]
    if spec.kind == "date":
        return status, read_date(_text(value, "date_malformed"))
    if spec.kind == "partial_date":
        return status, read_partial(_text(value, "date_malformed"))
    if person:
        other = answer.get("replaced_by")
        if "replaced_by" in answer:
            check_national_number(other)
        return status, NationalNumber(check_national_number(value), other)
    return status, check_value(spec.kind, value, spec.width)


def _text(value: object, code: str) -> str:
    if not isinstance(value, str):
        raise BadValue(code)
    return value


def _decode(data: bytes) -> Any:
    """The value that `data` writes.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
        ValueError: it is not JSON, or an object names one thing twice, which readers would not read alike.
    """
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            # Cut in the middle of a character: a cut file, not another encoding.
            if error.reason == "unexpected end of data":
                raise ValueError from None
            raise
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError from None
    # Our own writing has no name twice; anything else is looked at.
    if msgspec.json.encode(value) != data:
        try:
            json.loads(data, object_pairs_hook=_unique)
        except RecursionError:
            raise ValueError from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _object(data: bytes, code: str) -> dict[str, Any]:
    try:
        value = _decode(data)
    except UnicodeDecodeError:
        raise BrokenMessage("encoding_mixed", line=1) from None
    except ValueError:
        raise BrokenMessage(code) from None
    if not isinstance(value, dict):
        raise BrokenMessage(code)
    return value


def _read_header(item: object) -> Header:
    names = {"record_type", "version", "sender", "flow", "purpose", "reference", "created"}
    if not isinstance(item, dict) or item.keys() != names:
        raise BrokenMessage("header_malformed")
    texts = {name: item[name] for name in names - {"version", "created"}}
    if type(item["version"]) is not int or not all(isinstance(text, str) for text in texts.values()):
        raise BrokenMessage("header_malformed")
    try:
        created = datetime.strptime(item["created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (TypeError, ValueError):
        raise BrokenMessage("header_malformed", field="created") from None
    return Header(version=item["version"], created=created, **texts)


def _read_totals(item: object, line: int | None) -> Totals:
    try:
        if not isinstance(item, dict) or item.keys() != {"records", "last_sequence", "sums"}:
            raise BadValue("totals_malformed")
        sums = item["sums"]
        if not isinstance(sums, dict):
            raise BadValue("totals_malformed")
        for count in (item["records"], item["last_sequence"]):
            if check_integer(count, 15) < 0:
                raise BadValue("totals_malformed")
        if not all(isinstance(amount, str) and _SUM.fullmatch(amount) for amount in sums.values()):
            raise BadValue("totals_malformed")
    except BadValue:
        raise BrokenMessage("totals_malformed", line=line) from None
    return Totals(
        records=item["records"],
        last_sequence=item["last_sequence"],
        sums={name: int(amount) for name, amount in sums.items()},
    )
