"""The person in an answer of GeefPersoon 02.02. Pure.

Each key of `Person` is an element of the source; nothing is derived, filled in, or taken from the number. Relatives and
members of the household are in the answer too and are not read here.

Source: MAGDA schemas `Persoon/Persoon-v3.xsd` and `PersoonGemeenschappelijk-v3.xsd`.
"""

from collections.abc import Mapping

import msgspec
from lxml import etree

from koinon.integrator.drivers.magda.envelope import NEW_NUMBER, Remark, words
from koinon.integrator.drivers.magda.places import Address, Coded, Doubts, Place, coded, read_place
from koinon.integrator.drivers.numbers import check_digits
from koinon.integrator.drivers.values import PartialDate
from koinon.integrator.drivers.wires.xml import find_text, text_of

KINDS: Mapping[str, str] = {
    "Hoofdverblijfplaats": "main_residence",
    "VerblijfplaatsBuitenland": "residence_abroad",
    "ContactAdres": "contact",
    "WettelijkeWoonplaats": "legal_domicile",
    "OpgegevenAdres": "declared",
    "PostadresBuitenland": "postal_abroad",
    "AangifteAdresBuitenland": "declared_abroad",
    "AangifteAdreswijziging": "declared_change",
    "PlaatsHerkomst": "origin",
}
"""Addresses of a person. The first three can be where the person is reached; the others are declarations."""

_REACHED = ("main_residence", "residence_abroad", "contact")
_SEXES: Mapping[str, str] = {"1": "male", "2": "female"}
_SEX_WORDS: Mapping[str, str] = {"mannelijk": "male", "vrouwelijk": "female"}
# Observed in the test answers: the status of somebody who died. The date may be missing beside it.
_DIED = "99990"


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A person.

    Attributes:
        national_number: as the source writes it; `number_valid`: eleven digits, the last two right.
        usual_given_name: the given name that the person goes by, where it is not the first.
        deceased: True where the source says so, also without a date; None where it says nothing, which is no proof
            of life: an authorisation may leave the block out.
        nationalities: NIS/INS codes of countries.
        address: the main residence, else the residence abroad, else the contact address, whichever has not ended; its
            `kind` says which. `addresses`: all, ended ones and declarations too.
        address_confidential: the municipality decided that the address is not to be told.
        replaced_by: the number that took the place of this one; `replaces`: the cancelled one that this one replaced.
        managed_by: the municipality, or for those abroad the country of the consular post, that keeps the file.
        source: `RR` (national register) or `KSZ`.
        doubtful: fields whose value in the answer is impossible (then None) or contradicts itself (then as coded).
    """

    national_number: str
    number_valid: bool
    family_names: tuple[str, ...] = ()
    given_names: tuple[str, ...] = ()
    usual_given_name: str | None = None
    birth_date: PartialDate | None = None
    birth_place: Place | None = None
    death_date: PartialDate | None = None
    deceased: bool | None = None
    sex: str | None = None
    nationalities: tuple[str, ...] = ()
    address: Address | None = None
    addresses: tuple[Address, ...] = ()
    address_confidential: bool | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    statuses: tuple[Coded, ...] = ()
    register: Coded | None = None
    managed_by: Place | None = None
    source: str | None = None
    doubtful: tuple[str, ...] = ()


def has_check_digits(number: str) -> bool:
    """Whether these are eleven digits of which the last two are right, for either century.

    Wider than `is_national_number`: test persons of others have days of birth that no calendar knows.
    """
    if len(number) != 11 or not (number.isascii() and number.isdigit()):
        return False
    return number[9:] in (
        check_digits(number[:9], born_from_2000=False),
        check_digits(number[:9], born_from_2000=True),
    )


def read_person(element: etree._Element, day: PartialDate | None, remarks: tuple[Remark, ...]) -> Person:
    """The person in a `Persoon`; `day` is that of the answer, `remarks` are its exceptions.

    Raises:
        WireFault: `garbage`: it has no number, or two of what there can be one.
    """
    doubts = Doubts()
    number = text_of(element, "INSZ")
    given = [
        (name, one.get("GebruikelijkeVoornaam")) for one, name in _texts(element, "Naam/Voornamen/Voornaam")
    ]
    addresses = _addresses(element.find("Adressen"), doubts)
    current = {one.kind: one for one in reversed(addresses) if not one.ended(day)}
    statuses = [one for one in map(coded, element.iterfind("Statussen/Status")) if one is not None]
    died = element.find("Overlijden") is not None or any(one.code == _DIED for one in statuses)
    return Person(
        national_number=number,
        number_valid=has_check_digits(number),
        family_names=tuple(name for _, name in _texts(element, "Naam/Achternamen/Achternaam")),
        given_names=tuple(name for name, _ in given),
        usual_given_name=next((name for name, usual in given if usual == "1"), None),
        birth_date=doubts.date(find_text(element, "Geboorte/Datum"), "birth_date"),
        birth_place=read_place(element.find("Geboorte/Plaats")),
        death_date=doubts.date(find_text(element, "Overlijden/Datum"), "death_date"),
        deceased=True if died else None,
        sex=_sex(element, doubts),
        nationalities=tuple(code for _, code in _texts(element, "Nationaliteiten/Nationaliteit/Code")),
        address=next((current[kind] for kind in _REACHED if kind in current), None),
        addresses=tuple(addresses),
        address_confidential=True if element.find("Adressen/NietMededeelbaarAdres") is not None else None,
        replaced_by=_replacement(element, number, remarks),
        replaces=find_text(element, "GeannuleerdDossier/INSZ"),
        statuses=tuple(statuses),
        register=coded(element.find("Register")),
        managed_by=read_place(element.find("Beheerder/Plaats")),
        source=element.get("Bron"),
        doubtful=doubts.fields,
    )


def _texts(element: etree._Element, path: str) -> list[tuple[etree._Element, str]]:
    found = [(one, (one.text or "").strip()) for one in element.iterfind(path)]
    return [(one, text) for one, text in found if text]


def _sex(element: etree._Element, doubts: Doubts) -> str | None:
    said = coded(element.find("Geslacht"))
    if said is None:
        return None
    sex = _SEXES.get(said.code)
    described = _SEX_WORDS.get((said.description or "").lower(), sex)
    if sex is None or described != sex:
        doubts.note("sex")
    return sex


def _replacement(element: etree._Element, number: str, remarks: tuple[Remark, ...]) -> str | None:
    """A cancelled file names the file it refers to. Where an exception says that there is a new number, an annotation
    may name it.
    """
    found = find_text(element, "Referentiedossier/INSZ")
    if found is None:
        found = new_number(remarks)
    return None if found == number else found


def new_number(remarks: tuple[Remark, ...]) -> str | None:
    """The new number that an exception says the person was given, where an annotation says which it is."""
    for remark in remarks:
        if remark.code == NEW_NUMBER:
            for one in remark.annotations:
                if "nieuw" in one.name.lower() and has_check_digits(one.value):
                    return one.value
    return None


def _addresses(element: etree._Element | None, doubts: Doubts) -> list[Address]:
    found = [] if element is None else [one for one in element if one.tag in KINDS]
    return [_address(one, KINDS[str(one.tag)], doubts) for one in found]


def _address(element: etree._Element, kind: str, doubts: Doubts) -> Address:
    texts = [words(text) for _, text in _texts(element, "Teksten/Tekst") + _texts(element, "Tekst")]
    full = find_text(element, "VolledigAdres/String")
    return Address(
        kind=kind,
        street=_first(element, "Straatnaam/String", "NietGestandaardiseerdeStraatnaam/String"),
        house_number=find_text(element, "Huisnummer"),
        box=find_text(element, "Busnummer"),
        postal_code=find_text(element, "Postcode"),
        municipality=_first(element, "Gemeentenaam/String", "NietGestandaardiseerdeGemeentenaam/String"),
        municipality_code=find_text(element, "NISCodeGemeente"),
        country=_first(element, "Land/String", "Land/Naam"),
        country_code=_first(element, "NISCodeLand", "Land/NISCode"),
        country_iso=_first(element, "ISOCodeLand", "Land/ISOCode"),
        lines=tuple(line for line in (*texts, words(full)) if line),
        valid_from=doubts.date(element.get("DatumBegin"), "address"),
        valid_until=doubts.date(element.get("DatumEinde"), "address"),
    )


def _first(element: etree._Element, *paths: str) -> str | None:
    return next((text for path in paths if (text := find_text(element, path)) is not None), None)
