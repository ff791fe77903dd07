"""What is done regularly: by the worker, and by who has the disks (`keep_clean`)."""

import asyncio
from datetime import timedelta
from pathlib import Path

import structlog

from koinon.base.clock import Clock, SystemClock
from koinon.base.database import BROKEN, Database
from koinon.base.errors import KoinonError
from koinon.base.jobs import Handler, Run, job
from koinon.trust.ledger import Sealer
from koinon.trust.standing import StandingLoader
from koinon.video.terms import achieved, deletion, pressure
from koinon.video.terms.model import Regimes

_log = structlog.get_logger(__name__)


def handlers(sealer: Sealer, home: Path, *, demo: bool = True) -> list[Handler]:
    """The jobs of terms. `demo`: whether keys of the demo region may have signed, see `StandingLoader`."""
    clock = SystemClock()
    load = StandingLoader(demo=demo)

    async def regimes(database: Database) -> Regimes:
        async with database.acquire() as connection:
            return deletion.regimes_of(await load(connection))

    @job("terms.mark", every=timedelta(minutes=5))
    async def mark_due(run: Run) -> None:
        """Rows of what is past its term are gone."""
        await deletion.mark_due(run.database, await regimes(run.database), clock)

    @job("terms.sweep", every=timedelta(minutes=1))
    async def sweep(run: Run) -> None:
        """Garbage that this machine can reach is unlinked; what room there is, is told."""
        await deletion.sweep(run.database, home)
        await pressure.look(run.database, home, clock)
        await pressure.watch(run.database, clock)

    @job("terms.rates", every=timedelta(hours=1))
    async def measure(run: Run) -> None:
        """How fast disks fill is told anew."""
        await pressure.measure_rates(run.database, await regimes(run.database), clock)

    @job("terms.relieve", every=timedelta(minutes=5))
    async def relieve(run: Run) -> None:
        """Where the site allows it, the oldest of a disk below its reserve is gone."""
        await pressure.relieve(run.database, sealer, clock)

    @job("terms.achieve", every=timedelta(hours=1))
    async def tell(run: Run) -> None:
        """Yesterday's achieved terms stand in the ledger, once."""
        await achieved.tell_achieved(run.database, sealer, await regimes(run.database), clock)

    return [mark_due, sweep, measure, relieve, tell]


async def keep_clean(
    database: Database, home: Path, *, clock: Clock | None = None, every_seconds: float = 30.0
) -> None:
    """Garbage in the folders of this machine is unlinked, and their room told, until this is cancelled.

    For the process that has them mounted: the recorder. Safe beside others that do the same.
    """
    clock = clock or SystemClock()
    while True:
        try:
            await deletion.sweep(database, home)
            await pressure.look(database, home, clock)
        except (KoinonError, *BROKEN) as error:
            _log.warning("not_swept", why=str(error) or type(error).__name__)
        await asyncio.sleep(every_seconds)
