"""SQL of the index: units in, gaps in, and both out again."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from koinon.base.database import Connection
from koinon.base.errors import NotFound
from koinon.video.cameras.model import StreamId
from koinon.video.recorder.model import Gap, Unit
from koinon.video.recordings.model import (
    FETCHED,
    LONGEST,
    EntryId,
    NewUnit,
    OrphanWhy,
    Outcome,
    Place,
    PlaceId,
    PlaceKind,
    SampleEntry,
    StoredGap,
    StoredUnit,
    Track,
    pack_key_frames,
    unpack_key_frames,
)

_COLUMNS: Final = (
    "stream, start_at, copy, wall_us, media_ticks, bytes, frames, lost, damaged, place, file, fence, run, number, "
    "entry, sha256, key_frames, delta_us, camera_us, end_reason"
)
# The types in that order: one array a column, so that a batch of any size is one prepared statement.
_TYPES: Final = (
    "integer", "timestamptz", "smallint", "integer", "bigint", "integer", "integer", "integer", "integer", "smallint",
    "text", "bigint", "uuid", "integer", "integer", "bytea", "bytea", "integer", "bigint", "text",
)  # fmt: skip
_ARRAYS: Final = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, 1))

# One statement: a lease that is lost while it runs cannot be given away before it ends (base.holds). The fence that
# counts is the one of the lease now, $21; a unit that this process adopted was written under an earlier one.
_INSERT: Final = f"""
    WITH given AS MATERIALIZED (
        SELECT g.*, l.under FROM unnest({_ARRAYS}) WITH ORDINALITY AS g ({_COLUMNS}, n)
        JOIN unnest($21::bigint[]) WITH ORDINALITY AS l (under, m) ON l.m = g.n
    ), held AS MATERIALIZED (
        SELECT stream, copy, under, base.holds('video/' || stream || '/' || copy, under) AS holds
        FROM (SELECT DISTINCT stream, copy, under FROM given) AS each
    ), added AS (
        INSERT INTO recordings.unit ({_COLUMNS})
        SELECT {", ".join("given." + name for name in _COLUMNS.split(", "))}
        FROM given JOIN held USING (stream, copy, under) WHERE held.holds
        ON CONFLICT DO NOTHING
        RETURNING stream, copy, start_at, file
    )
    SELECT CASE WHEN added.file IS NOT NULL THEN 'indexed'
                WHEN unit.file = given.file THEN 'known' ELSE 'late' END
    FROM given
    LEFT JOIN added USING (stream, copy, start_at, file)
    LEFT JOIN recordings.unit AS unit USING (stream, copy, start_at)
    ORDER BY given.n
"""


async def insert_units(
    connection: Connection, units: Sequence[NewUnit], fences: Mapping[Track, int]
) -> list[Outcome]:
    """Each unit is in the index, once, if its track's lease is held under the fence given for it; what became of each.

    One statement. A unit whose lease is not held is `late`, and so is one that begins at the very moment of another
    file: see `adopt_unit`.
    """
    if not units:
        return []
    rows = [
        (
            each.track.stream, each.unit.start, each.track.copy, each.unit.wall_us, each.unit.media_ticks,
            each.unit.bytes, each.unit.frames, each.unit.lost_packets, each.unit.damaged_frames, each.place,
            each.file, each.unit.fence, each.unit.run, each.unit.number, each.entry,
            bytes.fromhex(each.unit.sha256), pack_key_frames(each.unit.key_frames), each.unit.delta_us,
            each.unit.camera_us, each.unit.end_reason,
        )
        for each in units
    ]  # fmt: skip
    under = [fences.get(each.track, -1) for each in units]
    return [row[0] for row in await connection.fetch(_INSERT, *map(list, zip(*rows, strict=True)), under)]


async def adopt_unit(connection: Connection, unit: NewUnit) -> bool:
    """A unit that was written under a lease that is no longer held is in the index, unless another covers its time.

    In a transaction. Nobody takes the track's lease, or writes under it, until that ends. Gaps that the unit fills
    are cut. False: it overlaps, or is there already.
    """
    await connection.execute("SELECT FROM base.lease WHERE name = $1 FOR UPDATE", unit.track.lease)
    found = await list_units(
        connection, unit.track.stream, unit.unit.start,
        unit.unit.start + timedelta(microseconds=max(1, unit.unit.wall_us)), copy=unit.track.copy,
    )  # fmt: skip
    slack = timedelta(milliseconds=1)  # of rounding, where one unit ends and the next begins
    end = unit.unit.start + timedelta(microseconds=unit.unit.wall_us)
    if any(each.start + slack < end and unit.unit.start + slack < each.end for each in found):
        return False
    values = (
        unit.track.stream, unit.unit.start, unit.track.copy, unit.unit.wall_us, unit.unit.media_ticks,
        unit.unit.bytes, unit.unit.frames, unit.unit.lost_packets, unit.unit.damaged_frames, unit.place, unit.file,
        unit.unit.fence, unit.unit.run, unit.unit.number, unit.entry, bytes.fromhex(unit.unit.sha256),
        pack_key_frames(unit.unit.key_frames), unit.unit.delta_us, unit.unit.camera_us, unit.unit.end_reason,
    )  # fmt: skip
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    added = await connection.fetchval(
        f"INSERT INTO recordings.unit ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING RETURNING true",
        *values,
    )
    if added:
        await cut_gaps(connection, unit.track, unit.unit.start, end)
    if added and unit.track.copy != FETCHED:  # of which nobody asked for what lies between
        await _fill_holes(connection, unit.track, unit.unit.start, end, unit.unit.end_reason or "crashed")
    return bool(added)


async def cut_gaps(connection: Connection, track: Track, start: datetime, end: datetime) -> None:
    """Of this time no gap of the track is told any more."""
    await connection.execute(
        """
        WITH cut AS (
            DELETE FROM recordings.gap WHERE stream = $1 AND copy = $2 AND start_at < $4 AND end_at > $3
            RETURNING start_at, end_at, reason, detail
        )
        INSERT INTO recordings.gap (stream, copy, start_at, end_at, reason, detail)
        SELECT $1, $2, start_at, $3, reason, detail FROM cut WHERE start_at < $3
        UNION ALL
        SELECT $1, $2, $4, end_at, reason, detail FROM cut WHERE end_at > $4
        ON CONFLICT DO NOTHING
        """,
        track.stream, track.copy, start, end,
    )  # fmt: skip


async def _fill_holes(
    connection: Connection, track: Track, start: datetime, end: datetime, reason: str
) -> None:
    """What lies between the unit and what is told before and after it is a gap: whoever went on after a crash could
    not know of it.
    """
    await connection.execute(
        """
        WITH piece AS (
            SELECT start_at, start_at + wall_us * interval '1 microsecond' AS end_at FROM recordings.unit
            WHERE stream = $1 AND copy = $2 AND start_at BETWEEN $3::timestamptz - $6::interval
                                                            AND $4::timestamptz + $6::interval
            UNION ALL
            SELECT start_at, end_at FROM recordings.gap WHERE stream = $1 AND copy = $2
        ), hole AS (
            SELECT (SELECT max(end_at) FROM piece WHERE start_at < $3) AS since, $3::timestamptz AS until
            UNION ALL
            SELECT $4, (SELECT min(start_at) FROM piece WHERE start_at > $3)
        )
        INSERT INTO recordings.gap (stream, copy, start_at, end_at, reason)
        SELECT $1, $2, since, until, $5 FROM hole WHERE until - since > interval '2 milliseconds'
        ON CONFLICT DO NOTHING
        """,
        track.stream, track.copy, start, end, reason, timedelta(days=1),
    )  # fmt: skip


async def insert_gaps(
    connection: Connection, gaps: Sequence[tuple[Track, Gap]], fences: Mapping[Track, int]
) -> int:
    """Each gap is a row, if its track's lease is held under the fence given for it; how many are new or grew."""
    if not gaps:
        return 0
    told = await connection.execute(
        """
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::integer[], $2::smallint[], $3::timestamptz[], $4::timestamptz[], $5::text[],
                                 $6::text[], $7::bigint[]) AS g (stream, copy, start_at, end_at, reason, detail, under)
        ), held AS MATERIALIZED (
            SELECT stream, copy, under, base.holds('video/' || stream || '/' || copy, under) AS holds
            FROM (SELECT DISTINCT stream, copy, under FROM given) AS each
        )
        INSERT INTO recordings.gap (stream, copy, start_at, end_at, reason, detail)
        SELECT DISTINCT ON (stream, copy, start_at) stream, copy, start_at, end_at, reason, detail
        FROM given JOIN held USING (stream, copy, under) WHERE held.holds
        ORDER BY stream, copy, start_at, end_at DESC
        ON CONFLICT (stream, copy, start_at) DO UPDATE SET end_at = excluded.end_at
            WHERE gap.end_at < excluded.end_at
        """,
        [track.stream for track, _ in gaps],
        [track.copy for track, _ in gaps],
        [gap.start for _, gap in gaps],
        [gap.end for _, gap in gaps],
        [gap.reason for _, gap in gaps],
        [gap.detail[:500] for _, gap in gaps],
        [fences.get(track, -1) for track, _ in gaps],
    )
    return int(told.rsplit(" ", 1)[1])


async def ensure_entry(connection: Connection, unit: Unit) -> EntryId:
    """How the unit's pictures are decoded is in the index, once; its number."""
    digest = hashlib.sha256(unit.init).digest()
    found = await connection.fetchval(
        """
        WITH added AS (
            INSERT INTO recordings.sample_entry (sha256, codec, width, height, init) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (sha256) DO NOTHING RETURNING id
        )
        SELECT id FROM added UNION ALL SELECT id FROM recordings.sample_entry WHERE sha256 = $1 LIMIT 1
        """,
        digest, unit.codec, unit.width, unit.height, unit.init,
    )  # fmt: skip
    if found is None:  # another process made it, and this statement began before that was committed
        found = await connection.fetchval("SELECT id FROM recordings.sample_entry WHERE sha256 = $1", digest)
    return EntryId(found)


async def get_entry(connection: Connection, entry: EntryId) -> SampleEntry:
    """How pictures are decoded. Raises: NotFound: `sample_entry_unknown`."""
    row = await connection.fetchrow(
        "SELECT id, codec, width, height, init FROM recordings.sample_entry WHERE id = $1", entry
    )
    if row is None:
        raise NotFound("sample_entry_unknown", entry=entry)
    return SampleEntry(**dict(row))


async def list_units(
    connection: Connection,
    stream: StreamId,
    since: datetime,
    until: datetime,
    *,
    copy: int | None = None,
    limit: int = 100_000,
) -> list[StoredUnit]:
    """The units of the stream that hold a moment of [since, until), by start; of both copies unless one is named."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM recordings.unit
        WHERE stream = $1 AND start_at > $2::timestamptz - $5::interval AND start_at < $3
          AND start_at + wall_us * interval '1 microsecond' > $2 AND ($4::smallint IS NULL OR copy = $4)
        ORDER BY start_at, copy LIMIT $6
        """,
        stream, since, until, copy, LONGEST, limit,
    )  # fmt: skip
    return [unit_of(row) for row in rows]


async def get_unit(connection: Connection, stream: StreamId, start: datetime, copy: int) -> StoredUnit:
    """The one unit. Raises: NotFound: `unit_unknown`."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM recordings.unit WHERE stream = $1 AND start_at = $2 AND copy = $3",
        stream, start, copy,
    )  # fmt: skip
    if row is None:
        raise NotFound("unit_unknown")
    return unit_of(row)


async def list_gaps(
    connection: Connection, stream: StreamId, since: datetime, until: datetime, *, copy: int | None = None
) -> list[StoredGap]:
    """The gaps of the stream that hold a moment of [since, until), by start."""
    rows = await connection.fetch(
        """
        SELECT stream, copy, start_at, end_at, reason, detail FROM recordings.gap
        WHERE stream = $1 AND start_at < $3 AND end_at > $2 AND ($4::smallint IS NULL OR copy = $4)
        ORDER BY start_at, copy
        """,
        stream, since, until, copy,
    )  # fmt: skip
    return [
        StoredGap(
            stream=row["stream"], copy=row["copy"], start=row["start_at"], end=row["end_at"],
            reason=row["reason"], detail=row["detail"],
        )
        for row in rows
    ]  # fmt: skip


async def list_ends(
    connection: Connection, tracks: Sequence[Track]
) -> dict[Track, tuple[datetime, str | None]]:
    """Up to when each track is accounted for by units and gaps, and why the last unit ended, if it said."""
    rows = await connection.fetch(
        """
        SELECT t.stream, t.copy, unit.end_at, unit.end_reason, gap.end_at AS gap_end, gap.reason
        FROM unnest($1::integer[], $2::smallint[]) AS t (stream, copy)
        LEFT JOIN LATERAL (
            SELECT start_at + wall_us * interval '1 microsecond' AS end_at, end_reason FROM recordings.unit AS u
            WHERE u.stream = t.stream AND u.copy = t.copy ORDER BY start_at DESC LIMIT 1
        ) AS unit ON true
        LEFT JOIN LATERAL (
            SELECT end_at, reason FROM recordings.gap AS g
            WHERE g.stream = t.stream AND g.copy = t.copy ORDER BY start_at DESC LIMIT 1
        ) AS gap ON true
        WHERE unit.end_at IS NOT NULL OR gap.end_at IS NOT NULL
        """,
        [each.stream for each in tracks],
        [each.copy for each in tracks],
    )
    found: dict[Track, tuple[datetime, str | None]] = {}
    for row in rows:
        ends = [(row["end_at"], row["end_reason"]), (row["gap_end"], row["reason"])]
        found[Track(row["stream"], row["copy"])] = max(
            (each for each in ends if each[0] is not None), key=lambda each: each[0]
        )
    return found


# Places


async def ensure_place(
    connection: Connection, marker: UUID, kind: PlaceKind, address: str, host: str = ""
) -> Place:
    """The place with this marker is known, under its newest address; `host` is the machine of a folder."""
    row = await connection.fetchrow(
        """
        INSERT INTO recordings.place (marker, kind, address, host) VALUES ($1, $2, $3, $4)
        ON CONFLICT (marker) DO UPDATE SET address = excluded.address, host = excluded.host
        RETURNING id, marker, kind, address
        """,
        marker, kind, address, host,
    )  # fmt: skip
    return Place(**dict(cast(Any, row)))


async def list_places(connection: Connection) -> list[Place]:
    """Every place there ever was."""
    rows = await connection.fetch("SELECT id, marker, kind, address FROM recordings.place ORDER BY id")
    return [Place(**dict(row)) for row in rows]


async def knows_folder(connection: Connection, host: str, address: str) -> bool:
    """Whether this folder of that machine was ever a place of recordings."""
    known = await connection.fetchval(
        "SELECT true FROM recordings.place WHERE kind = 'folder' AND host = $1 AND address = $2 LIMIT 1",
        host, address,
    )  # fmt: skip
    return bool(known)


async def place_seen(connection: Connection, place: PlaceId) -> datetime:
    """Until when a recorder is known to have written there."""
    seen: datetime = await connection.fetchval("SELECT seen_at FROM recordings.place WHERE id = $1", place)
    return seen


async def list_files(
    connection: Connection, place: PlaceId, since: datetime
) -> dict[str, tuple[Track, datetime]]:
    """The files that the index has in a place, of units that began since then."""
    rows = await connection.fetch(
        "SELECT file, stream, copy, start_at FROM recordings.unit WHERE place = $1 AND start_at >= $2",
        place, since,
    )  # fmt: skip
    return {row["file"]: (Track(row["stream"], row["copy"]), row["start_at"]) for row in rows}


async def insert_orphan(
    connection: Connection,
    place: PlaceId,
    file: str,
    why: OrphanWhy,
    track: Track | None = None,
    start: datetime | None = None,
) -> bool:
    """It is told, once, that this file and the index do not agree; whether it was new."""
    told = await connection.fetchval(
        """
        INSERT INTO recordings.orphan (place, file, why, stream, copy, start_at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        place, file, why, track and track.stream, track and track.copy, start,
    )  # fmt: skip
    return bool(told)


async def move_unit(connection: Connection, unit: StoredUnit, place: PlaceId, file: str) -> bool:
    """The unit's bytes are now taken from there; false if it is no longer where it was, or gone."""
    moved = await connection.fetchval(
        """
        UPDATE recordings.unit SET place = $5, file = $6
        WHERE stream = $1 AND start_at = $2 AND copy = $3 AND place = $4 RETURNING true
        """,
        unit.stream, unit.start, unit.copy, unit.place, place, file,
    )  # fmt: skip
    return bool(moved)


async def list_in_place(
    connection: Connection, place: PlaceId, *, limit: int, before: datetime, after: StoredUnit | None = None
) -> list[StoredUnit]:
    """The oldest units whose bytes lie in a place and that ended long enough ago; those that come after `after`."""
    last = (
        (after.start, after.stream, after.copy)
        if after is not None
        else (datetime.min.replace(tzinfo=UTC), 0, 0)
    )
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM recordings.unit WHERE place = $1 AND start_at < $2 AND start_at >= $4
            AND (start_at, stream, copy) > ($4, $5, $6) ORDER BY start_at, stream, copy LIMIT $3
        """,
        place, before, limit, *last,
    )  # fmt: skip
    return [unit_of(row) for row in rows]


def unit_of(row: Any) -> StoredUnit:
    """The unit in a row of all columns."""
    values = dict(row)
    return StoredUnit(
        start=values.pop("start_at"), key_frames=unpack_key_frames(values.pop("key_frames")), **values
    )
