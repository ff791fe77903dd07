"""Recordings that stay with their owners, put together: what a web process takes, and what the worker does."""

from koinon.app.wiring import Platform, keep_releasing
from koinon.base.jobs import Worker
from koinon.base.settings import Settings
from koinon.video.cameras import SourceKey
from koinon.video.recordings.process import recordings_folder
from koinon.video.remote.fetching import Fetcher
from koinon.video.remote.jobs import fetch_handlers
from koinon.video.remote.policy import AT_ONCE
from koinon.video.remote.service import Asks


def asks_of(platform: Platform) -> Asks:
    """The use cases of asks in this process."""
    return Asks(database=platform.database, gate=platform.gate, rights=platform.rights)


def fetcher_of(platform: Platform) -> Fetcher:
    """What fetches in this process, to where the recorders of this machine write."""
    return Fetcher(
        database=platform.database,
        rights=platform.rights,
        clock=platform.clock,
        folder=recordings_folder(platform.settings),
        key=SourceKey.of(platform.settings.home),
    )


async def run_fetches(settings: Settings) -> None:
    """Stretches are fetched until this is cancelled."""

    async def run(platform: Platform) -> None:
        fetcher = fetcher_of(platform)
        try:
            worker = Worker(
                platform.database,
                fetch_handlers(fetcher),
                signals=platform.signals,
                concurrency=AT_ONCE,
                grace_seconds=0.0,
            )
            await worker.run()
        finally:
            await fetcher.close()

    await keep_releasing(settings, "fetches", run)
