"""Units enter the index once, under the lease they were written under, and come out as they went in."""

import asyncio
import contextlib
import re
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.video.recordings.conftest import BEGAN, a_unit, new

from koinon.base.errors import Invalid, NotFound
from koinon.video.recorder import Gap, KeyFrame, Options, parse_source
from koinon.video.recorder.rtsp import Session, SessionFailed
from koinon.video.recordings import store
from koinon.video.recordings.model import Track, pack_key_frames, unpack_key_frames

TRACK = Track(7, 0)


@pytest.fixture
async def recorder(open_database):
    return await open_database("recorder")


@pytest.fixture
async def place(recorder):
    async with recorder.acquire() as connection:
        return (await store.ensure_place(connection, uuid4(), "folder", "/recordings")).id


@pytest.fixture
async def entry(recorder):
    async with recorder.acquire() as connection:
        return await store.ensure_entry(connection, a_unit())


async def test_a_unit_comes_out_of_the_index_as_it_went_in(recorder, place, entry, lease):
    await lease(TRACK)
    unit = a_unit(
        3, camera_us=-1_500_000, lost_packets=4, damaged_frames=2, end_reason="clock_step", delta_us=-7
    )
    async with recorder.acquire() as connection:
        assert await store.insert_units(connection, [new(unit, place, entry)], {TRACK: 1}) == ["indexed"]
        found = await store.get_unit(connection, 7, unit.start, 0)
        told = await store.get_entry(connection, found.entry)
    for name in ("stream", "start", "copy", "wall_us", "media_ticks", "bytes", "frames", "fence", "run", "number",
                 "key_frames", "delta_us", "camera_us", "end_reason"):  # fmt: skip
        assert getattr(found, name) == getattr(unit, name), name
    assert (found.lost, found.damaged, found.sha256.hex()) == (4, 2, unit.sha256)
    assert found.end - found.start == timedelta(microseconds=unit.wall_us)
    assert (told.codec, told.width, told.height, told.init) == ("avc1.4d401f", 1280, 720, b"ftyp moov")


async def test_a_unit_told_twice_is_one_row(recorder, place, entry, lease):
    await lease(TRACK)
    given_ = [new(a_unit(at), place, entry) for at in (0, 1, 1)]
    async with recorder.acquire() as connection:
        assert sorted(await store.insert_units(connection, given_, {TRACK: 1})) == [
            "indexed",
            "indexed",
            "indexed",
        ]
        assert await store.insert_units(connection, given_, {TRACK: 1}) == ["known"] * 3
        assert await connection.fetchval("SELECT count(*) FROM recordings.unit") == 2


async def test_who_lost_the_lease_writes_no_row_while_others_of_the_batch_do(recorder, place, entry, lease):
    other, gone = Track(8, 0), Track(9, 0)
    await lease(TRACK, fence=2)
    await lease(other, fence=1)
    await lease(gone, fence=1, seconds=-1)
    units = [new(a_unit(stream=each), place, entry) for each in (7, 8, 9)]
    async with recorder.acquire() as connection:
        told = await store.insert_units(connection, units, {TRACK: 1, other: 1, gone: 1})
        assert told == ["late", "indexed", "late"]
        assert await connection.fetchval("SELECT array_agg(stream) FROM recordings.unit") == [8]


async def test_a_unit_of_another_file_at_the_same_moment_does_not_pass_for_known(
    recorder, place, entry, lease
):
    await lease(TRACK)
    async with recorder.acquire() as connection:
        await store.insert_units(connection, [new(a_unit(), place, entry)], {TRACK: 1})
        told = await store.insert_units(connection, [new(a_unit(), place, entry, file="x.mp4")], {TRACK: 1})
    assert told == ["late"]


async def test_a_late_unit_is_adopted_only_where_no_other_covers_its_time_and_cuts_the_gap(
    recorder, place, entry, lease
):
    await lease(TRACK, fence=5)
    late = a_unit(1, fence=4)
    gap = Gap(BEGAN + timedelta(seconds=30), BEGAN + timedelta(seconds=180), "crashed", "killed")
    async with recorder.acquire() as connection:
        assert await store.insert_gaps(connection, [(TRACK, gap)], {TRACK: 5}) == 1
        async with connection.transaction():
            assert await store.adopt_unit(connection, new(late, place, entry))
        overlapping = a_unit(9, start=late.start + timedelta(seconds=30), fence=4)
        async with connection.transaction():
            assert not await store.adopt_unit(connection, new(overlapping, place, entry))
        async with connection.transaction():
            assert not await store.adopt_unit(connection, new(late, place, entry))
        gaps = await store.list_gaps(connection, 7, BEGAN, BEGAN + timedelta(hours=1))
    seconds = [(each.start - BEGAN, each.end - BEGAN) for each in gaps]
    assert [(one.seconds, other.seconds) for one, other in seconds] == [(30, 60), (120, 180)]
    assert {(each.reason, each.detail) for each in gaps} == {("crashed", "killed")}


async def test_nobody_writes_under_the_lease_while_a_late_unit_is_adopted(recorder, place, entry, lease):
    await lease(TRACK, fence=5)
    async with recorder.acquire() as one, recorder.acquire() as other:
        async with one.transaction():
            assert await store.adopt_unit(one, new(a_unit(1, fence=4), place, entry))
            task = asyncio.create_task(
                store.insert_units(other, [new(a_unit(2, fence=5), place, entry)], {TRACK: 5})
            )
            await asyncio.sleep(0.3)
            assert not task.done()
        assert await task == ["indexed"]


async def test_whatever_a_camera_says_of_itself_can_be_kept_and_shown(recorder, lease):
    """PostgreSQL keeps no U+0000, and what it refuses once would be tried for ever, before all that comes after it."""
    hostile = b"v=0\r\nm=video\0\x1b[2J 0 RTP/AVP 96\r\n"

    async def answer(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while asked := await reader.readuntil(b"\r\n\r\n"):
                number = re.search(rb"CSeq: \d+", asked)[0]
                line, body = (b"200 OK", hostile) if b"/odd" in asked else (b"404 \0\x1b]0;x", b"")
                writer.write(
                    b"RTSP/1.0 %b\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (line, number, len(body), body)
                )
        writer.close()

    await lease(TRACK)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        for number, path in enumerate(("no", "odd")):
            port = server.sockets[0].getsockname()[1]
            session = Session(parse_source(f"rtsp://127.0.0.1:{port}/{path}"), Options(name="cam"))
            with pytest.raises(SessionFailed) as failed:
                await session.open()
            await session.close()
            began = BEGAN + timedelta(minutes=number)
            gap = Gap(began, began + timedelta(seconds=1), failed.value.reason, failed.value.detail)
            async with recorder.acquire() as connection:
                assert await store.insert_gaps(connection, [(TRACK, gap)], {TRACK: 1}) == 1
    async with recorder.acquire() as connection:
        told = [
            each.detail for each in await store.list_gaps(connection, 7, BEGAN, BEGAN + timedelta(hours=1))
        ]
    assert told == ["OPTIONS: 404 \ufffd\ufffd]0;x", "no H.264 or H.265: video\ufffd\ufffd[2J 0 RTP/AVP 96"]


async def test_a_gap_grows_and_never_shrinks_and_is_none_of_who_lost_the_lease(recorder, lease):
    await lease(TRACK)
    end = BEGAN + timedelta(seconds=10)
    gaps = [
        Gap(BEGAN, end, "silent"),
        Gap(BEGAN, end + timedelta(seconds=5), "silent"),
        Gap(BEGAN, end, "silent"),
    ]
    async with recorder.acquire() as connection:
        for gap in gaps:
            await store.insert_gaps(connection, [(TRACK, gap)], {TRACK: 1})
        (found,) = await store.list_gaps(connection, 7, BEGAN, end)
        assert found.end == gaps[1].end
        later = Gap(end + timedelta(hours=1), end + timedelta(hours=2), "silent")
        assert await store.insert_gaps(connection, [(TRACK, later)], {TRACK: 3}) == 0


async def test_a_list_holds_what_touches_the_interval_and_nothing_of_another_stream(
    recorder, place, entry, lease
):
    await lease(TRACK)
    await lease(Track(8, 0))
    units = [new(a_unit(at), place, entry) for at in range(5)]
    units += [new(a_unit(at, stream=8), place, entry) for at in range(5)]
    async with recorder.acquire() as connection:
        await store.insert_units(connection, units, {TRACK: 1, Track(8, 0): 1})
        found = await store.list_units(
            connection, 7, BEGAN + timedelta(seconds=90), BEGAN + timedelta(seconds=180)
        )
        assert [(each.stream, each.number) for each in found] == [(7, 1), (7, 2)]
        ends = await store.list_ends(connection, [TRACK, Track(99, 0)])
        assert ends == {TRACK: (BEGAN + timedelta(seconds=300), None)}


async def test_a_unit_or_an_entry_that_is_not_there_is_unknown(recorder):
    async with recorder.acquire() as connection:
        with pytest.raises(NotFound) as refused:
            await store.get_unit(connection, 7, BEGAN, 0)
        assert refused.value.code == "unit_unknown"
        with pytest.raises(NotFound) as refused:
            await store.get_entry(connection, 4711)
        assert refused.value.code == "sample_entry_unknown"


async def test_equal_formats_share_an_entry(recorder):
    async with recorder.acquire() as connection:
        one = await store.ensure_entry(connection, a_unit())
        assert await store.ensure_entry(connection, a_unit(2)) == one
        assert await store.ensure_entry(connection, a_unit(init=b"other")) != one


async def test_a_recorder_can_neither_change_what_was_recorded_nor_delete_it(recorder):
    async with recorder.acquire() as connection:
        for statement in ("UPDATE recordings.unit SET start_at = now()", "DELETE FROM recordings.unit",
                          "UPDATE recordings.unit SET sha256 = ''", "SELECT * FROM ledger.entry"):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 2**31)), max_size=50))
def test_key_frames_are_read_as_they_were_packed(steps):
    ticks = offset = 0
    keys = []
    for more, further in steps:
        ticks, offset = ticks + more, offset + further
        keys.append(KeyFrame(ticks, offset))
    assert unpack_key_frames(pack_key_frames(keys)) == tuple(keys)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_key_frames_are_refused_or_read_never_more(data):
    try:
        found = unpack_key_frames(data)
    except Invalid as refused:
        assert refused.code == "invalid_key_frames"
    else:
        assert 2 * len(found) <= len(data)
