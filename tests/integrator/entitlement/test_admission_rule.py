"""The rule of admission, case by case: both sides of each threshold and date, and what unknown does."""

from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import NotFound
from koinon.base.text import LANGUAGES
from koinon.integrator.drivers import PartialDate
from koinon.integrator.entitlement import Facts, Member, decide_admission

AT = date(2024, 5, 1)
SINGLE, ONE, SEVERAL, CHILD, DISABLED = 2_749_911, 3_055_458, 3_491_956, 261_896, 523_793


def member(income: int | None = 0, **changes: Any) -> Member:
    values = {
        "registered": True,
        "dependent_child": False,
        "disabled": False,
        "net_taxable_cents": income,
        "property": False,
        "application": "",
    }
    return Member(**{**values, **changes})


def child(**changes: Any) -> Member:
    return member(**{"dependent_child": True, "income": None, **changes})


def facts(*members: Member, **changes: Any) -> Facts:
    values = {"born": PartialDate(1980, 5, 1), "alive": True, "members": members, "complete": True}
    return Facts(**{**values, **changes})


def outcome(*members: Member, at: date = AT, **changes: Any) -> str:
    return decide_admission(facts(*members, **changes), at).outcome


CEILINGS = [
    ((member(),), SINGLE),
    ((member(), member()), ONE),
    ((member(), child()), ONE + CHILD),
    ((member(), child(), child()), ONE + 2 * CHILD),
    ((member(), child(disabled=True)), ONE + 2 * CHILD),
    ((member(), member(1)), SEVERAL),
    ((member(), member(1), child()), SEVERAL + CHILD),
    ((member(disabled=True),), SINGLE + DISABLED),
    ((member(), member(disabled=True)), ONE + DISABLED),
    ((member(), member(1, disabled=True), child(disabled=True), child()), SEVERAL + DISABLED + 3 * CHILD),
]


@pytest.mark.parametrize(("household", "ceiling"), CEILINGS)
def test_income_at_the_ceiling_is_within_it_and_a_cent_more_is_not(
    household: tuple[Member, ...], ceiling: int
) -> None:
    others = sum(one.net_taxable_cents or 0 for one in household[1:])
    for income, expected in ((ceiling - others, "yes"), (ceiling - others + 1, "no")):
        first = msgspec.structs.replace(household[0], net_taxable_cents=income)
        decision = decide_admission(facts(first, *household[1:]), AT)
        assert decision.outcome == expected
        assert decision.ceiling_cents == ceiling
        assert decision.met("income_within_ceiling") == (expected == "yes")


@pytest.mark.parametrize(
    ("year", "ceiling"),
    [(2016, 2_169_284), (2021, 2_352_531), (2023, 2_640_083), (2024, SINGLE), (2026, SINGLE)],
)
def test_each_year_has_its_own_ceiling(year: int, ceiling: int) -> None:
    for day in (date(year, 1, 1), date(year, 12, 31)):
        assert outcome(member(ceiling), at=day) == "yes"
        assert outcome(member(ceiling + 1), at=day) == "no"


def test_the_income_of_dependent_children_is_left_out() -> None:
    assert outcome(member(ONE + CHILD), child(net_taxable_cents=1_000_000)) == "yes"
    assert outcome(member(ONE), child(net_taxable_cents=1_000_000, dependent_child=False)) == "no"


def test_eighteen_is_old_enough() -> None:
    assert outcome(member(), born=PartialDate(2006, 5, 1)) == "yes"
    assert outcome(member(), born=PartialDate(2006, 5, 2)) == "no"
    assert outcome(member(), born=PartialDate(2006, 5)) == "unknown"
    assert outcome(member(), born=PartialDate(2006, 4)) == "yes"
    assert outcome(member(), born=PartialDate(2006)) == "unknown"
    assert outcome(member(), born=None) == "unknown"


def test_one_registered_member_suffices_but_not_a_dependent_child() -> None:
    assert outcome(member(registered=False), member(registered=True)) == "yes"
    assert outcome(member(registered=False), child(registered=True)) == "no"
    assert outcome(member(registered=False), member(registered=None)) == "unknown"
    assert outcome(member(registered=None), member(registered=True)) == "yes"


def test_any_members_property_excludes() -> None:
    assert outcome(member(), child(property=True)) == "no"
    assert outcome(member(), member(property=None)) == "unknown"


def test_the_dead_are_not_admitted() -> None:
    assert outcome(member(), alive=False) == "no"
    assert outcome(member(), alive=None) == "unknown"


def test_nobody_of_the_household_is_in_another_application() -> None:
    assert outcome(member(application="A"), member(application="A")) == "yes"
    assert outcome(member(application="A"), member(application="")) == "yes"
    assert outcome(member(application="A"), member(application="B")) == "no"
    assert outcome(member(application=""), member(application="B")) == "no"
    assert outcome(member(application="A"), member(application=None)) == "unknown"
    assert outcome(member(application=None)) == "unknown"
    assert outcome(member(application="A"), member(application="B"), applications_examined=False) == "yes"


def test_an_unknown_income_leaves_it_unknown_unless_the_known_ones_decide() -> None:
    assert outcome(member(None)) == "unknown"
    assert outcome(member(0), member(None)) == "unknown"
    assert outcome(member(SEVERAL + 1), member(None)) == "no"
    assert outcome(member(SEVERAL), member(None)) == "unknown"


def test_an_unknown_disability_matters_only_near_the_ceiling() -> None:
    assert outcome(member(SINGLE, disabled=None)) == "yes"
    assert outcome(member(SINGLE + 1, disabled=None)) == "unknown"
    assert outcome(member(SINGLE + DISABLED, disabled=None)) == "unknown"
    assert outcome(member(SINGLE + DISABLED + 1, disabled=None)) == "no"


def test_whether_a_child_is_dependent_matters_only_near_the_ceiling() -> None:
    unsure = {"dependent_child": None, "net_taxable_cents": 0}
    assert outcome(member(ONE), child(**unsure)) == "yes"
    assert outcome(member(ONE + 1), child(**unsure)) == "unknown"
    assert outcome(member(ONE + CHILD + 1), child(**unsure)) == "no"


def test_a_household_that_is_not_known_leaves_all_but_a_decisive_fact_unknown() -> None:
    assert outcome(member(), complete=False) == "unknown"
    assert outcome(member(property=True), complete=False) == "no"
    assert outcome(member(10**9), complete=False) == "unknown"
    assert outcome(complete=False) == "unknown"


def test_every_condition_has_a_sentence_in_each_language_and_the_ceiling_in_its_way_of_writing() -> None:
    decision = decide_admission(facts(member(1)), AT)
    for condition in decision.conditions:
        assert all(
            condition.text.in_(language) and "{" not in condition.text.in_(language) for language in LANGUAGES
        )
    income = next(one for one in decision.conditions if one.code == "income_within_ceiling").text
    assert "27.499,11\u00a0euro" in income.nl and "2021" in income.nl
    assert "27\u202f499,11\u00a0euros" in income.fr
    assert "EUR 27,499.11" in income.en


def test_an_explanation_never_tells_the_income() -> None:
    decision = decide_admission(facts(member(1_234_567)), AT)
    words = "".join(
        condition.text.in_(language) for condition in decision.conditions for language in LANGUAGES
    )
    assert "12" + "345" not in "".join(filter(str.isdigit, words))


def test_illustrative_parameters_are_said_and_only_then() -> None:
    illustrative = decide_admission(facts(member()), date(2026, 11, 24))
    assert any("illustrat" in note.en for note in illustrative.notes)
    assert any(used.mark == "illustrative" for used in illustrative.parameters)
    assert not any("illustrat" in note.en for note in decide_admission(facts(member()), AT).notes)


def test_what_was_not_examined_is_always_said() -> None:
    assert "abroad" in decide_admission(facts(member()), AT).notes[-1].en
    unasked = decide_admission(facts(member(), applications_examined=False), AT)
    assert any("another application" in note.en for note in unasked.notes)


def test_a_year_without_ceilings_leaves_the_income_unknown() -> None:
    decision = decide_admission(facts(member(0)), date(2027, 1, 1))
    assert decision.outcome == "unknown" and decision.met("income_within_ceiling") is None
    assert any("2027" in note.en for note in decision.notes)
    assert outcome(member(0, property=True), at=date(2027, 1, 1)) == "no"


def test_before_the_rule_is_known_nothing_is_said() -> None:
    with pytest.raises(NotFound) as refusal:
        outcome(member(), at=date(2015, 12, 31))
    assert refusal.value.code == "parameter_not_in_force"


TRI = st.sampled_from([True, False])
AMOUNTS = st.sampled_from([0, 1, CHILD, SINGLE, SINGLE + 1, ONE, ONE + CHILD, SEVERAL, SEVERAL + 1, 10**9])
MEMBERS = st.builds(
    Member,
    registered=TRI,
    dependent_child=TRI,
    disabled=TRI,
    net_taxable_cents=AMOUNTS,
    property=TRI,
    application=st.sampled_from(["", "A", "B"]),
)
ALL_FACTS = st.builds(
    Facts,
    born=st.sampled_from([PartialDate(2006, 5, 1), PartialDate(2006, 5, 2), PartialDate(1950, 1, 1)]),
    alive=TRI,
    members=st.lists(MEMBERS, min_size=1, max_size=4).map(tuple),
    complete=st.just(True),
)
FIELDS = ("registered", "dependent_child", "disabled", "net_taxable_cents", "property", "application")


@given(ALL_FACTS, st.data())
def test_knowing_less_never_turns_yes_into_no_or_no_into_yes(known: Facts, data: st.DataObject) -> None:
    whole = decide_admission(known, AT).outcome
    assert whole in ("yes", "no")
    members = tuple(
        msgspec.structs.replace(one, **dict.fromkeys(data.draw(st.sets(st.sampled_from(FIELDS))), None))
        for one in known.members
    )
    less = msgspec.structs.replace(
        known,
        members=members[: data.draw(st.integers(1, len(members)))],
        complete=False,
        born=data.draw(st.sampled_from([known.born, None, PartialDate(known.born.year)])),  # type: ignore[union-attr]
        alive=data.draw(st.sampled_from([known.alive, None])),
    )
    if len(less.members) == len(members):
        less = msgspec.structs.replace(less, complete=data.draw(st.booleans()))
    assert decide_admission(less, AT).outcome in (whole, "unknown")
