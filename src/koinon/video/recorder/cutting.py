"""Where frames may be cut apart, and when each is decoded. Times in media ticks, frames in decoding order."""

from collections.abc import Sequence
from itertools import islice
from operator import lt
from typing import Final

REORDER: Final = 16
"""Frames by which display may lag decoding (H.264 annex A, H.265 annex A: max_num_reorder)."""


def inner_cut(times: Sequence[int]) -> int:
    """How many frames may go ahead, the most, so that none that stays or will come is shown before one of them.

    `times` says when each is shown. 0 where there is no such place.
    """
    count = len(times)
    latest = [0] * (count + 1)
    for index, time in enumerate(times):
        latest[index + 1] = max(latest[index], time) if index else time
    lowest = min(times[max(0, count - REORDER) :], default=0)
    for at in range(count - REORDER, 0, -1):
        lowest = min(lowest, times[at])
        if latest[at] < lowest:
            return at
    return 0


def decoding_times(times: Sequence[int], until: int, floor: int) -> list[int]:
    """When each frame is decoded, and the end of the last: the times of display in rising order, all different, none
    before `floor`.
    """
    shown = [*sorted(times), until]
    if shown[0] >= floor and all(map(lt, shown, islice(shown, 1, None))):
        return shown
    decode = []
    for time in shown:
        floor = max(floor, time)
        decode.append(floor)
        floor += 1
    return decode
