"""What a rule says, what is asked of the bank, and what it answers: pure values."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import IntEnum
from typing import Literal, TypeAlias, get_args
from uuid import UUID

import msgspec

from koinon.base.text import Text

Effect = Literal["permit", "forbid"]
FactType = Literal["yes_no", "number", "text", "date"]
Operator = Literal["is", "is_not", "in", "at_least", "at_most", "before", "after", "present"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
FactValue: TypeAlias = bool | int | str | date
Facts: TypeAlias = Mapping[str, FactValue | None]

# Stands for every value. A permit may leave only the profile open so, and analysis finds it over-broad.
ANY = "*"


class LogLevel(IntEnum):
    """How much of a use is traced; a higher level is the stricter one."""

    STANDARD = 0
    FULL = 1


class Condition(msgspec.Struct, frozen=True):
    """One test on one fact; a rule's conditions hold together (and, never or: write two rules instead).

    Attributes:
        fact: a name that the vocabulary declares.
        type: the declared type; a value of another type counts as unknown.
        value: what the fact is compared with; a tuple for `in`, None for `present`. `at_least` and `at_most`
            include their value; `before` and `after` exclude it.
    """

    fact: str
    type: FactType
    operator: Operator
    value: FactValue | tuple[FactValue, ...] | None = None


class Obligations(msgspec.Struct, frozen=True):
    """What must be done when a permit is used. Several permits together oblige to the strictest of each.

    Attributes:
        keep: the fields that the receiver may store; None: all it receives. The others are for the moment.
        yes_no: the fields that leave as yes or no, never as a value.
        masks: what is made unrecognisable in images.
        watermark: images carry a visible mark of the viewer.
        depth_days: how far back history may be asked, in days; None: no limit by the rule.
        second_person: a second person of the party must join before anything is released.
        log: how much of the use is traced.
        reason: a written reason must be given beside the purpose.
        cache_seconds: how long a source's answer may be kept and used again for the same question; 0: not at all.
    """

    keep: frozenset[str] | None = None
    yes_no: frozenset[str] = frozenset()
    masks: frozenset[str] = frozenset()
    watermark: bool = False
    depth_days: int | None = None
    second_person: bool = False
    log: LogLevel = LogLevel.STANDARD
    reason: bool = False
    cache_seconds: int = 0

    def and_also(self, other: "Obligations") -> "Obligations":
        """The obligations that satisfy both: commutative, associative, and at least as strict as either."""
        if self == other:
            return self
        return Obligations(
            keep=_least(self.keep, other.keep),
            yes_no=self.yes_no | other.yes_no,
            masks=self.masks | other.masks,
            watermark=self.watermark or other.watermark,
            depth_days=_lower(self.depth_days, other.depth_days),
            second_person=self.second_person or other.second_person,
            log=max(self.log, other.log),
            reason=self.reason or other.reason,
            cache_seconds=min(self.cache_seconds, other.cache_seconds),
        )


NO_OBLIGATIONS = Obligations()


def _least(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _lower(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


class Basis(msgspec.Struct, frozen=True):
    """The legal basis: the article, and what it says in words that a reader of the bank understands."""

    article: str
    text: Text


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one rule of the bank.

    Attributes:
        id, version: name it; a version never changes, and a later version of the same id takes its place from
            the day the later one comes into force.
        effect: `permit` gives fields; `forbid` takes them away, and prevails.
        resource: `source/service`, `flow/name`, `cameras/group`, or `kind/*` for all of a kind.
        actions, purposes, profiles: codes of the vocabulary, or `ANY`.
        party_kinds, parties: the rule is for a party of one of the kinds or with one of the ids.
        fields: what a permit gives; what a forbid takes, the whole resource when empty. A resource without
            fields (a camera) is given by a permit without fields.
        conditions: all must hold.
        deliberation: number of the Commission's authorisation.
        in_force_from, in_force_until: days in Brussels' civil time, until exclusive; None: no end.
        author: id of the person who wrote it.
    """

    id: str
    version: int
    title: Text
    effect: Effect
    resource: str
    actions: frozenset[str]
    purposes: frozenset[str]
    profiles: frozenset[str]
    party_kinds: frozenset[str] = frozenset()
    parties: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    conditions: tuple[Condition, ...] = ()
    obligations: Obligations = NO_OBLIGATIONS
    basis: Basis
    deliberation: str | None = None
    adds_to: frozenset[str] = frozenset()
    in_force_from: date
    in_force_until: date | None = None
    author: str

    @property
    def name(self) -> str:
        """`id/version`."""
        return f"{self.id}/{self.version}"


class Request(msgspec.Struct, frozen=True):
    """What is asked of the bank. There is no clock in the bank: `at` is an input, an aware instant.

    Attributes:
        facts: what is known; a name that is absent or None is unknown, and so is a value of another type than
            the vocabulary declares.
    """

    resource: str
    action: str
    purpose: str
    party_kind: str
    party: str
    profile: str
    fields: frozenset[str]
    facts: Facts
    at: datetime


def covers_party(rule: Rule, kind: str, party: str) -> bool:
    """Whether `rule` is written for the party `party` of the kind `kind`."""
    return kind in rule.party_kinds or party in rule.parties or ANY in rule.party_kinds


def resource_covers(pattern: str, resource: str) -> bool:
    """Whether `resource` is `pattern` or, for a pattern `kind/*`, of that kind."""
    return pattern == resource or (pattern.endswith("/*") and resource.startswith(pattern[:-1]))


def group_of(resource: str) -> str:
    """The pattern `kind/*` that covers `resource`."""
    return resource.partition("/")[0] + "/*"


class StoredRule(msgspec.Struct, frozen=True):
    """A rule version as it is kept.

    Attributes:
        digest: SHA-256, in hexadecimal, of the canonical bytes that are kept; computed when read, so that a
            changed row has another digest than the one that was signed.
    """

    rule: Rule
    digest: str
    proposed_at: datetime


class Recorded(msgspec.Struct, frozen=True):
    """A decision of the past with its inputs; `request` is None once they are erased.

    Attributes:
        exchange: id of the exchange in which it was taken.
        given: the fields that were allowed.
        grounds: `id/version` of the rules it rested on.
    """

    exchange: UUID
    resource: str
    at: datetime
    request: Request | None
    allowed: bool
    code: str
    given: frozenset[str]
    grounds: tuple[str, ...]
