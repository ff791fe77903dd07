"""What is wrong with a rule's document of the right shape: names, limits, dates, conditions, obligations. Pure."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec

from koinon.base.canonical import LARGEST_INTEGER
from koinon.base.text import Text
from koinon.trust.rules.conditions import PYTHON_TYPE
from koinon.trust.rules.model import ANY, OPERATORS, Effect, FactType, LogLevel, Operator
from koinon.trust.rules.parse.document import Document, DocumentBasis, DocumentObligations
from koinon.trust.rules.vocabulary import Vocabulary

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


_Found = Iterator[tuple[str, str, str]]  # code, key, why


def find_problems(document: Document, vocabulary: Vocabulary) -> _Found:
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
    elif isinstance(document.basis, DocumentBasis):
        if not document.basis.article.strip():
            yield "rule_without_basis", "basis.article", "the article is empty"
        yield from _wrong_text("basis.text", document.basis.text)
    yield from _wrong_text("title", document.title)
    yield from _wrong_dates(document)
    for number, condition in enumerate(document.conditions):
        for code, key, why in _wrong_condition(condition, document.effect, vocabulary):
            yield code, f"conditions[{number}]{'.' if key else ''}{key}", why
    yield from _wrong_obligations(document, vocabulary)


def _wrong_names(document: Document, vocabulary: Vocabulary) -> _Found:
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


def _wrong_dates(document: Document) -> _Found:
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


def _wrong_obligations(document: Document, vocabulary: Vocabulary) -> _Found:
    obligations = document.obligations
    if document.effect == "forbid" and obligations != DocumentObligations():
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
