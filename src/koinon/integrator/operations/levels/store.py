"""The SQL of service levels."""

from datetime import datetime
from typing import Any
from uuid import UUID

from koinon.base.database import Connection
from koinon.base.text import Text
from koinon.integrator.operations.levels.model import Level, Life, Maintenance, NewLevel


async def insert_level(connection: Connection, new: NewLevel, by: UUID, at: datetime) -> bool:
    """It is promised; false when something is already promised of that flow from that day on."""
    done: str = await connection.execute(
        """
        INSERT INTO operations.level
            (flow, begins_on, availability_percent, p95_ms, deferred_hours, notice_hours, agreed_by, agreed_at)
        VALUES ($1, $2, $3::float8::numeric, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
        """,
        new.flow,
        new.begins_on,
        new.availability_percent,
        new.p95_ms,
        new.deferred_hours,
        new.notice_hours,
        by,
        at,
    )
    return done.endswith(" 1")


async def list_levels(connection: Connection, flow: str) -> list[Level]:
    """What was and will be promised of the flow, the last first."""
    rows = await connection.fetch(
        """
        SELECT flow, begins_on, availability_percent::float8 AS availability_percent, p95_ms, deferred_hours,
            notice_hours, agreed_at
        FROM operations.level WHERE flow = $1 ORDER BY begins_on DESC
        """,
        flow,
    )
    return [Level(**row) for row in rows]


async def insert_maintenance(connection: Connection, new: Maintenance, by: UUID) -> None:
    """It is announced."""
    await connection.execute(
        """
        INSERT INTO operations.maintenance
            (id, flow, since, until, reason_nl, reason_fr, reason_en, announced_by, announced_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        new.id,
        new.flow,
        new.since,
        new.until,
        new.reason.nl,
        new.reason.fr,
        new.reason.en,
        by,
        new.announced_at,
    )


async def withdraw(connection: Connection, maintenance: UUID, by: UUID, at: datetime) -> bool:
    """From now on it counts no more; false when it is over, withdrawn or unknown."""
    done: str = await connection.execute(
        "UPDATE operations.maintenance SET withdrawn_by = $2, withdrawn_at = $3"
        " WHERE id = $1 AND withdrawn_at IS NULL AND until > $3",
        maintenance,
        by,
        at,
    )
    return done.endswith(" 1")


async def list_maintenance(
    connection: Connection, flow: str, since: datetime, until: datetime | None
) -> list[Maintenance]:
    """What was announced of the flow, or of all, and touches the period; in order."""
    rows = await connection.fetch(
        """
        SELECT * FROM operations.maintenance
        WHERE (flow IS NULL OR flow = $1) AND until > $2 AND ($3::timestamptz IS NULL OR since < $3) ORDER BY since
        """,
        flow,
        since,
        until,
    )
    return [_maintenance(row) for row in rows]


async def list_minutes(
    connection: Connection, flow: str, since: datetime, until: datetime
) -> dict[datetime, tuple[int, int]]:
    """Questions and failures of each minute in which there were questions."""
    rows = await connection.fetch(
        "SELECT at, asked, failed FROM operations.minute WHERE flow = $1 AND $2 <= at AND at < $3",
        flow,
        since,
        until,
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def list_lives(connection: Connection, since: datetime, until: datetime) -> list[Life]:
    """Processes that lived in the period."""
    rows = await connection.fetch(
        "SELECT kind, since, until FROM operations.alive WHERE until > $1 AND since < $2", since, until
    )
    return [Life(*row) for row in rows]


async def first_known(connection: Connection) -> datetime | None:
    """When a process that answers was first written down, of those that are kept."""
    found: datetime | None = await connection.fetchval(
        "SELECT min(since) FROM operations.alive WHERE kind = 'web'"
    )
    return found


async def lock_levels(connection: Connection, flow: str) -> None:
    """Nobody else promises anything of this flow until this transaction ends."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"operations.level/{flow}"
    )


def _maintenance(row: Any) -> Maintenance:
    return Maintenance(
        id=row["id"],
        flow=row["flow"],
        since=row["since"],
        until=row["until"],
        reason=Text(row["reason_nl"], row["reason_fr"], row["reason_en"]),
        announced_at=row["announced_at"],
        withdrawn_at=row["withdrawn_at"],
    )
