"""Recordings that stay with their owners, put together: what a web process takes, and what the worker does."""

import asyncio

import structlog

from koinon.app.wiring import Platform, open_platform
from koinon.base.database import BROKEN
from koinon.base.errors import KoinonError
from koinon.base.jobs import Worker
from koinon.base.settings import Settings
from koinon.video.cameras import SourceKey
from koinon.video.recordings.process import recordings_folder
from koinon.video.remote.fetching import Fetcher
from koinon.video.remote.jobs import fetch_handlers
from koinon.video.remote.policy import AT_ONCE
from koinon.video.remote.service import Asks

_log = structlog.get_logger(__name__)
_AGAIN_SECONDS = 2.0


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
    """Stretches are fetched until this is cancelled; a process that cannot release now tries again a moment later."""
    while True:
        try:
            async with open_platform(settings, kind="worker") as platform:
                fetcher = fetcher_of(platform)
                try:
                    handlers = fetch_handlers(fetcher)
                    worker = Worker(
                        platform.database, handlers, signals=platform.signals, concurrency=AT_ONCE, grace_seconds=0.0
                    )  # fmt: skip
                    await worker.run()
                finally:
                    await fetcher.close()
        except (KoinonError, *BROKEN) as error:
            _log.warning("fetches_not_made", why=str(error))
        await asyncio.sleep(_AGAIN_SECONDS)
