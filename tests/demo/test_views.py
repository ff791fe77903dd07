"""The camera that turns shows where it looks: from the next key frame on, and at no more than the cost of sending."""

import asyncio
import os
import struct
import time
from itertools import pairwise
from typing import Any

import pytest
from tests.demo.test_cameras import play

from koinon.demo.cameras import ClipUnavailable
from koinon.demo.cameras.packets import packetise
from koinon.demo.cameras.ptz import PRESETS
from koinon.demo.cameras.views import VIEWS, TurningServer, make_views, read_views, view_at


@pytest.fixture(scope="module")
def views(tmp_path_factory: Any) -> Any:
    try:
        return read_views(make_views(tmp_path_factory.mktemp("views")))
    except ClipUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{error}, and CI=true")
        pytest.skip(str(error))


def test_the_nearest_view_is_shown() -> None:
    assert [view_at(each) for each in VIEWS] == list(range(len(VIEWS))) and len(VIEWS) == 54
    assert VIEWS[view_at((0.4, -0.1, 0.3))] == (0.5, 0.0, 0.0)
    assert VIEWS[view_at((-0.6, 0.6, 0.51))] == (-0.5, 1.0, 1.0)
    assert len({view_at(position) for _, position in PRESETS.values()}) == len(PRESETS)


def test_each_view_stands_alone_and_differs_from_the_others(views: Any) -> None:
    first = views[0]
    for each in views:
        assert each.sets == first.sets and each.ticks == 90_000 and each.interval == first.interval
        assert [at for at, picture in enumerate(each.pictures) if picture.key] == [0, 6]
        assert [picture.shown for picture in each.pictures] == [at * 7500 for at in range(12)]
    assert len({each.pictures[0].nals[-1] for each in views}) == len(views)


def test_a_view_is_the_part_of_the_scene_that_it_says(views: Any) -> None:
    """Looking further right, what was seen stands further left; closer is larger; down is down."""
    av = pytest.importorskip("av")

    def picture(pan: float, tilt: float = 0.0, zoom: float = 0.0) -> Any:
        clip = views[view_at((pan, tilt, zoom))]
        decoder = av.CodecContext.create("h264", "r")
        data = b"".join(b"\0\0\0\1" + nal for each in clip.pictures for nal in each.nals)
        frames = [frame for packet in decoder.parse(data) for frame in decoder.decode(packet)]
        return (frames + decoder.decode(None))[3].to_ndarray(format="rgb24").astype(int)

    def apart(one: Any, other: Any) -> float:
        return float(abs(one[60:] - other[60:]).mean())  # below what is written in

    step = 960 // 8  # points of the scene between two pans
    for left, right in ((-1.0, -0.75), (0.0, 0.25), (0.75, 1.0)):
        one, other = picture(left), picture(right)
        assert apart(one[:, step:], other[:, :-step]) < 30 < apart(one, other)
    wide, near = picture(-0.5), picture(-0.5, zoom=1.0)
    assert apart(wide[90:270, 80:400].repeat(2, 0).repeat(2, 1), near) < 30 < apart(wide, near)
    down, up = (
        abs(picture(0.5, tilt)[60:200, 1:] - picture(0.5, tilt)[60:200, :-1]).mean() for tilt in (-1.0, 1.0)
    )
    assert down > 2 * up, "what is chequered stands low"


async def test_it_shows_where_it_looks_from_the_next_key_frame_on(views: Any) -> None:
    where = [(-1.0, 0.0, 0.0)]
    pictures = {
        payload: (number, at)
        for number, clip in enumerate(views)
        for at, packed in enumerate(packetise(clip))
        for payload in packed[-1:]
    }
    async with TurningServer(views, lambda: where[0]) as server:
        taking = asyncio.create_task(play(server, "west-2", 150))
        while server.camera("west-2").pictures < 8:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        where[0] = (1.0, 0.0, 1.0)
        packets = [packet for channel, packet in await taking if channel == 0]
    seen = [pictures[packet[12:]] for packet in packets if packet[12:] in pictures]
    first, second = view_at((-1.0, 0.0, 0.0)), view_at((1.0, 0.0, 1.0))
    numbers = [number for number, _ in seen]
    turned = numbers.index(second)
    assert set(numbers[:turned]) == {first} and set(numbers[turned:]) == {second}
    assert seen[turned][1] in (0, 6) and turned <= 8 + 6
    assert [at for _, at in seen] == [(seen[0][1] + each) % 12 for each in range(len(seen))]
    stamps = sorted({struct.unpack(">I", packet[4:8])[0] for packet in packets})
    assert {later - stamp for stamp, later in pairwise(stamps)} == {7500}


async def test_it_costs_what_sending_costs(views: Any) -> None:
    position = [0.0]

    def look() -> tuple[float, float, float]:
        position[0] = (position[0] + 1.3) % 2
        return position[0] - 1, 0.0, 0.0

    async with TurningServer(views, look) as server:
        playing = asyncio.create_task(play(server, "west-2", 10_000))
        began, spent = time.monotonic(), time.process_time()
        await asyncio.sleep(2)
        share = (time.process_time() - spent) / (time.monotonic() - began)
        playing.cancel()
        await asyncio.wait([playing])
    assert share < 0.2, "of a core"
