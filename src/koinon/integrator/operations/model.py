"""What is counted of a flow, and what is said about it. Numbers only: nobody can be found in them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from koinon.base.text import Text
from koinon.trust.parties import PartyId

RELEASED = "released"
KEPT_MONTHS = 13
# Upper bounds of the classes of latency, milliseconds: a percentile is given as one of these, so never too low and,
# from 3 ms on, less than twice the true one.
BOUNDS_MS: tuple[int, ...] = (
    1, 2, 3, 4, 6, 9, 13, 20, 30, 45, 65, 100, 150, 220, 330, 500, 750, 1_000, 1_500, 2_200, 3_300, 5_000, 7_500,
    10_000, 15_000, 22_000, 33_000, 60_000,
)  # fmt: skip
# The class of everything longer.
BEYOND_MS = 3_600_000

CountKind = Literal["outcome", "failure", "latency", "filtered", "source", "stream"]
AlertKind = Literal["errors", "silence", "latency"]
Step = Literal["hour", "day"]


class Observation(NamedTuple):
    """How one question went.

    Attributes:
        outcome: `released`, or the code of the refusal or fault.
        failed: we failed it; a refusal is no failure.
        milliseconds: from the question to its answer or refusal.
        filtered: fields that were asked and did not leave.
        sources: `source/service` and status.
    """

    at: datetime
    flow: str
    party: PartyId
    outcome: str
    failed: bool
    milliseconds: float
    filtered: Sequence[str] = ()
    sources: Sequence[tuple[str, str]] = ()


class Count(NamedTuple):
    """A row of `operations.hour_count`."""

    at: datetime
    flow: str
    party: UUID
    kind: CountKind
    name: str
    number: int


class Term(NamedTuple):
    """How long one batch took, or takes.

    Attributes:
        received_at: when its whole file was there.
        ended_at: when its result, or the refusal of its file, was there; None while it is not.
        stopped: its grounds were taken away or its consumer cancelled it: nothing is promised any more.
    """

    received_at: datetime
    ended_at: datetime | None
    stopped: bool = False


class Latency(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds: upper bounds of the classes they fall in; None when nothing was asked."""

    p50: int | None
    p95: int | None
    p99: int | None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One hour, or one day in Brussels, that begins at `at`."""

    at: datetime
    asked: int
    released: int
    refused: int
    failed: int
    latency: Latency


class Consumer(msgspec.Struct, frozen=True):
    """How often one party asked; its name may be empty when it is in the register no more."""

    party: UUID
    name: Text
    asked: int


class FlowReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a flow did between two instants.

    Attributes:
        points: every step in order, also those in which nothing was asked.
        outcomes: `released` and codes of refusals; failures: codes of faults of ours.
        filtered: fields; sources: `source/service:status`.
        streams: persons told about (`persons`), streams begun (`begun`), and codes of refusals and faults.
        batches: whose whole file came in the period: how many `ended`, are `awaited`, were `stopped`.
        consumers: who asked most first; only a participant or the operator may see it.
    """

    flow: str
    since: datetime
    until: datetime
    step: Step
    total: Point
    points: Sequence[Point]
    outcomes: Mapping[str, int]
    failures: Mapping[str, int]
    filtered: Mapping[str, int]
    sources: Mapping[str, int]
    streams: Mapping[str, int]
    batches: Mapping[str, int]
    consumers: Sequence[Consumer]


class Measure(NamedTuple):
    """What an alert rule looks at: its window, in numbers.

    Attributes:
        asked, failed: questions in the window.
        last_asked: when there last was a question, as far as is known.
        p95: of the hours that the window touches.
    """

    asked: int
    failed: int
    last_asked: datetime | None
    p95: int | None


class AlertRule(msgspec.Struct, frozen=True, kw_only=True):
    """When somebody must look.

    Attributes:
        threshold: `errors`: share of one; `latency`: milliseconds at the 95th percentile; `silence`: at most so many
            questions in the window count as silence, less one (1: none at all).
    """

    id: UUID
    flow: str
    kind: AlertKind
    threshold: float
    window_minutes: int
    made_at: datetime


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that was met: raised, perhaps seen by somebody, ended when it was met no more."""

    id: UUID
    rule: AlertRule
    measured: float
    raised_at: datetime
    seen_at: datetime | None
    ended_at: datetime | None

    @property
    def state(self) -> Literal["raised", "seen", "ended"]:
        """Where it stands."""
        if self.ended_at is not None:
            return "ended"
        return "raised" if self.seen_at is None else "seen"
