"""Units as values, leases as rows: what the index is given without a camera."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from koinon.base.database import Database
from koinon.video.cameras.model import CameraId, Driver, Role
from koinon.video.cameras.sources import SourceKey
from koinon.video.recorder import KeyFrame, Options, Unit
from koinon.video.recordings.model import NewUnit, Track
from koinon.video.recordings.process import Process

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


OWNER = UUID("019ac000-0000-7000-8000-00000000aaaa")


@pytest.fixture
async def register(database, tmp_path):
    """`await register(code, url)`: a camera of one party, in the register; returns the id of its main stream."""
    key = SourceKey.of(tmp_path)

    async def put(code, url, *, doubly=False, driver=Driver.RTSP, state="active", seal=True):
        camera = CameraId(uuid4())
        sealed = key.seal_source(camera, Role.MAIN, url) if seal else b"\0" * 64
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO cameras.network VALUES ($1, '127.0.0.0/8', now()) ON CONFLICT DO NOTHING", OWNER
            )
            await connection.execute(
                """
                INSERT INTO cameras.camera (id, code, owner, name, latitude, longitude, place_kind, municipality,
                    sensor, doubly_recorded, state, registered_at, changed_at)
                VALUES ($1, $2, $3, $2, 50.8, 4.3, 'public_open', '21004', 'fixed', $4, $5, now(), now())
                """,
                camera, code, OWNER, doubly, state,
            )  # fmt: skip
            return await connection.fetchval(
                """
                INSERT INTO cameras.stream (camera, role, sealed_source, address, driver, changed_at)
                VALUES ($1, 'main', $2, 'rtsp://x/', $3, now()) RETURNING id
                """,
                camera, sealed, driver.value,
            )  # fmt: skip

    return put


QUICK = {
    "unit_seconds": 1.0, "silence_seconds": 1.0, "connect_seconds": 1.0, "backoff_seconds": 0.05,
    "backoff_limit_seconds": 0.2,
}  # fmt: skip


@pytest.fixture
async def start(open_database, tmp_path):
    """`await start(folder)`: a recorder process in this one, over a connection of its own; stopped at the end."""
    running: list[Any] = []

    async def start_(folder="r", *, tap=None, url=None, objects=None, **options):
        if url is None:
            database = await open_database("recorder", max_size=6)
        else:
            database = await Database.open(url, kind="recorder", max_size=6)
        process = Process(
            database, folder=tmp_path / folder, key=SourceKey.of(tmp_path), tap=tap, objects=objects,
            objects_address="s3://b/p", least_free=1 << 20,
            options=lambda **given: Options(**{**QUICK, **options, **given}),
        )  # fmt: skip
        process.task = asyncio.create_task(process.run())  # type: ignore[attr-defined]
        running.append(process)
        return process

    yield start_
    for process in running:
        process.stop()
    await asyncio.gather(*(each.task for each in running), return_exceptions=True)


@pytest.fixture
def rows(database):
    """`await rows("SELECT ...")` as the owner."""

    async def fetch(sql, *arguments):
        async with database.acquire() as connection:
            return await connection.fetch(sql, *arguments)

    return fetch


async def until(condition, seconds=20.0):
    """Waits until what `condition` gives, or awaits to, is true; returns it."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.05)
