"""Bounded places: whoever holds as many as are left free gets no more, and nobody else is harmed."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import KoinonError, TooMany, Unavailable
from koinon.base.fair import FairShare


def share(most: int) -> FairShare:
    return FairShare("places", most, lambda: Unavailable("all_taken"), retry_after_seconds=3)


def take_all(places: FairShare, whose: str, held: ExitStack) -> KoinonError:
    while True:
        try:
            held.enter_context(places.hold(whose))
        except KoinonError as error:
            return error


def test_one_alone_comes_to_half_and_who_comes_next_finds_room() -> None:
    places = share(12)
    with ExitStack() as held:
        told = take_all(places, "first", held)
        assert (told.status, told.code) == (429, "share_taken")
        assert told.facts == {"of": "places", "held": 6, "most": 12, "retry_after_seconds": 3}
        take_all(places, "second", held)
        assert places.held == {"first": 6, "second": 3}
        with places.hold("third"):
            assert places.taken == 10
    assert places.taken == 0 and not places.held


@given(st.integers(1, 200), st.integers(1, 20))
def test_of_many_who_take_all_they_can_get_each_has_one_and_the_last_are_told_that_all_are_taken(
    most: int, number: int
) -> None:
    places = share(most)
    with ExitStack() as held:
        told = [take_all(places, str(one), held) for one in range(number)]
        assert places.taken == sum(places.held.values()) <= most
        assert len(places.held) == number or isinstance(told[-1], Unavailable)
        # Nobody has more than was free before the last one was taken.
        assert max(places.held.values()) <= (most + 1) // 2
    assert places.taken == 0 and not places.held


def test_what_several_use_counts_for_the_one_who_holds_fewest_and_what_is_nobodys_for_nobody() -> None:
    places = share(5)
    with places.hold("first"), places.hold("first"), places.hold("first", "second"), places.hold():
        assert places.held == {"first": 2, "second": 1} and places.taken == 4
        with pytest.raises(TooMany), places.hold("first"):
            pass
        with places.hold("third"):
            assert places.held["third"] == 1
    assert places.taken == 0 and not places.held


async def test_who_waits_has_a_place_when_one_of_theirs_is_free_again() -> None:
    places = share(2)
    with places.hold("other"):
        await asyncio.wait_for(places.wait("first"), 1)
    with places.hold("first"):
        waiting = asyncio.create_task(places.wait("first"))
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)
