"""The sequencer's SQL: pending rows become leaves, heads move."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.trust.ledger.merkle import EMPTY_ROOT
from koinon.trust.ledger.model import Log


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The tree of one log as of the last commit; `edge` are the hashes of `merkle.right_edge(size)`."""

    log: Log
    generation: int
    origin: str
    vkey: str
    size: int
    root: bytes
    edge: tuple[bytes, ...]
    fence: int


class Pending(msgspec.Struct, frozen=True):
    """An entry without a number."""

    entry: UUID
    hash: bytes


class Row(msgspec.Struct, frozen=True):
    """A leaf with the bytes that it must be the hash of; `data` is None where the entry is missing."""

    index: int
    hash: bytes
    entry: UUID
    data: bytes | None


async def find_head(connection: Connection, log: Log) -> Head | None:
    """The head of the log's open generation."""
    row = await connection.fetchrow(
        """
        SELECT generation, origin, vkey, size, root, edge, fence FROM ledger.head
        WHERE log = $1::text::ledger.log AND NOT closed ORDER BY generation DESC LIMIT 1
        """,
        log.value,
    )
    return _head(log, row)


async def lock_head(connection: Connection, log: Log) -> Head | None:
    """As `find_head`; nobody moves it until this transaction ends."""
    row = await connection.fetchrow(
        """
        SELECT generation, origin, vkey, size, root, edge, fence FROM ledger.head
        WHERE log = $1::text::ledger.log AND NOT closed ORDER BY generation DESC LIMIT 1 FOR UPDATE
        """,
        log.value,
    )
    return _head(log, row)


def _head(log: Log, row: Any) -> Head | None:
    return Head(log=log, **{**row, "edge": tuple(row["edge"])}) if row else None


async def close_generation(connection: Connection, head: Head, next_origin: str) -> bool:
    """The generation takes no leaf any more; false when `next_origin` is or was another one's name."""
    if await connection.fetchval("SELECT true FROM ledger.head WHERE origin = $1", next_origin):
        return False
    await connection.execute(
        "UPDATE ledger.head SET closed = true WHERE log = $1::text::ledger.log AND generation = $2",
        head.log.value,
        head.generation,
    )
    return True


async def drop_pending(connection: Connection, entry: UUID) -> None:
    """The entry waits for no number: this transaction gives it one."""
    await connection.execute("DELETE FROM ledger.pending WHERE entry = $1", entry)


async def open_generation(connection: Connection, log: Log, generation: int, origin: str, vkey: str) -> None:
    """The log has an empty tree of that generation, unless it had one before."""
    await connection.execute(
        """
        INSERT INTO ledger.head (log, generation, origin, vkey, root) VALUES ($1::text::ledger.log, $2, $3,
        $4, $5) ON CONFLICT DO NOTHING
        """,
        log.value,
        generation,
        origin,
        vkey,
        EMPTY_ROOT,
    )


async def take_fence(connection: Connection, fence: int) -> None:
    """Whoever works under a lower fence can commit nothing more."""
    await connection.execute("UPDATE ledger.head SET fence = $1 WHERE fence < $1", fence)


async def take_pending(connection: Connection, limit: int) -> dict[Log, list[Pending]]:
    """At most `limit` pending rows, out of the table in this transaction, by log and time."""
    rows = await connection.fetch(
        """
        WITH taken AS (
            DELETE FROM ledger.pending WHERE ctid = ANY(ARRAY(SELECT ctid FROM ledger.pending LIMIT $1))
            RETURNING log::text AS log, entry, hash, at
        ) SELECT log, entry, hash FROM taken ORDER BY at, entry
        """,
        limit,
    )
    taken: dict[Log, list[Pending]] = {}
    for log, entry, hash_ in rows:
        taken.setdefault(Log(log), []).append(Pending(entry, hash_))
    return taken


async def add_leaves(connection: Connection, head: Head, pending: Sequence[Pending]) -> None:
    """The entries are the leaves that follow `head`."""
    await connection.execute(
        """
        INSERT INTO ledger.leaf (log, generation, index, hash, entry)
        SELECT $1::text::ledger.log, $2, $3 + u.ordinal - 1, u.hash, u.entry
        FROM unnest($4::bytea[], $5::uuid[]) WITH ORDINALITY AS u (hash, entry, ordinal)
        """,
        head.log.value,
        head.generation,
        head.size,
        [each.hash for each in pending],
        [each.entry for each in pending],
    )


async def move_head(connection: Connection, old: Head, new: Head) -> bool:
    """The head is `new`; false when it was not `old`, or somebody took a higher fence."""
    done: str = await connection.execute(
        """
        UPDATE ledger.head SET size = $1, root = $2, edge = $3, at = clock_timestamp()
        WHERE log = $4::text::ledger.log AND generation = $5 AND size = $6 AND root = $7 AND fence = $8 AND
        NOT closed
        """,
        new.size,
        new.root,
        list(new.edge),
        old.log.value,
        old.generation,
        old.size,
        old.root,
        old.fence,
    )
    return done == "UPDATE 1"


async def list_leaves(connection: Connection, log: Log, generation: int, start: int, until: int) -> list[Row]:
    """The leaves from `start` up to, not including, `until`, that there are."""
    rows = await connection.fetch(
        """
        SELECT l.index, l.hash, l.entry, e.bytes FROM ledger.leaf l LEFT JOIN ledger.entry e ON e.id = l.entry
        WHERE l.log = $1::text::ledger.log AND l.generation = $2 AND l.index >= $3 AND l.index < $4
        ORDER BY l.index
        """,
        log.value,
        generation,
        start,
        until,
    )
    return [Row(*row) for row in rows]


async def keep_cosigned(
    connection: Connection, head: Head, size: int, root: bytes, note: str, witnesses: int
) -> None:
    """The newest checkpoint of the tree that a quorum has cosigned is this, unless there is a newer one."""
    await connection.execute(
        """
        INSERT INTO ledger.cosigned AS c (log, generation, size, root, note, witnesses)
        VALUES ($1::text::ledger.log, $2, $3, $4, $5, $6)
        ON CONFLICT (log, generation) DO UPDATE
        SET size = excluded.size, root = excluded.root, note = excluded.note, witnesses = excluded.witnesses,
            at = clock_timestamp()
        WHERE c.size <= excluded.size
        """,
        head.log.value,
        head.generation,
        size,
        root,
        note,
        witnesses,
    )


async def vacuum_pending(connection: Connection) -> None:
    """The space of taken rows can be used again. Nothing happens on a server before PostgreSQL 17."""
    await connection.execute("VACUUM (SKIP_LOCKED, INDEX_CLEANUP off) ledger.pending")
