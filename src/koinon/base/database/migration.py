"""Migrations: plain SQL files, each slice its own, applied in order, once, under a lock."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from koinon.base.database.roles import KINDS, ensure_roles, is_embedded, role_of
from koinon.base.errors import Conflict, Invalid, Unavailable

_LOCK = 0x6B6F696E6F6E  # "koinon": the advisory lock, of each database its own
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_RECORD = """
CREATE SCHEMA IF NOT EXISTS base;
CREATE TABLE IF NOT EXISTS base.migration (
    slice text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (slice, number)
);
GRANT SELECT ON base.migration TO koinon_web, koinon_worker, koinon_sequencer, koinon_recorder, koinon_reader;
"""


@dataclass(frozen=True)
class Schema:
    """A slice's migrations: files `NNNN_what.sql` in `folder`, numbered from 0001 without a gap.

    The database schema of that name is made by `migrate`; the files fill it.
    """

    name: str
    folder: Path


@dataclass(frozen=True)
class _Migration:
    slice: str
    number: int
    name: str
    sql: str
    sha256: bytes


# Roles are granted with options (SET, INHERIT) that PostgreSQL 16 brought.
OLDEST = 16


async def migrate(
    database_url: str,
    schemas: Sequence[Schema],
    *,
    lock_seconds: float = 30.0,
    table_lock_seconds: float = 5.0,
    statement_seconds: float = 300.0,
) -> list[str]:
    """Every migration of `schemas` is applied, in that order; returns what was new, as `slice/NNNN_what`.

    Runs as the owner role, which must be allowed to create schemas in the database. Each migration is one
    transaction, so a failure leaves the earlier ones applied and can be tried again. Processes that migrate
    at the same time wait for one another.

    Raises:
        Conflict: `migration_changed` when a landed file was edited, `migration_missing` when one is gone or
            numbers have a gap, `migration_failed` with PostgreSQL's message.
        Unavailable: `migration_locked` when another process migrates for longer than `lock_seconds`,
            `migration_blocked` when a migration could not have a lock within `table_lock_seconds` (others
            queue behind it all that time), `migration_too_slow` when one statement took more than
            `statement_seconds`, `database_too_old`, `database_unavailable`.
        NotAllowed: `database_roles_missing`.
        Invalid: `migration_name` for a file not named as it must be.
    """
    wanted = [migration for schema in schemas for migration in _read(schema)]
    try:
        connection = await asyncpg.connect(
            database_url,
            timeout=10,
            server_settings={
                "application_name": "koinon-migrate",
                "lock_timeout": f"{lock_seconds * 1000:.0f}",
                "statement_timeout": f"{statement_seconds * 1000:.0f}",
                "client_min_messages": "warning",
            },
        )
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
        raise Unavailable("database_unavailable", why=type(error).__name__) from error
    try:
        version = connection.get_server_version().major
        if version < OLDEST:
            raise Unavailable("database_too_old", version=version, oldest=OLDEST)
        try:
            await connection.execute(f"SELECT pg_catalog.pg_advisory_lock({_LOCK})")
        except asyncpg.LockNotAvailableError:
            raise Unavailable("migration_locked", waited_seconds=lock_seconds) from None
        await ensure_roles(connection, login=is_embedded(database_url))
        await connection.execute(f"SET ROLE {role_of('owner')}")
        await connection.execute(f"SET lock_timeout = {table_lock_seconds * 1000:.0f}")
        await connection.execute(_RECORD)
        return await _apply(connection, wanted)
    finally:
        await connection.close()


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", wanted: Sequence[_Migration]) -> list[str]:
    landed = {
        (row["slice"], row["number"]): row
        for row in await connection.fetch("SELECT slice, number, name, sha256 FROM base.migration")
    }
    known = {(migration.slice, migration.number) for migration in wanted}
    given = {migration.slice for migration in wanted}
    for slice_, number in sorted(landed.keys() - known):
        if slice_ in given:
            raise Conflict("migration_missing", migration=f"{slice_}/{number:04}")
    for migration in wanted:
        row = landed.get((migration.slice, migration.number))
        if row is not None and row["sha256"] != migration.sha256:
            raise Conflict("migration_changed", migration=f"{migration.slice}/{migration.name}")
    for name in given:
        await _make_schema(connection, name)
    applied = []
    for migration in wanted:
        if (migration.slice, migration.number) not in landed:
            await _apply_one(connection, migration)
            applied.append(f"{migration.slice}/{migration.name}")
    return applied


async def _make_schema(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    # USAGE alone opens no table: what each kind of process may do is granted in the slice's migrations.
    others = ", ".join(role_of(kind) for kind in KINDS if kind != "owner")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name}; GRANT USAGE ON SCHEMA {name} TO {others}")


async def _apply_one(connection: "asyncpg.Connection[asyncpg.Record]", migration: _Migration) -> None:
    name = f"{migration.slice}/{migration.name}"
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO base.migration (slice, number, name, sha256) VALUES ($1, $2, $3, $4)",
                migration.slice, migration.number, migration.name, migration.sha256,
            )  # fmt: skip
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable("migration_blocked", migration=name) from error
    except asyncpg.QueryCanceledError as error:
        raise Unavailable("migration_too_slow", migration=name) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        facts = {"where": where} if (where := _line(migration.sql, error)) else {}
        raise Conflict("migration_failed", migration=name, why=str(error), **facts) from error


def _line(sql: str, error: Exception) -> str:
    position = getattr(error, "position", None)
    if not position:
        return ""
    before = sql[: int(position) - 1]
    line = before.count("\n")
    return f"line {line + 1}: {sql.splitlines()[line].strip()}"


def _read(schema: Schema) -> list[_Migration]:
    found = []
    for file in sorted(schema.folder.glob("*.sql")):
        name = _FILE.fullmatch(file.name)
        if name is None:
            raise Invalid("migration_name", file=str(file))
        content = file.read_bytes()
        found.append(
            _Migration(
                schema.name, int(name[1]), file.stem, content.decode(), hashlib.sha256(content).digest()
            )
        )
    for index, migration in enumerate(found, start=1):
        if migration.number != index:
            raise Conflict("migration_missing", migration=f"{schema.name}/{index:04}")
    return found
