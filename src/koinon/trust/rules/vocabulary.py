"""The vocabulary of a bank: every name that a rule may use, with its words in three languages.

A rule that names what the vocabulary does not is refused, so a misspelt purpose cannot become a rule that
never applies, nor a misspelt field of a forbid one that never protects.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from koinon.base.canonical import canonical
from koinon.base.errors import Invalid, TooLarge
from koinon.base.text import Text
from koinon.trust.rules.model import ANY, FactType, Rule, group_of

FILE_NAME = "vocabulary.toml"
LIMIT_BYTES = 1 << 20


class FactWord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fact that conditions may read: its type and its words."""

    type: FactType
    title: Text


class ResourceWord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A resource and its fields; a resource without fields (a camera group) is given as a whole."""

    title: Text
    fields: dict[str, Text] = {}


class Vocabulary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names by kind. A resource `kind/*` stands for resources of which the names are not fixed here."""

    actions: dict[str, Text] = {}
    purposes: dict[str, Text] = {}
    profiles: dict[str, Text] = {}
    party_kinds: dict[str, Text] = {}
    masks: dict[str, Text] = {}
    facts: dict[str, FactWord] = {}
    resources: dict[str, ResourceWord] = {}

    def find_resource(self, resource: str) -> ResourceWord | None:
        """What is known of `resource`: by its own name, else by its kind."""
        return self.resources.get(resource) or self.resources.get(group_of(resource))

    def fields_of(self, pattern: str) -> Mapping[str, Text]:
        """The fields that a rule on `pattern` may name: of all resources that it covers."""
        if not pattern.endswith("/*"):
            word = self.find_resource(pattern)
            return word.fields if word is not None else {}
        found: dict[str, Text] = {}
        for name, word in self.resources.items():
            if name.startswith(pattern[:-1]):
                found |= word.fields
        return found

    def knows_resource(self, pattern: str) -> bool:
        """Whether `pattern` is a resource, or covers at least one."""
        if pattern.endswith("/*"):
            return any(name.startswith(pattern[:-1]) for name in self.resources)
        return self.find_resource(pattern) is not None

    def document(self) -> dict[str, Any]:
        """The vocabulary as JSON values."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the canonical JSON."""
        return hashlib.sha256(canonical(self.document())).hexdigest()


def parse_vocabulary(text: str, file: str = FILE_NAME) -> Vocabulary:
    """The vocabulary that the TOML document `text` declares.

    Raises:
        Invalid: `vocabulary_malformed`, with `file` and `why`.
        TooLarge: `vocabulary_too_large`.
    """
    if len(text.encode()) > LIMIT_BYTES:
        raise TooLarge("vocabulary_too_large", file=file, limit_bytes=LIMIT_BYTES)
    try:
        return msgspec.convert(tomllib.loads(text), Vocabulary)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise Invalid("vocabulary_malformed", file=file, why=str(error)) from None


def vocabulary_from_document(document: Any) -> Vocabulary:
    """The vocabulary that `Vocabulary.document` wrote.

    Raises:
        Invalid: `vocabulary_malformed`.
    """
    try:
        return msgspec.convert(document, Vocabulary)
    except msgspec.ValidationError as error:
        raise Invalid("vocabulary_malformed", file="", why=str(error)) from None


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary in the file `path`, or in the folder `path` under the name `vocabulary.toml`.

    Raises:
        Invalid: `vocabulary_missing`, `vocabulary_malformed`.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        return parse_vocabulary(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("vocabulary_missing", file=str(file), why=type(error).__name__) from None


def complete(vocabulary: Vocabulary, rules: Iterable[Rule]) -> Vocabulary:
    """`vocabulary` with every name that `rules` use; one that it lacks stands for itself in all languages."""
    named: dict[str, dict[str, Text]] = {
        kind: dict(getattr(vocabulary, kind)) for kind in ("actions", "purposes", "party_kinds", "profiles")
    }
    facts, resources = dict(vocabulary.facts), dict(vocabulary.resources)
    for rule in rules:
        for kind, words in named.items():
            for name in getattr(rule, kind) - {ANY}:
                words.setdefault(name, _itself(name))
        for condition in rule.conditions:
            facts.setdefault(condition.fact, FactWord(condition.type, _itself(condition.fact)))
        word = resources.get(rule.resource) or ResourceWord(_itself(rule.resource))
        missing = {name: _itself(name) for name in sorted(rule.fields) if name not in word.fields}
        resources[rule.resource] = ResourceWord(word.title, {**word.fields, **missing})
    return Vocabulary(facts=facts, resources=resources, masks=vocabulary.masks, **named)


def _itself(name: str) -> Text:
    return Text(name, name, name)
