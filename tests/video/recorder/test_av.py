"""The driver for what our own client does not speak: the same units and gaps, and failures by what they are."""

import asyncio
import contextlib
import io
import itertools
import re
import socket
from fractions import Fraction

import av
import msgspec
import pytest
from tests.video.conftest import QUICK, Recording

from koinon.demo.cameras import Fault, make_certificate
from koinon.video.recorder import Camera, Disk, Options, parse_source, prepare_folder
from koinon.video.recorder.av import SCHEMES, AvCamera
from koinon.video.recorder.av.camera import _address, _Reader, _split_annex_b, _split_lengths
from koinon.video.recorder.rtsp import SessionFailed, session


@pytest.fixture
async def record_av(tmp_path):
    async def run(url, *, seconds=4.0, script=None, **options):
        prepare_folder(tmp_path / "r")
        disk = Disk(tmp_path / "r", least_free=1 << 20)
        camera = AvCamera(
            parse_source(url, SCHEMES), Options(name="cam", **{**QUICK, "unit_seconds": 1.5, **options}), disk,
            on_unit=lambda unit: told.units.append(unit), on_gap=lambda gap: told.gaps.append(gap),
        )  # fmt: skip
        told = Recording(camera, disk)
        stop = asyncio.Event()
        task = asyncio.create_task(camera.record(stop))
        await (script(told) if script else asyncio.sleep(seconds))
        stop.set()
        await task
        await asyncio.to_thread(disk.close)
        return told

    return run


def test_both_drivers_are_cameras():
    assert issubclass(AvCamera, Camera)


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_units_are_those_of_the_other_driver(cameras, record_av, read_all, codec):
    server = await cameras({"codec": codec}, scheme="md5")
    told = await record_av(server.url("cam"), seconds=6.0, connect_seconds=5.0, silence_seconds=3.0)
    assert told.gaps == [] and told.camera.state == "stopped"
    assert told.frames > 50 and {unit.codec[:4] for unit in told.units} == {
        "avc1" if codec == "h264" else "hvc1"
    }
    for one, following in itertools.pairwise(told.units):
        assert abs((following.start - one.start).total_seconds() - one.wall_us / 1e6) < 2e-6
    await read_all(told)


@pytest.fixture
def trust(monkeypatch, tmp_path):
    """The certificate is an authority of this system."""

    def trust(certificate):
        (tmp_path / "authorities.pem").write_bytes(certificate.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities.pem"))
        session._authorities.cache_clear()

    yield trust
    session._authorities.cache_clear()


async def test_by_tls_it_records_whom_an_authority_vouches_for_and_nobody_else(cameras, record_av, trust):
    server = await cameras(certificate=(shown := make_certificate()))
    trust(make_certificate())
    told = await record_av(server.url("cam", pinned=False), seconds=0.5)
    assert (told.units, told.reasons) == ([], ["untrusted"])
    assert server.camera("cam").requests == []
    trust(shown)
    told = await record_av(
        server.url("cam", pinned=False), seconds=4.0, connect_seconds=5.0, silence_seconds=3.0
    )
    assert told.gaps == [] and told.frames > 30


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
async def test_ffmpeg_itself_says_nothing_to_whom_nobody_vouches_for(trust, scheme):
    """Its own default is to believe whoever answers."""
    heard = []

    async def listen(reader, writer):
        with contextlib.suppress(OSError):
            heard.extend(filter(None, [await reader.read(100)]))  # an end without a word is none
        writer.close()

    shown = make_certificate()
    async with await asyncio.start_server(listen, "127.0.0.1", 0, ssl=shown.context) as server:
        port = server.sockets[0].getsockname()[1]

        async def ask(host):
            source = parse_source(f"{scheme}://{host}:{port}/cam", SCHEMES)
            reader = _Reader(msgspec.structs.replace(source, address="127.0.0.1"), 2.0, 2.0)
            with pytest.raises(SessionFailed):
                await asyncio.to_thread(reader.read, *[lambda *_: None] * 3)

        trust(make_certificate())
        await ask("127.0.0.1")
        trust(shown)
        await ask("camera.example")
        assert heard == []
        await ask("127.0.0.1")
        assert len(heard) == 1 and heard[0].startswith(b"OPTIONS" if scheme == "rtsps" else b"GET")


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
async def test_a_camera_does_not_send_it_elsewhere(record_av, trust, scheme):
    """There it would say its password, and in the clear."""
    heard = []

    async def listen(reader, writer):
        heard.append(await reader.read(100))
        writer.close()

    async def send_on(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while asked := await reader.readuntil(b"\r\n\r\n"):
                number = re.search(rb"CSeq: \d+", asked)
                head = b"RTSP/1.0 %b\r\n" + number[0] if number else b"HTTP/1.1 %b\r\nContent-Length: 0"
                status = b"200 OK" if asked.startswith(b"OPTIONS") else b"302 Moved"
                writer.write(head % status + b"\r\nLocation: %b\r\n\r\n" % elsewhere)
        writer.close()

    trust(shown := make_certificate())
    context = shown.context if scheme.endswith("s") else None
    async with (
        await asyncio.start_server(listen, "127.0.0.1", 0) as other,
        await asyncio.start_server(send_on, "127.0.0.1", 0, ssl=context) as camera,
    ):
        there, here = (each.sockets[0].getsockname()[1] for each in (other, camera))
        elsewhere = f"{scheme.removesuffix('s')}://127.0.0.1:{there}/cam".encode()
        told = await record_av(f"{scheme}://op:secret@127.0.0.1:{here}/cam", seconds=1.5)
    assert (told.units, heard) == ([], [])
    assert set(told.reasons) <= {"refused", "unreachable"} and told.reasons


async def test_b_frames_keep_their_order(cameras, record_av, read_all):
    server = await cameras({"b_frames": 3, "gop": 25})
    told = await record_av(server.url("cam"), seconds=5.0, connect_seconds=5.0, silence_seconds=3.0)
    assert told.frames > 30
    found = await read_all(told)
    assert any(
        [each["pts"] for each in one["packets"]] != sorted(each["pts"] for each in one["packets"])
        for one in found
    )


async def test_failures_are_told_as_what_they_are(cameras, record_av):
    server = await cameras(scheme="basic")
    server.camera("off").fault = Fault(off=True)
    server.camera("mute").fault = Fault(mute=True)
    expected = [
        ("rtsp://127.0.0.1:1/x", "unreachable"),
        (server.url("off"), "refused"),
        (server.url("cam", credentials=False), "unauthorised"),
        (server.url("mute"), "silent"),
    ]
    for url, reason in expected:
        told = await record_av(url, seconds=2.5)
        assert told.units == [] and told.reasons == [reason], (url, told.gaps)
        assert "secret" not in repr(told.gaps)


async def test_a_stream_that_ends_is_a_camera_that_closed_and_is_opened_anew(cameras, record_av, read_all):
    # PyAV tells a reset connection as the normal end of a file.
    server = await cameras()

    async def script(told):
        await asyncio.sleep(4.0)
        server.camera("cam").disconnect()
        await asyncio.sleep(5.0)

    told = await record_av(server.url("cam"), script=script, connect_seconds=5.0, silence_seconds=3.0)
    assert told.reasons == ["camera_closed"]
    assert len({unit.run for unit in told.units}) == 2
    await read_all(told)


async def test_a_frozen_camera_is_silent(cameras, record_av):
    server = await cameras()

    async def script(told):
        await asyncio.sleep(4.0)
        server.camera("cam").fault = Fault(frozen=True)
        async with asyncio.timeout(12):
            while told.camera.state == "recording":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # for the unit to be closed and told

    told = await record_av(server.url("cam"), script=script, connect_seconds=5.0, silence_seconds=2.0)
    assert [unit.end_reason for unit in told.units if unit.end_reason] == ["silent"]
    assert told.reasons == ["silent"]


@pytest.mark.parametrize("udp", [True, False])
async def test_what_is_lost_on_the_way_is_counted_to_the_packet(cameras, record_av, read_all, udp):
    server = await cameras(udp=udp)
    camera = server.camera("cam")

    async def script(told):
        counts = told.camera.counts
        async with asyncio.timeout(40):
            while not told.units:  # noqa: ASYNC110 - the next one is being written
                await asyncio.sleep(0.02)
            camera.fault = Fault(lose=0.1)
            while camera.lost < 8:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            camera.fault = Fault()
            while counts.lost_packets < camera.lost:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    told = await record_av(server.url("cam"), script=script, connect_seconds=5.0, silence_seconds=5.0)
    counts = told.camera.counts
    # A busy system may lose datagrams of its own; over a connection nothing but what the camera left out.
    assert counts.lost == camera.lost or (udp and counts.lost > camera.lost)
    assert 0 < counts.damaged_frames <= counts.lost
    assert (
        sum(unit.lost_packets for unit in told.units) == counts.lost
    )  # between two units nothing is left out
    await read_all(told, decode=False)


async def test_of_a_stream_without_numbers_it_is_unknown_what_was_lost_and_known_what_is_damaged(
    clips, record_av, read_all
):
    data = as_transport_stream(clips())
    # Of the last picture before a key frame: a unit begins with whole ones, by which a reader tells what it is.
    lost = {at // (7 * 188) - 1 for at in range(0, len(data), 188) if begins_anew(data[at : at + 188])}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as spare:  # a port that nobody has
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        async def script(told):
            async with asyncio.timeout(40):
                number = 0
                while told.camera.counts.damaged_frames < 2 or len(told.units) < 1:
                    for start in range(0, len(data), 7 * 188):
                        number += 1
                        if number < 300 or start // (7 * 188) not in lost:
                            sender.sendto(data[start : start + 7 * 188], ("127.0.0.1", port))
                        await asyncio.sleep(4.0 * 7 * 188 / len(data))

        told = await record_av(
            f"udp://127.0.0.1:{port}", script=script, connect_seconds=8.0, silence_seconds=5.0
        )
    assert told.camera.counts.lost is None and told.camera.counts.damaged_frames >= 2
    assert {unit.lost_packets for unit in told.units} == {None}
    assert sum(unit.damaged_frames for unit in told.units) > 0
    await read_all(told, decode=False)


def begins_anew(packet):
    """Whether decoding may begin with this packet of a transport stream (ITU-T H.222.0 section 2.4.3.5)."""
    return bool(packet[3] & 0x20 and packet[4] and packet[5] & 0x40)


def as_transport_stream(clip):
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("h264", rate=25)
        stream.width, stream.height = 1280, 720
        for picture in clip.pictures:
            packet = av.Packet(b"".join(b"\0\0\0\1" + nal for nal in picture.nals))
            packet.stream, packet.time_base = stream, Fraction(1, 90_000)
            packet.pts = packet.dts = picture.shown
            packet.is_keyframe = picture.key
            container.mux(packet)
    return out.getvalue()


def test_nals_are_found_in_both_forms():
    nals = [b"\x67abc", b"\x68d", b"\x65\0\0\3\0\0\3\1z"]
    assert _split_annex_b(b"".join(b"\0\0\0\1" + nal for nal in nals)) == nals
    assert _split_annex_b(b"".join(b"\0\0\1" + nal for nal in nals)) == nals
    assert _split_lengths(b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)) == nals


def test_the_checked_address_is_what_is_opened_and_the_credentials_are_quoted():
    source = parse_source("rtsp://us%40er:p%3Aw@camera.example/live?x=1", SCHEMES)
    assert "p:w" not in repr(source)
    located = msgspec.structs.replace(source, address="10.1.2.3")
    assert _address(located) == "rtsp://us%40er:p%3Aw@10.1.2.3:554/live?x=1"
