"""The SQL of merged numbers: which merges stand, what follows from them, which files are in doubt when one falls."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from koinon.base.database import Connection
from koinon.integrator.directory import DirectoryKeys, Doubted, doubt_dossiers

# Every number that a chain of standing merges ties to $1, itself among them.
_TIED = """
    WITH RECURSIVE tied (number) AS (
        SELECT $1::bytea
        UNION
        SELECT CASE WHEN m.old = t.number THEN m.new ELSE m.old END
        FROM tied t JOIN mutations.merge m ON t.number IN (m.old, m.new) AND m.undone_at IS NULL
    ) SELECT number FROM tied
"""


async def settle_merges(
    connection: Connection, keys: DirectoryKeys, source: str, first: int, end: int, at: datetime
) -> list[Doubted]:
    """The merges and separations among the source's numbers from `first` to before `end` have taken effect, in order.

    Returns the files that are in doubt from now on: registered while a merge stood that was a mistake.
    """
    rows = await connection.fetch(
        """
        SELECT sequence, kind, subject, replaced_by,
               least($4, effective_on::timestamp AT TIME ZONE 'Europe/Brussels') AS since
        FROM mutations.publication
        WHERE source = $1 AND sequence >= $2 AND sequence < $3 AND kind IN ('replaced', 'separated')
        ORDER BY sequence
        """,
        source,
        first,
        end,
        at,
    )
    doubted: list[Doubted] = []
    for row in rows:
        if row["kind"] == "replaced":
            await _merge(connection, source, row)
        else:
            doubted += await _separate(connection, keys, source, row, at)
    return doubted


async def _merge(connection: Connection, source: str, row: Any) -> None:
    await connection.execute(
        """
        INSERT INTO mutations.merge (old, new, since, source, sequence) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        """,
        row["subject"],
        row["replaced_by"],
        row["since"],
        source,
        row["sequence"],
    )
    await _follow(connection, await _tied(connection, row["subject"]))


async def _separate(
    connection: Connection, keys: DirectoryKeys, source: str, row: Any, at: datetime
) -> list[Doubted]:
    tied = await _tied(connection, row["subject"])
    since = await connection.fetchval(
        """
        UPDATE mutations.merge SET undone_at = $3, undone_source = $4, undone_sequence = $5
        WHERE old = $1 AND new = $2 AND undone_at IS NULL RETURNING since
        """,
        row["subject"],
        row["replaced_by"],
        at,
        source,
        row["sequence"],
    )
    if since is None:
        return []  # never merged, or undone before: it is told, and changes nothing
    await _follow(connection, tied)
    return await doubt_dossiers(connection, keys, tied, since, at)


async def _tied(connection: Connection, number: bytes) -> list[bytes]:
    return [row[0] for row in await connection.fetch(_TIED, number)]


async def _follow(connection: Connection, numbers: Sequence[bytes]) -> None:
    """Among these, `replacement` is what follows from the merges that stand: each old number with every later one."""
    await connection.execute(
        "DELETE FROM mutations.replacement WHERE old = ANY ($1) OR new = ANY ($1)", list(numbers)
    )
    await connection.execute(
        """
        WITH RECURSIVE later (old, new) AS (
            SELECT old, new FROM mutations.merge WHERE old = ANY ($1) AND undone_at IS NULL
            UNION
            SELECT l.old, m.new FROM later l JOIN mutations.merge m ON m.old = l.new AND m.undone_at IS NULL
        )
        INSERT INTO mutations.replacement (old, new) SELECT old, new FROM later WHERE old <> new
        """,
        list(numbers),
    )


async def stands(connection: Connection, old: bytes, new: bytes) -> bool:
    """Whether `old` is merged into `new` now, directly."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM mutations.merge WHERE old = $1 AND new = $2 AND undone_at IS NULL", old, new
        )
    )


async def insert_undoing(connection: Connection, values: dict[str, Any]) -> None:
    """The operator's wish stands."""
    names = list(values)
    places = ", ".join(f"${n}" for n in range(1, len(names) + 1))
    await connection.execute(
        f"INSERT INTO mutations.undoing ({', '.join(names)}) VALUES ({places})",
        *values.values(),
    )


async def find_undoing(connection: Connection, id_: UUID) -> Any:
    """The wish, held until the caller's transaction ends; or nothing."""
    return await connection.fetchrow("SELECT * FROM mutations.undoing WHERE id = $1 FOR UPDATE", id_)


async def end_undoing(connection: Connection, id_: UUID, by: UUID, at: datetime, *, confirmed: bool) -> None:
    """It was confirmed, or withdrawn."""
    column = "confirmed_by" if confirmed else "withdrawn_by"
    await connection.execute(
        f"UPDATE mutations.undoing SET {column} = $2, ended_at = $3 WHERE id = $1", id_, by, at
    )


async def list_undoings(connection: Connection, limit: int = 50) -> list[Any]:
    """All wishes, newest first."""
    return list(
        await connection.fetch(
            "SELECT id, reason, asked_by, asked_at, expires_at, confirmed_by, withdrawn_by, ended_at"
            " FROM mutations.undoing ORDER BY id DESC LIMIT $1",
            limit,
        )
    )
