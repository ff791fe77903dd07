"""The reference page of the formats, made out of the declarations: `docs/reference/formats.md`."""

from collections.abc import Iterable, Mapping

from koinon.integrator.formats.fixed import Place, header_places, record_places, totals_places
from koinon.integrator.formats.model import STATUS_CODES
from koinon.integrator.formats.record_types import RECORD_TYPES

REJECTS: Mapping[str, str] = {
    "attribute_unknown": "an attribute, or a name in an object, that has no meaning here",
    "comment_in_value": "XML: a comment or instruction inside a value",
    "date_malformed": "not a date in the form of its kind, or no such day",
    "enterprise_number_malformed": "not ten digits, or wrong check digits",
    "field_malformed": "JSON: a field that is not an object",
    "field_missing": "a field of the record type that is not there",
    "field_nested": "XML: an element inside a value",
    "field_repeated": "a field that is there twice",
    "field_unknown": "a field that the record type does not have",
    "fields_missing": "JSON: no object with fields",
    "fields_reordered": "XML: fields in another order than declared",
    "flag_malformed": "neither true nor false (fixed: 1, 0)",
    "json_malformed": "a line that is not a JSON object, or names one thing twice",
    "missing_not_carried": "writing: an answer that says what would be needed to know; declare a text field for it",
    "national_number_malformed": "not eleven digits, no such month or day part, or wrong check digits",
    "number_malformed": "not an integer in the form of its syntax",
    "number_out_of_range": "more digits than the field has",
    "record_length_wrong": "fixed: a line of another length than its record type's (as a broken message: the "
    "header says another length)",
    "record_tag_unknown": "fixed: a line that starts with neither R nor T",
    "replaced_by_not_expected": "an enterprise number that is said to be replaced",
    "sequence_malformed": "not a positive number of at most 15 digits",
    "status_unknown": "none of the five statuses",
    "text_ambiguous": "writing ISO-8859: a text that would read as UTF-8",
    "text_between_fields": "XML: text beside the fields",
    "text_empty": "a text of nothing",
    "text_forbidden_character": "a control character, or one that changes the direction of writing",
    "text_malformed": "JSON: not a text",
    "text_not_encodable": "writing: a character that the encoding does not have",
    "text_outer_space": "a space at the start or the end",
    "text_too_long": "longer than the field; in fixed-length records by bytes",
    "value_missing": "status value, and no value",
    "value_not_expected": "a value beside another status",
}
BROKEN: Mapping[str, str] = {
    "encoding_mixed": "bytes that are not of the encoding the file declares, or UTF-8 in one that declares ISO-8859",
    "encoding_unknown": "another encoding than UTF-8, ISO-8859-1, ISO-8859-15",
    "header_malformed": "a header with a field that is missing or wrong",
    "header_missing": "it does not start with a header",
    "json_malformed": "JSON document: not JSON",
    "line_too_long": "a line without end",
    "message_malformed": "JSON document: other names than header, records, totals",
    "message_too_large": "JSON document: over its limit",
    "message_trailing": "something behind the totals",
    "message_truncated": "it ends before its totals",
    "record_length_wrong": "fixed: the header says another length than the record type has",
    "record_too_large": "XML: a record without end",
    "record_type_unknown": "a record type that is not known",
    "record_type_version": "another version than the one that is known",
    "sequence_reordered": "a sequence number lower than the one before",
    "sequence_repeated": "a sequence number twice",
    "totals_malformed": "totals that cannot be read",
    "totals_wrong": "totals that differ from the records; the fact `differs` says in what",
    "xml_forbidden": "a document type, an entity, or a null",
    "xml_malformed": "not well-formed, or too deep",
    "xml_namespace_wrong": "another namespace than the record type's",
    "xml_unexpected": "an element or text where none belongs",
}


def format_page() -> str:
    """The page, in Markdown."""
    lines = [
        "# Formats of messages",
        "",
        "Generated from the declarations (`python -m koinon.integrator.formats.reference`). Positions count from 1.",
        "`koinon integrator schema NAME --as xsd|json-schema|layout` prints what describes one record type.",
        "",
        "Statuses in fixed-length records: "
        + ", ".join(f"`{code}` {status}" for status, code in STATUS_CODES.items())
        + ".",
        "",
        "## Fixed-length records: header",
        "",
        *_table(header_places()),
    ]
    for name, record_type in RECORD_TYPES.items():
        lines += ["", f"## `{name}`, version {record_type.version}", "", f"{record_type.title.en}.", ""]
        lines += ["| field | kind | width | nl | fr | en |", "|---|---|---|---|---|---|"]
        lines += [
            f"| `{field.name}` | {field.kind} | {field.width if field.kind in _WIDE else ''} "
            f"| {field.label.nl} | {field.label.fr} | {field.label.en} |"
            for field in record_type.fields
        ]
        lines += ["", "Record:", "", *_table(record_places(record_type))]
        lines += ["", "Totals:", "", *_table(totals_places(record_type))]
    lines += ["", "## Why a record is rejected", "", *_codes(REJECTS)]
    lines += ["", "## Why a file is refused", "", *_codes(BROKEN)]
    return "\n".join(lines) + "\n"


_WIDE = ("text", "number", "money")


def _table(places: Iterable[Place]) -> list[str]:
    rows = ["| position | width | what | kind | padding |", "|---|---|---|---|---|"]
    return rows + [
        f"| {place.position} | {place.width} | `{place.name}` | {place.kind} | {place.padding} |"
        for place in places
    ]


def _codes(codes: Mapping[str, str]) -> list[str]:
    return [
        "| code | meaning |",
        "|---|---|",
        *(f"| `{code}` | {meaning} |" for code, meaning in codes.items()),
    ]


if __name__ == "__main__":
    print(format_page(), end="")
