"""Who may get a field, by the rules of the bank that are in force. Pure: the bank is an input."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from koinon.base.text import Text
from koinon.trust.rules import Rule
from koinon.trust.rules.model import resource_covers


class Span(Protocol):
    """A rule and the time in which it counts; see `rules.in_force.InForce`."""

    @property
    def rule(self) -> Rule:
        """The rule."""

    @property
    def since(self) -> datetime:
        """From when it counts."""

    @property
    def until(self) -> datetime:
        """Until when, exclusive."""


class FieldRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that gives a field, or takes it away.

    Attributes:
        as_yes_no: the field leaves as yes or no, never as a value.
        kept: the receiver may store it.
    """

    rule: str
    version: int
    title: Text
    effect: Literal["permit", "forbid"]
    actions: tuple[str, ...]
    purposes: tuple[str, ...]
    profiles: tuple[str, ...]
    parties: tuple[str, ...]
    article: str
    deliberation: str | None
    as_yes_no: bool
    kept: bool


def rules_for(spans: Iterable[Span], resource: str, field: str, at: datetime) -> list[FieldRule]:
    """The rules in force at `at` that give `field` of `resource` or take it away, prohibitions first, then by name."""
    found = []
    for span in spans:
        rule = span.rule
        if not (span.since <= at < span.until and resource_covers(rule.resource, resource)):
            continue
        # A prohibition without fields is about the whole resource.
        if field not in rule.fields and not (rule.effect == "forbid" and not rule.fields):
            continue
        keep = rule.obligations.keep
        found.append(
            FieldRule(
                rule=rule.id,
                version=rule.version,
                title=rule.title,
                effect=rule.effect,
                actions=tuple(sorted(rule.actions)),
                purposes=tuple(sorted(rule.purposes)),
                profiles=tuple(sorted(rule.profiles)),
                parties=tuple(sorted(rule.party_kinds)),
                article=rule.basis.article,
                deliberation=rule.deliberation,
                as_yes_no=field in rule.obligations.yes_no,
                kept=keep is None or field in keep,
            )
        )
    return sorted(found, key=lambda each: (each.effect != "forbid", each.rule))
