"""What the bank answers: cases one can read, and laws that hold for every bank."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.errors import Conflict, Invalid
from koinon.trust.rules import Condition, LogLevel, Obligations, RuleBank

rngs = st.integers(0, 2**48).map(random.Random)
DOSSIER = Condition("dossier", "yes_no", "is", True)


def test_fields_that_are_asked_and_granted_leave_and_the_rest_is_named(world: Any) -> None:
    decision = RuleBank([world.rule()]).decide(world.request(fields={"f1", "f3", "f4"}))
    assert decision.allowed
    assert decision.code == "allowed"
    assert (decision.rule, decision.version) == ("r", 1)
    assert (decision.deliberation, decision.article) == ("2026/001", "art. 1")
    assert decision.fields == {"f1"}
    assert decision.filtered == ("f3", "f4")


@pytest.mark.parametrize(
    "changes",
    [
        {"resource": "a/y"},
        {"action": "communicate"},
        {"purpose": "grants"},
        {"party_kind": "office"},
        {"profile": "manager"},
        {"profile": "*"},
        {"resource": "a/*"},
    ],
)
def test_nothing_is_allowed_that_no_rule_is_written_for(world: Any, changes: Any) -> None:
    decision = RuleBank([world.rule()]).decide(world.request(**changes))
    assert not decision.allowed
    assert decision.code == "no_rule"
    assert decision.rule is None
    assert decision.filtered == ("f1",)


def test_an_empty_bank_refuses(world: Any) -> None:
    assert RuleBank().decide(world.request()).code == "no_rule"


def test_a_rule_counts_from_midnight_in_brussels_until_midnight_in_brussels(world: Any) -> None:
    bank = RuleBank([world.rule(in_force_from=date(2026, 7, 1), in_force_until=date(2026, 12, 1))])
    second = timedelta(seconds=1)
    begins, ends = datetime(2026, 6, 30, 22, tzinfo=UTC), datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert bank.decide(world.request(at=begins - second)).code == "not_in_force"
    assert bank.decide(world.request(at=begins - second)).good_until == begins
    assert bank.decide(world.request(at=begins)).allowed
    assert bank.decide(world.request(at=begins)).good_until == ends
    assert bank.decide(world.request(at=ends - second)).allowed
    late = bank.decide(world.request(at=ends))
    assert (late.code, late.rule, late.good_until) == ("not_in_force", "r", None)


def test_an_unknown_fact_refuses_a_permit_and_is_named(world: Any) -> None:
    bank = RuleBank([world.rule(conditions=(DOSSIER,))])
    assert bank.decide(world.request(facts={"dossier": True})).allowed
    assert bank.decide(world.request(facts={"dossier": False})).code == "conditions_not_met"
    for facts in ({}, {"dossier": None}, {"dossier": 1}, {"dossier": "true"}):
        decision = bank.decide(world.request(facts=facts))
        assert (decision.code, decision.unknown) == ("fact_unknown", ("dossier",))


def test_an_unknown_fact_of_a_forbid_refuses_too(world: Any) -> None:
    sealed = Condition("sealed", "yes_no", "is", True)
    bank = RuleBank([world.rule(), world.rule(id="s", effect="forbid", fields=set(), conditions=(sealed,))])
    assert bank.decide(world.request(facts={"sealed": False})).allowed
    denied = bank.decide(world.request(facts={"sealed": True}))
    assert (denied.code, denied.rule) == ("forbidden", "s")
    unknown = bank.decide(world.request(facts={}))
    assert (unknown.code, unknown.rule, unknown.unknown) == ("fact_unknown", "s", ("sealed",))


def test_a_forbid_of_a_field_takes_that_field_only(world: Any) -> None:
    bank = RuleBank([world.rule(), world.rule(id="s", effect="forbid", fields={"f2"}, profiles={"*"})])
    decision = bank.decide(world.request(fields={"f1", "f2"}))
    assert decision.fields == {"f1"}
    assert [rule.id for rule in decision.grounds] == ["r", "s"]
    assert bank.decide(world.request(fields={"f2"})).code == "forbidden"


def test_a_field_filtered_for_an_unknown_fact_names_the_fact(world: Any) -> None:
    bank = RuleBank([world.rule(), world.rule(id="s", fields={"f3"}, conditions=(DOSSIER,))])
    decision = bank.decide(world.request(fields={"f1", "f3"}))
    assert (decision.fields, decision.filtered, decision.unknown) == ({"f1"}, ("f3",), ("dossier",))


def test_a_forbid_of_a_party_holds_for_that_party_only(world: Any) -> None:
    forbid = world.rule(id="s", effect="forbid", party_kinds=set(), parties={"p2"}, fields=set())
    bank = RuleBank([world.rule(), forbid])
    assert bank.decide(world.request(party="p1")).allowed
    assert bank.decide(world.request(party="p2")).code == "forbidden"


@given(rngs)
def test_what_forbids_is_found_whether_or_not_anything_is_permitted(world: Any, rng: random.Random) -> None:
    request = world.random_request(rng)
    forbids = [world.random_rule(rng, f"s{number}", "forbid") for number in range(rng.randint(1, 6))]
    permit = world.rule(
        id="all", actions={request.action}, purposes={request.purpose}, party_kinds={request.party_kind},
        profiles={request.profile}, fields=request.fields, in_force_from=date(2020, 1, 1), in_force_until=None,
    )  # fmt: skip
    everything = RuleBank([*forbids, msgspec.structs.replace(permit, resource=request.resource)])
    elsewhere = RuleBank([*forbids, msgspec.structs.replace(permit, resource="c/z")])
    decision = everything.decide(request)
    whole = decision.allowed and decision.fields == request.fields
    assert bool(elsewhere.list_forbids(request)) is not whole
    assert elsewhere.list_forbids(request) == everything.list_forbids(request)


def test_a_resource_without_fields_is_given_by_a_rule_without_fields(world: Any) -> None:
    bank = RuleBank([world.rule(resource="cameras/west", fields=set())])
    assert bank.decide(world.request(resource="cameras/west", fields=set())).allowed
    assert bank.decide(world.request(resource="cameras/west")).code == "no_field_allowed"
    assert RuleBank([world.rule()]).decide(world.request(fields=set())).code == "no_field_asked"


def test_a_group_of_resources_is_covered_by_its_pattern(world: Any) -> None:
    bank = RuleBank([world.rule(resource="cameras/*", profiles={"*"}, fields=set())])
    assert bank.decide(world.request(resource="cameras/west", profile="x", fields=set())).allowed
    assert bank.decide(world.request(resource="cameras2/west", fields=set())).code == "no_rule"
    assert bank.decide(world.request(resource="cameras/*", fields=set())).code == "no_rule"


def test_several_permits_give_their_union_and_oblige_to_the_strictest(world: Any) -> None:
    one = Obligations(yes_no=frozenset({"f1"}), depth_days=30, log=LogLevel.FULL)
    two = Obligations(watermark=True, depth_days=10, keep=frozenset({"f3"}))
    bank = RuleBank([world.rule(obligations=one), world.rule(id="q", fields={"f3"}, obligations=two)])
    decision = bank.decide(world.request(fields={"f1", "f3"}))
    assert decision.fields == {"f1", "f3"}
    assert decision.rule == "q"
    assert decision.obligations == Obligations(
        keep=frozenset({"f3"}), yes_no=frozenset({"f1"}), watermark=True, depth_days=10, log=LogLevel.FULL
    )
    assert bank.decide(world.request(fields={"f1"})).obligations == one


@pytest.mark.parametrize(("one", "other", "both"), [(60, 30, 30), (60, 0, 0), (0, 0, 0), (60, 60, 60)])
def test_an_answer_is_kept_no_longer_than_every_permit_used_lets_it(
    world: Any, one: int, other: int, both: int
) -> None:
    first, second = Obligations(cache_seconds=one), Obligations(cache_seconds=other)
    bank = RuleBank([world.rule(obligations=first), world.rule(id="q", fields={"f3"}, obligations=second)])
    assert bank.decide(world.request(fields={"f1", "f3"})).obligations.cache_seconds == both
    assert bank.decide(world.request(fields={"f1"})).obligations.cache_seconds == one
    assert first.and_also(second) == second.and_also(first)


def test_a_later_version_takes_over_on_its_day(world: Any) -> None:
    later = world.rule(version=2, fields={"f3"}, in_force_from=date(2026, 9, 1))
    bank = RuleBank([later, world.rule()])
    before = bank.decide(world.request(fields={"f1", "f3"}))
    after = bank.decide(world.request(fields={"f1", "f3"}, at=datetime(2026, 10, 1, tzinfo=UTC)))
    assert (before.version, before.fields) == (1, {"f1"})
    assert before.good_until == datetime(2026, 8, 31, 22, tzinfo=UTC)
    assert (after.version, after.fields) == (2, {"f3"})


def test_a_later_version_that_begins_earlier_takes_the_whole_place(world: Any) -> None:
    bank = RuleBank([world.rule(), world.rule(version=2, fields={"f3"}, in_force_from=date(2025, 1, 1))])
    assert bank.decide(world.request(fields={"f1", "f3"})).fields == {"f3"}
    assert bank.decide(world.request(at=datetime(2025, 6, 1, tzinfo=UTC), fields={"f3"})).version == 2


def test_a_bank_refuses_the_same_version_twice_and_permits_without_end(world: Any) -> None:
    with pytest.raises(Conflict) as twice:
        RuleBank([world.rule(), world.rule()])
    assert twice.value.code == "rule_twice"
    for name in ("actions", "purposes", "party_kinds"):
        with pytest.raises(Invalid) as open_:
            RuleBank([world.rule(**{name: {"*"}})])
        assert open_.value.code == "permit_too_open"


@settings(max_examples=1500)
@given(rngs)
def test_the_bank_decides_as_the_plain_reading_of_its_rules(world: Any, rng: random.Random) -> None:
    rules = world.random_rules(rng)
    bank = RuleBank(rules)
    for _ in range(10):
        request = world.random_request(rng)
        decision = bank.decide(request)
        assert (decision.allowed, decision.fields) == world.reference(rules, request)
        assert decision.allowed == (decision.code == "allowed")
        assert set(decision.filtered) == request.fields - decision.fields
        assert decision.fields <= request.fields
        given_ = {field for rule in rules if rule.effect == "permit" for field in rule.fields}
        assert decision.fields <= given_
        assert bool(decision.grounds) == (decision.code != "no_rule")


@settings(max_examples=500)
@given(rngs)
def test_no_date_changes_a_decision_before_good_until(world: Any, rng: random.Random) -> None:
    bank = RuleBank(world.random_rules(rng))
    for _ in range(10):
        request = world.random_request(rng)
        decision = bank.decide(request)
        until = decision.good_until
        assert until is None or until > request.at
        for day in world.days:
            for moment in _midnights(day):
                if moment >= request.at and (until is None or moment < until):
                    assert bank.decide(msgspec.structs.replace(request, at=moment)) == decision
        if until is not None:
            just_before = msgspec.structs.replace(request, at=until - timedelta(microseconds=1))
            assert bank.decide(just_before) == decision


def _midnights(day: date) -> list[datetime]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [start - timedelta(hours=hours) for hours in (0, 1, 2)]


@settings(max_examples=800)
@given(rngs)
def test_removing_a_right_never_allows_more(world: Any, rng: random.Random) -> None:
    rules = [*world.random_rules(rng), world.random_rule(rng, "extra", "permit")]
    poorer = list(rules)
    position = rng.choice([index for index, rule in enumerate(rules) if rule.effect == "permit"])
    rule = rules[position]
    what = rng.choice(["rule", "fields", "profiles", "actions", "purposes", "parties", "party_kinds", "date"])
    if what == "rule":
        del poorer[position]
    elif what == "date":
        poorer[position] = msgspec.structs.replace(
            rule, in_force_until=rule.in_force_from + timedelta(days=20)
        )
        if rule.in_force_until is not None and rule.in_force_until < poorer[position].in_force_until:
            poorer[position] = rule
    else:
        values = sorted(getattr(rule, what))
        left = frozenset(values[1:])
        # A rule that gives no fields gives a resource that has none: the last field takes the rule with it.
        if what == "fields" and not left:
            del poorer[position]
        else:
            poorer[position] = msgspec.structs.replace(rule, **{what: left})
    rich, poor = RuleBank(rules), RuleBank(poorer)
    for _ in range(10):
        request = world.random_request(rng)
        before, after = rich.decide(request), poor.decide(request)
        assert after.fields <= before.fields
        assert before.allowed or not after.allowed


@settings(max_examples=500)
@given(rngs)
def test_adding_a_forbid_never_allows_more(world: Any, rng: random.Random) -> None:
    rules = world.random_rules(rng)
    before, after = RuleBank(rules), RuleBank([*rules, world.random_rule(rng, "new", "forbid")])
    for _ in range(10):
        request = world.random_request(rng)
        assert after.decide(request).fields <= before.decide(request).fields
        assert before.decide(request).allowed or not after.decide(request).allowed


@settings(max_examples=500)
@given(rngs)
def test_knowing_less_never_allows_more(world: Any, rng: random.Random) -> None:
    """Whatever value an unknown fact has in truth, with that value known at least as much is allowed."""
    bank = RuleBank(world.random_rules(rng))
    for _ in range(10):
        full = world.random_request(rng)
        kept = {name: value for name, value in full.facts.items() if rng.random() < 0.5}
        less = bank.decide(msgspec.structs.replace(full, facts=kept))
        more = bank.decide(full)
        assert less.fields <= more.fields
        assert more.allowed or not less.allowed


@given(rngs)
def test_obligations_combine_to_what_satisfies_both_in_any_order(world: Any, rng: random.Random) -> None:
    one, two, three = (world.random_rule(rng, "x", "permit").obligations for _ in range(3))
    assert one.and_also(two) == two.and_also(one)
    assert one.and_also(two).and_also(three) == one.and_also(two.and_also(three))
    assert one.and_also(one) == one
    both = one.and_also(two)
    assert both.and_also(one) == both
