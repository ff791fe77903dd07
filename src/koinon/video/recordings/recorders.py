"""SQL of the recorder processes: who lives, who holds the lease of what, and how each camera is."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.video.recordings.model import Health, PlaceId, RecorderId, Track

LEASE_SECONDS: Final = 6.0
"""After so long without a renewal a recorder counts as dead, and its cameras are taken over."""

# One statement: a recorder that is seen has its leases. A lease that ran out while the database was away, and that
# nobody took meanwhile (its fence says so), goes on.
_RENEW: Final = """
    WITH seen AS (
        INSERT INTO recordings.recorder (id, host, pid, tap_address, place, able)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), able = excluded.able, place = excluded.place,
            tap_address = excluded.tap_address
    ), there AS (
        UPDATE recordings.place SET seen_at = clock_timestamp() WHERE id = $5 AND $6
    )
    UPDATE base.lease SET expires_at = clock_timestamp() + make_interval(secs => $9)
    FROM unnest($7::text[], $8::bigint[]) AS mine (name, fence)
    WHERE lease.name = mine.name AND lease.fence = mine.fence AND lease.holder = $1::uuid::text
    RETURNING lease.name
"""
_TAKE: Final = """
    WITH taken AS (
        INSERT INTO base.lease AS lease (name, fence, holder, expires_at)
        SELECT name, 1, $1::uuid::text, clock_timestamp() + make_interval(secs => $5)
        FROM unnest($2::text[]) AS name ORDER BY name
        ON CONFLICT (name) DO UPDATE
            SET fence = lease.fence + 1, holder = excluded.holder, expires_at = excluded.expires_at
            WHERE lease.expires_at <= clock_timestamp()
        RETURNING name, fence
    ), serves AS (
        INSERT INTO recordings.serving (stream, copy, recorder, fence)
        SELECT t.stream, t.copy, $1, taken.fence
        FROM taken JOIN unnest($2::text[], $3::integer[], $4::smallint[]) AS t (name, stream, copy) USING (name)
        ORDER BY t.stream, t.copy
        ON CONFLICT (stream, copy) DO UPDATE SET recorder = excluded.recorder, fence = excluded.fence, since = now()
    )
    SELECT name, fence FROM taken
"""


class Recorder(msgspec.Struct, frozen=True, kw_only=True):
    """A recorder process, as it says of itself."""

    id: RecorderId
    host: str
    pid: int
    tap_address: str = ""
    place: PlaceId | None = None
    able: bool = False


async def renew(connection: Connection, recorder: Recorder, leases: Mapping[Track, int]) -> set[Track]:
    """The recorder is alive and has these leases (track: fence) for another while; those that it has no more."""
    rows = await connection.fetch(
        _RENEW, recorder.id, recorder.host, recorder.pid, recorder.tap_address, recorder.place, recorder.able,
        [track.lease for track in leases], list(leases.values()), LEASE_SECONDS,
    )  # fmt: skip
    kept = {row["name"] for row in rows}
    return {track for track in leases if track.lease not in kept}


async def take(connection: Connection, recorder: RecorderId, tracks: Sequence[Track]) -> dict[Track, int]:
    """Of these, the leases that nobody held are the recorder's now, each with its fence."""
    rows = await connection.fetch(
        _TAKE, recorder, [track.lease for track in tracks], [track.stream for track in tracks],
        [track.copy for track in tracks], LEASE_SECONDS,
    )  # fmt: skip
    names = {track.lease: track for track in tracks}
    return {names[row["name"]]: row["fence"] for row in rows}


async def release(connection: Connection, recorder: RecorderId, leases: Mapping[Track, int]) -> None:
    """The recorder has these leases no more; others may take them at once."""
    await connection.execute(
        """
        WITH gone AS (
            UPDATE base.lease SET expires_at = '-infinity', holder = ''
            FROM unnest($2::text[], $3::bigint[]) AS mine (name, fence)
            WHERE lease.name = mine.name AND lease.fence = mine.fence AND lease.holder = $1::uuid::text
        )
        DELETE FROM recordings.serving AS s USING unnest($4::integer[], $5::smallint[]) AS t (stream, copy)
        WHERE s.stream = t.stream AND s.copy = t.copy AND s.recorder = $1
        """,
        recorder,
        [track.lease for track in leases],
        list(leases.values()),
        [track.stream for track in leases],
        [track.copy for track in leases],
    )


async def leave(connection: Connection, recorder: RecorderId) -> None:
    """The recorder takes nothing more; others count without it."""
    await connection.execute("UPDATE recordings.recorder SET able = false WHERE id = $1", recorder)


async def remove(connection: Connection, recorder: RecorderId) -> None:
    """The recorder is no more."""
    await connection.execute("DELETE FROM recordings.recorder WHERE id = $1", recorder)


async def list_able(connection: Connection) -> list[RecorderId]:
    """The recorders that live and have a disk."""
    rows = await connection.fetch(
        """
        SELECT id FROM recordings.recorder
        WHERE able AND seen_at > clock_timestamp() - make_interval(secs => $1) ORDER BY id
        """,
        LEASE_SECONDS,
    )
    return [RecorderId(row["id"]) for row in rows]


async def list_holders(connection: Connection, tracks: Collection[Track]) -> dict[Track, RecorderId]:
    """Whose lease each of these is now, where it is somebody's."""
    names = {track.lease: track for track in tracks}
    rows = await connection.fetch(
        "SELECT name, holder FROM base.lease WHERE name = ANY($1) AND expires_at > clock_timestamp()",
        list(names),
    )
    return {names[row["name"]]: RecorderId(UUID(row["holder"])) for row in rows}


async def tell_health(connection: Connection, health: Sequence[Health], at: datetime) -> None:
    """How each of these is, is known; one statement."""
    await connection.execute(
        """
        INSERT INTO recordings.health AS h (stream, copy, state, detail, since, last_unit_at, lost, damaged,
            bad_nals, delta_us, camera_us, fps_said, fps_measured, alarm, told_at)
        SELECT stream, copy, state, detail, $14, last_unit_at, lost, damaged, bad_nals, delta_us, camera_us,
               fps_said, fps_measured, alarm, $14
        FROM unnest($1::integer[], $2::smallint[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[],
                    $7::bigint[], $8::bigint[], $9::integer[], $10::bigint[], $11::real[], $12::real[], $13::text[])
            AS g (stream, copy, state, detail, last_unit_at, lost, damaged, bad_nals, delta_us, camera_us,
                  fps_said, fps_measured, alarm)
        ORDER BY stream, copy
        ON CONFLICT (stream, copy) DO UPDATE SET
            since = CASE WHEN h.state = excluded.state THEN h.since ELSE excluded.since END,
            state = excluded.state, detail = excluded.detail,
            last_unit_at = coalesce(excluded.last_unit_at, h.last_unit_at), lost = excluded.lost,
            damaged = excluded.damaged, bad_nals = excluded.bad_nals,
            delta_us = coalesce(excluded.delta_us, h.delta_us),
            camera_us = coalesce(excluded.camera_us, h.camera_us), fps_said = excluded.fps_said,
            fps_measured = coalesce(excluded.fps_measured, h.fps_measured), alarm = excluded.alarm,
            told_at = excluded.told_at
        """,
        [each.track.stream for each in health],
        [each.track.copy for each in health],
        [each.state for each in health],
        [each.detail[:500] for each in health],
        [each.last_unit_at for each in health],
        [each.lost for each in health],
        [each.damaged for each in health],
        [each.bad_nals for each in health],
        [each.delta_us for each in health],
        [each.camera_us for each in health],
        [each.fps_said for each in health],
        [each.fps_measured for each in health],
        [each.alarm for each in health],
        at,
    )


async def clean_up(connection: Connection, dead_for: timedelta = timedelta(hours=1)) -> None:
    """What dead recorders left is gone: that they serve something at once, they themselves after `dead_for`. A camera
    that nobody records is `unattended`, and of a stream that is recorded no more nothing is told.
    """
    await connection.execute(
        """
        DELETE FROM recordings.serving AS s
        WHERE NOT EXISTS (SELECT FROM base.lease AS l
                          WHERE l.name = 'video/' || s.stream || '/' || s.copy AND l.fence = s.fence
                            AND l.expires_at > clock_timestamp())
        """
    )
    await connection.execute(
        "DELETE FROM recordings.recorder WHERE seen_at < clock_timestamp() - $1::interval", dead_for
    )
    await connection.execute(
        """
        UPDATE recordings.health AS h
        SET state = 'unattended', detail = '', since = clock_timestamp(), alarm = 'unattended'
        WHERE h.told_at < clock_timestamp() - interval '30 seconds'
          AND h.state NOT IN ('unattended', 'stopped', 'paused')
          AND NOT EXISTS (SELECT FROM recordings.serving AS s WHERE s.stream = h.stream AND s.copy = h.copy)
        """
    )


async def list_streams(connection: Connection) -> set[int]:
    """Every stream that the register knows, recorded now or not."""
    return {row["id"] for row in await connection.fetch("SELECT id FROM cameras.stream")}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What `koinon video status` shows of a track."""

    camera: str
    role: str
    copy: int
    state: str
    since: datetime
    last_unit_at: datetime | None
    lost: int | None
    fps_said: float | None
    fps_measured: float | None
    alarm: str | None
    recorder: str | None
    detail: str


async def list_told(connection: Connection) -> list[Told]:
    """How every track is, by camera."""
    rows = await connection.fetch(
        """
        SELECT c.code AS camera, s.role, h.copy, h.state, h.since, h.last_unit_at, h.lost, h.fps_said, h.fps_measured,
               h.alarm, r.host || ':' || r.pid AS recorder, h.detail
        FROM recordings.health AS h
        JOIN cameras.stream AS s ON s.id = h.stream
        JOIN cameras.camera AS c ON c.id = s.camera
        LEFT JOIN recordings.serving AS v ON v.stream = h.stream AND v.copy = h.copy
        LEFT JOIN recordings.recorder AS r ON r.id = v.recorder
        ORDER BY c.code, s.role, h.copy
        """
    )
    return [Told(**dict(row)) for row in rows]
