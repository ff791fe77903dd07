"""What goes wrong with a camera is a gap with its reason, a run that ends with its reason, or a count."""

import asyncio
import random
import time
from datetime import timedelta
from itertools import pairwise

import pytest

from koinon.base.clock import SystemClock
from koinon.demo.cameras import Fault
from koinon.video.recorder import TICKS


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of another, which tells nobody
            await asyncio.sleep(0.01)


async def test_a_camera_that_is_cut_off_comes_back_after_a_gap(cameras, record, read_all):
    server = await cameras()

    async def script(camera, told):
        await asyncio.sleep(1.3)
        camera.disconnect()
        await asyncio.sleep(1.7)

    told = await record(server, script=script)
    assert told.reasons == ["camera_closed"]
    first, second = told.units
    assert (first.end_reason, second.end_reason) == ("camera_closed", "stopped")
    assert first.run != second.run and second.number == 0
    (gap,) = told.gaps
    assert abs(gap.start - first.start - timedelta(microseconds=first.wall_us)) < timedelta(milliseconds=1)
    assert gap.end == second.start
    await read_all(told)


async def test_a_frozen_camera_is_found_out_within_the_limit(cameras, record):
    server = await cameras()
    seen = {}

    async def script(camera, told):
        await asyncio.sleep(1.3)
        camera.fault = Fault(frozen=True)
        at = asyncio.get_running_loop().time()
        await until(lambda: told.units)
        seen["after"] = asyncio.get_running_loop().time() - at
        camera.fault = Fault()
        await until(lambda: camera.requests.count("PLAY") == 2)
        await asyncio.sleep(1.0)

    told = await record(server, script=script)
    assert told.reasons == ["silent"]
    assert 0.7 < seen["after"] < 2.0


async def test_a_machine_that_stands_still_for_longer_than_the_limit_takes_no_camera_for_silent(
    cameras, record
):
    server = await cameras()

    async def script(camera, told):
        await told.take(1.0)
        time.sleep(1.5)  # noqa: ASYNC251 - freezes the whole process, as SIGSTOP does
        await told.take(1.0)

    told = await record(server, script=script)
    assert told.gaps == [] and len({unit.run for unit in told.units}) == 1


async def test_a_camera_that_answers_but_sends_no_picture_is_silent_too(cameras, record):
    server = await cameras(timeout=2)

    async def script(camera, told):
        await asyncio.sleep(1.2)
        camera.fault = Fault(silent=True)
        await until(lambda: told.units)

    told = await record(server, script=script, silence_seconds=1.5)
    assert told.units[0].end_reason == "silent" and told.reasons == ["silent"]


async def test_a_camera_that_accepts_and_never_answers_is_silent(cameras, record):
    server = await cameras()
    server.camera("cam").fault = Fault(mute=True)
    told = await record(server, seconds=1.5)
    assert told.units == [] and told.reasons == ["silent"]


async def test_a_camera_that_is_not_there_is_tried_again_with_growing_pauses(cameras, record):
    server = await cameras()
    server.camera("cam").fault = Fault(off=True)
    told = await record(server, seconds=2.0, backoff_seconds=0.1, backoff_limit_seconds=10.0)
    assert told.units == []
    assert told.reasons == ["refused"] and "404" in told.gaps[0].detail
    assert 1.9 < told.covered() < 2.3
    # At most 0.1, 0.2, 0.4, 0.8 between; at least half of that: 4 to 6 attempts in 2 s.
    assert 4 <= server.camera("cam").requests.count("OPTIONS") <= 6


async def test_nobody_listening_is_unreachable(cameras, record):
    server = await cameras()
    told = await record(server, seconds=0.5, url="rtsp://127.0.0.1:1/cam")
    assert told.reasons == ["unreachable"]


async def test_bytes_that_are_no_rtsp_end_the_session_and_it_begins_anew(cameras, record, read_all):
    server = await cameras()

    async def script(camera, told):
        await asyncio.sleep(1.2)
        camera.fault = Fault(garbage=True)
        await asyncio.sleep(2.0)

    told = await record(server, script=script)
    assert told.reasons == ["protocol"]
    assert len(told.units) == 2
    await read_all(told)


async def test_lost_packets_are_counted_one_by_one_and_the_units_stay_readable(cameras, record, read_all):
    server = await cameras({"kbits": 1500, "width": 640, "height": 360})
    server.camera("cam").fault = Fault(lose=0.02)
    told = await record(server, seconds=3.0, unit_seconds=1.0)
    camera = server.camera("cam")
    counts = told.camera.counts
    assert counts.lost_packets > 0 and counts.damaged_frames > 0
    assert sum(unit.lost_packets for unit in told.units) <= counts.lost_packets
    assert told.frames + counts.damaged_frames <= camera.pictures
    assert told.gaps == []
    await read_all(told, decode=False)


async def test_corrupt_nals_do_not_end_the_recording_nor_make_a_file_unreadable(cameras, record):
    from koinon.video.recorder import read_unit

    server = await cameras({"kbits": 1500, "width": 640, "height": 360})

    async def script(camera, told):
        await asyncio.sleep(1.0)
        camera.fault = Fault(corrupt=0.01)
        await asyncio.sleep(2.0)
        camera.fault = Fault()
        await asyncio.sleep(1.0)

    told = await record(server, script=script, unit_seconds=1.0)
    counts = told.camera.counts
    assert counts.bad_nals + counts.damaged_frames > 0
    assert told.frames > 40
    for unit in told.units:
        assert read_unit(unit.path).frames == unit.frames
    assert set(told.reasons) <= {"protocol"}


async def test_a_burst_of_what_was_held_back_loses_nothing_and_ends_no_run(cameras, record, read_all):
    server = await cameras()
    server.camera("cam").fault = Fault(burst_seconds=0.6)
    told = await record(server, seconds=4.0, silence_seconds=4.0)
    assert told.gaps == [] and len({unit.run for unit in told.units}) == 1
    assert told.camera.counts.lost_packets == 0
    # What is still held back when recording stops was never sent.
    assert server.camera("cam").pictures - told.frames <= 0.6 * 25 + 3
    await read_all(told)


async def test_a_camera_that_sends_ten_times_as_much_at_once_has_begun_earlier(cameras, record, read_all):
    server = await cameras()
    server.camera("cam").fault = Fault(prebuffer_pictures=75)

    async def script(camera, told):
        await until(lambda: camera.pictures)
        seen["playing"] = SystemClock().now()
        await asyncio.sleep(2.0)

    seen = {}
    told = await record(server, script=script)
    (unit,) = told.units
    assert told.gaps == []
    # The run began when its first picture was taken, three seconds and more before the connection.
    assert 2.8 < (seen["playing"] - unit.start).total_seconds() < 4.2
    await read_all(told)


class SlewedClock(SystemClock):
    """The machine's clock, 4 ms fast when it is read first and put right by a millisecond a second."""

    def __init__(self):
        self.since = self.monotonic()

    def now(self):
        return super().now() + timedelta(milliseconds=max(-4.0, 4.0 - (self.monotonic() - self.since)))


@pytest.mark.parametrize("kind", [SystemClock, SlewedClock])
async def test_a_camera_that_says_25_and_sends_21_leaves_no_phantom_gaps(cameras, record, read_all, kind):
    # Its timestamps tell 40 ms from frame to frame, while 47.6 ms pass.
    server = await cameras({"rate": 21})
    server.camera("cam").fault = Fault(stamp_rate=21 / 25)
    began = SystemClock().now()
    # The last unit is shorter than 2 s: it is corrected by 500 ppm at most, which is then less than a millisecond.
    told = await record(
        server, clock=kind(), seconds=8.0, unit_seconds=1.0, window_seconds=0.9, step_seconds=0.25
    )
    ended = SystemClock().now()
    assert [unit.end_reason for unit in told.units if unit.end_reason] == ["clock_rate", "stopped"]
    for unit, following in pairwise(told.units):
        hole = following.start - unit.start - timedelta(microseconds=unit.wall_us)
        assert timedelta(0) <= hole + timedelta(microseconds=2) < timedelta(seconds=0.15)
    assert told.gaps == []
    # From the first to the last frame; the first key frame may be 0.7 s away.
    assert -0.2 < (ended - began).total_seconds() - told.covered() < 1.3
    # Once the true rate is known, media and wall agree.
    last = told.units[-1]
    assert abs(last.wall_us / 1e6 - last.media_ticks / TICKS) < 1e-3
    assert abs(last.frames / 21 - last.wall_us / 1e6) < 0.15
    await read_all(told)


async def test_a_step_of_the_cameras_clock_ends_the_run_and_loses_no_frame(cameras, record, read_all):
    server = await cameras()

    async def script(camera, told):
        await asyncio.sleep(1.5)
        camera.fault = Fault(stamp_offset=3600 * TICKS)
        await asyncio.sleep(1.5)
        camera.fault = Fault(stamp_offset=-5 * TICKS)
        await asyncio.sleep(1.5)

    told = await record(server, script=script)
    assert [unit.end_reason for unit in told.units] == ["clock_step", "clock_step", "stopped"]
    assert told.gaps == []
    assert 0 <= server.camera("cam").pictures - told.frames <= 2
    assert max(unit.wall_us for unit in told.units) < 4e6
    await read_all(told)


class SetClock(SystemClock):
    """The machine's clock, as an operator has set it."""

    def __init__(self):
        self.by = timedelta(0)

    def now(self):
        return super().now() + self.by


async def test_a_step_of_the_servers_clock_ends_the_run_and_the_hole_has_its_reason(cameras, record):
    server = await cameras()
    clock = SetClock()

    async def script(camera, told):
        await asyncio.sleep(1.5)
        clock.by = timedelta(hours=1)
        await asyncio.sleep(2.0)

    told = await record(server, script=script, clock=clock)
    assert [unit.end_reason for unit in told.units] == ["clock_step", "stopped"]
    (gap,) = told.gaps
    assert gap.reason == "clock_step"
    assert abs((gap.end - gap.start) - timedelta(hours=1)) < timedelta(seconds=1)


async def test_other_parameter_sets_begin_a_new_unit_of_the_same_run(cameras, record, read_all):
    server = await cameras({}, {"width": 480, "height": 272})

    async def script(camera, told):
        await asyncio.sleep(1.6)
        camera.fault = Fault(variant=1)
        await asyncio.sleep(1.6)

    told = await record(server, script=script)
    assert [(unit.width, unit.height) for unit in told.units] == [(320, 180), (480, 272)]
    first, second = told.units
    assert first.run == second.run and first.end_reason is None
    assert told.gaps == []
    await read_all(told, decode=False)


async def test_a_stream_without_a_key_frame_is_a_gap_that_says_so(cameras, record):
    server = await cameras()

    async def script(camera, told):
        await asyncio.sleep(2.5)

    server.camera("cam").fault = Fault(no_key_frames=True)
    told = await record(server, script=script, key_frame_seconds=0.6, silence_seconds=5.0)
    assert told.units == []
    assert told.reasons == ["no_key_frame"]


async def test_a_unit_ends_though_no_key_frame_follows_its_first(cameras, record, read_all):
    # What stands in no row is reached by no term: the unit is told, and a new session asks for a key frame.
    server = await cameras()

    async def script(camera, told):
        await until(lambda: camera.pictures > 0)
        camera.fault = Fault(no_key_frames=True)
        await until(lambda: told.units)
        assert told.units[0].wall_us < 5e6
        camera.fault = Fault()
        await asyncio.sleep(1.5)

    told = await record(server, script=script, unit_seconds=1.0, gop_seconds=0.5, key_frame_seconds=0.6)
    assert told.units[0].end_reason == "no_key_frame" and told.units[0].frames > 25
    assert len(told.units) > 1 and told.units[1].run != told.units[0].run
    (gap,) = told.gaps
    assert gap.reason == "no_key_frame" and gap.end == told.units[1].start
    await read_all(told, decode=False)  # the pictures that were left out are referred to


async def test_the_cameras_own_time_is_kept_and_not_believed(cameras, record):
    server = await cameras()
    server.camera("cam").fault = Fault(report_offset=86_400.0)
    before = SystemClock().now()
    told = await record(server, seconds=1.5)
    assert abs(told.units[0].camera_us / 1e6 - 86_400) < 1
    assert abs((told.units[0].start - before).total_seconds()) < 2


async def test_a_camera_without_reports_has_no_time_of_its_own(cameras, record):
    server = await cameras()
    server.camera("cam").fault = Fault(no_reports=True)
    told = await record(server, seconds=1.2)
    assert told.units[0].camera_us is None


async def test_units_and_gaps_together_are_the_time_that_passed_whatever_the_camera_does(cameras, record):
    server = await cameras({"gop": 10})
    chance = random.Random(3)

    async def script(camera, told):
        await until(lambda: camera.pictures)
        for _ in range(5):
            await asyncio.sleep(chance.uniform(0.3, 0.9))
            fault = chance.choice(["cut", "frozen", "step", "off"])
            if fault == "cut":
                camera.disconnect()
            elif fault == "step":
                camera.fault = Fault(stamp_offset=chance.randrange(10**9))
            else:
                camera.fault = Fault(frozen=fault == "frozen", off=fault == "off")
                camera.disconnect()
                await asyncio.sleep(0.4)
                camera.fault = Fault()
        await asyncio.sleep(1.0)

    began = SystemClock().now()
    told = await record(server, script=script)
    ended = SystemClock().now()
    pieces = sorted(
        [(unit.start, unit.start + timedelta(microseconds=unit.wall_us)) for unit in told.units]
        + [(gap.start, gap.end) for gap in told.gaps]
    )
    for (_, end), (start, _) in pairwise(pieces):
        assert abs(start - end) < timedelta(seconds=0.11), "a hole without a reason, or an overlap"
    assert pieces[0][0] - began < timedelta(seconds=1)
    assert abs(ended - pieces[-1][1]) < timedelta(seconds=0.5)
