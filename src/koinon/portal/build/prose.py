"""Finds text in a template that no translation reaches."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment

# Attributes whose value a person reads or hears.
_READ_ALOUD = frozenset({"alt", "aria-label", "aria-description", "placeholder", "title", "label"})
_SILENT = frozenset({"script", "style", "code", "svg", "pre"})
_WORD = re.compile(r"[^\W\d_]{2,}")
_ATTRIBUTE = re.compile(r'[\w-]+="[^"]*"')
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


def find_untranslated(path: Path) -> list[tuple[int, str]]:
    """Line and text of each literal word in `path` that a reader would see, outside `translate="no"`.

    Words inside Jinja expressions are not looked at: what they print is data, or passes through `_()`.
    """
    reader = _Reader()
    reader.feed(_without_jinja(path.read_text()))
    reader.close()
    return reader.found


def _without_jinja(source: str) -> str:
    """`source` with every tag, expression and comment of Jinja blanked, lines kept; texts in trans blocks too."""
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    kept: list[str] = []
    block: list[str] = []
    translating = False
    for _line, kind, value in environment.lexer.tokeniter(source, None):
        if kind == "data":
            kept.append(re.sub(r"[^\n]", " ", value) if translating else value)
            continue
        if kind == "block_begin":
            block = []
        elif kind == "block_end":
            if block and block[0] in ("trans", "endtrans"):
                translating = block[0] == "trans"
        elif kind == "name":
            block.append(value)
        kept.append(re.sub(r"[^\n]", "", value))
        if kind in ("variable_end", "block_end"):
            kept.append(" ")
    return "".join(kept)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int, str]] = []
        self._open: list[tuple[str, bool]] = []

    def _quiet(self) -> bool:
        return any(quiet for _tag, quiet in self._open)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        quiet = tag in _SILENT or given.get("translate") == "no"
        if not (quiet or self._quiet()):
            self.found += [
                (self.getpos()[0], f"{name}={value}") for name, value in _spoken(given) if _WORD.search(value)
            ]
        if tag not in _VOID:
            self._open.append((tag, quiet))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        # Branches of an {% if %} may open a tag twice: close back to the last one of that name.
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at][0] == tag:
                del self._open[at:]
                return

    def handle_data(self, data: str) -> None:
        # A macro may hold nothing but attributes for a tag that stands elsewhere.
        text = _ATTRIBUTE.sub("", data)
        word = _WORD.search(text)
        if word and not self._quiet():
            line = self.getpos()[0] + text.count("\n", 0, word.start())
            self.found.append((line, " ".join(text.split())))


def _spoken(given: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    for name, value in given.items():
        if name in _READ_ALOUD and value:
            yield name, value
