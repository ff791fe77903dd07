"""What the elements of a message say: header, totals, and the fields of a record. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from koinon.integrator.formats.kinds import (
    BadValue,
    NationalNumber,
    check_national_number,
    has_forbidden,
    read_text,
)
from koinon.integrator.formats.model import (
    STATUS_CODES,
    BrokenMessage,
    FieldSpec,
    Header,
    RecordType,
    Totals,
)
from koinon.integrator.formats.xml.names import HEADER_FIELDS

_COUNT = re.compile("0|[1-9][0-9]{0,14}")
_SUM = re.compile("-?(?:0|[1-9][0-9]{0,19})")
_CODES: Mapping[str, bytes] = {status: code.encode() for status, code in STATUS_CODES.items()}


def read_header(element: etree._Element) -> Header:
    """What a message says of itself.

    Raises:
        BrokenMessage: `header_malformed`.
    """
    cells = _children(element)
    if cells.keys() != set(HEADER_FIELDS) or not _COUNT.fullmatch(cells["version"]):
        raise BrokenMessage("header_malformed")
    try:
        created = datetime.strptime(cells["created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BrokenMessage("header_malformed", field="created") from None
    return Header(
        record_type=cells["record_type"],
        version=int(cells["version"]),
        sender=cells["sender"],
        flow=cells["flow"],
        purpose=cells["purpose"],
        reference=cells["reference"],
        created=created,
    )


def read_totals(element: etree._Element, record_type: RecordType, space: str, line: int) -> Totals:
    """The totals record. `space` is the namespace in braces.

    Raises:
        BrokenMessage: `totals_malformed`.
    """
    children = list(element)
    names = [child.tag for child in children]
    amounts = record_type.amounts
    expected = [f"{space}{name}" for name in ("records", "last_sequence", *["sum"] * len(amounts))]
    texts = [child.text or "" for child in children]
    if (
        element.tag != f"{space}totals"
        or names != expected
        or not all(map(_COUNT.fullmatch, texts[:2]))
        or not all(map(_SUM.fullmatch, texts[2:]))
    ):
        raise BrokenMessage("totals_malformed", line=line)
    sums = {str(child.get("field")): int(child.text or "0") for child in children[2:]}
    return Totals(records=int(texts[0]), last_sequence=int(texts[1]), sums=sums)


def read_fields(
    element: etree._Element, record_type: RecordType, space: str, rejects: list[tuple[str | None, str]]
) -> tuple[bytes, list[Any]]:
    """The statuses and the values of a record; what is wrong goes to `rejects`, with its field where there is one."""
    names = [field.name for field in record_type.fields]
    found: dict[str, etree._Element] = {}
    order = []
    if (element.text or "").strip():
        rejects.append((None, "text_between_fields"))
    for child in element:
        if not isinstance(child.tag, str):  # a comment
            if (child.tail or "").strip():
                rejects.append((None, "text_between_fields"))
            continue
        name = child.tag.removeprefix(space)
        if name not in names:
            rejects.append((None, "field_unknown"))
        elif name in found:
            rejects.append((name, "field_repeated"))
        found[name] = child
        order.append(name)
        if (child.tail or "").strip():
            rejects.append((None, "text_between_fields"))
    codes, values = b"", []
    for field in record_type.fields:
        try:
            if field.name not in found:
                raise BadValue("field_missing")
            status, value = _read_field(field, found[field.name])
            codes += _CODES[status]
            values.append(value)
        except BadValue as bad:
            rejects.append((field.name, bad.code))
    if not rejects and order != names:
        rejects.append((None, "fields_reordered"))
    return codes, values


def _read_field(field: FieldSpec, element: etree._Element) -> tuple[str, Any]:
    for child in element:
        # Comments inside a value divide its text; nested elements have no place.
        raise BadValue("field_nested" if isinstance(child.tag, str) else "comment_in_value")
    text = element.text or ""
    status = element.get("status", "value")
    if status not in _CODES:
        raise BadValue("status_unknown")
    allowed = {"status", "replaced_by"} if field.kind == "national_number" else {"status"}
    if set(element.keys()) - allowed:
        raise BadValue("attribute_unknown")
    if status != "value":
        if text or element.get("replaced_by") is not None:
            raise BadValue("value_not_expected")
        return status, None
    if not text and field.kind != "text":
        raise BadValue("value_missing")
    value = read_text(field.kind, text, field.width)
    other = element.get("replaced_by")
    if other is not None:
        value = NationalNumber(value.number, check_national_number(other))
    return status, value


def _children(element: etree._Element) -> dict[str, str]:
    cells = {}
    for child in element:
        if isinstance(child.tag, str):
            name = etree.QName(child).localname
            if name in cells or len(child) or has_forbidden(child.text or ""):
                raise BrokenMessage("header_malformed")
            cells[name] = child.text or ""
    return cells
