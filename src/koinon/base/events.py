"""Durable events: what happened on one floor, told to those above it, at least once and in order.

An event is a row of the transaction in which it happened, so it exists exactly if that committed. Each
listener has a cursor of its own. The order is that of the transactions' numbers: of two transactions that
wrote one after the other, the later one's events come later; of two that overlapped, either may come first,
each whole. An event waits until every transaction that began to write before its own has ended: keep
transactions short.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
import structlog

from koinon.base.database import BROKEN, Connection, Database, is_gone
from koinon.base.errors import KoinonError
from koinon.base.signals import Signals

_log = structlog.get_logger(__name__)

CHANNEL = "koinon_event"
_BATCH = 100
_LONGEST_PAUSE_SECONDS = 60.0
_SETTLING_SECONDS = (
    0.02  # the first pause for a transaction that began before an event's own and is still open
)


class Event(msgspec.Struct, frozen=True):
    """Something that happened. `payload` is JSON; `(transaction, id)` tells events apart for good."""

    transaction: int
    id: int
    topic: str
    payload: Any
    published_at: datetime


async def publish(connection: Connection, topic: str, payload: Any) -> None:
    """The event is part of the caller's transaction; `topic` in the past tense, as `party_suspended`."""
    await connection.execute(
        """
        WITH event AS (INSERT INTO base.event (topic, payload) VALUES ($1, $2))
        SELECT pg_catalog.pg_notify($3, $1)
        """,
        topic, payload, CHANNEL,
    )  # fmt: skip


class Delivered(msgspec.Struct, frozen=True):
    """How many events a turn delivered; whether it stopped at one that failed, or at one that must still wait."""

    count: int
    failed: bool = False
    unsettled: bool = False


class Listener:
    """Calls `handle(connection, event)` for each event of a topic, in order.

    What the handler writes through `connection` commits together with the cursor, so for the database each
    event counts once; what it does elsewhere happens at least once. An event whose handling fails is tried
    again, after pauses that grow to a minute, before any later one; `base.listener` shows its failures and
    last error. Several processes may run the same listener: one of them delivers at a time. A new listener
    begins with the oldest event that is kept.
    """

    def __init__(
        self,
        topic: str,
        name: str,
        handle: Callable[[Connection, Event], Awaitable[None]],
    ) -> None:
        self.topic, self.name, self._handle = topic, name, handle

    async def run(
        self, database: Database, signals: Signals | None = None, *, poll_seconds: float = 1.0
    ) -> None:
        """Runs until cancelled; a cancelled delivery is undone and happens again later."""
        pause = poll_seconds
        settling = _SETTLING_SECONDS
        prepared = False
        while True:
            try:
                if not prepared:
                    await self._prepare(database)
                    prepared = True
                done = await self.deliver(database)
            except BROKEN as error:
                _log.warning("listener_unavailable", listener=self.name, why=str(error))
                done = Delivered(0, failed=True)
            if done.failed:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                continue
            pause = poll_seconds
            if done.count:
                settling = _SETTLING_SECONDS
            elif done.unsettled:  # no signal tells that the older transaction has ended
                await asyncio.sleep(settling)
                settling = min(settling * 2, poll_seconds)
            elif signals is None:
                await asyncio.sleep(poll_seconds)
            else:
                await signals.wait(CHANNEL, poll_seconds)

    async def deliver(self, database: Database) -> Delivered:
        """Events that could be delivered now have been, a hundred at most."""
        async with database.transaction() as connection:
            cursor = await connection.fetchrow(
                """
                SELECT transaction, id FROM base.listener WHERE topic = $1 AND name = $2
                FOR UPDATE SKIP LOCKED
                """,
                self.topic, self.name,
            )  # fmt: skip
            if cursor is None:
                return Delivered(0)
            rows = await connection.fetch(
                """
                SELECT transaction, id, topic, payload, published_at,
                       transaction < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) AS settled
                FROM base.event
                WHERE topic = $1 AND (transaction, id) > ($2, $3)
                ORDER BY transaction, id LIMIT $4
                """,
                self.topic, cursor["transaction"], cursor["id"], _BATCH,
            )  # fmt: skip
            delivered, unsettled = 0, False
            failure: str | None = None
            for row in rows:
                if not row["settled"]:
                    unsettled = True
                    break
                event = msgspec.convert(dict(row), Event, builtin_types=(datetime,))
                try:
                    async with connection.transaction():
                        await self._handle(connection, event)
                except Exception as error:
                    if is_gone(connection):
                        raise
                    _log.exception("event_failed", listener=self.name, topic=self.topic, number=event.id)
                    failure = _told(error)
                    break
                delivered += 1
            if delivered or failure:
                last = rows[delivered - 1] if delivered else cursor
                await connection.execute(
                    """
                    UPDATE base.listener
                    SET transaction = $3, id = $4, last_error = $5, moved_at = clock_timestamp(),
                        failures = CASE WHEN $5::text IS NULL THEN 0 WHEN $6 THEN 1 ELSE failures + 1 END
                    WHERE topic = $1 AND name = $2
                    """,
                    self.topic, self.name, last["transaction"], last["id"], failure, delivered > 0,
                )  # fmt: skip
            return Delivered(delivered, failed=failure is not None, unsettled=unsettled)

    async def _prepare(self, database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(
                "INSERT INTO base.listener (topic, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                self.topic, self.name,
            )  # fmt: skip
        async with database.transaction() as connection:
            if await connection.fetchval("SELECT base.renumber_events()"):
                _log.warning("events_renumbered", why="the database was restored from another server")


async def forget_delivered(connection: Connection, before: datetime) -> int:
    """Events published before `before` that every listener of their topic has had are gone; returns how many.

    Events of a topic that nobody listens to are kept: its listener may be about to start.
    """
    return int(
        await connection.fetchval(
            """
            WITH cursor AS (
                SELECT DISTINCT ON (topic) topic, transaction, id FROM base.listener
                ORDER BY topic, transaction, id
            ), gone AS (
                DELETE FROM base.event AS event USING cursor
                WHERE event.topic = cursor.topic AND event.published_at < $1
                  AND (event.transaction, event.id) <= (cursor.transaction, cursor.id)
                RETURNING true
            )
            SELECT count(*) FROM gone
            """,
            before,
        )
    )


def _told(error: Exception) -> str:
    """What may be kept in a table: an unknown error's message may hold personal data, its kind does not."""
    return str(error) if isinstance(error, KoinonError) else type(error).__name__
