"""Explanations: structured, in three languages, and of decisions of the past."""

import random
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.errors import NotFound
from koinon.base.text import LANGUAGES
from koinon.trust.rules import Condition, LogLevel, Obligations, RuleBank, StoredRule, rule_digest
from koinon.trust.rules.explain import explain, explain_past
from koinon.trust.rules.model import Recorded
from koinon.trust.rules.texts import WORDS

DOSSIER = Condition("dossier", "yes_no", "is", True)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


def test_every_rule_of_the_resource_is_shown_with_why_it_counted_or_not(world: Any) -> None:
    rules = [
        world.rule(id="gives", conditions=(DOSSIER,)),
        world.rule(id="takes", effect="forbid", fields={"f2"}),
        world.rule(id="other-profile", profiles={"manager"}),
        world.rule(id="ended", in_force_until=date(2026, 2, 1)),
        world.rule(id="unmet", conditions=(Condition("persons", "number", "at_most", 1),)),
        world.rule(id="unknown", conditions=(Condition("zone", "text", "is", "north"),)),
        world.rule(id="elsewhere", resource="b/x"),
    ]
    request = world.request(fields={"f1", "f2", "f3"}, facts={"dossier": True, "persons": 3})
    explanation = explain(RuleBank(rules), request)
    seen = {each.rule.id: (each.outcome, each.mismatches) for each in explanation.candidates}
    assert seen == {
        "gives": ("gives", ()),
        "takes": ("forbids", ()),
        "other-profile": ("elsewhere", ("profile",)),
        "ended": ("elsewhere", ("after",)),
        "unmet": ("conditions_not_met", ()),
        "unknown": ("fact_unknown", ()),
    }
    assert [(each.field, each.fate, each.rules) for each in explanation.fields] == [
        ("f1", "given", ("gives/1",)),
        ("f2", "forbidden", ("takes/1",)),
        ("f3", "not_granted", ()),
    ]
    tested = next(each for each in explanation.candidates if each.rule.id == "gives").conditions[0]
    assert (tested.condition, tested.value, tested.outcome) == (DOSSIER, True, True)


def test_an_explanation_reads_in_three_languages(world: Any) -> None:
    duties = Obligations(
        keep=frozenset(),
        yes_no=frozenset({"f1"}),
        masks=frozenset({"faces"}),
        watermark=True,
        depth_days=3,
        second_person=True,
        log=LogLevel.FULL,
        reason=True,
        cache_seconds=60,
    )
    explanation = explain(
        RuleBank([world.rule(conditions=(DOSSIER,), obligations=duties)]),
        world.request(facts={"dossier": True}),
    )
    texts = {language: explanation.text(language) for language in LANGUAGES}
    assert "Toegelaten." in texts["nl"]
    assert "Autorisé." in texts["fr"]
    assert "Good until 01/01/2027 00:00" in texts["en"]
    assert "at most 3 days back" in texts["en"]
    assert "een antwoord van de bron mag 60 seconden" in texts["nl"]
    assert "une réponse de la source peut servir 60 secondes" in texts["fr"]
    assert "may serve the same question for 60 seconds" in texts["en"]
    assert "art. 1" in texts["fr"]
    assert len({text.count("\n") for text in texts.values()}) == 1


def test_every_sentence_exists_in_three_languages_with_the_same_blanks() -> None:
    import string

    for key, text in WORDS.items():
        blanks = [
            {name for _, name, _, _ in string.Formatter().parse(text.in_(one)) if name} for one in LANGUAGES
        ]
        assert blanks[0] == blanks[1] == blanks[2], key
        assert all(text.in_(one).strip() for one in LANGUAGES), key


@settings(max_examples=300)
@given(st.integers(0, 2**48).map(random.Random))
def test_an_explanation_agrees_with_the_decision_it_explains(world: Any, rng: random.Random) -> None:
    bank = RuleBank(world.random_rules(rng))
    for _ in range(5):
        request = world.random_request(rng)
        explanation = explain(bank, request)
        decision = explanation.decision
        assert decision == bank.decide(request)
        assert {each.field for each in explanation.fields if each.fate == "given"} == decision.fields
        assert {each.field for each in explanation.fields if each.fate != "given"} == set(decision.filtered)
        assert all(each.rules for each in explanation.fields if each.fate != "not_granted")
        if decision.allowed and request.fields:
            gives = {each.rule.name for each in explanation.candidates if each.outcome == "gives"}
            assert decision.grounds[0].name in gives
        for language in LANGUAGES:
            assert explanation.text(language)


def _recorded(request: Any, decision: Any) -> Recorded:
    return Recorded(
        UUID(int=1),
        request.resource,
        request.at,
        request,
        decision.allowed,
        decision.code,
        decision.fields,
        tuple(rule.name for rule in decision.grounds),
    )


def test_a_past_decision_is_explained_with_the_version_of_its_day(world: Any) -> None:
    old, new = world.rule(), world.rule(version=2, fields={"f3"}, in_force_from=date(2026, 9, 1))
    stored = [StoredRule(rule, rule_digest(rule), LONG_AGO) for rule in (old, new)]
    request = world.request(fields={"f1", "f3"})
    past = explain_past(_recorded(request, RuleBank([old]).decide(request)), stored)
    assert past.differs == ()
    assert past.explanation.decision.version == 1
    later = explain_past(_recorded(request, RuleBank([old]).decide(request)), stored[1:])
    assert set(later.differs) == {"allowed", "code", "fields", "grounds"}


def test_a_past_decision_of_which_the_inputs_are_erased_says_so(world: Any) -> None:
    recorded = _recorded(world.request(), RuleBank([world.rule()]).decide(world.request()))
    with pytest.raises(NotFound) as refused:
        explain_past(msgspec.structs.replace(recorded, request=None), [])
    assert refused.value.code == "inputs_erased"
