"""Background jobs: with their transaction, at least once, and seen when they fail."""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from koinon.base.clock import FixedClock
from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.jobs import Run, Worker, enqueue, job, list_failed, retry_failed
from koinon.base.signals import Signals


@contextlib.asynccontextmanager
async def working(database: Database, *handlers: Any, **settings: Any) -> AsyncIterator[Worker]:
    worker = Worker(database, handlers, **{"poll_seconds": 0.05, "first_backoff_seconds": 0.05, **settings})
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 10)


async def ask(database: Database, kind: str, payload: Any = None, **more: Any) -> int | None:
    async with database.transaction() as connection:
        return await enqueue(connection, kind, payload, **more)


async def row_when(database: Database, job_id: int | None, **wanted: Any) -> asyncpg.Record:
    async with asyncio.timeout(15), database.acquire() as connection:
        while True:
            row = await connection.fetchrow("SELECT * FROM base.job WHERE id = $1", job_id)
            if all(row[name] == value for name, value in wanted.items()):
                return row
            await asyncio.sleep(0.02)


async def test_a_job_gets_its_payload_and_is_done(database: Database) -> None:
    seen: list[Run] = []

    @job("greet")
    async def greet(run: Run) -> None:
        seen.append(run)

    async with working(database, greet):
        number = await ask(database, "greet", {"name": "Ann"})
        row = await row_when(database, number, state="done")
    assert [(run.payload, run.attempt) for run in seen] == [({"name": "Ann"}, 1)]
    assert row["finished_at"] is not None
    assert row["last_error"] is None


async def test_a_job_of_a_transaction_that_rolled_back_never_existed(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await enqueue(connection, "x")
            raise ZeroDivisionError
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM base.job") == 0


async def test_a_failing_job_is_tried_again_with_growing_pauses_and_ends_visibly(database: Database) -> None:
    times: list[float] = []

    @job("bad", attempts=4)
    async def bad(run: Run) -> None:
        times.append(asyncio.get_running_loop().time())
        if run.attempt < 4:
            raise ValueError("85073003328")
        raise Invalid("no_such_file", name="a")

    async with database.acquire() as connection:
        await connection.execute(EVERY_STATE)
    number = await ask(database, "bad", key="k")
    async with working(database, bad, first_backoff_seconds=0.2):
        await row_when(database, number, state="failed", attempts=4)
    async with database.acquire() as connection:
        states = await connection.fetch("SELECT state, attempts, last_error FROM public.seen ORDER BY at")
    assert [tuple(state) for state in states] == [
        *[each for n in (1, 2, 3) for each in (("running", n, None if n == 1 else "ValueError"),
                                               ("queued", n, "ValueError"))],
        ("running", 4, "ValueError"), ("failed", 4, "no_such_file (name=a)"),
    ]  # fmt: skip
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert all(pause > least for pause, least in zip(pauses, (0.15, 0.3, 0.6), strict=True))
    async with database.acquire() as connection:
        (failed,) = await list_failed(connection)
        assert await list_failed(connection, failed["kind"]) == [failed]
        assert await list_failed(connection, "another") == []
        assert failed["last_error"] == "no_such_file (name=a)"
        assert failed["key"] == "k"
        await retry_failed(connection, number)
        assert await list_failed(connection) == []
        with pytest.raises(NotFound) as caught:
            await retry_failed(connection, number)
        assert caught.value.code == "failed_job_unknown"


# Who looks now and then does not see a state that lasts as short as a pause.
EVERY_STATE = """
    CREATE TABLE public.seen (at bigserial, state text, attempts integer, last_error text);
    CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.seen (state, attempts, last_error) VALUES (NEW.state, NEW.attempts, NEW.last_error);
        RETURN NULL;
    END $$;
    CREATE TRIGGER see AFTER UPDATE OF state ON base.job FOR EACH ROW EXECUTE FUNCTION public.see();
"""


KILLED_WORKER = textwrap.dedent("""
    import asyncio, os, sys
    from koinon.base.database import Database
    from koinon.base.jobs import Worker, job

    @job("slow", attempts=3)
    async def slow(run):
        print("attempt", run.attempt, flush=True)
        await asyncio.sleep(60)

    async def main():
        async with await Database.open(sys.argv[1], kind="worker") as database:
            await Worker(database, [slow], silence_seconds=1.0, poll_seconds=0.1).run()

    asyncio.run(main())
""")


async def test_a_job_killed_in_mid_run_runs_again_elsewhere(database: Database, database_url: str) -> None:
    number = await ask(database, "slow")
    with subprocess.Popen(  # noqa: ASYNC220 - starting takes no time
        [sys.executable, "-c", KILLED_WORKER, database_url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert await asyncio.to_thread(process.stdout.readline) == "attempt 1\n"
        async with asyncio.timeout(30), database.acquire() as connection:
            alive = "SELECT alive_until FROM base.job WHERE id = $1"
            first = await connection.fetchval(alive, number)
            while await connection.fetchval(alive, number) <= first + timedelta(seconds=0.5):  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # it says that it lives, again and again
        row = await row_when(database, number, state="running")
        assert row["attempts"] == 1
        os.kill(process.pid, signal.SIGKILL)
    async with asyncio.timeout(30), database.acquire() as connection:
        while not await connection.fetchval("SELECT alive_until < clock_timestamp() FROM base.job"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    attempts = []

    @job("slow", attempts=3)
    async def slow(run: Run) -> None:
        attempts.append(run.attempt)

    async with working(database, slow):
        await row_when(database, number, state="done")
    assert attempts == [2]


async def test_a_job_that_takes_its_worker_down_does_not_do_so_for_ever(
    database: Database, database_url: str
) -> None:
    number = await ask(database, "slow")
    script = KILLED_WORKER.replace("await asyncio.sleep(60)", "os._exit(9)").replace(
        "attempts=3", "attempts=2"
    )
    ends = []
    for _ in range(3):
        with subprocess.Popen(  # noqa: ASYNC220 - starting takes no time
            [sys.executable, "-c", script, database_url], stdout=subprocess.DEVNULL
        ) as process:
            try:
                async with asyncio.timeout(60):
                    # Until it was taken down, or has found that the job does so.
                    while process.poll() is None and (await row_when(database, number))["state"] != "failed":  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
            finally:
                process.kill()
        ends.append(process.returncode)
    row = await row_when(database, number)
    assert ends == [9, 9, -signal.SIGKILL]
    assert (row["state"], row["attempts"], row["last_error"]) == ("failed", 2, "worker_silent")


async def test_an_attempt_given_up_for_dead_cannot_finish_any_more(database: Database) -> None:
    number = await ask(database, "x")
    async with database.acquire() as connection:
        await connection.execute(
            """
            UPDATE base.job SET state = 'running', attempts = 2, worker = 'second',
                alive_until = clock_timestamp() + interval '1 min'
            """
        )
        late = Run(number, "x", None, 1, database, "first")
        with pytest.raises(Conflict) as caught:
            await late.finish(connection)
        assert caught.value.code == "job_taken"
        await Run(number, "x", None, 2, database, "second").finish(connection)


async def test_a_jobs_effects_and_its_end_commit_together(database: Database) -> None:
    @job("count", attempts=5)
    async def count(run: Run) -> None:
        async with run.database.transaction() as connection:
            await connection.execute("INSERT INTO public.line VALUES ($1)", run.attempt)
            await run.finish(connection)
        raise ValueError  # too late to matter

    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE public.line (n integer)")
    number = await ask(database, "count")
    async with working(database, count):
        await row_when(database, number, state="done")
        await asyncio.sleep(0.3)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM public.line") == 1
        assert await connection.fetchval("SELECT state FROM base.job") == "done"


async def test_a_key_is_used_once_also_after_the_job_is_done(database: Database) -> None:
    @job("x")
    async def x(run: Run) -> None:
        pass

    number = await ask(database, "x", key="order-1")
    assert await ask(database, "x", key="order-1") is None
    async with working(database, x):
        await row_when(database, number, state="done")
    assert await ask(database, "x", key="order-1") is None
    assert await ask(database, "y", key="order-1") is not None


async def test_a_job_does_not_run_before_its_time(database: Database) -> None:
    began: list[datetime] = []

    @job("later")
    async def later(run: Run) -> None:
        began.append(datetime.now(UTC))

    async with working(database, later):
        due = datetime.now(UTC) + timedelta(seconds=0.6)
        number = await ask(database, "later", run_after=due)
        await row_when(database, number, state="done")
    assert len(began) == 1 and began[0] >= due


async def test_a_periodic_job_runs_once_for_each_tick_however_many_workers(database: Database) -> None:
    clock = FixedClock(datetime(2026, 11, 24, 9, tzinfo=UTC))
    ran: list[int] = []

    every = timedelta(seconds=0.4)  # and a pulse four times as often, by the machine's clock

    @job("tick", every=every)
    async def tick(run: Run) -> None:
        ran.append(run.id)

    async def ran_only(times: int) -> None:
        async with asyncio.timeout(30):
            while len(ran) < times:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        assert len(ran) == times

    async with working(database, tick, clock=clock), working(database, tick, clock=clock):
        await ran_only(1)
        clock.advance(7 * every)  # six ticks went by unseen
        await ran_only(2)


async def test_many_workers_do_each_job_once(database: Database) -> None:
    done: list[int] = []

    @job("n")
    async def n(run: Run) -> None:
        done.append(run.payload)

    async with database.transaction() as connection:
        for number in range(60):
            await enqueue(connection, "n", number)
    async with working(database, n), working(database, n), working(database, n), asyncio.timeout(10):
        while len(done) < 60:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM base.job WHERE state <> 'done'") == 0
    assert sorted(done) == list(range(60))


async def test_stopping_lets_a_running_job_end(database: Database) -> None:
    begun = asyncio.Event()

    @job("work")
    async def work(run: Run) -> None:
        begun.set()
        await asyncio.sleep(0.3)

    number = await ask(database, "work")
    async with working(database, work) as worker:
        await asyncio.wait_for(begun.wait(), 5)
        worker.stop()
    await row_when(database, number, state="done")


async def test_a_job_that_outlasts_the_grace_is_put_back_with_its_attempts(database: Database) -> None:
    begun = asyncio.Event()

    @job("work")
    async def work(run: Run) -> None:
        begun.set()
        await asyncio.sleep(60)

    number = await ask(database, "work")
    async with working(database, work, grace_seconds=0.1):
        await asyncio.wait_for(begun.wait(), 5)
    row = await row_when(database, number, state="queued")
    assert row["attempts"] == 0


async def test_a_signal_begins_a_job_before_the_poll(database: Database) -> None:
    ran = asyncio.Event()

    @job("now")
    async def now(run: Run) -> None:
        ran.set()

    async with Signals(database) as signals, working(database, now, signals=signals, poll_seconds=30):
        await asyncio.sleep(0.5)
        await ask(database, "now")
        await asyncio.wait_for(ran.wait(), 2)


async def test_a_worker_has_no_more_rights_than_it_needs(open_database: Any) -> None:
    database = await open_database("worker")
    ran: list[str] = []

    @job("x", every=timedelta(days=1))
    async def x(run: Run) -> None:
        async with run.database.transaction() as connection:
            ran.append(await name_of(connection))
            await run.finish(connection)

    async def name_of(connection: Connection) -> str:
        return str(await connection.fetchval("SELECT current_user"))

    async with working(database, x):
        async with asyncio.timeout(5):
            while not ran:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert ran == ["koinon_worker"]


async def test_a_kind_has_one_handler(database: Database) -> None:
    @job("x")
    async def x(run: Run) -> None:
        pass

    with pytest.raises(Conflict) as caught:
        Worker(database, [x, x])
    assert caught.value.code == "job_kind_twice"
