"""Recorder processes over one database: shares, take-over, hand-over, the register's word, the database away."""

import asyncio
import shutil
from datetime import timedelta
from itertools import pairwise

import pytest
from tests.video.recordings.conftest import until

from koinon.demo.cameras import Fault
from koinon.video.cameras.model import Role
from koinon.video.cameras.sources import SourceKey
from koinon.video.recorder import read_unit

UNITS = "SELECT * FROM recordings.unit WHERE stream = $1 AND copy = $2 ORDER BY start_at"
COVERED = """
    SELECT start_at, start_at + wall_us * interval '1 microsecond' AS end_at, 'unit' AS what FROM recordings.unit
    WHERE stream = $1 AND copy = $2
    UNION ALL SELECT start_at, end_at, reason FROM recordings.gap WHERE stream = $1 AND copy = $2 ORDER BY 1
"""


async def accounted(rows, stream, copy=0):
    """The pieces of a track, which must follow each other without a hole or an overlap."""
    pieces = await rows(COVERED, stream, copy)
    for one, following in pairwise(pieces):
        assert abs(following["start_at"] - one["end_at"]) < timedelta(milliseconds=2), [
            tuple(each) for each in pieces
        ]
    return [piece["what"] for piece in pieces]


async def test_a_camera_of_the_register_is_recorded_indexed_and_told(
    cameras, register, start, rows, tmp_path
):
    server = await cameras(scheme="sha256")
    stream = await register("gate", server.url("gate"))
    process = await start()
    await until(lambda: rows(UNITS, stream, 0))
    await process.tell()
    (health,) = await rows("SELECT * FROM recordings.health")
    assert (health["state"], health["alarm"], health["lost"]) == ("recording", None, 0)
    assert health["last_unit_at"] is not None and health["fps_said"] == 25
    process.stop()
    await process.task
    found = await rows(UNITS, stream, 0)
    (place,) = await rows("SELECT * FROM recordings.place")
    assert place["kind"] == "folder" and place["address"].endswith("/r")
    for row in found:
        unit = read_unit(tmp_path / "r" / row["file"])
        assert (unit.sha256, unit.start, unit.frames) == (row["sha256"].hex(), row["start_at"], row["frames"])
        assert (unit.stream, unit.copy, unit.fence) == (stream, 0, row["fence"])
    # A cut of the stop: handed over, lease free, nobody serves.
    assert found[-1]["end_reason"] == "handed_over"
    assert await rows("SELECT * FROM base.lease WHERE expires_at > now()") == []
    assert await rows("SELECT * FROM recordings.serving") == []
    assert await rows("SELECT * FROM recordings.recorder") == []
    assert set(await accounted(rows, stream)) == {"unit"}
    assert len({row["entry"] for row in found}) == 1


async def test_two_recorders_share_the_cameras_and_the_copies_of_a_camera_are_apart(
    cameras, register, start, rows
):
    server = await cameras()
    for each in range(4):
        await register(f"c{each}", server.url(f"c{each}"))
    double = await register("twice", server.url("twice"), doubly=True)
    one, two = await start("a"), await start("b")
    await until(lambda: len(one.recordings) + len(two.recordings) == 6 and len(one.recordings) == 3)
    await until(lambda: rows("SELECT FROM recordings.unit WHERE stream = $1 AND copy = 1", double))
    await until(lambda: rows("SELECT FROM recordings.unit WHERE stream = $1 AND copy = 0", double))
    held = {
        copy: {
            each.id
            for each in (one, two)
            if any((t.stream, t.copy) == (double, copy) for t in each.recordings)
        }
        for copy in (0, 1)
    }
    assert held[0] and held[1] and not held[0] & held[1]
    served = await rows("SELECT recorder, count(*) AS n FROM recordings.serving GROUP BY 1")
    assert {row["recorder"]: row["n"] for row in served} == {one.id: 3, two.id: 3}


async def test_a_double_recording_with_one_recorder_is_one_copy_and_an_alarm(cameras, register, start, rows):
    server = await cameras()
    stream = await register("twice", server.url("twice"), doubly=True)
    process = await start()
    await until(lambda: rows("SELECT FROM recordings.unit WHERE stream = $1", stream))
    await asyncio.sleep(1.2)
    await process.tell()
    told = await rows("SELECT copy, alarm FROM recordings.health WHERE stream = $1", stream)
    assert [(row["alarm"]) for row in told] == ["one_copy_only"]
    assert len(process.recordings) == 1


async def test_cameras_come_change_and_pause_without_disturbing_others(
    cameras, register, start, rows, database, tmp_path
):
    server, elsewhere = await cameras(), await cameras()
    steady = await register("steady", server.url("steady"))
    process = await start()
    await until(lambda: rows(UNITS, steady, 0))
    moving = await register("moving", server.url("moving"))
    await until(lambda: rows(UNITS, moving, 0))
    async with database.acquire() as connection:
        camera = await connection.fetchval("SELECT camera FROM cameras.stream WHERE id = $1", moving)
        sealed = SourceKey.of(tmp_path).seal_source(camera, Role.MAIN, elsewhere.url("moving"))
        await connection.execute("UPDATE cameras.stream SET sealed_source = $1 WHERE id = $2", sealed, moving)
    await until(lambda: elsewhere.camera("moving").pictures > 30)
    async with database.acquire() as connection:
        await connection.execute("UPDATE cameras.camera SET state = 'paused' WHERE id = $1", camera)
    await until(lambda: rows("SELECT FROM recordings.health WHERE stream = $1 AND state = 'paused'", moving))
    assert len(process.recordings) == 1
    assert (await rows(UNITS, moving, 0))[-1]["end_reason"] == "paused"
    assert "handed_over" in await accounted(rows, moving)
    async with database.acquire() as connection:
        await connection.execute("UPDATE cameras.camera SET state = 'active' WHERE id = $1", camera)
    await until(lambda: len(process.recordings) == 2)
    await until(lambda: rows("SELECT FROM recordings.gap WHERE stream = $1 AND reason = 'paused'", moving))
    assert len({row["run"] for row in await rows(UNITS, steady, 0)}) == 1
    assert server.camera("steady").requests.count("PLAY") == 1
    assert (await accounted(rows, moving)).count("paused") == 1


async def test_a_source_that_cannot_be_opened_keeps_no_other_from_being_recorded(
    cameras, register, start, rows
):
    server = await cameras()
    broken = await register("broken", server.url("broken"), seal=False)
    good = await register("good", server.url("good"))
    process = await start()
    await until(lambda: rows(UNITS, good, 0))
    await process.tell()
    told = await rows("SELECT state, detail, alarm FROM recordings.health WHERE stream = $1", broken)
    assert [tuple(row) for row in told] == [("refused", "seal_broken", "not_recording")]


async def test_an_address_outside_the_partys_networks_is_never_connected_to(
    cameras, register, start, rows, database
):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    async with database.acquire() as connection:
        await connection.execute("UPDATE cameras.network SET cidr = '127.9.0.0/16'")
    process = await start()
    await until(
        lambda: process.recordings and next(iter(process.recordings.values())).camera.state == "refused"
    )
    await process.tell()
    (told,) = await rows("SELECT detail FROM recordings.health WHERE stream = $1", stream)
    assert told["detail"] == "address_not_allowed"
    assert server.camera("gate").requests == []


async def test_a_recorder_without_its_disk_leaves_the_cameras_to_another_and_makes_no_folder(
    cameras, register, start, rows, tmp_path
):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    one = await start("a")
    await until(lambda: rows(UNITS, stream, 0))
    folder, away = tmp_path / "a", tmp_path / "away"
    folder.rename(away)
    two = await start("b")
    await until(lambda: two.recordings and not one.recordings, 30)
    await until(lambda: rows("SELECT FROM recordings.unit WHERE place = $1", two.folder.place.id), 30)
    assert not folder.exists()
    # Another process of that machine, begun while the disk is away, does not make a folder in its stead either.
    three = await start("a")
    await asyncio.sleep(2.5)
    assert not folder.exists() and three.folder.place is None
    away.rename(folder)
    await until(lambda: three.folder.place is not None)
    assert three.folder.place.id == one.folder.place.id  # type: ignore[attr-defined]
    await until(lambda: accounted_for(rows, stream))


async def accounted_for(rows, stream):
    return set(await accounted(rows, stream)) >= {"unit"}


async def test_a_full_disk_is_an_alarm_and_a_gap_with_its_reason(cameras, register, start, rows):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    process = await start()
    await until(lambda: rows(UNITS, stream, 0))
    process.folder.disk._least_free = 1 << 60
    await until(lambda: process.folder.refusal == "disk_full")
    await process.tell()
    (told,) = await rows("SELECT alarm FROM recordings.health WHERE stream = $1", stream)
    assert told["alarm"] == "disk_full"
    await asyncio.sleep(1.5)
    process.folder.disk._least_free = 1 << 20
    await until(lambda: rows("SELECT FROM recordings.gap WHERE reason = 'disk_full'"))
    await accounted(rows, stream)


async def test_a_camera_that_says_25_and_sends_fewer_is_told(cameras, register, start, rows, monkeypatch):
    monkeypatch.setattr("koinon.video.recordings.recording.FPS_SECONDS", 2.0)
    server = await cameras({"rate": 21})
    server.says_rate = 25.0
    server.camera("gate").fault = Fault(stamp_rate=21 / 25)
    stream = await register("gate", server.url("gate"))
    process = await start(unit_seconds=60.0)
    await until(
        lambda: process.recordings and next(iter(process.recordings.values())).camera.state == "recording"
    )
    (recording,) = process.recordings.values()
    camera, loop = server.camera("gate"), asyncio.get_running_loop()
    recording.measure(at := loop.time())
    before = camera.pictures
    await asyncio.sleep(2.5)
    sent = (camera.pictures - before) / (loop.time() - at)  # 21 a second, or what a busy machine comes to
    await process.tell()
    (told,) = await rows("SELECT * FROM recordings.health WHERE stream = $1", stream)
    assert (told["alarm"], told["fps_said"]) == ("fps_differs", 25)
    assert told["fps_measured"] == pytest.approx(sent, rel=0.15) and sent < 22


async def test_frames_are_tapped_before_they_are_recorded_and_the_end_is_told(cameras, register, start, rows):
    class Seen:
        address = "unix:/nowhere"

        def __init__(self):
            self.frames, self.said, self.gone = [], [], []

        def frame(self, stream, frame, format_=None):
            self.frames.append((stream, frame.key, format_ and format_.width))

        def away(self, stream, reason):
            self.said.append((stream, reason))

        def forget(self, stream):
            self.gone.append(stream)

        def watched(self, stream):
            return True

    server, tap = await cameras(), Seen()
    stream = await register("gate", server.url("gate"))
    process = await start(tap=tap)
    await until(lambda: len(tap.frames) > 20)
    assert tap.frames[0] == (stream, True, 320)
    server.camera("gate").disconnect()
    await until(lambda: tap.said)
    assert tap.said[0] == (stream, "camera_closed")
    assert [row["tap_address"] for row in await rows("SELECT tap_address FROM recordings.recorder")] == [
        tap.address
    ]
    process.stop()
    await process.task
    assert tap.gone == [stream]


async def test_files_without_a_row_get_one_and_rows_without_a_file_are_told(
    cameras, register, start, rows, tmp_path, database
):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    process = await start()
    await until(lambda: rows(UNITS, stream, 0))
    await asyncio.sleep(1.5)
    process.stop()
    await process.task
    units = await rows(UNITS, stream, 0)
    assert len(units) >= 2
    async with database.acquire() as connection:
        await connection.execute("DELETE FROM recordings.unit WHERE file = $1", units[0]["file"])
    lost = tmp_path / "r" / units[1]["file"]
    lost.unlink()
    # A copy of another camera's file, or of nobody's, is told and not believed.
    stray = tmp_path / "r" / "gate" / lost.parent.name / "stray.mp4"
    stray.write_bytes(b"no recording")
    await start()
    await until(lambda: rows("SELECT FROM recordings.orphan WHERE why = 'file_missing'"))
    again = await rows(UNITS, stream, 0)
    assert [tuple(row) for row in again if row["file"] == units[0]["file"]] == [tuple(units[0])]
    told = {(row["why"], row["file"]) for row in await rows("SELECT why, file FROM recordings.orphan")}
    assert told == {
        ("file_missing", units[1]["file"]),
        ("unreadable", stray.relative_to(tmp_path / "r").as_posix()),
    }
    assert stray.exists()
    shutil.rmtree(tmp_path / "r" / "nothing", ignore_errors=True)
