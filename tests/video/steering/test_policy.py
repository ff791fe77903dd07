"""Whose turn it is."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from koinon.video.steering.model import Claim
from koinon.video.steering.policy import ALIVE, IDLE, MOST_WAITING, may_wait, rank_of, settle, why_ousted

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def claim(number, *, rank=0, held=None, moved=None, alive=5.0, asked=0, ousted=None):
    """Times are seconds before now; `alive` after."""

    def before(seconds):
        return None if seconds is None else NOW - timedelta(seconds=seconds)

    return Claim(
        use=UUID(int=number), camera=UUID(int=9), party=UUID(int=8), person=UUID(int=7), rank=rank,
        asked_at=before(asked), held_since=before(held), moved_at=before(moved if moved is not None else held),
        alive_until=NOW + timedelta(seconds=alive), ousted_by=None if ousted is None else UUID(int=ousted),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("claims", "holder", "begins", "oust"),
    [
        ([], None, False, False),
        ([claim(1)], 1, True, False),
        ([claim(1, asked=1), claim(2, asked=9)], 2, True, False),  # who waits longest
        ([claim(1, asked=9), claim(2, rank=1)], 2, True, False),  # who ranks highest
        ([claim(1, held=3), claim(2)], 1, False, False),  # who has it keeps it
        ([claim(1, held=3), claim(2, rank=1)], 1, False, True),  # but for who goes first
        ([claim(1, held=60, rank=1), claim(2)], 1, False, True),  # and who does nothing while somebody waits
        ([claim(1, held=60, moved=1), claim(2)], 1, False, False),
        ([claim(1, held=60)], 1, False, False),  # nobody waits
        (
            [claim(1, held=3, ousted=2), claim(2, rank=1)],
            1,
            False,
            False,
        ),  # told before: he stops the camera first
        ([claim(1, held=3, alive=-1), claim(2)], 2, True, False),  # a dead process has nothing
        ([claim(1, held=3), claim(2, rank=3, alive=-1)], 1, False, False),
    ],
)
def test_whose_turn_it_is(claims, holder, begins, oust):
    course = settle(claims, NOW)
    assert (course.holder and course.holder.use.int, course.begins, course.oust) == (holder, begins, oust)


def test_the_limits_are_exact_and_the_order_is_told():
    held = claim(1, held=IDLE.total_seconds(), alive=ALIVE.total_seconds())
    course = settle([held, claim(2, asked=1), claim(3, rank=1)], NOW)
    assert course.oust and course.next.use.int == 3 and [each.use.int for each in course.waiting] == [3, 2]
    assert settle([claim(1, alive=0)], NOW).dead == (UUID(int=1),)
    assert (
        why_ousted(held, course.next) == "steering_taken_over" and why_ousted(held, None) == "steering_idle"
    )


def test_an_emergency_goes_before_the_owner_and_the_owner_before_others():
    ranks = [rank_of(emergency=emergency, own=own) for emergency in (False, True) for own in (False, True)]
    assert ranks == sorted(set(ranks))


def test_who_goes_after_somebody_keeps_nobody_out():
    claims = [claim(99, held=1), *(claim(number) for number in range(MOST_WAITING))]
    assert not may_wait(claims, 0, NOW) and may_wait(claims[:-1], 0, NOW)
    assert may_wait(claims, rank_of(emergency=False, own=True), NOW), "the owner takes it over all the same"
