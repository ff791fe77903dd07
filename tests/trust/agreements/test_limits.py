"""What narrows a row of a convention's matrix, on both sides of each limit."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import Invalid, NotAllowed
from koinon.trust.agreements import (
    Agreements,
    Circumstances,
    Hours,
    Limits,
    MatrixRow,
    Word,
    bind,
    find_exceeded,
)
from koinon.trust.agreements.limits import MINUTES_A_DAY, next_quarter
from koinon.trust.agreements.policy import check_convention_document, read_statement

# A Tuesday, 11:30 in Brussels.
NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
WHOLE = Limits(
    depth_days=30,
    hours=(Hours(22 * 60, 12 * 60),),
    weekdays=(2,),
    territories=("21003", "5340"),
    purposes=("investigation",),
    case=True,
    reason=True,
    second_person=True,
    work_station=True,
    emergency=True,
)
MET = Circumstances(
    profile="investigator",
    purpose="investigation",
    case="PV-1",
    reason=True,
    second_person=True,
    images_since=NOW - timedelta(days=30),
    territories=frozenset({"21012", "5340"}),
    at_work_station=True,
    emergency=True,
)


def test_a_row_whose_limits_are_all_met_gives() -> None:
    assert find_exceeded(WHOLE, MET, NOW) is None
    assert find_exceeded(None, Circumstances(), NOW) is None


@pytest.mark.parametrize(
    ("lacking", "code"),
    [
        ({"emergency": False}, "emergency_only"),
        ({"purpose": "public_order"}, "purpose_not_in_matrix"),
        ({"territories": frozenset({"21001", "5341"})}, "outside_territory"),
        ({"territories": frozenset()}, "outside_territory"),
        ({"images_since": NOW - timedelta(days=30, microseconds=1)}, "depth_exceeded"),
        ({"images_since": None}, "depth_exceeded"),
        ({"case": "  "}, "case_missing"),
        ({"at_work_station": False}, "work_station_only"),
        ({"reason": False}, "reason_missing"),
        ({"second_person": False}, "second_person_missing"),
    ],
)
def test_each_limit_that_is_not_met_refuses_by_its_own_code(lacking: dict[str, Any], code: str) -> None:
    assert find_exceeded(WHOLE, msgspec.structs.replace(MET, **lacking), NOW) == code


def test_what_is_not_known_is_not_met() -> None:
    for name in Limits.__struct_fields__:
        if name in ("hours", "weekdays"):
            continue  # the time is always known
        only = Limits(**{name: getattr(WHOLE, name)})
        assert find_exceeded(only, Circumstances(), NOW) is not None, name


def test_the_live_picture_is_of_no_age() -> None:
    live = Circumstances(live=True)
    assert find_exceeded(Limits(depth_days=0), live, NOW) is None
    assert find_exceeded(Limits(depth_days=0), Circumstances(images_since=NOW), NOW) is None


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        (datetime(2026, 11, 24, 10, 59, 59, tzinfo=UTC), True),  # 11:59 in Brussels
        (datetime(2026, 11, 24, 11, 0, tzinfo=UTC), False),  # 12:00
        (datetime(2026, 11, 24, 20, 59, tzinfo=UTC), False),  # 21:59
        (datetime(2026, 11, 24, 21, 0, tzinfo=UTC), True),  # 22:00
        (datetime(2026, 7, 21, 20, 0, tzinfo=UTC), True),  # 22:00, summer time
        (datetime(2026, 7, 21, 10, 0, tzinfo=UTC), False),  # 12:00, summer time
    ],
)
def test_hours_are_civil_hours_of_brussels_and_may_go_over_midnight(at: datetime, holds: bool) -> None:
    code = find_exceeded(Limits(hours=WHOLE.hours), Circumstances(), at)
    assert (code is None) is holds
    assert code in (None, "outside_hours")


def test_weekdays_are_those_of_brussels() -> None:
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)  # Wednesday in Brussels
    assert find_exceeded(Limits(weekdays=(3,)), Circumstances(), late) is None
    assert find_exceeded(Limits(weekdays=(2,)), Circumstances(), late) == "outside_hours"


@given(
    st.integers(0, MINUTES_A_DAY - 1), st.integers(0, MINUTES_A_DAY - 1), st.integers(0, MINUTES_A_DAY - 1)
)
def test_a_span_and_its_turned_round_span_share_no_minute_and_leave_none(a: int, b: int, minute: int) -> None:
    if a != b:
        assert Hours(a, b).hold(minute) is not Hours(b, a).hold(minute)


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_hangs_on_the_time_is_looked_at_again_within_a_quarter_of_an_hour(at: datetime) -> None:
    if at.year == 9999:
        return
    ahead = next_quarter(at) - at
    assert timedelta() < ahead <= timedelta(minutes=15)
    assert next_quarter(at).minute % 15 == 0


def bindings(parties: Any, *matrix: MatrixRow) -> Any:
    convention = parties.convention(matrix=matrix)
    statements = tuple(
        read_statement(parties.say(name, Word.SIGN, convention)) for name in ("integrator", "housing")
    )
    agreements = Agreements(
        conventions={convention.id: (convention,)}, statements={convention.digest: statements}
    )
    return bind(agreements, parties.register(), {convention.digest})


def asked(parties: Any) -> tuple[Any, ...]:
    members = [parties.id["integrator"], parties.id["housing"]]
    return (members, "investigator", "view_recording", "cameras/west", NOW)


def test_one_row_within_its_limits_is_enough(parties: Any) -> None:
    narrow = MatrixRow("investigator", "view_recording", "cameras/west", Limits(depth_days=1))
    wide = MatrixRow("investigator", "view_recording", "cameras/*", Limits(depth_days=30))
    found = bindings(parties, narrow, wide).check_cover(*asked(parties), MET)
    assert found.until == next_quarter(NOW)
    with pytest.raises(NotAllowed) as refusal:
        bindings(parties, narrow).check_cover(*asked(parties), MET)
    assert refusal.value.code == "depth_exceeded"


def test_of_several_rows_that_do_not_give_the_nearest_says_why(parties: Any) -> None:
    far = MatrixRow("investigator", "view_recording", "cameras/*", Limits(purposes=("crisis",)))
    near = MatrixRow("investigator", "view_recording", "cameras/*", Limits(depth_days=30, second_person=True))
    alone = msgspec.structs.replace(MET, second_person=False)
    for rows in ((far, near), (near, far)):
        with pytest.raises(NotAllowed) as refusal:
            bindings(parties, *rows).check_cover(*asked(parties), alone)
        assert refusal.value.code == "second_person_missing"


def test_without_facts_a_limited_row_gives_nothing(parties: Any) -> None:
    row = MatrixRow("investigator", "view_recording", "cameras/west", Limits(purposes=("investigation",)))
    with pytest.raises(NotAllowed) as refusal:
        bindings(parties, row).check_cover(*asked(parties))
    assert refusal.value.code == "purpose_not_in_matrix"


def test_a_row_without_limits_stands_in_the_document_as_before(parties: Any) -> None:
    row = MatrixRow("investigator", "view_recording", "cameras/west")
    assert b'"limits"' not in parties.convention(matrix=(row,)).canonical
    limited = msgspec.structs.replace(row, limits=Limits(depth_days=7))
    assert b'{"depth_days":7}' in parties.convention(matrix=(limited,)).canonical


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(depth_days=-1),
        Limits(hours=(Hours(0, MINUTES_A_DAY),)),
        Limits(weekdays=(0,)),
        Limits(weekdays=(8,)),
    ],
)
def test_limits_that_mean_nothing_cannot_be_signed(parties: Any, limits: Limits) -> None:
    convention = parties.convention(
        matrix=(MatrixRow("p", "a", "cameras/west", limits),), valid_from=date(2026, 1, 1)
    )
    with pytest.raises(Invalid) as refusal:
        check_convention_document(convention, None)
    assert refusal.value.code == "convention_malformed"
