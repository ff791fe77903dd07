"""SQL of playback: what a timeline needs, for many streams at once, without reading every unit.

A whole hour is one row of `playback.hour`; only hours that are not whole are looked into.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from koinon.base.database import Connection
from koinon.video.cameras.model import CameraId, StreamId
from koinon.video.recordings.model import LONGEST, SampleEntry, StoredUnit
from koinon.video.recordings.store import unit_of
from koinon.video.recordings.timeline import ROUNDING, Stretch

_HOUR: Final = timedelta(hours=1)
_HOUR_US: Final = 3_600_000_000
_SLACK_US: Final = ROUNDING // timedelta(microseconds=1)

# Units that touch are one island, of whichever copy they are. The hours are few: each is looked up on its own, and
# with it the units that began before it.
_ISLANDS: Final = """
    WITH piece AS (
        SELECT h.stream, u.start_at, u.start_at + u.wall_us * interval '1 microsecond' AS end_at
        FROM unnest($1::integer[], $2::timestamptz[]) AS h (stream, hour)
        CROSS JOIN LATERAL (
            (SELECT start_at, wall_us FROM recordings.unit
             WHERE stream = h.stream AND start_at >= h.hour AND start_at < h.hour + interval '1 hour')
            UNION ALL
            (SELECT start_at, wall_us FROM recordings.unit
             WHERE stream = h.stream AND start_at < h.hour AND start_at > h.hour - $3::interval
             ORDER BY start_at DESC LIMIT 4)
        ) u
    ), marked AS (
        SELECT *, start_at > max(end_at) OVER (
            PARTITION BY stream ORDER BY start_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) + $4::interval AS apart
        FROM piece
    ), numbered AS (
        SELECT *, count(*) FILTER (WHERE apart) OVER (PARTITION BY stream ORDER BY start_at) AS island FROM marked
    )
    SELECT stream, min(start_at) AS start_at, max(end_at) AS end_at FROM numbered GROUP BY stream, island
    ORDER BY stream, start_at
"""


async def list_recorded(
    connection: Connection, streams: Sequence[StreamId], since: datetime, until: datetime
) -> dict[StreamId, list[Stretch]]:
    """What at least one copy of each stream has of [since, until): few stretches, which may overlap."""
    first = since.replace(minute=0, second=0, microsecond=0)
    rows = await connection.fetch(
        """
        SELECT stream, hour, max(recorded_us) FILTER (WHERE abs(recorded_us - $4) <= $5) IS NOT NULL AS whole
        FROM playback.hour WHERE stream = ANY($1::integer[]) AND hour >= $2 AND hour < $3 AND units > 0
        GROUP BY stream, hour ORDER BY stream, hour
        """,
        streams, first, until, _HOUR_US, _SLACK_US,
    )  # fmt: skip
    found: dict[StreamId, list[Stretch]] = {stream: [] for stream in streams}
    parts: list[tuple[StreamId, datetime]] = []
    for row in rows:
        stretches, hour = found[row["stream"]], row["hour"]
        if not row["whole"]:
            parts.append((row["stream"], hour))
        elif stretches and stretches[-1].end == hour:
            stretches[-1] = Stretch(stretches[-1].start, hour + _HOUR)
        else:
            stretches.append(Stretch(hour, hour + _HOUR))
    if parts:
        islands = await connection.fetch(
            _ISLANDS, [stream for stream, _ in parts], [hour for _, hour in parts], LONGEST, ROUNDING
        )
        for row in islands:
            found[row["stream"]].append(Stretch(row["start_at"], row["end_at"]))
    return found


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
        (SELECT {_UNIT} FROM recordings.unit u WHERE stream = $1 AND start_at <= $2 AND start_at > $2 - $4::interval
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
              AND u.start_at > $3 - $5::interval AND u.start_at < $4)
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
    rows = await connection.fetch(
        """
        SELECT stream, start_at, end_at FROM terms.deleted
        WHERE stream = ANY($1::integer[]) AND start_at < $3 AND end_at > $2 ORDER BY stream, start_at
        """,
        streams, since, until,
    )  # fmt: skip
    return _by_stream(streams, rows)


async def list_held(
    connection: Connection, streams: Sequence[StreamId], since: datetime, until: datetime, at: datetime
) -> dict[StreamId, list[Stretch]]:
    """What of each stream a hold keeps at `at`. That it is kept is told; by whom and why is not."""
    rows = await connection.fetch(
        """
        SELECT s.id AS stream, h.since AS start_at, h.until AS end_at
        FROM terms.hold h JOIN cameras.stream s ON s.camera = h.camera
        WHERE s.id = ANY($1::integer[]) AND h.since < $3 AND h.until > $2
          AND h.ended_at IS NULL AND h.ends_at > $4 AND h.placed_at <= $4
        ORDER BY s.id, h.since
        """,
        streams, since, until, at,
    )  # fmt: skip
    return _by_stream(streams, rows)


def _by_stream(streams: Sequence[StreamId], rows: Sequence[Any]) -> dict[StreamId, list[Stretch]]:
    found: dict[StreamId, list[Stretch]] = {stream: [] for stream in streams}
    for row in rows:
        found[row["stream"]].append(Stretch(row["start_at"], row["end_at"]))
    return found
