"""Numbers and incomplete dates, against python-stdnum where it has an opinion."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.be import bis, nn, vat

from koinon.integrator.drivers import (
    PartialDate,
    check_digits,
    is_enterprise_number,
    is_national_number,
    is_synthetic,
    national_number_kind,
)

BIRTHS = st.dates(date(1900, 1, 2), date(2026, 1, 1))


def number(born: date, order: int, plus: int) -> str:
    nine = f"{born.year % 100:02}{born.month + plus:02}{born.day:02}{order:03}"
    return nine + check_digits(nine, born_from_2000=born.year >= 2000)


@given(BIRTHS, st.integers(1, 998), st.sampled_from([(0, "register"), (20, "bis"), (40, "bis")]))
def test_check_digits_are_those_of_stdnum(born: date, order: int, plus: tuple[int, str]) -> None:
    it = number(born, order, plus[0])
    assert (nn if plus[0] == 0 else bis).is_valid(it)
    assert national_number_kind(it) == plus[1] and not is_synthetic(it)


@given(BIRTHS, st.integers(1, 998), st.sampled_from([(60, "synthetic"), (80, "synthetic_bis")]))
def test_synthetic_numbers_are_ours_and_nobodys(born: date, order: int, plus: tuple[int, str]) -> None:
    it = number(born, order, plus[0])
    assert national_number_kind(it) == plus[1] and is_synthetic(it)
    assert not nn.is_valid(it) and not bis.is_valid(it)


@given(st.text(max_size=13) | st.from_regex(r"[0-9]{9,12}", fullmatch=True))
def test_what_stdnum_takes_for_a_number_we_do_too(text: str) -> None:
    assert is_national_number(text) or not (len(text) == 11 and text.isascii() and nn.is_valid(text))
    assert not is_national_number(text) or (len(text) == 11 and text.isascii() and text.isdigit())


@given(BIRTHS, st.integers(1, 998), st.integers(0, 10), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(born: date, order: int, place: int, more: int) -> None:
    it = number(born, order, 60)
    wrong = f"{it[:place]}{(int(it[place]) + more) % 10}{it[place + 1 :]}"
    # The number does not tell its century: by chance the digits may be right in the other one, never in this.
    assert check_digits(wrong[:9], born_from_2000=born.year >= 2000) != wrong[9:]
    if check_digits(wrong[:9], born_from_2000=born.year < 2000) != wrong[9:]:
        assert national_number_kind(wrong) is None


@pytest.mark.parametrize("text", ["93051822361", "88222999936", "08222999934", "88422999979", "08422999977"])
def test_known_numbers_are_accepted(text: str) -> None:
    assert is_national_number(text) and not is_synthetic(text)


@pytest.mark.parametrize(
    "text", ["", "9305182236", "93051822362", "93131822361", "٩٣٠٥١٨٢٢٣٦١", "930518-22361"]
)
def test_other_texts_are_not(text: str) -> None:
    assert not is_national_number(text)


@given(st.from_regex(r"[01][0-9]{9}", fullmatch=True))
def test_enterprise_numbers_are_those_of_stdnum(text: str) -> None:
    if int(text[:8]):
        assert is_enterprise_number(text) == vat.is_valid(text)


@pytest.mark.parametrize("text", ["0566988259", "0314595348"])
def test_known_enterprise_numbers_are_accepted(text: str) -> None:
    assert is_enterprise_number(text)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_a_complete_date_reads_back(day: date) -> None:
    it = PartialDate.parse(day.isoformat())
    assert str(it) == day.isoformat() and it.earliest == it.latest == day and it.complete


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2000",
        "2000-13-01",
        "2001-02-29",
        "2000-00-05",
        "0000-01-01",
        "2000/01/01",
        "２000-01-01",
        "2000-01-1 ",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        PartialDate.parse(text)


def test_an_incomplete_date_spans_what_it_can_be() -> None:
    assert PartialDate.parse("2000-02-00").latest == date(2000, 2, 29)
    assert PartialDate.parse("2000-00-00").earliest == date(2000, 1, 1)
    assert PartialDate.parse("2000-00-00").latest == date(2000, 12, 31)


@given(st.dates(date(1900, 1, 1), date(2020, 1, 1)), st.integers(0, 40_000))
def test_less_knowledge_never_changes_an_age_it_only_makes_it_unknown(born: date, days: int) -> None:
    at = min(born + timedelta(days=days), date(2100, 1, 1))
    exact = PartialDate(born.year, born.month, born.day).age_reached(18, at)
    assert exact is not None
    for vague in (PartialDate(born.year, born.month), PartialDate(born.year)):
        assert vague.age_reached(18, at) in (exact, None)


@pytest.mark.parametrize(
    ("born", "at", "reached"),
    [
        ("2008-11-24", date(2026, 11, 23), False),
        ("2008-11-24", date(2026, 11, 24), True),
        ("2008-02-29", date(2026, 2, 28), False),
        ("2008-02-29", date(2026, 3, 1), True),
        ("2008-11-00", date(2026, 11, 24), None),
        ("2008-11-00", date(2026, 10, 31), False),
        ("2008-11-00", date(2026, 11, 30), True),
        ("2008-00-00", date(2026, 12, 30), None),
        ("2008-00-00", date(2026, 12, 31), True),
        ("2008-00-00", date(2025, 12, 31), False),
    ],
)
def test_eighteen_on_the_birthday_itself(born: str, at: date, reached: bool | None) -> None:
    assert PartialDate.parse(born).age_reached(18, at) is reached
