"""What a camera sees as a polygon, and hulls."""

import itertools
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.video.cameras.samples import facts

from koinon.base.ids import new_id
from koinon.video.cameras import Camera, Sensor
from koinon.video.cameras.geometry import destination, distance_m, field_of_view, hull

HERE = (4.3525, 50.8467)
POSITIONS = st.tuples(st.floats(4.2, 4.5), st.floats(50.7, 50.95))


def camera(**changes):
    return Camera(owner=new_id(), **facts(**changes))


def area(ring):
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring)) / 2


@given(st.floats(0, 360), st.floats(1, 5000))
def test_who_goes_so_far_is_so_far_away(bearing, distance):
    assert isclose(
        distance_m(HERE, destination(HERE, bearing, distance)), distance, rel_tol=1e-3, abs_tol=0.05
    )


def test_north_is_up_and_east_is_right():
    assert destination(HERE, 0, 100)[1] > HERE[1]
    assert destination(HERE, 90, 100)[0] > HERE[0]


@given(st.floats(0, 359.9), st.floats(1, 359), st.floats(5, 2000))
def test_a_field_of_view_is_a_closed_anticlockwise_sector_of_the_right_size(direction, angle, range_):
    ring = field_of_view(camera(direction_deg=direction, field_of_view_deg=angle, range_m=range_))
    assert ring[0] == ring[-1] == HERE
    assert area(ring) > 0
    middle = destination(HERE, direction, range_)
    arc = ring[1:-1]
    assert all(isclose(distance_m(HERE, point), range_, rel_tol=1e-3, abs_tol=0.05) for point in arc)
    reach = min(distance_m(middle, point) for point in arc)
    assert reach <= range_ * 0.09 + 0.1  # the middle of the picture lies on the arc, within half a step


@pytest.mark.parametrize(
    "changes", [{"sensor": Sensor.DOME_360}, {"sensor": Sensor.PTZ}, {"field_of_view_deg": 360.0}]
)
def test_a_camera_that_looks_all_round_sees_a_circle(changes):
    ring = field_of_view(camera(direction_deg=None, **changes))
    assert ring[0] == ring[-1] and area(ring) > 0
    assert all(isclose(distance_m(HERE, point), 60, rel_tol=1e-3) for point in ring)


@pytest.mark.parametrize("missing", ["range_m", "direction_deg", "field_of_view_deg"])
def test_what_is_not_known_is_not_drawn(missing):
    assert field_of_view(camera(**{missing: None})) is None


@given(st.lists(POSITIONS, min_size=1, max_size=30))
def test_a_hull_with_a_margin_holds_every_position(positions):
    ring = hull(positions, margin_m=100)
    assert ring[0] == ring[-1] and area(ring) > 0
    for x, y in positions:
        assert all(
            (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) >= 0 for a, b in itertools.pairwise(ring)
        )


def test_no_position_has_no_hull():
    assert hull([], margin_m=100) is None
    assert hull([HERE]) is None
