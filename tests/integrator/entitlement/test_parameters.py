"""Dated parameters: values, marks, and what the published amounts say."""

from datetime import date

import pytest

from koinon.base.errors import NotFound
from koinon.integrator.entitlement import parameter_book
from koinon.integrator.entitlement.parameters import ParameterBook

SOURCE = '{ nl = "x", fr = "x", en = "x" }'
BOOK = parameter_book("koinon.integrator.entitlement.social_dwelling")
CODES = (
    "ceiling_single",
    "ceiling_one_income",
    "ceiling_several_incomes",
    "addition_child",
    "addition_disabled_adult",
)
# As published by SLRB-BGHM, woneninbrussel.be, AIS Delta and binhome.brussels; known typing errors left out.
PUBLISHED = {
    2016: (2_169_284, 2_410_317, 2_754_651, 206_598, 413_197),
    2019: (2_295_944, 2_551_050, 2_915_490, 218_661, None),
    2020: (2_328_317, 2_587_020, None, None, None),
    2021: (2_352_531, 2_613_925, 2_987_347, 224_050, 448_101),
    2023: (2_640_083, 2_933_427, 3_352_493, 251_436, 502_872),
    2024: (2_749_910, 3_055_458, 3_491_957, 261_896, 523_791),
}


@pytest.mark.parametrize("year", PUBLISHED)
def test_amounts_are_the_published_ones_but_for_two_cents(year: int) -> None:
    for code, published in zip(CODES, PUBLISHED[year], strict=True):
        if published is not None:
            assert abs(BOOK.on(code, date(year, 7, 1)).value - published) <= 2


def test_every_year_since_2016_has_amounts_that_never_fall() -> None:
    for code in CODES:
        values = [BOOK.on(code, date(year, 1, 1)).value for year in range(2016, 2027)]
        assert values == sorted(values)


def test_an_amount_changes_on_the_first_of_january() -> None:
    assert BOOK.on("ceiling_single", date(2023, 12, 31)).value == 2_640_083
    assert BOOK.on("ceiling_single", date(2024, 1, 1)).value == 2_749_911


def test_years_without_a_found_factor_are_marked_and_take_the_last_known() -> None:
    for year, last in ((2022, 2021), (2025, 2024), (2026, 2024)):
        for code in CODES:
            here, before = BOOK.on(code, date(year, 3, 1)), BOOK.on(code, date(last, 3, 1))
            assert (
                here.mark == "illustrative" and here.value == before.value and before.mark != "illustrative"
            )
            assert "niet gevonden" in here.source.nl
            assert "non trouvé" in here.source.fr and "not found" in here.source.en


def test_a_derived_amount_says_so_and_where_it_comes_from() -> None:
    assert BOOK.on("ceiling_single", date(2016, 1, 1)).mark == "seen"
    used = BOOK.on("ceiling_single", date(2024, 1, 1))
    assert used.mark == "derived" and "binhome.brussels" in used.source.nl and used.unit == "eurocent"


@pytest.mark.parametrize(
    ("code", "at"),
    [
        ("ceiling_single", date(2015, 12, 31)),
        ("ceiling_single", date(2027, 1, 1)),
        ("rent", date(2024, 1, 1)),
    ],
)
def test_a_day_or_code_we_know_nothing_of_is_refused(code: str, at: date) -> None:
    with pytest.raises(NotFound) as refusal:
        BOOK.on(code, at)
    assert refusal.value.code == "parameter_not_in_force"


def test_factors_that_overlap_are_noticed() -> None:
    factor = (
        '[[factor]]\nvalid_from = {}\nvalid_until = {}\nratio = ["1", "1"]\nmark = "seen"\n'
        'source.nl = "x"\nsource.fr = "x"\nsource.en = "x"\n'
    )
    both = factor.format("2016-01-01", "2018-01-01") + factor.format("2017-01-01", "2019-01-01")
    with pytest.raises(ValueError, match="overlap"):
        ParameterBook(f'rule = "x"\nbase = []\nfixed = []\n{both}')


def test_cents_are_rounded_half_upwards() -> None:
    document = """
    rule = "x"
    fixed = []
    base = [{ code = "a", amount = "0.01", mark = "seen", source = SOURCE }]
    [[factor]]
    valid_from = 2016-01-01
    valid_until = 2017-01-01
    ratio = ["%s", "2"]
    mark = "seen"
    source = SOURCE
    """.replace("SOURCE", SOURCE)
    assert ParameterBook(document % "1").on("a", date(2016, 1, 1)).value == 1
    assert ParameterBook(document % "5").on("a", date(2016, 1, 1)).value == 3
    assert ParameterBook(document % "0.98").on("a", date(2016, 1, 1)).value == 0
