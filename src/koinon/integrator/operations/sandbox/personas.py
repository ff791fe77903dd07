"""The persons of a sandbox, with what flows must say about them."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from koinon.base.text import Text
from koinon.integrator.drivers import HouseholdMember, PartialDate, Value, is_synthetic
from koinon.integrator.operations.sandbox.said import said


class Persona(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person who shows one case.

    Attributes:
        flow, answer: fields of that flow with the value that is promised; of records those parts that are named.
        in_year: what is promised besides in a year, where it rests on parameters of that year.
        unknown: fields that must be unknown: a datum is missing.
        income_cents: None: the source has no figure.
        sources: by resource what a source says that only some flows ask; see `said.value_of`.
        has_file: whether a reset gives the sandbox a file on them.
    """

    number: str
    text: Text
    birth_date: str
    register: str
    flow: str
    answer: Mapping[str, Any]
    income_cents: int | None = None
    in_year: Mapping[str, Mapping[str, Any]] = {}
    unknown: tuple[str, ...] = ()
    sources: Mapping[str, Mapping[str, Any]] = {}
    full_ownership: bool = False
    has_file: bool = True

    def promised(self, year: int) -> Mapping[str, Any]:
        """Field to value in that year."""
        return {**self.answer, **self.in_year.get(str(year), {})}

    def values(self, resource: str, at: datetime) -> Mapping[str, Value] | None:
        """What the source says about this person at that moment; None where it has nothing."""
        born = PartialDate.parse(self.birth_date)
        if resource in self.sources:
            return said(resource, self.sources[resource], self.number, at)
        match resource:
            case "rijksregister/person":
                names = f"Persona, {self.text.en}"
                return {"names": names, "birth_date": born, "death_date": None, "register": self.register}
            case "rijksregister/household":
                return {"members": (HouseholdMember(self.number, "reference", born, self.register),)}
            case "ksz/income":
                return None if self.income_cents is None else {"net_taxable_income": self.income_cents}
            case "ksz/property":
                return {"full_ownership": self.full_ownership, "usufruct": False, "emphyteusis": False}
            case "ksz/social_status":
                return {"dependent_child": False, "disabled": False}
            case "kbo/functions":
                return {"active": False}
            case _:
                return None


class Refusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question that is refused, with the code that is promised.

    Attributes:
        purpose, fields: where they differ from a good question: the first purpose of the flow, all its fields.
        status: of HTTP.
    """

    text: Text
    flow: str
    number: str
    code: str
    status: int
    purpose: str | None = None
    fields: tuple[str, ...] | None = None
    case: str = "TRY-1"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    persona: tuple[Persona, ...]
    refusal: tuple[Refusal, ...]


@cache
def _read() -> _File:
    text = files("koinon.integrator.operations.sandbox").joinpath("personas.toml").read_bytes()
    return msgspec.toml.decode(text, type=_File)


def refusals() -> tuple[Refusal, ...]:
    """The questions that a sandbox must see refused."""
    return _read().refusal


@cache
def personas() -> Mapping[str, Persona]:
    """By number.

    Raises:
        ValueError: one could be a real person.
    """
    found = _read().persona
    for persona in found:
        if not is_synthetic(persona.number):
            raise ValueError("a persona has a number that a person could have")
    return {persona.number: persona for persona in found}
