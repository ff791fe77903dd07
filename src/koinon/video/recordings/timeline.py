"""What there is of a camera's past, over an interval: one state for every moment, none twice, none missing.

The timeline is made from what is known: spans with pictures (of both copies of a double recording), gaps with their
reasons, what the term took away, what is held, and how far back the viewer may see. What nothing tells is *unknown*.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from koinon.base.errors import Invalid

ROUNDING: Final = timedelta(milliseconds=1)
"""Where one unit ends and the next begins, the two may differ by the rounding of clocks: that is nothing missing."""


class State(StrEnum):
    """What there is at a moment."""

    RECORDED = "recorded"
    HELD = "held"
    """Recorded, and kept beyond its term by a hold."""
    GAP = "gap"
    DELETED_BY_TERM = "deleted_by_term"
    NOT_YOURS = "not_yours"
    """The viewer may not know what there is: before the depth of history given, or after its end."""
    REMOTE_NOT_ASKED = "remote_not_asked"
    UNKNOWN = "unknown"


class Span(NamedTuple):
    """From `start` up to `end`, UTC, in one state; `reason` is a gap's, or why something is unknown."""

    start: datetime
    end: datetime
    state: State
    reason: str = ""


class Stretch(NamedTuple):
    """From `start` up to `end`; what it means is told by where it stands."""

    start: datetime
    end: datetime
    reason: str = ""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one camera. Stretches of a kind may overlap and come in any order.

    Attributes:
        recorded: pictures are there, in at least one copy.
        gaps: a recorder told that it had none, and why; of both copies, the first copy's before the second's.
        deleted: taken away because their term ran out.
        held: a hold covers it.
        visible: how far the viewer may see, or None for everything.
        remote: where another system has the recordings and was not asked.
        now: later than this nothing can be known.
    """

    recorded: Sequence[Stretch] = ()
    gaps: Sequence[Stretch] = ()
    deleted: Sequence[Stretch] = ()
    held: Sequence[Stretch] = ()
    visible: Stretch | None = None
    remote: Sequence[Stretch] = ()
    now: datetime | None = None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """How long each state lasted between `start` and `end`, in microseconds; the sum is the bucket.

    Attributes:
        reasons: of its gaps, the longest first.
    """

    start: datetime
    end: datetime
    microseconds: dict[State, int]
    reasons: tuple[str, ...] = ()


def draw(since: datetime, until: datetime, known: Known) -> list[Span]:
    """The spans from `since` up to `until`: in order, touching, no two neighbours alike, their sum the interval.

    What is unknown for no longer than `ROUNDING` belongs to the span before. A moment at which one copy has pictures is
    recorded, whatever the other copy's recorder told. Where two gaps overlap, the first one named gives the reason.

    Raises:
        Invalid: `invalid_interval`.
    """
    if until <= since:
        raise Invalid("invalid_interval", since=since.isoformat(), until=until.isoformat())
    layers = [
        _Layer(known.recorded, since, until),
        _Layer(known.held, since, until),
        _Layer(known.deleted, since, until),
        _Layer(known.remote, since, until),
    ]
    recorded, held, deleted, remote = layers
    gaps = _paint(known.gaps, since, until)
    gap = _Layer(gaps, since, until, keep=True)
    visible = known.visible
    edges = {since, until}
    for layer in (*layers, gap):
        edges.update(layer.edges())
    if visible is not None:
        edges.update((visible.start, visible.end))
    if known.now is not None:
        edges.add(known.now)
    points = sorted(edge for edge in edges if since <= edge <= until)
    spans: list[Span] = []
    for start, end in pairwise(points):
        state, reason = State.UNKNOWN, ""
        if visible is not None and not visible.start <= start < visible.end:
            state = State.NOT_YOURS
        elif recorded.at(start) is not None:
            state = State.RECORDED if held.at(start) is None else State.HELD
        elif deleted.at(start) is not None:
            state = State.DELETED_BY_TERM
        elif (told := gap.at(start)) is not None:
            state, reason = State.GAP, told
        elif remote.at(start) is not None:
            state = State.REMOTE_NOT_ASKED
        elif known.now is not None and start >= known.now:
            reason = "future"
        rounding = state is State.UNKNOWN and not reason and end - start <= ROUNDING
        if spans and (rounding or (spans[-1].state is state and spans[-1].reason == reason)):
            spans[-1] = spans[-1]._replace(end=end)
        else:
            spans.append(Span(start, end, state, reason))
    return spans


def unite(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same moments as few stretches, in order and apart; reasons are dropped."""
    united: list[Stretch] = []
    for each in sorted(stretches):
        if each.end <= each.start:
            continue
        if united and each.start <= united[-1].end:
            if each.end > united[-1].end:
                united[-1] = Stretch(united[-1].start, each.end)
        else:
            united.append(Stretch(each.start, each.end))
    return united


def uncovered(
    since: datetime, until: datetime, spans: Sequence[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, datetime]]:
    """What of [since, until) no span covers, by time."""
    at = since
    for start, end in sorted(spans):
        if start > at and at < until:
            yield at, min(start, until)
        at = max(at, end)
    if at < until:
        yield at, until


def gather(spans: Sequence[Span], edges: Sequence[datetime]) -> list[Bucket]:
    """The spans in buckets that begin and end at `edges`, which rise and lie within the spans.

    Hours and days of the civil calendar are not equally long; whoever asks gives the edges.
    """
    buckets = []
    index = 0
    for start, end in pairwise(edges):
        totals: dict[State, int] = {}
        reasons: dict[str, int] = {}
        while index < len(spans) and spans[index].end <= start:
            index += 1
        at = index
        while at < len(spans) and spans[at].start < end:
            span = spans[at]
            lasted = (min(span.end, end) - max(span.start, start)) // timedelta(microseconds=1)
            totals[span.state] = totals.get(span.state, 0) + lasted
            if span.state is State.GAP:
                reasons[span.reason] = reasons.get(span.reason, 0) + lasted
            at += 1
        longest = tuple(sorted(reasons, key=lambda reason: (-reasons[reason], reason)))
        buckets.append(Bucket(start=start, end=end, microseconds=totals, reasons=longest))
    return buckets


def find_next(spans: Sequence[Span], at: datetime) -> Span | None:
    """The span with pictures that contains `at`, or the first after it."""
    return next((span for span in spans if span.end > at and has_pictures(span)), None)


def has_pictures(span: Span) -> bool:
    """Whether there is something to see."""
    return span.state in (State.RECORDED, State.HELD)


class _Layer:
    """Stretches of one kind, asked for rising moments."""

    def __init__(
        self, stretches: Sequence[Stretch], since: datetime, until: datetime, *, keep: bool = False
    ) -> None:
        inside = [each for each in stretches if each.end > since and each.start < until]
        self._stretches = inside if keep else unite(inside)
        self._index = 0

    def edges(self) -> Iterator[datetime]:
        for each in self._stretches:
            yield each.start
            yield each.end

    def at(self, moment: datetime) -> str | None:
        """The reason of the stretch that contains it, or None where none does."""
        while self._index < len(self._stretches) and self._stretches[self._index].end <= moment:
            self._index += 1
        if self._index < len(self._stretches) and self._stretches[self._index].start <= moment:
            return self._stretches[self._index].reason
        return None


def _paint(stretches: Sequence[Stretch], since: datetime, until: datetime) -> list[Stretch]:
    """The stretches in order and without overlaps: where several are, the one named first stays."""
    inside = [each for each in stretches if each.start < each.end and each.end > since and each.start < until]
    opening = sorted(range(len(inside)), key=lambda index: inside[index].start)
    points = sorted({point for each in inside for point in (each.start, each.end)})
    painted: list[Stretch] = []
    open_: list[int] = []
    at = 0
    for start, end in pairwise(points):
        while at < len(opening) and inside[opening[at]].start <= start:
            heappush(open_, opening[at])
            at += 1
        while open_ and inside[open_[0]].end <= start:
            heappop(open_)
        if open_:
            painted.append(Stretch(start, end, inside[open_[0]].reason))
    return painted
