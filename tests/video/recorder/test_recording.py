"""A good camera is recorded as it is: every frame, in units that begin where the last ended."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from koinon.video.recorder import TICKS


async def test_every_frame_that_was_sent_is_in_units_that_ffprobe_decodes_without_a_word(
    cameras, record, read_all
):
    server = await cameras()

    async def script(camera, told):
        await told.take(4.2)
        await told.take_all(camera)

    told = await record(server, script=script, unit_seconds=1.5, silence_seconds=30.0)
    assert len(told.units) >= 2
    assert told.gaps == []
    assert told.camera.counts.lost_packets == 0
    assert server.camera("cam").pictures == told.frames
    for found in await read_all(told):
        assert found["codec_name"] == "h264"
        assert "K" in found["packets"][0]["flags"]
        times = [packet["dts"] for packet in found["packets"]]
        assert times[0] == 0 and times == sorted(set(times))
    assert "TEARDOWN" in server.camera("cam").requests


async def test_units_of_a_run_follow_each_other_exactly_and_carry_their_hash(cameras, record):
    server = await cameras()
    before = datetime.now(UTC)

    async def script(camera, told):
        await told.until(lambda: camera.pictures)
        sent.append(datetime.now(UTC))
        await told.take(4.2)

    sent = []
    told = await record(server, script=script, unit_seconds=1.0)
    assert len({unit.run for unit in told.units}) == 1
    assert [unit.number for unit in told.units] == list(range(len(told.units)))
    for unit, following in pairwise(told.units):
        assert abs(following.start - unit.start - timedelta(microseconds=unit.wall_us)) <= timedelta(
            microseconds=2
        )
        assert abs(unit.wall_us / 1e6 - unit.media_ticks / TICKS) <= 500e-6 * unit.media_ticks / TICKS + 1e-6
        assert unit.end_reason is None
    assert told.units[-1].end_reason == "stopped"
    assert before - timedelta(seconds=0.2) < told.units[0].start < sent[0] + timedelta(seconds=0.2)
    for unit in told.units:
        data = unit.path.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (unit.bytes, unit.sha256)
        assert unit.key_frames[0].ticks == 0
        for key in unit.key_frames:
            assert data[key.offset + 4 : key.offset + 8] == b"moof"


async def test_h265_is_recorded_as_hvc1(cameras, record, read_all):
    server = await cameras({"codec": "h265"})
    # The first turn may be 1.25 s away, its key frame another second.
    told = await record(server, worth=4.2, unit_seconds=1.0)
    assert told.gaps == [] and len(told.units) >= 2
    assert all(unit.codec.startswith("hvc1.1.6.L") for unit in told.units)
    for found in await read_all(told):
        assert found["codec_name"] == "hevc"


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_b_frames_keep_their_order_of_display_and_of_decoding(cameras, clips, record, read_all, codec):
    kind = {"codec": codec, "b_frames": 3, "gop": 25}
    server = await cameras(kind)
    told = await record(server, worth=3.5, unit_seconds=1.0, silence_seconds=3.0)
    pictures = clips(**kind).pictures
    assert any(later.shown < picture.shown for picture, later in pairwise(pictures))
    assert told.gaps == [] and len(told.units) >= 2
    reordered = 0
    for found in await read_all(told):
        decoding = [packet["dts"] for packet in found["packets"]]
        display = [packet["pts"] for packet in found["packets"]]
        assert decoding == sorted(set(decoding))
        assert len(set(display)) == len(display)
        reordered += display != sorted(display)
        # Shown one interval after the other, without a hole; the last frames may wait for some that never came.
        assert {later - time for time, later in pairwise(sorted(display)[:-4])} == {3600}
    assert reordered == len(told.units)


async def test_a_gop_longer_than_a_fragment_is_cut_inside(cameras, record, read_all):
    server = await cameras({"gop": 50})
    told = await record(server, worth=4.0, fragment_seconds=0.5, silence_seconds=5.0)
    assert told.gaps == []
    await read_all(told)
    data = told.units[0].path.read_bytes()
    assert data.count(b"moof") > 2 * len(told.units[0].key_frames)


async def test_long_gops_with_b_frames_are_cut_where_no_later_frame_is_shown_earlier(
    cameras, record, read_all
):
    server = await cameras({"gop": 50, "b_frames": 2})
    told = await record(server, worth=4.5, fragment_seconds=0.2, silence_seconds=5.0)
    data = told.units[0].path.read_bytes()
    assert data.count(b"moof") > 2 * len(told.units[0].key_frames)
    for found in await read_all(told):
        display = sorted(packet["pts"] for packet in found["packets"])
        assert {later - time for time, later in pairwise(display[:-4])} == {3600}


async def test_cameras_turn_their_units_at_different_moments(cameras, tmp_path):
    from koinon.base.clock import SystemClock
    from koinon.video.recorder import Disk, Options, prepare_folder
    from koinon.video.recorder.track import Track

    prepare_folder(tmp_path / "r")
    disk = Disk(tmp_path / "r")
    loop = asyncio.get_running_loop()
    turns = set()
    for number in range(40):
        track = Track(Options(name=f"cam-{number}"), disk, SystemClock(), loop, print, print)
        turns.add(int(track._until_rotation(1_800_000_000.0)))
    disk.close()
    assert len(turns) > 20
    assert all(15 <= turn <= 75 for turn in turns)


@pytest.mark.parametrize("scheme", ["basic", "md5", "sha256"])
async def test_the_credentials_are_proven_and_shown_nowhere(cameras, record, scheme, capfd):
    server = await cameras(scheme=scheme, user="vi:ewer".replace(":", ""), password="s3cr3t")
    told = await record(server, worth=1.5)
    assert told.frames > 10 and told.gaps == []
    assert b"s3cr3t" not in told.units[0].path.read_bytes()
    out, err = capfd.readouterr()
    assert "s3cr3t" not in out + err


async def test_wrong_credentials_are_a_gap_with_that_reason(cameras, record):
    server = await cameras(scheme="sha256", password="right")
    told = await record(server, state="unauthorised", url=server.url("cam").replace("right", "wrong"))
    assert told.units == []
    assert told.reasons == ["unauthorised"]


async def test_the_session_is_kept_alive_in_time(cameras, record):
    server = await cameras(timeout=2)

    async def script(camera, told):
        await told.until(lambda: camera.requests.count("GET_PARAMETER") >= 2, 3.2)

    await record(server, script=script)


async def test_frames_with_the_same_timestamp_or_slices_marked_one_by_one_stay_readable(
    cameras, record, read_all
):
    # x264 with four slices a picture, each sent as if it were the end of the frame.
    server = await cameras()
    clip, packed = server._clips[0], server._packed[0]
    original = server._pack

    def every_packet_marked(payloads, sequence, stamp, last=True):
        return b"".join(original([each], sequence + at, stamp) for at, each in enumerate(payloads))

    server._pack = every_packet_marked
    assert any(len(each) > 1 for each in packed) and clip.codec == "h264"
    told = await record(server, worth=1.5)
    assert told.gaps == []
    await read_all(told, decode=False)
