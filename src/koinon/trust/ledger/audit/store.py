"""The auditor's SQL: everything is read, nothing is written."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.trust.ledger.model import Log


class AuditedHead(msgspec.Struct, frozen=True, kw_only=True):
    """A generation of a log, open or closed."""

    generation: int
    origin: str
    vkey: str
    size: int
    root: bytes
    closed: bool


class AuditedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A leaf with its entry; the entry's columns are None where the entry is missing."""

    index: int
    hash: bytes
    entry: UUID
    log: str | None
    data: bytes | None
    kind: str | None
    at: datetime | None
    party: str | None
    keeper: str | None
    authorisation: str | None
    sealed: bytes | None


class AuditedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot with the erasure that blanked it."""

    entry: UUID
    ordinal: int
    token: bytes | None
    commitment: bytes | None
    key: bytes | None
    erasure: UUID | None


async def list_heads(connection: Connection, log: Log) -> list[AuditedHead]:
    """Every generation of the log, oldest first."""
    rows = await connection.fetch(
        """
        SELECT generation, origin, vkey, size, root, closed FROM ledger.head
        WHERE log = $1::text::ledger.log ORDER BY generation
        """,
        log.value,
    )
    return [AuditedHead(**row) for row in rows]


async def list_rows(
    connection: Connection, log: Log, generation: int, start: int, until: int
) -> list[AuditedRow]:
    """The leaves from `start` up to, not including, `until`, that there are."""
    rows = await connection.fetch(
        """
        SELECT l.index, l.hash, l.entry, e.log::text AS log, e.bytes AS data, e.kind, e.at, e.party, e.keeper,
               e."authorisation", e.sealed
        FROM ledger.leaf l LEFT JOIN ledger.entry e ON e.id = l.entry
        WHERE l.log = $1::text::ledger.log AND l.generation = $2 AND l.index >= $3 AND l.index < $4
        ORDER BY l.index
        """,
        log.value,
        generation,
        start,
        until,
    )
    return [AuditedRow(**row) for row in rows]


async def list_slots(connection: Connection, entries: Sequence[UUID]) -> dict[UUID, list[AuditedSlot]]:
    """The slots of these entries, in order."""
    rows = await connection.fetch(
        """
        SELECT entry, ordinal, token, commitment, key, erasure FROM ledger.slot
        WHERE entry = ANY($1) ORDER BY entry, ordinal
        """,
        list(entries),
    )
    found: dict[UUID, list[AuditedSlot]] = {}
    for row in rows:
        found.setdefault(row["entry"], []).append(AuditedSlot(**row))
    return found


async def count_beyond(connection: Connection, log: Log, generation: int, size: int) -> int:
    """How many leaves there are at or past `size`."""
    count: int = await connection.fetchval(
        """
        SELECT count(*) FROM ledger.leaf
        WHERE log = $1::text::ledger.log AND generation = $2 AND (index >= $3 OR index < 0)
        """,
        log.value,
        generation,
        size,
    )
    return count


async def list_stray(connection: Connection, log: Log, limit: int = 100) -> list[UUID]:
    """Entries that have no number and do not wait for one."""
    rows = await connection.fetch(
        """
        SELECT e.id FROM ledger.entry e
        WHERE e.log = $1::text::ledger.log
          AND NOT EXISTS (SELECT FROM ledger.leaf l WHERE l.entry = e.id)
          AND NOT EXISTS (SELECT FROM ledger.pending p WHERE p.entry = e.id)
        ORDER BY e.id LIMIT $2
        """,
        log.value,
        limit,
    )
    return [row["id"] for row in rows]


async def list_overdue(connection: Connection, log: Log, seconds: float, limit: int = 100) -> list[UUID]:
    """Entries that have waited for a number for longer than `seconds`, by the database's clock."""
    rows = await connection.fetch(
        """
        SELECT entry FROM ledger.pending
        WHERE log = $1::text::ledger.log AND at < clock_timestamp() - make_interval(secs => $2)
        ORDER BY at LIMIT $3
        """,
        log.value,
        seconds,
        limit,
    )
    return [row["entry"] for row in rows]


async def find_cosigned(connection: Connection, log: Log, generation: int) -> str | None:
    """The note of the newest checkpoint that a quorum cosigned."""
    note: str | None = await connection.fetchval(
        "SELECT note FROM ledger.cosigned WHERE log = $1::text::ledger.log AND generation = $2",
        log.value,
        generation,
    )
    return note


async def list_erasures(connection: Connection) -> dict[str, str]:
    """The digest of each erasure that an entry records, numbered or pending."""
    rows = await connection.fetch("SELECT bytes FROM ledger.entry WHERE kind = 'ledger.erased'")
    documents = [msgspec.json.decode(row["bytes"]) for row in rows]
    return {str(document.get("erasure")): str(document.get("digest")) for document in documents}


async def find_given_up(connection: Connection, log: Log, head: AuditedHead) -> int:
    """The size at which the next origin's first entry says that this one ended, if it says what was kept of it.

    That the Commission signed it is for those to verify who hold its keys.
    """
    data = await connection.fetchval(
        """
        SELECT e.bytes FROM ledger.leaf l JOIN ledger.entry e ON e.id = l.entry
        WHERE l.log = $1::text::ledger.log AND l.generation = $2 AND l.index = 0 AND e.kind = 'ledger.reopened'
        """,
        log.value,
        head.generation + 1,
    )
    if data is None:
        return 0
    document = msgspec.json.decode(data)
    kept, previous = document["kept"], document["previous"]
    return int(previous["size"]) if (kept["size"], previous["origin"]) == (head.size, head.origin) else 0
