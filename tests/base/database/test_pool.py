"""The pool: roles, values, and what a caller sees when the database is away."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from koinon.base.database import Database
from koinon.base.errors import Unavailable


async def test_a_process_logs_in_as_the_role_of_its_kind(
    open_database: Callable[..., Awaitable[Database]],
) -> None:
    for kind in ("owner", "web", "worker", "sequencer", "reader"):
        database = await open_database(kind)
        async with database.acquire() as connection:
            row = await connection.fetchrow("SELECT session_user, current_user")
        assert tuple(row) == (f"koinon_{kind}", f"koinon_{kind}")


async def test_a_web_process_cannot_become_the_owner(
    open_database: Callable[..., Awaitable[Database]],
) -> None:
    database = await open_database("web")
    async with database.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SET ROLE koinon_owner")


async def test_json_comes_back_as_the_value_that_went_in(database: Database) -> None:
    value = {"a": [1, 2.5, None, True, "é"], "b": {"c": {}}}
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT $1::jsonb", value) == value
        assert await connection.fetchval("SELECT $1::json", value) == value
        assert await connection.fetchval("SELECT array_agg($1::jsonb)", value) == [value]


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE public.line (n integer)")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO public.line VALUES (1)")
            raise ZeroDivisionError
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM public.line") == 0


async def _backend(database: Database) -> int:
    async with database.acquire() as connection:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def test_one_after_the_other_is_served_by_the_same_connection_and_many_at_once_by_as_many(
    open_database: Callable[..., Awaitable[Database]],
) -> None:
    database = await open_database("owner")
    assert len({await _backend(database) for _ in range(5)}) == 1
    meet = asyncio.Barrier(6)

    async def with_others() -> int:
        async with database.acquire() as connection:
            await meet.wait()
            return int(await connection.fetchval("SELECT pg_backend_pid()"))

    assert len(set(await asyncio.gather(*(with_others() for _ in range(6))))) == 6
    assert len(set(await asyncio.gather(*(_backend(database) for _ in range(40))))) <= 10


async def test_who_waits_for_a_connection_is_served_when_one_is_given_back(
    open_database: Callable[..., Awaitable[Database]],
) -> None:
    database = await open_database("owner", max_size=1)
    served = []

    async def ask(number: int) -> None:
        async with database.acquire() as connection:
            await connection.fetchval("SELECT 1")
            served.append(number)

    async with asyncio.timeout(
        4.0
    ):  # less than a user waits for a connection before it is told that there is none
        await asyncio.gather(*(ask(number) for number in range(30)))
    assert sorted(served) == list(range(30))


async def test_a_connection_that_ended_between_two_users_is_nobodys(
    open_database: Callable[..., Awaitable[Database]], database: Database
) -> None:
    other = await open_database("owner")
    ended = await _backend(other)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", ended)
    async with asyncio.timeout(5.0):
        while True:  # its farewell is read when the loop comes to it
            try:
                assert await _backend(other) != ended
                break
            except Unavailable:
                await asyncio.sleep(0.01)


async def test_what_one_user_leaves_behind_the_next_does_not_find(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE public.left_behind (n int)")
        await connection.execute("BEGIN; INSERT INTO public.left_behind VALUES (1)")
    async with database.acquire() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT count(*) FROM public.left_behind") == 0
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO public.left_behind VALUES (2)")
            raise ZeroDivisionError
    waits = asyncio.create_task(_sleep(database))
    await asyncio.sleep(0.05)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM public.left_behind") == 0


async def _sleep(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("SELECT pg_sleep(30)")


async def test_a_database_closes_at_once_when_nobody_uses_it(
    open_database: Callable[..., Awaitable[Database]], database: Database
) -> None:
    other = await open_database("owner")
    backend = await _backend(other)
    async with asyncio.timeout(5.0):
        await other.close()
    async with database.acquire() as connection, asyncio.timeout(5.0):
        known = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
        while await connection.fetchval(known, backend):
            await connection.execute("SELECT pg_sleep(0.01)")


@pytest.mark.parametrize("asks", [True, False])
async def test_who_is_cancelled_when_the_connection_broke_is_cancelled_and_not_told_of_the_database(
    open_database: Callable[..., Awaitable[Database]], database: Database, asks: bool
) -> None:
    """A rollback fails there too, and its error must not take the place of the cancellation: whoever tries again while
    the database is away would never end.
    """
    other = await open_database("owner")
    backends: list[int] = []
    given_up = asyncio.Event()  # or a task that never ends would hang the run instead of failing its test

    async def try_again() -> None:
        while not given_up.is_set():
            try:
                async with other.transaction() as connection:
                    backends.append(await connection.fetchval("SELECT pg_backend_pid()"))
                    if asks:
                        await connection.execute("SELECT pg_sleep(30)")
                    await asyncio.sleep(30)
            except Unavailable:
                await asyncio.sleep(0.01)

    for round_ in range(20):
        task = asyncio.create_task(try_again())
        while len(backends) <= round_:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        async with database.acquire() as connection:
            assert await connection.fetchval("SELECT pg_terminate_backend($1)", backends[-1])
            if not asks:  # the farewell has been read: the one who holds it does not look
                await connection.fetchval("SELECT pg_sleep(0.05)")
        task.cancel()
        await asyncio.wait([task], timeout=5.0)
        if not task.done():
            given_up.set()
        assert task.cancelled()
        del backends[round_ + 1 :]


async def test_a_time_that_ran_out_when_the_connection_broke_is_told_as_such(
    open_database: Callable[..., Awaitable[Database]], database: Database
) -> None:
    other = await open_database("owner")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30) as limit, other.transaction() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
            async with database.acquire() as second:
                assert await second.fetchval("SELECT pg_terminate_backend($1, 5000)", backend)
            limit.reschedule(asyncio.get_running_loop().time() + 0.05)
            await asyncio.sleep(30)
