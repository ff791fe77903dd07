"""Signals wake whoever waits, and say so when some may have been lost."""

import asyncio

from koinon.base.database import Database
from koinon.base.signals import Signals, notify


async def settled(signals: Signals, channel: str) -> None:
    """The connection stands, and the wake-up with which a channel begins has been taken: no other follows."""
    async with asyncio.timeout(30):
        while signals._connection is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await signals.wait(channel, 30) == ""


async def test_a_signal_wakes_who_waits_when_its_transaction_commits(database: Database) -> None:
    async with Signals(database) as signals:
        await settled(signals, "epoch")
        waiting = asyncio.create_task(signals.wait("epoch", 5))
        async with database.transaction() as connection:
            await notify(connection, "epoch", "42")
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert await waiting == "42"


async def test_a_signal_that_came_while_nobody_waited_is_kept(database: Database) -> None:
    async with Signals(database) as signals:
        await settled(signals, "c")
        await settled(signals, "later")
        async with database.acquire() as connection:
            await notify(connection, "c", "early")
            await notify(connection, "later")
        assert (
            await signals.wait("later", 30) == ""
        )  # over the same connection, so the other one was before it
        assert await signals.wait("c", 0.01) == "early"
        assert await signals.wait("c", 0.01) is None


async def test_a_signal_wakes_all_who_wait_on_its_channel_and_none_of_another(database: Database) -> None:
    async with Signals(database) as signals:
        await settled(signals, "one")
        await settled(signals, "two")
        first = asyncio.create_task(signals.wait("one", 5))
        second = asyncio.create_task(signals.wait("one", 5))
        other = asyncio.create_task(signals.wait("two", 0.5))
        await asyncio.sleep(0)
        async with database.acquire() as connection:
            await notify(connection, "one")
        assert await first == await second == ""
        assert await other is None


async def test_whoever_waits_is_woken_when_the_connection_was_lost_and_made_anew(database: Database) -> None:
    async with Signals(database) as signals:
        await settled(signals, "c")
        waiting = asyncio.create_task(signals.wait("c", 5))
        async with database.acquire() as connection:
            pid = signals._connection.get_server_pid()
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
        assert await waiting == ""
        async with database.acquire() as connection:
            await notify(connection, "c", "again")
        assert await signals.wait("c", 5) == "again"


async def test_a_connection_that_is_lost_while_a_channel_waits_for_it_is_made_anew_for_that_channel_too(
    database: Database,
) -> None:
    async with Signals(database) as signals:
        await settled(signals, "first")
        async with signals._asking:
            waiting = asyncio.create_task(signals.wait("second", 5))
            await asyncio.sleep(0)
            lost = signals._connection
            async with database.acquire() as connection:
                await connection.execute("SELECT pg_terminate_backend($1)", lost.get_server_pid())
            async with asyncio.timeout(5):
                while signals._connection is lost:  # noqa: ASYNC110 - at every turn, since there is soon a new one
                    await asyncio.sleep(0)
        assert await waiting == ""
        assert await signals.wait("second", 5) == ""  # the new connection listens
        async with database.acquire() as connection:
            await notify(connection, "second", "told")
        assert await signals.wait("second", 5) == "told"


async def test_channels_that_are_waited_on_at_once_are_all_listened_to(database: Database) -> None:
    names = [f"channel_{number}" for number in range(8)]
    async with Signals(database) as signals:
        await settled(signals, "first")
        assert await asyncio.gather(*(signals.wait(name, 30) for name in names)) == [""] * 8
        async with database.transaction() as connection:
            for name in names:
                await notify(connection, name, name)
        assert await asyncio.gather(*(signals.wait(name, 30) for name in names)) == names
