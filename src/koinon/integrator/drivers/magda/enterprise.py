"""The enterprise in an answer of GeefOnderneming 02.00. Pure.

Source: MAGDA schemas `Onderneming-02.00/OndernemingComplex.xsd`; MAGDA user environment, page "Onderneming 2.00".
"""

from collections.abc import Iterable, Mapping

import msgspec
from lxml import etree

from koinon.integrator.drivers.magda.envelope import words
from koinon.integrator.drivers.magda.places import Address, AddressText, Coded, Doubts, coded
from koinon.integrator.drivers.values import PartialDate
from koinon.integrator.drivers.wires.xml import find_text, text_of

KINDS: Mapping[str, str] = {"001": "registered_office", "002": "establishment", "003": "branch"}
"""Kinds of address by code of the KBO/BCE; another code stays as it is."""

_NAMES: Mapping[str, str] = {
    "MaatschappelijkeNamen/MaatschappelijkeNaam": "legal",
    "AfgekorteNamen/AfgekorteNaam": "abbreviated",
    "CommercieleNamen/CommercieleNaam": "commercial",
}
_ACTIVE: Mapping[str, bool] = {"AC": True, "ST": False}
_ENTITIES: Mapping[str, str] = {"1": "enterprise", "2": "establishment"}
_TYPES: Mapping[str, str] = {"1": "natural_person", "2": "legal_person"}


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """A name: `legal`, `abbreviated` or `commercial`, in a language (`nl`, `fr`, `de`, `en`)."""

    kind: str
    name: str
    language: str | None = None
    valid_from: PartialDate | None = None
    valid_until: PartialDate | None = None


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """A code that holds from a day until a last day: legal form, legal situation, reason of striking off.

    `abbreviation` is that of a legal form.
    """

    code: str
    description: str | None = None
    abbreviation: str | None = None
    valid_from: PartialDate | None = None
    valid_until: PartialDate | None = None


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """An activity by NACE code of the edition of that year; `P` is a main activity, `S` a secondary one."""

    nace: str
    edition: str | None = None
    type: str | None = None
    group: str | None = None
    valid_from: PartialDate | None = None
    valid_until: PartialDate | None = None


class Establishment(msgspec.Struct, frozen=True, kw_only=True):
    """An establishment unit of an enterprise."""

    number: str
    number_valid: bool
    status: Coded | None = None
    active: bool | None = None
    names: tuple[Name, ...] = ()
    address: Address | None = None
    addresses: tuple[Address, ...] = ()
    valid_from: PartialDate | None = None
    valid_until: PartialDate | None = None


class Enterprise(msgspec.Struct, frozen=True, kw_only=True):
    """An enterprise, or an establishment where that was asked (`entity`).

    Attributes:
        enterprise_number: as the source writes it; `number_valid`: ten digits, the last two right.
        active: as the status says; None where it is another than active or stopped.
        address: the registered office that has not ended; `addresses`: all.
        legal_form: the one that has not ended; the last begun where the source gives several.
        start_date: of the enterprise; `registration_date`: in the KBO/BCE.
        struck_off: reasons for which the KBO/BCE struck it off of its own accord.
        doubtful: fields whose value in the answer is impossible.
    """

    enterprise_number: str
    number_valid: bool
    entity: str | None = None
    status: Coded | None = None
    active: bool | None = None
    type: str | None = None
    names: tuple[Name, ...] = ()
    address: Address | None = None
    addresses: tuple[Address, ...] = ()
    legal_form: Dated | None = None
    legal_situations: tuple[Dated, ...] = ()
    start_date: PartialDate | None = None
    registration_date: PartialDate | None = None
    end_date: PartialDate | None = None
    end_reason: Coded | None = None
    closing_date: PartialDate | None = None
    struck_off: tuple[Dated, ...] = ()
    activities: tuple[Activity, ...] = ()
    establishments: tuple[Establishment, ...] = ()
    source: Coded | None = None
    doubtful: tuple[str, ...] = ()


def has_check_digits(number: str) -> bool:
    """Whether these are ten digits of which the last two are 97 less the first eight modulo 97: the rule of enterprises
    (which begin with 0 or 1) and of establishment units (2 to 8).
    """
    return (
        len(number) == 10
        and number.isascii()
        and number.isdigit()
        and int(number[8:]) == 97 - int(number[:8]) % 97
    )


def read_enterprise(element: etree._Element, day: PartialDate | None) -> Enterprise:
    """The enterprise in an `Onderneming`; `day` is that of the answer.

    Raises:
        WireFault: `garbage`: it has no number, or two of what there can be one.
    """
    doubts = Doubts()
    number = text_of(element, "Ondernemingsnummer")
    status = coded(element.find("StatusKBO"))
    entity, kind = coded(element.find("OndernemingOfVestiging")), coded(element.find("SoortOnderneming"))
    addresses = _addresses(element, doubts)
    return Enterprise(
        enterprise_number=number,
        number_valid=has_check_digits(number),
        entity=_named(entity, _ENTITIES),
        status=status,
        active=None if status is None else _ACTIVE.get(status.code),
        type=_named(kind, _TYPES),
        names=_names(element, doubts),
        address=_current(addresses, day),
        addresses=addresses,
        legal_form=_last(_dated(element.iterfind("Rechtsvormen/Rechtsvorm"), "legal_form", doubts), day),
        legal_situations=_dated(
            element.iterfind("Rechtstoestanden/Rechtstoestand"), "legal_situations", doubts
        ),
        start_date=doubts.date(find_text(element, "Start/Datum"), "start_date"),
        registration_date=doubts.date(find_text(element, "Inschrijving/Datum"), "registration_date"),
        end_date=doubts.date(find_text(element, "Stopzetting/Datum"), "end_date"),
        end_reason=coded(element.find("Stopzetting")),
        closing_date=doubts.date(find_text(element, "Afsluiting/Datum"), "closing_date"),
        struck_off=_struck_off(element, doubts),
        activities=tuple(
            _activity(one, doubts)
            for one in element.iterfind("Activiteiten/Activiteit")
            if find_text(one, "Nace/Code") is not None
        ),
        establishments=tuple(
            _establishment(one, day, doubts) for one in element.iterfind("Vestigingen/Vestiging")
        ),
        source=coded(element.find("AuthentiekBron")),
        doubtful=doubts.fields,
    )


def _establishment(element: etree._Element, day: PartialDate | None, doubts: Doubts) -> Establishment:
    number = text_of(element, "Vestigingsnummer")
    status = coded(element.find("StatusKBO"))
    addresses = _addresses(element, doubts)
    return Establishment(
        number=number,
        number_valid=has_check_digits(number),
        status=status,
        active=None if status is None else _ACTIVE.get(status.code),
        names=_names(element, doubts),
        address=_current(addresses, day),
        addresses=addresses,
        valid_from=doubts.date(element.get("DatumBegin"), "establishments"),
        valid_until=doubts.date(element.get("DatumEinde"), "establishments"),
    )


def _named(said: Coded | None, names: Mapping[str, str]) -> str | None:
    return None if said is None else names.get(said.code, said.code)


def _names(element: etree._Element, doubts: Doubts) -> tuple[Name, ...]:
    return tuple(
        Name(
            kind=kind,
            name=name,
            language=_language(one),
            valid_from=doubts.date(one.get("DatumBegin"), "names"),
            valid_until=doubts.date(one.get("DatumEinde"), "names"),
        )
        for path, kind in _NAMES.items()
        for one in element.iterfind(f"Namen/{path}")
        if (name := words(find_text(one, "Naam"))) is not None
    )


def _language(element: etree._Element) -> str | None:
    language = find_text(element, "Taalcode")
    return None if language is None else language.lower()


def _dated(elements: Iterable[etree._Element], field: str, doubts: Doubts) -> tuple[Dated, ...]:
    return tuple(
        Dated(
            code=said.code,
            description=said.description,
            abbreviation=find_text(one, "Afkorting"),
            valid_from=doubts.date(one.get("DatumBegin"), field),
            valid_until=doubts.date(one.get("DatumEinde"), field),
        )
        for one in elements
        if (said := coded(one)) is not None
    )


def _last(forms: tuple[Dated, ...], day: PartialDate | None) -> Dated | None:
    current = [
        one
        for one in forms
        if day is None or one.valid_until is None or one.valid_until.latest >= day.earliest
    ]
    return max(current, key=lambda one: str(one.valid_from or ""), default=None)


def _struck_off(element: etree._Element, doubts: Doubts) -> tuple[Dated, ...]:
    return tuple(
        Dated(
            code=reason.code,
            description=reason.description,
            valid_from=doubts.date(one.get("DatumBegin"), "struck_off"),
            valid_until=doubts.date(one.get("DatumEinde"), "struck_off"),
        )
        for one in element.iterfind("AmbtshalveDoorhalingen/AmbtshalveDoorhaling")
        if (reason := coded(one.find("Reden"))) is not None
    )


def _activity(element: etree._Element, doubts: Doubts) -> Activity:
    return Activity(
        nace=text_of(element, "Nace/Code"),
        edition=find_text(element, "Nace/Versie"),
        type=find_text(element, "Type/Code"),
        group=find_text(element, "Groep"),
        valid_from=doubts.date(element.get("DatumBegin"), "activities"),
        valid_until=doubts.date(element.get("DatumEinde"), "activities"),
    )


def _addresses(element: etree._Element, doubts: Doubts) -> tuple[Address, ...]:
    return tuple(_address(one, doubts) for one in element.iterfind("Adressen/Adres"))


def _address(element: etree._Element, doubts: Doubts) -> Address:
    code = find_text(element, "Type/Code") or ""
    texts = tuple(
        AddressText(
            _language(one), find_text(one, "Adres/Straat/Naam"), find_text(one, "Adres/Gemeente/Naam")
        )
        for one in element.iterfind("Descripties/Descriptie")
        if one.find("Adres") is not None
    )
    # Without names of its own, an address has them in its descriptions: Dutch first, else as they come.
    described = min(
        texts, key=lambda one: one.language not in (None, "nl"), default=AddressText(None, None, None)
    )
    return Address(
        kind=KINDS.get(code, code),
        street=find_text(element, "Straat/Naam") or described.street,
        house_number=find_text(element, "Huisnummer"),
        box=find_text(element, "Busnummer"),
        postal_code=find_text(element, "Gemeente/PostCode"),
        municipality=find_text(element, "Gemeente/Naam") or described.municipality,
        municipality_code=find_text(element, "Gemeente/NISCode"),
        country=find_text(element, "Land/Naam"),
        country_code=find_text(element, "Land/NISCode"),
        country_iso=find_text(element, "Land/ISOCode"),
        lines=tuple(
            line
            for one in element.iterfind("Descripties/Descriptie")
            if (line := words(find_text(one, "Aanvulling"))) is not None
        ),
        texts=texts,
        valid_from=doubts.date(element.get("DatumBegin"), "address"),
        valid_until=doubts.date(element.get("DatumEinde"), "address"),
    )


def _current(addresses: tuple[Address, ...], day: PartialDate | None) -> Address | None:
    """Where it is: the address that has not ended, the registered office before others."""
    current = [one for one in addresses if not one.ended(day)]
    return min(current, key=lambda one: one.kind != KINDS["001"], default=None)
