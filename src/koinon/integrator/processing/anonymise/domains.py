"""The values of a quasi-identifier: their order, how far apart they are, and the words for several of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from koinon.base.errors import Invalid
from koinon.base.late import late
from koinon.integrator.processing.anonymise.model import Hierarchy, Quasi

if TYPE_CHECKING:
    import numpy
    import pyarrow
    from numpy.typing import NDArray

    from koinon.integrator.processing.anonymise.tuples import Codes

    Floats = NDArray[numpy.float64]
else:
    numpy = late("numpy")
    pyarrow = late("pyarrow")

EVERYTHING = "*"
_UNKNOWN = "?"
_MOST_LISTED = 4


class Domain(Protocol):
    """What the algorithm needs of a column.

    Attributes:
        positions: for each rank of a value where it lies, 0 to 1; unknown stands before all.
    """

    positions: Floats

    def group(self, low: int, high: int) -> tuple[str, float]:
        """The words for the values from rank `low` to rank `high`, and the share of the domain that they cover."""


def read_domain(codes: Codes, values: Any, quasi: Quasi) -> tuple[Domain, Codes]:
    """The domain of the `values`, and for each of `codes`, which are places in it, the rank of its value.

    Raises:
        Invalid: `anonymity_column_kind`, `hierarchy_incomplete`.
    """
    kind = values.type
    number = pyarrow.types.is_integer(kind) or pyarrow.types.is_decimal(kind) or pyarrow.types.is_date(kind)
    if quasi.kind == "number":
        if not number:
            raise Invalid("anonymity_column_kind", column=quasi.column, kind=str(kind))
        numbers = values.to_pylist()
        order = sorted(range(len(numbers)), key=lambda n: (numbers[n] is not None, numbers[n]))
        return Numbers([numbers[n] for n in order]), _ranked(order, codes)
    words = [None if value is None else str(value) for value in values.to_pylist()]
    domain = Categories(words, quasi)
    return domain, _ranked(domain.order, codes)


def generalise(domain: Domain, low: Codes, high: Codes) -> tuple[Codes, Any, Floats]:
    """For each class, of which the lowest and highest ranks are given: the place of its words, the words, its penalty.

    The words stand once each, whichever ranks they are for. The penalty is the share of the domain that they cover.
    """
    wide = len(domain.positions)
    pairs, of = numpy.unique(low.astype(numpy.int64) * wide + high, return_inverse=True)
    groups = [domain.group(*divmod(pair, wide)) for pair in pairs.tolist()]
    words = pyarrow.array([word for word, _ in groups], pyarrow.string()).dictionary_encode()
    penalties = numpy.array([penalty for _, penalty in groups], dtype=numpy.float64)
    places: Codes = words.indices.to_numpy(zero_copy_only=False).astype(numpy.int32)[of]
    return places, words.dictionary, penalties[of]


def _ranked(order: Sequence[int], codes: Codes) -> Codes:
    rank = numpy.empty(len(order), dtype=numpy.int32)
    rank[list(order)] = numpy.arange(len(order), dtype=numpy.int32)
    ranks: Codes = rank[codes]
    return ranks


class Numbers:
    """Numbers and dates: a range from the smallest to the largest of the class."""

    def __init__(self, values: list[Any]) -> None:
        """`values` rise; unknown, where there is any, is the first."""
        self._values = values
        scale = [_on_scale(value) for value in values if value is not None]
        low, wide = (scale[0], scale[-1] - scale[0]) if scale else (0.0, 0.0)
        places = [(each - low) / wide if wide else 0.0 for each in scale]
        self._unknown = len(places) < len(values)
        if self._unknown:
            # Unknown is as far from the smallest as the whole range is wide: mixed with known values it costs all.
            places = [0.0, *(0.5 + each / 2 for each in places)]
        self.positions = numpy.array(places, dtype=numpy.float64)

    def group(self, low: int, high: int) -> tuple[str, float]:
        words = _range(self._values[low], self._values[high])
        penalty = float(self.positions[high] - self.positions[low])
        if self._unknown:
            penalty = 1.0 if low == 0 < high else penalty * 2
        return words, penalty


class Categories:
    """Categories: the smallest group of the hierarchy that holds the class; without one a short list, or `*`."""

    def __init__(self, values: list[str | None], quasi: Quasi) -> None:
        self._hierarchy = quasi.hierarchy
        if quasi.hierarchy is not None:
            missing = [value for value in values if value is not None and value not in quasi.hierarchy]
            if missing:
                raise Invalid("hierarchy_incomplete", column=quasi.column, missing=missing[:5])
        paths = [self._path(value) for value in values]
        self.order = sorted(range(len(values)), key=lambda n: (values[n] is not None, paths[n]))
        self._values = [values[n] for n in self.order]
        count = len(values)
        self.positions = numpy.arange(count) / max(count - 1, 1)
        self._sizes = _group_sizes(quasi.hierarchy, self._values) if quasi.hierarchy else {}

    def _path(self, value: str | None) -> tuple[str, ...]:
        if value is None:
            return ()
        groups = self._hierarchy[value] if self._hierarchy else ()
        return (*reversed(groups), value)

    def group(self, low: int, high: int) -> tuple[str, float]:
        """The words for the values of these ranks, which are neighbours in the hierarchy: the ends tell."""
        count = len(self._values)
        if low == high:
            return self._values[low] or _UNKNOWN, 0.0
        first, last = self._values[low], self._values[high]
        if self._hierarchy is not None and first is not None and last is not None:
            for one, other in zip(self._hierarchy[first], self._hierarchy[last], strict=True):
                if one == other:
                    return one, self._sizes[one] / count
        elif high - low < _MOST_LISTED:
            # What the class might hold, also where it lacks one of them: less than the truth is told, never more.
            return ", ".join(each or _UNKNOWN for each in self._values[low : high + 1]), (
                high - low + 1
            ) / count
        return EVERYTHING, 1.0


def _group_sizes(hierarchy: Hierarchy, values: Sequence[str | None]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for value in values:
        for group in set(hierarchy[value]) if value is not None else ():
            sizes[group] = sizes.get(group, 0) + 1
    return sizes


def _on_scale(value: Any) -> float:
    return float(value.toordinal()) if isinstance(value, date) else float(value)


def _range(low: Any, high: Any) -> str:
    if low is None:
        return _UNKNOWN if high is None else EVERYTHING
    return str(low) if low == high else f"{low}..{high}"
