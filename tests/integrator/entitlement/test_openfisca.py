"""The rent against the same rule written in OpenFisca, whose amounts come from the public pages, not from us."""

import random
from datetime import date

import numpy
import pytest
from benchmarks.openfisca_rent import calculate, make_system

from koinon.integrator.drivers import PartialDate
from koinon.integrator.entitlement.social_dwelling import Occupant, RentFacts, calculate_rent

COUNT = 3_000


@pytest.mark.parametrize(("month", "at"), [("2023-05", date(2023, 5, 1)), ("2024-05", date(2024, 5, 1))])
def test_openfisca_finds_the_same_rent_and_supplement_to_two_cents(month: str, at: date) -> None:
    draw = random.Random(2024)
    cases: list[RentFacts] = []
    for _ in range(COUNT):
        adults = [
            Occupant(
                born=PartialDate(draw.choice((1950, 1990)), 1, 1),
                dependent_child=False,
                disabled=draw.random() < 0.2,
                # One income: which ceiling holds for several is the other rule's affair.
                net_taxable_cents=draw.randrange(0, 6_000_000) if place == 0 else 0,
            )
            for place in range(draw.choice((1, 1, 2)))
        ]
        children = [
            Occupant(
                born=PartialDate(2016, 1, 1),
                dependent_child=True,
                disabled=draw.random() < 0.2,
                net_taxable_cents=0,
            )
            for _ in range(draw.choice((0, 0, 1, 2, 3, 7)))
        ]
        cases.append(
            RentFacts(
                alive=True,
                members=(*adults, *children),
                complete=True,
                base_rent_cents=draw.randrange(15_000, 90_000),
                excess_bedrooms=draw.choice((0, 0, 1, 2, 3)),
                transfer_requested=draw.random() < 0.3,
            )
        )
    columns = {
        "income": [case.members[0].net_taxable_cents / 100 for case in cases],  # type: ignore[operator]
        "base_rent": [case.base_rent_cents / 100 for case in cases],  # type: ignore[operator]
        "members": [len(case.members) for case in cases],
        "children": [
            sum(2 if one.disabled else 1 for one in case.members if one.dependent_child) for case in cases
        ],
        "disabled_adults": [
            sum(bool(one.disabled) for one in case.members if not one.dependent_child) for case in cases
        ],
        "excess": [case.excess_bedrooms for case in cases],
        "transfer": [case.transfer_requested for case in cases],
        "exempt": [
            any(one.disabled or one.born == PartialDate(1950, 1, 1) for one in case.members) for case in cases
        ],
    }
    rent, supplement = calculate(make_system(), month, columns)
    ours = [calculate_rent(case, at) for case in cases]
    # 22,869.48 and 23,820.85 are published; the factor gives them to a cent, which can move a rent by two.
    assert numpy.abs(rent * 100 - [each.rent_cents for each in ours]).max() <= 2
    assert numpy.abs(supplement * 100 - [each.supplement_cents for each in ours]).max() <= 2
    limits = {each.limit for each in ours}
    assert limits == {"none", "half", "share", "minimum"}, "the drawn cases reach every branch"
