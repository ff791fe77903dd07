"""Answers kept in files, read without asking anybody. Pure but for `read_file`.

What a file says becomes one document: the person or the enterprise, or the fault because of which there is none. A file
that is no answer of the service becomes a fault of our own, with type `invalid_answer` and a code of `INVALID`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from lxml import etree

from koinon.base.errors import Invalid
from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.magda.enterprise import Enterprise, read_enterprise
from koinon.integrator.drivers.magda.envelope import Remark, read_envelope, read_remark, words
from koinon.integrator.drivers.magda.person import Person, read_person
from koinon.integrator.drivers.signed import ENVELOPE
from koinon.integrator.drivers.values import PartialDate
from koinon.integrator.drivers.wires.xml import parse_xml

MAX_BYTES = 16 * 1024 * 1024
NAMESPACES: Mapping[str, str] = {
    "GeefPersoon": "http://magda.vlaanderen.be/persoon/soap/geefpersoon/v02_02",
    "GeefOnderneming": "http://webservice.geefondernemingdienst-02_00.onderneming-02_00.vip.vlaanderen.be",
}
"""Services that are read, each in the version that its namespace names: 02.02 and 02.00."""
_KEYS: Mapping[str, str] = {"GeefPersoon": "person", "GeefOnderneming": "enterprise"}
_CONTENTS: Mapping[str, str] = {"GeefPersoon": "Persoon", "GeefOnderneming": "Onderneming"}

INVALID: Mapping[str, str] = {
    "unreadable_file": "the file cannot be read",
    "too_large": f"more than {MAX_BYTES // 1024 // 1024} MiB",
    "not_xml": "not well-formed XML, or not in an encoding that we read",
    "forbidden_xml": "a document type, an entity, or too deep",
    "not_an_answer": "no answer of MAGDA",
    "other_service": "an answer of another service or version",
    "empty_answer": "neither data nor an exception",
    "several_answers": "more than one answer",
    "malformed_answer": "a mandatory part is missing, or comes twice",
}
"""Codes of our own faults, with what happened."""
INVALID_ANSWER = "invalid_answer"

_SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
_DECLARED = re.compile(
    rb"""\A(?:\xef\xbb\xbf)?<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']"""
).search
# What Belgian systems still write. `parse_xml` reads UTF-8 and nothing else, so that no other can hide anything.
_LATIN = {"iso-8859-1": "iso-8859-1", "iso-8859-15": "iso-8859-15", "windows-1252": "cp1252"}


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says.

    Attributes:
        content: absent wherever there is a fault.
        fault: why there are no data: the source's exception, its SOAP fault (type `soap_fault`), or one of `INVALID`
            (type `invalid_answer`).
        remarks: the exceptions beside the data, and those beside the fault.
    """

    service: str
    content: Person | Enterprise | None = None
    fault: Remark | None = None
    remarks: tuple[Remark, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether it is an answer of the service, be it a fault."""
        return self.fault is None or self.fault.type != INVALID_ANSWER

    def document(self) -> dict[str, Any]:
        """As JSON values; incomplete dates as `YYYY` or `YYYY-MM`."""
        return {
            _KEYS[self.service]: _plain(self.content),
            "fault": _plain(self.fault),
            "remarks": _plain(self.remarks),
        }


def read_file(service: str, path: Path) -> StoredAnswer:
    """What the file says.

    Raises:
        Invalid: `unknown_service`.
    """
    _known(service)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        return _invalid(service, "unreadable_file")
    return read_stored(service, data)


def read_stored(service: str, data: bytes) -> StoredAnswer:
    """What an answer, with or without its SOAP envelope, says.

    Raises:
        Invalid: `unknown_service`.
    """
    _known(service)
    if len(data) > MAX_BYTES:
        return _invalid(service, "too_large")
    try:
        root = parse_xml(_utf8(data))
    except WireFault as fault:
        return _invalid(service, "forbidden_xml" if fault.code == "forbidden_xml" else "not_xml")
    try:
        return _read(service, _unwrapped(root))
    except WireFault as fault:
        several = fault.code == "duplicate_answer"
        return _invalid(service, "several_answers" if several else "malformed_answer", fault.detail)


def _read(service: str, answer: etree._Element) -> StoredAnswer:
    name = etree.QName(answer)
    if name.localname == "Fault" and name.namespace in (ENVELOPE, _SOAP_12):
        return StoredAnswer(service=service, fault=_soap_fault(answer))
    if name.localname != f"{service}Response" or name.namespace != NAMESPACES[service]:
        answers = name.localname.endswith("Response") and answer.find("{*}Repliek") is not None
        return _invalid(service, "other_service" if answers else "not_an_answer")
    envelope = read_envelope(answer)
    if (fault := envelope.fault) is not None:
        others = tuple(remark for remark in envelope.remarks if remark is not fault)
        return StoredAnswer(service=service, fault=fault, remarks=others)
    if not envelope.contents:
        return _invalid(service, "empty_answer")
    if len(envelope.contents) > 1:
        return _invalid(service, "several_answers")
    content = envelope.contents[0]
    if content.tag != _CONTENTS[service]:
        return _invalid(service, "malformed_answer", str(content.tag))
    read = (
        read_person(content, envelope.day, envelope.remarks)
        if service == "GeefPersoon"
        else read_enterprise(content, envelope.day)
    )
    return StoredAnswer(service=service, content=read, remarks=envelope.remarks)


def _known(service: str) -> None:
    if service not in NAMESPACES:
        raise Invalid("unknown_service", source="magda", service=service, known=sorted(NAMESPACES))


def _utf8(data: bytes) -> bytes:
    declared = _DECLARED(data[:256])
    encoding = _LATIN.get(declared[1].decode().lower()) if declared else None
    try:
        return data.decode(encoding).encode() if encoding else data
    except UnicodeDecodeError:
        raise WireFault("garbage", "encoding") from None


def _unwrapped(root: etree._Element) -> etree._Element:
    name = etree.QName(root)
    if name.localname != "Envelope" or name.namespace not in (ENVELOPE, _SOAP_12):
        return root
    bodies = root.findall(f"{{{name.namespace}}}Body")
    if len(bodies) != 1 or len(bodies[0]) != 1:
        raise WireFault("garbage", "Body")
    return bodies[0][0]


def _soap_fault(element: etree._Element) -> Remark:
    """A fault of the gateway: its exception where it carries one, else its SOAP code and text."""
    for one in element.iterdescendants():
        one.tag = etree.QName(one).localname
    exception = element.find(".//Uitzondering")
    if exception is not None:
        return read_remark(exception)
    code = element.findtext("faultcode") or element.findtext("Code/Value") or ""
    text = element.findtext("faultstring") or element.findtext("Reason/Text")
    return Remark(code=code.strip().rpartition(":")[2] or "unknown", type="soap_fault", message=words(text))


def _invalid(service: str, code: str, detail: str = "") -> StoredAnswer:
    message = f"{INVALID[code]}: {detail}" if detail else INVALID[code]
    return StoredAnswer(service=service, fault=Remark(code=code, type=INVALID_ANSWER, message=message))


def _plain(value: Any) -> Any:
    if isinstance(value, PartialDate):
        parts = (f"{value.year:04}", f"{value.month:02}", f"{value.day:02}")
        return "-".join(parts[: 3 if value.day else 2 if value.month else 1])
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
