"""Writing a message as XML, one record a line."""

from collections.abc import Sequence
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

from koinon.integrator.formats.kinds import NationalNumber, write_text
from koinon.integrator.formats.model import (
    STATUS_BY_CODE,
    VALUE,
    Batch,
    Column,
    Columns,
    FieldSpec,
    Header,
    RecordType,
    Reject,
    Totals,
)
from koinon.integrator.formats.tally import Tally
from koinon.integrator.formats.xml.names import HEADER_FIELDS, namespace


class XmlWriter:
    """A message as XML in UTF-8, written as it comes."""

    def __init__(self, stream: BinaryIO, record_type: RecordType, header: Header) -> None:
        """Writes the header."""
        self._stream = stream
        self._type = record_type
        self._tally = Tally(record_type)
        created = header.created.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<message xmlns="{namespace(record_type)}">']
        cells = "".join(
            f"<{name}>{created if name == 'created' else escape(str(getattr(header, name)))}</{name}>"
            for name in HEADER_FIELDS
        )
        lines.append(f"<header>{cells}</header>")
        self._write("\n".join(lines) + "\n")

    def write(self, columns: Columns) -> tuple[Reject, ...]:
        """The records are written. XML carries every valid record: there are no rejects."""
        if not len(columns):
            return ()
        self._tally.order(columns.sequences, columns.lines)
        self._tally.count(Batch(columns))
        parts: list[Sequence[str]] = [
            [
                f'<record sequence="{sequence}" subject="{subject}"'
                + (f' replaced_by="{replaced}">' if replaced else ">")
                for sequence, subject, replaced in zip(
                    columns.sequences, columns.subjects, columns.replaced_by, strict=True
                )
            ]
        ]
        for field, column in zip(self._type.fields, columns.fields, strict=True):
            parts.append(_elements(field, column))
        parts.append(["</record>\n"] * len(columns))
        self._write("".join(map("".join, zip(*parts, strict=True))))
        return ()

    def close(self) -> Totals:
        """The totals and the end of the document are written."""
        totals = self._tally.totals()
        sums = "".join(f'<sum field="{name}">{totals.sums[name]}</sum>' for name in self._type.amounts)
        self._write(
            f"<totals><records>{totals.records}</records>"
            f"<last_sequence>{totals.last_sequence}</last_sequence>{sums}</totals>\n</message>\n"
        )
        return totals

    def _write(self, text: str) -> None:
        self._stream.write(text.encode())


def _elements(field: FieldSpec, column: Column) -> list[str]:
    name = field.name
    if column.statuses is None:
        return [_element(name, value) for value in column.values]
    others = {
        code: f'<{name} status="{status}"/>' for code, status in STATUS_BY_CODE.items() if code != VALUE
    }
    return [
        _element(name, value) if status == VALUE else others[status]
        for status, value in zip(column.statuses, column.values, strict=True)
    ]


def _element(name: str, value: Any) -> str:
    if isinstance(value, NationalNumber) and value.replaced_by:
        return f'<{name} replaced_by="{value.replaced_by}">{value.number}</{name}>'
    return f"<{name}>{escape(write_text(value))}</{name}>"
