"""Mutations, put together: what a web process takes, and what the worker does."""

import asyncio

import structlog

from koinon.app.wiring import Platform, open_platform
from koinon.base.database import BROKEN
from koinon.base.errors import KoinonError
from koinon.base.settings import Settings
from koinon.integrator.drivers import Reachable
from koinon.integrator.mutations import Mutations, Publishing, Pusher

_log = structlog.get_logger()
_AGAIN_SECONDS = 2.0


def mutations_of(platform: Platform) -> Mutations:
    """The use cases of subscribers in this process; pushes go to public addresses over TLS, save in the demo."""
    reachable = Reachable.loopback() if platform.settings.mode == "embedded" else Reachable()
    return Mutations(platform.integrator, reachable=reachable)


def publishing_of(platform: Platform) -> Publishing:
    """The use cases of keepers in this process."""
    return Publishing(platform.integrator, platform.keepers)


async def run_pushes(settings: Settings) -> None:
    """Subscribers are pushed to until this is cancelled; a process that cannot release now tries again in a moment."""
    while True:
        try:
            async with open_platform(settings, kind="worker") as platform:
                await Pusher(mutations_of(platform), platform.key).run()
        except (KoinonError, *BROKEN) as error:
            _log.warning("pushes_not_running", why=str(error))
        await asyncio.sleep(_AGAIN_SECONDS)
