"""What comes by TLS is recorded as what comes in the clear, and from whom is known or nothing is said to it."""

import asyncio
import contextlib
import socket
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
import uvloop

from koinon.base.errors import Invalid
from koinon.demo.cameras import CameraServer, Fault, make_certificate
from koinon.video.recorder import Camera, Disk, Options, parse_source, prepare_folder
from koinon.video.recorder.boxes import read_boxes, read_samples
from koinon.video.recorder.rtsp import Session, SessionFailed, session


@pytest.fixture(autouse=True)
def _authorities_read_anew():
    session._authorities.cache_clear()
    yield
    session._authorities.cache_clear()


@pytest.fixture
def trust(monkeypatch, tmp_path):
    """The certificate is an authority of this system."""

    def trust(certificate):
        (tmp_path / "authorities.pem").write_bytes(certificate.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities.pem"))

    return trust


async def refused(url):
    """Why no session comes about."""
    made = Session(parse_source(url), Options(name="cam", connect_seconds=2.0))
    try:
        with pytest.raises(SessionFailed) as failed:
            await made.open()
    finally:
        await made.close()
    return failed.value


def pictures(told):
    """The bytes of each picture, in the order in which they are decoded."""
    found = []
    for unit in told.units:
        with unit.path.open("rb") as file:
            boxes = list(read_boxes(file, unit.bytes))
            for moof, mdat in pairwise(boxes):
                if (moof.kind, mdat.kind) != (b"moof", b"mdat"):
                    continue
                file.seek(moof.offset)
                _, samples = read_samples(file.read(moof.size))
                file.seek(mdat.body)
                found += [file.read(sample.size) for sample in samples]
    return found


async def test_pictures_by_tls_are_those_in_the_clear_byte_for_byte(cameras, record, read_all):
    plain, encrypted = await cameras(), await cameras(certificate=make_certificate(), scheme="sha256")
    clear = pictures(await record(plain, seconds=4.6, name="plain"))  # the whole clip, over and over
    told = await record(encrypted, seconds=2.5, name="encrypted", unit_seconds=1.0)
    await read_all(told)
    hidden = pictures(told)
    turn = clear.index(clear[0], 1) if clear[0] in clear[1:] else len(clear)
    first = clear.index(hidden[0])
    assert turn == 100 and len(hidden) >= 40 and not told.gaps
    assert hidden == [clear[(first + each) % turn] for each in range(len(hidden))]
    assert told.camera.counts.lost_packets == 0
    assert "TEARDOWN" in encrypted.camera("encrypted").requests


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_what_is_gathered_for_a_while_loses_nothing_by_tls(clips, tmp_path, loop):
    """What the system holds back until it is worth waking for is records cut anywhere: nothing waits for ever."""

    async def run():
        async with CameraServer(
            [clips(width=640, height=360, kbits=3000)], certificate=make_certificate()
        ) as server:
            prepare_folder(tmp_path / "recordings")
            disk = Disk(tmp_path / "recordings", least_free=1 << 20)
            units, gaps, lows = [], [], []
            camera = Camera(
                parse_source(server.url("cam")), Options(name="cam", silence_seconds=1.2), disk,
                on_unit=units.append, on_gap=gaps.append,
            )  # fmt: skip
            gather = Session._gather

            def heard(self, rate):
                gather(self, rate)
                lows.append(
                    self._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
                )

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Session, "_gather", heard)
                stop = asyncio.Event()
                task = asyncio.create_task(camera.record(stop))
                await asyncio.sleep(4.0)
                sent = server.camera("cam").pictures
                stop.set()
                await task
            await asyncio.to_thread(disk.close)
            assert max(lows) > 4096 and lows[-1] == 1
            # Pictures that come while it stops are recorded too.
            assert (
                gaps == [] and sent - 4 <= sum(unit.frames for unit in units) <= server.camera("cam").pictures
            )
            assert camera.counts.lost_packets == 0

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


async def test_a_camera_that_falls_silent_by_tls_is_told_so_and_comes_back(cameras, record):
    server = await cameras(certificate=make_certificate())

    async def script(camera, told):
        await asyncio.sleep(2.5)
        camera.fault = Fault(frozen=True)
        await asyncio.sleep(1.6)
        camera.fault = Fault()
        await asyncio.sleep(1.5)
        camera.disconnect()
        await asyncio.sleep(1.5)

    told = await record(server, script=script)
    assert told.reasons == ["silent", "camera_closed"] and told.frames > 60


async def test_exactly_the_certificate_that_was_named_is_accepted_and_no_other(cameras):
    server = await cameras(certificate=(shown := make_certificate()), scheme="basic")
    named = server.url("cam", pinned=False) + "#sha256="
    for digits in (shown.fingerprint, shown.fingerprint.upper()):
        made = Session(parse_source(named + digits), Options(name="cam"))
        assert (await made.open()).codec == "h264"
        await made.close()
    asked = len(server.camera("cam").requests)
    failure = await refused(f"{named}{make_certificate().fingerprint}")
    assert failure.reason == "untrusted"
    assert failure.detail == f"certificate: another one is shown, sha256={shown.fingerprint}"
    assert len(server.camera("cam").requests) == asked  # nothing was said to it, and so no password


async def test_a_name_is_enough_where_an_authority_of_this_system_vouches_for_it(cameras, trust):
    shown = make_certificate()
    server = await cameras(certificate=shown)
    trust(shown)
    made = Session(parse_source(server.url("cam", pinned=False)), Options(name="cam"))
    assert (await made.open()).codec == "h264"
    await made.close()


LONG_AGO = datetime.now(UTC) - timedelta(days=900)


@pytest.mark.parametrize(
    ("kind", "trusted", "detail"),
    [
        ({}, False, "self-signed certificate"),
        ({"since": LONG_AGO, "days": 30.0}, True, "certificate has expired"),
        ({"since": datetime.now(UTC) + timedelta(days=1)}, True, "certificate is not yet valid"),
        ({"host": "127.0.0.2"}, True, "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ({"host": "camera.example"}, True, "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
    ids=["self-signed", "expired", "to come", "another address", "another name"],
)
async def test_what_no_authority_vouches_for_today_is_refused_unless_it_was_named(
    cameras, trust, kind, trusted, detail
):
    shown = make_certificate(**kind)
    server = await cameras(certificate=shown)
    if trusted:
        trust(shown)
    failure = await refused(server.url("cam", pinned=False))
    assert (failure.reason, failure.detail) == ("untrusted", f"certificate: {detail}")
    assert server.camera("cam").requests == []
    made = Session(parse_source(server.url("cam")), Options(name="cam"))
    await made.open()
    await made.close()


async def test_the_name_is_the_one_of_the_source_and_not_the_address_that_it_leads_to(cameras, trust):
    trust(shown := make_certificate("camera.example"))
    server = await cameras(certificate=shown)
    for name, reason in (("camera.example", None), ("other.example", "untrusted")):
        source = parse_source(f"rtsps://{name}:{server.port}/cam")
        made = Session(msgspec.structs.replace(source, address="127.0.0.1"), Options(name="cam"))
        if reason is None:
            await made.open()
        else:
            with pytest.raises(SessionFailed, match="Hostname mismatch"):
                await made.open()
        await made.close()


async def test_who_does_not_speak_tls_is_told_apart(cameras):
    async def answer(reader, writer):
        await reader.read(1)
        writer.write(b"RTSP/1.0 400 Bad Request\r\n\r\n")
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as plain:
        failure = await refused(f"rtsps://127.0.0.1:{plain.sockets[0].getsockname()[1]}/cam")
    assert (failure.reason, failure.detail) == ("protocol", "TLS: WRONG_VERSION_NUMBER")
    encrypted = await cameras(certificate=make_certificate())
    failure = await refused(f"rtsp://127.0.0.1:{encrypted.port}/cam")
    assert failure.reason in ("camera_closed", "protocol", "silent")


async def test_what_is_to_be_encrypted_is_never_taken_by_udp(cameras, record):
    server = await cameras(certificate=make_certificate(), udp=True)
    told = await record(server, seconds=1.0)
    assert told.units == [] and set(told.reasons) == {"unsupported"}
    assert not any("client_port" in each for each in server.camera("cam").requests)
    assert server.camera("cam").set_up and server.camera("cam").pictures == 0


async def test_a_camera_that_is_not_trusted_leaves_a_gap_that_says_so(cameras, record):
    server = await cameras(certificate=make_certificate())
    told = await record(server, url=server.url("cam", pinned=False), seconds=0.6)
    assert told.units == [] and told.reasons == ["untrusted"]
    assert told.gaps[0].detail == "certificate: self-signed certificate"


def test_a_source_by_tls_keeps_its_fingerprint_out_of_what_is_sent():
    digits = "ab" * 32
    source = parse_source(f"rtsps://op:p%3Ass@camera.example/live?ch=1#sha256={':'.join(['AB'] * 32)}")
    assert (source.port, source.url) == (322, "rtsps://camera.example/live?ch=1")
    assert (source.encrypted, source.fingerprint) == (True, digits)
    assert not parse_source("rtsp://camera.example/").encrypted
    for text in (f"rtsp://c/#sha256={digits}", "rtsps://c/#sha256=12"):
        with pytest.raises(Invalid) as refused:
            parse_source(text)
        assert refused.value.code == "invalid_fingerprint"
