"""What the register takes, and who may change it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.video.cameras.samples import facts

from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.trust.parties import INSTALLER, Author
from koinon.video.cameras import Camera, PlaceKind, Sensor, State, observation, policy
from koinon.video.cameras.model import DENSITIES, FACTS, Observation
from koinon.video.cameras.territory import MUNICIPALITIES, ZONES


def camera(**changes):
    return Camera(owner=changes.pop("owner", None) or new_id(), **facts(**changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", ""),
        ("code", "../etc"),
        ("code", "Upper"),
        ("code", "-first"),
        ("code", "x" * 65),
        ("code", "a\n"),
        ("name", "  "),
        ("name", "x" * 201),
        ("name", "bell\x07"),
        ("latitude", math.nan),
        ("longitude", math.inf),
        ("height_m", 501.0),
        ("direction_deg", -1.0),
        ("direction_deg", 361.0),
        ("direction_deg", math.nan),
        ("field_of_view_deg", 0.0),
        ("field_of_view_deg", 361.0),
        ("range_m", 0.0),
        ("range_m", 5001.0),
        ("pixels_per_metre", -2.0),
        ("zone", "53"),
        ("regime", "Any Thing"),
        ("declaration", "x" * 201),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_field(field, value):
    with pytest.raises(Invalid) as refusal:
        policy.checked(camera(**{field: value}))
    assert refusal.value.code == "camera_value_invalid"
    assert refusal.value.facts["field"] == field


def test_latitude_and_longitude_that_changed_places_are_told_as_such():
    for latitude, longitude, swapped in [(4.3525, 50.8467, True), (48.85, 2.35, False)]:
        with pytest.raises(Invalid) as refusal:
            policy.checked(camera(latitude=latitude, longitude=longitude))
        assert refusal.value.code == "position_outside_region"
        assert refusal.value.facts["swapped"] is swapped


def test_a_municipality_outside_the_region_is_refused():
    with pytest.raises(Invalid) as refusal:
        policy.checked(camera(municipality="11002"))
    assert refusal.value.code == "municipality_unknown"


def test_the_zone_follows_from_the_municipality_unless_it_is_given():
    assert policy.checked(camera(municipality="21001")).zone == "5341"
    assert policy.checked(camera(municipality="21001", zone="5340")).zone == "5340"
    assert {zone for _, zone in MUNICIPALITIES.values()} == set(ZONES)
    assert len(MUNICIPALITIES) == 19


@given(
    st.floats(0, 360, allow_nan=False),
    st.floats(0.01, 360),
    st.floats(0.01, 5000),
    st.floats(0.01, 10000),
)
def test_a_checked_camera_is_as_it_is_checked_again(direction, angle, range_, density):
    once = policy.checked(
        camera(direction_deg=direction, field_of_view_deg=angle, range_m=range_, pixels_per_metre=density)
    )
    assert policy.checked(once) == once
    assert 0 <= once.direction_deg < 360


@pytest.mark.parametrize(
    ("density", "purpose"),
    [
        (None, None),
        (12.49, None),
        (12.5, Observation.MONITOR),
        (25.0, Observation.DETECT),
        (62.5, Observation.OBSERVE),
        (124.9, Observation.OBSERVE),
        (125.0, Observation.RECOGNISE),
        (250.0, Observation.IDENTIFY),
        (1000.0, Observation.INSPECT),
    ],
)
def test_the_purpose_of_observation_follows_from_the_pixels_a_metre(density, purpose):
    assert observation(density) is purpose


@given(st.floats(0, 20000), st.floats(0, 20000))
def test_more_pixels_never_serve_less(one, other):
    order = [None, *DENSITIES]
    less, more = sorted((one, other))
    assert order.index(observation(less)) <= order.index(observation(more))


@pytest.mark.parametrize("kind", [PlaceKind.PUBLIC_OPEN, PlaceKind.PUBLIC_CLOSED])
def test_places_that_the_public_may_enter_may_be_shared(kind):
    policy.check_shareable(camera(place_kind=kind))


def test_any_other_place_is_refused_with_the_article():
    with pytest.raises(NotAllowed) as refusal:
        policy.check_shareable(camera(place_kind=PlaceKind.NOT_PUBLIC))
    assert refusal.value.code == "place_not_shareable"
    assert "21 March 2007" in refusal.value.facts["law"]
    assert "28 May 2015" in refusal.value.facts["law"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"state": State.RETIRED}, "camera_retired"), ({"declaration": ""}, "declaration_missing")],
)
def test_a_retired_or_undeclared_camera_is_not_shared(changes, code):
    with pytest.raises(Conflict) as refusal:
        policy.check_shareable(camera(**changes))
    assert refusal.value.code == code


OWNER, OTHER = new_id(), new_id()
PROFILES = (
    "camera_manager",
    "party_manager",
    "control_room_operator",
    "security_adviser",
    "operator",
    "nonsense",
)


def answer(check):
    try:
        check()
    except KoinonError as error:
        return f"{type(error).__name__} {error.code}"
    return "yes"


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize("party", [OWNER, OTHER, None])
@pytest.mark.parametrize("profile", PROFILES)
def test_who_may_change_a_camera(profile, party, managed):
    given_ = answer(
        lambda: policy.check_may_change(Author(party=party, profile=profile), OWNER, managed=managed)
    )
    if profile == "operator":
        expected = "NotAllowed camera_change_not_allowed" if managed else "yes"
    elif party != OWNER:
        expected = "NotFound camera_unknown"  # whoever is outside does not learn that it exists
    elif profile == "camera_manager":
        expected = "yes"
    else:
        expected = "NotAllowed camera_change_not_allowed"
    assert given_ == expected


def test_the_command_line_may_change_every_camera():
    assert answer(lambda: policy.check_may_change(INSTALLER, OWNER, managed=True)) == "yes"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("party", [OWNER, OTHER])
def test_only_the_operator_says_in_which_networks_cameras_stand(profile, party):
    given_ = answer(lambda: policy.check_may_set_networks(Author(party=party, profile=profile)))
    assert given_ == ("yes" if profile == "operator" else "NotAllowed camera_change_not_allowed")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("party", [OWNER, OTHER])
def test_a_party_registers_its_own_work_stations(profile, party):
    given_ = answer(lambda: policy.check_may_register_stations(Author(party=party, profile=profile), OWNER))
    if party == OTHER:
        assert given_ == "NotFound centre_unknown"
    elif profile in ("party_manager", "camera_manager"):
        assert given_ == "yes"
    else:
        assert given_ == "NotAllowed camera_change_not_allowed"


def test_changes_name_what_differs_and_nothing_else():
    before = camera()
    import msgspec

    after = msgspec.structs.replace(before, name="Other", sensor=Sensor.PTZ)
    assert policy.changes(before, after) == {"name": "Other", "sensor": Sensor.PTZ}
    assert policy.changes(before, before) == {}
    assert "shared" not in FACTS and "state" not in FACTS and "owner" not in FACTS


def test_a_system_changes_only_its_own_partys_cameras_and_only_while_somebody_answers_for_it():
    owner = new_id()
    system = Author(party=owner, profile="system")
    policy.check_may_change(system, owner, managed=True)
    with pytest.raises(NotAllowed):
        policy.check_may_change(system, owner, managed=False)
    with pytest.raises(NotFound):
        policy.check_may_change(system, new_id(), managed=True)
