"""H.265 whose pictures refer past key frames: what a player gets, as it was recorded and masked."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from tests.video.masks.conftest import mask
from tests.video.playback.conftest import Files, Site, _record, index, moved
from tests.video.playback.test_api import Client, mask_the_left
from tests.video.playback.test_masked_hls import fetch_playlist, is_grey, luma_of, probe

from koinon.video.masks.stream import MaskPool
from koinon.video.playback.course import Course, Ended, Media, Missing, Opening, step
from koinon.video.playback.masked import MaskedWalk, PoolMasker
from koinon.video.playback.pieces import split, wall_us, without_leading
from koinon.video.playback.store import find_streams
from koinon.video.recorder import read_unit
from koinon.video.recordings.model import EntryId, SampleEntry, StoredUnit


@pytest.fixture(scope="session")
def units(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> list[StoredUnit]:
    """One unit or two, of more than the length of a segment; a group is 24 pictures."""
    clip = clips(codec="h265", gop=24, b_frames=3, open_gop=True)
    return asyncio.run(_record(tmp_path_factory.mktemp("open"), clip, 10.5, unit_seconds=60.0))


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    found = Client(site)
    yield found
    await found.http.aclose()


async def read_playlist(client: Client, site: Site, since: timedelta) -> Any:
    """The playlist of the recording as if of ten minutes ago, from a moment in it on; a player comes to its end."""
    units = [moved(unit, -timedelta(minutes=10)) for unit in site.units]
    async with site.film.world.database.transaction() as connection:
        streams = await find_streams(connection, [site.film.camera["south-1"].id])
        await index(connection, units, *streams.values())
    begin, end = units[0].start + since, units[-1].end
    return await fetch_playlist(client, since=begin.isoformat(), until=end.isoformat())


async def test_a_playlist_does_not_say_that_its_segments_stand_alone_and_all_of_it_is_read(
    client: Client, site: Site
) -> None:
    playlist = await read_playlist(client, site, timedelta(0))
    assert "#EXT-X-INDEPENDENT-SEGMENTS" not in playlist.text
    cookies = f"Cookie: koinon_session={site.token}; koinon_media={playlist.told['token']}\r\n"
    read = await probe(["-headers", cookies, f"{site.origin}{playlist.told['playlist']}"])
    assert read == sum(each.frames for each in site.units)


async def test_masked_segments_follow_each_other_without_a_hole(client: Client, site: Site) -> None:
    await mask_the_left(site, site.units[0].start - timedelta(days=1))
    playlist = await read_playlist(client, site, timedelta(seconds=0.1))
    assert len(playlist.masked) > 1
    init = (await playlist.fetch(client, playlist.maps[0])).content
    fragments = []
    for name in playlist.masked:
        got = await playlist.fetch(client, name)
        assert got.status_code == 200, got.text
        pictures = luma_of(init + got.content)
        assert pictures and all(map(is_grey, pictures))
        fragments += split(got.content)[0]
    for before, after in pairwise(fragments):
        assert abs(after.base - before.base - before.duration) < 200


class Kept(Files):
    """With the entry that the units have."""

    async def get_entry(self, entry: EntryId) -> SampleEntry:
        unit = read_unit(Path(self.units[0].file))
        return SampleEntry(id=entry, codec=unit.codec, width=unit.width, height=unit.height, init=unit.init)


async def test_a_way_through_masked_recordings_lacks_no_picture_between_groups(
    units: list[StoredUnit],
) -> None:
    source = Kept(units[:1])
    entry = await source.get_entry(EntryId(1))
    whole = split(await asyncio.to_thread(Path(units[0].file).read_bytes))[0]
    assert any(without_leading(each, entry.codec) is not each for each in whole if each.key)
    pool = MaskPool(processes=1)
    always = mask(since=units[0].start - timedelta(days=1))

    async def list_masks() -> list[Any]:
        return [always]

    walk = MaskedWalk(
        Course(source, source.since_us, source.until_us), PoolMasker(pool), list_masks, "somebody"
    )
    shown: list[int] = []
    while not isinstance(piece := await walk.next(), Ended):
        assert not isinstance(piece, Missing), piece
        if isinstance(piece, Media):
            shown += piece.frames_us
    await pool.close()
    assert shown == sorted(shown) and len(shown) > 100
    # Fifteen a second of twenty-five: one or two pictures further, never three; but where the recording broke off among
    # B-frames.
    assert max(after - before for before, after in pairwise(shown[:-4])) < 100_000


async def test_what_a_step_gives_shows_the_frame_that_it_tells(units: list[StoredUnit]) -> None:
    """Who begins with a key frame leaves out what refers past it, and that is no frame to step to."""
    source, unit = Kept(units[:1]), units[0]
    course = Course(source, source.since_us, source.until_us)
    whole = split(await asyncio.to_thread(Path(unit.file).read_bytes))[0]
    every = sorted(wall_us(unit, ticks) for each in whole for ticks in each.shown())
    for at in range(20, 55):
        for forwards, expected in ((False, every[at - 1]), (True, every[at + 1])):
            found, told = await step(course, every[at] + 50, forwards=forwards)
            assert told == expected and told in decoded(found)
    # A view that begins just before pictures that refer to what lies before it.
    within = Course(source, wall_us(unit, unit.key_frames[2].ticks) - 45_000, source.until_us)
    found, told = await step(within, within.since_us, forwards=True)
    assert told is not None and told in decoded(found)
    assert (await step(within, told - 50_000, forwards=False))[1] is None


def decoded(found: list[Any]) -> list[int]:
    """When the frames were taken that a decoder makes of these pieces: it leaves out the first ones, if any."""
    opened = next(each for each in found if isinstance(each, Opening))
    media = [each for each in found if isinstance(each, Media)]
    data = b"".join(each.fragment.data for each in media)
    with av.open(io.BytesIO(opened.entry.init + data)) as container:
        count = sum(1 for _ in container.decode(video=0))
    return sorted(us for each in media for us in each.frames_us)[-count:]
