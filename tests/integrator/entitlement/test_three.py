"""Three values: unknown is never taken for true or false."""

from hypothesis import given
from hypothesis import strategies as st

from koinon.integrator.entitlement.three import Between, all_of, any_of, not_

TRI = st.sampled_from([True, False, None])


def worlds(values: list[bool | None]) -> list[list[bool]]:
    """All ways in which what is unknown may turn out."""
    done: list[list[bool]] = [[]]
    for value in values:
        done = [
            [*world, choice] for world in done for choice in ([True, False] if value is None else [value])
        ]
    return done


@given(st.lists(TRI, max_size=6))
def test_what_is_said_holds_in_every_world(values: list[bool | None]) -> None:
    for combine, plain in ((all_of, all), (any_of, any)):
        outcomes = {plain(world) for world in worlds(values)}
        assert combine(values) == (outcomes.pop() if len(outcomes) == 1 else None)


@given(TRI)
def test_the_opposite_of_the_opposite_is_itself(value: bool | None) -> None:
    assert not_(not_(value)) is value


@given(*[st.integers(0, 100)] * 4, st.integers(0, 100), st.integers(0, 100))
def test_a_bound_decides_only_what_no_value_within_it_contradicts(
    low: int, more: int, limit: int, wide: int, inside: int, within: int
) -> None:
    amount, ceiling = Between(low, low + more), Between(limit, limit + wide)
    said = amount.at_most(ceiling)
    actual = min(low + inside, low + more) <= min(limit + within, limit + wide)
    assert said is None or said == actual


def test_without_an_upper_bound_only_no_can_be_said() -> None:
    assert Between(5, None).at_most(Between(10, 10)) is None
    assert Between(11, None).at_most(Between(10, 10)) is False
    assert Between(11, 11).at_most(Between(10, None)) is None
    assert Between(9, 9).at_most(Between(10, None)) is True
    assert Between(1, 2).plus(Between(3, None)) == Between(4, None)
