"""Which minutes count as what, and when a promise was kept, broken, or neither."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.clock import start_of
from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.integrator.operations.levels.model import Level, Life, Maintenance, Minutes, NewLevel
from koinon.integrator.operations.levels.policy import (
    MINUTE,
    add_up,
    check_level,
    check_maintenance,
    is_planned,
    judge_availability,
    judge_deferred,
    judge_minutes,
    judge_p95,
    level_in,
    period_of,
    read_moment,
    read_month,
)
from koinon.integrator.operations.model import Term

AT = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
WHY = Text("werken", "travaux", "works")


def level(**changes: object) -> Level:
    values = {
        "flow": "f", "begins_on": date(2026, 11, 1), "availability_percent": 99.0, "p95_ms": 100,
        "deferred_hours": 24, "notice_hours": 48, "agreed_at": AT,
    } | changes  # fmt: skip
    return Level(**values)  # type: ignore[arg-type]


def work(since: datetime, until: datetime, *, before: timedelta = timedelta(hours=72)) -> Maintenance:
    return Maintenance(
        id=UUID(int=1), flow=None, since=since, until=until, reason=WHY, announced_at=since - before
    )


def minutes_of(count: int, **parts: object) -> Minutes:
    values = {"asked": {}, "lives": [], "first_known": AT - timedelta(days=1), "planned": []} | parts
    return add_up(judge_minutes(AT, AT + count * MINUTE, **values))  # type: ignore[arg-type]


def test_a_minute_is_down_when_half_of_what_was_asked_failed_and_answered_when_less_did() -> None:
    asked = {AT: (10, 5), AT + MINUTE: (10, 4), AT + 2 * MINUTE: (1, 1)}
    assert minutes_of(3, asked=asked) == Minutes(answered=1, down=2)


def test_a_minute_in_which_nobody_asked_is_ready_only_while_a_process_that_answers_lived() -> None:
    lives = [Life("web", AT, AT + 2.5 * MINUTE), Life("worker", AT, AT + 5 * MINUTE)]
    assert minutes_of(5, lives=lives) == Minutes(ready=3, down=2)


def test_lives_that_overlap_are_not_counted_twice() -> None:
    short = timedelta(seconds=20)
    lives = [Life("web", AT, AT + short), Life("web", AT, AT + short), Life("web", AT, AT + short)]
    assert minutes_of(1, lives=lives) == Minutes(down=1)


def test_what_nobody_wrote_down_is_unknown_and_not_up_nor_down() -> None:
    assert minutes_of(4, first_known=None) == Minutes(unknown=4)
    assert minutes_of(4, first_known=AT + 2 * MINUTE) == Minutes(unknown=2, down=2)
    lives = [Life(None, AT, AT + 2 * MINUTE)]  # from before the kind of a process was written down
    assert minutes_of(4, lives=lives) == Minutes(unknown=2, down=2)


def test_only_whole_minutes_of_maintenance_count_and_none_after_it_was_withdrawn() -> None:
    each = work(AT + MINUTE, AT + 5 * MINUTE)
    failed = {AT + n * MINUTE: (4, 4) for n in range(6)}
    assert minutes_of(6, asked=failed, planned=[each]) == Minutes(planned=4, down=2)
    over = Maintenance(
        id=each.id, flow=None, since=each.since, until=each.until, reason=WHY,
        announced_at=each.announced_at, withdrawn_at=AT + 2.5 * MINUTE,
    )  # fmt: skip
    assert minutes_of(6, asked=failed, planned=[over]) == Minutes(planned=1, down=5)


def test_maintenance_that_was_announced_late_is_not_planned() -> None:
    late = work(AT, AT + MINUTE, before=timedelta(hours=47))
    assert not is_planned(late, level())
    assert is_planned(late, level(notice_hours=47))
    assert is_planned(late, None)


def test_days_are_those_of_brussels_with_25_hours_when_summer_time_ends() -> None:
    since, until = start_of(date(2026, 10, 1)), start_of(date(2026, 11, 1))
    days = judge_minutes(since, until, {}, [], None, [])
    assert len(days) == 31
    assert {day.day.day for day in days if day.minutes.total == 1_500} == {25}
    assert sum(day.minutes.total for day in days) == (until - since) // MINUTE


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 120)), max_size=6),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 120)), max_size=3),
    st.dictionaries(st.integers(0, 299), st.integers(0, 4), max_size=40),
)
def test_every_minute_is_exactly_one_thing(
    lives: list[tuple[int, int]], planned: list[tuple[int, int]], failed: dict[int, int]
) -> None:
    found = minutes_of(
        300,
        lives=[Life("web", AT + a * MINUTE, AT + (a + n) * MINUTE) for a, n in lives],
        planned=[work(AT + a * MINUTE, AT + (a + n) * MINUTE) for a, n in planned],
        asked={AT + n * MINUTE: (4, bad) for n, bad in failed.items()},
    )
    assert found.total == 300
    out = {n for a, m in planned for n in range(a, a + m) if n < 300}
    assert found.planned == len(out)
    assert found.answered == sum(bad < 2 for n, bad in failed.items() if n not in out)


def test_unknown_minutes_make_a_promise_unknown_only_where_they_could_turn_it() -> None:
    assert judge_availability(level(), Minutes(answered=995, down=5)).verdict == "kept"
    assert judge_availability(level(), Minutes(answered=985, down=15)).verdict == "broken"
    open_ = judge_availability(level(), Minutes(answered=985, down=5, unknown=10))
    assert (open_.verdict, open_.least, open_.most) == ("unknown", 98.5, 99.5)
    assert open_.measured == pytest.approx(99.4949, abs=1e-4)
    assert judge_availability(level(), Minutes(answered=900, down=90, unknown=10)).verdict == "broken"
    assert judge_availability(level(), Minutes(planned=10)).verdict == "unknown"


def test_a_percentile_is_judged_only_as_far_as_its_class_tells() -> None:
    assert judge_p95(level(p95_ms=100), 100, 50).verdict == "kept"
    assert judge_p95(level(p95_ms=100), 150, 50).verdict == "broken"  # more than 100
    assert judge_p95(level(p95_ms=120), 150, 50).verdict == "unknown"  # between 100 and 150
    assert judge_p95(level(p95_ms=100), 65, 9).verdict == "unknown"
    assert judge_p95(level(p95_ms=100), None, 0).measured is None


def test_a_term_is_broken_by_one_late_batch_and_open_while_one_is_awaited() -> None:
    hour = timedelta(hours=1)
    done, late = Term(AT, AT + 2 * hour), Term(AT, AT + 25 * hour)
    waits = Term(AT, None)
    assert _verdict([done], AT) == "kept"
    assert _verdict([done, late], AT) == "broken"
    assert _verdict([done, waits], AT + hour) == "unknown"
    assert _verdict([done, waits], AT + 25 * hour) == "broken"
    assert _verdict([Term(AT, None, stopped=True)], AT + 99 * hour) == "unknown"
    assert judge_deferred(level(deferred_hours=None), [done], AT) is None


def _verdict(terms: list[Term], now: datetime) -> str:
    found = judge_deferred(level(), terms, now)
    assert found is not None
    return found.verdict


def new(begins_on: date, **changes: object) -> NewLevel:
    values = {
        "flow": "f", "begins_on": begins_on, "availability_percent": 99.5, "p95_ms": 100,
        "deferred_hours": None, "notice_hours": 48,
    } | changes  # fmt: skip
    return NewLevel(**values)  # type: ignore[arg-type]


def test_a_promise_is_never_changed_for_a_month_that_has_begun() -> None:
    check_level(new(date(2026, 11, 1)), [], AT)
    for standing, begins_on in (([], date(2026, 10, 1)), ([level()], date(2026, 11, 1))):
        with pytest.raises(Invalid) as caught:
            check_level(new(begins_on), standing, AT)
        assert caught.value.code == "level_not_to_come"
    check_level(new(date(2026, 12, 1)), [level()], AT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("availability_percent", 100.5), ("availability_percent", 99.999), ("availability_percent", float("nan")),
        ("p95_ms", 0), ("deferred_hours", 0), ("notice_hours", 0), ("begins_on", date(2026, 12, 2)),
    ],
)  # fmt: skip
def test_a_promise_that_nobody_could_judge_is_refused(field: str, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        check_level(new(**{"begins_on": date(2026, 12, 1), field: value}), [], AT)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.facts["field"]) == ("level_malformed", field)


def test_a_month_has_the_promise_that_began_last() -> None:
    levels = [level(begins_on=date(2026, 9, 1)), level(), level(begins_on=date(2027, 1, 1))]
    assert level_in(date(2026, 8, 1), levels) is None
    assert level_in(date(2026, 10, 1), levels) == levels[0]
    assert level_in(date(2026, 12, 1), levels) == levels[1]


def test_a_month_that_has_not_begun_or_is_deleted_is_not_reported() -> None:
    for month, code in (
        (date(2026, 12, 1), "month_not_begun"),
        (date(2025, 9, 1), "month_not_kept"),
        (date(9999, 12, 1), "month_malformed"),
        (date(1, 1, 1), "month_malformed"),
    ):
        with pytest.raises(Invalid) as caught:
            period_of(month, AT)
        assert caught.value.code == code
    assert period_of(date(2026, 11, 1), AT) == (start_of(date(2026, 11, 1)), AT - MINUTE)
    since, until = period_of(date(2026, 12, 1), start_of(date(2026, 12, 1)))
    assert since == until
    for text in ("2026-13", "2026-1", "2026-11-01", "november"):
        with pytest.raises(Invalid) as wrong:
            read_month(text)
        assert wrong.value.code == "month_malformed"


def test_maintenance_is_told_before_it_begins_in_every_language_and_lasts_a_day_at_most() -> None:
    check_maintenance(work(AT, AT + timedelta(hours=24)))
    bad = [
        work(AT, AT + MINUTE, before=timedelta()),
        work(AT, AT),
        work(AT, AT + timedelta(hours=25)),
        work(AT + timedelta(seconds=1), AT + MINUTE),
        Maintenance(id=UUID(int=1), flow=None, since=AT, until=AT + MINUTE, reason=Text("x", "", "x"),
                    announced_at=AT - MINUTE),
    ]  # fmt: skip
    for each in bad:
        with pytest.raises(Invalid) as caught:
            check_maintenance(each)
        assert caught.value.code == "maintenance_malformed"


def test_a_moment_that_does_not_come_is_refused_and_of_two_the_first_is_meant() -> None:
    assert read_moment("2026-11-24 10:30") == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    assert read_moment("2026-10-25T02:30") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    for text in ("2027-03-28 02:30", "tomorrow"):
        with pytest.raises(Invalid) as caught:
            read_moment(text)
        assert caught.value.code == "maintenance_malformed"
