"""The gate's SQL: admitting, recording under the epoch, and the uses that last."""

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.trust.gate.model import Admission, ExchangeId, ProcessId
from koinon.trust.ledger import Prepared

DEAD_AFTER = timedelta(seconds=15)


class Admitted(msgspec.Struct, frozen=True):
    """What the database said to one admission."""

    fresh: bool
    exchange: UUID | None
    body_hash: bytes | None


async def admit(
    connection: Connection, admissions: Sequence[tuple[Admission, ExchangeId]], at: datetime
) -> list[Admitted]:
    """Nonces and idempotency keys are kept; one answer for each admission, in order."""
    rows = await connection.fetch(
        "SELECT fresh, exchange, body_hash FROM gate.admit($1, $2, $3, $4, $5, $6, $7, $8)",
        [a.key for a, _ in admissions],
        [a.nonce for a, _ in admissions],
        [a.expires for a, _ in admissions],
        [a.party for a, _ in admissions],
        [a.idempotency_key for a, _ in admissions],
        [a.body_hash for a, _ in admissions],
        [exchange for _, exchange in admissions],
        at,
    )
    return [Admitted(fresh=row[0], exchange=row[1], body_hash=row[2]) for row in rows]


async def record(connection: Connection, epoch: int, prepared: Prepared) -> bool:
    """The entries are durable, or nothing happened because `epoch` is no longer the standing epoch: false.

    One statement: confirming holds the epoch's row until the entries are committed.
    """
    call, arguments = prepared.call(2)
    return bool(
        await connection.fetchval(
            f"SELECT CASE WHEN standing.confirm($1) THEN {call} IS NOT NULL ELSE false END", epoch, *arguments
        )
    )


async def forget(connection: Connection, at: datetime) -> None:
    """Nonces and idempotency keys past their time are gone."""
    await connection.execute("SELECT gate.forget($1)", at)


async def enter_process(connection: Connection, process: ProcessId, kind: str) -> None:
    """This process stands among those that release, and is alive by the database's clock."""
    await connection.execute(
        """
        INSERT INTO gate.process (id, kind, host, pid, started_at, seen_at)
        VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp())
        ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
        """,
        process,
        kind,
        socket.gethostname(),
        os.getpid(),
    )


async def see_process(connection: Connection, process: ProcessId, kind: str) -> set[UUID]:
    """As `enter_process`, also when it was taken for dead meanwhile; returns which uses still run in it."""
    await enter_process(connection, process, kind)
    rows = await connection.fetch("SELECT id FROM gate.running WHERE process = $1", process)
    return {row[0] for row in rows}


async def leave_process(connection: Connection, process: ProcessId) -> None:
    """This process releases no more; it must have ended its uses."""
    await connection.execute(
        "DELETE FROM gate.process p WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM gate.running WHERE process = p.id)",
        process,
    )


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A use that lasts, as it stands in the register of running uses."""

    id: UUID
    process: UUID
    exchange: UUID
    party: UUID
    person: UUID | None
    system: UUID | None
    key: str | None
    authorisation: str
    action: str
    resource: str
    began_at: datetime
    renewed_at: datetime


_RUNNING = tuple(field.name for field in msgspec.structs.fields(Running))


async def insert_running(connection: Connection, use: Running) -> None:
    """The use stands among those that run."""
    await connection.execute(
        f"INSERT INTO gate.running ({', '.join(_RUNNING)}) "
        f"VALUES ({', '.join(f'${n + 1}' for n in range(len(_RUNNING)))})",
        *msgspec.structs.astuple(use),
    )


async def renew_running(connection: Connection, use: UUID, at: datetime) -> bool:
    """The use was decided on anew at `at`; false when it does not run any more."""
    done: str = await connection.execute("UPDATE gate.running SET renewed_at = $2 WHERE id = $1", use, at)
    return done.endswith(" 1")


async def delete_running(connection: Connection, use: UUID) -> bool:
    """The use runs no more; false when somebody else ended it before."""
    done: str = await connection.execute("DELETE FROM gate.running WHERE id = $1", use)
    return done.endswith(" 1")


async def is_running(connection: Connection, use: UUID) -> bool:
    """Whether the use runs, in whichever process."""
    return bool(await connection.fetchval("SELECT true FROM gate.running WHERE id = $1", use))


async def take_orphans(connection: Connection, limit: int = 100) -> list[Running]:
    """Uses of processes that died, taken out of the register by this transaction.

    Ages are counted on the database's clock alone: machines' clocks differ, and one that was stepped must not make
    the living look dead.
    """
    rows = await connection.fetch(
        f"""
        DELETE FROM gate.running WHERE id IN (
            SELECT r.id FROM gate.running r JOIN gate.process p ON p.id = r.process
            WHERE p.seen_at < clock_timestamp() - $1::interval ORDER BY r.id LIMIT $2 FOR UPDATE OF r SKIP LOCKED
        ) RETURNING {", ".join(_RUNNING)}
        """,
        DEAD_AFTER,
        limit,
    )
    await connection.execute(
        "DELETE FROM gate.process p WHERE seen_at < clock_timestamp() - $1::interval AND NOT EXISTS "
        "(SELECT 1 FROM gate.running WHERE process = p.id)",
        DEAD_AFTER,
    )
    return [Running(**dict(row)) for row in rows]


async def list_running(connection: Connection, *, party: UUID | None = None) -> list[Running]:
    """What runs now, of one party or of all, oldest first."""
    rows = await connection.fetch(
        f"SELECT {', '.join(_RUNNING)} FROM gate.running WHERE $1::uuid IS NULL OR party = $1 ORDER BY began_at, id",
        party,
    )
    return [Running(**dict(row)) for row in rows]
