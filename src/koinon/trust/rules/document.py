"""A rule's document: the JSON values of which the canonical bytes are hashed, signed and stored."""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from koinon.base.canonical import canonical
from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.trust.rules.model import Basis, Condition, LogLevel, Obligations, Rule


def rule_document(rule: Rule) -> dict[str, Any]:
    """`rule` as JSON values: lists sorted, days as `YYYY-MM-DD`, every key present."""
    obligations = rule.obligations
    return {
        "id": rule.id,
        "version": rule.version,
        "title": _text(rule.title),
        "effect": rule.effect,
        "resource": rule.resource,
        "actions": sorted(rule.actions),
        "purposes": sorted(rule.purposes),
        "profiles": sorted(rule.profiles),
        "party_kinds": sorted(rule.party_kinds),
        "parties": sorted(rule.parties),
        "fields": sorted(rule.fields),
        "conditions": [
            {
                "fact": condition.fact,
                "type": condition.type,
                "operator": condition.operator,
                "value": _plain(condition.value),
            }
            for condition in rule.conditions
        ],
        "obligations": {
            "keep": None if obligations.keep is None else sorted(obligations.keep),
            "yes_no": sorted(obligations.yes_no),
            "masks": sorted(obligations.masks),
            "watermark": obligations.watermark,
            "depth_days": obligations.depth_days,
            "second_person": obligations.second_person,
            "log": obligations.log.name.lower(),
            "reason": obligations.reason,
        },
        "basis": {"article": rule.basis.article, "text": _text(rule.basis.text)},
        "deliberation": rule.deliberation,
        "adds_to": sorted(rule.adds_to),
        "in_force_from": rule.in_force_from.isoformat(),
        "in_force_until": None if rule.in_force_until is None else rule.in_force_until.isoformat(),
        "author": rule.author,
    }


def rule_from_document(document: Mapping[str, Any]) -> Rule:
    """The rule that `rule_document` wrote.

    Raises:
        Invalid: `rule_malformed`: the document was not written by `rule_document`.
    """
    try:
        obligations = document["obligations"]
        rule = Rule(
            id=document["id"],
            version=document["version"],
            title=msgspec.convert(document["title"], Text),
            effect=document["effect"],
            resource=document["resource"],
            actions=frozenset(document["actions"]),
            purposes=frozenset(document["purposes"]),
            profiles=frozenset(document["profiles"]),
            party_kinds=frozenset(document["party_kinds"]),
            parties=frozenset(document["parties"]),
            fields=frozenset(document["fields"]),
            conditions=tuple(
                Condition(each["fact"], each["type"], each["operator"], _typed(each["type"], each["value"]))
                for each in document["conditions"]
            ),
            obligations=Obligations(
                keep=None if obligations["keep"] is None else frozenset(obligations["keep"]),
                yes_no=frozenset(obligations["yes_no"]),
                masks=frozenset(obligations["masks"]),
                watermark=obligations["watermark"],
                depth_days=obligations["depth_days"],
                second_person=obligations["second_person"],
                log=LogLevel[obligations["log"].upper()],
                reason=obligations["reason"],
            ),
            basis=Basis(document["basis"]["article"], msgspec.convert(document["basis"]["text"], Text)),
            deliberation=document["deliberation"],
            adds_to=frozenset(document["adds_to"]),
            in_force_from=date.fromisoformat(document["in_force_from"]),
            in_force_until=date.fromisoformat(document["in_force_until"])
            if document["in_force_until"]
            else None,
            author=document["author"],
        )
        if rule_document(rule) == dict(document):
            return rule
    except (KeyError, TypeError, ValueError, AttributeError, msgspec.ValidationError):
        pass
    raise Invalid("rule_malformed", why="not a rule's document")


def rule_digest(rule: Rule) -> str:
    """SHA-256, in hexadecimal, of the rule's canonical JSON: what the Committee and the Commission sign."""
    return hashlib.sha256(canonical(rule_document(rule))).hexdigest()


def _text(text: Text) -> dict[str, str]:
    return {"nl": text.nl, "fr": text.fr, "en": text.en}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value


def _typed(kind: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_typed(kind, each) for each in value)
    return date.fromisoformat(value) if kind == "date" and value is not None else value
