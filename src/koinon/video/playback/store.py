"""SQL of playback: what a timeline needs, for many streams at once, without reading every unit.

A whole hour is one row of `playback.hour`; only hours that are not whole are looked into.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from koinon.base.database import Connection
from koinon.video.cameras.model import StreamId
from koinon.video.recordings.model import LONGEST
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
