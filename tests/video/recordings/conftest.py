"""Units as values, leases as rows: what the index is given without a camera."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from koinon.video.recorder import KeyFrame, Unit
from koinon.video.recordings.model import NewUnit, Track

RUN = UUID("019ac000-0000-7000-8000-000000000001")
BEGAN = datetime(2026, 11, 24, 9, tzinfo=UTC)


def a_unit(number=0, *, start=None, seconds=60.0, stream=7, copy=0, fence=1, run=RUN, **changes):
    """The `number`-th unit of a run."""
    values = {
        "path": Path("/nowhere"), "camera": "gate", "stream": stream, "copy": copy, "run": run, "number": number,
        "fence": fence, "start": start or BEGAN + timedelta(seconds=60 * number), "wall_us": round(seconds * 1e6),
        "media_ticks": round(seconds * 90_000), "delta_us": 120, "camera_us": None, "frames": 1500,
        "key_frames": tuple(KeyFrame(each * 180_000, 900 + each * 500_000) for each in range(30)),
        "lost_packets": 0, "damaged_frames": 0, "bad_nals": 0, "codec": "avc1.4d401f", "width": 1280, "height": 720,
        "bytes": 15_000_000, "sha256": f"{number:064x}", "end_reason": None, "init": b"ftyp moov",
    }  # fmt: skip
    return Unit(**(values | changes))


def new(unit, place, entry, file=None):
    return NewUnit(
        track=Track(unit.stream, unit.copy), unit=unit, place=place, entry=entry,
        file=file or f"gate/20261124/{unit.fence}-{unit.run.hex[-8:]}-{unit.number}.mp4",
    )  # fmt: skip


@pytest.fixture
def lease(database):
    """A lease of a track is a row; `await lease(track, fence, seconds)`."""

    async def take(track, fence=1, seconds=60.0):
        async with database.acquire() as connection:
            await connection.execute(
                """
                INSERT INTO base.lease (name, fence, holder, expires_at)
                VALUES ($1, $2, 'test', clock_timestamp() + make_interval(secs => $3))
                ON CONFLICT (name) DO UPDATE SET fence = excluded.fence, expires_at = excluded.expires_at
                """,
                track.lease, fence, seconds,
            )  # fmt: skip

    return take


@pytest.fixture
def fresh_run():
    return uuid4
