"""Debts from a sale or seizure: legal days, terms on both sides of each date, interest, and who gets what."""

import tomllib
from datetime import date, timedelta
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import NotFound
from koinon.integrator.entitlement.calendar import (
    add_months,
    add_working_days,
    easter,
    is_working_day,
    legal_holidays,
)
from koinon.integrator.entitlement.debts import (
    RANKS,
    Claim,
    answer_term,
    distribute,
    interest_on,
    is_lapsed,
    payment_term,
)

CASES = tomllib.loads(
    (files("koinon.integrator.entitlement.debts") / "cases.toml").read_text(encoding="utf-8")
)
# As published: https://www.census.gov/data/software/x13as/genhol/easter-dates.html and every almanac.
EASTERS = [
    date(1961, 4, 2), date(2000, 4, 23), date(2008, 3, 23), date(2019, 4, 21), date(2024, 3, 31),
    date(2025, 4, 20), date(2026, 4, 5), date(2027, 3, 28), date(2038, 4, 25), date(2049, 4, 18),
]  # fmt: skip
SENT = date(2024, 3, 4)


def claim(**changes: Any) -> Claim:
    values: dict[str, Any] = {
        "creditor": "one",
        "kind": "regional_tax",
        "rank": "regional_privilege",
        "principal_cents": 100_000,
        "answered_on": SENT,
    }
    return Claim(**{**values, **changes})


@pytest.mark.parametrize("day", EASTERS)
def test_easter_is_on_its_day(day: date) -> None:
    assert easter(day.year) == day


def test_a_year_has_ten_legal_holidays_unless_two_fall_on_one_day() -> None:
    assert len(legal_holidays(2024)) == 10
    assert {date(2024, 4, 1), date(2024, 5, 9), date(2024, 5, 20)} < legal_holidays(2024)
    # Ascension of 2008 was on 1 May.
    assert len(legal_holidays(2008)) == 9


@pytest.mark.parametrize("case", CASES["term"], ids=[case["why"] for case in CASES["term"]])
def test_term_of_an_announcement(case: dict[str, Any]) -> None:
    assert answer_term(case["kind"], case["sent"])[0] == case["last"]


@given(st.dates(date(2019, 1, 1), date(2040, 1, 1)), st.integers(1, 30))
def test_a_term_ends_on_a_working_day_after_so_many(start: date, count: int) -> None:
    end = add_working_days(start, count)
    assert is_working_day(end)
    days = [start + timedelta(days=n) for n in range(1, (end - start).days + 1)]
    assert sum(map(is_working_day, days)) == count


def test_months_end_on_the_last_day_where_there_is_no_such_day() -> None:
    assert add_months(date(2023, 11, 30), 3) == date(2024, 2, 29)
    assert add_months(date(2024, 11, 30), 3) == date(2025, 2, 28)
    assert add_months(date(2024, 1, 15), 3) == date(2024, 4, 15)


def test_an_announcement_lapses_after_three_months_without_a_deed() -> None:
    assert not is_lapsed(SENT, None, date(2024, 6, 4))
    assert is_lapsed(SENT, None, date(2024, 6, 5))
    assert not is_lapsed(SENT, date(2024, 6, 4), date(2025, 1, 1))
    assert is_lapsed(SENT, date(2024, 6, 5), date(2025, 1, 1))


def test_the_notary_pays_by_the_eighth_working_day() -> None:
    assert payment_term(date(2024, 3, 25))[0] == date(2024, 4, 5)


def test_a_term_that_is_not_known_for_the_day_is_not_guessed() -> None:
    with pytest.raises(NotFound) as refusal:
        answer_term("regional_tax", date(2018, 12, 31))
    assert refusal.value.code == "parameter_not_in_force"


def test_interest_runs_to_the_day_and_changes_with_its_rate() -> None:
    year = claim(interest_from=date(2023, 1, 1))
    assert interest_on(year, date(2024, 1, 1))[0] == 4_000
    assert interest_on(year, date(2023, 1, 1)) == (0, ())
    assert interest_on(claim(), date(2024, 1, 1)) == (0, ())
    # 100 days at 4 % and 100 at 4.5 % of 1,000 euro: 10.958... + 12.328...
    split = claim(interest_from=date(2025, 1, 1) - timedelta(days=100))
    cents, rates = interest_on(split, date(2025, 1, 1) + timedelta(days=100))
    assert cents == 2_329
    assert [rate.value for rate in rates] == [400, 450]
    assert all(rate.mark == "illustrative" for rate in rates)


def test_what_comes_on_the_last_day_counts_and_a_day_later_is_out() -> None:
    last = answer_term("regional_tax", SENT)[0]
    shares = distribute(
        [
            claim(creditor="late", answered_on=last + timedelta(days=1)),
            claim(creditor="in time", answered_on=last),
        ],
        SENT,
        date(2024, 6, 1),
        500_000,
    )
    assert [(share.claim.creditor, share.late, share.paid_cents) for share in shares] == [
        ("in time", False, 100_000),
        ("late", True, 0),
    ]


def test_ranks_go_before_one_another_and_older_mortgages_before_younger() -> None:
    shares = distribute(
        [
            claim(creditor="ordinary", rank="ordinary"),
            claim(creditor="young", rank="registered", registered_on=date(2020, 1, 2)),
            claim(creditor="old", rank="registered", registered_on=date(2020, 1, 1)),
            claim(creditor="town", kind="municipal_tax", rank="municipal_privilege"),
            claim(creditor="region"),
        ],
        SENT,
        SENT,
        350_000,
    )
    assert [(share.claim.creditor, share.paid_cents) for share in shares] == [
        ("old", 100_000),
        ("young", 100_000),
        ("region", 100_000),
        ("town", 50_000),
        ("ordinary", 0),
    ]


def test_equals_share_what_is_left_in_proportion_to_the_cent() -> None:
    shares = distribute(
        [
            claim(creditor="a", principal_cents=100),
            claim(creditor="b", principal_cents=100),
            claim(creditor="c", principal_cents=100),
        ],
        SENT,
        SENT,
        200,
    )
    assert sorted(share.paid_cents or 0 for share in shares) == [66, 67, 67]


def test_without_a_price_nobody_is_told_an_amount() -> None:
    assert [share.paid_cents for share in distribute([claim()], SENT, SENT, None)] == [None]


CLAIMS = st.lists(
    st.builds(
        claim,
        rank=st.sampled_from(RANKS),
        principal_cents=st.integers(0, 10**9),
        costs_cents=st.integers(0, 10**6),
        interest_from=st.none() | st.dates(date(2020, 1, 1), date(2025, 1, 1)),
        registered_on=st.none() | st.dates(date(2020, 1, 1), date(2023, 1, 1)),
        answered_on=st.dates(SENT, SENT + timedelta(days=30)),
    ),
    max_size=8,
)


@given(CLAIMS, st.integers(0, 10**10))
def test_never_more_than_the_price_nor_than_what_is_due_and_no_cent_is_lost(
    claims: list[Claim], price: int
) -> None:
    shares = distribute(claims, SENT, date(2025, 6, 1), price)
    assert len(shares) == len(claims)
    timely = [share for share in shares if not share.late]
    assert all(0 <= (share.paid_cents or 0) <= share.due_cents for share in shares)
    assert all(share.paid_cents == 0 for share in shares if share.late)
    assert sum(share.paid_cents or 0 for share in shares) == min(
        price, sum(share.due_cents for share in timely)
    )
    # Nobody of a later rank gets anything while an earlier one is not paid in full.
    for earlier in timely:
        for later in timely:
            if RANKS.index(earlier.claim.rank) < RANKS.index(later.claim.rank) and later.paid_cents:
                assert earlier.paid_cents == earlier.due_cents
