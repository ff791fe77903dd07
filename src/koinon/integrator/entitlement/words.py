"""Sentences of rules, in the three languages, from the TOML beside each rule."""

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from string import Formatter

import msgspec

from koinon.base.text import LANGUAGES, Language, Text

MONTHS: Mapping[Language, tuple[str, ...]] = {
    "nl": (
        "januari", "februari", "maart", "april", "mei", "juni",
        "juli", "augustus", "september", "oktober", "november", "december",
    ),
    "fr": (
        "janvier", "février", "mars", "avril", "mai", "juin",
        "juillet", "août", "septembre", "octobre", "novembre", "décembre",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip


class Money(msgspec.Struct, frozen=True):
    """An amount to be written in a sentence, in eurocent."""

    cents: int


Filling = str | int | date | Money | Text


class Words:
    """The sentences of one file: tables of sentences, by code.

    A file whose sentences lack a language, or name other values in one language than in another, is refused.
    """

    def __init__(self, document: str) -> None:
        self._tables = msgspec.convert(tomllib.loads(document), dict[str, dict[str, Text]])
        for table, sentences in self._tables.items():
            for code, text in sentences.items():
                named = {frozenset(_names(text.in_(language))) for language in LANGUAGES}
                if len(named) != 1:
                    raise ValueError(f"{table}.{code} names other values in one language than in another")

    def has(self, table: str, code: str) -> bool:
        """Whether there is such a sentence."""
        return code in self._tables.get(table, ())

    def say(self, table: str, code: str, **values: Filling) -> Text:
        """The sentence, with `values` written as each language writes them."""
        text = self._tables[table][code]
        return Text(
            **{
                language: text.in_(language).format_map(
                    {name: write(value, language) for name, value in values.items()}
                )
                for language in LANGUAGES
            }
        )


@cache
def words(package: str, file: str = "texts.toml") -> Words:
    """The sentences in that file of that package."""
    return Words((files(package) / file).read_text(encoding="utf-8"))


def write(value: Filling, language: Language) -> str:
    """The value as the language writes it."""
    if isinstance(value, Money):
        return euro(value.cents, language)
    if isinstance(value, date):
        return _day(value, language)
    return value.in_(language) if isinstance(value, Text) else str(value)


def euro(cents: int, language: Language) -> str:
    """As the language writes amounts."""
    sign, cents = ("-" if cents < 0 else ""), abs(cents)
    plain = f"{sign}{cents // 100:,}.{cents % 100:02}"
    if language == "en":
        return f"EUR {plain}"
    thousands = "." if language == "nl" else "\u202f"
    return plain.translate({ord(","): thousands, ord("."): ","}) + (
        "\u00a0euro" if language == "nl" else "\u00a0euros"
    )


def _day(day: date, language: Language) -> str:
    first = "1er" if language == "fr" and day.day == 1 else str(day.day)
    return f"{first} {MONTHS[language][day.month - 1]} {day.year}"


def _names(sentence: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(sentence) if name is not None]
