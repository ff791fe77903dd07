"""Virtual cameras: what they send is what was encoded, a hundred are cheap, and the clip tells the time."""

import asyncio
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from koinon.demo.cameras import CameraServer, ClipUnavailable, Fault, make_clip, read_clip


def make(folder, **kind):
    try:
        return read_clip(make_clip(folder, **{"seconds": 2, "gop": 13, **kind}))
    except ClipUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{error}, and CI=true")
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make(tmp_path_factory.mktemp("clips"))


async def ask(server, method, name, headers="", reader=None, writer=None):
    if writer is None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{method} {server.url(name, False)} RTSP/1.0\r\nCSeq: 1\r\n{headers}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    return head, reader, writer


async def play(server, name, packets):
    """The first interleaved packets that a camera sends."""
    head, reader, writer = await ask(server, "SETUP", name, "Transport: RTP/AVP/TCP;interleaved=0-1\r\n")
    session = head.split("Session: ")[1].split(";")[0]
    await ask(server, "PLAY", name, f"Session: {session}\r\n", reader, writer)
    got = []
    while len(got) < packets:
        frame = await reader.readexactly(4)
        got.append((frame[1], await reader.readexactly(int.from_bytes(frame[2:], "big"))))
    writer.close()
    return got


def test_a_clip_begins_with_a_key_frame_and_its_parameter_sets(clip):
    assert clip.codec == "h264" and len(clip.pictures) == 50 and clip.ticks == 180_000
    assert [at for at, picture in enumerate(clip.pictures) if picture.key] == [0, 13, 26, 39]
    assert [nal[0] & 31 for nal in clip.sets] == [7, 8]


async def test_timestamps_rise_by_the_interval_and_sequence_numbers_by_one_also_around_the_loop(clip):
    async with CameraServer([clip]) as server:
        got = await asyncio.wait_for(play(server, "a", 300), 20)
    video = [data for channel, data in got if channel == 0]
    assert any(channel == 1 for channel, _ in got), "sender reports"
    sequences = [int.from_bytes(data[2:4], "big") for data in video]
    assert all((later - number) & 0xFFFF == 1 for number, later in pairwise(sequences))
    stamps = [int.from_bytes(data[4:8], "big") for data in video]
    assert {(later - stamp) & 0xFFFFFFFF for stamp, later in pairwise(stamps)} <= {0, clip.interval}
    # The marker ends each frame, and only each frame.
    assert all(
        (data[1] >> 7) == (later != stamp)
        for data, stamp, later in zip(video, stamps, stamps[1:], strict=False)
    )


async def test_the_clip_begins_at_full_multiples_of_its_length(clip):
    async with CameraServer([clip]) as server:
        got = await asyncio.wait_for(play(server, "a", 1), 20)
        now = time.time()
    (_, data) = next(each for each in got)
    stamp = int.from_bytes(data[16:20], "big") if data[1] == 200 else int.from_bytes(data[4:8], "big")
    apart = abs(stamp / 90_000 % 2 - now % 2)
    assert min(apart, 2 - apart) < 0.2  # 1.99 and 0.01 are near each other


async def test_only_who_proves_to_know_the_password_is_let_in(clip):
    async with CameraServer([clip], scheme="sha256") as server:
        head, _, writer = await ask(server, "DESCRIBE", "a", "Authorization: Basic dmlld2VyOnNlY3JldA==\r\n")
        assert head.startswith("RTSP/1.0 401") and "SHA-256" in head
        writer.close()


async def test_a_hundred_cameras_are_sent_at_the_pace_of_the_clip(clip):
    async with CameraServer([clip]) as server:
        before, began = time.process_time(), time.monotonic()
        tasks = [asyncio.create_task(play(server, f"c{number}", 60)) for number in range(100)]
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        share = (time.process_time() - before) / (time.monotonic() - began)
    assert share < 1.0  # server and readers together; the server alone is a tenth of that
    assert min(server.camera(f"c{number}").pictures for number in range(100)) > 5


def test_a_fault_spoils_bytes_and_leaves_the_length(clip):
    import random

    payload = bytes(1000)
    spoiled = Fault(corrupt=0.01).spoil(payload, random.Random(1))
    assert len(spoiled) == 1000 and 1 <= sum(byte != 0 for byte in spoiled) <= 10


def test_a_clip_of_real_traffic_is_read_where_it_is_present():
    shared = Path(os.environ.get("KOINON_SHARED", Path(__file__).parents[2] / ".." / "shared")).resolve()
    path = shared / "data" / "video" / "car-detection.mp4"
    if not path.exists():
        pytest.skip(f"no {path.name} in the shared data")
    try:
        clip = read_clip(path)
    except ClipUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    assert len(clip.pictures) > 100 and clip.pictures[0].key and clip.sets
