"""What analysis finds: each kind of fault is planted and found, and a clean bank is found clean."""

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import koinon.demo
from koinon.trust.rules import Condition, LogLevel, Obligations, RuleBank, parse_rules
from koinon.trust.rules.analysis import Scope, analyse
from koinon.trust.rules.conditions import can_hold, compile_condition, implies, together

rngs = st.integers(0, 2**48).map(random.Random)
DEMO = Path(koinon.demo.__path__[0]) / "rules"


def codes(*args: Any, **kwargs: Any) -> list[tuple[str, str, str | None]]:
    return [(finding.code, finding.rule, finding.other) for finding in analyse(*args, **kwargs)]


def scope(**changes: Any) -> Scope:
    plain: dict[str, Any] = {
        "deliberation": "2026/001",
        "purposes": frozenset({"housing"}),
        "actions": frozenset({"consult"}),
        "resources": {"a/x": frozenset({"f1", "f2"})},
        "party_kinds": frozenset({"company"}),
        "profiles": frozenset({"handler"}),
        "valid_from": date(2026, 1, 1),
        "valid_until": date(2027, 1, 1),
    }
    return Scope(**(plain | changes))


def clean(world: Any) -> list[Any]:
    """A bank with much in it that looks like a fault and is none."""
    dossier = Condition("dossier", "yes_no", "is", True)
    no_dossier = Condition("dossier", "yes_no", "is", False)
    return [
        world.rule(),
        # another version, other fields: never in force together
        world.rule(version=2, fields={"f2"}, in_force_from=date(2026, 6, 1)),
        # other fields for another profile, party, action, purpose, resource
        world.rule(id="profile", profiles={"manager"}, fields={"f3"}),
        world.rule(id="kind", party_kinds={"office"}, fields={"f3"}),
        world.rule(id="action", actions={"communicate"}, fields={"f3"}),
        world.rule(id="purpose", purposes={"grants"}, fields={"f3"}),
        world.rule(id="resource", resource="a/y", fields={"f3"}),
        # other fields and obligations under conditions that exclude one another
        world.rule(id="with", resource="b/x", conditions=(dossier,)),
        world.rule(
            id="without",
            resource="b/x",
            fields={"f1"},
            conditions=(no_dossier,),
            obligations=Obligations(yes_no=frozenset({"f1"})),
        ),
        # a declared addition
        world.rule(id="more", resource="b/x", conditions=(dossier,), fields={"f4"}, adds_to={"with"}),
        # a forbid that leaves something, one that leaves some time, one on a condition
        world.rule(id="no-f1", effect="forbid", fields={"f1"}),
        world.rule(
            id="summer", effect="forbid", fields=set(), in_force_until=date(2026, 9, 1), resource="a/y"
        ),
        world.rule(id="sealed", effect="forbid", fields=set(), conditions=(dossier,), in_force_until=None),
    ]


def test_nothing_is_found_in_a_clean_bank(world: Any) -> None:
    assert analyse(clean(world)) == []


def test_nothing_is_found_in_a_bank_that_keeps_within_its_deliberations(world: Any) -> None:
    assert codes([world.rule()], [scope(), scope(deliberation="2026/002")]) == []
    wide = scope(
        resources={"a/*": frozenset({"f1", "f2", "f3"})}, profiles=None, party_kinds=None, valid_until=None
    )
    assert codes([world.rule(resource="a/*")], [wide]) == [("wildcard_resource", "r/1", None)]


def test_the_demo_region_has_nothing_to_mend() -> None:
    assert [finding for finding in analyse(parse_rules(DEMO)) if finding.is_error] == []


PLANTED: list[tuple[str, Any]] = [
    ("never_in_force", {"in_force_until": date(2026, 1, 1)}),
    ("never_in_force", {"in_force_until": date(2025, 1, 1)}),
    (
        "conditions_contradict",
        {"conditions": (Condition("n", "number", "at_least", 5), Condition("n", "number", "at_most", 4))},
    ),
    (
        "conditions_contradict",
        {"conditions": (Condition("b", "yes_no", "is_not", True), Condition("b", "yes_no", "is_not", False))},
    ),
    (
        "conditions_contradict",
        {
            "conditions": (
                Condition("d", "date", "after", date(2026, 1, 1)),
                Condition("d", "date", "before", date(2026, 1, 2)),
            )
        },
    ),
    (
        "conditions_contradict",
        {"conditions": (Condition("t", "text", "in", ("a", "b")), Condition("t", "text", "is", "c"))},
    ),
    ("wildcard_resource", {"resource": "c/*"}),
    ("all_profiles", {"profiles": {"*"}}),
    ("no_end", {"in_force_until": None}),
    ("no_deliberation", {"deliberation": None}),
]


@pytest.mark.parametrize(("code", "changes"), PLANTED)
def test_a_fault_of_one_rule_is_found(world: Any, code: str, changes: Any) -> None:
    planted = world.rule(**({"id": "planted", "resource": "b/y"} | changes))
    assert codes([*clean(world), planted]) == [(code, "planted/1", None)]


def test_a_version_that_is_replaced_before_it_begins_is_found(world: Any) -> None:
    later = world.rule(version=2, in_force_from=date(2025, 12, 1))
    assert codes([world.rule(), later]) == [("superseded", "r/1", "r/2")]


@pytest.mark.parametrize(
    "forbids",
    [
        [{"fields": set(), "profiles": {"*"}, "actions": {"*"}, "purposes": {"*"}, "party_kinds": {"*"}}],
        [{"fields": {"f1"}}, {"id": "t", "fields": {"f2", "f3"}}],
        [
            {"fields": set(), "in_force_until": date(2026, 5, 1)},
            {"id": "t", "in_force_from": date(2026, 4, 1)},
        ],
        [{"fields": set(), "resource": "a/*"}],
        [{"fields": set(), "conditions": (Condition("n", "number", "at_least", 3),)}],
        [{"fields": set(), "conditions": (Condition("n", "number", "is_not", 4),)}],
    ],
)
def test_a_permit_that_forbids_shadow_wholly_is_found(world: Any, forbids: list[Any]) -> None:
    permit = world.rule(conditions=(Condition("n", "number", "at_least", 5),))
    shadows = [world.rule(**({"id": "s", "effect": "forbid"} | each)) for each in forbids]
    assert codes([permit, *shadows]) == [("shadowed", "r/1", "s/1")]


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": {"f1"}},
        {"fields": set(), "profiles": {"manager"}},
        {"fields": set(), "in_force_until": date(2026, 12, 31)},
        {"fields": set(), "in_force_from": date(2026, 1, 2)},
        {"fields": set(), "party_kinds": set(), "parties": {"p1"}},
        {"fields": set(), "conditions": (Condition("n", "number", "at_least", 6),)},
        {"fields": set(), "conditions": (Condition("m", "number", "at_least", 0),)},
    ],
)
def test_a_permit_that_a_forbid_leaves_something_is_not_dead(world: Any, changes: Any) -> None:
    permit = world.rule(conditions=(Condition("n", "number", "at_least", 5),))
    assert codes([permit, world.rule(**({"id": "s", "effect": "forbid"} | changes))]) == []


def test_the_kind_of_a_named_party_decides_whether_a_forbid_shadows_it(world: Any) -> None:
    permit = world.rule(party_kinds=set(), parties={"p1"})
    forbid = world.rule(id="s", effect="forbid", fields=set())
    assert codes([permit, forbid]) == []
    assert codes([permit, forbid], kind_of={"p1": "company"}) == [("shadowed", "r/1", "s/1")]


def test_two_rules_that_give_different_fields_for_the_same_use_are_found(world: Any) -> None:
    other = world.rule(id="s", fields={"f2", "f3"})
    found = analyse([world.rule(), other])
    assert [(each.code, each.rule, each.other, each.details) for each in found] == [
        ("fields_differ", "r/1", "s/1", ("f1", "f3"))
    ]
    assert codes([world.rule(), world.rule(id="s", fields={"f2", "f3"}, adds_to={"r"})]) == []
    assert codes([world.rule(), world.rule(id="s", fields={"f3"}, resource="a/*", profiles={"*"})]) == [
        ("fields_differ", "r/1", "s/1"),
        ("all_profiles", "s/1", None),
        ("wildcard_resource", "s/1", None),
    ]


def test_a_party_of_unknown_kind_may_overlap_and_of_another_kind_does_not(world: Any) -> None:
    rules = [world.rule(), world.rule(id="s", fields={"f3"}, party_kinds=set(), parties={"p3"})]
    assert codes(rules) == [("fields_differ", "r/1", "s/1")]
    assert codes(rules, kind_of={"p3": "company"}) == [("fields_differ", "r/1", "s/1")]
    assert codes(rules, kind_of={"p3": "office"}) == []


@pytest.mark.parametrize(
    ("key", "obligations"),
    [
        ("yes_no", Obligations(yes_no=frozenset({"f1"}))),
        ("keep", Obligations(keep=frozenset({"f1"}))),
        ("masks", Obligations(masks=frozenset({"faces"}))),
        ("watermark", Obligations(watermark=True)),
        ("depth_days", Obligations(depth_days=3)),
        ("second_person", Obligations(second_person=True)),
        ("log", Obligations(log=LogLevel.FULL)),
        ("reason", Obligations(reason=True)),
        ("cache_seconds", Obligations(cache_seconds=60)),
    ],
)
def test_the_same_fields_under_other_obligations_are_found(world: Any, key: str, obligations: Any) -> None:
    found = analyse([world.rule(), world.rule(id="s", obligations=obligations)])
    assert [(each.code, each.details) for each in found] == [("obligations_contradict", (key,))]
    assert all(each.is_error for each in found)


@pytest.mark.parametrize(
    ("detail", "changes"),
    [
        ("purposes: grants", {"purposes": {"housing", "grants"}}),
        ("actions: communicate", {"actions": {"consult", "communicate"}}),
        ("profiles: manager", {"profiles": {"handler", "manager"}}),
        ("party_kinds: office", {"party_kinds": {"company", "office"}}),
        ("fields: f3", {"fields": {"f1", "f3"}}),
        ("resource: a/y", {"resource": "a/y"}),
        ("in_force_from: 2025-12-31", {"in_force_from": date(2025, 12, 31)}),
        ("in_force_until: 2027-01-02", {"in_force_until": date(2027, 1, 2)}),
    ],
)
def test_a_rule_wider_than_its_deliberation_is_found(world: Any, detail: str, changes: Any) -> None:
    found = analyse([world.rule(**changes)], [scope()])
    assert [(each.code, each.details) for each in found] == [("wider_than_deliberation", (detail,))]


def test_parties_outside_the_deliberation_are_found(world: Any) -> None:
    named = scope(parties=frozenset({"p1"}), party_kinds=None)
    assert codes([world.rule(party_kinds=set(), parties={"p1"})], [named]) == []
    wider = analyse([world.rule(party_kinds=set(), parties={"p1", "p2"})], [named])
    assert [each.details for each in wider] == [("parties: p2",)]
    assert [each.details for each in analyse([world.rule()], [named])] == [("party_kinds: company",)]


def test_a_deliberation_that_does_not_exist_is_found(world: Any) -> None:
    assert codes([world.rule(deliberation="2026/009")], [scope()]) == [("deliberation_unknown", "r/1", None)]


def test_findings_speak_three_languages(world: Any) -> None:
    finding = analyse([world.rule(deliberation=None)])[0]
    assert "beraadslaging" in finding.text.nl
    assert "délibération" in finding.text.fr
    assert "r/1" in finding.text.en


def values_of(world: Any) -> dict[str, list[Any]]:
    """For each fact, values on, beside and between all those that random conditions compare with."""
    days = [*world.days, date(2026, 5, 5)]
    return {
        "dossier": [True, False],
        "urgent": [True, False],
        "persons": list(range(-1, 9)),
        "zone": ["north", "south", "east", "west", "elsewhere"],
        "born": sorted({day + timedelta(days=shift) for day in days for shift in (-1, 0, 1)}),
    }


def meeting(conditions: list[Condition], fact: str, values: list[Any]) -> list[Any]:
    checks = [compile_condition(condition) for condition in conditions if condition.fact == fact]
    return [value for value in values if together(checks, {fact: value})]


@settings(max_examples=400)
@given(rngs)
def test_conditions_said_to_contradict_are_met_by_no_facts_and_others_by_some(
    world: Any, rng: random.Random
) -> None:
    conditions = [world.condition(rng) for _ in range(rng.randint(1, 4))]
    values = values_of(world)
    facts = {condition.fact for condition in conditions}
    assert can_hold(conditions) == all(meeting(conditions, fact, values[fact]) for fact in facts)


@settings(max_examples=1000)
@given(rngs)
def test_a_condition_is_implied_exactly_where_every_value_that_meets_the_others_meets_it(
    world: Any, rng: random.Random
) -> None:
    wanted = world.condition(rng, forbid=True)
    given_ = [each for each in (world.condition(rng) for _ in range(6)) if each.fact == wanted.fact]
    met = meeting(given_, wanted.fact, values_of(world)[wanted.fact])
    if given_:
        assert implies(given_, [wanted]) == (meeting([wanted], wanted.fact, met) == met)
    else:
        # Nothing makes the fact known, and no condition of a forbid holds of every value.
        assert not implies(given_, [wanted])


@pytest.mark.parametrize(
    ("given_", "wanted", "implied"),
    [
        (("before", date(2026, 1, 2)), ("before", date(2026, 1, 1)), False),
        (("before", date(2026, 1, 1)), ("before", date(2026, 1, 2)), True),
        (("after", date(2026, 1, 1)), ("after", date(2026, 1, 2)), False),
        (("after", date(2026, 1, 2)), ("after", date(2026, 1, 1)), True),
        (("is", date(2026, 1, 1)), ("before", date(2026, 1, 1)), False),
        (("is", date(2026, 1, 1)), ("after", date(2026, 1, 1)), False),
    ],
)
def test_an_implication_between_days_minds_the_day_itself(given_: Any, wanted: Any, implied: bool) -> None:
    one, other = (Condition("born", "date", operator, day) for operator, day in (given_, wanted))
    assert implies([one], [other]) == implied


@settings(max_examples=300)
@given(rngs)
def test_what_is_found_dead_changes_no_decision_when_taken_away(world: Any, rng: random.Random) -> None:
    rules = world.random_rules(rng, most=14)
    dead = {
        each.rule
        for each in analyse(rules, kind_of=world.parties)
        if each.code in ("never_in_force", "conditions_contradict", "shadowed")
    }
    # Only permits: of a forbid that contradicts itself an unknown fact still makes a refusal.
    alive = [rule for rule in rules if rule.name not in dead or rule.effect == "forbid"]
    whole, rest = RuleBank(rules), RuleBank(alive)
    for _ in range(20):
        request = world.random_request(rng)
        request = msgspec.structs.replace(request, party_kind=world.parties.get(request.party, "office"))
        assert whole.decide(request).fields == rest.decide(request).fields
        assert whole.decide(request).allowed == rest.decide(request).allowed
