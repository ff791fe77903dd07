"""Streams that are not recorded: pulled while somebody watches, kept nowhere, let go of after the last viewer."""

import asyncio

import pytest
from tests.video.recordings.conftest import until

from koinon.video.live.link import Link
from koinon.video.live.store import find_tap
from koinon.video.live.tap import Tap
from koinon.video.recordings import Track, ask_for, passing

KEY = bytes(range(32))


class Watcher:
    """Listens to a stream as a web process does."""

    def __init__(self):
        self.frames, self.away, self.gone = 0, [], []

    def on_format(self, format_):
        self.format = format_

    def on_frame(self, head, data):
        self.frames += 1

    def on_away(self, reason):
        self.away.append(reason)

    def on_gone(self, reason):
        self.gone.append(reason)


@pytest.fixture
async def tap(tmp_path):
    tap = Tap(KEY)
    await tap.start(f"unix:{tmp_path}/tap.sock")
    yield tap
    await tap.close()


@pytest.fixture
async def unrecorded(cameras, register, database):
    """A stream of a camera that is not recorded; its id, and the server that it comes from."""
    server = await cameras({"gop": 13})
    stream = await register("gate", server.url("gate"))
    async with database.acquire() as connection:
        await connection.execute("UPDATE cameras.stream SET recorded = false WHERE id = $1", stream)
    return stream, server


async def ask(database, stream):
    async with database.transaction() as connection:
        return await ask_for(connection, stream)


async def tap_of(database, stream):
    async with database.acquire() as connection:
        return await find_tap(connection, stream)


async def test_a_stream_that_is_not_recorded_is_pulled_for_who_watches_and_let_go_of_after(
    unrecorded, start, tap, database, rows, monkeypatch
):
    monkeypatch.setattr(passing, "ASKED_SECONDS", 1.0)
    monkeypatch.setattr(passing, "_KEPT_SECONDS", 1.0)
    stream, _ = unrecorded
    process = await start(tap=tap)
    await until(lambda: rows("SELECT FROM recordings.recorder WHERE able"))
    assert await tap_of(database, stream) is None and not process.passing.pulled
    assert await ask(database, stream)
    address = await until(lambda: tap_of(database, stream))
    link, watcher = await Link.open(address, KEY), Watcher()
    link.subscribe(stream, watcher)
    await until(lambda: watcher.frames > 30)
    await asyncio.sleep(1.5)
    assert process.passing.pulled, "it goes on as long as somebody watches, whenever that was asked"
    link.unsubscribe(stream)
    await until(lambda: not process.passing.pulled, 6)
    link.close()

    async def is_let_go() -> bool:
        return await tap_of(database, stream) is None

    await until(is_let_go)
    for table in ("unit", "gap", "health"):
        assert await rows(f"SELECT FROM recordings.{table}") == [], table
    assert await rows("SELECT FROM base.lease WHERE expires_at > now()") == []
    assert await rows("SELECT FROM recordings.watched") == []


async def test_a_stream_that_is_recorded_from_now_on_passes_from_one_way_to_the_other(
    unrecorded, start, tap, database, rows
):
    stream, _ = unrecorded
    process = await start(tap=tap)
    await until(lambda: rows("SELECT FROM recordings.recorder WHERE able"))
    await ask(database, stream)
    await until(lambda: process.passing.pulled)
    async with database.acquire() as connection:
        await connection.execute("UPDATE cameras.stream SET recorded = true WHERE id = $1", stream)
    await until(lambda: Track(stream, 0) in process.recordings)
    assert not process.passing.pulled
    await until(lambda: rows("SELECT FROM recordings.unit WHERE stream = $1", stream))


async def test_one_recorder_of_two_pulls_it_and_another_takes_over_when_that_one_stops(
    unrecorded, start, database, tmp_path, rows
):
    stream, _ = unrecorded
    taps = [Tap(KEY), Tap(KEY)]
    for number, each in enumerate(taps):
        await each.start(f"unix:{tmp_path}/{number}.sock")
    both = [await start(f"r{number}", tap=each) for number, each in enumerate(taps)]
    await until(lambda: rows("SELECT FROM recordings.recorder WHERE able OFFSET 1"))
    await ask(database, stream)
    await until(lambda: any(each.passing.pulled for each in both))
    await asyncio.sleep(1.5)
    [mine] = [each for each in both if each.passing.pulled]
    assert await tap_of(database, stream) == taps[both.index(mine)].address
    mine.stop()
    await mine.task
    other = both[1 - both.index(mine)]
    await until(lambda: other.passing.pulled)
    for each in taps:
        await each.close()


async def test_nothing_is_asked_for_that_is_recorded_paused_or_unknown(
    cameras, register, start, database, rows, unrecorded
):
    stream, server = unrecorded
    recorded = await register("other", server.url("other"))
    assert not await ask(database, recorded)
    assert not await ask(database, 1_000_000)
    async with database.acquire() as connection:
        await connection.execute("UPDATE cameras.camera SET state = 'paused' WHERE code = 'gate'")
    assert not await ask(database, stream)
    assert await rows("SELECT FROM recordings.watched") == []
