"""Legal days in Belgium: holidays, working days, and terms counted in them. Pure.

The ten legal holidays; a working day is a day from Monday to Friday that is none. Saturday is left out as the Judicial
Code leaves it out of the last day of a term (art. 53); that art. 434 of the tax code counts alike was not found.

Source: act of 4 January 1974 on holidays and royal decree of 18 April 1974, art. 1 (the list); the date of Easter by
the Gregorian computus (Meeus, "Astronomical Algorithms", chapter 8).
"""

from datetime import date, timedelta
from functools import lru_cache

_FIXED = ((1, 1), (5, 1), (7, 21), (8, 15), (11, 1), (11, 11), (12, 25))
# Easter Monday, Ascension, Whit Monday: days after Easter.
_MOVABLE = (1, 39, 50)


@lru_cache(maxsize=256)
def easter(year: int) -> date:
    """Easter Sunday of that year in the Gregorian calendar."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    month_day = h + (32 + 2 * e + 2 * i - h - k) % 7
    shift = month_day - 7 * ((a + 11 * h + 22 * ((32 + 2 * e + 2 * i - h - k) % 7)) // 451)
    month, day = divmod(shift + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=256)
def legal_holidays(year: int) -> frozenset[date]:
    """The ten legal holidays of that year; two may fall on one day."""
    sunday = easter(year)
    return frozenset(
        [date(year, month, day) for month, day in _FIXED]
        + [sunday + timedelta(days=after) for after in _MOVABLE]
    )


def is_working_day(day: date) -> bool:
    """Whether it is from Monday to Friday and no legal holiday."""
    return day.weekday() < 5 and day not in legal_holidays(day.year)


def add_working_days(start: date, count: int) -> date:
    """The `count`-th working day after `start`, which is not counted itself; a term ends at the end of that day.

    With 0 it is `start`.
    """
    day = start
    while count > 0:
        day += timedelta(days=1)
        count -= is_working_day(day)
    return day


def add_months(start: date, months: int) -> date:
    """The same day of the month so many months later, or the last day of that month where it has no such day."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    month += 1
    for day in range(start.day, 27, -1):
        try:
            return date(year, month, day)
        except ValueError:
            continue
    return date(year, month, start.day)
