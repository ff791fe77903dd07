"""The worker: what is done regularly, and the jobs that transactions ask for."""

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import structlog

from koinon.app.batches import run_batches
from koinon.app.exports import run_exports
from koinon.app.mutations import run_pushes
from koinon.app.remote import run_fetches
from koinon.app.wiring import database_url
from koinon.base.clock import SystemClock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Conflict
from koinon.base.events import forget_delivered
from koinon.base.jobs import Handler, Run, Worker, job
from koinon.base.objects import LocalObjects, Objects, open_objects
from koinon.base.settings import Settings
from koinon.base.signals import Signals
from koinon.integrator.deferred import SealedObjects
from koinon.integrator.deferred import forget as forget_batch_files
from koinon.integrator.mutations import sweep as sweep_mutations
from koinon.integrator.operations import forget as forget_counts
from koinon.integrator.operations import watch
from koinon.integrator.processing.makings import ATTEMPTS, JOB, Makings
from koinon.integrator.processing.service import Processing
from koinon.trust.gate import forget, reap
from koinon.trust.ledger import Sealer
from koinon.trust.ledger.counting import count_day
from koinon.trust.parties.sign_in import purge
from koinon.trust.rules import forget_inputs
from koinon.video import terms
from koinon.video.exports.jobs import sweep_handlers
from koinon.video.exports.shelf import open_shelf
from koinon.video.remote.jobs import sweep_handlers as remote_handlers
from koinon.video.rights import confirmations

_log = structlog.get_logger()
_END_SECONDS = 10.0


def handlers(sealer: Sealer, objects: Objects, home: Path) -> list[Handler]:
    """All kinds of jobs, with what does them."""
    clock, one_at_a_time = SystemClock(), asyncio.Lock()

    @job("gate.reap", every=timedelta(seconds=5))
    async def reap_uses(run: Run) -> None:
        """Uses of processes that died are ended: `unknown`."""
        async with run.database.transaction() as connection:
            await reap(connection, sealer, clock.now())

    @job("gate.forget", every=timedelta(seconds=30))
    async def forget_nonces(run: Run) -> None:
        """Nonces and idempotency keys past their time are gone."""
        async with run.database.acquire() as connection:
            await forget(connection, clock.now())

    @job("parties.purge", every=timedelta(minutes=10))
    async def purge_sign_in(run: Run) -> None:
        """Sessions, sign-ins and attempts that are over are gone."""
        async with run.database.acquire() as connection:
            await purge(connection, clock.now())

    @job("rights.forget", every=timedelta(hours=1))
    async def forget_requests(run: Run) -> None:
        """What people asked each other to confirm a day ago is gone."""
        async with run.database.acquire() as connection:
            await confirmations.forget(connection, clock.now())

    @job("rules.forget", every=timedelta(hours=1))
    async def forget_decisions(run: Run) -> None:
        """Decision inputs past their term are gone."""
        async with run.database.acquire() as connection:
            await forget_inputs(connection, clock.now())

    @job("events.forget", every=timedelta(hours=1))
    async def forget_events(run: Run) -> None:
        """Events that everybody has had are gone after a week."""
        async with run.database.acquire() as connection:
            await forget_delivered(connection, clock.now() - timedelta(days=7))

    @job("ledger.count", every=timedelta(hours=1))
    async def count_yesterday(run: Run) -> None:
        """The register log tells yesterday's counts, once."""
        now = clock.now()
        with contextlib.suppress(Conflict):
            async with run.database.transaction() as connection:
                await count_day(connection, sealer, civil_date(now) - timedelta(days=1), now)

    @job("objects.sweep", every=timedelta(days=1))
    async def sweep_objects(run: Run) -> None:
        """What killed writers left behind is gone."""
        if isinstance(objects, LocalObjects):
            await objects.sweep()

    @job("deferred.forget", every=timedelta(hours=1))
    async def forget_batches(run: Run) -> None:
        """Files of batches that ended long ago are gone."""
        await forget_batch_files(run.database, SealedObjects.load(objects, home), clock.now())

    @job("mutations.sweep", every=timedelta(minutes=10))
    async def sweep_kept_mutations(run: Run) -> None:
        """Mutations past their term are gone, and subscriptions without a file have ended."""
        await sweep_mutations(run.database, sealer, clock.now())

    @job("operations.watch", every=timedelta(minutes=1))
    async def watch_flows(run: Run) -> None:
        """Alerts of flows are raised and ended."""
        async with run.database.transaction() as connection:
            await watch(connection, clock.now())

    @job("operations.forget", every=timedelta(days=1))
    async def forget_old_counts(run: Run) -> None:
        """Counts of flows of more than 13 months ago are gone."""
        async with run.database.transaction() as connection:
            await forget_counts(connection, clock.now())

    @job(JOB, attempts=ATTEMPTS)
    async def make_rows(run: Run) -> None:
        """Anonymous rows that an operator asked for are made, or it is told why not."""
        processing = Processing(
            database=run.database, sealer=sealer, objects=objects, clock=clock, home=home, lock=one_at_a_time
        )
        await Makings(processing).make(UUID(run.payload["making"]), last=run.attempt >= ATTEMPTS)

    return [
        make_rows,
        watch_flows,
        forget_old_counts,
        sweep_kept_mutations,
        forget_batches,
        reap_uses,
        forget_nonces,
        purge_sign_in,
        forget_requests,
        forget_decisions,
        forget_events,
        count_yesterday,
        sweep_objects,
    ]


async def work(settings: Settings) -> None:
    """Jobs are done until this is cancelled."""
    # Asked once: to wait for an embedded server holds up the loop, and with it the word to stop.
    settings = msgspec.structs.replace(settings, database_url=database_url(settings))
    async with (
        await Database.open(settings.database_url, kind="worker", max_size=6) as database,
        Signals(database) as signals,
    ):
        worker = Worker(
            database,
            [
                *handlers(
                    Sealer.of(settings.home), open_objects(settings.objects_url, settings.home), settings.home
                ),
                *terms.handlers(Sealer.of(settings.home), settings.home, demo=settings.mode == "embedded"),
                *sweep_handlers(open_shelf(database, SystemClock(), settings)),
                *remote_handlers(),
            ],
            signals=signals,
        )
        tasks = [
            asyncio.create_task(worker.run(), name="jobs"),
            # In releasing processes of their own: jobs go on while there is no standing to rely on.
            asyncio.create_task(run_batches(settings), name="batches"),
            asyncio.create_task(run_pushes(settings), name="pushes"),
            asyncio.create_task(run_exports(settings), name="exports"),
            asyncio.create_task(run_fetches(settings), name="fetches"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # none of them ends by itself: what went wrong ends the process, and is told
        finally:
            for task in tasks:
                task.cancel()
            # What is given back is said to the database, which may not answer: others find out by our silence.
            _, going_on = await asyncio.wait(tasks, timeout=_END_SECONDS)
            if going_on:
                _log.warning("worker_left_unfinished", what=sorted(task.get_name() for task in going_on))
