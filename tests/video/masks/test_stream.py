"""Masked streams out of processes: fed live and from units, so many at once, and never passed on unmasked."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.video.masks.conftest import START, decode, mask

from koinon.base.errors import Invalid, Unavailable
from koinon.video.masks import Coded, Fragments, MaskPool, format_of, frames_of
from koinon.video.recorder import boxes
from koinon.video.recorder.nal import Format


@pytest.fixture
async def pool():
    made = MaskPool(processes=1, streams_a_process=2)
    yield made
    await made.close()


def unit(format_, frames):
    """A unit's opening, and its fragments: one a frame, as long as the next one says."""
    data = b"x" * 0
    for number, (frame, following) in enumerate(zip(frames, [*frames[1:], None], strict=True), 1):
        duration = following.ticks - frame.ticks if following else 3600
        sample = boxes.Sample(duration, len(frame.data), frame.key)
        data += boxes.fragment(number, frame.ticks, [sample]) + frame.data
    return boxes.opening(format_, 0), data


def masked(picture):
    height, width = picture.shape
    part = picture[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
    return np.abs(part.astype(int) - 128).max() <= 6


async def test_a_unit_is_read_back_as_the_frames_that_it_was_made_of(coded):
    format_, frames = coded()
    init, data = unit(format_, frames)
    assert format_of(init) == format_
    assert list(frames_of(data, START)) == frames
    with pytest.raises(Invalid) as refused:
        list(frames_of(data[:-1], START))
    assert refused.value.code == "invalid_unit"
    with pytest.raises(Invalid) as refused:
        format_of(b"nothing here")
    assert refused.value.code == "invalid_unit"


async def test_a_unit_comes_out_masked_and_as_fragments_that_a_player_takes(coded, pool, tmp_path):
    init, data = unit(*coded(count=150, lossless=False))
    async with pool.open([mask()]) as stream:

        async def feed():
            await stream.feed_unit(init, data, START)
            stream.finish()

        task = asyncio.create_task(feed())
        made = [each async for each in stream]
        await task
    assert isinstance(made[0], Format) and len(made) >= 88
    assert all(masked(picture) for picture in decode(made))
    fragments = Fragments()
    file = tmp_path / "masked.mp4"
    file.write_bytes(
        b"".join(piece for each in made for piece in fragments.add(each)) + b"".join(fragments.end())
    )
    import av

    with av.open(str(file)) as container:
        shown = [frame.pts for frame in container.decode(video=0)]
        assert len(shown) == len(made) - 1 and shown == sorted(shown)
        assert abs(container.streams.video[0].average_rate - 15) < 1


async def test_live_frames_come_out_while_others_go_in_and_a_new_mask_counts_from_the_next_frame_on(
    coded, pool
):
    format_, frames = coded()
    async with pool.open([mask(polygons=[])]) as stream:
        stream.open(format_)
        taken = aiter(stream)
        for frame in frames[:20]:
            assert stream.feed(frame)
        async with asyncio.timeout(20):
            made = [await anext(taken) for _ in range(8)]
        stream.set_masks([mask()])
        for frame in frames[20:]:
            assert stream.feed(frame)
        stream.finish()
        made += [each async for each in taken]
    turn = frames[20].ticks
    coded_frames = [each for each in made if isinstance(each, Coded)]
    assert [masked(picture) for picture in decode(made)] == [each.ticks >= turn for each in coded_frames]


async def test_there_are_so_many_slots_and_one_that_is_free_again_is_given_again(coded, pool):
    async with pool.open([]), pool.open([]):
        with pytest.raises(Unavailable) as refused:
            async with pool.open([]):
                pass
        assert (refused.value.code, refused.value.facts["slots"]) == ("masks_full", 2)
        assert pool.running == 2
    async with pool.open([]):
        assert pool.running == 1
    assert pool.running == 0


async def test_when_the_process_dies_the_stream_ends_and_shows_nothing_and_the_next_one_has_a_new_process(
    coded, pool
):
    format_, frames = coded()
    async with pool.open([mask()]) as stream:
        stream.open(format_)
        stream.feed(frames[0])
        taken = aiter(stream)
        async with asyncio.timeout(20):
            await anext(taken)
        os.kill(pool._processes[0]._child.pid, signal.SIGKILL)
        with pytest.raises(Unavailable) as failed:
            async with asyncio.timeout(20):
                async for _ in taken:
                    pass
        assert failed.value.code == "masking_failed"
    async with pool.open([mask()]) as stream:
        stream.open(format_)
        stream.feed(frames[0])
        async with asyncio.timeout(20):
            assert isinstance(await anext(aiter(stream)), Format)


async def test_a_stream_that_cannot_be_masked_ends_and_its_neighbour_goes_on(coded, pool):
    format_, frames = coded()
    async with pool.open([mask()]) as bad, pool.open([mask()]) as good:
        bad.feed(frames[0])  # without a format
        good.open(format_)
        good.feed(frames[0])
        with pytest.raises(Unavailable) as failed:
            async with asyncio.timeout(20):
                async for _ in bad:
                    pass
        assert failed.value.code == "masking_failed" and "mask_without_format" in failed.value.facts["why"]
        async with asyncio.timeout(20):
            assert isinstance(await anext(aiter(good)), Format)


async def test_live_frames_that_nobody_takes_are_left_out_up_to_the_next_key_frame(coded, pool):
    format_, frames = coded(gop=20)
    async with pool.open([mask()], frames_a_second=25) as stream:
        stream.open(format_)
        fed = 0
        for turn in range(40):
            for frame in frames:
                later = turn * 60 * 3600
                fed += stream.feed(
                    Coded(frame.ticks + later, frame.wall_us + later * 100 // 9, frame.key, frame.data)
                )
            await asyncio.sleep(0.1)
        assert stream.left_out > 0 and fed + stream.left_out == 40 * len(frames)
        assert stream._made.qsize() < 64 + 200


async def test_a_masking_process_is_told_no_secret(coded, pool, monkeypatch):
    monkeypatch.setenv("KOINON_DATABASE_URL", "postgresql://secret")
    async with pool.open([]):
        told = Path(f"/proc/{pool._processes[0]._child.pid}/environ")
        environment = await asyncio.to_thread(told.read_text)
    assert "secret" not in environment


async def test_a_mask_that_ends_while_a_unit_goes_on_is_there_up_to_that_moment(coded, pool):
    turn = START + timedelta(seconds=1)
    init, data = unit(*coded())
    async with pool.open([mask(until=turn)]) as stream:
        await stream.feed_unit(init, data, START)
        stream.finish()
        made = [each async for each in stream]
    edge = round(turn.timestamp() * 1e6)
    frames = [each for each in made if isinstance(each, Coded)]
    assert [masked(picture) for picture in decode(made)] == [each.wall_us < edge for each in frames]
    assert {each.wall_us < edge for each in frames} == {True, False}
