"""The timeline: one state for every moment, whatever is told and in whatever order."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.clock import BRUSSELS, start_of
from koinon.base.errors import Invalid
from koinon.video.recordings.timeline import (
    Known,
    Span,
    State,
    Stretch,
    draw,
    find_next,
    gather,
    has_pictures,
    unite,
)

T0 = datetime(2026, 11, 24, 9, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def stretch(start: float, end: float, reason: str = "") -> Stretch:
    return Stretch(at(start), at(end), reason)


def told(known: Known, since: float = 0, until: float = 60) -> list[tuple[float, float, str, str]]:
    return [
        (
            (span.start - T0).total_seconds() / 60,
            (span.end - T0).total_seconds() / 60,
            span.state,
            span.reason,
        )
        for span in draw(at(since), at(until), known)
    ]


def test_what_nothing_tells_is_unknown() -> None:
    assert told(Known()) == [(0, 60, "unknown", "")]


def test_recorded_units_that_touch_are_one_span_and_a_gap_has_its_reason() -> None:
    known = Known(
        recorded=[stretch(0, 10), stretch(10, 20), stretch(30, 60)], gaps=[stretch(20, 30, "silent")]
    )
    assert told(known) == [(0, 20, "recorded", ""), (20, 30, "gap", "silent"), (30, 60, "recorded", "")]


def test_the_second_copy_fills_what_the_first_could_not() -> None:
    known = Known(
        recorded=[stretch(0, 20), stretch(40, 60), stretch(15, 35)],
        gaps=[stretch(20, 40, "disk_full"), stretch(35, 60, "stopped"), stretch(0, 15, "stopped")],
    )
    assert told(known) == [(0, 35, "recorded", ""), (35, 40, "gap", "disk_full"), (40, 60, "recorded", "")]


def test_where_both_copies_have_a_gap_the_first_copy_tells_why() -> None:
    known = Known(gaps=[stretch(10, 30, "silent"), stretch(0, 60, "stopped")])
    assert told(known) == [
        (0, 10, "gap", "stopped"),
        (10, 30, "gap", "silent"),
        (30, 60, "gap", "stopped"),
    ]


def test_held_is_said_only_of_what_is_still_there() -> None:
    known = Known(recorded=[stretch(20, 60)], held=[stretch(0, 30)], deleted=[stretch(0, 20)])
    assert told(known) == [(0, 20, "deleted_by_term", ""), (20, 30, "held", ""), (30, 60, "recorded", "")]


def test_beyond_the_depth_of_history_nothing_is_told_not_even_that_there_is_something() -> None:
    with_pictures = Known(recorded=[stretch(0, 60)], visible=stretch(30, 90))
    with_nothing = Known(gaps=[stretch(0, 30, "silent")], recorded=[stretch(30, 60)], visible=stretch(30, 90))
    assert told(with_pictures) == told(with_nothing) == [(0, 30, "not_yours", ""), (30, 60, "recorded", "")]


def test_a_remote_system_that_was_not_asked_is_neither_a_gap_nor_nothing() -> None:
    known = Known(remote=[stretch(0, 60)], recorded=[stretch(10, 20)])
    assert told(known) == [
        (0, 10, "remote_not_asked", ""),
        (10, 20, "recorded", ""),
        (20, 60, "remote_not_asked", ""),
    ]


def test_the_future_is_unknown_and_says_so() -> None:
    assert told(Known(recorded=[stretch(0, 29)], now=at(30))) == [
        (0, 29, "recorded", ""),
        (29, 30, "unknown", ""),
        (30, 60, "unknown", "future"),
    ]


def test_an_interval_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        draw(at(1), at(1), Known())
    assert refused.value.code == "invalid_interval"


def test_the_rounding_between_two_units_is_nothing_missing_but_a_frame_is() -> None:
    a_bit, a_frame = timedelta(microseconds=2), timedelta(milliseconds=40)
    parts = [Stretch(at(0), at(20)), Stretch(at(20) + a_bit, at(40)), Stretch(at(40) + a_frame, at(60))]
    spans = draw(at(0), at(60), Known(recorded=parts))
    assert [(span.state, span.end - span.start) for span in spans] == [
        ("recorded", timedelta(minutes=40)),
        ("unknown", a_frame),
        ("recorded", timedelta(minutes=20) - a_frame),
    ]


minutes = st.integers(-10, 70)
stretches = st.lists(
    st.tuples(minutes, minutes, st.sampled_from(["silent", "stopped", "disk_full"])).map(
        lambda each: stretch(min(each[:2]), max(each[:2]), each[2])
    ),
    max_size=8,
)
knowledge = st.builds(
    Known,
    recorded=stretches,
    gaps=stretches,
    deleted=stretches,
    held=stretches,
    remote=stretches,
    visible=st.none() | st.tuples(minutes, minutes).map(lambda each: stretch(min(each), max(each))),
    now=st.none() | minutes.map(at),
)


def state_at(known: Known, moment: datetime) -> tuple[State, str]:
    """The definition, moment by moment."""

    def covers(of: list[Stretch]) -> bool:
        return any(each.start <= moment < each.end for each in of)

    if known.visible is not None and not covers([known.visible]):
        return State.NOT_YOURS, ""
    if covers(list(known.recorded)):
        return (State.HELD if covers(list(known.held)) else State.RECORDED), ""
    if covers(list(known.deleted)):
        return State.DELETED_BY_TERM, ""
    for each in known.gaps:
        if each.start <= moment < each.end:
            return State.GAP, each.reason
    if covers(list(known.remote)):
        return State.REMOTE_NOT_ASKED, ""
    return State.UNKNOWN, "future" if known.now is not None and moment >= known.now else ""


@settings(max_examples=300)
@given(knowledge)
def test_every_moment_has_the_one_state_that_the_definition_gives(known: Known) -> None:
    spans = draw(at(0), at(60), known)
    assert spans[0].start == at(0) and spans[-1].end == at(60)
    assert all(span.start < span.end for span in spans)
    for before, after in pairwise(spans):
        assert before.end == after.start
        assert (before.state, before.reason) != (after.state, after.reason)
    assert sum((span.end - span.start for span in spans), timedelta()) == timedelta(hours=1)
    for minute in range(60):
        moment = at(minute + 0.5)
        span = next(each for each in spans if each.start <= moment < each.end)
        assert (span.state, span.reason) == state_at(known, moment)


@settings(max_examples=100)
@given(knowledge, st.sets(st.integers(1, 59), max_size=6))
def test_buckets_lose_nothing(known: Known, cuts: set[int]) -> None:
    spans = draw(at(0), at(60), known)
    edges = [at(minute) for minute in sorted({0, 60, *cuts})]
    buckets = gather(spans, edges)
    for bucket in buckets:
        assert sum(bucket.microseconds.values()) == (bucket.end - bucket.start) // timedelta(microseconds=1)
    for state in State:
        whole = sum((span.end - span.start for span in spans if span.state is state), timedelta())
        assert sum(each.microseconds.get(state, 0) for each in buckets) == whole // timedelta(microseconds=1)


@given(stretches)
def test_united_stretches_are_apart_and_cover_the_same(of: list[Stretch]) -> None:
    united = unite(of)
    assert all(a.end < b.start for a, b in pairwise(united))
    for minute in range(-10, 70):
        moment = at(minute + 0.5)
        assert any(e.start <= moment < e.end for e in united) == any(e.start <= moment < e.end for e in of)


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)])
def test_a_day_on_which_the_clock_is_set_has_its_23_or_25_hours(
    day: tuple[int, int, int], hours: int
) -> None:
    start = start_of(datetime(*day, tzinfo=BRUSSELS).date())
    end = start_of((datetime(*day, tzinfo=BRUSSELS) + timedelta(days=1)).date())
    edges = [start + timedelta(hours=hour) for hour in range(hours + 1)]
    assert edges[-1] == end
    buckets = gather(draw(start, end, Known(recorded=[Stretch(start, end)])), edges)
    assert [bucket.microseconds for bucket in buckets] == [{State.RECORDED: 3_600_000_000}] * hours


def test_the_next_pictures_are_where_we_are_or_after_the_gap() -> None:
    spans = [
        Span(at(0), at(10), State.GAP, "silent"),
        Span(at(10), at(20), State.RECORDED),
        Span(at(20), at(30), State.NOT_YOURS),
        Span(at(30), at(40), State.HELD),
    ]
    assert find_next(spans, at(5)) == spans[1]
    assert find_next(spans, at(15)) == spans[1]
    assert find_next(spans, at(20)) == spans[3]
    assert find_next(spans, at(40)) is None
    assert [has_pictures(span) for span in spans] == [False, True, False, True]


def test_ten_thousand_gaps_in_two_copies_are_drawn_in_a_moment() -> None:
    gaps = [stretch(n, n + 0.5, "silent") for n in range(5000)] + [
        stretch(n + 0.25, n + 0.75, "stopped") for n in range(5000)
    ]
    spans = draw(at(0), at(5000), Known(recorded=[stretch(n + 0.75, n + 1) for n in range(5000)], gaps=gaps))
    assert len(spans) == 15_000
