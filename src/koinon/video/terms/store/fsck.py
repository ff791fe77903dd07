"""What the verifier reads."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from koinon.base.database import Connection
from koinon.video.cameras.model import CameraId, StreamId
from koinon.video.terms.model import Window


class Row(NamedTuple):
    """A unit, as far as it can be verified."""

    stream: StreamId
    copy: int
    start: datetime
    end: datetime
    size: int
    place: int
    file: str
    sha256: bytes


async def list_rows(
    connection: Connection, stream: StreamId, copy: int, after: datetime, limit: int
) -> list[Row]:
    """The units of a track that begin after that, by start."""
    rows = await connection.fetch(
        """
        SELECT start_at, wall_us, bytes, place, file, sha256 FROM recordings.unit
        WHERE stream = $1 AND copy = $2 AND start_at > $3 ORDER BY start_at LIMIT $4
        """,
        stream, copy, after, limit,
    )  # fmt: skip
    return [
        Row(
            stream, copy, row["start_at"], row["start_at"] + timedelta(microseconds=row["wall_us"]), row["bytes"],
            row["place"], row["file"], row["sha256"],
        )
        for row in rows
    ]  # fmt: skip


async def list_spans(
    connection: Connection, stream: StreamId, copy: int, since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """When there is no unit of a track, for a reason that is told: gaps, and what was deleted."""
    rows: list[Any] = await connection.fetch(
        """
        SELECT start_at, end_at FROM recordings.gap WHERE stream = $1 AND copy = $2 AND start_at < $4 AND end_at > $3
        UNION ALL
        SELECT start_at, end_at FROM terms.deleted WHERE stream = $1 AND start_at < $4 AND end_at > $3
        """,
        stream, copy, since, until,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


async def list_garbage_files(connection: Connection) -> dict[int, list[str]]:
    """The files that wait to be unlinked, by place."""
    rows = await connection.fetch("SELECT place, array_agg(file) FROM terms.garbage GROUP BY place")
    return {row[0]: row[1] for row in rows}


async def list_derived_files(connection: Connection) -> list[tuple[int, str]]:
    """Place and name of every derived file."""
    return [(row[0], row[1]) for row in await connection.fetch("SELECT place, file FROM terms.derived")]


async def list_timed_tables(connection: Connection) -> list[str]:
    """Tables of video that hold something by stream and start, but for those that tell what is gone, or that are
    judged with their holds: found in the catalogue, so that a table nobody thought of is found too.
    """
    rows = await connection.fetch(
        """
        SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('recordings', 'terms', 'masks', 'playback', 'rights', 'exports')
          AND c.relkind IN ('r', 'p')
          AND 2 = (SELECT count(*) FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = c.oid AND NOT a.attisdropped
                     AND (a.attname, a.atttypid)
                         IN (('stream', 'integer'::regtype), ('start_at', 'timestamptz'::regtype)))
          AND c.oid NOT IN ('terms.deleted'::regclass, 'terms.garbage'::regclass, 'terms.derived'::regclass,
                            'recordings.unit'::regclass,
                            -- Its pieces are rows of terms.derived.
                            'exports.file'::regclass)
        ORDER BY 1
        """
    )
    return [row[0] for row in rows]


async def count_past(connection: Connection, table: str, windows: Sequence[tuple[CameraId, Window]]) -> int:
    """How many rows of a table of `list_timed_tables` begin in the windows."""
    end = "t.end_at" if await _has_end(connection, table) else "t.start_at"
    found: int = await connection.fetchval(
        f"""
        SELECT count(*) FROM {table} t JOIN unnest($1::integer[], $2::timestamptz[], $3::timestamptz[])
            AS w (stream, since, until) ON t.stream = w.stream AND t.start_at >= w.since AND {end} < w.until
        """,
        [window.stream for _, window in windows],
        [window.since for _, window in windows],
        [window.until for _, window in windows],
    )
    return found


async def _has_end(connection: Connection, table: str) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute"
            " WHERE attrelid = $1::text::regclass AND attname = 'end_at')",
            table,
        )
    )
