"""Dated parameters of rules: value, unit, validity, source, and how sure we are of it.

A file of parameters is TOML beside its rule. Amounts are stated once, as of a base date, with a factor for
each year: the law indexes them together. Money is counted in integer cents; factors are exact ratios, never
floats.
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Literal

import msgspec

from koinon.base.errors import NotFound
from koinon.base.text import Text

Mark = Literal["seen", "derived", "illustrative"]
_ORDER: Mapping[Mark, int] = {"seen": 0, "derived": 1, "illustrative": 2}

_MOST_KNOWN = 10_000


class Used(msgspec.Struct, frozen=True):
    """A parameter with the value it has on a day.

    Attributes:
        value: integer, in `unit`: `eurocent`, `years`, `persons`.
        valid_from, valid_until: the days on which it has this value; until is exclusive.
        mark: `seen` in a source, `derived` from one by arithmetic, or `illustrative`: no source was found.
    """

    code: str
    value: int
    unit: str
    valid_from: date
    valid_until: date | None
    mark: Mark
    source: Text


class _Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    amount: str
    source: Text
    mark: Mark


class _Factor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ratio` is a pair of amounts: what was published over its base."""

    valid_from: date
    valid_until: date
    ratio: tuple[str, str]
    source: Text
    mark: Mark


class _Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    value: int
    unit: str
    valid_from: date
    source: Text
    mark: Mark
    valid_until: date | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: str
    base: tuple[_Base, ...]
    factor: tuple[_Factor, ...]
    fixed: tuple[_Fixed, ...]


class ParameterBook:
    """The parameters of one rule, by day."""

    def __init__(self, document: str) -> None:
        read = msgspec.convert(tomllib.loads(document), _File)
        self.rule = read.rule
        self._base = {base.code: base for base in read.base}
        self._factors = read.factor
        self._fixed = read.fixed
        self._known: dict[tuple[str, date], Used] = {}
        spans = sorted((factor.valid_from, factor.valid_until) for factor in read.factor)
        for (_, until), (following, _) in pairwise(spans):
            if following < until:
                raise ValueError(f"factors overlap on {following}")

    def on(self, code: str, at: date) -> Used:
        """The parameter on that day.

        Raises:
            NotFound: `parameter_not_in_force`: we know of none for that day.
        """
        known = self._known.get((code, at))
        if known is None:
            known = self._find(code, at)
            if len(self._known) < _MOST_KNOWN:
                self._known[code, at] = known
        return known

    def spells(self, code: str) -> list[Used]:
        """Every value that the parameter has had, oldest first."""
        starts = {fixed.valid_from for fixed in self._fixed if fixed.code == code}
        starts |= {fixed.valid_until for fixed in self._fixed if fixed.code == code and fixed.valid_until}
        if code in self._base:
            starts |= {factor.valid_from for factor in self._factors}
        found = []
        for start in sorted(starts):
            try:
                found.append(self.on(code, start))
            except NotFound:
                continue
        return list(dict.fromkeys(found))

    def _find(self, code: str, at: date) -> Used:
        for fixed in self._fixed:
            if fixed.code == code and _in_force(fixed.valid_from, fixed.valid_until, at):
                return Used(
                    code,
                    fixed.value,
                    fixed.unit,
                    fixed.valid_from,
                    fixed.valid_until,
                    fixed.mark,
                    fixed.source,
                )
        base = self._base.get(code)
        for factor in self._factors if base else ():
            if base and _in_force(factor.valid_from, factor.valid_until, at):
                return Used(
                    code,
                    _cents(base.amount, factor.ratio),
                    "eurocent",
                    factor.valid_from,
                    factor.valid_until,
                    max(base.mark, factor.mark, key=_ORDER.__getitem__),
                    _both(base.source, factor.source),
                )
        raise NotFound("parameter_not_in_force", rule=self.rule, parameter=code, on=str(at))


@cache
def parameter_book(package: str) -> ParameterBook:
    """The parameters in `parameters.toml` of that package."""
    return ParameterBook((files(package) / "parameters.toml").read_text(encoding="utf-8"))


def _in_force(valid_from: date, valid_until: date | None, at: date) -> bool:
    return valid_from <= at and (valid_until is None or at < valid_until)


def _both(first: Text, second: Text) -> Text:
    return Text(f"{first.nl}; {second.nl}", f"{first.fr} ; {second.fr}", f"{first.en}; {second.en}")


def _cents(amount: str, ratio: tuple[str, str]) -> int:
    """Rounded to the cent, half a cent upwards."""
    exact = Fraction(Decimal(amount)) * 100 * Fraction(Decimal(ratio[0])) / Fraction(Decimal(ratio[1]))
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
