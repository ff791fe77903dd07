"""What is due, and what becomes of it: rows of recordings go, rows of garbage come; files follow."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from koinon.base.database import Connection
from koinon.trust.parties import PartyId
from koinon.video.cameras.model import CameraId, PlaceKind, StreamId
from koinon.video.terms.model import (
    BEGINNING,
    Assignment,
    Deleted,
    Derived,
    Garbage,
    Limit,
    Regimes,
    Why,
    Window,
)
from koinon.video.terms.policy import ADJACENT, limits_of, merge_deleted
from koinon.video.terms.regimes import written_for

# Whoever deletes and whoever places a hold take turns: a hold that was confirmed keeps what was there.
_TURN: Final = 0x7465726D73  # "terms"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A camera as terms see it.

    Attributes:
        own_days: what its owner keeps, where that is shorter than the law; None: no own term.
        shared: whether everybody may know that there is such a camera.
        owner_kind: of the party; none for one that is not known, for which few rules are written.
    """

    camera: CameraId
    owner: PartyId
    code: str
    name: str
    regime: str
    streams: tuple[StreamId, ...]
    assignments: tuple[Assignment, ...]
    own_days: int | None
    shared: bool
    owner_kind: str
    place_kind: PlaceKind

    def limits(self, regimes: Regimes, now: datetime) -> tuple[Limit, ...]:
        """See `limits_of`; a version that is not written for such a camera does not count for it."""
        mine = written_for(regimes, self.owner, self.owner_kind, self.place_kind)
        return limits_of(self.assignments, mine, now)

    @property
    def public_code(self) -> str | None:
        """How the register log, which anybody reads, names it; None for one that is not shared."""
        return self.code if self.shared else None


class Gone(NamedTuple):
    """A unit of which the row is gone."""

    stream: StreamId
    camera: CameraId
    start: datetime
    wall_us: int
    bytes: int
    why: Why

    @property
    def piece(self) -> Deleted:
        """The stretch that it was."""
        end = self.start + timedelta(microseconds=self.wall_us)
        return Deleted(stream=self.stream, start=self.start, end=end, why=self.why, units=1, bytes=self.bytes)


async def take_turn(connection: Connection) -> None:
    """Until this transaction ends nobody else deletes or holds."""
    await connection.execute("SELECT pg_catalog.pg_advisory_xact_lock($1)", _TURN)


async def list_kept(connection: Connection, owner: PartyId | None = None) -> list[Kept]:
    """Every camera there ever was, or those of one owner, by code."""
    rows = await connection.fetch(
        """
        SELECT c.id, c.owner, c.code, c.name, c.regime, c.shared, c.place_kind, coalesce(p.kind, '') AS owner_kind,
               array(SELECT s.id FROM cameras.stream s WHERE s.camera = c.id ORDER BY s.id) AS streams,
               array(SELECT a.since FROM terms.assignment a WHERE a.camera = c.id ORDER BY a.since) AS sinces,
               array(SELECT a.regime FROM terms.assignment a WHERE a.camera = c.id ORDER BY a.since) AS regimes,
               (SELECT o.days FROM terms.own_term o WHERE o.camera = c.id ORDER BY o.since DESC LIMIT 1) AS own_days
        FROM cameras.camera c LEFT JOIN parties.party p ON p.id = c.owner
        WHERE $1::uuid IS NULL OR c.owner = $1 ORDER BY c.code
        """,
        owner,
    )
    return [
        Kept(
            camera=row["id"], owner=row["owner"], code=row["code"], name=row["name"], regime=row["regime"],
            streams=tuple(row["streams"]),
            assignments=tuple(map(Assignment, map(_aware, row["sinces"]), row["regimes"])),
            own_days=row["own_days"], shared=row["shared"], owner_kind=row["owner_kind"],
            place_kind=PlaceKind(row["place_kind"]),
        )
        for row in rows
    ]  # fmt: skip


async def list_regimes(connection: Connection, camera: CameraId, since: datetime) -> list[str]:
    """Every regime under which the camera was at `since` or has been after it."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT a.regime FROM terms.assignment a
        WHERE a.camera = $1 AND a.since >= coalesce(
            (SELECT max(b.since) FROM terms.assignment b WHERE b.camera = $1 AND b.since <= $2), '-infinity')
        """,
        camera, since,
    )  # fmt: skip
    return [row[0] for row in rows]


def _aware(instant: datetime) -> datetime:
    return BEGINNING if instant.year <= 1 else instant  # '-infinity' comes as a datetime without a zone


# The same as `policy.keeps`. A unit is held as a whole when a moment of it is.
_HELD: Final = """EXISTS (
        SELECT FROM terms.hold h
        WHERE h.camera = w.camera AND h.ended_at IS NULL AND h.placed_at <= $6 AND h.ends_at > $6
          AND u.start_at < h.until AND {end} > h.since
          AND (w.spare = 'all' OR u.start_at > $6 - h.keeps_days * interval '1 day')
    )"""
_WINDOWS: Final = """unnest($1::integer[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[], $7::text[])
        AS w (stream, camera, since, until, spare, why)"""
_DELETE_UNITS: Final = f"""
    WITH due AS MATERIALIZED (
        SELECT d.*, w.camera, w.why FROM {_WINDOWS}
        CROSS JOIN LATERAL (
            SELECT u.stream, u.start_at, u.copy FROM recordings.unit u
            WHERE u.stream = w.stream AND u.start_at >= w.since AND u.start_at < w.until
              AND NOT {_HELD.format(end="u.start_at + u.wall_us * interval '1 microsecond'")}
            ORDER BY u.start_at LIMIT $8
        ) d LIMIT $8
    ), gone AS (
        DELETE FROM recordings.unit u USING due
        WHERE (u.stream, u.start_at, u.copy) = (due.stream, due.start_at, due.copy)
        RETURNING u.stream, u.start_at, u.copy, u.wall_us, u.bytes, u.place, u.file, due.camera, due.why
    ), garbage AS (
        INSERT INTO terms.garbage (kind, stream, copy, start_at, place, file, bytes, why, at)
        SELECT 'unit', stream, copy, start_at, place, file, bytes, why, $6 FROM gone
        ON CONFLICT (place, file) DO NOTHING
    )
    SELECT stream, camera, start_at, wall_us, bytes, why FROM gone
"""
_DELETE_DERIVED: Final = f"""
    WITH due AS MATERIALIZED (
        SELECT DISTINCT ON (u.id) u.id, w.why FROM {_WINDOWS}
        JOIN terms.derived u ON u.stream = w.stream AND u.start_at >= w.since AND u.start_at < w.until
        WHERE NOT {_HELD.format(end="greatest(u.end_at, u.start_at + interval '1 microsecond')")}
        LIMIT $8
    ), gone AS (
        DELETE FROM terms.derived u USING due WHERE u.id = due.id RETURNING u.*, due.why
    ), garbage AS (
        INSERT INTO terms.garbage (kind, stream, start_at, place, file, bytes, why, at)
        SELECT 'derived', stream, start_at, place, file, bytes, why, $6 FROM gone
        ON CONFLICT (place, file) DO NOTHING
    )
    SELECT count(*) FROM gone
"""


def _columns(windows: Sequence[tuple[CameraId, Window]], now: datetime, most: int) -> tuple[object, ...]:
    return (
        [each.stream for _, each in windows],
        [camera for camera, _ in windows],
        [each.since for _, each in windows],
        [each.until for _, each in windows],
        [each.spare_holds for _, each in windows],
        now,
        [each.why.value for _, each in windows],
        most,
    )


async def delete_units(
    connection: Connection, windows: Sequence[tuple[CameraId, Window]], now: datetime, most: int
) -> list[Gone]:
    """At most `most` units in the windows, not held, are no rows any more but garbage; the oldest of each stream first.

    In a transaction, in turn.
    """
    rows = await connection.fetch(_DELETE_UNITS, *_columns(windows, now, most))
    return [
        Gone(row["stream"], row["camera"], row["start_at"], row["wall_us"], row["bytes"], Why(row["why"]))
        for row in rows
    ]


async def delete_derived(
    connection: Connection, windows: Sequence[tuple[CameraId, Window]], now: datetime, most: int
) -> int:
    """At most `most` derived files in the windows, not held, are garbage; how many."""
    found: int = await connection.fetchval(_DELETE_DERIVED, *_columns(windows, now, most))
    return found


async def delete_derived_of(connection: Connection, pieces: Sequence[Deleted], now: datetime) -> int:
    """No derived file holds a moment of these stretches any more: they are garbage; how many."""
    found: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM terms.derived d
            USING (
                SELECT DISTINCT ON (d.id) d.id, p.why
                FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[], $4::text[])
                    AS p (stream, since, until, why)
                JOIN terms.derived d ON d.stream = p.stream AND d.start_at < p.until
                    AND (d.end_at > p.since OR d.start_at >= p.since)
            ) AS due
            WHERE d.id = due.id RETURNING d.*, due.why
        ), garbage AS (
            INSERT INTO terms.garbage (kind, stream, start_at, place, file, bytes, why, at)
            SELECT 'derived', stream, start_at, place, file, bytes, why, $5 FROM gone
            ON CONFLICT (place, file) DO NOTHING
        )
        SELECT count(*) FROM gone
        """,
        *_stretches(pieces), now,
    )  # fmt: skip
    return found


async def delete_gaps(connection: Connection, windows: Sequence[tuple[CameraId, Window]]) -> int:
    """Gaps that lie wholly in the windows are gone: nothing there is said any more but that its term is over."""
    told = await connection.execute(
        """
        DELETE FROM recordings.gap g
        USING unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) AS w (stream, since, until)
        WHERE g.stream = w.stream AND g.start_at >= w.since AND g.end_at <= w.until
        """,
        [each.stream for _, each in windows],
        [each.since for _, each in windows],
        [each.until for _, each in windows],
    )
    return int(told.rsplit(" ", 1)[1])


async def note_deleted(
    connection: Connection, gone: Sequence[Gone], day: date, now: datetime
) -> list[Deleted]:
    """What is gone is told: merged with what went before it, and counted for its camera and day; the new stretches.

    In the transaction in which it went.
    """
    pieces = merge_deleted(each.piece for each in gone)
    rows = await connection.fetch(
        """
        DELETE FROM terms.deleted d
        USING unnest($1::integer[], $2::timestamptz[], $3::timestamptz[], $4::text[]) AS p (stream, since, until, why)
        WHERE d.stream = p.stream AND d.why = p.why AND d.start_at <= p.until + $5::interval
          AND d.end_at >= p.since - $5::interval
        RETURNING d.stream, d.start_at, d.end_at, d.why, d.units, d.bytes
        """,
        *_stretches(pieces), ADJACENT,
    )  # fmt: skip
    merged = merge_deleted([*pieces, *map(_deleted, rows)])
    await connection.execute(
        """
        INSERT INTO terms.deleted (stream, start_at, end_at, why, units, bytes, changed_at)
        SELECT *, $7 FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::integer[],
                                 $6::bigint[])
        """,
        *_stretches(merged), [each.units for each in merged], [each.bytes for each in merged], now,
    )  # fmt: skip
    counts: dict[tuple[CameraId, Why], tuple[int, int]] = {}
    for each in gone:
        units, size = counts.get((each.camera, each.why), (0, 0))
        counts[each.camera, each.why] = (units + 1, size + each.bytes)
    await connection.execute(
        """
        INSERT INTO terms.deletion AS d (day, camera, why, units, bytes)
        SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::integer[], $5::bigint[])
        ON CONFLICT (day, camera, why) DO UPDATE SET units = d.units + excluded.units, bytes = d.bytes + excluded.bytes
        """,
        day,
        [camera for camera, _ in counts],
        [why.value for _, why in counts],
        [units for units, _ in counts.values()],
        [size for _, size in counts.values()],
    )
    return pieces


def _stretches(
    pieces: Sequence[Deleted],
) -> tuple[list[StreamId], list[datetime], list[datetime], list[str]]:
    return (
        [each.stream for each in pieces],
        [each.start for each in pieces],
        [each.end for each in pieces],
        [each.why.value for each in pieces],
    )


def _deleted(row: Any) -> Deleted:
    return Deleted(
        stream=row["stream"], start=row["start_at"], end=row["end_at"], why=Why(row["why"]), units=row["units"],
        bytes=row["bytes"],
    )  # fmt: skip


async def list_deleted(
    connection: Connection, stream: StreamId, since: datetime, until: datetime
) -> list[Deleted]:
    """The stretches of the stream that are gone and hold a moment of [since, until), by start."""
    rows = await connection.fetch(
        """
        SELECT stream, start_at, end_at, why, units, bytes FROM terms.deleted
        WHERE stream = $1 AND start_at < $3 AND end_at > $2 ORDER BY start_at
        """,
        stream, since, until,
    )  # fmt: skip
    return [_deleted(row) for row in rows]


async def insert_derived(connection: Connection, derived: Derived, now: datetime) -> bool:
    """The file is known as made from recordings, if the oldest of those is still there.

    False: what it was made from is gone already, so that the file must go too; the caller unlinks it.
    """
    known = await connection.fetchval(
        """
        INSERT INTO terms.derived (id, stream, start_at, end_at, kind, place, file, bytes, made_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
        WHERE EXISTS (
            SELECT FROM recordings.unit WHERE stream = $2 AND start_at > $3::timestamptz - interval '2 hours'
              AND start_at <= $3 AND start_at + wall_us * interval '1 microsecond' >= $3
        )
        ON CONFLICT (place, file) DO UPDATE SET bytes = excluded.bytes RETURNING true
        """,
        derived.id, derived.stream, derived.start, derived.end, derived.kind, derived.place, derived.file,
        derived.bytes, now,
    )  # fmt: skip
    return bool(known)


# Garbage


async def take_garbage(connection: Connection, place: int, most: int) -> list[Garbage]:
    """The next garbage of a place, this transaction's alone; what failed before comes last."""
    rows = await connection.fetch(
        """
        SELECT id, place, file FROM terms.garbage WHERE place = $1 ORDER BY failures, id LIMIT $2
        FOR UPDATE SKIP LOCKED
        """,
        place, most,
    )  # fmt: skip
    return [Garbage(**dict(row)) for row in rows]


async def list_garbage_files(connection: Connection, place: int) -> list[str]:
    """The files of a place that wait to be unlinked: whoever finds one on the disk must not give it a row again."""
    rows = await connection.fetch("SELECT file FROM terms.garbage WHERE place = $1", place)
    return [row[0] for row in rows]


async def forget_garbage(connection: Connection, ids: Iterable[int]) -> None:
    """The files are durably gone, and so are their rows."""
    await connection.execute("DELETE FROM terms.garbage WHERE id = ANY($1::bigint[])", list(ids))


async def note_failures(connection: Connection, failures: Sequence[tuple[int, str]]) -> None:
    """Why these files could not be unlinked."""
    await connection.execute(
        """
        UPDATE terms.garbage g SET failures = failures + 1, last_error = f.why
        FROM unnest($1::bigint[], $2::text[]) AS f (id, why) WHERE g.id = f.id
        """,
        [id_ for id_, _ in failures],
        [why[:500] for _, why in failures],
    )


async def count_garbage(connection: Connection) -> dict[int, tuple[int, datetime]]:
    """Of each place with garbage: how many files, and since when the oldest waits."""
    rows = await connection.fetch("SELECT place, count(*), min(at) FROM terms.garbage GROUP BY place")
    return {row[0]: (row[1], row[2]) for row in rows}


async def sum_garbage(connection: Connection, place: int) -> int:
    """Bytes of the files that wait to be unlinked in a place."""
    found: int = await connection.fetchval(
        "SELECT coalesce(sum(bytes), 0)::bigint FROM terms.garbage WHERE place = $1", place
    )
    return found


async def discard_derived(
    connection: Connection, kind: str, prefix: str, now: datetime, *, but: str | None = None
) -> int:
    """Derived files of that kind whose names begin with `prefix` are garbage, whatever their term; those that begin
    with `but` stay. How many.

    For whoever made them and wants them no more. `prefix` holds no wildcard.
    """
    found: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM terms.derived
            WHERE kind = $1 AND starts_with(file, $2) AND NOT ($3::text IS NOT NULL AND starts_with(file, $3::text))
            RETURNING *
        ), garbage AS (
            INSERT INTO terms.garbage (kind, stream, start_at, place, file, bytes, why, at)
            SELECT 'derived', stream, start_at, place, file, bytes, 'term', $4 FROM gone
            ON CONFLICT (place, file) DO NOTHING
        )
        SELECT count(*) FROM gone
        """,
        kind, prefix, but, now,
    )  # fmt: skip
    return found


async def count_derived(connection: Connection, place: int, files: Sequence[str]) -> int:
    """How many of these files are known as made from recordings that are there."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM terms.derived WHERE place = $1 AND file = ANY($2::text[])", place, list(files)
    )
    return found
