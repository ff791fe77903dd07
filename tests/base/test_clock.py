"""What people write as the time in Brussels, as an instant."""

from datetime import UTC, date, datetime

import pytest

from koinon.base.clock import end_of, read_moment


def test_a_time_that_comes_twice_is_the_first_or_the_last_of_the_two() -> None:
    assert read_moment("2026-11-24T10:30") == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    assert read_moment("2026-10-25 02:30") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert read_moment("2026-10-25 02:30", last=True) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert end_of(date(2026, 10, 25)) == datetime(2026, 10, 25, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2027-03-28 02:30", "2026-11-24 10:30+05:00", "2026-11-24T10:30Z", "0001-01-01 00:00"],
)
@pytest.mark.parametrize("last", [False, True])
def test_what_is_no_time_in_brussels_is_refused(text: str, last: bool) -> None:
    with pytest.raises(ValueError):
        read_moment(text, last=last)


def test_a_day_after_the_last_one_does_not_end() -> None:
    with pytest.raises(ValueError):
        end_of(date.max)
