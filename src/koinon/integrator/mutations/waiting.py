"""Long polls of one process: whoever waits for a number of a subscription shares one question to the database."""

import asyncio
import contextlib
from uuid import UUID

import structlog

from koinon.base.database import BROKEN, Database
from koinon.integrator.mutations import store

_log = structlog.get_logger()
POLL_SECONDS = 0.1


class Waiting:
    """Those who wait; one statement every tenth of a second while there are any, however many they are."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[UUID, list[tuple[int, asyncio.Event]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def until_beyond(self, subscription: UUID, after: int, deadline: float) -> None:
        """The subscription has a number beyond `after`, or the loop's time is `deadline`."""
        if asyncio.get_running_loop().time() >= deadline:
            return
        there = asyncio.Event()
        mine = (after, there)
        self._waiting.setdefault(subscription, []).append(mine)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="mutations-waiting")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await there.wait()
        finally:
            others = self._waiting[subscription]
            others.remove(mine)
            if not others:
                del self._waiting[subscription]

    async def _look(self) -> None:
        while self._waiting:
            try:
                async with self._database.acquire() as connection:
                    ends = await store.list_ends(connection, list(self._waiting))
            except BROKEN as error:
                _log.warning("mutations_not_looked_for", why=str(error))
                ends = {}
            for subscription, last in ends.items():
                for after, there in self._waiting.get(subscription, ()):
                    if last > after:
                        there.set()
            await asyncio.sleep(POLL_SECONDS)
