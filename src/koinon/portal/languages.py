"""Which language a reader gets, and the words in it.

Texts in templates and code are English and marked: `{{ _("Consult a person") }}`, `N_("Consult a person")`.
Their Dutch and French stand in the slice's own catalogues, see `docs/design/portal.md`. Words that are data
(a reason, a name) are `koinon.base.text.Text`, which carries its three languages itself.
"""

import functools
import gettext
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from koinon.base.errors import Invalid
from koinon.base.text import LANGUAGES, Language, Text

OWN_NAMES: dict[Language, str] = {"nl": "Nederlands", "fr": "Français", "en": "English"}
LOCALES: dict[Language, str] = {"nl": "nl_BE", "fr": "fr_BE", "en": "en_GB"}
"""CLDR names of the regional habits (order of day and month, decimal comma) that go with each language."""

spoken: ContextVar[Language] = ContextVar("koinon_language", default="en")
"""The language of the page that is being made in this task."""


class Message(str):
    """An English text that is translated when it is shown; `facts` fill its `%(name)s` places."""

    __slots__ = ("facts",)
    facts: dict[str, Any]

    def __new__(cls, text: str, /, **facts: Any) -> "Message":
        made = super().__new__(cls, text)
        made.facts = facts
        return made


N_ = Message
"""Marks a text in code: `N_("%(count)s cameras", count=3)`. Extraction finds the name `N_`."""


class Catalogues:
    """The words of every slice in every language, in memory.

    English has no catalogue: the text in the source is the English.
    """

    def __init__(self, packages: Iterable[str]) -> None:
        self._words: dict[Language, gettext.NullTranslations] = {}
        # Each of two dozen catalogues is asked in turn, and pages ask for the same texts again and again.
        self._known: dict[Language, Callable[[str], str]] = {}
        folders = [(name.rpartition(".")[2], folder_of(name) / "locale") for name in packages]
        for language in LANGUAGES:
            merged: gettext.NullTranslations = gettext.NullTranslations()
            for domain, folder in folders:
                po = folder / language / "LC_MESSAGES" / f"{domain}.po"
                if language != "en" and (po.exists() or po.with_suffix(".mo").exists()):
                    translations = gettext.GNUTranslations(BytesIO(_binary(po, language)))
                    translations.add_fallback(merged)
                    merged = translations
            self._words[language] = merged
            self._known[language] = functools.lru_cache(8192)(merged.gettext)

    def gettext(self, text: str | Text, /, **facts: Any) -> str:
        """The words for `text` in the language of the page being made; `facts` fill its `%(name)s` places.

        The answer is plain text, to be escaped like any other: no markup hides in a translation.
        """
        return self.in_language(spoken.get(), text, **facts)

    def in_language(self, language: Language, text: str | Text, /, **facts: Any) -> str:
        """As `gettext`, in `language`."""
        if isinstance(text, Text):
            return text.in_(language)
        words = self._known[language](text) if text else ""
        if isinstance(text, Message):
            facts = {**text.facts, **facts}
        return self._fill(language, words, facts) if facts else words

    def ngettext(self, one: str, many: str, num: int, /, **facts: Any) -> str:
        """The words for `num` things; `num` fills `%(num)s`."""
        words = self._words[spoken.get()].ngettext(one, many, num)
        return self._fill(spoken.get(), words, {"num": num, **facts})

    def pgettext(self, context: str, text: str, /, **facts: Any) -> str:
        """As `gettext` for a text that means something else elsewhere."""
        words = self._words[spoken.get()].pgettext(context, text)
        return self._fill(spoken.get(), words, facts) if facts else words

    def npgettext(self, context: str, one: str, many: str, num: int, /, **facts: Any) -> str:
        """As `ngettext` for a text that means something else elsewhere."""
        words = self._words[spoken.get()].npgettext(context, one, many, num)
        return self._fill(spoken.get(), words, {"num": num, **facts})

    def _fill(self, language: Language, words: str, facts: dict[str, Any]) -> str:
        """The words with their places filled. A fact that is markup of ours (an instant, an amount) stays so; the words
        and every other fact are escaped around it.
        """
        shown = {
            name: self.in_language(language, value) if isinstance(value, Text | Message) else value
            for name, value in facts.items()
        }
        if any(isinstance(value, Markup) for value in shown.values()):
            return escape(words) % shown
        return words % shown


def negotiate(accept_language: str, default: Language) -> Language:
    """The language of ours that an `Accept-Language` header likes best; `default` if it likes none.

    Malformed parts are skipped. Of equal weights the earlier wins.

    Source: RFC 9110 section 12.5.4; matching is RFC 4647 section 3.4 lookup on the primary subtag.
    """
    best, weight = default, 0.0
    for part in accept_language[:500].split(","):
        tag, _, parameter = part.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        try:
            wanted = float(parameter.partition("=")[2]) if parameter else 1.0
        except ValueError:
            continue
        for language in LANGUAGES:
            if primary == language and weight < wanted <= 1.0:
                best, weight = language, wanted
    return best


def as_language(value: object) -> Language | None:
    """`value` if it is the code of one of our languages."""
    return next((language for language in LANGUAGES if language == value), None)


def folder_of(package: str) -> Path:
    """The folder of an installed package, which is not imported for it.

    Raises:
        Invalid: `unknown_package`.
    """
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise Invalid("unknown_package", package=package)
    return Path(next(iter(found.submodule_search_locations)))


def _binary(po: Path, language: Language) -> bytes:
    mo = po.with_suffix(".mo")
    if mo.exists() and (not po.exists() or mo.stat().st_mtime_ns >= po.stat().st_mtime_ns):
        return mo.read_bytes()
    # The build has not seen this text yet: whoever is writing it wants to read it now.
    from koinon.portal.build.catalogues import compiled

    return compiled(po, language)
