"""Which mask counted when, and what a mask may be."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.video.masks.conftest import MIDDLE, START, mask

from koinon.base.errors import Invalid
from koinon.video.masks import policy

HOUR = timedelta(hours=1)


def test_a_picture_is_under_the_mask_of_its_time_until_exclusive():
    one, two = mask(since=START, until=START + HOUR), mask(since=START + HOUR, until=None)
    assert policy.mask_at([one, two], START - HOUR) is None
    assert policy.mask_at([one, two], START) is one
    assert policy.mask_at([one, two], START + HOUR) is two
    assert policy.mask_of([two, one], START, START + 2 * HOUR) == [one, two]
    assert policy.mask_of([one, two], START - HOUR, START) == []


@pytest.mark.parametrize(
    ("polygons", "code"),
    [
        ([MIDDLE] * 33, "mask_too_many"),
        ([MIDDLE * 20], "mask_too_many"),
        ([((0.1, 0.1), (1.2, 0.1), (0.3, 0.3))], "mask_point_outside"),
        ([((0.1, 0.1), (0.2, 0.2))], "mask_without_area"),
        ([((0.1, 0.1), (0.2, 0.2), (0.3, 0.3))], "mask_without_area"),
    ],
)
def test_a_mask_that_cannot_be_drawn_is_refused(polygons, code):
    with pytest.raises(Invalid) as refused:
        policy.check_polygons(polygons)
    assert refused.value.code == code
    policy.check_polygons([MIDDLE])
    policy.check_polygons([])


share = st.integers(0, 10_000).map(lambda each: each / 10_000)


@given(st.lists(st.lists(st.tuples(share, share), min_size=3, max_size=6).map(tuple), max_size=4).map(tuple))
def test_a_list_of_points_reads_back_as_it_was_written(polygons):
    assert policy.parse_points(policy.write_points(polygons)) == polygons


@pytest.mark.parametrize("text", ["a,b", "1,2,3 4,5", "10", "nan,5 1,1 2,2", "inf,1 2,2 3,3"])
def test_what_is_no_list_of_points_is_refused_with_its_line(text):
    with pytest.raises(Invalid) as refused:
        policy.parse_points("1,1 2,2 3,3\n" + text)
    assert (refused.value.code, refused.value.facts["line"]) == ("mask_points_malformed", 2)
