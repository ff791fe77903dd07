"""Mutations, put together: what a web process takes, and what the worker does."""

from koinon.app.wiring import Platform, keep_releasing
from koinon.base.settings import Settings
from koinon.integrator.drivers import Reachable
from koinon.integrator.mutations import Mutations, Publishing, Pusher


def mutations_of(platform: Platform) -> Mutations:
    """The use cases of subscribers in this process; pushes go to public addresses over TLS, save in the demo."""
    reachable = Reachable.loopback() if platform.settings.mode == "embedded" else Reachable()
    return Mutations(platform.integrator, reachable=reachable)


def publishing_of(platform: Platform) -> Publishing:
    """The use cases of keepers in this process."""
    return Publishing(platform.integrator, platform.keepers)


async def run_pushes(settings: Settings) -> None:
    """Subscribers are pushed to until this is cancelled."""

    async def run(platform: Platform) -> None:
        await Pusher(mutations_of(platform), platform.key).run()

    await keep_releasing(settings, "pushes", run)
