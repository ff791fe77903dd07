"""What anonymous is to mean for a table, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from koinon.base.errors import Invalid
from koinon.base.late import late

if TYPE_CHECKING:
    import pyarrow
else:
    pyarrow = late("pyarrow")

LEAST_K: Final = 2
MOST_SUPPRESSED: Final = 0.05

Hierarchy = Mapping[str, tuple[str, ...]]
"""For each value the groups that hold it, from the smallest to the largest: `{"1000": ("Brussels", "Belgium")}`."""


class Quasi(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column by which somebody may be recognised together with others: it is made coarser.

    Attributes:
        kind: `number` (integers, decimals, dates: becomes a range) or `category` (becomes the smallest group of
            `hierarchy` that holds all of its class, or the list of values, or `*`).
    """

    column: str
    kind: Literal["number", "category"]
    hierarchy: Hierarchy | None = None

    def __post_init__(self) -> None:
        if self.hierarchy is not None:
            check_hierarchy(self.column, self.hierarchy)

    @property
    def levels(self) -> int:
        """How many levels of groups there are above the values."""
        return len(next(iter(self.hierarchy.values()))) if self.hierarchy else 0


def check_hierarchy(column: str, hierarchy: Hierarchy) -> None:
    """Every value has as many groups, each group lies in one larger group and on one level.

    Only then do the ends of a class tell what holds all of it, and a name in the result says which group it is.

    Raises:
        Invalid: `hierarchy_malformed`, with `why` (`empty`, `levels`, `parents`, `names`) and the value or group `at`.
    """
    if not hierarchy:
        raise Invalid("hierarchy_malformed", column=column, why="empty", at="")
    levels = len(next(iter(hierarchy.values())))
    place: dict[str, int] = {}
    parents: dict[str, tuple[str, ...]] = {}
    for value, groups in hierarchy.items():
        if len(groups) != levels or not groups or not all(groups):
            raise Invalid("hierarchy_malformed", column=column, why="levels", at=value)
        for level, group in enumerate(groups):
            if place.setdefault(group, level) != level:
                raise Invalid("hierarchy_malformed", column=column, why="names", at=group)
            if parents.setdefault(group, groups[level + 1 :]) != groups[level + 1 :]:
                raise Invalid("hierarchy_malformed", column=column, why="parents", at=group)


def read_hierarchy(column: str, text: str) -> Hierarchy:
    """The hierarchy as typed: a line for each value, `value; group; larger group`.

    Raises:
        Invalid: `hierarchy_malformed`, also for a value on two lines (`why` is `value`).
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        value, *groups = (word.strip() for word in line.split(";"))
        if not line.strip():
            continue
        if value in found:
            raise Invalid("hierarchy_malformed", column=column, why="value", at=value)
        found[value] = tuple(groups)
    check_hierarchy(column, found)
    return found


class Anonymity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of a table.

    Columns that are neither quasi-identifiers nor sensitive do not get into the result: who wants one there has to
    say which of the two it is.

    Attributes:
        k: each row shares its quasi-identifiers with at least k - 1 others.
        l: among those, each sensitive column has at least l values (distinct l-diversity); 1 asks nothing.
        most_suppressed_share: so many rows may be left out where that spares others; 0 to 0.05.

    Source: L. Sweeney, "k-anonymity: a model for protecting privacy", IJUFKS 10(5) (2002); A. Machanavajjhala et al.,
    "l-diversity: privacy beyond k-anonymity", ACM TKDD 1(1) (2007).
    """

    quasi: tuple[Quasi, ...]
    sensitive: tuple[str, ...] = ()
    k: int = 10
    l: int = 1  # noqa: E741 - the letter of the literature
    most_suppressed_share: float = 0.0

    def __post_init__(self) -> None:
        names = [each.column for each in self.quasi] + list(self.sensitive)
        if not self.quasi or len(names) != len(set(names)):
            raise Invalid("anonymity_malformed", why="columns")
        if self.k < LEAST_K or self.l < 1 or (self.l > 1 and not self.sensitive):
            raise Invalid("anonymity_malformed", why="k or l")
        if not 0 <= self.most_suppressed_share <= MOST_SUPPRESSED:
            raise Invalid("anonymity_malformed", why="most_suppressed_share")


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What the coarser table no longer tells.

    Attributes:
        certainty_penalty: global certainty penalty, 0 (nothing lost) to 1: for each row and quasi-identifier the share
            of the column's domain that its range or group covers, averaged; a row left out counts 1. Source: the
            normalised certainty penalty of J. Xu et al., "Utility-based anonymization using local recoding", KDD
            (2006), summed as in G. Ghinita et al., "Fast data anonymization with low information loss", VLDB (2007).
        discernibility: sum over classes of their size squared, and of the table's size for each row left out.
            Source: R. Bayardo and R. Agrawal, "Data privacy through optimal k-anonymization", ICDE (2005).
        average_class: rows for each class, over k; 1 is the best there is. Source: K. LeFevre et al., "Mondrian
            multidimensional k-anonymity", ICDE (2006), section 5.
    """

    certainty_penalty: float
    discernibility: int
    average_class: float


class Anonymised(msgspec.Struct, frozen=True, kw_only=True):
    """The anonymous table and its measures, taken from the table itself afterwards.

    Attributes:
        table: quasi-identifiers as text, sensitive columns as they were, in no order that comes from the data.
        k, l: what was reached; l is the smallest of the sensitive columns, None without one.
        classes: groups of rows that cannot be told apart.
    """

    asked: Anonymity
    table: pyarrow.Table
    rows: int
    k: int
    l: int | None  # noqa: E741
    classes: int
    suppressed: int
    suppressed_share: float
    loss: Loss
