"""A table of groups as it is asked for and as it may be published."""

from typing import Final, Literal

import msgspec

from koinon.base.errors import Invalid

MOST_DIMENSIONS: Final = 4
MOST_CELLS: Final = 250_000
# Below three, one of two persons in a cell knows the other one.
LEAST_MINIMUM: Final = 3

TOTAL: Final = "*"
"""In a cell's `at`: all categories of that dimension together."""


class Dominance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a sum tells too much about its largest contributors.

    With `p`: when the second largest could estimate the largest to within p percent. With `n` and `k`: when the n
    largest make up more than k percent.

    Source: L. H. Cox, "Linear sensitivity measures in statistical disclosure control", J. Statistical Planning and
    Inference 5 (1981); Hundepool et al., "Statistical Disclosure Control" (2012), section 4.2.2.
    """

    p: int | None = None
    n: int | None = None
    k: int | None = None

    def __post_init__(self) -> None:
        by_p = self.p is not None and 1 <= self.p <= 100 and self.n is None and self.k is None
        by_share = (
            self.p is None
            and self.n is not None
            and self.k is not None
            and 1 <= self.n <= 5
            and 1 <= self.k <= 99
        )
        if not by_p and not by_share:
            raise Invalid("dominance_malformed")


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in a cell: the number of subjects, or the sum of a column of integers or decimals."""

    kind: Literal["count", "sum"] = "count"
    column: str | None = None

    def __post_init__(self) -> None:
        if (self.kind == "sum") != (self.column is not None):
            raise Invalid("measure_malformed")


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of groups, as asked.

    Attributes:
        dimensions: columns, each of which becomes one direction of the table; 1 to 4.
        minimum: fewer subjects than this in a cell, and it is left out.
        dominance: for sums.
        totals: all sums over dimensions are published too.
    """

    dimensions: tuple[str, ...]
    measure: Measure = Measure()
    minimum: int = 10
    dominance: Dominance | None = None
    totals: bool = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.dimensions) <= MOST_DIMENSIONS or len(set(self.dimensions)) != len(
            self.dimensions
        ):
            raise Invalid("dimensions_malformed", most=MOST_DIMENSIONS)
        if self.minimum < LEAST_MINIMUM:
            raise Invalid("minimum_too_low", least=LEAST_MINIMUM)
        if (self.measure.kind == "sum") != (self.dominance is not None):
            raise Invalid("dominance_missing" if self.dominance is None else "dominance_malformed")


class Cell(msgspec.Struct, frozen=True):
    """One cell.

    Attributes:
        at: a category for each dimension: its text, None for unknown, or `TOTAL`.
        value: in the measure's unit; None when it is left out. A reader is not told whether it was small itself or
            protects another.
    """

    at: tuple[str | None, ...]
    value: int | None


class PublishedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table that may be published, and the account of what was left out.

    Attributes:
        scale: decimals of the values, which are whole numbers of the last one (cents: 2).
        categories: of each dimension, in order; None is unknown.
        cells_suppressed: cells without a value, of all cells that are not empty.
        value_suppressed_share: the share of the inner cells' total that stands in cells without a value.
        subjects: rows counted, rounded down to the minimum; None when they are fewer.
        without_subject: rows that were not counted since it is not known whom they are about.
        unknown_values: rows whose measured value is unknown, and which are in no sum; None when 1 to minimum - 1.
    """

    cluster: Cluster
    scale: int
    categories: tuple[tuple[str | None, ...], ...]
    cells: tuple[Cell, ...]
    cells_total: int
    cells_suppressed: int
    value_suppressed_share: float
    subjects: int | None
    without_subject: int
    unknown_values: int | None

    def value_at(self, *at: str | None) -> int | None:
        """The value of one cell; None when it is left out. Raises `KeyError` for a cell that the table lacks."""
        return {cell.at: cell.value for cell in self.cells}[at]

    def suppressed(self) -> frozenset[tuple[str | None, ...]]:
        """Where the cells without a value are."""
        return frozenset(cell.at for cell in self.cells if cell.value is None)
