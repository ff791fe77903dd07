"""kill -9 of the process that pushes, again and again: nothing is lost, and each number takes effect once."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integrator.mutations.conftest import Bureau, changed, numbers
from tests.integrator.mutations.test_pushing import Subscriber, subscriber

from koinon.demo.region import load_key

KILLS = 4
__all__ = ["subscriber"]


async def start(bureau: Bureau) -> subprocess.Popen[bytes]:
    child = await asyncio.to_thread(
        subprocess.Popen,
        [
            sys.executable,
            str(Path(__file__).with_name("worker.py")),
            str(bureau.world.home),
            bureau.world.url,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline) == b"running\n"
    return child


@pytest.mark.slow
async def test_after_kill_9_of_the_deliverer_nothing_is_lost_and_nothing_takes_effect_twice(
    bureau: Bureau, subscriber: Callable[..., object]
) -> None:
    people = numbers(50)
    await bureau.know(people)
    bureau.key = load_key(bureau.world.home, "test-platform")
    server: Subscriber = await subscriber()  # type: ignore[misc]
    server.most = 7  # so that a kill always finds something under way
    heard = await bureau.subscribe(push_address=server.address)
    sent = 0

    async def publish(count: int) -> None:
        nonlocal sent
        await bureau.publish(*(changed(sent + n + 1, random.choice(people)) for n in range(count)))
        sent += count

    for n in range(KILLS):
        await publish(200)
        child = await start(bureau)
        try:
            before = len(server.effects)
            deadline = time.monotonic() + 30
            while len(server.effects) < before + 20:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01 * n)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
    child = await start(bureau)
    try:
        deadline = time.monotonic() + 60
        while len(server.effects) < sent or (await bureau.look(heard)).waiting:
            assert time.monotonic() < deadline, (len(server.effects), sent)
            await asyncio.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert sorted(server.effects) == list(range(1, sent + 1))
    # What came twice came under the same number and about the same person (the subscriber looks): it is recognised.
    async with bureau.world.database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT number FROM mutations.item WHERE subscription = $1 ORDER BY number", heard.id
        )
    assert [row[0] for row in rows] == list(range(1, sent + 1))
    assert set(server.effects.values()) <= set(people)
