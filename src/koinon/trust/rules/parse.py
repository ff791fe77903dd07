"""Reads rules from the TOML that people write; refuses whatever it does not understand, and says where."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from koinon.base.canonical import LARGEST_INTEGER
from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.trust.rules.conditions import PYTHON_TYPE
from koinon.trust.rules.model import (
    ANY,
    NO_OBLIGATIONS,
    OPERATORS,
    Basis,
    Condition,
    Effect,
    FactType,
    LogLevel,
    Obligations,
    Operator,
    Rule,
)
from koinon.trust.rules.vocabulary import FILE_NAME, Vocabulary

LIMIT_BYTES = 64 * 1024
LIMITS = {  # number of items in each list
    "actions": 50,
    "purposes": 100,
    "profiles": 100,
    "party_kinds": 100,
    "parties": 1000,
    "fields": 500,
    "conditions": 32,
    "adds_to": 50,
    "in": 200,
}
LIMIT_TEXT = 2000  # characters of a text or a name
LIMIT_DAYS = 36_525  # of history: a century
LIMIT_CACHE_SECONDS = 86_400  # that an answer may be kept: a day
YEARS = range(1800, 2500)  # in which dates of law and of birth lie; others are typing errors

_IDENTITY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_PARTY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_RESOURCE = re.compile(r"[a-z0-9_-]{1,60}/([a-z0-9_-]{1,60}|\*)")

OPERATORS_OF: dict[FactType, tuple[Operator, ...]] = {
    "yes_no": ("is", "is_not", "present"),
    "number": ("is", "is_not", "in", "at_least", "at_most", "present"),
    "text": ("is", "is_not", "in", "present"),
    "date": ("is", "is_not", "in", "before", "after", "present"),
}


class Problem(msgspec.Struct, frozen=True):
    """Something wrong in a document, and where; `line` counts from 1, 0 is the document as a whole."""

    code: str
    file: str
    line: int
    key: str
    why: str


class _Obligations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keep: list[str] | None = None
    yes_no: list[str] = []
    masks: list[str] = []
    watermark: bool = False
    depth_days: int | None = None
    second_person: bool = False
    log: str = "standard"
    reason: bool = False
    cache_seconds: int | None = None


class _Basis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    article: str
    text: Text


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of a rule's document; what the names mean is checked after it."""

    id: str
    version: int
    title: Text
    effect: Effect
    resource: str
    actions: list[str]
    purposes: list[str]
    profiles: list[str]
    author: str
    in_force_from: Any
    in_force_until: Any = msgspec.UNSET
    basis: _Basis | msgspec.UnsetType = msgspec.UNSET
    party_kinds: list[str] = []
    parties: list[str] = []
    fields: list[str] = []
    conditions: list[dict[str, Any]] = []
    obligations: _Obligations = _Obligations()
    deliberation: str | None = None
    adds_to: list[str] = []


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
        document = msgspec.convert(values, _Document)
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").lstrip(".")
        named = re.search(r"field `(.+?)`", why)
        if named:
            key = f"{key}.{named[1]}" if key else named[1]
        return None, [problem("rule_malformed", key, why)]
    problems = [problem(*each) for each in _problems(document, vocabulary)]
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


def _rule(document: _Document, vocabulary: Vocabulary) -> Rule:
    assert isinstance(document.basis, _Basis)
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


_Found = Iterator[tuple[str, str, str]]  # code, key, why


def _problems(document: _Document, vocabulary: Vocabulary) -> _Found:
    """What is wrong with a document of the right shape."""
    yield from _wrong_names(document, vocabulary)
    if document.effect == "permit":
        for key in ("actions", "purposes", "party_kinds"):
            if ANY in getattr(document, key):
                yield "permit_too_open", key, "a permit names its actions, purposes and parties"
    if not (document.party_kinds or document.parties):
        yield "rule_malformed", "party_kinds", "neither party_kinds nor parties is given"
    if document.basis is msgspec.UNSET:
        yield "rule_without_basis", "basis", "the legal basis is missing"
    elif isinstance(document.basis, _Basis):
        if not document.basis.article.strip():
            yield "rule_without_basis", "basis.article", "the article is empty"
        yield from _wrong_text("basis.text", document.basis.text)
    yield from _wrong_text("title", document.title)
    yield from _wrong_dates(document)
    for number, condition in enumerate(document.conditions):
        for code, key, why in _wrong_condition(condition, document.effect, vocabulary):
            yield code, f"conditions[{number}]{'.' if key else ''}{key}", why
    yield from _wrong_obligations(document, vocabulary)


def _wrong_names(document: _Document, vocabulary: Vocabulary) -> _Found:
    if not _IDENTITY.fullmatch(document.id):
        yield "rule_malformed", "id", "lower case letters, digits, '.', '_' and '-', at most 100"
    if not 1 <= document.version <= 1_000_000:
        yield "rule_malformed", "version", "1 or more"
    if not document.author.strip() or len(document.author) > 200:
        yield "rule_malformed", "author", "1 to 200 characters"
    if document.deliberation is not None and not 0 < len(document.deliberation.strip()) <= 100:
        yield "rule_malformed", "deliberation", "1 to 100 characters; leave it out while there is none"
    if not _RESOURCE.fullmatch(document.resource):
        yield "rule_malformed", "resource", "'source/service', 'flow/name', 'cameras/group' or 'kind/*'"
    elif not vocabulary.knows_resource(document.resource):
        yield "unknown_resource", "resource", document.resource
    else:
        known = vocabulary.fields_of(document.resource)
        for name in document.fields:
            if name not in known:
                yield "unknown_field", "fields", name
        if known and not document.fields and document.effect == "permit":
            yield "rule_malformed", "fields", "a permit names the fields that it gives"
    for key in LIMITS:
        items = getattr(document, key, [])
        if len(items) > LIMITS[key]:
            yield "rule_malformed", key, f"more than {LIMITS[key]} items"
        elif key != "conditions" and len(set(items)) != len(items):
            yield "rule_malformed", key, "an item stands there twice"
    named: list[tuple[str, str, Mapping[str, Any]]] = [
        ("actions", "unknown_action", vocabulary.actions),
        ("purposes", "unknown_purpose", vocabulary.purposes),
        ("profiles", "unknown_profile", vocabulary.profiles),
        ("party_kinds", "unknown_party_kind", vocabulary.party_kinds),
    ]
    for key, code, words in named:
        items = getattr(document, key)
        if not items and key != "party_kinds":
            yield "rule_malformed", key, "empty"
        if ANY in items and len(items) > 1:
            yield "rule_malformed", key, f"'{ANY}' stands alone"
        for name in items:
            if name != ANY and name not in words:
                yield code, key, name[:LIMIT_TEXT]
    for name in document.parties:
        if not _PARTY.fullmatch(name):
            yield "rule_malformed", "parties", "not a party's id"
    for name in document.adds_to:
        if not _IDENTITY.fullmatch(name):
            yield "rule_malformed", "adds_to", "not a rule's id"


def _wrong_text(key: str, text: Text) -> _Found:
    for language, words in (("nl", text.nl), ("fr", text.fr), ("en", text.en)):
        if not words.strip() or len(words) > LIMIT_TEXT:
            yield "rule_malformed", f"{key}.{language}", f"1 to {LIMIT_TEXT} characters"


def _wrong_dates(document: _Document) -> _Found:
    if not _is_day(document.in_force_from):
        yield "rule_malformed", "in_force_from", "a day, written 2026-01-31 without quotes"
    if document.in_force_until is msgspec.UNSET:
        yield "rule_without_end", "in_force_until", 'a day, or "open" to say that there is none'
    elif document.in_force_until != "open" and not _is_day(document.in_force_until):
        yield "rule_malformed", "in_force_until", 'a day, written 2026-01-31 without quotes, or "open"'


def _is_day(value: Any) -> bool:
    return type(value) is date and value.year in YEARS


def _wrong_condition(condition: Mapping[str, Any], effect: Effect, vocabulary: Vocabulary) -> _Found:
    fact = condition.get("fact")
    keys = [key for key in condition if key != "fact"]
    if not isinstance(fact, str):
        yield "rule_malformed", "", "a condition names its fact"
        return
    if len(keys) != 1:
        yield "rule_malformed", "", f"one operator of {', '.join(OPERATORS)}"
        return
    operator = keys[0]
    if operator not in OPERATORS:
        yield "unknown_operator", operator[:100], f"one of {', '.join(OPERATORS)}"
        return
    word = vocabulary.facts.get(fact)
    if word is None:
        yield "unknown_fact", "fact", fact[:100]
        return
    if operator not in OPERATORS_OF[word.type]:
        yield "operator_not_for_type", operator, f"{fact} is of type {word.type}"
        return
    value = condition[operator]
    if operator == "present":
        if value is not True:
            yield "rule_malformed", operator, "present = true"
        elif effect == "forbid":
            yield "rule_malformed", operator, "a forbid applies also when the fact is unknown, so always"
        return
    if operator == "in":
        if not isinstance(value, list) or not 0 < len(value) <= LIMITS["in"]:
            yield "rule_malformed", operator, f"a list of 1 to {LIMITS['in']} values"
            return
        values = value
    else:
        values = [value]
    for each in values:
        if not _is_of(word.type, each):
            yield "value_not_of_type", operator, f"{fact} is of type {word.type}"
            return
    if len(set(values)) != len(values):
        yield "rule_malformed", operator, "a value stands there twice"


def _is_of(kind: FactType, value: Any) -> bool:
    exact: object = type(value)  # bool is an int and datetime a date to isinstance
    if exact is not PYTHON_TYPE[kind]:
        return False
    match kind:
        case "number":
            return bool(-LARGEST_INTEGER < value < LARGEST_INTEGER)
        case "text":
            return bool(len(value) <= LIMIT_TEXT)
        case "date":
            return bool(value.year in YEARS)
    return True


def _wrong_obligations(document: _Document, vocabulary: Vocabulary) -> _Found:
    obligations = document.obligations
    if document.effect == "forbid" and obligations != _Obligations():
        yield "rule_malformed", "obligations", "a forbid gives nothing, so it obliges to nothing"
    for key, names in (("keep", obligations.keep or []), ("yes_no", obligations.yes_no)):
        for name in names:
            if name not in document.fields:
                yield "obligation_without_field", f"obligations.{key}", name[:LIMIT_TEXT]
    for name in obligations.masks:
        if name not in vocabulary.masks:
            yield "unknown_mask", "obligations.masks", name[:LIMIT_TEXT]
    if obligations.log not in {level.name.lower() for level in LogLevel}:
        yield "rule_malformed", "obligations.log", "standard or full"
    if obligations.depth_days is not None and not 0 <= obligations.depth_days <= LIMIT_DAYS:
        yield "rule_malformed", "obligations.depth_days", f"0 to {LIMIT_DAYS}"
    kept = obligations.cache_seconds
    if kept is not None and not 1 <= kept <= LIMIT_CACHE_SECONDS:
        why = f"1 to {LIMIT_CACHE_SECONDS}; a rule that does not name it has nothing kept"
        yield "rule_malformed", "obligations.cache_seconds", why


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
