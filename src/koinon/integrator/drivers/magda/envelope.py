"""The envelope around every MAGDA 2.0 answer: who answers to whom, and what went wrong. Pure.

An answer carries data, exceptions, or both. An exception (`Uitzondering`) has a code, an origin, a type and
a diagnosis: `FOUT` means that the question or a part of it could not be answered, `WAARSCHUWING` that the
data beside it must be read otherwise, `INFORMATIE` nothing of the kind.

Source: MAGDA schemas `Generiek-02.00/Context.xsd` and `Uitzondering.xsd`; MAGDA user environment, pages
"Uitzonderingen" of the services.
"""

import msgspec
from lxml import etree

from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.values import PartialDate
from koinon.integrator.drivers.wires.xml import find_text, text_of

FAULT = "FOUT"
NEW_NUMBER = "30004"
"""Code of the exception that says that the person was given another national number."""


class Annotation(msgspec.Struct, frozen=True):
    """What an exception says besides, as the element of the answer that it is about."""

    name: str
    value: str


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """An exception in the source's own words."""

    code: str
    type: str
    message: str | None = None
    origin: str | None = None
    circumstance: str | None = None
    annotations: tuple[Annotation, ...] = ()


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An answer without its content.

    Attributes:
        ticket: the source's own reference.
        asked: the reference of the message that it answers; `question`: that of the question in it.
        day: when the answer was made; what ended before it has ended.
        contents: the elements inside `Inhoud`.
        remarks: exceptions, those of the whole message first.
    """

    ticket: str | None
    asked: str | None
    question: str | None
    day: PartialDate | None
    contents: tuple[etree._Element, ...]
    remarks: tuple[Remark, ...]

    @property
    def fault(self) -> Remark | None:
        """The exception because of which there is no data: the first of type `FOUT`, or, where nothing else
        came, the first of all.
        """
        faults = [remark for remark in self.remarks if remark.type == FAULT]
        if faults:
            return faults[0]
        return self.remarks[0] if self.remarks and not self.contents else None


def read_envelope(answer: etree._Element) -> Envelope:
    """What the envelope says. `answer` is the element in the body; its descendants lose their namespaces.

    The schemas leave descendants without namespace. Some gateways declare a default one around them, which
    changes their names and not their meaning.

    Raises:
        WireFault: `garbage`: a part that every answer has is missing, or comes twice.
    """
    for element in answer.iterdescendants():
        element.tag = etree.QName(element).localname
    reply = _one(answer, "Repliek")
    context = _one(reply, "Context")
    remarks = _remarks(reply)
    contents: list[etree._Element] = []
    question = None
    parts = reply.findall("Antwoorden/Antwoord")
    if len(parts) > 1:
        raise WireFault("duplicate_answer")
    for part in parts:
        question = find_text(part, "Referte")
        contents.extend(part.iterfind("Inhoud/*"))
        remarks.extend(_remarks(part))
    return Envelope(
        ticket=find_text(context, "Bericht/Afzender/Referte"),
        asked=find_text(context, "Bericht/Ontvanger/Referte"),
        question=question,
        day=_day(find_text(context, "Bericht/Tijdstip/Datum")),
        contents=tuple(contents),
        remarks=tuple(remarks),
    )


def read_remark(exception: etree._Element) -> Remark:
    """One exception.

    Raises:
        WireFault: `garbage`: it has no code or no type.
    """
    return Remark(
        code=text_of(exception, "Identificatie"),
        type=text_of(exception, "Type"),
        message=words(find_text(exception, "Diagnose")),
        origin=find_text(exception, "Oorsprong"),
        circumstance=words(find_text(exception, "Omstandigheid")),
        annotations=tuple(
            Annotation(find_text(one, "Naam") or "", find_text(one, "Waarde") or "")
            for one in exception.iterfind("Annotaties/Annotatie")
        ),
    )


def words(text: str | None) -> str | None:
    """`text` on one line: the way a message was laid out is not part of a description."""
    return " ".join(text.split()) if text else None


def read_date(text: str) -> PartialDate | None:
    """The date as far as the register knows it; None where it knows nothing of it.

    Registers write zero for an unknown part; the schema's pattern lets nine stand for it too. A time zone
    may follow (`xs:date`).

    Source: `Generiek/DatumTijd-v3.xsd`, OnvolledigeDatumType.

    Raises:
        ValueError: no such day exists, or a part is known of which the larger one is not.
    """
    year, month, day = (text[:4], text[5:7], text[8:10]) if _is_date(text) else ("", "", "")
    if not year:
        raise ValueError("not a date")
    month, day = month.replace("99", "00"), day.replace("99", "00")
    if (year, month, day) in (("0000", "00", "00"), ("9999", "00", "00")):
        return None
    return PartialDate.parse(f"{year}-{month}-{day}")


def _is_date(text: str) -> bool:
    digits, zone = text[:4] + text[5:7] + text[8:10], text[10:]
    zoned = not zone or zone == "Z" or (len(zone) == 6 and zone[0] in "+-" and zone[3] == ":")
    return len(digits) == 8 and digits.isascii() and digits.isdigit() and text[4] == text[7] == "-" and zoned


def _day(text: str | None) -> PartialDate | None:
    try:
        return read_date(text) if text else None
    except ValueError:
        return None


def _remarks(parent: etree._Element) -> list[Remark]:
    return [read_remark(one) for one in parent.iterfind("Uitzonderingen/Uitzondering")]


def _one(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(name)
    if len(found) != 1:
        raise WireFault("garbage", name)
    return found[0]
