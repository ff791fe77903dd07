"""Cedar, an engine that others wrote, decides as our bank does."""

import random
from typing import Any

import cedarpy
import pytest

from koinon.base.errors import Conflict
from koinon.trust.rules import Condition, RuleBank
from koinon.trust.rules.cedar import (
    cedar_entities,
    cedar_requests,
    export_cedar,
    export_cedar_schema,
    fact_types,
)

REQUESTS = 100_000
BANKS = 100


def _fields_by_cedar(
    bank: RuleBank, requests: list[Any], entities: cedarpy.Entities
) -> list[tuple[bool, Any]]:
    """For each request whether Cedar allows it, and which of its fields."""
    policies = cedarpy.PolicySet.from_str(export_cedar(bank))
    types = fact_types(bank)
    asked = [
        (place, *each) for place, request in enumerate(requests) for each in cedar_requests(request, types)
    ]
    results = cedarpy.is_authorized_batch([each[2] for each in asked], policies, entities)
    allowed = [False] * len(requests)
    fields: list[set[str]] = [set() for _ in requests]
    for (place, field, _), result in zip(asked, results, strict=True):
        assert not result.diagnostics.errors
        if result.allowed:
            allowed[place] = True
            if field is not None:
                fields[place].add(field)
    return list(zip(allowed, fields, strict=True))


@pytest.mark.parametrize("part", range(4))
def test_cedar_decides_as_the_bank_on_a_hundred_thousand_random_requests(world: Any, part: int) -> None:
    rng = random.Random(20261124 + part)
    parties = {**world.parties, "p4": "office"}
    entities = cedarpy.Entities.from_json_str(cedar_entities(parties, world.resources))
    outcomes: dict[str, int] = {}
    for _ in range(BANKS // 4):
        bank = RuleBank([world.random_rule(rng, f"r{number}") for number in range(rng.randint(8, 16))])
        requests = [world.random_request(rng) for _ in range(REQUESTS // BANKS)]
        for request, (allowed, fields) in zip(
            requests, _fields_by_cedar(bank, requests, entities), strict=True
        ):
            decision = bank.decide(request)
            assert (decision.allowed, decision.fields) == (allowed, fields), request
            outcomes[decision.code] = outcomes.get(decision.code, 0) + 1
    assert sum(outcomes.values()) == REQUESTS // 4
    # A comparison of refusals alone would prove little: every outcome is met often.
    assert outcomes["allowed"] > REQUESTS // 4 * 0.04
    assert all(
        outcomes[code] > 50
        for code in ("no_rule", "not_in_force", "forbidden", "fact_unknown", "conditions_not_met")
    ), outcomes


def test_the_policies_keep_to_the_schema(world: Any) -> None:
    rng = random.Random(3)
    for _ in range(20):
        rules = world.random_rules(rng)
        bank = RuleBank([*rules, world.rule(id="x", conditions=(Condition("persons", "number", "present"),))])
        result = cedarpy.validate_policies(export_cedar(bank), export_cedar_schema(bank))
        assert result.validation_passed, [error.error for error in result.errors]


def test_an_unknown_fact_of_a_forbid_refuses_in_cedar_as_well(world: Any) -> None:
    sealed = Condition("sealed", "yes_no", "is", True)
    forbid = world.rule(id="s", effect="forbid", fields=set(), conditions=(sealed,))
    bank = RuleBank([world.rule(), forbid])
    entities = cedarpy.Entities.from_json_str(cedar_entities(world.parties, world.resources))
    for facts, expected in (({}, False), ({"sealed": True}, False), ({"sealed": False}, True)):
        request = world.request(facts=facts)
        assert _fields_by_cedar(bank, [request], entities)[0][0] is expected
        assert bank.decide(request).allowed is expected


def test_names_with_quotes_and_accents_are_escaped(world: Any) -> None:
    zone = Condition("zone", "text", "is", 'Élan "1"\\\n')
    bank = RuleBank([world.rule(conditions=(zone,))])
    entities = cedarpy.Entities.from_json_str(cedar_entities(world.parties, world.resources))
    request = world.request(facts={"zone": 'Élan "1"\\\n'})
    assert bank.decide(request).allowed
    assert _fields_by_cedar(bank, [request], entities) == [(True, {"f1"})]


def test_a_fact_of_two_types_has_no_schema(world: Any) -> None:
    one = world.rule(conditions=(Condition("zone", "text", "is", "a"),))
    two = world.rule(id="q", conditions=(Condition("zone", "number", "is", 1),))
    with pytest.raises(Conflict) as refused:
        export_cedar_schema(RuleBank([one, two]))
    assert refused.value.code == "fact_of_two_types"
