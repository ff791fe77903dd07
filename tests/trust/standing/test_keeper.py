"""The standing is there again after a change, also where loading it takes longer than a confirmation lasts."""

import asyncio
from types import SimpleNamespace
from typing import Any

from structlog.testing import capture_logs

from koinon.base.clock import SystemClock
from koinon.base.database import Connection
from koinon.trust.standing import StandingKeeper, get_epoch


async def test_a_load_that_is_slower_than_the_limit_ends_while_others_wait_for_it(open_database: Any) -> None:
    database = await open_database("web")
    slow, loads = asyncio.Event(), 0

    async def loads_slowly(connection: Connection) -> Any:
        nonlocal loads
        loads += 1
        if slow.is_set():
            await asyncio.sleep(0.6)
        return SimpleNamespace(epoch=await get_epoch(connection))

    keeper = StandingKeeper(
        database, loads_slowly, clock=SystemClock(), poll_seconds=0.1, limit_seconds=0.4, patience_seconds=5
    )
    await keeper.start()
    try:
        before = (await keeper.settle()).epoch
        slow.set()
        async with (await open_database("owner")).acquire() as connection:
            await connection.execute("UPDATE standing.epoch SET epoch = epoch + 1")
        # As after a recording that was refused as stale: who asked first holds the load.
        found = await asyncio.gather(*(keeper.refresh(beyond=before) for _ in range(20)))
        assert {each.epoch for each in found} == {before + 1} and loads == 2
        async with database.acquire() as connection:
            assert await get_epoch(connection) == before + 1
    finally:
        await keeper.stop()


async def test_a_slow_start_is_no_error_and_a_standing_that_was_lost_is(open_database: Any) -> None:
    told = asyncio.Event()

    async def loads_when_told(connection: Connection) -> Any:
        await told.wait()
        told.clear()
        return SimpleNamespace(epoch=await get_epoch(connection))

    keeper = StandingKeeper(
        await open_database("web"), loads_when_told, clock=SystemClock(), limit_seconds=0.4
    )
    keeper.listen(told.set)
    try:
        with capture_logs() as logs:
            await keeper.start()  # its load goes on only when the limit has passed
            await keeper.settle()
        assert [each["log_level"] for each in logs if each["event"] == "standing_loading"] == ["info"]
        assert "standing_unconfirmed" not in {each["event"] for each in logs}
        with capture_logs() as logs:
            await asyncio.sleep(0)
            told.clear()
            for task in keeper._tasks:
                task.cancel()
            await told.wait()
        assert [each["log_level"] for each in logs if each["event"] == "standing_unconfirmed"] == ["error"]
    finally:
        await keeper.stop()
