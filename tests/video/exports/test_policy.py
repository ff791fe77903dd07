"""Pure decisions: what may be asked at once, and that nothing is missing in silence."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.errors import Invalid
from koinon.video.cameras import CameraId
from koinon.video.exports import policy
from koinon.video.exports.model import ExportRequest
from koinon.video.exports.policy import Hole, fill_holes
from koinon.video.masks.marking import Letters, Mark

T = datetime(2026, 11, 24, 9, tzinfo=UTC)
LENGTH = 100.0
seconds = st.floats(0, LENGTH, allow_nan=False, width=32)
spans = st.tuples(seconds, seconds).map(sorted).filter(lambda each: each[1] - each[0] > 0.5)


def at(second: float) -> datetime:
    return T + timedelta(seconds=second)


@given(st.lists(spans, max_size=5), st.lists(spans, max_size=5))
def test_files_and_holes_together_are_the_interval(files: list[list[float]], told: list[list[float]]) -> None:
    made = [(at(a), at(b)) for a, b in files]
    holes = fill_holes(at(0), at(LENGTH), made, [Hole(at(a), at(b), "gap", "silent") for a, b in told])
    moment, step = at(0) + timedelta(seconds=0.05), timedelta(seconds=0.25)
    while moment < at(LENGTH):
        # No moment is in neither, but near an edge, where less than the length of a picture may be.
        near = timedelta(milliseconds=100)
        in_file = any(start - near <= moment < end + near for start, end in made)
        in_hole = any(each.since - near <= moment < each.until + near for each in holes)
        assert in_file or in_hole, moment
        moment += step
    for each in holes:
        assert at(0) <= each.since < each.until <= at(LENGTH)
        assert not any(start < each.until and end > each.since for start, end in made)
    for one, other in pairwise(holes):
        assert one.until <= other.since + timedelta(milliseconds=100)


def request(**changes: object) -> ExportRequest:
    values = {
        "cameras": (CameraId(UUID(int=1)),), "purpose": "investigation", "since": at(0), "until": at(60), **changes,
    }  # fmt: skip
    return ExportRequest(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cameras": ()}, "cameras_missing"),
        ({"cameras": tuple(CameraId(UUID(int=n)) for n in range(10))}, "too_many_cameras"),
        ({"cameras": (CameraId(UUID(int=1)), CameraId(UUID(int=1)))}, "camera_twice"),
        ({"until": at(0)}, "interval_malformed"),
        ({"until": at(60).replace(tzinfo=None)}, "interval_malformed"),
        ({"until": T + timedelta(days=1)}, "interval_malformed"),
        ({"since": T - policy.LONGEST}, "export_too_long"),
        (
            {
                "cameras": (CameraId(UUID(int=1)), CameraId(UUID(int=2))),
                "until": T + policy.LONGEST / 2 + timedelta(seconds=1),
            },
            "export_too_long",
        ),
    ],
)
def test_what_cannot_be_made_at_once_is_refused_with_its_code(changes: dict[str, object], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        policy.check_request(request(**changes), T + timedelta(hours=3))
    assert caught.value.code == code


def test_what_ended_a_moment_ago_is_made_when_it_is_in_the_index() -> None:
    now = T + timedelta(minutes=10)
    assert policy.begins_at(now - timedelta(seconds=5), now) == now + timedelta(seconds=115)
    assert policy.begins_at(T, now) == now


def test_names_of_files_are_plain_whatever_a_camera_is_called() -> None:
    assert policy.file_name(7, "../Zoé/camera 1\0", T) == "007-Zoe-camera-1-20261124T090000Z.mp4"
    assert policy.file_name(1, "…", T) == "001-camera-20261124T090000Z.mp4"


def planes(width: int, height: int, light: int) -> list[np.ndarray]:
    return [
        np.full((height, width), light, np.uint8),
        np.full((height // 2, width // 2), 90, np.uint8),
        np.full((height // 2, width // 2), 160, np.uint8),
    ]


@pytest.mark.parametrize("light", [16, 120, 235])
def test_a_mark_is_in_the_pixels_of_every_picture_and_tells_its_moment(light: int) -> None:
    mark = Mark("Iris Démo · Zone Ouest · PV-1", 640, 360)
    one, other = planes(640, 360, light), planes(640, 360, light)
    mark.apply(one, 1_795_510_800_040_000)
    mark.apply(other, 1_795_510_801_040_000)
    # White on dark in the band, whatever was there; and something across the picture, however light it is.
    assert one[0][-mark.band :].max() > 200 and one[0][-mark.band :].min() < 80
    across = one[0][: -mark.band]
    assert (across != light).sum() > 200
    assert (across[:60] == light).all(), "most of the picture is as it was"
    # Only the moment differs between two pictures.
    assert (one[0] != other[0]).any()
    assert (one[0][: -mark.band] == other[0][: -mark.band]).all()


@settings(max_examples=25)
@given(st.text(min_size=1, max_size=400), st.integers(32, 400), st.integers(32, 300))
def test_any_name_can_be_marked_on_a_picture_of_any_size(text: str, width: int, height: int) -> None:
    width, height = width // 2 * 2, height // 2 * 2
    picture = planes(width, height, 100)
    Mark(text, width, height).apply(picture, 0)
    assert [each.shape for each in picture] == [each.shape for each in planes(width, height, 100)]


def test_letters_of_our_languages_are_their_own_and_others_have_a_stand_in() -> None:
    letters = Letters(20)
    for one, other in ("éè", "çc", "œo", "ïi", "ÄA"):
        assert (letters.write(one) != letters.write(other)).any()
    assert (letters.write("ạ") == letters.write("a")).all()
    assert (letters.write("中") == letters.write("?")).all()
