"""Rules, requests and decisions as JSON values; a rule's canonical bytes are hashed, signed and stored."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from koinon.base.canonical import canonical
from koinon.base.clock import rfc3339
from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.trust.rules.decision import Decision
from koinon.trust.rules.model import Basis, Condition, Facts, LogLevel, Obligations, Request, Rule


def rule_document(rule: Rule) -> dict[str, Any]:
    """`rule` as JSON values: lists sorted, days as `YYYY-MM-DD`, every key present (see `obligations_document`)."""
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
        "obligations": obligations_document(rule.obligations),
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
                cache_seconds=obligations.get("cache_seconds", 0),
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


def facts_document(facts: Facts) -> dict[str, Any]:
    """Facts as JSON; a day becomes `{"date": "2026-01-31"}`, so that it is not read back as text."""
    return {
        name: {"date": value.isoformat()} if isinstance(value, date) else value
        for name, value in facts.items()
        if value is not None
    }


def facts_from_document(document: Mapping[str, Any]) -> Facts:
    """The facts that `facts_document` wrote; a value of another shape is not known."""
    facts: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            try:
                facts[name] = date.fromisoformat(value["date"])
            except (KeyError, TypeError, ValueError):
                facts[name] = None
        else:
            facts[name] = value if isinstance(value, bool | int | str) else None
    return facts


class _RequestDocument(msgspec.Struct, forbid_unknown_fields=True):
    resource: str
    action: str
    purpose: str
    party_kind: str
    profile: str
    at: datetime
    party: str = ""
    fields: frozenset[str] = frozenset()
    facts: dict[str, Any] = {}


def request_document(request: Request) -> dict[str, Any]:
    """`request` as JSON values."""
    return {
        "resource": request.resource,
        "action": request.action,
        "purpose": request.purpose,
        "party_kind": request.party_kind,
        "party": request.party,
        "profile": request.profile,
        "fields": sorted(request.fields),
        "facts": facts_document(request.facts),
        "at": rfc3339(request.at),
    }


def request_from_document(document: Any) -> Request:
    """The request that `request_document` wrote.

    Raises:
        Invalid: `request_malformed`.
    """
    try:
        read = msgspec.convert(document, _RequestDocument)
    except msgspec.ValidationError as error:
        raise Invalid("request_malformed", why=str(error)) from None
    if read.at.tzinfo is None:
        raise Invalid("request_malformed", why="`at` has no time zone")
    return Request(
        resource=read.resource,
        action=read.action,
        purpose=read.purpose,
        party_kind=read.party_kind,
        party=read.party,
        profile=read.profile,
        fields=read.fields,
        facts=facts_from_document(read.facts),
        at=read.at,
    )


def decision_document(decision: Decision) -> dict[str, Any]:
    """`decision` as JSON values."""
    return {
        "allowed": decision.allowed,
        "code": decision.code,
        "rule": decision.rule,
        "version": decision.version,
        "deliberation": decision.deliberation,
        "article": decision.article,
        "grounds": [each.name for each in decision.grounds],
        "fields": sorted(decision.fields),
        "filtered": list(decision.filtered),
        "obligations": obligations_document(decision.obligations),
        "good_until": None if decision.good_until is None else rfc3339(decision.good_until),
        "unknown": list(decision.unknown),
    }


def obligations_document(obligations: Obligations) -> dict[str, Any]:
    """`obligations` as JSON values, every key present but one: `cache_seconds` only where something is kept.

    It came later than the others; a rule that does not name it keeps the bytes that were signed before.
    """
    document = {
        "keep": None if obligations.keep is None else sorted(obligations.keep),
        "yes_no": sorted(obligations.yes_no),
        "masks": sorted(obligations.masks),
        "watermark": obligations.watermark,
        "depth_days": obligations.depth_days,
        "second_person": obligations.second_person,
        "log": obligations.log.name.lower(),
        "reason": obligations.reason,
    }
    return document | {"cache_seconds": obligations.cache_seconds} if obligations.cache_seconds else document


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
