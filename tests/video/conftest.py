"""Clips made once a run, virtual cameras that send them, and ffprobe as the reader that is not ours."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from koinon.demo.cameras import CameraServer, ClipUnavailable, VirtualCamera, make_clip, read_clip
from koinon.video.recorder import Camera, Disk, Options, parse_source, prepare_folder


def missing(what):
    """Skips, with the reason; where every test must run (CI=true) it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI=true")
    pytest.skip(what)


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Makes clips of a kind, each once for all workers of the run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "clips"
    read = {}

    def clip(**kind):
        key = tuple(sorted(kind.items()))
        if key not in read:
            try:
                read[key] = read_clip(make_clip(folder, **{"seconds": 4, "gop": 13, **kind}))
            except ClipUnavailable as error:
                missing(str(error))
        return read[key]

    return clip


@pytest.fixture
async def cameras(clips):
    """Starts servers of virtual cameras."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*kinds, **options):
            made = [clips(**kind) for kind in kinds or ({},)]
            return await stack.enter_async_context(CameraServer(made, **options))

        yield start


class Recording:
    """What was told while a camera was recorded."""

    def __init__(self, camera, disk):
        self.camera, self.disk = camera, disk
        self.units, self.gaps = [], []

    @property
    def frames(self):
        return sum(unit.frames for unit in self.units)

    @property
    def reasons(self):
        return [gap.reason for gap in self.gaps]

    async def until(self, condition, seconds=60.0):
        """What `condition` gives is true."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - of a camera and a disk, which tell nobody
                await asyncio.sleep(0.01)

    async def take(self, seconds):
        """So many seconds' worth of pictures more have come, however long a busy machine takes to begin."""
        enough = self.camera.counts.frames + round(seconds * 25)
        await self.until(lambda: self.camera.counts.frames >= enough)

    async def take_all(self, camera):
        """The virtual camera sends no more, and what it has sent has come."""
        camera.fault = msgspec.structs.replace(camera.fault, silent=True)
        await self.until(lambda: self.camera.counts.frames >= camera.pictures)

    def covered(self):
        """Seconds of units and gaps together."""
        told = sum(unit.wall_us for unit in self.units) / 1e6
        return told + sum((gap.end - gap.start).total_seconds() for gap in self.gaps)


QUICK = {
    "unit_seconds": 60.0, "silence_seconds": 0.8, "connect_seconds": 1.0, "backoff_seconds": 0.05,
    "backoff_limit_seconds": 0.2,
}  # fmt: skip

Script = Callable[[VirtualCamera, Recording], Awaitable[None]]


@pytest.fixture
async def record(tmp_path):
    """Records a camera of a server for so long, or while a script runs, and returns what was told."""

    async def run(
        server,
        *,
        seconds=None,  # that pass
        worth=2.0,  # seconds of pictures that come
        state=None,  # that it comes to
        name="cam",
        script=None,
        clock=None,
        url=None,
        disk=None,
        **options,
    ):
        folder = tmp_path / "recordings"
        if disk is None:
            prepare_folder(folder)
            disk = Disk(folder, least_free=1 << 20)
        camera = Camera(
            parse_source(url or server.url(name)),
            Options(name=name, **{**QUICK, **options}),
            disk,
            on_unit=lambda unit: told.units.append(unit),
            on_gap=lambda gap: told.gaps.append(gap),
            clock=clock,
        )
        told = Recording(camera, disk)
        stop = asyncio.Event()
        task = asyncio.create_task(camera.record(stop))
        try:
            if script is not None:
                await script(server.camera(name), told)
            elif state is not None:
                await told.until(lambda: camera.state == state)
            elif seconds is not None:
                await asyncio.sleep(seconds)
            else:
                await told.take(worth)
        finally:
            stop.set()
            await task
        await asyncio.to_thread(disk.close)
        return told

    return run


@pytest.fixture
def probe():
    """`ask_ffprobe`."""
    return ask_ffprobe


def ask_ffprobe(path: Path, *, decode: bool = False):
    """What ffprobe reads in the file: packets, duration, codec; it must have nothing to complain of."""
    if (found := shutil.which("ffprobe")) is None:
        missing("ffprobe is not installed")
    done = subprocess.run(
        [found, "-v", "error", "-of", "json", "-count_frames" if decode else "-count_packets",
         "-show_entries", "stream=codec_name,width,height,duration,nb_read_packets,nb_read_frames",
         "-show_entries", "packet=pts,dts,duration,flags", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", f"{path.name}: {done.stderr}"
    told = json.loads(done.stdout)
    assert len(told["streams"]) == 1
    return {**told["streams"][0], "packets": told["packets"]}


@pytest.fixture
def read_all():
    """Every unit is read by ffprobe with as many frames as told, and by us with the same facts."""
    from koinon.video.recorder import read_unit

    async def read(told, *, decode=True):
        seen = []
        for unit in told.units:
            found = await asyncio.to_thread(ask_ffprobe, unit.path, decode=decode)
            assert int(found["nb_read_frames" if decode else "nb_read_packets"]) == unit.frames
            assert len(found["packets"]) == unit.frames
            assert (found["width"], found["height"]) == (unit.width, unit.height)
            assert read_unit(unit.path) == unit
            seen.append(found)
        return seen

    return read
