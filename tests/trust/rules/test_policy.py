"""The way of a rule from draft to force: nobody alone, nobody twice, never the author."""

from datetime import UTC, datetime
from typing import Any

import pytest

from koinon.base.errors import Conflict, NotAllowed
from koinon.trust.rules.policy import Progress, check_approval, check_authorisation, check_proposal, state_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BOTH = frozenset({"analysis", "replay"})


def test_a_rule_goes_step_by_step(world: Any) -> None:
    rule = world.rule()
    two = frozenset({"x", "y"})
    steps = [
        ("draft", Progress()),
        ("draft", Progress(frozenset({"replay"}), two, authorised=True)),
        ("analysed", Progress(frozenset({"analysis"}), two, authorised=True)),
        ("replayed", Progress(BOTH)),
        ("replayed", Progress(BOTH, frozenset({"x"}), authorised=True)),
        ("replayed", Progress(BOTH, frozenset({"x", "author-1"}), authorised=True)),
        ("approved", Progress(BOTH, two)),
        ("in_force", Progress(BOTH, two, authorised=True)),
        ("withdrawn", Progress(BOTH, two, authorised=True, withdrawn=True)),
    ]
    assert [state_of(rule, progress, NOW) for _, progress in steps] == [state for state, _ in steps]
    done = steps[-2][1]
    assert state_of(rule, done, datetime(2025, 12, 31, 22, 59, tzinfo=UTC)) == "authorised"
    assert state_of(rule, done, datetime(2026, 12, 31, 23, tzinfo=UTC)) == "ended"


def test_the_author_may_not_approve_and_nobody_twice(world: Any) -> None:
    rule = world.rule()
    check_approval(rule, Progress(BOTH), "x")
    check_approval(rule, Progress(BOTH, frozenset({"x"})), "y")
    with pytest.raises(NotAllowed) as author:
        check_approval(rule, Progress(BOTH), "author-1")
    assert author.value.code == "author_may_not_approve"
    with pytest.raises(NotAllowed) as twice:
        check_approval(rule, Progress(BOTH, frozenset({"x"})), "x")
    assert twice.value.code == "already_approved"


@pytest.mark.parametrize(
    ("progress", "code"),
    [
        (Progress(), "rule_not_analysed"),
        (Progress(frozenset({"analysis"})), "rule_not_replayed"),
        (Progress(BOTH, withdrawn=True), "rule_withdrawn"),
    ],
)
def test_nothing_is_approved_before_it_is_analysed_and_replayed(world: Any, progress: Any, code: str) -> None:
    with pytest.raises(Conflict) as refused:
        check_approval(world.rule(), progress, "x")
    assert refused.value.code == code


def test_the_commission_authorises_what_two_approved_on_a_deliberation_that_exists(world: Any) -> None:
    two = Progress(BOTH, frozenset({"x", "y"}))
    check_authorisation(world.rule(), two, {"2026/001"})
    check_authorisation(world.rule(effect="forbid", deliberation=None), two, set())
    for rule, progress, code in (
        (world.rule(), Progress(BOTH, frozenset({"x"})), "rule_not_approved"),
        (world.rule(), Progress(BOTH, frozenset({"x", "author-1"})), "rule_not_approved"),
        (world.rule(), two, "deliberation_unknown"),
        (world.rule(deliberation=None), two, "rule_without_deliberation"),
    ):
        with pytest.raises(Conflict) as refused:
            check_authorisation(rule, progress, set())
        assert refused.value.code == code


def test_a_document_is_proposed_by_its_author_and_as_the_next_version(world: Any) -> None:
    check_proposal(world.rule(), "author-1", 0)
    with pytest.raises(NotAllowed) as other:
        check_proposal(world.rule(), "author-2", 0)
    assert other.value.code == "author_differs"
    for latest in (1, 2):
        with pytest.raises(Conflict) as order:
            check_proposal(world.rule(), "author-1", latest)
        assert order.value.code == "version_not_next"
