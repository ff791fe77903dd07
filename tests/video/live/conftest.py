"""A tap on virtual cameras, without a recorder, and a hub that finds it."""

import asyncio
import contextlib

import pytest

from koinon.video.live import Tap
from koinon.video.live.alone import feed
from koinon.video.live.hub import Hub
from koinon.video.recorder import parse_source

KEY = bytes(range(32))


class Place:
    """A server of virtual cameras with a tap on some of them: stream 1 is camera `c1`."""

    def __init__(self, server, tap, task):
        self.server, self.tap, self.task = server, tap, task

    def camera(self, stream=1):
        return self.server.camera(f"c{stream}")


@pytest.fixture
async def tapped(cameras, tmp_path):
    """`await tapped({"gop": 13}, streams=[1])`: cameras of that clip, a tap fed from them."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*kinds, streams=(1,), address="unix", silence=2.0):
            server = await cameras(*kinds)
            tap = Tap(KEY)
            await tap.start(f"unix:{tmp_path}/tap.sock" if address == "unix" else address)
            stack.push_async_callback(tap.close)
            sources = {stream: parse_source(server.url(f"c{stream}")) for stream in streams}
            task = asyncio.create_task(feed(tap, sources, silence_seconds=silence))

            async def stop():
                task.cancel()
                await asyncio.wait([task])

            stack.push_async_callback(stop)
            return Place(server, tap, task)

        yield start


@pytest.fixture
async def hub_of():
    """`hub_of(place)`: a hub whose streams are all served by that tap; the address may be changed."""
    hubs = []

    def make(place, key=KEY):
        async def locate(stream):
            return place.tap.address or None

        hub = Hub(locate, key)
        hubs.append(hub)
        return hub

    yield make
    for hub in hubs:
        await hub.close()


class Wire:
    """Stands for a viewer's connection: keeps what is written, and can be slow.

    Attributes:
        waiting: what it says that waits to be sent.
    """

    def __init__(self):
        self.data = bytearray()
        self.waiting = 0
        self.closed = False

    def write(self, data):
        if self.closed:
            raise RuntimeError("the handler is closed")  # as uvloop's transport
        self.data += data

    def get_write_buffer_size(self):
        return self.waiting

    def is_closing(self):
        return self.closed

    def messages(self):
        """`(opcode, payload)` of each whole WebSocket message."""
        found, at, data = [], 0, bytes(self.data)
        while at + 2 <= len(data):
            opcode, size, head = data[at] & 15, data[at + 1], 2
            assert data[at] & 0x80 and size < 128, "whole, and not masked"
            if size == 126:
                size, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            found.append((opcode, data[at + head : at + head + size]))
            at += head + size
        assert at == len(data)
        return found

    def media(self):
        return [body for opcode, body in self.messages() if opcode == 2 and body[0] == 2]

    def openings(self):
        return [body for opcode, body in self.messages() if opcode == 2 and body[0] == 1]

    def texts(self):
        import json

        return [json.loads(body) for opcode, body in self.messages() if opcode == 1]


@pytest.fixture
def wire():
    return Wire


async def until(condition, seconds=8.0):
    """Waits until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


@pytest.fixture
def wait_until():
    return until


@pytest.fixture
async def site_of(hub_of, database):
    """`await site_of(place)`: the live pages over that tap; see `site.Site`."""
    from tests.video.live.site import Site, camera, main_streams

    sites = []

    async def start(place, streams=(1,), sub=None):
        numbers = main_streams(*streams)
        for number, stream in (sub or {}).items():
            numbers[(camera(number).id, "sub")] = stream
        site = Site(hub_of(place), database, numbers, [camera(number) for number in streams])
        await site.start()
        sites.append(site)
        return site

    yield start
    for site in sites:
        await site.stop()
