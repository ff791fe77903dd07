"""Room, rates, alarms, settings, and the term that was achieved."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.trust.parties import PartyId
from koinon.video.cameras.model import CameraId
from koinon.video.terms.model import Why, Window
from koinon.video.terms.store.due import Gone


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What the site allows when a disk fills up."""

    early_deletion: bool = False
    reserve_percent: int = 5
    announce_days: int = 7


class RoomRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a place has left, as somebody who can reach it saw it last."""

    place: int
    at: datetime
    free_bytes: int | None
    total_bytes: int
    state: str
    days_left: int | None
    to_free_bytes: int
    in_per_day_bytes: int


class Alarm(NamedTuple):
    """What somebody must look at, or had to."""

    kind: str
    subject: str
    since: datetime
    until: datetime | None
    detail: dict[str, Any]


class Kept(NamedTuple):
    """The oldest that there is of a camera, and what is past its legal maximum."""

    oldest: datetime | None
    oldest_held: datetime | None
    overdue: int


class Achieved(msgspec.Struct, frozen=True, kw_only=True):
    """The term that a camera achieved on a day; `within`: nothing of it was older than the law allows."""

    day: date
    camera: CameraId
    owner: PartyId
    regime: str
    rule: str | None
    fallen_back: str | None
    maximum_days: int
    term_days: int
    oldest_at: datetime | None
    oldest_held_at: datetime | None
    deleted_units: int
    deleted_bytes: int
    early_units: int
    holds: int
    within: bool
    entry: UUID


async def get_setting(connection: Connection) -> Setting:
    """What the site allows now."""
    row = await connection.fetchrow(
        "SELECT early_deletion, reserve_percent, announce_days FROM terms.setting"
    )
    return Setting(**dict(row)) if row else Setting()


async def put_setting(connection: Connection, setting: Setting, at: datetime) -> None:
    """The site allows this from now on."""
    await connection.execute(
        "UPDATE terms.setting SET early_deletion = $1, reserve_percent = $2, announce_days = $3, changed_at = $4",
        setting.early_deletion, setting.reserve_percent, setting.announce_days, at,
    )  # fmt: skip


async def put_room(connection: Connection, room: RoomRow) -> None:
    """The newest of what a place has left is told."""
    await connection.execute(
        """
        INSERT INTO terms.room (place, at, free_bytes, total_bytes, state, days_left, to_free_bytes, in_per_day_bytes)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (place) DO UPDATE SET at = excluded.at, free_bytes = excluded.free_bytes,
            total_bytes = excluded.total_bytes, state = excluded.state, days_left = excluded.days_left,
            to_free_bytes = excluded.to_free_bytes, in_per_day_bytes = excluded.in_per_day_bytes
        """,
        *msgspec.structs.astuple(room),
    )


async def list_rooms(connection: Connection) -> list[RoomRow]:
    """Every place of which somebody said what it has left."""
    rows = await connection.fetch(
        "SELECT place, at, free_bytes, total_bytes, state, days_left, to_free_bytes, in_per_day_bytes FROM terms.room"
        " ORDER BY place"
    )
    return [RoomRow(**dict(row)) for row in rows]


async def get_rate(connection: Connection, place: int) -> tuple[int, dict[int, int]]:
    """Bytes a day that come into a place, and that become due there on each coming day; nothing where unknown."""
    row = await connection.fetchrow(
        "SELECT in_per_day_bytes, due_by_day_bytes FROM terms.rate WHERE place = $1", place
    )
    return (row[0], dict(enumerate(row[1]))) if row else (0, {})


async def sample_rates(
    connection: Connection, due: Sequence[Sequence[tuple[CameraId, Window]]], now: datetime
) -> dict[int, tuple[int, list[int]]]:
    """Of each place: bytes a day that come in, by the last hour; bytes that become due on day n, by the first hour of
    what the windows `due[n]` add to those before.
    """
    rows = await connection.fetch(
        """
        SELECT u.place, 24 * sum(u.bytes)::bigint FROM cameras.stream s
        CROSS JOIN LATERAL (
            SELECT place, bytes FROM recordings.unit
            WHERE stream = s.id AND start_at >= $1::timestamptz - interval '1 hour' AND start_at < $1
        ) u GROUP BY u.place
        """,
        now,
    )
    found: dict[int, tuple[int, list[int]]] = {row[0]: (row[1], [0] * len(due)) for row in rows}
    for day, windows in enumerate(due):
        rows = await connection.fetch(
            """
            SELECT u.place, 24 * sum(u.bytes)::bigint
            FROM unnest($1::integer[], $2::timestamptz[]) AS w (stream, until)
            CROSS JOIN LATERAL (
                SELECT place, bytes FROM recordings.unit
                WHERE stream = w.stream AND start_at >= w.until - interval '1 hour' AND start_at < w.until
            ) u GROUP BY u.place
            """,
            [window.stream for _, window in windows],
            [window.until for _, window in windows],
        )
        for place, size in rows:
            found.setdefault(place, (0, [0] * len(due)))[1][day] = size
    return found


async def put_rates(connection: Connection, rates: dict[int, tuple[int, list[int]]], now: datetime) -> None:
    """How fast places fill is told anew."""
    await connection.executemany(
        """
        INSERT INTO terms.rate (place, at, in_per_day_bytes, due_by_day_bytes) VALUES ($1, $2, $3, $4)
        ON CONFLICT (place) DO UPDATE SET at = excluded.at, in_per_day_bytes = excluded.in_per_day_bytes,
            due_by_day_bytes = excluded.due_by_day_bytes
        """,
        [(place, now, size, due) for place, (size, due) in rates.items()],
    )


async def delete_oldest(
    connection: Connection, place: int, to_free: int, floor: datetime, now: datetime, most: int
) -> list[Gone]:
    """The oldest units of a place are garbage, until `to_free` bytes are: never held ones, nor younger than `floor`.

    At most `most`. In a transaction, in turn.
    """
    rows = await connection.fetch(
        """
        WITH old AS MATERIALIZED (
            SELECT u.*, s.camera, sum(u.bytes) OVER (ORDER BY u.start_at, u.stream, u.copy) - u.bytes AS before
            FROM cameras.stream s
            CROSS JOIN LATERAL (
                SELECT u.stream, u.start_at, u.copy, u.bytes FROM recordings.unit u
                WHERE u.stream = s.id AND u.place = $1 AND u.start_at < $3 AND NOT EXISTS (
                    SELECT FROM terms.hold h
                    WHERE h.camera = s.camera AND h.ended_at IS NULL AND h.placed_at <= $4 AND h.ends_at > $4
                      AND u.start_at < h.until AND u.start_at + u.wall_us * interval '1 microsecond' > h.since
                )
                ORDER BY u.start_at LIMIT $5
            ) u
            ORDER BY u.start_at, u.stream, u.copy LIMIT $5
        ), gone AS (
            DELETE FROM recordings.unit u USING old
            WHERE old.before < $2 AND (u.stream, u.start_at, u.copy) = (old.stream, old.start_at, old.copy)
            RETURNING u.stream, u.start_at, u.copy, u.wall_us, u.bytes, u.place, u.file, old.camera
        ), garbage AS (
            INSERT INTO terms.garbage (kind, stream, copy, start_at, place, file, bytes, why, at)
            SELECT 'unit', stream, copy, start_at, place, file, bytes, 'pressure', $4 FROM gone
            ON CONFLICT (place, file) DO NOTHING
        )
        SELECT stream, camera, start_at, wall_us, bytes FROM gone ORDER BY start_at
        """,
        place, to_free, floor, now, most,
    )  # fmt: skip
    return [
        Gone(row["stream"], row["camera"], row["start_at"], row["wall_us"], row["bytes"], Why.PRESSURE)
        for row in rows
    ]


# Alarms


async def raise_alarm(
    connection: Connection, kind: str, subject: str, at: datetime, detail: dict[str, Any]
) -> bool:
    """The alarm stands; whether it did not before."""
    told = await connection.fetchval(
        """
        INSERT INTO terms.alarm (kind, subject, since, detail) VALUES ($1, $2, $3, $4)
        ON CONFLICT (kind, subject) WHERE until IS NULL DO UPDATE SET detail = excluded.detail
        RETURNING since = $3
        """,
        kind, subject, at, detail,
    )  # fmt: skip
    return bool(told)


async def end_alarms(connection: Connection, kind: str, at: datetime, *, but: Sequence[str] = ()) -> int:
    """No alarm of this kind stands but for these subjects; how many ended."""
    told = await connection.execute(
        "UPDATE terms.alarm SET until = $2 WHERE kind = $1 AND until IS NULL AND subject <> ALL($3::text[])",
        kind, at, list(but),
    )  # fmt: skip
    return int(told.rsplit(" ", 1)[1])


async def list_alarms(connection: Connection, *, since: datetime | None = None) -> list[Alarm]:
    """The alarms that stand; with `since` also those that ended later than that. The newest first."""
    rows = await connection.fetch(
        """
        SELECT kind, subject, since, until, detail FROM terms.alarm
        WHERE until IS NULL OR until > $1 ORDER BY since DESC, id DESC LIMIT 500
        """,
        since,
    )
    return [Alarm(*row) for row in rows]


# The achieved term


async def read_kept(
    connection: Connection, windows: Sequence[tuple[CameraId, Window]], now: datetime
) -> dict[CameraId, Kept]:
    """Of every camera its oldest images, without and with holds, and how much in `windows` should have been gone:
    units, derived files, and files of which only the row is gone.
    """
    rows = await connection.fetch(
        """
        SELECT s.camera, min(free.start_at), min(held.start_at) FROM cameras.stream s
        LEFT JOIN LATERAL (
            SELECT u.start_at FROM recordings.unit u WHERE u.stream = s.id AND NOT EXISTS (
                SELECT FROM terms.hold h
                WHERE h.camera = s.camera AND h.ended_at IS NULL AND h.placed_at <= $1 AND h.ends_at > $1
                  AND u.start_at < h.until AND u.start_at + u.wall_us * interval '1 microsecond' > h.since
            ) ORDER BY u.start_at LIMIT 1
        ) AS free ON true
        LEFT JOIN LATERAL (
            SELECT u.start_at FROM recordings.unit u WHERE u.stream = s.id ORDER BY u.start_at LIMIT 1
        ) AS held ON true
        GROUP BY s.camera
        """,
        now,
    )
    over = await connection.fetch(
        """
        SELECT w.camera, sum(n.count)::bigint
        FROM unnest($1::integer[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[])
            AS w (stream, camera, since, until, spare)
        CROSS JOIN LATERAL (
            SELECT count(*) FROM (
                SELECT u.start_at, u.start_at + u.wall_us * interval '1 microsecond' AS end_at FROM recordings.unit u
                WHERE u.stream = w.stream AND u.start_at >= w.since AND u.start_at < w.until
                UNION ALL
                SELECT d.start_at, greatest(d.end_at, d.start_at + interval '1 microsecond') FROM terms.derived d
                WHERE d.stream = w.stream AND d.start_at >= w.since AND d.start_at < w.until
                UNION ALL
                SELECT g.start_at, NULL FROM terms.garbage g
                WHERE g.stream = w.stream AND g.start_at >= w.since AND g.start_at < w.until
            ) AS each
            WHERE NOT EXISTS (
                SELECT FROM terms.hold h
                WHERE h.camera = w.camera AND h.ended_at IS NULL AND h.placed_at <= $6 AND h.ends_at > $6
                  AND each.start_at < h.until AND each.end_at > h.since
                  AND (w.spare = 'all' OR each.start_at > $6 - h.keeps_days * interval '1 day')
            )
        ) AS n
        GROUP BY w.camera
        """,
        [window.stream for _, window in windows],
        [camera for camera, _ in windows],
        [window.since for _, window in windows],
        [window.until for _, window in windows],
        [window.spare_holds for _, window in windows],
        now,
    )
    overdue = {row[0]: row[1] for row in over}
    return {row[0]: Kept(row[1], row[2], overdue.get(row[0], 0)) for row in rows}


async def read_deletions(connection: Connection, day: date) -> dict[CameraId, tuple[int, int, int]]:
    """Of each camera what went on that day: units, bytes, and how many units for lack of room."""
    rows = await connection.fetch(
        """
        SELECT camera, sum(units)::integer, sum(bytes)::bigint,
               coalesce(sum(units) FILTER (WHERE why = 'pressure'), 0)::integer
        FROM terms.deletion WHERE day = $1 GROUP BY camera
        """,
        day,
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


async def count_holds(connection: Connection, now: datetime) -> dict[CameraId, int]:
    """How many holds stand on each camera."""
    rows = await connection.fetch(
        "SELECT camera, count(*) FROM terms.hold"
        " WHERE ended_at IS NULL AND placed_at <= $1 AND ends_at > $1 GROUP BY camera",
        now,
    )
    return {row[0]: row[1] for row in rows}


async def is_achieved_told(connection: Connection, day: date) -> bool:
    """Whether the achieved terms of that day were told."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM terms.achieved WHERE day = $1)", day))


async def insert_achieved(connection: Connection, rows: Sequence[Achieved]) -> None:
    """The achieved terms are kept for the page."""
    await connection.copy_records_to_table(
        "achieved",
        schema_name="terms",
        columns=list(Achieved.__struct_fields__),
        records=[msgspec.structs.astuple(each) for each in rows],
    )


async def list_achieved(connection: Connection, day: date | None, owner: PartyId | None) -> list[Achieved]:
    """The achieved terms of a day, or of the newest day told: of one owner, or of all for None."""
    rows = await connection.fetch(
        """
        SELECT * FROM terms.achieved
        WHERE day = coalesce($1, (SELECT max(day) FROM terms.achieved)) AND ($2::uuid IS NULL OR owner = $2)
        ORDER BY camera
        """,
        day, owner,
    )  # fmt: skip
    return [Achieved(**dict(row)) for row in rows]
