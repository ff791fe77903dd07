"""Three values: True, False, and None for unknown. What is unknown is never taken for either.

Source: Kleene's strong logic of three values; bounds as in interval arithmetic.
"""

from collections.abc import Iterable
from typing import NamedTuple

Tri = bool | None


def all_of(values: Iterable[Tri]) -> Tri:
    """False where one is False, else unknown where one is unknown, else True."""
    unknown = False
    for value in values:
        if value is False:
            return False
        unknown = unknown or value is None
    return None if unknown else True


def any_of(values: Iterable[Tri]) -> Tri:
    """True where one is True, else unknown where one is unknown, else False."""
    return not_(all_of(not_(value) for value in values))


def not_(value: Tri) -> Tri:
    """The opposite; unknown stays unknown."""
    return None if value is None else not value


class Between(NamedTuple):
    """An amount that lies from `low` to `high`; `high` is None where it has no known limit."""

    low: int
    high: int | None

    def plus(self, other: "Between") -> "Between":
        """The sum."""
        high = None if self.high is None or other.high is None else self.high + other.high
        return Between(self.low + other.low, high)

    def at_most(self, limit: "Between") -> Tri:
        """Whether it does not exceed `limit`, whatever both turn out to be."""
        if self.high is not None and self.high <= limit.low:
            return True
        if limit.high is not None and self.low > limit.high:
            return False
        return None
