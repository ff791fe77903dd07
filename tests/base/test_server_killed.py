"""What is built on the database goes on after the server was killed."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from koinon.app.schemas import SCHEMAS
from koinon.base.database import Connection, Database, embedded, migrate
from koinon.base.database.place import find_place
from koinon.base.database.supervisor import find_server, supervisor_of
from koinon.base.errors import Unavailable
from koinon.base.events import Event, Listener, publish
from koinon.base.jobs import Run, Worker, enqueue, job
from koinon.base.lease import hold
from koinon.base.signals import Signals, notify


async def kill_server(home: Path) -> None:
    """The server is killed. The children of one that was killed before serve a moment longer: what was heard may have
    come from them, and then the next one is yet to start.
    """
    place = find_place(home)
    assert place is not None
    async with asyncio.timeout(30):
        while (pid := find_server(place)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


async def test_signals_events_jobs_and_leases_go_on_after_the_server_was_killed(own_home: Path) -> None:
    url = await asyncio.to_thread(embedded.ensure_running, own_home)
    await migrate(url, SCHEMAS[:1])
    heard: list[Any] = []
    fences: list[int] = []
    lost: list[str] = []

    async def handle(connection: Connection, event: Event) -> None:
        heard.append(event.payload)

    @job("say")
    async def say(run: Run) -> None:
        heard.append(run.payload)

    async def lead(database: Database) -> None:
        while True:
            try:
                async with hold(database, "leader", "x", seconds=1) as lease:
                    fences.append(lease.fence)
                    await asyncio.sleep(60)
            except Unavailable as error:
                lost.append(error.code)

    async with await Database.open(url, kind="owner") as database, Signals(database) as signals:
        worker = Worker(database, [say], signals, poll_seconds=0.2)
        tasks = [
            asyncio.create_task(Listener("t", "l", handle).run(database, signals, poll_seconds=0.2)),
            asyncio.create_task(worker.run()),
            asyncio.create_task(lead(database)),
        ]
        try:
            for attempt in range(3):
                wanted = [f"event {attempt}", f"job {attempt}"]
                async with asyncio.timeout(30):
                    while True:
                        try:
                            async with database.transaction() as connection:
                                await publish(connection, "t", wanted[0])
                                await enqueue(connection, "say", wanted[1], key=wanted[1])
                            break
                        except Unavailable:
                            await asyncio.sleep(0.05)
                    # The lease is taken anew after the long absence; it may well outlast a short one.
                    while not set(wanted) <= set(heard) or len(fences) < min(attempt + 1, 2):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                if attempt > 0:
                    await kill_server(own_home)
                    continue
                # A server away for longer than the lease lasts: the leader must have stopped by then.
                supervisor = supervisor_of(own_home)
                assert supervisor is not None
                os.kill(supervisor, signal.SIGSTOP)  # first, or it starts the server again at once
                try:
                    await kill_server(own_home)
                    async with asyncio.timeout(3):
                        while not lost:  # noqa: ASYNC110
                            await asyncio.sleep(0.02)
                finally:
                    os.kill(supervisor, signal.SIGCONT)
            assert lost[0] == "lease_lost"
            assert fences[0] < fences[1]
            async with asyncio.timeout(30):
                while await signals.wait("again", 0.2) != "told":
                    try:
                        async with database.acquire() as connection:
                            await notify(connection, "again", "told")
                    except Unavailable:
                        await asyncio.sleep(0.05)
            await kill_server(own_home)  # and whoever is told to end as the server goes ends
        finally:  # also where a wait was in vain: the database is closed only when nobody uses it any more
            worker.stop()
            for task in tasks:
                task.cancel()
            _, going_on = await asyncio.wait(tasks, timeout=30)
        assert not going_on
