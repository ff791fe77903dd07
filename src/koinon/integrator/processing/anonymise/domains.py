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
    import pyarrow.compute
    from numpy.typing import NDArray

    Floats = NDArray[numpy.float64]
    Codes = NDArray[numpy.int32]
else:
    numpy = late("numpy")
    pyarrow = late("pyarrow")

EVERYTHING = "*"
_UNKNOWN = "?"
_MOST_LISTED = 4


class Domain(Protocol):
    """What the algorithm needs of a column.

    Attributes:
        codes: for each tuple the rank of its value.
        positions: for each rank where it lies, 0 to 1; unknown stands before all.
    """

    codes: Codes
    positions: Floats

    def generalise(self, codes: Codes, classes: Any) -> tuple[list[str], Floats]:
        """For each class the words for its values and the share of the domain that they cover."""


def read_domain(column: Any, quasi: Quasi) -> Domain:
    """The domain of what stands in `column`.

    Raises:
        Invalid: `anonymity_column_kind`, `hierarchy_incomplete`.
    """
    kind = column.type
    number = pyarrow.types.is_integer(kind) or pyarrow.types.is_decimal(kind) or pyarrow.types.is_date(kind)
    if quasi.kind == "number" and not number:
        raise Invalid("anonymity_column_kind", column=quasi.column, kind=str(kind))
    coded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    if isinstance(coded, pyarrow.ChunkedArray):
        coded = coded.combine_chunks()
    values: list[Any] = coded.dictionary.to_pylist()
    indices = coded.indices.to_numpy(zero_copy_only=False)
    if quasi.kind == "number":
        return Numbers(values, indices)
    words = [None if value is None else str(value) for value in values]
    return Categories(words, indices, quasi)


def _ranked(order: Sequence[int], indices: Any) -> Codes:
    rank = numpy.empty(len(order), dtype=numpy.int32)
    rank[list(order)] = numpy.arange(len(order), dtype=numpy.int32)
    codes: Codes = rank[indices]
    return codes


class Numbers:
    """Numbers and dates: a range from the smallest to the largest of the class."""

    def __init__(self, values: list[Any], indices: Any) -> None:
        order = sorted(range(len(values)), key=lambda n: (values[n] is not None, values[n]))
        self.codes = _ranked(order, indices)
        self._values = [values[n] for n in order]
        scale = [_on_scale(value) for value in self._values if value is not None]
        low, wide = (scale[0], scale[-1] - scale[0]) if scale else (0.0, 0.0)
        places = [(each - low) / wide if wide else 0.0 for each in scale]
        if len(places) < len(self._values):
            # Unknown is as far from the smallest as the whole range is wide: mixed with known values it costs all.
            places = [0.0, *(0.5 + each / 2 for each in places)]
        self.positions = numpy.array(places, dtype=numpy.float64)

    def generalise(self, codes: Codes, classes: Any) -> tuple[list[str], Floats]:
        low, high = _ends(codes, classes)
        words = [
            _range(self._values[a], self._values[b]) for a, b in zip(low.tolist(), high.tolist(), strict=True)
        ]
        penalties = self.positions[high] - self.positions[low]
        if self._values and self._values[0] is None:
            mixed = (low == 0) & (high > 0)
            penalties = numpy.where(mixed, 1.0, penalties * 2)
        return words, penalties


class Categories:
    """Categories: the smallest group of the hierarchy that holds the class; without one a short list, or `*`."""

    def __init__(self, values: list[str | None], indices: Any, quasi: Quasi) -> None:
        self._hierarchy = quasi.hierarchy
        if quasi.hierarchy is not None:
            missing = [value for value in values if value is not None and value not in quasi.hierarchy]
            if missing or len({len(each) for each in quasi.hierarchy.values()}) > 1:
                raise Invalid("hierarchy_incomplete", column=quasi.column, missing=missing[:5])
            _check_parents(quasi)
        paths = [self._path(value) for value in values]
        order = sorted(range(len(values)), key=lambda n: (values[n] is not None, paths[n]))
        self.codes = _ranked(order, indices)
        self._values = [values[n] for n in order]
        count = len(values)
        self.positions = numpy.arange(count) / max(count - 1, 1)
        self._sizes = _group_sizes(quasi.hierarchy, self._values) if quasi.hierarchy else {}

    def _path(self, value: str | None) -> tuple[str, ...]:
        if value is None:
            return ()
        groups = self._hierarchy[value] if self._hierarchy else ()
        return (*reversed(groups), value)

    def generalise(self, codes: Codes, classes: Any) -> tuple[list[str], Floats]:
        low, high = _ends(codes, classes)
        known: dict[tuple[int, int], tuple[str, float]] = {}
        words, penalties = [], numpy.empty(len(low), dtype=numpy.float64)
        for n, pair in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            if pair not in known:
                known[pair] = self._group(*pair)
            word, penalties[n] = known[pair]
            words.append(word)
        return words, penalties

    def _group(self, low: int, high: int) -> tuple[str, float]:
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


def _check_parents(quasi: Quasi) -> None:
    """Each group lies in one larger group: only then do the ends of a class tell what holds all of it."""
    parents: dict[tuple[int, str], tuple[str, ...]] = {}
    for groups in (quasi.hierarchy or {}).values():
        for level, group in enumerate(groups):
            above = groups[level + 1 :]
            if parents.setdefault((level, group), above) != above:
                raise Invalid("hierarchy_incomplete", column=quasi.column, missing=[group])


def _group_sizes(hierarchy: Hierarchy, values: Sequence[str | None]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for value in values:
        for group in set(hierarchy[value]) if value is not None else ():
            sizes[group] = sizes.get(group, 0) + 1
    return sizes


def _ends(codes: Codes, classes: Any) -> tuple[Any, Any]:
    """The lowest and the highest code of each class."""
    order = numpy.argsort(classes, kind="stable")
    ordered = classes[order]
    edge = numpy.ones(len(ordered), dtype=numpy.bool_)
    edge[1:] = ordered[1:] != ordered[:-1]
    starts = numpy.flatnonzero(edge)
    here = codes[order]
    return numpy.minimum.reduceat(here, starts), numpy.maximum.reduceat(here, starts)


def _on_scale(value: Any) -> float:
    return float(value.toordinal()) if isinstance(value, date) else float(value)


def _range(low: Any, high: Any) -> str:
    if low is None:
        return _UNKNOWN if high is None else EVERYTHING
    return str(low) if low == high else f"{low}..{high}"
