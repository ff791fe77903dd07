"""A rule from its document, or everything that is wrong with the document, and where."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from koinon.base.errors import Invalid
from koinon.trust.rules.model import (
    NO_OBLIGATIONS,
    OPERATORS,
    Basis,
    Condition,
    LogLevel,
    Obligations,
    Rule,
)
from koinon.trust.rules.parse.checks import find_problems
from koinon.trust.rules.parse.document import Document, DocumentBasis
from koinon.trust.rules.vocabulary import FILE_NAME, Vocabulary

LIMIT_BYTES = 64 * 1024


class Problem(msgspec.Struct, frozen=True):
    """Something wrong in a document, and where; `line` counts from 1, 0 is the document as a whole."""

    code: str
    file: str
    line: int
    key: str
    why: str


def check_rule(
    text: str, file: str, vocabulary: Vocabulary, author: str | None = None
) -> tuple[Rule | None, list[Problem]]:
    """The rule that the TOML document `text` writes, or None and everything that is wrong with it.

    `author`, where it is given, stands in the place of the one that the document names: who proposes is told by a
    session and not by a file.
    """
    if len(text.encode(errors="replace")) > LIMIT_BYTES:
        return None, [Problem("rule_too_large", file, 0, "", f"more than {LIMIT_BYTES} bytes")]
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"line (\d+)", str(error))
        return None, [Problem("rule_malformed", file, int(found[1]) if found else 0, "", str(error))]
    lines = _lines(text)
    if author is not None:
        values["author"] = author

    def problem(code: str, key: str, why: str) -> Problem:
        return Problem(code, file, _line(lines, key), key, why)

    try:
        document = msgspec.convert(values, Document)
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").lstrip(".")
        named = re.search(r"field `(.+?)`", why)
        if named:
            key = f"{key}.{named[1]}" if key else named[1]
        return None, [problem("rule_malformed", key, why)]
    problems = [problem(*each) for each in find_problems(document, vocabulary)]
    return (None, problems) if problems else (_rule(document, vocabulary), [])


def parse_rule(text: str, file: str, vocabulary: Vocabulary) -> Rule:
    """The rule that the TOML document `text` writes.

    Raises:
        Invalid: the first problem's code, with its `file`, `line`, `key`, `why`, and all `problems`.
    """
    rule, problems = check_rule(text, file, vocabulary)
    if rule is None:
        raise invalid(problems)
    return rule


def invalid(problems: list[Problem]) -> Invalid:
    """The error that tells `problems`, under the code of the first."""
    first = problems[0]
    return Invalid(
        first.code,
        file=first.file,
        line=first.line,
        key=first.key,
        why=first.why,
        problems=[msgspec.to_builtins(problem) for problem in problems],
    )


def find_documents(paths: Iterable[Path]) -> Iterator[Path]:
    """The rule documents among `paths` and under the folders among them, in order of name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*.toml") if each.name != FILE_NAME)
        else:
            yield path


def read_rules(paths: Iterable[Path], vocabulary: Vocabulary) -> list[Rule]:
    """The rules of all documents of `paths` (files, or folders of them).

    Raises:
        Invalid: the first problem of any of them, with all `problems`; `rule_unreadable` for a file that is
            not there or is not UTF-8.
    """
    rules: list[Rule] = []
    problems: list[Problem] = []
    for path in find_documents(paths):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem("rule_unreadable", str(path), 0, "", type(error).__name__))
            continue
        rule, found = check_rule(text, str(path), vocabulary)
        problems += found
        if rule is not None:
            rules.append(rule)
    if problems:
        raise invalid(problems)
    return rules


def _rule(document: Document, vocabulary: Vocabulary) -> Rule:
    assert isinstance(document.basis, DocumentBasis)
    obligations = document.obligations
    built = Obligations(
        keep=None if obligations.keep is None else frozenset(obligations.keep),
        yes_no=frozenset(obligations.yes_no),
        masks=frozenset(obligations.masks),
        watermark=obligations.watermark,
        depth_days=obligations.depth_days,
        second_person=obligations.second_person,
        log=LogLevel[obligations.log.upper()],
        reason=obligations.reason,
        cache_seconds=obligations.cache_seconds or 0,
    )
    return Rule(
        id=document.id,
        version=document.version,
        title=document.title,
        effect=document.effect,
        resource=document.resource,
        actions=frozenset(document.actions),
        purposes=frozenset(document.purposes),
        profiles=frozenset(document.profiles),
        party_kinds=frozenset(document.party_kinds),
        parties=frozenset(document.parties),
        fields=frozenset(document.fields),
        conditions=tuple(_condition(each, vocabulary) for each in document.conditions),
        obligations=NO_OBLIGATIONS if built == NO_OBLIGATIONS else built,
        basis=Basis(document.basis.article, document.basis.text),
        deliberation=document.deliberation,
        adds_to=frozenset(document.adds_to),
        in_force_from=document.in_force_from,
        in_force_until=None if document.in_force_until == "open" else document.in_force_until,
        author=document.author,
    )


def _condition(document: Mapping[str, Any], vocabulary: Vocabulary) -> Condition:
    fact = document["fact"]
    operator = next(each for each in OPERATORS if each in document)
    value = document[operator]
    if operator == "present":
        value = None
    elif operator == "in":
        value = tuple(sorted(value))
    return Condition(fact, vocabulary.facts[fact].type, operator, value)


_HEADER = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?")
_KEY = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=")


def _lines(text: str) -> dict[str, int]:
    """The line of each key, as `conditions[1].fact`; good enough to point at, wrong inside long strings."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            name = header[2]
            if header[1]:
                counts[name] = counts.get(name, -1) + 1
                name = f"{name}[{counts[name]}]"
            prefix = f"{name}."
            lines.setdefault(name, number)
            continue
        key = _KEY.match(line)
        if key:
            lines.setdefault(prefix + key[1], number)
    return lines


def _line(lines: Mapping[str, int], key: str) -> int:
    """The line of `key`, else of what holds it, else 0."""
    while key:
        if key in lines:
            return lines[key]
        shorter = re.sub(r"(\.[^.\[]+|\[\d+\])$", "", key)
        key = shorter if shorter != key else ""
    return 0
