"""Percentiles, points and alerts from counts. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from koinon.base.clock import BRUSSELS, is_of_our_time
from koinon.base.errors import Invalid, KoinonError
from koinon.integrator.operations.model import (
    BEYOND_MS,
    BOUNDS_MS,
    RELEASED,
    AlertKind,
    AlertRule,
    Count,
    Latency,
    Measure,
    Point,
    Step,
    Term,
)

# An error share over fewer questions says nothing.
LEAST_ASKED = 10
LONGEST = {"hour": timedelta(days=31), "day": timedelta(days=400)}


def is_failure(error: KoinonError) -> bool:
    """Whether we failed the question: 5xx, as opposed to a refusal."""
    return error.status >= 500


def class_of(milliseconds: float) -> int:
    """The upper bound, in milliseconds, of the class of latency that this falls in."""
    place = bisect_left(BOUNDS_MS, milliseconds)
    return BOUNDS_MS[place] if place < len(BOUNDS_MS) else BEYOND_MS


def percentile(classes: Mapping[int, int], share: float) -> int | None:
    """The upper bound of the class in which the value at `share` of one falls (nearest rank); None of nothing."""
    total = sum(classes.values())
    if not total:
        return None
    # Nearest rank: the smallest value that at least `share` of all values do not exceed.
    rank = max(1, -int(-share * total // 1))
    seen = 0
    for bound in sorted(classes):
        seen += classes[bound]
        if seen >= rank:
            return bound
    raise AssertionError("the ranks add up to the total")


def latency_of(classes: Mapping[int, int]) -> Latency:
    """The three percentiles that are shown."""
    return Latency(percentile(classes, 0.5), percentile(classes, 0.95), percentile(classes, 0.99))


def beginning_of(at: datetime, step: Step) -> datetime:
    """When the hour, or the day in Brussels, of this instant began."""
    if step == "hour":
        return at.replace(minute=0, second=0, microsecond=0)
    local = at.astimezone(BRUSSELS).replace(hour=0, minute=0, second=0, microsecond=0)
    return local.astimezone(at.tzinfo)


def after(at: datetime, step: Step) -> datetime:
    """When the next step begins; a day may have 23 or 25 hours."""
    if step == "hour":
        return at + timedelta(hours=1)
    return beginning_of(at + timedelta(hours=26), "day")


def check_period(since: datetime, until: datetime, step: Step) -> None:
    """Returns only for a period that may be asked at once.

    Raises:
        Invalid: `period_empty`, `period_too_long`, `period_out_of_time`.
    """
    if not is_of_our_time(since, until):
        raise Invalid("period_out_of_time")
    if until <= since:
        raise Invalid("period_empty")
    if until - since > LONGEST[step]:
        raise Invalid("period_too_long", limit_days=LONGEST[step].days)


def points_of(counts: Iterable[Count], since: datetime, until: datetime, step: Step) -> tuple[Point, ...]:
    """A point for each step from the one that holds `since` to the last before `until`."""
    by_step: dict[datetime, list[Count]] = {}
    at = beginning_of(since, step)
    while at < until:
        by_step[at] = []
        at = after(at, step)
    for count in counts:
        found = by_step.get(beginning_of(count.at, step))
        if found is not None:
            found.append(count)
    return tuple(point_of(at, group) for at, group in by_step.items())


def point_of(at: datetime, counts: Iterable[Count]) -> Point:
    """All of these counts together."""
    outcomes: Counter[str] = Counter()
    classes: Counter[int] = Counter()
    failed = 0
    for count in counts:
        if count.kind in ("outcome", "failure"):
            outcomes[count.name] += count.number
            failed += count.number if count.kind == "failure" else 0
        elif count.kind == "latency":
            classes[int(count.name)] += count.number
    asked, released = sum(outcomes.values()), outcomes[RELEASED]
    return Point(
        at=at,
        asked=asked,
        released=released,
        refused=asked - released - failed,
        failed=failed,
        latency=latency_of(classes),
    )


def names_of(counts: Iterable[Count], kind: str) -> dict[str, int]:
    """How often each name of a kind was counted, most often first."""
    found: Counter[str] = Counter()
    for count in counts:
        if count.kind == kind:
            found[count.name] += count.number
    return dict(found.most_common())


def count_terms(terms: Iterable[Term]) -> dict[str, int]:
    """How many batches ended, are awaited, were stopped."""
    found = Counter(
        "stopped" if term.stopped else "awaited" if term.ended_at is None else "ended" for term in terms
    )
    return {name: found[name] for name in ("ended", "awaited", "stopped")}


def check_rule(kind: AlertKind, threshold: float, window_minutes: int) -> None:
    """Returns only for a rule that can be met and not met.

    Raises:
        Invalid: `alert_rule_malformed`, with the field.
    """
    limits: Mapping[AlertKind, tuple[float, float]] = {
        "errors": (0.001, 1.0),
        "latency": (1.0, 60_000.0),
        "silence": (1.0, 1_000_000.0),
    }
    if kind not in limits:
        raise Invalid("alert_rule_malformed", field="kind")
    least, most = limits[kind]
    if not least <= threshold <= most:
        raise Invalid("alert_rule_malformed", field="threshold", least=least, most=most)
    if not 1 <= window_minutes <= 7 * 24 * 60:
        raise Invalid("alert_rule_malformed", field="window_minutes", least=1, most=7 * 24 * 60)


def judge(rule: AlertRule, measure: Measure, now: datetime) -> float | None:
    """What was measured when the rule is met; None when it is not, or when there is too little to judge by."""
    match rule.kind:
        case "errors":
            if measure.asked < LEAST_ASKED:
                return None
            share = measure.failed / measure.asked
            return share if share >= rule.threshold else None
        case "latency":
            if measure.asked < LEAST_ASKED or measure.p95 is None:
                return None
            return float(measure.p95) if measure.p95 > rule.threshold else None
        case "silence":
            # A rule that is younger than its window has not watched long enough.
            if now - rule.made_at < timedelta(minutes=rule.window_minutes):
                return None
            return float(measure.asked) if measure.asked < rule.threshold else None


def oldest_kept(now: datetime) -> datetime:
    """Counts before this instant are deleted: the beginning of the month 13 months ago, in Brussels."""
    local = now.astimezone(BRUSSELS)
    months = local.year * 12 + local.month - 1 - 13
    return local.replace(
        year=months // 12, month=months % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    ).astimezone(now.tzinfo)


def merge(counts: Sequence[Count]) -> Sequence[Count]:
    """The counts in one order: processes that write the same rows must not wait for one another in a ring."""
    return sorted(counts, key=lambda each: each[:5])
