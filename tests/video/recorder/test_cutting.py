"""Fragments are cut where no frame that follows is shown before one that went ahead."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from koinon.video.recorder.cutting import REORDER, decoding_times, inner_cut


def group(size):
    """Display times of a P frame and the B frames before it, in decoding order."""
    return [size, *range(size)]


@given(st.lists(st.integers(0, 7), min_size=1, max_size=40), st.integers(0, 300))
def test_what_stays_and_what_will_come_is_shown_after_what_went_ahead(groups, seen):
    times, base = [], 0
    for size in groups:
        times += [base + each for each in group(size)]
        base += size + 1
    known, unknown = times[:seen], times[seen:]
    at = inner_cut(known)
    assert 0 <= at <= len(known)
    if at:
        assert max(known[:at]) < min(known[at:] + unknown)


def test_a_place_is_found_as_soon_as_it_is_certain():
    assert inner_cut(list(range(REORDER))) == 0
    assert inner_cut(list(range(REORDER + 5))) == 5
    assert inner_cut([]) == 0


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(0, 1100), st.integers(0, 1100))
def test_decoding_times_rise_and_no_frame_is_decoded_before_the_floor(times, until, floor):
    decode = decoding_times(times, until, floor)
    assert len(decode) == len(times) + 1
    assert decode[0] >= floor
    assert all(later > time for time, later in pairwise(decode))
