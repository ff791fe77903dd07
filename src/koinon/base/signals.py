"""Signals: wake-ups between processes. Lossy by contract; whoever waits for one also looks by itself now and
then.

A notification sent while the listening connection is broken is lost without a sign, and sending one takes a
lock that all notifying transactions share at commit: use them to wake, never to inform, never per exchange.
"""

import asyncio
import contextlib
from typing import Self

import asyncpg
import structlog

from koinon.base.database import BROKEN, Connection, Database
from koinon.base.errors import Unavailable

_log = structlog.get_logger(__name__)

_PROBE_SECONDS = 10.0  # a half-open connection is found out after this, at most
_LONGEST_PAUSE_SECONDS = 5.0


async def notify(connection: Connection, channel: str, payload: str = "") -> None:
    """Processes that wait on `channel` wake when the transaction commits, unless the signal is lost."""
    await connection.execute("SELECT pg_catalog.pg_notify($1, $2)", channel, payload)


class Signals:
    """The signals that reach this process, over one connection that is made anew when it breaks.

    `async with Signals(database) as signals: await signals.wait("channel", timeout=1.0)`
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._channels: dict[str, _Channel] = {}
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._asking = asyncio.Lock()  # a connection takes one question at a time, and refuses the second
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_listening())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def wait(self, channel: str, timeout: float) -> str | None:  # noqa: ASYNC109 - the answer is None, no error
        """The payload of a signal that came since the last call returned, at most `timeout` seconds later.

        None when none came. Also returns, with an empty payload, when signals may have been lost before: on the
        first call on a channel, which begins to listen to it, and when the connection was made anew.
        """
        state = self._channels.get(channel)
        if state is None:
            state = self._channels[channel] = _Channel()
            await self._listen(channel)
            return ""
        return await state.wait(timeout)

    async def _listen(self, channel: str) -> None:
        async with self._asking:
            connection = self._connection  # as it is now: it may have been lost while another asked
            if connection is None or connection.is_closed():
                return
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await connection.add_listener(channel, self._received)
            except BROKEN:
                connection.terminate()  # it is noticed where it is kept, and all is listened to again

    def _received(self, connection: object, pid: int, channel: str, payload: object) -> None:
        if channel in self._channels:
            self._channels[channel].signal(str(payload))

    async def _keep_listening(self) -> None:
        pause = 0.05
        while True:
            try:
                connection = await self._database.connect()
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                continue
            pause = 0.05
            broken = asyncio.Event()
            connection.add_termination_listener(lambda _, broken=broken: broken.set())
            self._connection = connection
            try:
                async with self._asking, asyncio.timeout(_PROBE_SECONDS):
                    for channel in list(self._channels):
                        await connection.add_listener(channel, self._received)
                for state in self._channels.values():
                    state.signal("")
                while not broken.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_PROBE_SECONDS):  # `wait_for` may swallow a cancellation
                            await broken.wait()
                        break
                    async with self._asking:
                        await connection.fetchval("SELECT 1", timeout=_PROBE_SECONDS / 2)
            except BROKEN as error:
                _log.warning("signals_connection_broken", why=type(error).__name__)
            finally:
                self._connection = None
                connection.terminate()


class _Channel:
    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[str]] = set()
        self._kept: str | None = None  # a signal that came while nobody waited

    def signal(self, payload: str) -> None:
        if not self._waiting:
            self._kept = payload
        for future in self._waiting:
            if not future.done():
                future.set_result(payload)

    async def wait(self, seconds: float) -> str | None:
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting.discard(future)
