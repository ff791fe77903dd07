"""Percentiles, steps, points and alerts, without a database."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import Invalid
from koinon.integrator.operations.model import BEYOND_MS, BOUNDS_MS, AlertRule, Count, Measure
from koinon.integrator.operations.policy import (
    beginning_of,
    check_period,
    check_rule,
    class_of,
    judge,
    oldest_kept,
    percentile,
    points_of,
)

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
PARTY = UUID(int=1)


def rule(kind: str, threshold: float, window: int = 60, made: timedelta = timedelta(days=1)) -> AlertRule:
    return AlertRule(
        id=UUID(int=2),
        flow="f",
        kind=kind,  # type: ignore[arg-type]
        threshold=threshold,
        window_minutes=window,
        made_at=NOON - made,
    )


@given(st.lists(st.floats(0.0, 50_000.0), min_size=1, max_size=400), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_never_below_the_true_one_nor_above_the_bound_of_its_class(
    times: list[float], share: float
) -> None:
    classes: dict[int, int] = {}
    for each in times:
        classes[class_of(each)] = classes.get(class_of(each), 0) + 1
    ordered = sorted(times)
    # Exact rational ranks: 0.95 of 20 is 19, not 20.
    true = ordered[-(-round(share * 100) * len(times) // 100) - 1]
    found = percentile(classes, share)
    assert found is not None and true <= found == class_of(true)


def test_bounds_grow_by_at_most_a_half_above_four_and_everything_has_a_class() -> None:
    for low, high in pairwise(BOUNDS_MS):
        assert low < high <= low * 2
        assert low < 4 or high <= low * 1.85
    assert class_of(0.0) == 1 and class_of(60_000.1) == BEYOND_MS
    assert percentile({}, 0.95) is None


def test_a_day_begins_at_midnight_in_brussels_and_the_day_of_the_clock_change_is_one_point() -> None:
    assert beginning_of(datetime(2026, 7, 1, 23, tzinfo=UTC), "day") == datetime(2026, 7, 1, 22, tzinfo=UTC)
    since, until = datetime(2026, 10, 24, 10, tzinfo=UTC), datetime(2026, 10, 26, 10, tzinfo=UTC)
    begins = [point.at for point in points_of([], since, until, "day")]
    assert begins == [
        datetime(2026, 10, 23, 22, tzinfo=UTC),
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    ]


def test_failures_are_kept_apart_from_refusals() -> None:
    counts = [
        Count(NOON, "f", PARTY, "outcome", "released", 5),
        Count(NOON, "f", PARTY, "outcome", "subject_not_registered", 3),
        Count(NOON, "f", PARTY, "failure", "database_unavailable", 2),
        Count(NOON, "f", PARTY, "latency", "9", 10),
    ]
    (point,) = points_of(counts, NOON, NOON + timedelta(minutes=1), "hour")
    assert (point.asked, point.released, point.refused, point.failed) == (10, 5, 3, 2)
    assert point.latency.p95 == 9


@pytest.mark.parametrize(
    ("given_rule", "measure", "found"),
    [
        (rule("errors", 0.1), Measure(100, 10, NOON, 5), 0.1),
        (rule("errors", 0.1), Measure(100, 9, NOON, 5), None),
        (rule("errors", 0.1), Measure(9, 9, NOON, 5), None),  # too few to judge by
        (rule("latency", 100), Measure(10, 0, NOON, 150), 150.0),
        (rule("latency", 100), Measure(10, 0, NOON, 100), None),
        (rule("latency", 100), Measure(10, 0, NOON, None), None),
        (rule("silence", 1), Measure(0, 0, None, None), 0.0),
        (rule("silence", 1), Measure(1, 0, NOON, 5), None),
        (rule("silence", 1, made=timedelta(minutes=59)), Measure(0, 0, None, None), None),
    ],
)
def test_a_rule_is_met_at_its_threshold_and_not_before(
    given_rule: AlertRule, measure: Measure, found: float | None
) -> None:
    assert judge(given_rule, measure, NOON) == found


@pytest.mark.parametrize(
    ("kind", "threshold", "window"),
    [("errors", 0.0, 5), ("errors", 1.1, 5), ("latency", 0.5, 5), ("silence", 0, 5), ("silence", 1, 0),
     ("silence", 1, 10_081), ("weather", 1, 5), ("errors", float("nan"), 5)],
)  # fmt: skip
def test_a_rule_that_can_never_be_met_is_refused(kind: str, threshold: float, window: int) -> None:
    with pytest.raises(Invalid) as caught:
        check_rule(kind, threshold, window)  # type: ignore[arg-type]
    assert caught.value.code == "alert_rule_malformed"


def test_a_period_is_neither_empty_nor_without_end() -> None:
    with pytest.raises(Invalid) as caught:
        check_period(NOON, NOON, "hour")
    assert caught.value.code == "period_empty"
    with pytest.raises(Invalid) as caught:
        check_period(NOON, NOON + timedelta(days=32), "hour")
    assert caught.value.code == "period_too_long"
    check_period(NOON, NOON + timedelta(days=400), "day")
    for far in ("0001-01-01T00:00:00+14:00", "9999-12-31T12:00:00+00:00"):
        since = datetime.fromisoformat(far)
        with pytest.raises(Invalid) as caught:
            check_period(since, since + timedelta(hours=1), "day")
        assert caught.value.code == "period_out_of_time"


def test_thirteen_whole_months_are_kept() -> None:
    assert oldest_kept(datetime(2026, 11, 24, 9, tzinfo=UTC)) == datetime(2025, 9, 30, 22, tzinfo=UTC)
    assert oldest_kept(datetime(2027, 1, 1, tzinfo=UTC)) == datetime(2025, 11, 30, 23, tzinfo=UTC)
