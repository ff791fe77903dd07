"""The worker: what is done regularly, and the jobs that transactions ask for."""

from datetime import timedelta

from koinon.app.wiring import database_url
from koinon.base.clock import SystemClock
from koinon.base.database import Database
from koinon.base.jobs import Handler, Run, Worker, job
from koinon.base.settings import Settings
from koinon.base.signals import Signals
from koinon.trust.gate import forget, reap
from koinon.trust.ledger import Sealer


def handlers(sealer: Sealer) -> list[Handler]:
    """All kinds of jobs, with what does them."""
    clock = SystemClock()

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

    return [reap_uses, forget_nonces]


async def work(settings: Settings) -> None:
    """Jobs are done until this is cancelled."""
    async with (
        await Database.open(database_url(settings), kind="worker", max_size=6) as database,
        Signals(database) as signals,
    ):
        worker = Worker(database, handlers(Sealer.of(settings.home)), signals=signals)
        try:
            await worker.run()
        finally:
            worker.stop()
