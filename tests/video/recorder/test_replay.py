"""What a system replays becomes units as old as their pictures; what it does not give is told as what it is."""

import asyncio
import struct
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from koinon.demo.cameras import ReplayFault, ReplayServer, make_certificate
from koinon.video.recorder import Disk, Options, parse_source, prepare_folder
from koinon.video.recorder.boxes import read_boxes
from koinon.video.recorder.replay import DEPACKETISERS, Head, Replay, Sieve, read_head, replaying
from koinon.video.recorder.rtp import Frame
from koinon.video.recorder.rtsp import SessionFailed

START = datetime(2026, 11, 20, 9, 59, 57, tzinfo=UTC)
PICTURE = timedelta(seconds=0.04)


@pytest.fixture
async def partner(clips):
    """A system that holds an hour, but for twenty seconds; and another with none of its faults left."""
    held = [
        (START, START + timedelta(seconds=40)),
        (START + timedelta(seconds=60), START + timedelta(hours=1)),
    ]
    async with ReplayServer([clips(b_frames=2, gop=25)], lambda: held, scheme="sha256") as server:
        yield server


@pytest.fixture
async def fetch(partner, tmp_path):
    """Replays a stretch, given in seconds from START; what became of it, and the units."""
    prepare_folder(tmp_path / "recordings")
    disk = Disk(tmp_path / "recordings", least_free=1 << 20)

    async def run(since, until, *, stop=None, url=None, **options):
        units = []
        kinds = {
            "name": "metro",
            "copy": 2,
            "unit_seconds": 10.0,
            "silence_seconds": 0.4,
            "connect_seconds": 1.0,
        }
        replay = Replay(
            parse_source(url or partner.url("metro")), Options(**{**kinds, **options}), disk,
            START + timedelta(seconds=since), START + timedelta(seconds=until), on_unit=units.append,
            agent="Koinon (fetch 1)",
        )  # fmt: skip
        if stop is not None:
            asyncio.get_running_loop().call_later(stop, replay.cut)
        ending = asyncio.Event()
        if stop is not None:
            asyncio.get_running_loop().call_later(stop, ending.set)
        return await replay.run(ending), units

    yield run
    await asyncio.to_thread(disk.close)


async def test_units_are_as_old_as_their_pictures_to_a_frame(fetch, partner, read_all) -> None:
    outcome, units = await fetch(5, 35)
    assert (outcome.reason, outcome.jumps) == (None, ())
    assert units[0].start <= START + timedelta(seconds=5) < units[0].start + timedelta(seconds=1)
    assert units[-1].start + timedelta(microseconds=units[-1].wall_us) >= START + timedelta(seconds=35)
    frames = round((units[-1].start - units[0].start) / PICTURE) + units[-1].frames
    assert sum(unit.frames for unit in units) == frames  # nothing twice, nothing missing
    for before, after in pairwise(units):
        assert abs(after.start - before.start - timedelta(microseconds=before.wall_us)) < PICTURE / 10
    # The clip begins at full multiples of its four seconds, a key frame each second: so does every unit.
    assert all(abs(unit.start.timestamp() - round(unit.start.timestamp())) < 0.001 for unit in units)
    assert {unit.path.parent.name for unit in units} == {"20261120"}

    await read_all(SimpleNamespace(units=units))
    assert partner.log[0].agent == "Koinon (fetch 1)"


async def test_a_stretch_that_is_replayed_by_tls_is_the_one_in_the_clear_byte_for_byte(
    clips, fetch, partner, read_all
) -> None:
    _, clear = await fetch(5, 35)
    async with ReplayServer(
        [clips(b_frames=2, gop=25)], partner._held, scheme="sha256", certificate=make_certificate()
    ) as hidden:
        outcome, units = await fetch(5, 35, url=hidden.url("metro"))
        assert (outcome.reason, outcome.jumps) == (None, ())
        await read_all(SimpleNamespace(units=units))
        # What differs is the run's own id and the box that ends a unit, which says how it went.
        assert [_media(unit) for unit in units] == [_media(unit) for unit in clear]
        assert [(unit.start, unit.frames) for unit in units] == [(unit.start, unit.frames) for unit in clear]
        for url in (
            hidden.url("metro", pinned=False),
            hidden.url("metro", pinned=False) + f"#sha256={'0' * 64}",
        ):
            outcome, units = await fetch(5, 35, url=url)
            assert (outcome.reason, units) == ("untrusted", []) and outcome.detail.startswith("certificate: ")


def _media(unit) -> list[bytes]:
    """Its fragments."""
    with unit.path.open("rb") as file:
        found = []
        for each in read_boxes(file, unit.bytes):
            if each.kind in (b"moof", b"mdat"):
                file.seek(each.offset)
                found.append(file.read(each.size))
        assert len(found) >= 2
        return found


async def test_what_the_owner_lacks_is_told_apart_from_what_it_did_not_say(fetch, partner) -> None:
    outcome, units = await fetch(30, 70)
    assert outcome.reason is None
    assert [jump.reason for jump in outcome.jumps] == ["not_held"]
    assert outcome.jumps[0].until == pytest.approx((START + timedelta(seconds=60)).timestamp(), abs=1.1)
    assert not any(
        START + timedelta(seconds=41) < unit.start < START + timedelta(seconds=59.9) for unit in units
    )
    outcome, units = await fetch(45, 55)
    assert (outcome.reason, units) == (None, [])
    outcome, units = await fetch(-100, -50)
    assert (outcome.reason, units) == ("not_held", [])
    partner.faulty = ReplayFault(forbids=True)
    assert (await fetch(5, 10))[0].reason == "unauthorised"


@pytest.mark.parametrize(
    ("fault", "reason", "seconds"),
    [
        (ReplayFault(hangs_after=20), "silent", 15),
        (ReplayFault(breaks_after=20), "camera_closed", 15),
        (ReplayFault(jumps_after=20, jumps_by=-3600), "clock_step", 15),
        (ReplayFault(headless=True), "protocol", 0),
    ],
    ids=["hangs", "breaks", "jumps back", "headless"],
)
async def test_what_came_before_a_fault_is_kept_and_the_rest_is_told(
    fetch, partner, fault, reason, seconds
) -> None:
    partner.faulty = fault
    outcome, units = await fetch(2, 38)
    assert outcome.reason == reason
    assert sum(unit.frames for unit in units) / 25 >= seconds
    assert outcome.reached < (START + timedelta(seconds=30)).timestamp()
    ends = [unit.start + timedelta(microseconds=unit.wall_us) for unit in units]
    assert all(START <= end < START + timedelta(seconds=30) for end in ends)  # nothing under a wrong time


async def test_times_that_jump_ahead_unsaid_are_no_gap_of_the_owner(fetch, partner) -> None:
    partner.faulty = ReplayFault(jumps_after=12, jumps_by=10)
    outcome, _ = await fetch(2, 38)
    assert [jump.reason for jump in outcome.jumps] == ["clock_step"]


async def test_a_cut_ends_it_at_once_and_what_came_is_whole(fetch, partner, probe) -> None:
    partner.faulty = ReplayFault(slow=True)
    outcome, units = await fetch(100, 400, stop=0.5)
    assert outcome.reason == "stopped"
    sent = partner.replayed
    await asyncio.sleep(0.2)
    assert partner.replayed - sent <= 1 and not partner.playing
    for unit in units:
        assert len(probe(unit.path)["packets"]) == unit.frames


def test_the_extension_of_another_kind_says_nothing() -> None:
    packet = (
        bytes([0x90, 96]) + bytes(10) + struct.pack(">HHIIBBH", 0xABAC, 3, 2_208_988_801, 1 << 31, 0x50, 7, 0)
    )
    assert read_head(packet, 0, len(packet)) == Head(1.5, True, False, True)
    assert read_head(packet, 0, len(packet) - 1) is None
    assert read_head(packet.replace(b"\xab\xac", b"\xbe\xde"), 0, len(packet)) is None
    assert read_head(bytes([0x80]) + packet[1:], 0, len(packet)) is None


def test_pictures_of_another_time_are_never_taken() -> None:
    sieve = Sieve(1000.0, 1010.0)
    with pytest.raises(SessionFailed, match="clock_step"):
        for number in range(400):
            frame = Frame(number * 3600, [], 10, number % 25 == 0, False, True, None)
            assert sieve.take(frame, Head(5000.0 + number / 25)).frames == ()


def test_what_is_said_of_pictures_that_never_come_is_not_kept() -> None:
    depacketiser = DEPACKETISERS["h264"](96, lambda frame: None)
    depacketiser.heads = {}
    for number in range(1000):  # of another payload type, each with a time of its own
        packet = struct.pack(">BBHII", 0x90, 97, number, number, 7) + struct.pack(
            ">HHIIBBH", 0xABAC, 3, 2_208_988_801, 0, 0, 0, 0
        )
        depacketiser.push(packet, 0, len(packet))
    assert len(depacketiser.heads) <= 64 and 999 in depacketiser.heads


async def test_a_system_that_sends_more_than_pictures_have_fills_no_disk(fetch, monkeypatch) -> None:
    monkeypatch.setattr(replaying, "MOST_PER_SECOND", 100)
    monkeypatch.setattr(replaying, "MOST_BEFORE", 50_000)
    outcome, _ = await fetch(2, 38)
    assert (outcome.reason, outcome.detail) == ("protocol", "more bytes than pictures of that time have")


def test_no_hours_before_the_stretch_come_with_it_for_want_of_a_key_frame() -> None:
    sieve = Sieve(10_000.0, 10_010.0)
    for second in range(3600):
        frame = Frame(second * 90_000, [], 10, second == 0, False, True, None)
        assert sieve.take(frame, Head(10_001.0 - 3600 + second)).frames == ()
    frame = Frame(3600 * 90_000, [], 10, True, False, True, None)
    assert [each[1].unix for each in sieve.take(frame, Head(10_001.0)).frames] == [10_001.0]
