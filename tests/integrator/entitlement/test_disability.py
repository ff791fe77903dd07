"""Rights of persons with a disability: each ground, each date, and that nothing of the medical leaves."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import NotFound
from koinon.integrator.drivers import PartialDate, SourceAnswer
from koinon.integrator.entitlement.disability import (
    DISABILITY_RIGHTS,
    GROUNDS,
    RIGHTS,
    Recognition,
    combine_rights,
    decide_rights,
)

AT = date(2026, 11, 1)
NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)
SUBJECT = "80690112370"


def known(*grounds: str, unknown: tuple[str, ...] = (), **changes: Any) -> Recognition:
    said = {ground: ground in grounds for ground in GROUNDS if ground not in unknown}
    values: dict[str, Any] = {
        "alive": True,
        "born": PartialDate(1980, 5, 1),
        "grounds": said,
        "valid_from": date(2020, 1, 1),
        "unlimited": True,
    }
    return Recognition(**{**values, **changes})


def held(recognition: Recognition, at: date = AT) -> set[str]:
    return {right.code for right in decide_rights(recognition, at).rights if right.held}


@pytest.mark.parametrize(
    ("ground", "rights"),
    [
        ("points_ge_12", {"parking_card", "companion_card"}),
        ("moving_ge_2", {"parking_card"}),
        ("lower_limbs_ge_50", {"parking_card", "companion_card"}),
        ("upper_limbs", {"parking_card", "companion_card"}),
        ("war_invalid_ge_50", {"parking_card"}),
        ("incapacity_ge_80", {"parking_card", "companion_card"}),
        ("sight_ge_90", {"companion_card", "reduction_card"}),
        ("integration_cat_ge_3", {"companion_card"}),
        ("points_ge_6", set()),
        ("points_ge_9", set()),
        ("incapacity_ge_66", set()),
        ("earning_le_third", set()),
        ("recognised_before_65", set()),
    ],
)
def test_each_ground_gives_its_rights_and_no_other(ground: str, rights: set[str]) -> None:
    assert held(known(ground)) == rights


@pytest.mark.parametrize("ground", ["points_ge_9", "incapacity_ge_66", "earning_le_third"])
def test_the_tax_needs_facts_before_65(ground: str) -> None:
    assert "disabled_for_tax" in held(known(ground, "recognised_before_65"))
    assert "disabled_for_tax" not in held(known(ground))


def test_six_points_give_a_companion_until_the_twenty_first_birthday() -> None:
    young = known("points_ge_6", born=PartialDate(2005, 11, 2))
    [right] = [right for right in decide_rights(young, AT).rights if right.code == "companion_card"]
    assert (right.held, right.valid_until) == (True, date(2026, 11, 2))
    assert decide_rights(young, date(2026, 11, 2)).get("companion_card").held is False
    unsure = known("points_ge_6", born=PartialDate(2005))
    assert decide_rights(unsure, AT).get("companion_card").held is None


def test_the_ground_moving_counts_from_march_2003() -> None:
    early = known("moving_ge_2", valid_from=date(2000, 1, 1))
    assert "parking_card" not in held(early, date(2003, 2, 28))
    assert "parking_card" in held(early, date(2003, 3, 1))


def test_before_the_rule_nothing_is_known() -> None:
    with pytest.raises(NotFound) as refusal:
        decide_rights(known("points_ge_12"), date(1999, 5, 6))
    assert refusal.value.code == "parameter_not_in_force"


def test_a_recognition_holds_from_its_first_day_to_the_day_before_its_end() -> None:
    limited = known("points_ge_12", valid_from=AT, valid_until=date(2026, 11, 2), unlimited=False)
    assert held(limited, AT) == {"parking_card", "companion_card"}
    assert held(limited, date(2026, 10, 31)) == set()
    assert held(limited, date(2026, 11, 2)) == set()
    assert decide_rights(limited, AT).get("parking_card").valid_until == date(2026, 11, 2)
    unsure = known("points_ge_12", unlimited=False)
    assert decide_rights(unsure, AT).get("parking_card").held is None


def test_with_death_every_right_ends_and_unknown_life_is_unknown() -> None:
    assert held(known(*GROUNDS, alive=False)) == set()
    assert all(right.held is None for right in decide_rights(known(*GROUNDS, alive=None), AT).rights)


@given(st.sets(st.sampled_from(GROUNDS)), st.sets(st.sampled_from(GROUNDS)))
def test_learning_more_never_turns_yes_into_no(grounds: set[str], unknown: set[str]) -> None:
    partly = decide_rights(known(*grounds, unknown=tuple(unknown)), AT)
    for more in (grounds, grounds | unknown, grounds - unknown):
        for before, after in zip(partly.rights, decide_rights(known(*more), AT).rights, strict=True):
            if more - unknown == grounds - unknown:
                assert before.held is None or before.held == after.held


def answers(
    said: dict[str, Any] | None, status: str = "data", death: date | None = None
) -> list[SourceAnswer]:
    return [
        SourceAnswer(
            source="rijksregister",
            service="person",
            subject=SUBJECT,
            status="data",
            values={"birth_date": PartialDate(1980, 5, 1), "death_date": death},
        ),
        SourceAnswer(
            source="disability",
            service="recognition",
            subject=SUBJECT,
            status=status,  # type: ignore[arg-type]
            values=said or {},
            fault="timeout" if status == "no_answer" else None,
        ),
    ]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **{ground: st.booleans() for ground in GROUNDS},
            "valid_from": st.just(date(2020, 1, 1)),
            "valid_until": st.none() | st.dates(date(2020, 1, 1), date(2030, 1, 1)),
        },
    ),
    st.sampled_from(["data", "no_data", "no_answer", "not_allowed"]),
    st.none() | st.just(date(2026, 1, 1)),
)
def test_nothing_of_the_medical_is_in_anything_that_leaves(
    said: dict[str, Any], status: str, death: date | None
) -> None:
    found = combine_rights(SUBJECT, answers(said if status == "data" else None, status, death), NOW)
    assert set(found.fields) == set(DISABILITY_RIGHTS.fields)
    leaves = msgspec.json.encode((found.fields, found.explanation, found.notes)).decode()
    for ground in GROUNDS:
        assert ground not in leaves
    for word in ("points", "punten", "percent", "invalid", "limbs", "incapacity", "sight"):
        assert word not in leaves.lower()
    # Two persons with the same rights get the same answer, whatever their grounds.
    rights = {code: found.fields[code].value for code in RIGHTS}
    if all(value is False for value in rights.values()) and death is None and status == "data":
        none = {**dict.fromkeys(GROUNDS, False), "valid_from": date(2020, 1, 1), "valid_until": None}
        nobody = combine_rights(SUBJECT, answers(none), NOW)
        assert nobody.fields == found.fields


def test_parameters_do_not_depend_on_the_person() -> None:
    one = combine_rights(SUBJECT, answers({"points_ge_12": True}), NOW)
    other = combine_rights(SUBJECT, answers(None, "no_data"), NOW)
    assert one.parameters == other.parameters


def test_who_is_not_recognised_has_no_right_and_who_did_not_answer_is_unknown() -> None:
    nobody = combine_rights(SUBJECT, answers(None, "no_data"), NOW)
    assert [nobody.fields[code].value for code in RIGHTS] == [False] * 4
    silent = combine_rights(SUBJECT, answers(None, "no_answer"), NOW)
    assert [silent.fields[code].status for code in RIGHTS] == ["no_answer"] * 4
    assert silent.fields["parking_card"].missing == ("disability/recognition.answer",)
