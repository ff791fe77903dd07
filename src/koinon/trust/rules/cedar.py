"""The bank as Cedar policies, so that other people's tools can read, check and run it.

One policy a rule version. A request is asked of Cedar field by field: the fields that leave are those that
Cedar allows, and the request is allowed when one is (or, where no field is asked, when Cedar allows the
request without one). Obligations and `good_until` have no place in Cedar.

Cedar skips a `forbid` that reads a missing attribute, and allows: so every attribute that may be missing is
guarded by `has`, in a forbid the other way round (unknown forbids) than in a permit (unknown permits not).
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from koinon.base.errors import Conflict
from koinon.trust.rules.bank import RuleBank
from koinon.trust.rules.conditions import PYTHON_TYPE
from koinon.trust.rules.in_force import FOREVER, InForce
from koinon.trust.rules.model import ANY, Condition, FactType, FactValue, Request, Rule, group_of

_TYPES: dict[FactType, str] = {"yes_no": "Bool", "number": "Long", "text": "String", "date": "datetime"}
_OPERATORS = {"is": "==", "is_not": "!=", "at_least": ">=", "at_most": "<=", "before": "<", "after": ">"}


def export_cedar(bank: RuleBank) -> str:
    """The bank's rules as Cedar policy text, each with annotations that name it."""
    return "\n".join(_policy(span) for span in bank.rules)


def export_cedar_schema(bank: RuleBank) -> str:
    """The Cedar schema to which `export_cedar` keeps.

    Raises:
        Conflict: `fact_of_two_types`: rules read one fact as two types; one vocabulary cannot give that.
    """
    actions = sorted({action for span in bank.rules for action in span.rule.actions if action != ANY})
    types: dict[str, FactType] = {}
    for span in bank.rules:
        for condition in span.rule.conditions:
            if types.setdefault(condition.fact, condition.type) != condition.type:
                raise Conflict("fact_of_two_types", fact=condition.fact, rule=span.rule.name)
    facts = "".join(f"  {_quoted(name)}?: {_TYPES[types[name]]},\n" for name in sorted(types))
    names = ", ".join(_quoted(action) for action in actions) or '"none"'
    return (
        "entity PartyKind;\n"
        "entity Party in [PartyKind];\n"
        "entity ResourceGroup;\n"
        "entity Resource in [ResourceGroup];\n"
        f"type Facts = {{\n{facts}}};\n"
        "type Circumstances = {\n"
        "  purpose: String,\n  profile: String,\n  field?: String,\n  at: datetime,\n  facts: Facts,\n"
        "};\n"
        f"action {names} appliesTo {{ principal: Party, resource: Resource, context: Circumstances }};\n"
    )


def cedar_requests(
    request: Request, types: Mapping[str, FactType]
) -> list[tuple[str | None, dict[str, Any]]]:
    """What to ask of Cedar for `request`: for each field (sorted), or for None when none is asked, a request.

    `types` are the facts that the schema declares; a fact of another type is left out, so that it is unknown.
    """
    facts = {
        name: _json_value(value)
        for name, value in request.facts.items()
        if name in types and type(value) is PYTHON_TYPE[types[name]]
    }
    context = {
        "purpose": request.purpose,
        "profile": request.profile,
        "at": _extension(_instant(request.at)),
        "facts": facts,
    }
    asked: list[str | None] = [*sorted(request.fields)] or [None]
    return [
        (
            field,
            {
                "principal": {"type": "Party", "id": request.party},
                "action": {"type": "Action", "id": request.action},
                "resource": {"type": "Resource", "id": request.resource},
                "context": context if field is None else {**context, "field": field},
            },
        )
        for field in asked
    ]


def cedar_entities(parties: Mapping[str, str], resources: Iterable[str]) -> str:
    """The entities, as Cedar's JSON: each party in its kind, each resource in its group."""
    entities = [_entity("Party", party, "PartyKind", kind) for party, kind in sorted(parties.items())]
    entities += [
        _entity("Resource", resource, "ResourceGroup", group_of(resource)[:-2])
        for resource in sorted(set(resources))
    ]
    return json.dumps(entities)


def fact_types(bank: RuleBank) -> dict[str, FactType]:
    """The facts that the bank's rules read, with their types."""
    return {condition.fact: condition.type for span in bank.rules for condition in span.rule.conditions}


def _entity(kind: str, name: str, parent_kind: str, parent: str) -> dict[str, Any]:
    return {
        "uid": {"type": kind, "id": name},
        "attrs": {},
        "parents": [{"type": parent_kind, "id": parent}],
    }


def _policy(span: InForce) -> str:
    rule = span.rule
    notes = {
        "id": rule.name,
        "title": rule.title.en,
        "article": rule.basis.article,
        "deliberation": rule.deliberation or "",
    }
    lines = [f"@{name}({_quoted(value)})" for name, value in notes.items() if value]
    lines.append(
        f"{rule.effect} (\n  principal,\n  action{_actions(rule)},\n  resource{_resource(rule)}\n) when {{"
    )
    lines.append("  " + " &&\n  ".join(_clauses(span)))
    lines.append("};\n")
    return "\n".join(lines)


def _actions(rule: Rule) -> str:
    if ANY in rule.actions:
        return ""
    return f" in [{', '.join(f'Action::{_quoted(action)}' for action in sorted(rule.actions))}]"


def _resource(rule: Rule) -> str:
    if rule.resource.endswith("/*"):
        return f" in ResourceGroup::{_quoted(rule.resource[:-2])}"
    return f" == Resource::{_quoted(rule.resource)}"


def _clauses(span: InForce) -> Iterable[str]:
    rule = span.rule
    if ANY not in rule.party_kinds:
        whos = [f"principal in PartyKind::{_quoted(kind)}" for kind in sorted(rule.party_kinds)]
        whos += [f"principal == Party::{_quoted(party)}" for party in sorted(rule.parties)]
        yield f"({' || '.join(whos) or 'false'})"
    if ANY not in rule.purposes:
        yield f"{_set(rule.purposes)}.contains(context.purpose)"
    if ANY not in rule.profiles:
        yield f"{_set(rule.profiles)}.contains(context.profile)"
    yield f'context.at >= datetime("{_instant(span.since)}")'
    if span.until != FOREVER:
        yield f'context.at < datetime("{_instant(span.until)}")'
    if rule.fields:
        yield f"context has field && {_set(rule.fields)}.contains(context.field)"
    elif rule.effect == "permit":
        yield "!(context has field)"
    by_fact: dict[str, list[Condition]] = {}
    for condition in rule.conditions:
        by_fact.setdefault(condition.fact, []).append(condition)
    for fact, conditions in by_fact.items():
        yield _conditions(fact, conditions, is_forbid=rule.effect == "forbid")


def _conditions(fact: str, conditions: Iterable[Condition], *, is_forbid: bool) -> str:
    """All conditions on one fact under one guard, in the form whose safety Cedar's validator can follow."""
    tests = [_test(condition) for condition in conditions if condition.operator != "present"]
    known = f"context.facts has {_quoted(fact)}"
    if is_forbid:
        # Unknown forbids ...
        return f"(if {known} then {' && '.join(tests) or 'true'} else true)"
    # ... and does not permit.
    return f"({' && '.join([known, *tests])})"


def _test(condition: Condition) -> str:
    fact = f"context.facts[{_quoted(condition.fact)}]"
    if condition.operator == "in":
        assert isinstance(condition.value, tuple)
        return f"[{', '.join(_literal(value) for value in condition.value)}].contains({fact})"
    assert not isinstance(condition.value, tuple)
    assert condition.value is not None
    return f"{fact} {_OPERATORS[condition.operator]} {_literal(condition.value)}"


def _set(names: frozenset[str]) -> str:
    return f"[{', '.join(_quoted(name) for name in sorted(names))}]"


def _literal(value: FactValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return f'datetime("{value.isoformat()}")'
    return _quoted(value) if isinstance(value, str) else str(value)


def _json_value(value: Any) -> Any:
    return _extension(value.isoformat()) if isinstance(value, date) else value


def _extension(text: str) -> dict[str, Any]:
    return {"__extn": {"fn": "datetime", "arg": text}}


def _instant(at: datetime) -> str:
    """To the millisecond, as far as Cedar's datetime goes: dates of law begin on whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _quoted(text: str) -> str:
    r"""`text` as a Cedar string literal; what is not printable ASCII is written `\u{...}`."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if " " <= character <= "~" else f"\\u{{{ord(character):x}}}"
