"""Dates, times, money and numbers as readers of each language write them, in Brussels time.

Babel's locale data is loaded when first needed: start-up does not pay for it.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

from markupsafe import Markup

from koinon.base.clock import BRUSSELS, rfc3339
from koinon.portal.languages import LOCALES, spoken


def format_instant(instant: datetime, style: str = "medium") -> Markup:
    """A `<time>` element: the words in Brussels time, the exact UTC instant for machines.

    `style` is `short`, `medium` or `long` (CLDR); `minute` gives day, hours and minutes, `time` gives hours,
    minutes and seconds only.
    """
    from babel.dates import format_date, format_datetime, format_time

    locale = LOCALES[spoken.get()]
    local = instant.astimezone(BRUSSELS)
    if style == "time":
        words = format_time(local, "medium", tzinfo=BRUSSELS, locale=locale)
    elif style == "minute":
        day = format_date(local, "medium", locale=locale)
        words = f"{day}, {format_time(local, 'short', tzinfo=BRUSSELS, locale=locale)}"
    else:
        words = format_datetime(local, style, tzinfo=BRUSSELS, locale=locale)
    return Markup('<time datetime="{}">{}</time>').format(rfc3339(instant), _first(words))


def format_day(day: date, style: str = "long") -> Markup:
    """A `<time>` element for a calendar day; of an instant, for the day that it is in Brussels then."""
    from babel.dates import format_date

    if isinstance(day, datetime):
        day = day.astimezone(BRUSSELS).date()
    words = format_date(day, style, locale=LOCALES[spoken.get()])
    return Markup('<time datetime="{}">{}</time>').format(day.isoformat(), _first(words))


def _first(words: str) -> str:
    """In French the first of a month is an ordinal, which CLDR's patterns do not write."""
    return re.sub(r"\b1(?= [a-zéû])", "1er", words, count=1) if spoken.get() == "fr" else words


def format_money(amount: Decimal | int, currency: str = "EUR") -> str:
    """An exact amount with its currency; cents are shown only when there are some.

    Raises:
        TypeError: `amount` is a float, which cannot hold an amount exactly.
    """
    from babel import Locale
    from babel.numbers import format_currency

    if isinstance(amount, float):
        raise TypeError("an amount of money is a Decimal or an int")
    locale = Locale.parse(LOCALES[spoken.get()])
    if amount != int(amount):
        return format_currency(amount, currency, locale=locale)
    pattern = locale.currency_formats["standard"].pattern.replace(".00", "")
    return format_currency(amount, currency, format=pattern, currency_digits=False, locale=locale)


def format_number(value: Decimal | int | float, decimals: int | None = None) -> str:
    """Digits grouped as readers expect; rounded to `decimals` when given."""
    from babel.numbers import format_decimal

    pattern = None if decimals is None else "#,##0" + ("." + "0" * decimals if decimals else "")
    return format_decimal(value, format=pattern, locale=LOCALES[spoken.get()])


def format_percent(share: Decimal | float, decimals: int = 0) -> str:
    """`share` of one as a percentage."""
    from babel.numbers import format_percent as percent

    pattern = (
        "#,##0" + ("." + "0" * decimals if decimals else "") + ("%" if spoken.get() == "en" else "\u00a0%")
    )
    return percent(share, format=pattern, locale=LOCALES[spoken.get()])


def format_duration(length: timedelta | float) -> str:
    """How long something lasts (seconds or a timedelta), in the largest unit that says it well."""
    from babel.dates import format_timedelta

    if not isinstance(length, timedelta):
        length = timedelta(seconds=length)
    return format_timedelta(length, threshold=2, locale=LOCALES[spoken.get()])


FILTERS: dict[str, Callable[..., str]] = {
    "when": format_instant,
    "day": format_day,
    "money": format_money,
    "number": format_number,
    "percent": format_percent,
    "duration": format_duration,
}
"""The filters of templates, by name."""
