"""A small world in which rules and requests collide often, drawn from any source of randomness."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from koinon.base.clock import civil_date
from koinon.base.text import Text
from koinon.trust.rules import Basis, Condition, LogLevel, Obligations, Request, Rule

TITLE = Text("Regel", "Règle", "Rule")
DAYS = [date(2026, 1, 1), date(2026, 3, 29), date(2026, 7, 1), date(2026, 10, 25), date(2027, 1, 1)]


class World:
    """Names, and random rules and requests made of them."""

    resources = ("a/x", "a/y", "b/x")
    patterns = ("a/x", "a/y", "b/x", "a/*")
    actions = ("consult", "communicate")
    purposes = ("housing", "grants")
    parties = {"p1": "company", "p2": "company", "p3": "office"}
    profiles = ("handler", "manager")
    fields = ("f1", "f2", "f3", "f4")
    days = DAYS

    def rule(self, **changes: Any) -> Rule:
        """A plain permit, with `changes`."""
        plain: dict[str, Any] = {
            "id": "r",
            "version": 1,
            "title": TITLE,
            "effect": "permit",
            "resource": "a/x",
            "actions": frozenset({"consult"}),
            "purposes": frozenset({"housing"}),
            "profiles": frozenset({"handler"}),
            "party_kinds": frozenset({"company"}),
            "fields": frozenset({"f1", "f2"}),
            "basis": Basis("art. 1", TITLE),
            "deliberation": "2026/001",
            "in_force_from": date(2026, 1, 1),
            "in_force_until": date(2027, 1, 1),
            "author": "author-1",
        }
        for name, value in changes.items():
            plain[name] = frozenset(value) if isinstance(value, set) else value
        return Rule(**plain)

    def request(self, **changes: Any) -> Request:
        """A request that the plain permit allows, with `changes`."""
        plain: dict[str, Any] = {
            "resource": "a/x",
            "action": "consult",
            "purpose": "housing",
            "party_kind": "company",
            "party": "p1",
            "profile": "handler",
            "fields": frozenset({"f1"}),
            "facts": {},
            "at": datetime(2026, 6, 1, 12, tzinfo=UTC),
        }
        for name, value in changes.items():
            plain[name] = frozenset(value) if isinstance(value, set) else value
        return Request(**plain)

    def some(self, rng: random.Random, names: Any, least: int = 1) -> frozenset[str]:
        names = tuple(names)
        return frozenset(rng.sample(names, rng.randint(least, len(names))))

    def condition(self, rng: random.Random, *, forbid: bool = False) -> Condition:
        kind = rng.choice(["yes_no", "number", "text", "date"])
        if kind == "yes_no":
            operators: list[Any] = ["is", "is_not"]
            value: Any = rng.random() < 0.7
            fact = rng.choice(["dossier", "urgent"])
        elif kind == "number":
            operators = ["is", "is_not", "in", "at_least", "at_most"]
            value, fact = rng.randint(0, 4), "persons"
        elif kind == "text":
            operators = ["is", "is_not", "in"]
            value, fact = rng.choice(["north", "south", "east"]), "zone"
        else:
            operators = ["is", "is_not", "in", "before", "after"]
            value, fact = rng.choice(DAYS), "born"
        operator = rng.choice(operators if forbid else [*operators, "present"])
        if operator == "present":
            value = None
        elif operator == "in":
            value = (value,)
            if rng.random() < 0.7:
                extra = {"number": 7, "text": "west", "date": date(2026, 5, 5)}[kind]
                value = (*value, extra)
        return Condition(fact, kind, operator, value)

    def random_rule(self, rng: random.Random, identity: str, effect: Any = None) -> Rule:
        effect = effect or rng.choice(["permit", "permit", "permit", "forbid"])
        forbid = effect == "forbid"

        def wild(names: Any, chance: float) -> frozenset[str]:
            return frozenset({"*"}) if rng.random() < chance else self.some(rng, names)

        by_kind = rng.random() < 0.7
        begin = rng.randrange(len(DAYS) - 1)
        end = rng.choice([None, *DAYS[begin + 1 :]])
        return self.rule(
            id=identity,
            effect=effect,
            resource=rng.choice(self.patterns),
            actions=wild(self.actions, 0.3 * forbid),
            purposes=wild(self.purposes, 0.3 * forbid),
            profiles=wild(self.profiles, 0.15),
            party_kinds=wild(set(self.parties.values()), 0.4 * forbid) if by_kind else frozenset(),
            parties=frozenset() if by_kind and rng.random() < 0.8 else self.some(rng, self.parties),
            fields=self.some(rng, self.fields) if rng.random() < 0.85 else frozenset(),
            conditions=tuple(self.condition(rng, forbid=forbid) for _ in range(rng.choice([0, 1, 1, 2, 3]))),
            obligations=Obligations(
                yes_no=frozenset(rng.sample(self.fields, rng.randint(0, 2))),
                watermark=rng.random() < 0.5,
                depth_days=rng.choice([None, 10, 30]),
                log=rng.choice(list(LogLevel)),
                cache_seconds=rng.choice([0, 60, 3600]),
            ),
            in_force_from=DAYS[begin],
            in_force_until=end,
        )

    def random_rules(self, rng: random.Random, most: int = 12) -> list[Rule]:
        return [self.random_rule(rng, f"r{number}") for number in range(rng.randint(0, most))]

    def random_facts(self, rng: random.Random) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "dossier": rng.random() < 0.7,
            "urgent": rng.random() < 0.5,
            "persons": rng.randint(0, 5),
            "zone": rng.choice(["north", "south", "east", "west"]),
            "born": rng.choice(DAYS),
        }
        return {name: value for name, value in facts.items() if rng.random() < 0.8}

    def random_request(self, rng: random.Random) -> Request:
        party = rng.choice([*self.parties, "p4"])
        near = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=rng.randint(-3000, 530_000))
        return Request(
            resource=rng.choice(self.resources),
            action=rng.choice(self.actions),
            purpose=rng.choice(self.purposes),
            party_kind=self.parties.get(party, "office"),
            party=party,
            profile=rng.choice([*self.profiles, "stranger"]),
            fields=frozenset(rng.sample([*self.fields, "f5"], rng.choice([0, 1, 1, 2, 3]))),
            facts=self.random_facts(rng),
            at=near,
        )

    def reference(self, rules: list[Rule], request: Request) -> tuple[bool, frozenset[str]]:
        """Allowed or not and the fields, by the plainest reading of the rules; each rule has one version."""
        concerned = [rule for rule in rules if self._concerns(rule, request)]
        permits = [
            rule
            for rule in concerned
            if rule.effect == "permit" and all(_holds(c, request.facts) is True for c in rule.conditions)
        ]
        forbids = [
            rule
            for rule in concerned
            if rule.effect == "forbid" and all(_holds(c, request.facts) is not False for c in rule.conditions)
        ]
        if any(not rule.fields for rule in forbids):
            return False, frozenset()
        if not request.fields:
            return any(not rule.fields for rule in permits), frozenset()
        fields = {
            field
            for field in request.fields
            if any(field in rule.fields for rule in permits)
            and not any(field in rule.fields for rule in forbids)
        }
        return bool(fields), frozenset(fields)

    def _concerns(self, rule: Rule, request: Request) -> bool:
        day = civil_date(request.at)

        def in_(value: str, allowed: frozenset[str]) -> bool:
            return value in allowed or "*" in allowed

        return (
            (rule.resource == request.resource or rule.resource == request.resource.split("/")[0] + "/*")
            and in_(request.action, rule.actions)
            and in_(request.purpose, rule.purposes)
            and in_(request.profile, rule.profiles)
            and (in_(request.party_kind, rule.party_kinds) or request.party in rule.parties)
            and rule.in_force_from <= day
            and (rule.in_force_until is None or day < rule.in_force_until)
        )


def _holds(condition: Condition, facts: Any) -> bool | None:
    value = facts.get(condition.fact)
    if value is None:
        return None
    tests: dict[str, Callable[[Any], bool]] = {
        "is": lambda expected: value == expected,
        "is_not": lambda expected: value != expected,
        "in": lambda expected: value in expected,
        "at_least": lambda expected: value >= expected,
        "at_most": lambda expected: value <= expected,
        "before": lambda expected: value < expected,
        "after": lambda expected: value > expected,
        "present": lambda expected: True,
    }
    return tests[condition.operator](condition.value)


@pytest.fixture(scope="session")
def world() -> World:
    return World()
