"""The pool: roles, values, and what a caller sees when the database is away."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from koinon.base.database import Database


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
