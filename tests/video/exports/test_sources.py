"""What cameras send: H.265, open groups of pictures, formats that change. Each export is held to the recording.

The recording is read here by FFmpeg in one go, from its first unit to its last: what it shows, and when, is the truth.
"""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from tests.video.conftest import ask_ffprobe
from tests.video.exports.conftest import Studio
from tests.video.exports.test_exports import pictures, unpack
from tests.video.playback.conftest import _record, stored

from koinon.demo.cameras import CameraServer
from koinon.video.exports import verify_package
from koinon.video.masks.stream import format_of
from koinon.video.playback.pieces import of_us, split, to_us, wall_us
from koinon.video.recorder import Camera, Disk, Options, Unit, parse_source, prepare_folder, read_unit
from koinon.video.recorder.nal import read_nals
from koinon.video.recordings.model import StoredUnit

KINDS: dict[str, dict[str, Any]] = {
    "h264": {"gop": 24, "b_frames": 3},
    "h264 open": {"gop": 24, "b_frames": 3, "open_gop": True},
    "h265": {"codec": "h265", "gop": 24},
    "h265 open": {"codec": "h265", "gop": 24, "b_frames": 3, "open_gop": True},
}
FRAME_US = 40_000


@pytest.fixture(scope="session", params=list(KINDS))
def recorded(request: pytest.FixtureRequest, clips: Any, tmp_path_factory: Any) -> list[StoredUnit]:
    """Units of about two seconds; of four where only the clip's first picture is one to begin with."""
    clip = clips(**KINDS[request.param])
    seconds = 10.5 if request.param == "h264 open" else 5.5
    return asyncio.run(_record(tmp_path_factory.mktemp("recorded"), clip, seconds))


async def taken(camera: Camera, count: int) -> None:
    """So many have come."""
    async with asyncio.timeout(60):
        while camera.counts.frames < count:  # noqa: ASYNC110 - of another server
            await asyncio.sleep(0.02)


async def record_change(folder: Path, first: Any, second: Any, *, at_once: bool) -> list[StoredUnit]:
    """What is recorded of a camera that sends the second clip after the first: in one session, or in another."""
    units: list[Unit] = []
    await asyncio.to_thread(prepare_folder, folder)
    disk = Disk(folder, least_free=1 << 20)
    async with (
        CameraServer([first, second] if at_once else [first]) as server,
        CameraServer([second]) as other,
    ):
        for url in [server.url("cam")] if at_once else [server.url("cam"), other.url("cam")]:
            camera = Camera(
                parse_source(url), Options(name="cam", unit_seconds=60.0), disk, on_unit=units.append,
                on_gap=lambda gap: None,
            )  # fmt: skip
            stop = asyncio.Event()
            task = asyncio.create_task(camera.record(stop))
            await taken(camera, 75)
            if at_once:
                server.camera("cam").fault.variant = 1
                await taken(camera, 150)
            stop.set()
            await task
    await asyncio.to_thread(disk.close)
    return [stored(each) for each in units]


class Shown(NamedTuple):
    """A picture of the recording: when it was taken, and its light."""

    us: int
    light: np.ndarray


def read(units: list[StoredUnit]) -> list[Shown]:
    """The pictures of units that follow each other, in order."""
    found: list[Shown] = []
    decoder: Any = None
    moments: dict[int, int] = {}

    def show(packet: Any) -> None:
        for picture in decoder.decode(packet):
            found.append(Shown(moments[picture.pts], picture.to_ndarray(format="gray")))

    last = None
    for unit in units:
        init = read_unit(Path(unit.file)).init
        if init != last:
            if decoder is not None:
                show(None)
            last, format_ = init, format_of(init)
            decoder = av.CodecContext.create({"h264": "h264", "h265": "hevc"}[format_.codec], "r")
            first = True
        for fragment in split(Path(unit.file).read_bytes())[0]:
            at = len(fragment.data) - sum(each.size for each in fragment.samples)
            for sample, ticks in zip(fragment.samples, fragment.shown(), strict=True):
                nals = list(read_nals(fragment.data[at : at + sample.size]))
                at += sample.size
                packet = av.Packet(
                    b"".join(b"\0\0\0\1" + nal for nal in [*(format_.sets if first else ()), *nals])
                )
                first = False
                packet.pts = len(moments)
                moments[len(moments)] = wall_us(unit, ticks)
                show(packet)
    show(None)
    return sorted(found, key=lambda each: each.us)


def list_groups(unit: StoredUnit) -> list[tuple[int, int]]:
    """Of each group when it begins, and how many pictures refer to what is before its key frame (H.265: RASL)."""
    found = []
    hevc = format_of(read_unit(Path(unit.file)).init).codec == "h265"
    for fragment in split(Path(unit.file).read_bytes())[0]:
        at = len(fragment.data) - sum(each.size for each in fragment.samples)
        past = 0
        for sample in fragment.samples:
            nals = read_nals(fragment.data[at : at + sample.size])
            past += hevc and any(nal[0] >> 1 in (8, 9) for nal in nals)
            at += sample.size
        if fragment.key:
            found.append((wall_us(unit, min(fragment.shown())), past))
    return found


async def export(studio: Studio, folder: Path, since: int, until: int, **changes: Any) -> dict[str, Any]:
    """What was exported of that stretch, in the folder; the manifest's camera."""
    changes |= {"since": of_us(since).isoformat(), "until": of_us(until).isoformat()}
    if changes.get("form") == "evidence":
        changes["confirmations"] = await studio.second(**changes)
    told = await studio.make(**changes)
    assert told["state"] == "ready", told
    manifest = await studio.save(told["id"], folder / "package.zip")
    verified = verify_package(folder / "package.zip", [studio.key.verify_key])
    assert verified.ok and verified.trusted, verified.findings
    await asyncio.to_thread(unpack, folder / "package.zip", folder)
    camera: dict[str, Any] = manifest["cameras"][0]
    return camera


def check_clip(path: Path, file: dict[str, Any], wanted: list[Shown], units: list[StoredUnit]) -> None:
    """The clip shows these pictures at their times, and nothing else."""
    probed = ask_ffprobe(path, decode=True)
    since, until = (to_us(datetime.fromisoformat(file[each])) for each in ("since", "until"))
    times = [since + int(each["pts"]) * 100 // 9 for each in probed["packets"]]
    assert (probed["codec_name"], file["codec"][:4]) == ("h264", "avc1")
    assert (probed["width"], probed["height"]) == (file["width"], file["height"])
    assert int(probed["nb_read_frames"]) == file["frames"] == len(wanted)
    assert since == wanted[0].us
    # Where a recording breaks off, among B-frames or those of another format, the unit says when it ends.
    broken_off = any(abs(until - to_us(each.end)) < 1000 for each in units)
    assert broken_off or abs(until - wanted[-1].us - FRAME_US) < FRAME_US
    assert max(abs(a - each.us) for a, each in zip(times, wanted, strict=True)) < FRAME_US / 2
    for seen, each in zip(pictures(path), wanted, strict=True):
        # The band is at the foot, and the mark faint: most of the light is that of the recording.
        apart = np.abs(seen[:150].astype(int) - each.light[:150].astype(int))
        assert np.median(apart) <= 4 and apart.mean() < 12, each.us


async def test_a_clip_shows_exactly_the_pictures_of_a_stretch_that_begins_and_ends_inside_a_group(
    studio: Studio, units: list[StoredUnit], tmp_path: Path
) -> None:
    whole = await asyncio.to_thread(read, units)
    assert len(whole) == sum(each.frames for each in units), "the recorder keeps what can be decoded"
    begin = to_us(units[0].start)
    for number in (0, 2):  # at two places of the pattern of B-frames
        folder = tmp_path / str(number)
        folder.mkdir()
        since = begin + 1_310_000 + number * FRAME_US
        until = to_us(units[-1].end) - 730_000 - number * FRAME_US
        camera = await export(studio, folder, since, until)
        [file] = camera["files"]
        assert camera["gaps"] == []
        wanted = [each for each in whole if since <= each.us < until]
        await asyncio.to_thread(check_clip, folder / file["name"], file, wanted, units)


async def test_an_original_holds_only_what_is_in_the_stretch_and_can_be_decoded_or_says_so(
    studio: Studio, units: list[StoredUnit], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole = await asyncio.to_thread(read, units)
    groups = await asyncio.to_thread(list_groups, units[0])
    goes_past = request.node.callspec.params["recorded"] == "h265 open"
    # Cut just after a group begins: what is kept begins with the next, with what goes past its key frame if it can.
    found = [before for (before, _), (_, past) in pairwise(groups) if past or not goes_past]
    assert found or not goes_past
    since = (found or [groups[0][0]])[0] + FRAME_US
    until = to_us(units[-1].end) - 330_000
    camera = await export(studio, tmp_path, since, until, form="evidence")
    seen = []
    for file in camera["files"]:
        path = tmp_path / file["name"]
        probed = await asyncio.to_thread(ask_ffprobe, path, decode=True)
        assert probed["codec_name"] == ("hevc" if file["codec"].startswith("hvc1") else "h264")
        assert len(probed["packets"]) == file["frames"]
        assert int(probed["nb_read_frames"]) == file["frames"] - file["leading"]
        [source] = file["sources"]
        [unit] = [each for each in units if each.sha256.hex() == source["sha256"]]
        past = (await asyncio.to_thread(list_groups, unit))[0][1]
        assert file["leading"] == (past if source["whole"] else 0)
        start = to_us(datetime.fromisoformat(file["since"]))
        first = min(int(each["pts"]) for each in probed["packets"])
        for light, packet in zip(
            pictures(path),
            sorted(int(each["pts"]) for each in probed["packets"])[file["leading"] :],
            strict=True,
        ):
            us = start + (packet - first) * 100 // 9
            assert since - 1000 <= us < until
            [same] = [each for each in whole if abs(each.us - us) < FRAME_US / 2]
            assert np.array_equal(light, same.light)
            seen.append(same.us)
    assert seen == sorted(set(seen))


@pytest.fixture(scope="session", params=["size", "codec"])
def changed(request: pytest.FixtureRequest, clips: Any, tmp_path_factory: Any) -> list[StoredUnit]:
    """Units of a camera that changes the size of its picture, or its codec, in the middle."""
    first = clips(codec="h265", gop=24, b_frames=3, open_gop=True)
    size = request.param == "size"
    second = clips(codec="h265" if size else "h264", gop=13, width=480, height=272)
    folder = tmp_path_factory.mktemp("changed")
    return asyncio.run(record_change(folder, first, second, at_once=size))


class TestChange:
    """A camera that changes what it sends."""

    @pytest.fixture
    def recorded(self, changed: list[StoredUnit]) -> list[StoredUnit]:
        return changed

    async def test_a_file_ends_where_the_codec_or_the_size_changes(
        self, studio: Studio, units: list[StoredUnit], tmp_path: Path
    ) -> None:
        whole = await asyncio.to_thread(read, units)
        assert len({each.light.shape for each in whole}) == 2
        since, until = to_us(units[0].start) + 1_310_000, to_us(units[-1].end) - 730_000
        camera = await export(studio, tmp_path, since, until)
        wanted = [each for each in whole if since <= each.us < until]
        assert len(camera["files"]) == 2 and sum(each["frames"] for each in camera["files"]) == len(wanted)
        for file in camera["files"]:
            count = file["frames"]
            assert len({each.light.shape for each in wanted[:count]}) == 1
            assert (file["height"], file["width"]) == wanted[0].light.shape
            await asyncio.to_thread(check_clip, tmp_path / file["name"], file, wanted[:count], units)
            del wanted[:count]
        first, second = camera["files"]
        assert all(
            first["until"] <= each["since"] and each["until"] <= second["since"] for each in camera["gaps"]
        )
        apart = datetime.fromisoformat(second["since"]) - datetime.fromisoformat(first["until"])
        assert camera["gaps"] or apart < timedelta(milliseconds=100)
