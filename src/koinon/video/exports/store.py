"""The only SQL on the schema `exports`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.text import Text
from koinon.trust.gate import Receipt, Second
from koinon.trust.parties import PartyId, PersonId
from koinon.video.exports.model import Export, ExportFile, Form, Part, State

_EXPORT = ", ".join(f'"{name}"' for name in Export.__struct_fields__)
_FILE = "export, attempt, number, camera, stream, name, start_at, end_at, place, pieces, bytes, sha256, crc32"
_OPEN = (State.QUEUED.value, State.MAKING.value)


def _export(row: Any) -> Export:
    told = dict(row)
    return Export(
        **{
            **told,
            "party_name": msgspec.convert(told["party_name"], Text),
            "form": Form(told["form"]),
            "state": State(told["state"]),
        }
    )


def _file(row: Any) -> ExportFile:
    told = dict(row)
    return ExportFile(start=told.pop("start_at"), end=told.pop("end_at"), **told)


async def insert_export(connection: Connection, export: Export, parts: Sequence[Part]) -> None:
    """It waits to be made."""
    columns = (
        "id", "party", "person", "profile", "name", "party_name", "form", "purpose", "case", "reason", "since",
        "until", "emergency", "state", "asked_at", "moved_at", "total_us",
    )  # fmt: skip
    values = {**msgspec.structs.asdict(export), "party_name": msgspec.to_builtins(export.party_name)}
    await connection.execute(
        f"""INSERT INTO exports.export ("{'", "'.join(columns)}")
        VALUES ({", ".join(f"${n}" for n in range(1, len(columns) + 1))})""",
        *(getattr(values[name], "value", values[name]) for name in columns),
    )
    await connection.executemany(
        "INSERT INTO exports.part (export, number, camera, exchange, second_person, second_profile, at_work_station,"
        " receipt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (
                each.export, each.number, each.camera, each.exchange,
                each.second.person if each.second else None, each.second.profile if each.second else None,
                each.at_work_station, msgspec.to_builtins(each.receipt),
            )
            for each in parts
        ],
    )  # fmt: skip


async def find_export(connection: Connection, export: UUID) -> Export | None:
    """The export of that id, whoever's."""
    row = await connection.fetchrow(f"SELECT {_EXPORT} FROM exports.export WHERE id = $1", export)
    return _export(row) if row else None


async def find_own(connection: Connection, export: UUID, party: PartyId, person: PersonId) -> Export | None:
    """The export of that id, if this person asked for it in this party."""
    row = await connection.fetchrow(
        f"SELECT {_EXPORT} FROM exports.export WHERE id = $1 AND party = $2 AND person = $3",
        export,
        party,
        person,
    )
    return _export(row) if row else None


async def list_own(
    connection: Connection, party: PartyId, person: PersonId, *, limit: int = 100
) -> list[Export]:
    """What this person asked for in this party, newest first."""
    rows = await connection.fetch(
        f"SELECT {_EXPORT} FROM exports.export WHERE party = $1 AND person = $2 ORDER BY asked_at DESC LIMIT $3",
        party,
        person,
        limit,
    )
    return [_export(row) for row in rows]


async def count_open(connection: Connection, person: PersonId) -> int:
    """How many exports of the person wait or are being made. The person's next one waits for this transaction."""
    await connection.execute(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))", f"exports/{person}"
    )
    found: int = await connection.fetchval(
        "SELECT count(*) FROM exports.export WHERE person = $1 AND state = ANY($2::text[])", person, _OPEN
    )
    return found


async def find_kept(connection: Connection, person: PersonId) -> tuple[int, datetime | None]:
    """How many bytes of the person's exports are there, made or being made; when the first of them go by themselves."""
    row = await connection.fetchrow(
        "SELECT coalesce(sum(bytes), 0)::bigint, min(deletes_at) FILTER (WHERE state = 'ready') FROM exports.export"
        " WHERE person = $1 AND swept_at IS NULL",
        person,
    )
    assert row is not None
    return row[0], row[1]


async def sum_party(connection: Connection, party: PartyId) -> int:
    """How many bytes of the party's exports are there, made or being made."""
    found: int = await connection.fetchval(
        "SELECT coalesce(sum(bytes), 0)::bigint FROM exports.export WHERE party = $1 AND swept_at IS NULL",
        party,
    )
    return found


async def list_parts(connection: Connection, exports: Sequence[UUID]) -> dict[UUID, list[Part]]:
    """The cameras of each export, in the order in which they were asked."""
    rows = await connection.fetch(
        "SELECT * FROM exports.part WHERE export = ANY($1::uuid[]) ORDER BY export, number", list(exports)
    )
    found: dict[UUID, list[Part]] = {each: [] for each in exports}
    for row in rows:
        person = row["second_person"]
        found[row["export"]].append(
            Part(
                export=row["export"], number=row["number"], camera=row["camera"], exchange=row["exchange"],
                second=Second(person=person, profile=row["second_profile"]) if person else None,
                at_work_station=row["at_work_station"], receipt=msgspec.convert(row["receipt"], Receipt),
                masked=row["masked"],
            )
        )  # fmt: skip
    return found


async def begin(connection: Connection, export: UUID, at: datetime) -> Export | None:
    """Another attempt at making it is begun; None where nobody wants it made any more."""
    row = await connection.fetchrow(
        f"""
        UPDATE exports.export SET state = 'making', attempt = attempt + 1, done_us = 0, bytes = 0, moved_at = $2
        WHERE id = $1 AND state = ANY($3::text[]) RETURNING {_EXPORT}
        """,
        export, at, _OPEN,
    )  # fmt: skip
    return _export(row) if row else None


async def tell_progress(connection: Connection, export: Export, done_us: int, size: int) -> bool:
    """So much has been made, of so many bytes; false where this attempt is not wanted any more."""
    return bool(
        await connection.fetchval(
            "UPDATE exports.export SET done_us = $3, bytes = $4 WHERE id = $1 AND attempt = $2 AND state = 'making'"
            " RETURNING true",
            export.id, export.attempt, done_us, size,
        )
    )  # fmt: skip


async def note_masked(connection: Connection, part: Part, masked: bool) -> None:
    """Whether only the masked picture could leave."""
    await connection.execute(
        "UPDATE exports.part SET masked = $3 WHERE export = $1 AND number = $2",
        part.export,
        part.number,
        masked,
    )


async def insert_file(connection: Connection, file: ExportFile) -> None:
    """The file is whole."""
    await connection.execute(
        f"INSERT INTO exports.file ({_FILE}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        *msgspec.structs.astuple(file),
    )


async def list_files(connection: Connection, export: Export) -> list[ExportFile]:
    """Of the attempt that counts, in order."""
    rows = await connection.fetch(
        f"SELECT {_FILE} FROM exports.file WHERE export = $1 AND attempt = $2 ORDER BY number",
        export.id,
        export.attempt,
    )
    return [_file(row) for row in rows]


async def finish(
    connection: Connection, export: Export, manifest: str, size: int, at: datetime, deletes_at: datetime
) -> bool:
    """It can be fetched; false where this attempt is not wanted any more."""
    return bool(
        await connection.fetchval(
            """
            UPDATE exports.export SET state = 'ready', code = NULL, manifest = $3, bytes = $4, moved_at = $5,
                deletes_at = $6, done_us = total_us
            WHERE id = $1 AND attempt = $2 AND state = 'making' RETURNING true
            """,
            export.id, export.attempt, manifest, size, at, deletes_at,
        )
    )  # fmt: skip


async def move(
    connection: Connection, export: UUID, state: State, code: str, at: datetime, sources: Sequence[State]
) -> bool:
    """It is in that state now, if it was in one of `sources`."""
    return bool(
        await connection.fetchval(
            """
            UPDATE exports.export SET state = $2, code = $3, moved_at = $4
            WHERE id = $1 AND state = ANY($5::text[]) RETURNING true
            """,
            export, state.value, code, at, [each.value for each in sources],
        )
    )  # fmt: skip


async def list_ready(connection: Connection) -> list[Export]:
    """Those that can be fetched, oldest first."""
    rows = await connection.fetch(
        f"SELECT {_EXPORT} FROM exports.export WHERE state = 'ready' ORDER BY asked_at"
    )
    return [_export(row) for row in rows]


async def list_unswept(connection: Connection) -> list[Export]:
    """Those of which nothing is wanted any more, and something may be there."""
    rows = await connection.fetch(
        f"SELECT {_EXPORT} FROM exports.export WHERE swept_at IS NULL AND state IN ('stopped', 'failed', 'deleted')"
        " ORDER BY asked_at LIMIT 200"
    )
    return [_export(row) for row in rows]


async def set_swept(connection: Connection, export: UUID, at: datetime) -> None:
    """Its files are gone, and what was written in words about it; what it was stands in the ledger."""
    await connection.execute(
        "UPDATE exports.export SET swept_at = $2, reason = '', \"case\" = '', manifest = NULL, bytes = 0 WHERE id = $1",
        export,
        at,
    )
    await connection.execute("DELETE FROM exports.file WHERE export = $1", export)


async def forget(connection: Connection, before: datetime) -> int:
    """Exports whose files went before then are no rows any more."""
    told: str = await connection.execute("DELETE FROM exports.export WHERE swept_at < $1", before)
    return int(told.rsplit(" ", 1)[1])
