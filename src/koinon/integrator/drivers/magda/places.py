"""Addresses and places in MAGDA's answers. Pure."""

import msgspec
from lxml import etree

from koinon.integrator.drivers.magda.envelope import read_date, words
from koinon.integrator.drivers.values import PartialDate
from koinon.integrator.drivers.wires.xml import find_text

BELGIUM = "150"
"""NIS/INS code of Belgium."""


class Coded(msgspec.Struct, frozen=True):
    """A code of the source with its description, where it gave one."""

    code: str
    description: str | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A municipality (NIS/INS code and name), a country (likewise), or both."""

    municipality_code: str | None = None
    municipality: str | None = None
    country_code: str | None = None
    country: str | None = None


class AddressText(msgspec.Struct, frozen=True):
    """The names in an address, in one language."""

    language: str | None
    street: str | None
    municipality: str | None


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address as the source has it.

    Attributes:
        kind: what it is, see `KINDS` in `person.py` and `enterprise.py`.
        municipality_code: NIS/INS code, in Belgium only.
        country_code: NIS/INS code of the country; `country_iso` as the source writes it, two or three letters.
        lines: free text, as addresses abroad are written.
        texts: names in each language, where the source gives more than one.
        valid_until: the last day.
    """

    kind: str
    street: str | None = None
    house_number: str | None = None
    box: str | None = None
    postal_code: str | None = None
    municipality: str | None = None
    municipality_code: str | None = None
    country: str | None = None
    country_code: str | None = None
    country_iso: str | None = None
    lines: tuple[str, ...] = ()
    texts: tuple[AddressText, ...] = ()
    valid_from: PartialDate | None = None
    valid_until: PartialDate | None = None

    def ended(self, day: PartialDate | None) -> bool:
        """Whether it had certainly ended before `day`."""
        return day is not None and self.valid_until is not None and self.valid_until.latest < day.earliest

    def __str__(self) -> str:
        street = " ".join(
            part for part in (self.street, self.house_number, self.box and f"/ {self.box}") if part
        )
        town = " ".join(part for part in (self.postal_code, self.municipality) if part)
        abroad = self.country if self.country_code not in (None, BELGIUM) else None
        return ", ".join(part for part in (street, *self.lines, town, abroad) if part)


class Doubts:
    """Collects the fields whose value in the answer is impossible or contradicts itself."""

    def __init__(self) -> None:
        self._fields: dict[str, None] = {}

    def note(self, field: str) -> None:
        """`field` is among the doubtful ones."""
        self._fields[field] = None

    def date(self, text: str | None, field: str) -> PartialDate | None:
        """The date, or None; an impossible one is noted, and never mended."""
        if text is None or not text.strip():
            return None
        try:
            return read_date(text.strip())
        except ValueError:
            self.note(field)
            return None

    @property
    def fields(self) -> tuple[str, ...]:
        """All noted fields, in the order in which they were."""
        return tuple(self._fields)


def coded(element: etree._Element | None) -> Coded | None:
    """The code and description in `element`, if it is there and has a code."""
    code = None if element is None else find_text(element, "Code")
    if element is None or code is None:
        return None
    described = find_text(element, "Omschrijving")
    if described is None:
        described = element.find("Code").get("Beschrijving")  # type: ignore[union-attr]
    return Coded(code, words(described))


def read_place(element: etree._Element | None) -> Place | None:
    """The place in `element`, if it is there and names one."""
    if element is None:
        return None
    place = Place(
        municipality_code=find_text(element, "Gemeente/NISCode"),
        municipality=find_text(element, "Gemeente/Naam"),
        country_code=find_text(element, "Land/NISCode"),
        country=find_text(element, "Land/Naam"),
    )
    return None if place == Place() else place
