"""What the worker does: fetches, in a releasing process; clears away what is long over."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from koinon.base.clock import Clock, SystemClock
from koinon.base.errors import KoinonError
from koinon.base.jobs import Handler, Run, job, list_failed
from koinon.video.remote import store
from koinon.video.remote.fetching import Fetcher
from koinon.video.remote.model import OPEN_FETCHES, FetchState
from koinon.video.remote.policy import ATTEMPTS

REMEMBERED: Final = timedelta(days=30)
"""How long asks that are over are shown; what they were stands in the ledger."""


def fetch_handlers(fetcher: Fetcher) -> list[Handler]:
    """The job that fetches one; its payload is the fetch's id."""

    @job(store.JOB, attempts=ATTEMPTS)
    async def fetch(run: Run) -> None:
        """The stretch is here, as far as its owner gave it; after the last attempt it is told why not."""
        last = run.attempt >= ATTEMPTS
        try:
            await fetcher.fetch(UUID(run.payload), last=last)
        except Exception as error:
            if last:
                async with run.database.acquire() as connection:
                    found = await store.find_fetch(connection, UUID(run.payload))
                if found is not None and found.state in OPEN_FETCHES:
                    code = error.code if isinstance(error, KoinonError) else "fetching_failed"
                    await fetcher.fail(found, code)
            raise

    return [fetch]


def sweep_handlers(clock: Clock | None = None) -> list[Handler]:
    """The job that clears away."""
    clock = clock or SystemClock()

    @job("remote.sweep", every=timedelta(minutes=1))
    async def sweep(run: Run) -> None:
        """Stretches whose worker died at the last attempt have failed; what is long over is forgotten."""
        now = clock.now()
        async with run.database.acquire() as connection:
            failed = [each["key"] for each in await list_failed(connection) if each["kind"] == store.JOB]
        for key in failed:
            async with run.database.transaction() as connection:
                found = await store.find_fetch(connection, UUID(key))
                if found is not None and found.state in OPEN_FETCHES:
                    await store.finish(
                        connection, found.id, found.owner, FetchState.FAILED, "fetching_failed", now
                    )
        async with run.database.transaction() as connection:
            await store.forget(connection, now - REMEMBERED)

    return [sweep]
