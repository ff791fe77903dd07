"""Past their term rows go, then files, then garbage: over any crash, once, and never anything else."""

import asyncio
import contextlib
import signal
import sys
from datetime import timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.base.s3 import KEYS
from tests.video.terms.conftest import NOW

from koinon.base.database import Database
from koinon.base.ids import new_id
from koinon.video.terms import places, policy
from koinon.video.terms.deletion import mark_due, sweep
from koinon.video.terms.model import LEAD, Derived, Hold, Regimes, Why
from koinon.video.terms.store import due as store

OLD, YOUNG = NOW - timedelta(days=30) + LEAD - timedelta(seconds=1), NOW - timedelta(days=30) + LEAD
REGIMES = Regimes()


async def forget(site, clock, home):
    return await mark_due(site.database, REGIMES, clock), await sweep(site.database, home)


async def test_what_is_past_its_term_goes_with_its_file_and_what_is_not_stays(site, clock, tmp_path):
    _, stream = await site.camera()
    old, young = await site.unit(stream, OLD), await site.unit(stream, YOUNG)
    marked, swept = await forget(site, clock, tmp_path)
    assert (marked.units, swept.files) == (1, 1)
    assert not old.exists() and young.exists()
    assert await site.starts(stream) == [YOUNG]
    assert await site.rows("SELECT count(*) FROM terms.garbage") == [(0,)]
    again = await forget(site, clock, tmp_path)
    assert (again[0].units, again[1].files) == (0, 0)


async def test_both_copies_of_a_doubly_recorded_camera_go(site, clock, tmp_path):
    _, stream = await site.camera()
    other = tmp_path / "other"
    place = await site.add_place(other)
    one = await site.unit(stream, OLD)
    two = await site.unit(stream, OLD, copy=1, place=place, folder=other)
    await forget(site, clock, tmp_path)
    assert not one.exists() and not two.exists()
    assert await site.starts(stream) == []


async def test_the_timeline_is_told_what_went_as_one_stretch_with_its_reason(site, clock, tmp_path, database):
    _, stream = await site.camera()
    base = OLD - timedelta(hours=1)
    for minute in range(5):
        await site.unit(stream, base + timedelta(minutes=minute))
    await mark_due(database, REGIMES, clock, batch=2)
    async with database.acquire() as connection:
        (told,) = await store.list_deleted(connection, stream, base, NOW)
    assert (told.start, told.end, told.units, told.bytes, told.why) == (
        base, base + timedelta(minutes=5), 5, 500, Why.MAXIMUM,
    )  # fmt: skip
    await site.unit(stream, base + timedelta(minutes=5))
    await mark_due(database, REGIMES, clock)
    async with database.acquire() as connection:
        (told,) = await store.list_deleted(connection, stream, base, NOW)
    assert (told.end, told.units) == (base + timedelta(minutes=6), 6)
    assert await site.rows("SELECT why, units, bytes FROM terms.deletion") == [("maximum", 6, 600)]


async def test_an_owners_shorter_term_counts_and_says_so(site, clock, tmp_path):
    camera, stream = await site.camera()
    await site.rows("INSERT INTO terms.own_term (camera, since, days) VALUES ($1, now(), 7)", camera)
    week = NOW - timedelta(days=7) + LEAD
    await site.unit(stream, week - timedelta(seconds=1))
    await site.unit(stream, week)
    await forget(site, clock, tmp_path)
    assert await site.starts(stream) == [week]
    assert await site.rows("SELECT why FROM terms.deleted") == [("term",)]


async def test_a_hold_beats_the_owners_term_and_not_the_maximum_unless_its_basis_says_so(
    site, clock, tmp_path
):
    camera, stream = await site.camera()
    beyond, other = await site.camera("beyond")
    week, month = NOW - timedelta(days=8), NOW - timedelta(days=31)
    for each, where in ((camera, stream), (beyond, other)):
        await site.rows("INSERT INTO terms.own_term (camera, since, days) VALUES ($1, now(), 7)", each)
        for start in (month, week, week + timedelta(hours=1)):
            await site.unit(where, start, code=str(where))
    await site.hold(camera, month, week + timedelta(minutes=30))
    await site.hold(beyond, month, week + timedelta(minutes=30), keeps_days=60)
    await forget(site, clock, tmp_path)
    assert await site.starts(stream) == [week]
    assert await site.starts(other) == [month, week]
    clock.advance(timedelta(days=10))  # the holds have ended
    await forget(site, clock, tmp_path)
    assert await site.starts(stream) == await site.starts(other) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=8, unique=True),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.sampled_from([None, 20, 60])), max_size=3),
    st.sampled_from([None, 5, 20]),
)
async def test_the_database_deletes_exactly_what_the_policy_says(site, clock, ages, holds, own):
    camera, stream = await site.camera(f"c{new_id().hex}")
    if own:
        await site.rows(
            "INSERT INTO terms.own_term (camera, since, days) VALUES ($1, now(), $2)", camera, own
        )
    starts = sorted(NOW - timedelta(days=age, minutes=1) for age in ages)
    for start in starts:
        await site.unit(stream, start, code=camera.hex)
    known = []
    for first, length, keeps_days in holds:
        since, until = NOW - timedelta(days=first), NOW - timedelta(days=first) + timedelta(days=length)
        await site.hold(camera, since, until, keeps_days=keeps_days)
        known.append(
            Hold(
                id=new_id(), decision=new_id(), camera=camera, since=since, until=until, owner=new_id(), basis="b",
                rule="b/1", article="a", reason="r", case="", keeps_days=keeps_days, placed_by=new_id(),
                placed_at=NOW - timedelta(days=1), ends_at=NOW + timedelta(days=9),
            )
        )  # fmt: skip
    windows = policy.windows_due([stream], policy.limits_of([], REGIMES, NOW), own, NOW)
    minute = timedelta(minutes=1)
    kept = [
        start for start in starts
        if not any(
            window.since <= start < window.until
            and not any(
                policy.keeps(hold, start, start + minute, NOW, past_maximum=window.spare_holds == "beyond")
                for hold in known
            )
            for window in windows
        )
    ]  # fmt: skip
    await mark_due(site.database, REGIMES, clock, batch=3, pause_seconds=0)
    assert await site.starts(stream) == kept


async def test_what_was_made_from_recordings_goes_with_them_and_nothing_is_made_of_what_is_gone(
    site, clock, tmp_path, database
):
    _, stream = await site.camera()
    await site.unit(stream, OLD)
    await site.unit(stream, NOW - timedelta(days=3))
    cache = tmp_path / "cache"
    place = await site.add_place(cache)

    async def derive(start, end, name):
        (cache / "t").mkdir(exist_ok=True)
        (cache / "t" / name).write_bytes(b"x")
        made = Derived(
            id=new_id(),
            stream=stream,
            start=start,
            end=end,
            kind="thumbnail",
            place=place,
            file=f"t/{name}",
            bytes=1,
        )
        async with database.acquire() as connection:
            return await store.insert_derived(connection, made, NOW)

    young = NOW - timedelta(days=3)
    assert await derive(OLD, OLD, "old.jpg")
    assert await derive(OLD + timedelta(seconds=30), young, "long-clip.mp4")
    assert await derive(young, young, "young.jpg")
    await forget(site, clock, tmp_path)
    assert {each.name for each in (cache / "t").iterdir()} == {"young.jpg"}
    assert not await derive(OLD, OLD, "too-late.jpg")


async def test_a_derived_file_goes_by_itself_when_its_oldest_image_is_past_the_term(
    site, clock, tmp_path, database
):
    _, stream = await site.camera()
    await site.rows(
        """INSERT INTO terms.derived VALUES ($1, $2, $3, $4, 'clip', $5, 'clips/a.mp4', 1, now())""",
        new_id(), stream, OLD, NOW, site.place,
    )  # fmt: skip
    (site.folder / "clips").mkdir()
    (site.folder / "clips" / "a.mp4").write_bytes(b"x")
    marked, _ = await forget(site, clock, tmp_path)
    assert marked.derived == 1 and not (site.folder / "clips" / "a.mp4").exists()


async def test_gaps_of_a_time_that_is_past_go_too(site, clock, tmp_path):
    _, stream = await site.camera()
    await site.gap(stream, OLD - timedelta(hours=2), OLD - timedelta(hours=1))
    await site.gap(stream, OLD, YOUNG + timedelta(hours=1))
    marked, _ = await forget(site, clock, tmp_path)
    assert marked.gaps == 1


async def test_a_folder_that_is_not_the_one_meant_is_not_touched(site, clock, tmp_path):
    _, stream = await site.camera()
    old = await site.unit(stream, OLD)
    marker = site.folder / "koinon-recordings.json"
    right = marker.read_bytes()
    marker.write_bytes(b'{"id": "00000000-0000-0000-0000-000000000000"}')
    _, swept = await forget(site, clock, tmp_path)
    assert (swept.files, swept.away) == (0, 1) and old.exists()
    assert await site.rows("SELECT count(*) FROM terms.garbage") == [(1,)]
    marker.write_bytes(right)
    assert (await sweep(site.database, tmp_path)).files == 1 and not old.exists()


async def test_what_lies_in_a_bucket_goes_too(site, clock, tmp_path):
    _, stream = await site.camera()
    bucket = tmp_path / "bucket"
    ((place,),) = await site.rows(
        "INSERT INTO recordings.place (marker, kind, address) VALUES ($1, 's3', $2) RETURNING id",
        new_id(), bucket.as_uri(),
    )  # fmt: skip
    old = await site.unit(stream, OLD, place=place, folder=bucket)
    young = await site.unit(stream, YOUNG, place=place, folder=bucket)
    _, swept = await forget(site, clock, tmp_path)
    assert swept.files == 1 and not old.exists() and young.exists()


async def test_a_bucket_that_never_answers_a_deletion_keeps_no_folder_waiting(
    site, clock, tmp_path, monkeypatch
):
    """Else the transaction would be ended for being idle, time after time, and nothing be told of why."""

    async def answer(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while (await reader.readuntil(b"\r\n\r\n")).startswith(b"HEAD"):
                writer.write(
                    b'HTTP/1.1 200 OK\r\nETag: "1"\r\nLast-Modified: Mon, 02 Nov 2026 10:00:00 GMT\r\n'
                    b"Content-Length: 9\r\n\r\n"
                )
            await reader.read()
        writer.close()

    for name, value in KEYS.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    monkeypatch.setattr(places, "PATIENCE_SECONDS", 0.5)
    _, stream = await site.camera()
    other, bucket = tmp_path / "other", tmp_path / "bucket"
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"s3://b?endpoint=http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ((place,),) = await site.rows(
            "INSERT INTO recordings.place (marker, kind, address) VALUES ($1, 's3', $2) RETURNING id",
            new_id(), address,
        )  # fmt: skip
        await site.unit(stream, OLD, place=place, folder=bucket)
        after = await site.unit(
            stream, OLD, copy=1, place=await site.add_place(other), folder=other
        )  # looked at after the bucket
        async with asyncio.timeout(15):
            _, swept = await forget(site, clock, tmp_path)
    assert (swept.files, swept.failed) == (1, 1) and not after.exists()
    assert await site.rows("SELECT last_error FROM terms.garbage") == [
        ("the bucket was not done with it in time",)
    ]


@pytest.mark.parametrize(
    "file", ["../outside.mp4", "/etc/passwd", "cam/../../outside.mp4", "cam//x.mp4", "link/x.mp4"]
)
async def test_nothing_outside_its_place_is_removed(site, clock, tmp_path, file):
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.mp4").write_bytes(b"x")
    (site.folder / "link").symlink_to(tmp_path / "elsewhere")
    await site.rows(
        """INSERT INTO terms.garbage (kind, stream, start_at, place, file, bytes, why, at)
           VALUES ('unit', 1, now(), $1, $2, 1, 'term', now())""",
        site.place, file,
    )  # fmt: skip
    swept = await sweep(site.database, tmp_path)
    assert swept.failed == 1 and outside.exists() and (tmp_path / "elsewhere" / "x.mp4").exists()
    assert await site.rows("SELECT failures, last_error IS NOT NULL FROM terms.garbage") == [(1, True)]


# Kills. The child does the whole protocol and is killed at the n-th step of one kind: a commit, an unlink, a flush.
CHILD = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
import asyncpg
from koinon.base.clock import FixedClock
from koinon.base.database import Database
from koinon.video.terms import places, policy
from koinon.video.terms.deletion import mark_due, sweep
from koinon.video.terms.model import Regimes

url, home, kind, at = sys.argv[1:5]
left = int(at)

def counted(original):
    def call(*args, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **options)
    return call

if kind == "commit":
    original = asyncpg.transaction.Transaction.commit
    asyncpg.transaction.Transaction.commit = counted(original)
    exit_ = asyncpg.transaction.Transaction.__aexit__
    asyncpg.transaction.Transaction.__aexit__ = counted(exit_)
else:
    setattr(os, kind, counted(getattr(os, kind)))

async def main():
    async with await Database.open(url, kind="worker", max_size=2) as database:
        await mark_due(database, Regimes(), FixedClock(datetime(2026, 11, 24, 9, tzinfo=UTC)), batch=4, pause_seconds=0)
        await sweep(database, Path(home), batch=4, pause_seconds=0)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["commit", "unlink", "fsync"])
async def test_a_kill_at_any_step_loses_nothing_and_the_next_run_finishes(
    site, clock, tmp_path, database_url, kind
):
    _, stream = await site.camera()
    other = tmp_path / "other"
    place = await site.add_place(other)
    kills = 0
    for step in range(40):
        old = []
        for minute in range(5):
            start = OLD - timedelta(days=step, minutes=minute)
            old.append(await site.unit(stream, start))
            old.append(await site.unit(stream, start, copy=1, place=place, folder=other))
        young = await site.unit(stream, YOUNG + timedelta(seconds=61 * step))
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CHILD,
            database_url,
            str(tmp_path),
            kind,
            str(step),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await child.communicate()
        killed = child.returncode == -signal.SIGKILL
        kills += killed
        assert killed or child.returncode == 0, errors.decode()[-2000:]
        # At every moment: a file that is there has a row or is garbage, and a row has its file.
        rows = {row[0] for row in await site.rows("SELECT file FROM recordings.unit")}
        garbage = {row[0] for row in await site.rows("SELECT file FROM terms.garbage")}
        files = {
            str(path.relative_to(folder))
            for folder in (site.folder, other)
            for path in folder.glob("*/*/*.mp4")
        }
        assert files - rows - garbage == set() and rows - files == set()
        async with asyncio.timeout(30):
            while True:
                await forget(site, clock, tmp_path)
                left = await site.rows("SELECT count(*) FROM terms.garbage")
                if left == [(0,)] and not any(path.exists() for path in old):
                    break
                await asyncio.sleep(
                    0.05
                )  # the server lets go of what the dead one held once it hears of its death
        assert young.exists()
        units = await site.rows("SELECT sum(units) FROM terms.deleted")
        assert units == [(10 * (step + 1),)]  # told once, whatever happened
        if not killed:
            break
    assert kills >= 2 and not killed


async def test_two_at_once_delete_each_thing_once(site, clock, tmp_path, open_database):
    _, stream = await site.camera()
    for minute in range(30):
        await site.unit(stream, OLD - timedelta(minutes=minute))
    workers = [await open_database("worker") for _ in range(3)]

    async def work(database: Database):
        marked = await mark_due(database, REGIMES, clock, batch=4, pause_seconds=0)
        return marked.units, (await sweep(database, tmp_path, batch=3, pause_seconds=0)).files

    done = await asyncio.gather(*map(work, workers))
    last = await sweep(site.database, tmp_path)
    assert sum(units for units, _ in done) == 30
    assert sum(files for _, files in done) + last.files == 30
    assert await site.rows("SELECT sum(units) FROM terms.deleted") == [(30,)]


async def test_the_recorders_machine_may_unlink_and_may_not_decide(site, clock, tmp_path, open_database):
    _, stream = await site.camera()
    old = await site.unit(stream, OLD)
    recorder = await open_database("recorder")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await mark_due(recorder, REGIMES, clock)
    await mark_due(site.database, REGIMES, clock)
    assert (await sweep(recorder, tmp_path)).files == 1 and not old.exists()


async def test_when_a_camera_changes_its_regime_the_time_of_it_is_kept(site):
    camera, _ = await site.camera(regime="police")
    await site.rows("UPDATE cameras.camera SET regime = 'standard' WHERE id = $1", camera)
    await site.rows("UPDATE cameras.camera SET name = 'other' WHERE id = $1", camera)
    async with site.database.acquire() as connection:
        (kept,) = await store.list_kept(connection)
    assert [each.regime for each in kept.assignments] == ["police", "standard"]
    assert kept.assignments[1].since > NOW - timedelta(days=3650)
