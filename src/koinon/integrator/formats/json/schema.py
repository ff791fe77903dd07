"""The JSON Schema of a record type. Source: JSON Schema draft 2020-12."""

from typing import Any

from koinon.integrator.formats.kinds import MAX_DIGITS
from koinon.integrator.formats.model import STATUS_CODES, FieldSpec, RecordType

_NATIONAL = {"type": "string", "pattern": "^[0-9]{11}$"}
_ENTERPRISE = {"type": "string", "pattern": "^[01][0-9]{9}$"}
_SUM = {"type": "string", "pattern": "^-?(0|[1-9][0-9]{0,19})$"}
_HEADER_TEXT = {"type": "string", "pattern": "^[!-~]([ -~]{0,58}[!-~])?$"}


def json_schema(record_type: RecordType) -> dict[str, Any]:
    """The schema of the document; of lines, its definitions `header_line`, `record` and `totals_line`. What only
    the reader can say: check digits, days that exist, rising sequence numbers, and the totals.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:koinon:message:{record_type.name}:{record_type.version}",
        "title": record_type.title.en,
        **_object({"header": _ref("header"), "records": {"type": "array", "items": _ref("record")},
                   "totals": _ref("totals")}),
        "$defs": {
            "header": _object(
                {
                    "record_type": {"const": record_type.name},
                    "version": {"const": record_type.version},
                    "sender": _HEADER_TEXT,
                    "flow": _HEADER_TEXT,
                    "purpose": _HEADER_TEXT,
                    "reference": _HEADER_TEXT,
                    "created": {
                        "type": "string",
                        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
                    },
                }
            ),
            "record": _record(record_type),
            "totals": _object(
                {
                    "records": {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1},
                    "last_sequence": {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1},
                    "sums": _object(dict.fromkeys(record_type.amounts, _SUM)),
                }
            ),
            "header_line": _object({"header": _ref("header")}),
            "totals_line": _object({"totals": _ref("totals")}),
        },
    }  # fmt: skip


def _record(record_type: RecordType) -> dict[str, Any]:
    person = record_type.subject == "national_number"
    record = _object(
        {
            "sequence": {"type": "integer", "minimum": 1, "maximum": 10**MAX_DIGITS - 1},
            "subject": _NATIONAL if person else _ENTERPRISE,
            "fields": _object({field.name: _field(field) for field in record_type.fields}),
        }
    )
    if person:
        record["properties"]["replaced_by"] = _NATIONAL
    return record


def _field(field: FieldSpec) -> dict[str, Any]:
    value = _object({"status": {"const": "value"}, "value": _value(field)})
    if field.kind == "national_number":
        value["properties"]["replaced_by"] = _NATIONAL
    others = [status for status in STATUS_CODES if status != "value"]
    return {
        "title": field.label.en,
        "oneOf": [value, _object({"status": {"enum": others}})],
    }


def _value(field: FieldSpec) -> dict[str, Any]:
    if field.kind == "text":
        return {
            "type": "string",
            "maxLength": field.width,
            "pattern": r"^[^ \u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*"
            r"[^ \u0000-\u001f\u007f-\u009f])?$",
        }
    if field.kind in ("number", "money"):
        limit = 10**field.width - 1
        return {"type": "integer", "minimum": -limit, "maximum": limit}
    if field.kind == "flag":
        return {"type": "boolean"}
    if field.kind == "date":
        return {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"}
    if field.kind == "partial_date":
        return {
            "type": "string",
            "pattern": "^[0-9]{4}-(00-00|(0[1-9]|1[0-2])-(0[0-9]|[12][0-9]|3[01]))$",
        }
    return _NATIONAL if field.kind == "national_number" else _ENTERPRISE


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}
