"""The rent: the worked cases beside the rule, what unknown does, and what never changes."""

import tomllib
from datetime import date
from importlib.resources import files
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import NotFound
from koinon.integrator.drivers import PartialDate
from koinon.integrator.entitlement.social_dwelling import Occupant, RentFacts, calculate_rent
from koinon.integrator.entitlement.social_dwelling.rent import BASE_LIMIT, INCOME_LIMIT

AT = date(2024, 5, 1)
CASES = tomllib.loads(
    (files("koinon.integrator.entitlement.social_dwelling") / "rent_cases.toml").read_text(encoding="utf-8")
)["case"]


def occupant(income: int | None = 0, kind: str = "adult", born: str = "1980-05-01") -> Occupant:
    return Occupant(
        born=PartialDate.parse(born),
        dependent_child="child" in kind,
        disabled="disabled" in kind,
        net_taxable_cents=income,
    )


def facts(*members: Occupant, **changes: Any) -> RentFacts:
    values: dict[str, Any] = {
        "alive": True,
        "members": members,
        "complete": True,
        "base_rent_cents": 30_000,
        "excess_bedrooms": 0,
        "transfer_requested": False,
    }
    return RentFacts(**{**values, **changes})


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_worked_case(case: dict[str, Any]) -> None:
    found = calculate_rent(
        facts(
            *(occupant(*member) for member in case["members"]),
            base_rent_cents=case["base"],
            excess_bedrooms=case.get("excess", 0),
            transfer_requested=case.get("transfer", False),
            declared_income_cents=case.get("declared"),
        ),
        case["at"],
    )
    assert (found.rent_cents, found.supplement_cents, found.limit) == (
        case["rent"],
        case["supplement"],
        case["limit"],
    )
    assert found.total_cents == case["rent"] + case["supplement"]


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"alive": None}, ("death_date",)),
        ({"base_rent_cents": None}, ("base_rent",)),
        ({"base_rent_cents": BASE_LIMIT + 1}, ("base_rent",)),
        ({"complete": False}, ("members",)),
        ({"members": (occupant(None),)}, ("income",)),
        ({"members": (occupant(INCOME_LIMIT + 1),)}, ("income",)),
        ({"members": (msgspec.structs.replace(occupant(1), dependent_child=None),)}, ("dependent_child",)),
        ({"members": (msgspec.structs.replace(occupant(1), disabled=None),)}, ("disabled",)),
        ({"excess_bedrooms": None, "transfer_requested": None}, ("excess_bedrooms", "transfer_requested")),
        ({"excess_bedrooms": None}, ("excess_bedrooms",)),
        ({"excess_bedrooms": 2, "transfer_requested": None}, ("transfer_requested",)),
    ],
)
def test_what_is_not_known_leaves_the_rent_unknown_and_is_named(
    changes: dict[str, Any], missing: tuple[str, ...]
) -> None:
    found = calculate_rent(facts(*changes.pop("members", (occupant(1_000_000),)), **changes), AT)
    assert found.rent_cents is None and found.total_cents is None
    assert found.rent_missing == missing
    assert found.limit == ""


def test_what_does_not_matter_may_be_unknown() -> None:
    requested = facts(occupant(1_000_000), excess_bedrooms=None, transfer_requested=True)
    assert calculate_rent(requested, AT).rent_cents is not None
    rich = facts(occupant(2_600_000), excess_bedrooms=None)
    assert calculate_rent(rich, AT).rent_cents is not None
    # A disabled child counts twice: of six children it makes no difference.
    children = [msgspec.structs.replace(occupant(0, "child"), disabled=None)] * 6
    assert calculate_rent(facts(occupant(1_000_000), *children), AT).rent_cents is not None
    dead_child_income = facts(occupant(1_000_000), occupant(None, "child"))
    assert calculate_rent(dead_child_income, AT).rent_cents is not None


def test_the_supplement_says_what_it_needs() -> None:
    unsure = facts(
        msgspec.structs.replace(occupant(2_000_000), born=PartialDate(1964), disabled=None),
        excess_bedrooms=2,
        transfer_requested=None,
    )
    found = calculate_rent(unsure, AT)
    assert found.supplement_missing == ("birth_date", "disabled", "transfer_requested")
    assert found.over_adapted is True
    assert calculate_rent(facts(complete=False, excess_bedrooms=1), AT).supplement_cents == 0


def test_a_tenant_who_died_has_no_rent_and_somebody_is_told_to_look() -> None:
    found = calculate_rent(facts(occupant(1_000_000), alive=False), AT)
    assert (found.rent_cents, found.supplement_cents, found.rent_missing) == (None, None, ())
    assert "died" in found.rent_text[0].en


def test_a_year_without_amounts_is_unknown_and_before_2016_nothing_is_known() -> None:
    late = calculate_rent(facts(occupant(1_000_000), excess_bedrooms=2), date(2027, 1, 1))
    assert (late.rent_cents, late.supplement_cents, late.over_adapted) == (None, None, True)
    assert "2027" in late.rent_text[0].en
    with pytest.raises(NotFound) as refusal:
        calculate_rent(facts(occupant(1_000_000)), date(2015, 12, 31))
    assert refusal.value.code == "parameter_not_in_force"


def test_every_answer_says_that_parameters_are_illustrative() -> None:
    found = calculate_rent(facts(occupant(1_000_000)), AT)
    assert any(parameter.mark == "illustrative" for parameter in found.parameters)
    for language, word in (("nl", "ILLUSTRATIEF"), ("fr", "ILLUSTRATIF"), ("en", "ILLUSTRATIVE")):
        assert any(word in note.in_(language) for note in found.notes)  # type: ignore[arg-type]


def test_the_parameters_named_do_not_depend_on_whom_it_is_about() -> None:
    plain = calculate_rent(facts(occupant(1_000_000)), AT)
    special = calculate_rent(facts(occupant(1_000_000), occupant(0, "disabled"), excess_bedrooms=3), AT)
    assert plain.parameters == special.parameters


INCOMES = st.integers(0, 10_000_000)
MEMBERS = st.lists(
    st.builds(occupant, INCOMES, st.sampled_from(["adult", "child", "disabled", "disabled_child"])),
    min_size=1,
    max_size=6,
)


@given(MEMBERS, st.integers(0, 200_000), st.integers(0, 4), st.booleans())
def test_a_rent_keeps_its_limits(members: list[Occupant], base: int, excess: int, transfer: bool) -> None:
    found = calculate_rent(
        facts(*members, base_rent_cents=base, excess_bedrooms=excess, transfer_requested=transfer), AT
    )
    assert found.rent_cents is not None and found.supplement_cents is not None
    income = sum(one.net_taxable_cents or 0 for one in members if not one.dependent_child)
    assert found.rent_cents >= 10_913
    assert found.rent_cents <= max(10_913, (income * 24 + 600) // 1200)
    assert 0 <= found.supplement_cents <= 6_380 * 3


@given(MEMBERS, st.integers(1, 1_000_000))
def test_more_income_is_never_a_lower_rent(members: list[Occupant], more: int) -> None:
    before = calculate_rent(facts(*members), AT).rent_cents
    first = members[0]
    richer = msgspec.structs.replace(first, net_taxable_cents=(first.net_taxable_cents or 0) + more)
    after = calculate_rent(facts(richer, *members[1:]), AT).rent_cents
    assert before is not None and after is not None and after >= before


@given(MEMBERS)
def test_no_sentence_tells_an_income_or_who_is_disabled(members: list[Occupant]) -> None:
    found = calculate_rent(facts(*members), AT)
    said = " ".join(text.en for text in (*found.rent_text, found.supplement_text, *found.notes))
    others = calculate_rent(
        facts(*(msgspec.structs.replace(one, disabled=False) for one in members), base_rent_cents=30_000), AT
    )
    assert said.count("disabled") == " ".join(
        text.en for text in (*others.rent_text, others.supplement_text, *others.notes)
    ).count("disabled")
