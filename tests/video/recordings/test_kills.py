"""Processes that die, a database that goes away: what is taken over, what waits, and nothing twice."""

import asyncio
import contextlib
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
from tests.video.recordings.conftest import until
from tests.video.recordings.test_process import UNITS, accounted

from koinon.base.database import embedded


@contextlib.asynccontextmanager
async def running_recorder(url, home):
    """`koinon run recorder`, a process of its own, which is gone afterwards whatever happened."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "koinon.app.cli", "run", "recorder",
        env={**os.environ, "KOINON_HOME": str(home), "KOINON_DATABASE_URL": url, "KOINON_LOG_LEVEL": "warning"},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_killed_recorder_is_succeeded_within_ten_seconds_and_its_unit_is_adopted_at_its_return(
    cameras, register, start, rows, database_url, tmp_path
):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    async with running_recorder(database_url, tmp_path) as killed:
        await until(lambda: server.camera("gate").pictures > 60, 40)
        await until(lambda: any((tmp_path / "recordings").glob("gate/*/*.part")))
        other = await start("b")
        await until(lambda: other.folder.place is not None)
        await asyncio.sleep(1.5)
        assert not other.recordings
        killed.send_signal(signal.SIGKILL)
        at = datetime.now(UTC)
        await killed.wait()
    await until(lambda: other.recordings, 12)
    await until(lambda: rows(UNITS, stream, 0), 12)
    taken = (await rows(UNITS, stream, 0))[0]["start_at"]
    assert taken - at < timedelta(seconds=10)
    # The dead one's machine comes back: its unfinished unit gets its end and its row.
    async with running_recorder(database_url, tmp_path) as again:
        await until(lambda: rows("SELECT FROM recordings.unit WHERE end_reason = 'crashed'"), 20)
        again.terminate()
        await again.wait()
    assert again.returncode == 0
    first = (await rows(UNITS, stream, 0))[0]
    lost = (at - first["start_at"]).total_seconds() - first["wall_us"] / 1e6
    assert (
        -0.1 < lost < 13 / 25 + 0.25 + 0.5
    )  # and what a busy machine sends late; benchmarks/kill.py has the bound
    pieces = await accounted(rows, stream)
    assert pieces[:2] == ["unit", "crashed"], "the hole has its reason, once it is known that there is one"
    assert set(pieces[2:]) == {"unit"}
    assert await rows("SELECT FROM recordings.orphan") == []


async def test_while_the_database_is_away_recording_goes_on_and_all_is_indexed_once_it_is_back(
    cameras, register, start, rows, server_home, database_url, database
):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    process = await start(url=database_url)
    await until(lambda: rows(UNITS, stream, 0))
    # Nobody can come in, and who is in is thrown out: as when the server is being started again.
    name = urlsplit(database_url).path[1:]

    admin = await asyncpg.connect(embedded.ensure_running(server_home, scratch=True))
    try:
        await admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        before = server.camera("gate").pictures
        await asyncio.sleep(9.0)  # longer than a lease
        assert process.recordings and process.indexer.waiting >= 3
        assert server.camera("gate").pictures - before > 200
    finally:
        await admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
        await admin.close()
    await until(lambda: process.indexer.waiting == 0, 20)
    found = await rows(UNITS, stream, 0)
    assert len({row["run"] for row in found}) == 1, "the session went on"
    assert [row["number"] for row in found] == list(range(len(found)))
    assert await accounted(rows, stream) == ["unit"] * len(found)
    assert server.camera("gate").requests.count("PLAY") == 1


async def test_what_waits_for_the_database_is_bounded_and_what_is_more_is_found_from_the_files(
    cameras, register, start, rows, database
):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    process = await start()
    process.indexer._most = 2
    await until(lambda: rows(UNITS, stream, 0))
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE recordings.unit IN SHARE MODE")  # no insert comes through
        await until(lambda: process.indexer.overflowed, 20)
    await until(lambda: process.indexer.waiting == 0)
    await process.folder.reconcile()
    found = await rows(UNITS, stream, 0)
    numbers = [row["number"] for row in found]
    assert numbers == list(range(len(numbers)))
    assert await accounted(rows, stream) == ["unit"] * len(found)


async def test_a_recorder_whose_lease_was_taken_stops_and_its_late_unit_is_no_second_row(
    cameras, register, start, rows, database
):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    process = await start()
    await until(lambda: rows(UNITS, stream, 0))
    async with database.acquire() as connection:
        await connection.execute(
            "UPDATE base.lease SET fence = fence + 1, holder = 'another', expires_at = now() + interval '1 hour'"
            " WHERE name = $1", f"video/{stream}/0",
        )  # fmt: skip
    await until(lambda: not process.recordings, 10)
    await until(lambda: process.indexer.waiting == 0)
    found = await rows(UNITS, stream, 0)
    assert len({(row["run"], row["number"]) for row in found}) == len(found)
    await asyncio.sleep(2.0)
    assert not process.recordings
    assert await rows("SELECT holder FROM base.lease WHERE name LIKE 'video/%'") == [("another",)]
