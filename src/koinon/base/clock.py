"""The clock that everything asks for the time, so that a test can hold it still.

Instants are `datetime` in UTC, always aware. Dates of law (`valid_from`, `valid_until`) are `date` in the
region's civil time, see `BRUSSELS`; `until` is exclusive.
"""

import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

BRUSSELS = ZoneInfo("Europe/Brussels")


@runtime_checkable
class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The instant, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back when the wall clock is stepped."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)  # asked for each frame of each camera


class FixedClock:
    """A clock that moves only when told to."""

    def __init__(self, instant: datetime) -> None:
        self._now = instant.astimezone(UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Both readings have moved forward by `by`."""
        self._now += by
        self._monotonic += by.total_seconds()

    def step(self, by: timedelta) -> None:
        """Only the wall clock has moved, as when an operator or NTP sets it."""
        self._now += by


def is_of_our_time(*instants: datetime) -> bool:
    """Whether each can be told in every zone, and a day more or less: what is neither comes from no clock."""
    return all(1900 <= instant.year < 9999 for instant in instants)


def civil_date(instant: datetime) -> date:
    """The calendar day in Brussels on which `instant` falls."""
    return instant.astimezone(BRUSSELS).date()


@lru_cache(maxsize=1024)
def start_of(day: date) -> datetime:
    """The instant at which `day` begins in Brussels, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=BRUSSELS).astimezone(UTC)


def read_moment(text: str, *, last: bool = False) -> datetime:
    """The instant at which `2026-11-24 10:30` (or with a T) is in Brussels, in UTC; of a time that comes twice, when
    summer time ends, the first, or the `last`.

    Raises:
        ValueError: it is none, says an offset, or does not come.
    """
    civil = datetime.fromisoformat(text.strip())
    if civil.tzinfo is not None:
        raise ValueError("an offset")
    try:
        instant = civil.replace(tzinfo=BRUSSELS, fold=int(last)).astimezone(UTC)
    except OverflowError:
        raise ValueError("not of our time") from None
    if instant.astimezone(BRUSSELS).replace(tzinfo=None) != civil:
        raise ValueError("the clock goes forward over it")
    return instant


def end_of(day: date) -> datetime:
    """The instant at which `day` ends in Brussels, in UTC.

    Raises:
        ValueError: not of our time.
    """
    try:
        return start_of(day + timedelta(days=1))
    except OverflowError:
        raise ValueError("not of our time") from None


def rfc3339(instant: datetime, *, minutes: bool = False) -> str:
    """`instant` as RFC 3339 in UTC with a `Z`; to the minute where the ledger must not tell more."""
    text = instant.astimezone(UTC).isoformat(timespec="minutes" if minutes else "microseconds")
    return text[:-6] + "Z"  # the offset is written as +00:00
