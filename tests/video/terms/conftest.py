"""An index with cameras, units and their files, made by hand: what matters here is when they were recorded."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from koinon.base.ids import new_id
from koinon.video.recorder import prepare_folder
from koinon.video.recorder.disk import MARKER
from koinon.video.recordings.store import ensure_place

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def instants(*days):
    return [NOW - timedelta(days=each) for each in days]


class Site:
    """Cameras, folders and units of one test."""

    def __init__(self, database, folder):
        self.database, self.folder = database, folder
        self.place = None

    async def open(self):
        self.place = await self.add_place(self.folder)
        return self

    async def add_place(self, folder: Path) -> int:
        prepare_folder(folder)
        marker = UUID(msgspec.json.decode((folder / MARKER).read_bytes())["id"])
        async with self.database.acquire() as connection:
            return (await ensure_place(connection, marker, "folder", str(folder))).id

    async def camera(self, code="cam", *, regime="standard", owner=None, sub=False):
        camera = new_id()
        owner = owner or new_id()
        async with self.database.acquire() as connection:
            await connection.execute(
                """
                INSERT INTO cameras.camera (id, code, owner, name, latitude, longitude, place_kind, municipality,
                                            sensor, regime, registered_at, changed_at)
                VALUES ($1, $2, $3, $2, 50.85, 4.35, 'public_open', '21004', 'fixed', $4, now(), now())
                """,
                camera, code, owner, regime,
            )  # fmt: skip
            stream = await connection.fetchval(
                """
                INSERT INTO cameras.stream (camera, role, sealed_source, address, changed_at)
                VALUES ($1, 'main', '', 'rtsp://127.0.0.1/x', now()) RETURNING id
                """,
                camera,
            )
        return camera, stream

    async def unit(
        self, stream, start, *, seconds=60.0, copy=0, place=None, folder=None, size=100, code="cam"
    ):
        """A unit that began at `start`: its file and its row; gives the file's path."""
        folder = folder or self.folder
        file = f"{code}/{start:%Y%m%d}/{start:%H%M%S%f}-{copy}.mp4"
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        data = (file.encode() * size)[:size]
        path.write_bytes(data)
        async with self.database.acquire() as connection:
            await connection.execute(
                """
                INSERT INTO recordings.unit (stream, start_at, copy, wall_us, media_ticks, bytes, frames, lost, damaged,
                    place, file, fence, run, number, entry, sha256, key_frames, delta_us)
                VALUES ($1, $2, $3, $4, 1, $5, 1, 0, 0, $6, $7, 1, $8, 0, 1, $9, '', 0)
                """,
                stream, start, copy, round(seconds * 1e6), size, place or self.place, file, new_id(),
                hashlib.sha256(data).digest(),
            )  # fmt: skip
        return path

    async def gap(self, stream, start, end, reason="silent"):
        async with self.database.acquire() as connection:
            await connection.execute(
                "INSERT INTO recordings.gap (stream, copy, start_at, end_at, reason) VALUES ($1, 0, $2, $3, $4)",
                stream, start, end, reason,
            )  # fmt: skip

    async def rows(self, query, *values):
        async with self.database.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(query, *values)]

    async def starts(self, stream):
        return [row[0] for row in await self.rows(
            "SELECT start_at FROM recordings.unit WHERE stream = $1 ORDER BY start_at, copy", stream
        )]  # fmt: skip

    async def hold(self, camera, since, until, *, keeps_days=None, ends_at=None, placed_at=None):
        async with self.database.acquire() as connection:
            await connection.execute(
                """
                INSERT INTO terms.hold (id, decision, camera, since, until, owner, basis, rule, article, reason,
                                        keeps_days, placed_by, placed_at, ends_at)
                VALUES ($1, $1, $2, $3, $4, $1, 'b', 'b/1', 'art. 1', 'r', $5, $1, $6, $7)
                """,
                new_id(), camera, since, until, keeps_days, placed_at or NOW - timedelta(days=1),
                ends_at or NOW + timedelta(days=9),
            )  # fmt: skip


@pytest.fixture
async def site(database, tmp_path):
    return await Site(database, tmp_path / "recordings").open()
