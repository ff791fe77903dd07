"""Single pictures, made in a process of their own: masked, bounded, and never in the process that asks."""

import asyncio
import os
import re
import signal
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from tests.video.masks.conftest import START, mask
from tests.video.masks.test_stream import unit

from koinon.base.errors import Invalid, TooMany
from koinon.video.masks import Coded, Kind, MaskPool, pictures
from koinon.video.masks.pictures import Pictures
from koinon.video.masks.worker import PICTURE_MEMORY
from koinon.video.playback.masked import PoolMasker
from koinon.video.playback.pieces import to_us
from koinon.video.recorder.nal import Format

VIDEO = Path(__file__).parents[3] / "src" / "koinon" / "video"


@pytest.fixture
async def make():
    made = Pictures()
    yield made
    await made.close()


def read(data):
    """The picture's luma, rows by columns."""
    return np.asarray(Image.open(BytesIO(data)).convert("L"), int)


def middle(picture):
    height, width = picture.shape
    return picture[int(height * 0.36) : int(height * 0.64), int(width * 0.36) : int(width * 0.64)]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
async def test_a_key_frame_becomes_a_small_picture_with_the_mask_of_its_time(coded, make, codec):
    format_, frames = coded(codec=codec, count=2)
    plain = read(await make.draw(format_, frames[0], [], width=160))
    assert plain.shape == (90, 160) and np.ptp(middle(plain)) > 100
    for kind, most in ((Kind.FILL, 12), (Kind.MOSAIC, 90)):
        masked = read(await make.draw(format_, frames[0], [mask(kind=kind)], width=160))
        assert np.ptp(middle(masked)) <= most
        assert np.abs(masked[:20] - plain[:20]).mean() < 3  # beside it nothing changed
    over = await make.draw(format_, frames[0], [mask(until=START - timedelta(seconds=1))], width=160)
    assert np.ptp(middle(read(over))) > 100
    assert read(await make.draw(format_, frames[0], [], width=9999)).shape == (180, 320)


async def test_two_originals_that_differ_only_under_the_mask_give_the_same_picture(coded, make):
    one, other = [
        await make.draw(format_, frames[0], [mask()], width=300)
        for format_, frames in (coded(secret=1), coded(secret=2))
    ]
    assert one == other


async def test_what_cannot_be_read_or_is_enormous_is_refused_and_the_next_picture_is_made(coded, make):
    format_, frames = coded()
    broken = Coded(0, 0, True, b"\0\0\0\4\x65abc")
    for wrong in (
        lambda: make.draw(format_, broken, [], width=160),
        lambda: make.draw(format_, Coded(0, 0, True, b""), [], width=160),
        lambda: make.draw(msgspec.structs.replace(format_, width=9000), frames[0], [], width=160),
        lambda: make.masked_format(9000, 100),
    ):
        with pytest.raises(Invalid) as refused:
            await wrong()
        assert refused.value.code == "picture_unreadable"
    assert read(await make.draw(format_, frames[0], [], width=160)).shape == (90, 160)


async def test_a_process_that_dies_or_hangs_takes_one_picture_with_it_and_no_other(coded, make, monkeypatch):
    format_, frames = coded()
    await make.draw(format_, frames[0], [], width=160)
    first = make._process._child.pid
    os.kill(first, signal.SIGSTOP)  # it hangs
    dying = asyncio.create_task(make.draw(format_, frames[0], [], width=160))
    waiting = asyncio.create_task(make.draw(format_, frames[0], [], width=160))
    while not make._process.streams:  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(0)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(Invalid) as refused:
        await dying
    assert refused.value.facts["why"] == "process died"
    assert await waiting
    monkeypatch.setattr(pictures, "SECONDS", 0.05)
    os.kill(make._process._child.pid, signal.SIGSTOP)
    with pytest.raises(Invalid) as refused:
        await make.draw(format_, frames[0], [], width=160)
    assert refused.value.facts["why"] == "took too long"
    monkeypatch.undo()
    assert await make.draw(format_, frames[0], [], width=160)


async def test_the_process_has_limits_of_memory_and_cpu_no_secrets_and_so_many_wait_for_it(
    coded, make, monkeypatch
):
    monkeypatch.setenv("KOINON_DATABASE_URL", "postgresql://secret")
    format_, frames = coded()
    await make.draw(format_, frames[0], [], width=160)
    process = Path(f"/proc/{make._process._child.pid}")
    limits = await asyncio.to_thread((process / "limits").read_text)
    assert re.search(rf"Max address space +{PICTURE_MEMORY} ", limits)
    cpu = re.search(r"Max cpu time +(\d+) ", limits)
    assert cpu and int(cpu[1]) <= 60
    assert re.search(r"Max core file size +0 ", limits)
    assert "secret" not in await asyncio.to_thread((process / "environ").read_text)
    make.places.most = 0
    with pytest.raises(TooMany) as refused:
        await make.draw(format_, frames[0], [], width=160)
    assert refused.value.code == "pictures_busy"


async def test_how_masked_frames_are_decoded_is_known_before_there_are_any(coded):
    pool = MaskPool(processes=1)
    try:
        for size in ({"width": 320, "height": 180}, {"width": 642, "height": 362}):
            format_, frames = coded(count=3, **size)
            async with pool.open([mask()]) as stream:
                stream.open(format_)
                stream.feed(frames[0])
                async with asyncio.timeout(30):
                    made = await anext(aiter(stream))
            assert isinstance(made, Format)
            assert made == await pool.pictures.masked_format(size["width"], size["height"])
    finally:
        await pool.close()


async def test_a_long_group_of_pictures_is_masked_whole(coded):
    """More than a process holds ready: what is made is taken while more is fed."""
    init, data = unit(*coded(count=240, lossless=False))
    pool = MaskPool(processes=1)
    try:
        async with asyncio.timeout(60):
            _, frames = await PoolMasker(pool).mask([mask()], init, data, to_us(START))
    finally:
        await pool.close()
    assert len(frames) >= 140


def test_decoders_are_called_in_the_recorder_and_in_the_process_that_masks_and_nowhere_else():
    """`av` decodes what cameras send, in other people's code: where a session or a key is, it has no place."""
    named = re.compile(r"^\s*(?:import av\b|from av\b|av = late\()", re.MULTILINE)
    users = {
        path.relative_to(VIDEO).as_posix() for path in VIDEO.rglob("*.py") if named.search(path.read_text())
    }
    assert {each for each in users if not each.startswith("recorder/")} == {
        "masks/picture.py", "masks/still.py", "masks/transcode.py",
    }  # fmt: skip
