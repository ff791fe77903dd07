"""What a change of the bank would change."""

import random
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.trust.rules import Condition, Obligations, RuleBank
from koinon.trust.rules.conditions import can_hold
from koinon.trust.rules.replay import make_cases, replay, simulate

rngs = st.integers(0, 2**48).map(random.Random)


def test_replay_counts_what_becomes_allowed_refused_wider_or_narrower(world: Any) -> None:
    old = RuleBank([world.rule(), world.rule(id="gone", purposes={"grants"})])
    new = RuleBank(
        [
            world.rule(version=1),
            world.rule(id="add", fields={"f3"}),
            world.rule(id="man", profiles={"manager"}),
        ]
    )
    requests = [
        *[world.request(purpose="grants")] * 3,
        *[world.request(profile="manager")] * 2,
        world.request(fields={"f1", "f3"}),
        world.request(),
    ]
    found = replay(old, new, requests)
    assert [(each.change, each.count, each.gained, each.lost) for each in found] == [
        ("now_refused", 3, (), ("f1",)),
        ("now_allowed", 2, ("f1",), ()),
        ("more_fields", 1, ("f3",), ()),
    ]
    back = replay(new, old, requests)
    assert {each.change for each in back} == {"now_allowed", "now_refused", "fewer_fields"}
    assert replay(old, old, requests) == []


def test_replay_tells_other_obligations_and_other_fields(world: Any) -> None:
    old = RuleBank([world.rule()])
    request = world.request(fields={"f1", "f2", "f3"})
    stricter = RuleBank([world.rule(obligations=Obligations(watermark=True))])
    assert [each.change for each in replay(old, stricter, [request])] == ["other_obligations"]
    other = RuleBank([world.rule(fields={"f2", "f3"})])
    assert [(each.change, each.gained, each.lost) for each in replay(old, other, [request])] == [
        ("other_fields", ("f3",), ("f1",))
    ]


def test_simulation_finds_a_change_that_no_past_request_touched(world: Any) -> None:
    rule = world.rule(conditions=(Condition("persons", "number", "at_most", 4),))
    looser = world.rule(conditions=(Condition("persons", "number", "at_most", 5),))
    found = simulate(RuleBank([rule]), RuleBank([looser]))
    assert {each.change for each in found} == {"now_allowed"}
    assert all(each.request.facts == {"persons": 5} for each in found)
    longer = world.rule(in_force_until=date(2027, 2, 1))
    (found_longer,) = simulate(RuleBank([world.rule()]), RuleBank([longer]))
    assert found_longer.earliest == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert found_longer.latest == datetime(2027, 1, 31, 22, 59, 59, tzinfo=UTC)
    assert simulate(RuleBank([rule]), RuleBank([rule])) == []


def test_cases_are_cut_at_the_limit_from_every_rule(world: Any) -> None:
    rules = [
        world.rule(id=f"r{number}", purposes={f"u{number}"}, profiles={"a", "b", "c"}) for number in range(10)
    ]
    cases = list(make_cases([RuleBank(rules)], limit=30))
    assert len(cases) == 30
    assert {case.purpose for case in cases} == {f"u{number}" for number in range(10)}


@settings(max_examples=150)
@given(rngs)
def test_every_permit_that_can_apply_alone_is_met_by_a_case(world: Any, rng: random.Random) -> None:
    rule = world.random_rule(rng, "r", "permit")
    bank = RuleBank([rule])
    allowed = [case for case in make_cases([bank]) if bank.decide(case).allowed]
    assert bool(allowed) == can_hold(rule.conditions)
