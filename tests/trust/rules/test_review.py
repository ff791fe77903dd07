"""What is found about one version among many: the same as the analysis and the replay of the whole bank find."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.clock import start_of
from koinon.base.errors import Conflict, Invalid
from koinon.trust.rules.analysis import analyse
from koinon.trust.rules.bank import RuleBank
from koinon.trust.rules.replay import make_cases, replay
from koinon.trust.rules.review import LIMIT_CASES, examine, find_about, near_rules

rngs = st.integers(min_value=0, max_value=2**64 - 1).map(random.Random)


def a_bank(world: Any, rng: random.Random) -> tuple[list[Any], Any]:
    """Rules that count, some in several versions about different kinds of resource, and one that is proposed."""
    counting = []
    for number in range(rng.randint(0, 7)):
        for version in range(1, rng.choice([2, 2, 2, 3, 4])):
            drawn = world.random_rule(rng, f"r{number}")
            counting.append(msgspec.structs.replace(drawn, version=version))
    known = rng.choice(counting).id if counting and rng.random() < 0.6 else "new"
    version = 1 + sum(each.id == known for each in counting)
    rule = msgspec.structs.replace(world.random_rule(rng, known), version=version)
    rng.shuffle(counting)
    return counting, rule


@given(rngs)
def test_what_is_found_about_a_version_is_what_the_analysis_of_the_whole_bank_finds(
    world: Any, rng: random.Random
) -> None:
    counting, rule = a_bank(world, rng)

    whole = [
        each
        for each in analyse([*counting, rule], None, world.parties)
        if each.rule == rule.name or (each.other == rule.name and each.code != "superseded")
    ]

    assert find_about(rule, counting, None, world.parties) == whole


@given(rngs)
def test_what_a_version_changes_is_what_the_replay_on_the_whole_bank_tells(
    world: Any, rng: random.Random
) -> None:
    counting, rule = a_bank(world, rng)
    past = [world.random_request(rng) for _ in range(40)]
    old, new = RuleBank(counting), RuleBank([*counting, rule])
    since = start_of(rule.in_force_from)
    asked = [msgspec.structs.replace(each, at=max(each.at, since)) for each in past]

    found = examine(rule, counting, past, None, world.parties)

    assert found.asked == len(past)
    assert list(found.differences) == replay(old, new, asked)
    assert list(found.cases) == replay(old, new, make_cases([RuleBank([rule])], limit=LIMIT_CASES))


def test_rules_about_other_kinds_of_resource_are_left_out(world: Any) -> None:
    near, far = world.rule(id="near", resource="a/y"), world.rule(id="far", resource="b/x")

    assert near_rules(world.rule(id="new"), [near, far]) == [near]


def test_a_bank_that_cannot_be_is_refused_wherever_its_fault_lies(world: Any) -> None:
    rule = world.rule(id="new")
    twice = [world.rule(id="far", resource="b/x"), world.rule(id="far", resource="b/x", fields={"f3"})]
    with pytest.raises(Conflict) as conflict:
        find_about(rule, twice)
    assert conflict.value.code == "rule_twice"

    with pytest.raises(Invalid) as invalid:
        find_about(rule, [world.rule(id="far", resource="b/x", actions={"*"})])
    assert invalid.value.code == "permit_too_open"
