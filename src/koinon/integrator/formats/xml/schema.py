"""The XML Schema of a record type. Source: W3C XML Schema 1.0, parts 1 and 2."""

from functools import lru_cache
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from koinon.integrator.formats.kinds import MAX_DIGITS
from koinon.integrator.formats.model import STATUS_CODES, FieldSpec, RecordType
from koinon.integrator.formats.xml.names import namespace

_NUMBER = "[0-9]{11}"
_HEADER_TEXT = "[!-~]([ -~]{0,58}[!-~])?"
# Whitespace of values is kept: a schema processor that collapses it would accept what the reader refuses.
_PATTERNS = {
    "flag": "true|false",
    "date": "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    "partial_date": "[0-9]{4}-(00-00|(0[1-9]|1[0-2])-(0[0-9]|[12][0-9]|3[01]))",
    "national_number": _NUMBER,
    "enterprise_number": "[01][0-9]{9}",
}


def xml_schema(record_type: RecordType) -> str:
    """The schema. It says form and order; what only the reader can say: check digits, days that exist, that an
    element has a value exactly when its status is `value`, and the totals.
    """
    fields = "".join(_field(field) for field in record_type.fields)
    types = "".join(_type(field) for field in record_type.fields)
    subject = _NUMBER if record_type.subject == "national_number" else "[01][0-9]{9}"
    replaced = (
        '\n      <xs:attribute name="replaced_by" type="national_number"/>'
        if record_type.subject == "national_number"
        else ""
    )
    statuses = "".join(f'<xs:enumeration value="{status}"/>' for status in STATUS_CODES)
    texts = "".join(
        f'\n      <xs:element name="{name}" type="header_text"/>'
        for name in ("sender", "flow", "purpose", "reference")
    )
    sums = (
        f'\n        <xs:element name="sum" minOccurs="{len(record_type.amounts)}"'
        f' maxOccurs="{len(record_type.amounts)}" type="sum"/>'
        if record_type.amounts
        else ""
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="{namespace(record_type)}"
    targetNamespace="{namespace(record_type)}" elementFormDefault="qualified"
    version="{record_type.version}">
  <xs:annotation>{_languages(record_type.title)}</xs:annotation>
  <xs:element name="message">
    <xs:complexType><xs:sequence>
      <xs:element name="header" type="header"/>
      <xs:element name="record" type="record" minOccurs="0" maxOccurs="unbounded"/>
      <xs:element name="totals">
        <xs:complexType><xs:sequence>
        <xs:element name="records" type="count"/>
        <xs:element name="last_sequence" type="count"/>{sums}
        </xs:sequence></xs:complexType>
      </xs:element>
    </xs:sequence></xs:complexType>
  </xs:element>
  <xs:complexType name="header"><xs:sequence>
      <xs:element name="record_type" fixed="{record_type.name}" type="xs:string"/>
      <xs:element name="version" fixed="{record_type.version}" type="xs:string"/>{texts}
      <xs:element name="created" type="created"/>
  </xs:sequence></xs:complexType>
  <xs:complexType name="record">
      <xs:sequence>{fields}
      </xs:sequence>
      <xs:attribute name="sequence" type="sequence" use="required"/>
      <xs:attribute name="subject" use="required">
        <xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="{subject}"/></xs:restriction></xs:simpleType>
      </xs:attribute>{replaced}
  </xs:complexType>
  <xs:complexType name="sum"><xs:simpleContent><xs:extension base="cents">
      <xs:attribute name="field" type="xs:string" use="required"/>
  </xs:extension></xs:simpleContent></xs:complexType>
  {_simple("national_number", _NUMBER)}
  {_simple("header_text", _HEADER_TEXT)}
  {_simple("created", "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")}
  {_simple("count", f"0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}}")}
  {_simple("sequence", f"[1-9][0-9]{{0,{MAX_DIGITS - 1}}}")}
  {_simple("cents", "-?(0|[1-9][0-9]{0,19})")}
  {_simple("nothing", "")}
  <xs:simpleType name="status"><xs:restriction base="xs:string">{statuses}</xs:restriction></xs:simpleType>{types}
</xs:schema>
"""


@lru_cache(maxsize=64)
def compiled_schema(record_type: RecordType) -> etree.XMLSchema:
    """The schema, ready to validate with."""
    return etree.XMLSchema(etree.fromstring(xml_schema(record_type).encode()))


def _simple(name: str, pattern: str) -> str:
    return (
        f'<xs:simpleType name="{name}"><xs:restriction base="xs:string">'
        f"<xs:pattern value={quoteattr(pattern)}/></xs:restriction></xs:simpleType>"
    )


def _field(field: FieldSpec) -> str:
    replaced = (
        '\n            <xs:attribute name="replaced_by" type="national_number"/>'
        if field.kind == "national_number"
        else ""
    )
    return f"""
        <xs:element name="{field.name}">
          <xs:annotation>{_languages(field.label)}</xs:annotation>
          <xs:complexType><xs:simpleContent><xs:extension base="{field.name}.or_nothing">
            <xs:attribute name="status" type="status" default="value"/>{replaced}
          </xs:extension></xs:simpleContent></xs:complexType>
        </xs:element>"""


def _type(field: FieldSpec) -> str:
    if field.kind == "text":
        # A space at neither end; whatever else the text may hold is said by XML itself and by the reader.
        facets = f'<xs:maxLength value="{field.width}"/><xs:pattern value="[^ ]|[^ ](.|\\s)*[^ ]"/>'
    elif field.kind in ("number", "money"):
        facets = f'<xs:pattern value="-?(0|[1-9][0-9]{{0,{field.width - 1}}})"/>'
    else:
        facets = f'<xs:pattern value="{_PATTERNS[field.kind]}"/>'
    return f"""
  <xs:simpleType name="{field.name}.value"><xs:restriction base="xs:string">{facets}</xs:restriction></xs:simpleType>
  <xs:simpleType name="{field.name}.or_nothing"><xs:union memberTypes="{field.name}.value nothing"/></xs:simpleType>"""


def _languages(text: object) -> str:
    return "".join(
        f'<xs:documentation xml:lang="{language}">{escape(getattr(text, language))}</xs:documentation>'
        for language in ("nl", "fr", "en")
    )
