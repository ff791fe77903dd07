"""What a change of the bank would have changed: on past decisions, and on cases made from the rules."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import islice, product
from typing import Any, Literal

import msgspec

from koinon.trust.rules.bank import RuleBank
from koinon.trust.rules.conditions import compile_condition, together
from koinon.trust.rules.decision import Decision
from koinon.trust.rules.in_force import FOREVER
from koinon.trust.rules.model import ANY, Condition, FactType, FactValue, Request, Rule

LIMIT_CASES = 20_000

_SAMPLES: dict[FactType, FactValue] = {"yes_no": True, "number": 0, "text": "any", "date": date(2000, 1, 1)}

Change = Literal[
    "now_allowed", "now_refused", "more_fields", "fewer_fields", "other_fields", "other_obligations"
]


class Difference(msgspec.Struct, frozen=True):
    """Requests that the two banks answer differently in the same way.

    Attributes:
        request: the first of them.
        count: how many there were.
        earliest, latest: the first and the last instant for which they were asked.
        gained, lost: fields that only the new, only the old bank gives.
    """

    change: Change
    request: Request
    before: Decision
    after: Decision
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    count: int
    earliest: datetime
    latest: datetime


def replay(old: RuleBank, new: RuleBank, requests: Iterable[Request]) -> list[Difference]:
    """How `new` would have answered `requests` otherwise than `old`, the most frequent first.

    Requests are counted together when use, change, fields and grounds are the same. Other grounds for the
    same answer are no difference.
    """
    found: dict[tuple[Any, ...], Difference] = {}
    for request in requests:
        before, after = old.decide(request), new.decide(request)
        change = _change(before, after)
        if change is None:
            continue
        gained = tuple(sorted(after.fields - before.fields))
        lost = tuple(sorted(before.fields - after.fields))
        use = (request.resource, request.action, request.purpose, request.profile, request.party_kind)
        key = (use, change, gained, lost, _names(before), _names(after))
        known = found.get(key)
        found[key] = (
            Difference(change, request, before, after, gained, lost, 1, request.at, request.at)
            if known is None
            else msgspec.structs.replace(
                known,
                count=known.count + 1,
                earliest=min(known.earliest, request.at),
                latest=max(known.latest, request.at),
            )
        )
    return sorted(found.values(), key=lambda each: -each.count)


def simulate(old: RuleBank, new: RuleBank, *, limit: int = LIMIT_CASES) -> list[Difference]:
    """How the two banks differ on cases made from their own rules; see `make_cases`.

    Finds what no past request happened to touch. Not a proof of equality: conditions are tried at their
    edges, rule by rule, not in every combination.
    """
    return replay(old, new, make_cases((old, new), limit=limit))


def make_cases(banks: Iterable[RuleBank], *, limit: int = LIMIT_CASES) -> Iterator[Request]:
    """Requests at the edges of the rules, at most `limit`.

    Each use that a rule names, with all fields of its resource asked, at the moments at which it begins and
    ends, with facts that meet its conditions, and with one fact at a time just beyond, or not known.
    """
    spans = [span for bank in banks for span in bank.rules]
    fields: dict[str, set[str]] = {}
    for span in spans:
        fields.setdefault(span.rule.resource, set()).update(span.rule.fields)
    seen: set[tuple[Any, ...]] = set()
    # Round robin over the rules, so that a limit cuts from every rule and not the last ones away.
    waiting = [_cases(span.rule, fields, _moments(span.since, span.until)) for span in spans]
    return islice(_in_turn(waiting, seen), limit)


def _in_turn(waiting: list[Iterator[Request]], seen: set[tuple[Any, ...]]) -> Iterator[Request]:
    while waiting:
        for cases in list(waiting):
            for case in cases:
                # Types too: 1 and True are equal.
                facts = frozenset((name, type(value), value) for name, value in case.facts.items())
                key = (*msgspec.structs.astuple(case)[:-2], case.at, facts)
                if key not in seen:
                    seen.add(key)
                    yield case
                    break
            else:
                waiting.remove(cases)


def _moments(since: datetime, until: datetime) -> tuple[datetime, ...]:
    step = timedelta(seconds=1)
    if since >= until:
        return ()
    if until == FOREVER:
        return (since, since - step)
    return (since, until - step, until, since - step)


def _cases(rule: Rule, fields: Mapping[str, set[str]], moments: tuple[datetime, ...]) -> Iterator[Request]:
    resource = rule.resource[:-1] + "any" if rule.resource.endswith("/*") else rule.resource
    asked = frozenset(fields[rule.resource])
    whos = [(kind, "any") for kind in sorted(rule.party_kinds)]
    whos += [("any", party) for party in sorted(rule.parties)]
    uses = list(product(sorted(rule.actions), sorted(rule.purposes), sorted(rule.profiles), whos))
    for facts, (action, purpose, profile, (kind, party)), at in product(_facts(rule), uses, moments):
        yield Request(
            resource, _some(action), _some(purpose), _some(kind), party, _some(profile), asked, facts, at
        )


def _some(name: str) -> str:
    """`name`, or for the wildcard a name that no rule uses."""
    return "any" if name == ANY else name


def _facts(rule: Rule) -> list[dict[str, FactValue | None]]:
    """Facts that meet the rule's conditions, then one fact at a time at an edge, or not known."""
    by_fact: dict[str, list[Condition]] = {}
    for condition in rule.conditions:
        by_fact.setdefault(condition.fact, []).append(condition)
    edges = {fact: list(dict.fromkeys(_edges(group))) for fact, group in by_fact.items()}
    meeting: dict[str, FactValue | None] = {}
    for fact, values in edges.items():
        checks = [compile_condition(condition) for condition in by_fact[fact]]
        meeting[fact] = next((value for value in values if together(checks, {fact: value})), values[0])
    return [
        meeting,
        *(
            {**meeting, fact: value}
            for fact, values in edges.items()
            for value in (*values, None)
            if value != meeting[fact]
        ),
    ]


def _edges(conditions: Iterable[Condition]) -> Iterator[FactValue]:
    for condition in conditions:
        value: Any = condition.value
        match condition.operator:
            case "present":
                yield _SAMPLES[condition.type]
            case "is" | "is_not" | "in":
                values = value if isinstance(value, tuple) else (value,)
                yield from values
                yield _other(values)
            case "at_least":
                yield from (value, value - 1)
            case "at_most":
                yield from (value, value + 1)
            case "before":
                yield from (value - timedelta(days=1), value)
            case "after":
                yield from (value + timedelta(days=1), value)


def _other(values: tuple[Any, ...]) -> Any:
    """A value of the same type that is none of `values`."""
    first = values[0]
    if isinstance(first, bool):
        return not first
    if isinstance(first, int):
        return max(values) + 1
    if isinstance(first, str):
        return "any"
    return max(values) + timedelta(days=1)


def _change(before: Decision, after: Decision) -> Change | None:
    if before.allowed != after.allowed:
        return "now_allowed" if after.allowed else "now_refused"
    if before.fields != after.fields:
        if after.fields > before.fields:
            return "more_fields"
        return "fewer_fields" if after.fields < before.fields else "other_fields"
    return "other_obligations" if before.obligations != after.obligations else None


def _names(decision: Decision) -> tuple[str, ...]:
    return tuple(rule.name for rule in decision.grounds)
