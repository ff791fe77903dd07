"""Real units, recorded from a virtual camera, as a source of playback."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from koinon.demo.cameras import CameraServer, Clip
from koinon.video.cameras.model import StreamId
from koinon.video.playback.pieces import of_us, to_us
from koinon.video.recorder import Camera, Disk, Options, Unit, parse_source, prepare_folder
from koinon.video.recordings.model import EntryId, PlaceId, SampleEntry, StoredUnit
from koinon.video.recordings.timeline import Known, Span, Stretch, draw


def stored(unit: Unit, *, copy: int = 0, stream: int = 7) -> StoredUnit:
    """The unit as the index has it."""
    return StoredUnit(
        stream=StreamId(stream), start=unit.start, copy=copy, wall_us=unit.wall_us, media_ticks=unit.media_ticks,
        bytes=unit.bytes, frames=unit.frames, lost=0, damaged=0, place=PlaceId(1), file=str(unit.path), fence=1,
        run=unit.run, number=unit.number, entry=EntryId(1), sha256=bytes.fromhex(unit.sha256),
        key_frames=unit.key_frames, delta_us=unit.delta_us, camera_us=unit.camera_us, end_reason=unit.end_reason,
    )  # fmt: skip


def read_bytes(path: Path, offset: int, length: int) -> bytes:
    """These bytes of a file."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


class Files:
    """A source of units on disk, with an index in memory."""

    def __init__(self, units: list[StoredUnit], gaps: list[Stretch] | None = None) -> None:
        self.units = sorted(units, key=lambda unit: (unit.start, unit.copy))
        self.gaps = gaps or []
        self.reads: list[tuple[str, int, int]] = []

    async def list_units(self, us: int) -> list[StoredUnit]:
        at = of_us(us)
        return [unit for unit in self.units if unit.end > at or unit.start > at][:8]

    async def find_before(self, us: int) -> StoredUnit | None:
        return next((unit for unit in reversed(self.units) if unit.start < of_us(us)), None)

    async def get_entry(self, entry: EntryId) -> SampleEntry:
        return SampleEntry(id=entry, codec="avc1", width=320, height=180, init=b"init")

    async def draw(self, since_us: int, until_us: int) -> list[Span]:
        recorded = [Stretch(unit.start, unit.end) for unit in self.units]
        return draw(of_us(since_us), of_us(until_us), Known(recorded=recorded, gaps=self.gaps))

    async def read(self, unit: StoredUnit, offset: int, length: int) -> bytes:
        self.reads.append((unit.file, offset, length))
        return read_bytes(Path(unit.file), offset, length)

    @property
    def since_us(self) -> int:
        return to_us(self.units[0].start)

    @property
    def until_us(self) -> int:
        return to_us(max(unit.end for unit in self.units))


async def _record(folder: Path, clip: Clip, seconds: float) -> list[StoredUnit]:
    units: list[Unit] = []
    prepare_folder(folder)
    disk = Disk(folder, least_free=1 << 20)
    async with CameraServer([clip]) as server:
        camera = Camera(
            parse_source(server.url("cam")),
            Options(name="cam", unit_seconds=2.0),
            disk,
            on_unit=units.append,
            on_gap=lambda gap: None,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(camera.record(stop))
        await asyncio.sleep(seconds)
        stop.set()
        await task
    await asyncio.to_thread(disk.close)
    return [stored(unit) for unit in units]


@pytest.fixture(scope="session")
def units(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> list[StoredUnit]:
    """Units of about two seconds, 25 frames a second, a key frame every 13, no gap between them; recorded once."""
    return asyncio.run(_record(tmp_path_factory.mktemp("units"), clips(), 7.5))


@pytest.fixture(scope="session")
def b_frame_units(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> list[StoredUnit]:
    """The same with frames that are not shown in the order in which they are decoded."""
    clip = clips(b_frames=2, gop=25)
    return asyncio.run(_record(tmp_path_factory.mktemp("b-frames"), clip, 3.5))


def moved(unit: StoredUnit, by: timedelta, **changes: Any) -> StoredUnit:
    """The same file as if recorded at another time."""
    return msgspec.structs.replace(unit, start=unit.start + by, **changes)
