"""Dates, money and numbers as each language writes them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from koinon.portal import formats
from koinon.portal.languages import spoken

AT = datetime(2026, 3, 2, 23, 30, 5, tzinfo=UTC)


@pytest.fixture(params=["nl", "fr", "en"])
def language(request: Any) -> Any:
    token = spoken.set(request.param)
    yield request.param
    spoken.reset(token)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def test_an_instant_is_told_in_brussels_time_and_keeps_the_exact_one(language: str) -> None:
    shown = formats.format_instant(AT)
    assert shown.startswith('<time datetime="2026-03-02T23:30:05.000000Z">')
    wanted = {"nl": "3 mrt 2026, 00:30:05", "fr": "3 mars 2026, 00:30:05", "en": "3 Mar 2026, 00:30:05"}
    assert wanted[language] in plain(shown)


def test_a_day_is_written_out(language: str) -> None:
    wanted = {"nl": "2 maart 2026", "fr": "2 mars 2026", "en": "2 March 2026"}
    assert wanted[language] in formats.format_day(date(2026, 3, 2))


def test_the_first_of_a_month_is_an_ordinal_in_french_alone(language: str) -> None:
    wanted = {"nl": "1 januari 2026", "fr": "1er janvier 2026", "en": "1 January 2026"}
    assert wanted[language] in formats.format_day(date(2026, 1, 1))
    assert "1er" not in formats.format_day(date(2026, 1, 31))
    first = formats.format_instant(datetime(2026, 1, 1, 1, 1, tzinfo=UTC))
    assert ("1er janv. 2026" in first) == (language == "fr")


def test_money_shows_cents_only_when_there_are_some(language: str) -> None:
    whole = {"nl": "€ 13.567.000", "fr": "13 567 000 €", "en": "€13,567,000"}
    cents = {"nl": "€ 29.811,08", "fr": "29 811,08 €", "en": "€29,811.08"}
    assert plain(formats.format_money(Decimal(13_567_000))) == whole[language]
    assert plain(formats.format_money(Decimal("29811.08"))) == cents[language]


def test_a_float_is_no_money() -> None:
    with pytest.raises(TypeError):
        formats.format_money(0.1)  # type: ignore[arg-type]


def test_numbers_and_shares_have_the_separators_of_the_language(language: str) -> None:
    number = {"nl": "1.234.567,9", "fr": "1 234 567,9", "en": "1,234,567.9"}
    share = {"nl": "27,4 %", "fr": "27,4 %", "en": "27.4%"}
    assert plain(formats.format_number(1234567.891, 1)) == number[language]
    assert plain(formats.format_percent(0.2735, 1)) == share[language]


def test_an_hour_and_a_half_is_ninety_minutes(language: str) -> None:
    assert (
        formats.format_duration(5400)
        == {"nl": "90 minuten", "fr": "90 minutes", "en": "90 minutes"}[language]
    )


def test_a_constant_in_a_template_is_written_in_the_language_of_each_reader(site: Any) -> None:
    # Jinja works out filters of constants when it compiles a template, which would freeze the first language.
    pages = {one: site.get("/style", accept_language=one).text for one in ("nl", "en")}
    assert "1.234.567,9" in pages["nl"]
    assert "1,234,567.9" in pages["en"]
