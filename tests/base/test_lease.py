"""Leases: one holder, a fence that rises, a holder that stops in time."""

import asyncio
import time

import asyncpg
import pytest

from koinon.base.database import Database
from koinon.base.errors import Unavailable
from koinon.base.lease import hold


async def holds(database: Database, name: str, fence: int) -> bool:
    async with database.acquire() as connection:
        return bool(await connection.fetchval("SELECT base.holds($1, $2)", name, fence))


async def test_the_fence_rises_with_every_holder(database: Database) -> None:
    fences = []
    for holder in ("a", "b", "a"):
        async with hold(database, "sequencer", holder) as lease:
            assert lease.held
            assert await holds(database, "sequencer", lease.fence)
            fences.append(lease.fence)
        assert not lease.held
        assert not await holds(database, "sequencer", lease.fence)
    assert fences == sorted(set(fences))


async def test_a_second_holder_waits_until_the_first_has_released(database: Database) -> None:
    order = []
    seconds = 3  # of which a machine that stands still for one takes nothing away

    async def second() -> None:
        async with hold(database, "one", "second", seconds=seconds):
            order.append("second")

    async with hold(database, "one", "first", seconds=seconds):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(1.5 * seconds)  # longer than the lease lasts: it is renewed
        order.append("first")
    await asyncio.wait_for(waiting, 2)
    assert order == ["first", "second"]


async def test_names_do_not_disturb_one_another(database: Database) -> None:
    async with hold(database, "a", "x"), hold(database, "b", "x") as other:
        assert other.held


async def test_a_holder_whose_renewals_fail_stops_before_the_lease_can_be_given_away(
    database: Database,
) -> None:
    with pytest.raises(Unavailable) as caught:
        async with hold(database, "cut", "x", seconds=1.6) as lease, database.transaction() as connection:
            # Someone sits on the row, so that no renewal gets through.
            asked = time.monotonic()
            left = await connection.fetchval(
                """
                SELECT extract(epoch FROM expires_at - clock_timestamp())::float
                FROM base.lease WHERE name = 'cut' FOR UPDATE
                """
            )
            try:
                await asyncio.sleep(30)
            finally:
                stopped = time.monotonic()
    assert caught.value.code == "lease_lost"
    assert stopped < asked + left, "stopped before the database may give it to another"
    assert lease.lost.is_set()
    assert not lease.held


async def test_a_frozen_holder_knows_at_once_that_it_is_late(database: Database) -> None:
    with pytest.raises(Unavailable) as caught:
        async with hold(database, "frozen", "x", seconds=0.8) as lease:
            time.sleep(1)  # noqa: ASYNC251 - freezes the whole process, as SIGSTOP does
            assert not lease.held
            await asyncio.sleep(5)
    assert caught.value.code == "lease_lost"


async def test_a_dead_holder_is_succeeded_in_time_and_its_late_write_is_refused(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE public.line (n integer)")
        # What a holder that was killed leaves behind.
        fence = await connection.fetchval(
            """
            INSERT INTO base.lease VALUES ('tree', 7, 'dead', clock_timestamp() + interval '1 s')
            RETURNING fence
            """
        )
        begun = time.monotonic()
        async with hold(database, "tree", "heir", seconds=3) as lease:
            assert time.monotonic() - begun < 10
            assert lease.fence == 8
            write = "INSERT INTO public.line SELECT 1 WHERE base.holds('tree', $1)"
            assert await connection.execute(write, fence) == "INSERT 0 0"
            assert await connection.execute(write, lease.fence) == "INSERT 0 1"


async def test_nobody_takes_over_while_a_writer_is_under_way_but_renewals_pass(database: Database) -> None:
    async with database.acquire() as writer, database.acquire() as other:
        await other.execute("INSERT INTO base.lease VALUES ('w', 1, 'x', clock_timestamp() + interval '1 s')")
        transaction = writer.transaction()
        await transaction.start()
        assert await writer.fetchval("SELECT base.holds('w', 1)")
        await other.execute("SET lock_timeout = '200ms'")
        # A renewal is not held up by the writer ...
        await other.execute("UPDATE base.lease SET expires_at = clock_timestamp() WHERE name = 'w'")
        # ... a take-over is.
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.execute("UPDATE base.lease SET fence = fence + 1 WHERE name = 'w'")
        await transaction.rollback()
        await other.execute("UPDATE base.lease SET fence = fence + 1 WHERE name = 'w'")
        await other.execute("RESET lock_timeout")


async def test_an_error_of_the_block_passes_and_releases(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with hold(database, "e", "x", seconds=5):
            raise ZeroDivisionError
    async with asyncio.timeout(1), hold(database, "e", "y", seconds=5):
        pass


async def test_a_time_out_of_the_block_is_not_taken_for_a_lost_lease(database: Database) -> None:
    with pytest.raises(TimeoutError):
        async with hold(database, "t", "x", seconds=5), asyncio.timeout(0.01):
            await asyncio.sleep(1)
