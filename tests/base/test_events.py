"""Durable events: at least once, in order, none lost."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from koinon.base.database import Connection, Database
from koinon.base.events import Event, Listener, forget_delivered, publish
from koinon.base.signals import Signals


class Heard:
    """A handler that remembers, and fails where told to."""

    def __init__(self) -> None:
        self.payloads: list[Any] = []
        self.fail: list[Any] = []

    async def __call__(self, connection: Connection, event: Event) -> None:
        if event.payload in self.fail:
            raise ValueError("a message that may hold personal data")
        self.payloads.append(event.payload)


@contextlib.asynccontextmanager
async def listening(database: Database, listener: Listener, signals: Signals | None = None):
    task = asyncio.create_task(listener.run(database, signals, poll_seconds=0.05))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(true: Any) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def caught_up(database: Database, name: str) -> None:
    """The cursor stands at the newest event: what was heard is also committed."""
    async with asyncio.timeout(10), database.acquire() as connection:
        while await connection.fetchval(  # noqa: ASYNC110
            """
            SELECT EXISTS (SELECT FROM base.event JOIN base.listener USING (topic)
                           WHERE name = $1 AND (event.transaction, event.id) > (listener.transaction, listener.id))
            """,
            name,
        ):
            await asyncio.sleep(0.02)


async def say(database: Database, *payloads: Any, topic: str = "t") -> None:
    for payload in payloads:
        async with database.transaction() as connection:
            await publish(connection, topic, payload)


async def test_events_arrive_in_order_also_those_from_before_the_listener(database: Database) -> None:
    heard = Heard()
    await say(database, 1, 2, {"three": [3]})
    async with listening(database, Listener("t", "l", heard)):
        await say(database, 4, 5)
        await say(database, "other", topic="u")
        await until(lambda: len(heard.payloads) == 5)
    assert heard.payloads == [1, 2, {"three": [3]}, 4, 5]


async def test_an_event_of_a_transaction_that_rolled_back_never_happened(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await publish(connection, "t", "undone")
            raise ZeroDivisionError
    heard = Heard()
    await say(database, "done")
    async with listening(database, Listener("t", "l", heard)):
        await until(lambda: heard.payloads)
    assert heard.payloads == ["done"]


async def test_an_event_committed_late_with_an_earlier_number_is_not_passed_over(database: Database) -> None:
    heard = Heard()
    async with (
        listening(database, Listener("t", "l", heard)),
        database.acquire() as slow,
        database.acquire() as quick,
    ):
        await say(database, "before")
        await until(lambda: heard.payloads == ["before"])
        transaction = slow.transaction()
        await transaction.start()
        await publish(slow, "t", "slow")
        await publish(quick, "t", "quick")  # committed at once, with a higher number
        numbers = await quick.fetch("SELECT id FROM base.event WHERE payload = '\"quick\"'")
        assert len(numbers) == 1
        await asyncio.sleep(0.3)
        assert heard.payloads == ["before"]  # held back until the order is known
        await transaction.commit()
        await until(lambda: len(heard.payloads) == 3)
    assert heard.payloads == ["before", "slow", "quick"]


async def test_an_event_published_by_a_transaction_that_began_to_write_first_is_not_passed_over(
    database: Database,
) -> None:
    # The lower transaction number takes the higher event number: neither number alone gives the order.
    heard = Heard()
    async with database.acquire() as first, database.acquire() as second:
        one, two = first.transaction(), second.transaction()
        await one.start()
        await first.fetchval("SELECT pg_current_xact_id()")
        await two.start()
        await publish(second, "t", "second")
        await publish(first, "t", "first")
        await one.commit()
        async with listening(database, Listener("t", "l", heard)):
            await until(lambda: heard.payloads == ["first"])
            await two.commit()
            await until(lambda: len(heard.payloads) == 2)
    assert heard.payloads == ["first", "second"]


async def test_a_failing_event_holds_back_the_later_ones_and_is_seen(database: Database) -> None:
    heard = Heard()
    heard.fail = [2]
    await say(database, 1, 2, 3)
    async with listening(database, Listener("t", "l", heard)), database.acquire() as connection:
        row = None
        while row is None or row["failures"] < 2:
            await asyncio.sleep(0.05)
            row = await connection.fetchrow("SELECT failures, last_error FROM base.listener")
        assert row["last_error"] == "ValueError"
        assert heard.payloads == [1]
        heard.fail = []
        await until(lambda: len(heard.payloads) == 3)
        await caught_up(database, "l")
        assert await connection.fetchval("SELECT failures FROM base.listener") == 0
    assert heard.payloads == [1, 2, 3]


async def test_what_a_handler_writes_counts_once_even_when_it_failed_halfway(database: Database) -> None:
    tries = 0

    async def handle(connection: Connection, event: Event) -> None:
        nonlocal tries
        tries += 1
        await connection.execute("INSERT INTO public.line VALUES ($1)", event.payload)
        if tries == 1:
            raise ValueError

    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE public.line (n integer)")
        await say(database, 1, 2)
        async with listening(database, Listener("t", "l", handle)):
            async with asyncio.timeout(10):
                while await connection.fetchval("SELECT count(*) FROM public.line") < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        assert tries == 3
        assert [row["n"] for row in await connection.fetch("SELECT n FROM public.line")] == [1, 2]


async def test_two_processes_with_the_same_listener_share_and_two_names_each_get_all(
    database: Database,
) -> None:
    shared, own = Heard(), Heard()
    async with (
        listening(database, Listener("t", "shared", shared)),
        listening(database, Listener("t", "shared", shared)),
        listening(database, Listener("t", "own", own)),
    ):
        await say(database, *range(30))
        await until(lambda: len(shared.payloads) >= 30 and len(own.payloads) >= 30)
        await asyncio.sleep(0.2)
    assert shared.payloads == own.payloads == list(range(30))


async def test_a_signal_wakes_the_listener_before_its_poll(database: Database) -> None:
    heard = Heard()
    async with Signals(database) as signals:
        task = asyncio.create_task(Listener("t", "l", heard).run(database, signals, poll_seconds=30))
        await asyncio.sleep(0.5)
        await say(database, "now")
        async with asyncio.timeout(2):
            while not heard.payloads:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])


async def test_an_event_that_waited_for_an_older_transaction_comes_when_that_ends(database: Database) -> None:
    heard = Heard()
    async with Signals(database) as signals:
        task = asyncio.create_task(Listener("t", "l", heard).run(database, signals, poll_seconds=30))
        async with database.transaction() as older:
            await older.execute("SELECT pg_catalog.pg_current_xact_id()")
            await say(database, "held")
            await asyncio.sleep(0.3)
            assert not heard.payloads
        await until(lambda: heard.payloads == ["held"])  # long before the poll
        task.cancel()
        await asyncio.wait([task])


async def test_a_listener_goes_on_after_its_connection_was_killed(database: Database) -> None:
    heard = Heard()
    async with listening(database, Listener("t", "l", heard)):
        await say(database, 1)
        await until(lambda: heard.payloads == [1])
        await caught_up(database, "l")  # else it would be told again, and rightly
        connection = await database.connect()
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await publish(connection, "t", 2)
        await connection.close()
        await until(lambda: heard.payloads == [1, 2])


async def test_after_a_restore_into_a_younger_server_nothing_is_lost(database: Database) -> None:
    heard = Heard()
    listener = Listener("t", "l", heard)
    async with listening(database, listener):
        await say(database, 1, 2)
        await until(lambda: len(heard.payloads) == 2)
        await caught_up(database, "l")
    await say(database, 3)
    async with database.acquire() as connection:
        # What a restore brings: rows with transaction numbers that this server has not reached.
        await connection.execute(
            "UPDATE base.event SET transaction = (transaction::text::bigint + 1000000)::text::xid8"
        )
        await connection.execute(
            "UPDATE base.listener SET transaction = (transaction::text::bigint + 1000000)::text::xid8"
        )
    await say(database, 4)
    async with listening(database, listener):
        await until(lambda: len(heard.payloads) == 4)
        await say(database, 5)
        await until(lambda: len(heard.payloads) == 5)
    assert heard.payloads == [1, 2, 3, 4, 5]


async def test_only_events_that_all_listeners_had_are_forgotten(database: Database) -> None:
    heard = Heard()
    await say(database, 1, 2)
    await say(database, "unheard", topic="u")
    async with listening(database, Listener("t", "quick", heard)):
        await until(lambda: len(heard.payloads) == 2)
        await caught_up(database, "quick")
    async with database.acquire() as connection:
        later = datetime.now(UTC) + timedelta(minutes=1)
        await connection.execute("INSERT INTO base.listener (topic, name) VALUES ('t', 'slow')")
        assert await forget_delivered(connection, later) == 0
        await connection.execute("DELETE FROM base.listener WHERE name = 'slow'")
        assert await forget_delivered(connection, datetime(2020, 1, 1, tzinfo=UTC)) == 0
        assert await forget_delivered(connection, later) == 2
        assert await connection.fetchval("SELECT count(*) FROM base.event") == 1


async def test_a_web_process_may_publish_but_not_rewrite(open_database: Any) -> None:
    database = await open_database("web")
    await say(database, 1)
    async with database.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE base.event SET payload = '2'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM base.event")
