"""Playlists of what may only leave masked: a reader that is not ours reads all of it, and sees nothing under a mask."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.video.conftest import missing
from tests.video.playback.conftest import Site, index, moved
from tests.video.playback.test_api import Client, mask_the_left, segments_of
from tests.video.rights.test_rights import trace

from koinon.base.errors import TooMany, Unavailable
from koinon.demo.region.video import VIDEO
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.masks.model import Mask
from koinon.video.playback.hls import cut, write
from koinon.video.playback.masked import WAITING_A_VIEW, Made
from koinon.video.playback.pieces import split, to_us
from koinon.video.playback.store import find_streams
from koinon.video.recordings.model import StoredUnit


@pytest.fixture
async def client(site: Site) -> Any:
    found = Client(site)
    yield found
    await found.http.aclose()


class Playlist:
    """A playlist that was fetched, and what it names."""

    def __init__(self, told: dict[str, Any], text: str) -> None:
        self.told, self.text = told, text
        self.base = told["playlist"].rsplit("/", 1)[0]
        self.masked = re.findall(r"^masked/.*$", text, re.MULTILINE)
        self.maps: Sequence[str] = re.findall(r'URI="([^"]+)"', text)

    async def fetch(self, client: Client, name: str, **headers: str) -> httpx.Response:
        return await client.fetch(f"{self.base}/{name}", self.told["token"], **headers)


async def fetch_playlist(client: Client, **changes: Any) -> Playlist:
    answer = await client.open(**changes)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    return Playlist(told, (await client.fetch(told["playlist"], told["token"])).text)


def luma_of(data: bytes) -> list[Any]:
    """The luma planes of all pictures of an MP4."""
    import av

    with av.open(BytesIO(data)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def is_grey(picture: Any) -> bool:
    """Whether nothing is to be seen in its left half, where it was masked; the right half is a moving picture."""
    left, right = picture[:, : picture.shape[1] // 2 - 2], picture[:, picture.shape[1] // 2 + 16 :]
    return bool(np.ptp(left) <= 8 and np.ptp(right) > 60)


async def test_all_that_leaves_is_masked_and_ffprobe_reads_every_segment(
    client: Client, site: Site, tmp_path: Path
) -> None:
    # Ten minutes ago: nothing is added to the playlist any more, and a player comes to its end.
    units = [moved(unit, -timedelta(minutes=10)) for unit in site.units]
    async with site.film.world.database.transaction() as connection:
        streams = await find_streams(connection, [site.film.camera["south-1"].id])
        await index(connection, units, *streams.values())
    await mask_the_left(site, units[0].start - timedelta(days=1))
    since, until = units[0].start.isoformat(), units[-1].end.isoformat()
    playlist = await fetch_playlist(client, since=since, until=until)
    assert len(playlist.masked) >= len(units) and "units/" not in playlist.text
    assert playlist.text.count("#EXT-X-PROGRAM-DATE-TIME:") == len(units)
    assert len(playlist.maps) == 1 and "#EXT-X-DISCONTINUITY" not in playlist.text
    init = (await playlist.fetch(client, playlist.maps[0])).content
    whole = init
    for name in playlist.masked:
        got = await playlist.fetch(client, name)
        assert got.status_code == 200, got.text
        pictures = luma_of(init + got.content)
        assert pictures and all(map(is_grey, pictures))
        whole += got.content
    fragments = split(whole[len(init) :])[0]
    starts = [fragment.base for fragment in fragments]
    ends = [fragment.base + fragment.duration for fragment in fragments]
    assert all(abs(start - end) < 200 for start, end in zip(starts[1:], ends, strict=False))
    path = tmp_path / "masked.mp4"
    path.write_bytes(whole)
    found = await probe([str(path)])
    frames = sum(len(fragment.samples) for fragment in fragments)
    assert found == frames
    seconds = (units[-1].end - units[0].start).total_seconds()
    assert 0.85 < frames / (seconds * 15) < 1.15
    # The same as a player has it: through the playlist, by its own requests.
    cookies = f"Cookie: koinon_session={site.token}; koinon_media={playlist.told['token']}\r\n"
    read = await probe(["-headers", cookies, f"{site.origin}{playlist.told['playlist']}"])
    assert read == frames


async def probe(source: list[str]) -> int:
    """How many frames ffprobe decodes; it must have nothing to complain of."""
    if shutil.which("ffprobe") is None:
        missing("ffprobe is not installed")
    done = await asyncio.to_thread(
        subprocess.run,
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0",
         *source],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return int(done.stdout.split()[0].strip(","))


async def test_what_was_recorded_before_a_mask_counted_is_named_as_it_is_with_a_discontinuity_between(
    client: Client, site: Site
) -> None:
    first, second = site.units[:2]
    edge = second.start + (second.end - second.start) / 2
    await mask_the_left(site, edge)
    playlist = await fetch_playlist(client)
    plain = segments_of(playlist.text.split("#EXT-X-DISCONTINUITY")[0])
    assert {name for name, _, _ in plain} == {f"units/{to_us(first.start)}-0.m4s"}
    assert len(playlist.maps) == 2 and playlist.maps[1].endswith("-masked.mp4")
    assert playlist.text.count("#EXT-X-DISCONTINUITY\n") == 1
    name, offset, length = plain[0]
    bytes_ = f"bytes={offset}-{offset + length - 1}"
    assert (await playlist.fetch(client, name, Range=bytes_)).status_code == 206
    # The unit in which it began to count: frame by frame.
    init = (await playlist.fetch(client, playlist.maps[1])).content
    got = (await playlist.fetch(client, playlist.masked[0])).content
    [fragment] = split(got)[0]
    pictures = luma_of(init + got)
    at = [second.start + timedelta(seconds=(each - fragment.base) / 90_000) for each in fragment.shown()]
    sure = timedelta(seconds=0.05)
    for picture, moment in zip(pictures, at, strict=True):
        if abs(moment - edge) > sure:
            assert is_grey(picture) == (moment > edge)


async def test_unmasked_bytes_of_a_masked_part_are_had_by_no_address(client: Client, site: Site) -> None:
    plain = await fetch_playlist(client)
    name, offset, length = segments_of(plain.text)[0]
    bytes_ = {"Range": f"bytes={offset}-{offset + length - 1}"}
    end = offset + length
    unmasked = name.removeprefix("units/").removesuffix(".m4s")
    early = await plain.fetch(client, f"masked/{unmasked}-{offset}-{end}.m4s")
    assert (early.status_code, early.json()["code"]) == (404, "media_unknown")  # no mask: no masked part
    await mask_the_left(site, site.units[0].start - timedelta(days=1))
    got = await plain.fetch(client, name, **bytes_)
    assert (got.status_code, got.json()["code"]) == (409, "segment_only_masked")
    playlist = await fetch_playlist(client)
    good = f"masked/{unmasked}-{offset}-{end}.m4s"
    assert good in playlist.masked
    for wrong in (
        f"masked/{unmasked}-{offset + 1}-{end}.m4s",
        f"masked/{unmasked}-{offset}-{end - 1}.m4s",
        f"masked/{unmasked}-0-{end}.m4s",
        "masked/1-0-0-1.m4s",
        "masked/x.m4s",
        f"masked/{to_us(site.units[0].start)}-1-{offset}-{end}.m4s",
    ):
        refused = await playlist.fetch(client, wrong)
        assert (refused.status_code, refused.json()["code"]) == (404, "media_unknown"), wrong
    centre = (await client.open("centre-1")).json()
    through = centre["playlist"].rsplit("/", 1)[0]
    stolen = await client.fetch(f"{through}/{playlist.masked[-1]}", centre["token"])
    assert (stolen.status_code, stolen.json()["code"]) == (404, "media_unknown")
    assert await trace(site.film.world, "exchange.refused", site.film.camera["centre-1"])


class SlowMasker:
    """Masks nothing until it may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may = asyncio.Event()

    async def mask(
        self, masks: Sequence[Mask], init: bytes, data: bytes, unit_us: int, *whose: object, since_us: int = 0
    ) -> Made:
        self.asked.set()
        await self.may.wait()
        raise Unavailable("masking_failed", why="the test is over")


async def test_a_suspension_ends_a_segment_that_is_still_being_masked_and_so_many_wait_and_no_more(
    client: Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mask_the_left(site, site.units[0].start - timedelta(days=1))
    playlist = await fetch_playlist(client)
    slow = SlowMasker()
    segments = site.playback.segments
    monkeypatch.setattr(segments, "_masker", slow)
    tasks = [asyncio.create_task(playlist.fetch(client, name)) for name in playlist.masked[:WAITING_A_VIEW]]
    async with asyncio.timeout(10):
        await slow.asked.wait()
        while segments.places.taken < WAITING_A_VIEW:  # noqa: ASYNC110 - nothing tells that the other is there
            await asyncio.sleep(0.01)
    busy = await playlist.fetch(client, playlist.masked[-1])
    assert (busy.status_code, busy.json()["code"]) == (TooMany.status, "masking_busy")
    assert int(busy.headers["retry-after"]) > 0
    # Through another view the same person has no more than are left for all others.
    monkeypatch.setattr(segments.places, "most", 2 * WAITING_A_VIEW)
    other = await fetch_playlist(client)
    told = await other.fetch(client, other.masked[0])
    assert (told.status_code, told.json()["code"]) == (TooMany.status, "share_taken")
    assert int(told.headers["retry-after"]) > 0
    await site.film.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    # Its connection is reset while it waits: not one byte of it comes, and no answer either.
    async with asyncio.timeout(10):
        for task in tasks:
            with pytest.raises(httpx.TransportError):
                await task
    slow.may.set()
    again = await playlist.fetch(client, playlist.masked[0])
    assert again.status_code in (403, 404)


async def test_where_masking_fails_nothing_leaves(
    client: Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mask_the_left(site, site.units[0].start - timedelta(days=1))
    playlist = await fetch_playlist(client)
    slow = SlowMasker()
    slow.may.set()
    monkeypatch.setattr(site.playback.segments, "_masker", slow)
    got = await playlist.fetch(client, playlist.masked[0])
    assert (got.status_code, got.json()["code"]) == (503, "masking_failed")


def test_a_playlist_names_masked_parts_by_addresses_of_their_own(units: list[StoredUnit]) -> None:
    first, second, third = units[0], moved(units[1], timedelta(0)), units[2]
    segments = list(cut([first, second, third], to_us(first.start), to_us(third.end)))
    masked = [each._replace(masked=each.unit is second) for each in segments]
    text = write(masked, whole=True)
    assert re.findall(r'URI="([^"]+)"', text) == ["init/1.mp4", "init/1-masked.mp4", "init/1.mp4"]
    assert text.count("#EXT-X-DISCONTINUITY\n") == 2
    assert text.count("masked/") == sum(each.masked for each in masked)
    assert text.count("#EXT-X-BYTERANGE") == sum(not each.masked for each in masked)
