"""Cameras that send datagrams, that have sound, or that have no video that can be recorded."""

import asyncio
import json
import socket
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.video.recorder.test_av import record_av  # noqa: F401 - fixture

from koinon.demo.cameras import Fault
from koinon.video.recorder.rtsp import is_recorded, list_codecs
from koinon.video.recorder.rtsp.datagrams import Ordered, open_datagrams
from koinon.video.recordings.health import _left_out


def until(frames, *, told_by=lambda told: told.camera.counts.frames, seconds=20.0):
    """A script that ends when so many frames have come."""

    async def script(*given):
        told = given[-1]
        async with asyncio.timeout(seconds):
            while told_by(told) < frames:  # noqa: ASYNC110 - a count, no event
                await asyncio.sleep(0.02)

    return script


def probe(unit):
    words = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type,codec_name,nb_read_packets"]
    done = subprocess.run(
        [*words, "-count_packets", "-of", "json", str(unit.path)], capture_output=True, check=True
    )
    assert done.stderr == b""
    return json.loads(done.stdout)["streams"]


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_a_camera_that_refuses_tcp_is_recorded_over_udp(cameras, record, codec):
    server = await cameras({"codec": codec}, udp=True, scheme="md5")
    told = await record(server, script=until(30), silence_seconds=3.0)
    assert told.gaps == [] and told.frames >= 30 - 13
    assert [(each["codec_type"], each["codec_name"]) for unit in told.units for each in probe(unit)] == [
        ("video", "h264" if codec == "h264" else "hevc")
    ] * len(told.units)
    assert sum(int(each["nb_read_packets"]) for unit in told.units for each in probe(unit)) == told.frames
    assert all(unit.camera_us is not None for unit in told.units), "its own time came over the second port"


async def test_what_is_lost_on_the_way_is_counted_and_the_rest_can_be_read(cameras, record):
    server = await cameras(udp=True)
    camera = server.camera("cam")
    camera.fault = Fault(lose=0.1)

    async def script(*given):
        await until(15, told_by=lambda _: camera.lost)(*given)
        camera.fault = Fault()  # what is on its way, and what waits for a missing one, arrives
        await until(10, told_by=lambda told: told.camera.counts.lost_packets)(*given)

    told = await record(server, script=script, silence_seconds=3.0)
    # The system may lose more, and what was lost before the first packet came is not known; never less otherwise.
    assert told.camera.counts.lost_packets >= 10
    assert 0 < told.camera.counts.damaged_frames <= told.camera.counts.lost_packets
    assert sum(unit.lost_packets for unit in told.units) <= told.camera.counts.lost_packets
    assert sum(int(each["nb_read_packets"]) for unit in told.units for each in probe(unit)) == told.frames


async def test_datagrams_that_overtake_each_other_are_no_loss(cameras, record):
    server = await cameras(udp=True)
    server.camera("cam").fault = Fault(reorder=0.2)
    told = await record(server, script=until(40), silence_seconds=3.0)
    counts = told.camera.counts
    assert (counts.lost_packets, counts.damaged_frames) == (0, 0)
    assert told.gaps == [] and told.frames >= 40 - 13


async def test_a_camera_over_udp_that_falls_silent_is_a_gap(cameras, record):
    server = await cameras(udp=True)

    async def script(camera, told):
        await until(20)(told)
        camera.fault = Fault(silent=True)
        async with asyncio.timeout(10):
            while told.camera.state == "recording":  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    told = await record(server, script=script)
    assert told.reasons[0] == "silent" and told.frames > 0


async def test_the_other_driver_reads_udp_too_and_asks_for_no_sound(cameras, record_av):  # noqa: F811
    server = await cameras(udp=True, sound="PCMA")
    told = await record_av(server.url("cam"), script=until(20), connect_seconds=5.0, silence_seconds=3.0)
    camera = server.camera("cam")
    assert told.camera.left_out == ("PCMA",)
    assert camera.set_up and all(url.endswith("track1") for url in camera.set_up)
    assert {each["codec_type"] for unit in told.units for each in probe(unit)} == {"video"}


@pytest.mark.parametrize(("sound", "name"), [("PCMA", "PCMA"), ("PCMU", "PCMU"), ("AAC", "MPEG4-GENERIC")])
async def test_sound_is_told_and_never_asked_for(cameras, record, sound, name):
    server = await cameras(sound=sound)
    told = await record(server, script=until(3))
    assert told.camera.left_out == (name,)
    assert {url.rpartition("/")[2] for url in server.camera("cam").set_up} == {"track1"}
    assert {each["codec_type"] for unit in told.units for each in probe(unit)} == {"video"}


async def test_a_camera_of_jpeg_pictures_is_refused_by_both_and_told_what_it_has(
    cameras,
    record,
    record_av,  # noqa: F811
):
    server = await cameras(sound="PCMU")
    server.camera("cam").fault = Fault(jpeg=True)

    async def script(*given):
        async with asyncio.timeout(10):
            while given[-1].camera.state != "unsupported":  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    for told in (await record(server, script=script), await record_av(server.url("cam"), script=script)):
        assert told.units == [] and told.reasons == ["unsupported"]
        assert told.gaps[0].detail == "no H.264 or H.265: JPEG, PCMU"
    assert server.camera("cam").set_up == []


def packet(sequence):
    return bytes((0x80, 96)) + (sequence & 0xFFFF).to_bytes(2, "big") + bytes(8) + b"x"


def sequences(packets):
    return [each[2] << 8 | each[3] for each in packets]


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 4), min_size=2, max_size=200), st.data())
@settings(max_examples=60, deadline=None)
def test_packets_that_a_network_mixed_up_come_in_order_whatever_is_lost(first, delays, data):
    count = len(delays)
    lost = data.draw(st.sets(st.integers(1, count - 1), max_size=count // 8))
    # Each is late by a few places; the first comes first, since nobody knows what was before it.
    order = sorted(range(1, count), key=lambda n: (n + delays[n], n))
    sent = [0, *(n for n in order if n not in lost)]
    taken = []
    ordered = Ordered(taken.append)
    for n in sent:
        ordered.push(packet(first + n))
    found = [(each - first) & 0xFFFF for each in sequences(taken)]
    assert found == sorted(found) and len(set(found)) == len(found)
    # What still waits at the end waits for one that is missing.
    waiting = set(sent) - set(found)
    assert not waiting or (min(waiting) > max(found) + 1 and len(waiting) <= 16)


def test_a_sequence_that_begins_anew_is_taken_at_once_and_a_fragment_of_a_packet_is_not():
    taken = []
    ordered = Ordered(taken.append)
    for sequence in (10, 11, 30_000, 30_001, 12):
        ordered.push(packet(sequence))
    ordered.push(b"short")
    assert sequences(taken) == [10, 11, 30_000, 30_001, 12]


async def test_nothing_is_taken_from_who_is_not_the_camera():
    taken, control = [], []
    ports = await open_datagrams("127.0.0.1", "127.0.0.1", taken.append, control.append)
    own, other, elsewhere = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3))
    try:
        own.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        elsewhere.bind(("127.0.0.2", 0))
        ports.expect(own.getsockname()[1], own.getsockname()[1])
        for sender, sequence in ((elsewhere, 1), (other, 2), (own, 3)):
            sender.sendto(packet(sequence), ("127.0.0.1", ports.port))
        own.sendto(b"report", ("127.0.0.1", ports.port + 1))
        async with asyncio.timeout(5):
            while not (taken and control):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert sequences(taken) == [3] and control == [b"report"] and ports.strangers == 2
        assert ports.port % 2 == 0
    finally:
        ports.close()
        for each in (own, other, elsewhere):
            each.close()


def test_codecs_are_named_also_where_a_payload_type_needs_no_words():
    head = "v=0\r\ns=x\r\n"
    sdp = (
        head
        + "m=video 0 RTP/AVP 26\r\nm=audio 0 RTP/AVP 0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n"
    )
    assert list_codecs((sdp + "m=application 0 RTP/AVP 107\r\n").encode()) == [
        ("video", "JPEG"), ("audio", "PCMU"), ("audio", "opus"), ("application", "application 0 RTP/AVP 107"),
    ]  # fmt: skip
    assert [is_recorded(name) for name in ("h264", "HEVC", "JPEG", "PCMU")] == [True, True, False, False]


def test_what_is_not_recorded_stands_beside_a_camera_that_records():
    assert _left_out("recording", ("PCMA", "JPEG")) == "not recorded: PCMA, JPEG"
    assert _left_out("recording", ()) == _left_out("silent", ("PCMA",)) == ""
