"""The algebra of a subscriber's cursor, against a model that keeps every number in a list."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from koinon.base.errors import Conflict, Invalid
from koinon.integrator.mutations import policy
from koinon.integrator.mutations.model import Cursor, Stored

NUMBERS = st.integers(0, 40)


def stored(number: int) -> Stored:
    return Stored(
        number=number, resource="a/b", kind="changed", effective_on=None, subject="x", replaced_by=None
    )


class Consumer(RuleBasedStateMachine):
    """A platform that appends, delivers and throws away; a consumer that crashes, lags, and is told what it lost."""

    def __init__(self) -> None:
        super().__init__()
        self.cursor = Cursor()
        self.kept: list[int] = []  # numbers that are still there
        self.has: set[int] = set()  # that took effect at the consumer, each once
        self.excused: set[int] = set()  # that it fetched anew instead
        self.durable = 0  # up to where the consumer remembers, whatever happens to it
        self.seen = 0  # up to where it received, and would forget in a crash

    @initialize(count=st.integers(0, 3))
    def begin(self, count: int) -> None:
        self.append(count)

    @rule(count=st.integers(1, 5))
    def append(self, count: int) -> None:
        self.kept += range(self.cursor.last + 1, self.cursor.last + 1 + count)
        self.cursor = Cursor(
            last=self.cursor.last + count,
            floor=self.cursor.floor,
            delivered=self.cursor.delivered,
            acknowledged=self.cursor.acknowledged,
        )

    @rule(limit=st.integers(1, 4))
    def read(self, limit: int) -> None:
        """The consumer reads on from where it is; what it is given, takes effect."""
        try:
            policy.check_read(self.cursor, self.durable)
        except Conflict as refused:
            assert refused.code == "resynchronise"
            # Never without cause: something after what it has is gone, or was before it ever acknowledged it.
            assert self.durable < self.cursor.floor or self.cursor.acknowledged < self.cursor.floor
            return
        items = [number for number in self.kept if number > self.durable][:limit]
        count = min(limit, self.cursor.last - self.durable)
        policy.check_whole(self.durable, [stored(number) for number in items], count)
        self.cursor = policy.deliver(self.cursor, self.durable + len(items))
        for number in items:
            assert number not in self.has, "doubled"
            self.has.add(number)
        self.durable += len(items)

    @rule()
    def deliver_in_vain(self) -> None:
        """The answer is lost on the way, or the consumer dies with it in its hands."""
        if self.durable >= self.cursor.floor and not policy.is_behind(self.cursor):
            self.cursor = policy.deliver(self.cursor, min(self.cursor.last, self.durable + 3))

    @rule()
    def acknowledge(self) -> None:
        try:
            self.cursor = policy.acknowledge(self.cursor, self.durable)
        except Conflict as refused:
            assert refused.code == "resynchronise" and policy.is_behind(self.cursor)
        else:
            assert self.cursor.acknowledged == max(self.cursor.acknowledged, self.durable)

    @rule(beyond=st.integers(1, 9))
    def acknowledge_what_never_left(self, beyond: int) -> None:
        with pytest.raises(Invalid) as refused:
            policy.acknowledge(self.cursor, self.cursor.delivered + beyond)
        assert refused.value.code == "acknowledged_ahead"

    @rule(expired=NUMBERS, spent=NUMBERS)
    def trim(self, expired: int, spent: int) -> None:
        before = self.cursor
        self.cursor = policy.trim(before, expired_until=expired, spent_until=spent)
        assert self.cursor.floor >= before.floor
        # What nobody acknowledged goes only when its whole term is over.
        assert self.cursor.floor <= max(before.floor, before.acknowledged, expired)
        self.kept = [number for number in self.kept if number > self.cursor.floor]

    @precondition(lambda self: policy.is_behind(self.cursor) or self.durable < self.cursor.floor)
    @rule()
    def resynchronise(self) -> None:
        until = self.cursor.last
        if self.cursor.floor:
            with pytest.raises(Conflict):
                policy.resynchronised(self.cursor, self.cursor.floor - 1)
        self.cursor = policy.resynchronised(self.cursor, until)
        self.excused |= set(range(self.durable + 1, until + 1))
        self.durable = max(self.durable, until)
        policy.check_read(self.cursor, self.durable)

    @invariant()
    def stands(self) -> None:
        cursor = self.cursor
        assert 0 <= cursor.acknowledged <= cursor.delivered <= cursor.last
        assert 0 <= cursor.floor <= cursor.last
        assert self.kept == list(range(cursor.floor + 1, cursor.last + 1))

    @invariant()
    def nothing_is_lost_in_silence(self) -> None:
        """Every number up to where the consumer is either took effect, or it was told that it lost it."""
        assert self.has | self.excused >= set(range(1, self.durable + 1))


Consumer.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestConsumer: Any = Consumer.TestCase


def test_a_bounded_store_gives_up_the_oldest_first() -> None:
    full = Cursor(last=policy.MOST_WAITING + 7, delivered=3, acknowledged=3)
    assert policy.trim(full, expired_until=0, spent_until=0).floor == 7
    assert (
        policy.state_of(policy.trim(full, expired_until=0, spent_until=0), ended=False, stopped_code=None)
        == "behind"
    )


def test_a_hole_is_never_told() -> None:
    with pytest.raises(Conflict) as broken:
        policy.check_whole(2, [stored(3), stored(5)], 2)
    assert (broken.value.code, broken.value.facts["expected"]) == ("sequence_broken", 4)
    with pytest.raises(Conflict):
        policy.check_whole(2, [stored(3)], 2)


def test_gaps_are_named_in_order_and_no_more_than_a_hundred() -> None:
    assert policy.find_missing(5, [7, 8, 11]) == [(5, 6), (9, 10)]
    assert policy.find_missing(5, [5, 6]) == []
    assert len(policy.find_missing(1, range(2, 1000, 2))) == 100  # type: ignore[arg-type]


def test_the_pause_after_failures_grows_to_an_hour_and_stays_there() -> None:
    for failures, seconds in ((1, 1), (2, 2), (6, 32), (12, 2048), (13, 3600), (500, 3600)):
        assert 0.75 * seconds <= policy.backoff(failures).total_seconds() <= 1.25 * seconds
