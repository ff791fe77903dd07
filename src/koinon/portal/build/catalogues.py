"""Texts in three languages: extraction, merging, checking and compiling of gettext catalogues.

The text in the source is English and is its own key. Dutch and French stand beside each other in
`<slice>/locale/<nl|fr>/LC_MESSAGES/<slice>.po`. There is one namespace: the same English text has the same
Dutch and the same French in every slice (one word, one meaning); where it must differ, `pgettext` gives it
a context.
"""

import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po, write_po

from .prose import find_untranslated

TRANSLATED = ("nl", "fr")
_KEYWORDS = {**DEFAULT_KEYWORDS, "N_": None, "pgettext": ((1, "c"), 2)}
Words = str | Sequence[str] | None
_TAG = re.compile(r"<[^>]*>")
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%%")


@dataclass(frozen=True)
class Slice:
    """A folder with texts of its own."""

    name: str
    folder: Path
    root: Path
    nested: tuple[Path, ...] = field(default=())

    def po(self, language: str) -> Path:
        """Where its catalogue in `language` is, or would be."""
        return self.folder / "locale" / language / "LC_MESSAGES" / f"{self.name}.po"

    def sources(self) -> Iterator[Path]:
        """Its templates and Python files, without those of slices inside it."""
        for path in sorted(self.folder.rglob("*")):
            if path.suffix not in (".html", ".py") or "static" in path.parts:
                continue
            if any(path.is_relative_to(inner) for inner in self.nested):
                continue
            if path.suffix == ".py" or "templates" in path.parts:
                yield path


def find_slices(root: Path) -> list[Slice]:
    """Every folder under `root` (`src/koinon`) that is a package and has templates or a locale."""
    folders = sorted(
        path.parent
        for path in root.rglob("__init__.py")
        if (path.parent / "templates").is_dir() or (path.parent / "locale").is_dir()
    )
    return [
        Slice(
            folder.name,
            folder,
            root.parent,
            tuple(other for other in folders if other != folder and other.is_relative_to(folder)),
        )
        for folder in folders
    ]


def extract_texts(part: Slice) -> Catalog:
    """Every text that `part` marks for translation, with the file it stands in."""
    found = Catalog(fuzzy=False)
    for path in part.sources():
        is_template = path.suffix == ".html"
        options = {"silent": "false", "trimmed": "true"} if is_template else {}
        place = path.relative_to(part.root).as_posix()
        for _line, text, notes, context in extract_from_file(
            "jinja2.ext:babel_extract" if is_template else "python",
            path,
            keywords=_KEYWORDS,
            comment_tags=("Translators:",),
            options=options,
        ):
            found.add(text, locations=[(place, 0)], auto_comments=notes, context=context)
    return found


def update_catalogues(slices: Iterable[Slice], only: Collection[str] = ()) -> list[str]:
    """The catalogues have exactly the texts of the sources; one line for each that still needs words.

    `only` names the slices to do, all if empty.

    A new text that another slice has already translated gets the same words. Words of a text that has gone
    are dropped; nothing is guessed.
    """
    slices = list(slices)
    chosen = [part for part in slices if not only or part.name in only]
    known = {language: _known(slices, language) for language in TRANSLATED}
    report = []
    for part in chosen:
        template = extract_texts(part)
        for language in TRANSLATED:
            path = part.po(language)
            if not len(template) and not path.exists():
                continue
            catalogue = _read(path, language) if path.exists() else Catalog(locale=language)
            # A copy: Babel puts the template's own messages into the catalogue, where words are filled in.
            catalogue.update(deepcopy(template), no_fuzzy_matching=True)
            catalogue.obsolete.clear()
            for message in _messages(catalogue):
                if not _complete(message):
                    message.string = known[language].get(_key(message), message.string)
            _write(path, catalogue)
            report += [
                f"{path}: {_shown(message)}" for message in _messages(catalogue) if not _complete(message)
            ]
    return report


def check_texts(slices: Iterable[Slice]) -> list[str]:
    """What is wrong with the texts, one line each.

    Found are: a text without words in Dutch or French, a fuzzy entry, a text that the sources no longer have,
    other placeholders or markup than the English, the same English with two translations, text in a template that is
    not marked for translation, and a catalogue that cannot be read.
    """
    report: list[str] = []
    words: dict[str, dict[object, tuple[Words, str]]] = {language: {} for language in TRANSLATED}
    for part in slices:
        template = extract_texts(part)
        wanted = {_key(message): message for message in _messages(template)}
        for path in part.sources():
            if path.suffix == ".html":
                report += [
                    f"{path}:{line}: not marked for translation: {text!r}"
                    for line, text in find_untranslated(path)
                ]
        for language in TRANSLATED:
            path = part.po(language)
            if not path.exists():
                if wanted:
                    report.append(f"{path}: missing (make it with python -m koinon.portal.build --update)")
                continue
            try:
                catalogue = _read(path, language)
            except (PoFileError, UnicodeDecodeError) as error:
                report.append(f"{path}: {error}")
                continue
            present = {_key(message): message for message in _messages(catalogue)}
            report += [
                f"{path}: not in the catalogue: {_shown(m)}"
                for key, m in wanted.items()
                if key not in present
            ]
            report += [
                f"{path}: no longer used: {_shown(m)}" for key, m in present.items() if key not in wanted
            ]
            for key, message in present.items():
                if not _complete(message):
                    report.append(f"{path}: no translation: {_shown(message)}")
                    continue
                if message.fuzzy:
                    report.append(f"{path}: fuzzy: {_shown(message)}")
                if _placeholders(message.string) != _placeholders(message.id):
                    report.append(f"{path}: other placeholders than the English: {_shown(message)}")
                if _tags(message.string) != _tags(message.id):
                    report.append(f"{path}: other markup than the English: {_shown(message)}")
                earlier = words[language].setdefault(key, (message.string, str(path)))
                if earlier[0] != message.string:
                    report.append(f"{path}: translated differently than in {earlier[1]}: {_shown(message)}")
    return report


def compile_catalogues(slices: Iterable[Slice]) -> int:
    """Each `.po` has a `.mo` beside it that is not older; the number that had to be written."""
    written = 0
    for part in slices:
        for language in TRANSLATED:
            po = part.po(language)
            mo = po.with_suffix(".mo")
            if not po.exists() or (mo.exists() and mo.stat().st_mtime_ns >= po.stat().st_mtime_ns):
                continue
            fresh = mo.with_suffix(".mo.new")
            fresh.write_bytes(compiled(po, language))
            fresh.replace(mo)
            written += 1
    return written


def compiled(po: Path, language: str) -> bytes:
    """The binary form (GNU gettext .mo) of `po`; entries that are empty or fuzzy are left out."""
    out = io.BytesIO()
    write_mo(out, _read(po, language))
    return out.getvalue()


def _read(path: Path, language: str) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def _write(path: Path, catalogue: Catalog) -> None:
    # No dates and no line numbers: a catalogue changes only when its texts do.
    language = str(catalogue.locale)
    head = (
        f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n'
        f'"Plural-Forms: {catalogue.plural_forms}\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n\n'
    )
    body = io.BytesIO()
    write_po(body, catalogue, width=110, omit_header=True, include_lineno=False, sort_by_file=True)
    data = (head + body.getvalue().decode().strip() + "\n").encode()
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _messages(catalogue: Catalog) -> Iterator[Message]:
    return (message for message in catalogue if message.id)


def _known(
    slices: Iterable[Slice], language: str
) -> dict[tuple[str | None, str], str | tuple[str, ...] | list[str] | None]:
    known: dict[tuple[str | None, str], str | tuple[str, ...] | list[str] | None] = {}
    for part in slices:
        if part.po(language).exists():
            for message in _messages(_read(part.po(language), language)):
                if _complete(message) and not message.fuzzy:
                    known.setdefault(_key(message), message.string)
    return known


def _key(message: Message) -> tuple[str | None, str]:
    return message.context, message.id if isinstance(message.id, str) else message.id[0]


def _complete(message: Message) -> bool:
    strings = _strings(message.string)
    return bool(strings) and all(text.strip() for text in strings)


def _placeholders(words: Words) -> set[str]:
    return {name for text in _strings(words) for name in _PLACEHOLDER.findall(text)}


def _tags(words: Words) -> set[str]:
    # A {% trans %} block holds markup; a translation may move it, not bring its own.
    return {tag for text in _strings(words) for tag in _TAG.findall(text)}


def _strings(words: Words) -> list[str]:
    """One form, or the forms of a plural; Babel gives None for a text that was never translated."""
    return [words] if isinstance(words, str) else list(words or ())


def _shown(message: Message) -> str:
    place = message.locations[0][0] if message.locations else "?"
    return f"{_key(message)[1]!r} ({place})"
