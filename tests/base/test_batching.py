"""Group commit inside a process: what waits goes together, and one item's fault is its own."""

import asyncio
from collections.abc import Sequence

import pytest

from koinon.base.batching import Batcher


async def test_what_arrives_while_a_batch_is_on_its_way_goes_together_in_the_next() -> None:
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def run(items: Sequence[int]) -> list[int | Exception]:
        batches.append(list(items))
        await gate.wait()
        return [item * 2 for item in items]

    batcher: Batcher[int, int] = Batcher(run, limit=3)
    first = asyncio.create_task(batcher(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(batcher(n)) for n in range(2, 7)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8, 10, 12]
    assert batches == [[1], [2, 3, 4], [5, 6]]


async def test_an_items_own_fault_is_raised_to_its_caller_and_to_nobody_else() -> None:
    async def run(items: Sequence[int]) -> list[int | Exception]:
        return [ValueError(item) if item == 2 else item for item in items]

    batcher: Batcher[int, int] = Batcher(run)
    done = await asyncio.gather(*(batcher(n) for n in (1, 2, 3)), return_exceptions=True)
    assert done[0] == 1
    assert done[2] == 3
    assert isinstance(done[1], ValueError)


async def test_a_batch_that_fails_fails_for_all_of_it_and_the_next_goes_on() -> None:
    calls = 0

    async def run(items: Sequence[int]) -> list[int | Exception]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("away")
        return list(items)

    batcher: Batcher[int, int] = Batcher(run)
    with pytest.raises(OSError, match="away"):
        await batcher(1)
    assert await batcher(2) == 2


async def test_a_caller_that_goes_away_does_not_disturb_the_others() -> None:
    gate = asyncio.Event()

    async def run(items: Sequence[int]) -> list[int | Exception]:
        await gate.wait()
        return list(items)

    batcher: Batcher[int, int] = Batcher(run)
    gone, stays = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    gate.set()
    assert await stays == 2
