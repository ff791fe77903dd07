"""The disk: full, gone, slow, somebody else's; and what a kill -9 leaves."""

import asyncio
import os
import random
import resource
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from koinon.base.errors import Conflict, Invalid, Unavailable
from koinon.video.recorder import Disk, adopt, prepare_folder, read_unit


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of another, which tells nobody
            await asyncio.sleep(0.01)


def test_a_folder_that_holds_something_else_is_not_taken(tmp_path):
    (tmp_path / "letters.txt").write_text("x")
    with pytest.raises(Conflict) as refused:
        prepare_folder(tmp_path)
    assert refused.value.code == "folder_not_empty"


def test_a_folder_without_its_marker_is_not_written_to(tmp_path):
    with pytest.raises(Unavailable) as refused:
        Disk(tmp_path)
    assert refused.value.code == "recordings_folder_missing"


async def test_a_folder_that_goes_away_is_never_made_again_and_recording_resumes_when_it_is_back(
    cameras, record, tmp_path, read_all
):
    server = await cameras()
    folder, away = tmp_path / "recordings", tmp_path / "away"

    async def script(camera, told):
        await told.take(1.3)
        folder.rename(away)  # as when a mount is lost: the path is empty
        folder.mkdir()
        # The unit that was open is completed, and the next one, whenever it is its turn, finds no disk.
        await told.until(lambda: any(each["event"] == "unit_write_failed" for each in logs))
        await told.until(lambda: told.units, 12)
        assert list(folder.iterdir()) == [], "nothing is written where the disk is not"
        folder.rmdir()
        away.rename(folder)
        await told.until(lambda: told.gaps)  # told with what follows it

    with capture_logs() as logs:
        told = await record(server, script=script, unit_seconds=1.5)
    assert told.reasons == ["folder_gone"]
    assert told.units[0].path.exists(), "completed where it was"
    await read_all(told)


async def test_a_full_disk_ends_the_unit_where_it_is_whole_and_the_gap_says_so(cameras, record, read_all):
    # A limit on the size of files stands for the end of the disk: the write comes back short, then fails.
    server = await cameras({"kbits": 1500, "width": 640, "height": 360})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def script(camera, told):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
            await told.until(lambda: told.units)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await told.take(3.5)

    told = await record(server, script=script)
    assert told.units[0].end_reason == "disk_full" and 0 < told.units[0].bytes <= 200_000
    assert told.reasons == ["disk_full"]
    assert told.units[-1].end_reason == "stopped"
    full, *rest = told.units
    # There may have been no room for the box with which a unit ends; then the file does not say why it ended.
    there = read_unit(full.path)
    assert (there.frames, there.media_ticks, there.sha256) == (full.frames, full.media_ticks, full.sha256)
    assert there.end_reason in ("disk_full", "crashed")
    told.units = rest
    await read_all(told)


async def test_too_little_room_is_a_full_disk_before_anything_is_written(cameras, record, tmp_path):
    server = await cameras()
    prepare_folder(tmp_path / "r")
    told = await record(server, worth=2.0, disk=Disk(tmp_path / "r", least_free=1 << 60))
    assert told.units == [] and told.reasons == ["disk_full"]
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["koinon-recordings.json"]


async def test_a_disk_that_does_not_keep_up_ends_the_run_and_memory_stays_bounded(cameras, record, tmp_path):
    server = await cameras({"kbits": 1500, "width": 640, "height": 360})
    prepare_folder(tmp_path / "r")
    disk = Disk(tmp_path / "r", least_free=1, most_waiting=200_000)
    hold = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def script(camera, told):
        await told.take(1.0)
        disk.write(lambda: asyncio.run_coroutine_threadsafe(hold.wait(), loop).result())
        await told.take(2.5)
        assert disk.waiting < 600_000
        hold.set()
        await told.take(2.8)

    told = await record(server, script=script, disk=disk)
    assert "disk_slow" in told.reasons
    assert disk.waiting == 0
    assert told.units[-1].end_reason == "stopped"


RECORD = "from koinon.video.cli import app; app()"


async def killed_while_recording(url, folder, seconds):
    """A recording was killed after so long; when that was."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RECORD, "record", "--source", url, "--name", "cam", "--seconds", "60",
        "--folder", str(folder), "--unit-seconds", "1.5",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await until(lambda: any(folder.glob("cam/*/*.mp4*")), 60)  # a busy machine starts slowly
    await asyncio.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    at = datetime.now(UTC)
    await process.wait()
    return at


async def test_kill_9_loses_at_most_a_gop_and_a_quarter_and_every_file_is_read(cameras, tmp_path, probe):
    server = await cameras({"gop": 13})
    chance = random.Random(9)
    folders = [tmp_path / str(number) for number in range(4)]
    killed = await asyncio.gather(
        *(
            killed_while_recording(server.url(f"c{at}"), each, chance.uniform(0.7, 3.0))
            for at, each in enumerate(folders)
        )
    )
    for folder, at in zip(folders, killed, strict=True):
        raw = sorted(folder.glob("cam/*/*.mp4*"))
        for path in raw:
            if path.stat().st_size > 2000:
                await asyncio.to_thread(probe, path)  # as it was left, before anything completes it
        complete = {path for path in raw if path.suffix == ".mp4"}
        adopted = list(adopt(folder))
        assert not list(folder.glob("cam/*/*.part"))
        units = sorted([*map(read_unit, complete), *adopted], key=lambda unit: unit.start)
        for unit in units:
            found = await asyncio.to_thread(probe, unit.path)
            assert int(found["nb_read_packets"]) == unit.frames
        end = units[-1].start + timedelta(microseconds=units[-1].wall_us)
        lost = (at - end).total_seconds()
        # And what a busy machine takes in late; benchmarks/kill.py has the bound.
        assert lost < 13 / 25 + 0.25 + 1, (lost, units[-1].path)


def test_what_is_left_of_a_unit_at_any_byte_is_completed_or_gone(unit_bytes, tmp_path):
    data, unit = unit_bytes
    chance = random.Random(4)
    cuts = [0, 7, 700, unit.key_frames[0].offset, unit.key_frames[1].offset + 100, len(data) - 1, len(data)]
    cuts += [chance.randrange(len(data)) for _ in range(30)]
    for cut in cuts:
        folder = tmp_path / str(cut)
        if folder.exists():
            continue
        prepare_folder(folder)
        part = folder / "cam" / "20260101" / "x.mp4.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(data[:cut])
        got = list(adopt(folder))
        assert not part.exists()
        whole = sum(1 for each in unit.key_frames if each.offset < cut)
        if cut <= unit.key_frames[0].offset:
            assert got == []
            continue
        assert len(got) <= 1
        if got:
            assert got[0].frames <= unit.frames and len(got[0].key_frames) <= whole
            assert got[0] == read_unit(got[0].path)
            assert (got[0].frames == unit.frames) == (len(got[0].key_frames) == len(unit.key_frames))
            assert [key.ticks for key in got[0].key_frames] == [
                key.ticks for key in unit.key_frames[: len(got[0].key_frames)]
            ]


@pytest.fixture
async def unit_bytes(cameras, record):
    server = await cameras()
    told = await record(server, worth=2.5)
    (unit,) = told.units
    return unit.path.read_bytes(), unit


def test_a_file_that_is_no_unit_is_refused(tmp_path):
    path = tmp_path / "x.mp4"
    for data in (b"", b"hello world, this is no mp4", os.urandom(500)):
        path.write_bytes(data)
        with pytest.raises(Invalid) as refused:
            read_unit(Path(path))
        assert refused.value.code == "invalid_unit"
