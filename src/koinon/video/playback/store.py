"""SQL of playback: what a timeline needs, for many streams at once, without reading every unit.

An hour of a stream is one row of `playback.hour`, however many units it has.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from koinon.base.database import Connection
from koinon.trust.parties import PartyId
from koinon.video import terms
from koinon.video.cameras.model import CameraId, StreamId
from koinon.video.recordings.model import LONGEST, SampleEntry, StoredUnit
from koinon.video.recordings.store import unit_of
from koinon.video.recordings.timeline import Stretch


async def list_recorded(
    connection: Connection, streams: Sequence[StreamId], since: datetime, until: datetime
) -> dict[StreamId, list[Stretch]]:
    """What at least one copy of each stream has of the hours that touch [since, until), by start, to a millisecond."""
    rows = await connection.fetch(
        """
        SELECT stream, lower(island) AS start_at, upper(island) AS end_at FROM (
            SELECT stream, unnest(range_agg(tstzrange(
                hour + lower(part) * interval '1 millisecond', hour + upper(part) * interval '1 millisecond'
            ))) AS island
            FROM (
                SELECT stream, hour, unnest(recorded) AS part FROM playback.hour
                WHERE stream = ANY($1::integer[]) AND hour >= date_trunc('hour', $2::timestamptz, 'UTC') AND hour < $3
            ) AS parts
            GROUP BY stream
        ) AS islands
        ORDER BY 1, 2
        """,
        streams, since, until,
    )  # fmt: skip
    return _by_stream(streams, rows)


async def list_gaps(
    connection: Connection, streams: Sequence[StreamId], since: datetime, until: datetime
) -> dict[StreamId, list[Stretch]]:
    """The gaps of each stream that hold a moment of [since, until): the first copy's before the second's."""
    rows = await connection.fetch(
        """
        SELECT stream, start_at, end_at, reason FROM recordings.gap
        WHERE stream = ANY($1::integer[]) AND start_at < $3 AND end_at > $2
        ORDER BY stream, copy, start_at
        """,
        streams, since, until,
    )  # fmt: skip
    found: dict[StreamId, list[Stretch]] = {stream: [] for stream in streams}
    for row in rows:
        found[row["stream"]].append(Stretch(row["start_at"], row["end_at"], row["reason"]))
    return found


_UNIT: Final = ", ".join(
    f"u.{name}"
    for name in (
        "stream", "start_at", "copy", "wall_us", "media_ticks", "bytes", "frames", "lost", "damaged", "place", "file",
        "fence", "run", "number", "entry", "sha256", "key_frames", "delta_us", "camera_us", "end_reason",
    )
)  # fmt: skip
_NEXT: Final = 6


async def list_next_units(
    connection: Connection, stream: StreamId, at: datetime, until: datetime
) -> list[StoredUnit]:
    """The units of the stream that hold `at`, of both copies, and the next few that begin before `until`; by start."""
    rows = await connection.fetch(
        f"""
        (SELECT {_UNIT} FROM recordings.unit u WHERE stream = $1 AND start_at <= $2
           AND start_at > $2::timestamptz - $4::interval
         ORDER BY start_at DESC LIMIT $5)
        UNION ALL
        (SELECT {_UNIT} FROM recordings.unit u WHERE stream = $1 AND start_at > $2 AND start_at < $3
         ORDER BY start_at LIMIT $5)
        """,
        stream, at, until, LONGEST, _NEXT,
    )  # fmt: skip
    return sorted((unit_of(row) for row in rows), key=lambda unit: (unit.start, unit.copy))


async def find_unit_before(connection: Connection, stream: StreamId, at: datetime) -> StoredUnit | None:
    """The last unit of the stream that began before `at`, of whichever copy."""
    row = await connection.fetchrow(
        f"SELECT {_UNIT} FROM recordings.unit u WHERE stream = $1 AND start_at < $2 ORDER BY start_at DESC LIMIT 1",
        stream, at,
    )  # fmt: skip
    return unit_of(row) if row else None


async def find_unit_of(
    connection: Connection, camera: CameraId, start: datetime, copy: int, since: datetime, until: datetime
) -> StoredUnit | None:
    """The unit, if it is one of this camera and holds a moment of [since, until).

    Camera and interval are part of the question: what is asked through another camera is not there.
    """
    row = await connection.fetchrow(
        f"""
        SELECT {_UNIT} FROM recordings.unit u JOIN cameras.stream s ON s.id = u.stream
        WHERE s.camera = $1 AND s.role = 'main' AND u.start_at = $2 AND u.copy = $3
          AND u.start_at < $5 AND u.start_at + u.wall_us * interval '1 microsecond' > $4
        """,
        camera, start, copy, since, until,
    )  # fmt: skip
    return unit_of(row) if row else None


async def find_entry_of(
    connection: Connection, camera: CameraId, entry: int, since: datetime, until: datetime
) -> SampleEntry | None:
    """How pictures are decoded, if a unit of this camera in [since, until) is decoded so."""
    row = await connection.fetchrow(
        """
        SELECT e.id, e.codec, e.width, e.height, e.init FROM recordings.sample_entry e
        WHERE e.id = $2 AND EXISTS (
            SELECT FROM recordings.unit u JOIN cameras.stream s ON s.id = u.stream
            WHERE s.camera = $1 AND s.role = 'main' AND u.entry = e.id
              AND u.start_at > $3::timestamptz - $5::interval AND u.start_at < $4
              AND u.start_at + u.wall_us * interval '1 microsecond' > $3)
        """,
        camera, entry, since, until, LONGEST,
    )  # fmt: skip
    return SampleEntry(**dict(row)) if row else None


async def find_streams(connection: Connection, cameras: Sequence[CameraId]) -> dict[CameraId, StreamId]:
    """The recorded picture of each camera: its main stream."""
    rows = await connection.fetch(
        "SELECT camera, id FROM cameras.stream WHERE camera = ANY($1::uuid[]) AND role = 'main'", cameras
    )
    return {row["camera"]: row["id"] for row in rows}


async def list_deleted(
    connection: Connection, streams: Sequence[StreamId], since: datetime, until: datetime
) -> dict[StreamId, list[Stretch]]:
    """What of each stream went because its term ran out."""
    return {
        stream: [
            Stretch(each.start, each.end)
            for each in await terms.list_deleted(connection, stream, since, until)
        ]
        for stream in streams
    }


async def list_held(
    connection: Connection, streams: Sequence[StreamId], at: datetime, viewer: PartyId | None
) -> dict[StreamId, list[Stretch]]:
    """What of each stream a hold keeps at `at`, as far as the viewer's party may know: its own holds, and those on its
    own cameras. To others a hold would tell of an inquiry.
    """
    found: dict[StreamId, list[Stretch]] = {stream: [] for stream in streams}
    if viewer is None:
        return found
    rows = await connection.fetch(
        "SELECT s.id, s.camera, c.owner FROM cameras.stream s JOIN cameras.camera c ON c.id = s.camera"
        " WHERE s.id = ANY($1::integer[])",
        streams,
    )
    for row in rows:
        holds = await terms.list_standing(connection, row["camera"], at)
        found[row["id"]] = [
            Stretch(hold.since, hold.until) for hold in holds if viewer in (hold.owner, row["owner"])
        ]
    return found


async def is_derived(connection: Connection, place: int, file: str) -> bool:
    """Whether the file is known as made from recordings."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM terms.derived WHERE place = $1 AND file = $2", place, file
        )
    )


def _by_stream(streams: Sequence[StreamId], rows: Sequence[Any]) -> dict[StreamId, list[Stretch]]:
    found: dict[StreamId, list[Stretch]] = {stream: [] for stream in streams}
    for row in rows:
        found[row["stream"]].append(Stretch(row["start_at"], row["end_at"]))
    return found
