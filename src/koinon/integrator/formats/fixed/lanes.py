"""Digits of many records at once: eight of them are one 64-bit number, a column of such numbers is one array.

A lane is the eight bytes that end where a number ends, taken out of every record with the records' length as
stride. Eight digits become their value in three multiplications, whatever stands in them is checked with two
additions; numpy does it for a whole column at a time. Nothing here decides what a fault is called: a row that
is not certainly good is left to the reader of cells.

Source of the multiplications: the usual parsing of eight ASCII digits in one word (D. Lemire, "Quickly parsing
eight digits", 2018).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Lanes = npt.NDArray[np.uint64]

LANE = 8
_U = np.uint64
ZEROS = _U(0x3030303030303030)
_CARRY = _U(0x7676767676767676)
_HIGH = _U(0x8080808080808080)
_STEPS = (
    (_U(0x0F0F0F0F0F0F0F0F), _U(2561), _U(8)),
    (_U(0x00FF00FF00FF00FF), _U(6553601), _U(16)),
    (_U(0x0000FFFF0000FFFF), _U(42949672960001), _U(32)),
)
_FIRST_YEAR, _LAST_YEAR = 1, 9999
# Days from 1970 to the first of each month from January of year 0, which stands in for years that are none.
_MONTH_STARTS = (
    np.arange("0000-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int32)
)
_MONTH_DAYS = np.diff(_MONTH_STARTS).astype(np.uint8)
_MONTH_PARTS = np.zeros(100, bool)
for _first in (0, 20, 40, 60, 80):
    _MONTH_PARTS[_first : _first + 13] = True
_NATIONAL_REMAINDER = -2_000_000_000 % 97


def take(records: Any, end: int, digits: int) -> Lanes:
    """The lane of every record that ends before `end`, zeros before its last `digits`.

    `records` is a structured array with one field `lane:<end>` of eight bytes; see `Layout`.
    """
    lanes: Lanes = records[f"lane:{end}"].copy()
    if digits < LANE:
        before = _U((1 << 8 * (LANE - digits)) - 1)
        lanes &= ~before
        lanes |= ZEROS & before
    return lanes


def parse(lanes: Lanes) -> tuple[Lanes, Flags]:
    """What the digits say, and which lanes hold anything else."""
    found = lanes ^ ZEROS
    bad = ((found + _CARRY) | found) & _HIGH
    for mask, factor, shift in _STEPS:
        found &= mask
        found *= factor
        found >>= shift
    return found, bad != 0


def national_faults(first_eight: Lanes, last_three: Lanes) -> Flags:
    """Which numbers are not `is_national_number`, given their digits as two numbers."""
    first = first_eight.astype(np.uint32)
    last = last_three.astype(np.uint32)
    order = last // 100
    check = last - order * 100
    total = first * 10 + order + check
    remainder = total - total // 97 * 97
    year_month, month_day = first // 10_000, first // 100
    month = year_month - year_month // 100 * 100
    day = month_day - year_month * 100
    good: Flags = (
        ((remainder == 0) | (remainder == _NATIONAL_REMAINDER))
        & (check >= 1)
        & (check <= 97)
        & (day <= 31)
        & _MONTH_PARTS[np.minimum(month, 99)]
    )
    return ~good


def enterprise_faults(first_eight: Lanes, last_two: Lanes) -> Flags:
    """Which numbers are not `is_enterprise_number`, given their digits as two numbers."""
    first, check = first_eight.astype(np.uint32), last_two.astype(np.uint32)
    total = first + check
    good: Flags = (total == total // 97 * 97) & (check >= 1) & (check <= 97) & (first < 20_000_000)
    return ~good


def read_days(written: Lanes, *, partial: bool) -> tuple[npt.NDArray[np.int32], Flags]:
    """Days since 1970 of dates written `yyyymmdd`, or with `partial` that number itself; and which are no dates."""
    dates = written.astype(np.uint32)
    year_month = dates // 100
    day = dates - year_month * 100
    year = year_month // 100
    month = year_month - year * 100
    known = (month >= 1) & (month <= 12) & (year >= _FIRST_YEAR) & (year <= _LAST_YEAR)
    index = np.where(known, year * 12 + month - 1, 0)
    fits = known & (day <= _MONTH_DAYS[index])
    if partial:
        fits |= (month == 0) & (day == 0) & (year >= _FIRST_YEAR) & (year <= _LAST_YEAR)
        return dates.astype(np.int32), ~fits
    return _MONTH_STARTS[index] + day.astype(np.int32) - 1, ~(fits & (day >= 1))
