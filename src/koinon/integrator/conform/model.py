"""Cases, verdicts, reports."""

from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Literal

import msgspec

Target = Literal["platform", "system", "source", "subscriber", "keeper"]


class Verdict(StrEnum):
    """What a case came to. `unknown` is never a pass: it could not be judged."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN = "unknown"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold, and why.

    Attributes:
        id: stable; P- of a platform, C- of a system that asks, S- of a source, M- of a subscriber to mutations, K- of a
            keeper that publishes them.
        basis: article, RFC or design page that demands it.
        check: returns when it holds; raises one of the three below.
    """

    id: str
    target: Target
    purpose: str
    basis: str
    check: Callable[[Any], None]


class Failed(Exception):
    """It does not hold; says what was seen instead."""


class NotApplicable(Exception):
    """The case is about something that this end does not have."""


class Unknown(Exception):
    """It could not be judged; says what is missing."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a case came to.

    Attributes:
        seen: why, when it is no pass.
    """

    id: str
    purpose: str
    basis: str
    verdict: Verdict
    seen: str
    milliseconds: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All results of a run, in the order of the cases.

    Attributes:
        at: when it began, RFC 3339, UTC.
        end: which end was looked at: an address, or a command.
    """

    target: Target
    end: str
    at: str
    version: str
    results: Sequence[Result]

    @property
    def counts(self) -> dict[str, int]:
        """How often each verdict."""
        found = Counter(result.verdict.value for result in self.results)
        return {verdict.value: found[verdict.value] for verdict in Verdict}

    @property
    def exit_code(self) -> int:
        """0 when all holds; 1 when something failed; 3 when something is unknown, or nothing passed."""
        counts = self.counts
        if counts["fail"]:
            return 1
        return 3 if counts["unknown"] or not counts["pass"] else 0

    def to_json(self) -> bytes:
        """The report with its counts, for machines."""
        return msgspec.json.encode(
            {**msgspec.to_builtins(self), "counts": self.counts, "exit_code": self.exit_code}
        )


class Cases:
    """The cases of one target, in the order in which they are written down."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.all: list[Case] = []

    def __call__(
        self, id_: str, purpose: str, basis: str
    ) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """The decorated function is the check of this case."""

        def add(check: Callable[[Any], None]) -> Callable[[Any], None]:
            if any(case.id == id_ for case in self.all):
                raise ValueError(f"{id_} is there twice")
            self.all.append(Case(id=id_, target=self.target, purpose=purpose, basis=basis, check=check))
            return check

        return add


def demand(holds: object, seen: str) -> None:
    """Returns only when `holds`; `seen` says what was seen instead.

    Raises:
        Failed: it does not hold.
    """
    if not holds:
        raise Failed(seen)
