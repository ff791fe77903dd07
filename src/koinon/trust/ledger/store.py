"""The SQL of the ledger that anybody may run: reading entries. `sequencing.store` has the sequencer's."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.trust.ledger.model import EntryId, Log, Stored, id_at
from koinon.trust.ledger.sealing import Slot

_CLOCKS_DIFFER = timedelta(hours=1)
_SELECT = """
SELECT e.id, e.log::text AS log, e.bytes, e.kind, e.at, e.sealed, l.generation, l.index, l.at AS numbered_at
FROM ledger.entry e LEFT JOIN ledger.leaf l ON l.entry = e.id"""


def _stored(row: Any) -> Stored:
    return Stored(
        id=EntryId(row["id"]),
        log=Log(row["log"]),
        kind=row["kind"],
        at=row["at"],
        public=msgspec.json.decode(row["bytes"]),
        data=row["bytes"],
        sealed=row["sealed"],
        generation=row["generation"],
        index=row["index"],
        numbered_at=row["numbered_at"],
    )


async def find_entry(connection: Connection, entry: UUID) -> Stored | None:
    """The entry with that id."""
    row = await connection.fetchrow(f"{_SELECT} WHERE e.id = $1", entry)
    return _stored(row) if row else None


async def list_register(connection: Connection, kinds: Sequence[str]) -> list[Stored]:
    """All entries of the register log of these kinds, numbered or not, oldest first."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE e.log = 'register' AND e.kind = ANY($1) ORDER BY e.at, e.id",
        list(kinds),
    )
    return [_stored(row) for row in rows]


async def list_slots(connection: Connection, entries: Sequence[UUID]) -> dict[UUID, list[Slot]]:
    """The slots of each entry that has any, in order."""
    rows = await connection.fetch(
        "SELECT entry, ordinal, commitment, key FROM ledger.slot WHERE entry = ANY($1) "
        "ORDER BY entry, ordinal",
        list(entries),
    )
    found: dict[UUID, list[Slot]] = {}
    for row in rows:
        found.setdefault(row["entry"], []).append(Slot(row["ordinal"], row["commitment"], row["key"]))
    return found


async def list_first_slots(connection: Connection, entries: Sequence[UUID]) -> dict[UUID, list[Slot]]:
    """Of each entry the first slot that was not erased: enough to open what it says, however many it is about."""
    rows = await connection.fetch(
        """
        SELECT e.entry, s.ordinal, s.commitment, s.key FROM unnest($1::uuid[]) AS e (entry), LATERAL (
            SELECT ordinal, commitment, key FROM ledger.slot s
            WHERE s.entry = e.entry AND s.key IS NOT NULL ORDER BY ordinal LIMIT 1
        ) s
        """,
        list(entries),
    )
    return {row["entry"]: [Slot(row["ordinal"], row["commitment"], row["key"])] for row in rows}


async def list_erasures_recorded(connection: Connection) -> set[str]:
    """The ids of all erasures that have an entry."""
    rows = await connection.fetch("SELECT bytes FROM ledger.entry WHERE kind = 'ledger.erased'")
    return {str(msgspec.json.decode(row["bytes"])["erasure"]) for row in rows}


async def lock_counting(connection: Connection) -> None:
    """Nobody else counts a day until this transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('ledger.day_counted'))")


async def count_uses(connection: Connection, begin: datetime, end: datetime) -> list[tuple[str, str, int]]:
    """Flow, kind and number of the uses from `begin` up to, not including, `end`, sorted."""
    rows = await connection.fetch(
        """
        SELECT convert_from(bytes, 'UTF8')::jsonb -> 'resources' ->> 0 AS flow, kind, count(*) AS uses
        FROM ledger.entry
        -- Ids tell the minute of their making, which is that of `at` but for clocks that differ.
        WHERE id >= $1 AND id < $2 AND log = 'exchange' AND at >= $3 AND at < $4 AND kind LIKE 'exchange.%'
        GROUP BY 1, 2
        """,
        id_at(begin - _CLOCKS_DIFFER),
        id_at(end + _CLOCKS_DIFFER),
        begin,
        end,
    )
    return sorted((row["flow"], row["kind"], row["uses"]) for row in rows if row["flow"] is not None)


async def find(
    connection: Connection,
    *,
    log: Log | None,
    tokens: Sequence[bytes] | None,
    party: str | None,
    keeper: str | None,
    authorisation: str | None,
    kind: str | None,
    since: datetime | None,
    until: datetime | None,
    before: UUID | None,
    limit: int,
) -> list[Stored]:
    """Entries that satisfy every condition given, newest first."""
    conditions: list[str] = []
    values: list[Any] = []

    def where(condition: str, value: object) -> None:
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}"))

    where("e.log = {}::text::ledger.log", log.value if log else None)
    where("e.id IN (SELECT entry FROM ledger.slot WHERE token = ANY({}))", tokens)
    where("e.party = {}", party)
    where("e.keeper = {}", keeper)
    where('e."authorisation" = {}', authorisation)
    where("e.kind = {}", kind)
    where("e.at >= {}", since)
    where("e.at < {}", until)
    where("e.id < {}", before)
    values.append(limit)
    rows = await connection.fetch(
        f"{_SELECT} WHERE {' AND '.join(conditions) or 'true'} ORDER BY e.id DESC LIMIT ${len(values)}",
        *values,
    )
    return [_stored(row) for row in rows]
