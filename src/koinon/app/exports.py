"""Exports, put together: what a web process takes, and what the worker does."""

from koinon.app.wiring import Platform, keep_releasing
from koinon.base.jobs import Worker
from koinon.base.settings import Settings
from koinon.video.exports.jobs import make_handlers
from koinon.video.exports.making import Maker
from koinon.video.exports.service import Exports
from koinon.video.exports.shelf import open_shelf
from koinon.video.masks.stream import MaskPool
from koinon.video.rights import media_secret


def exports_of(platform: Platform) -> Exports:
    """The use cases of exports in this process."""
    return Exports(
        database=platform.database,
        gate=platform.gate,
        rights=platform.rights,
        playback=platform.playback,
        shelf=open_shelf(platform.database, platform.clock, platform.settings),
        secret=media_secret(platform.settings.home),
    )


def maker_of(platform: Platform, pool: MaskPool) -> Maker:
    """What makes exports in this process; pictures are decoded in the processes of `pool`."""
    return Maker(
        database=platform.database,
        gate=platform.gate,
        rights=platform.rights,
        playback=platform.playback,
        pool=pool,
        shelf=open_shelf(platform.database, platform.clock, platform.settings),
        key=platform.key,
        clock=platform.clock,
        platform=platform.settings.origin,
    )


async def run_exports(settings: Settings) -> None:
    """Exports are made until this is cancelled."""

    async def run(platform: Platform) -> None:
        pool = MaskPool(processes=1)  # one at a time: nobody waits for it, and recording goes first
        try:
            handlers = make_handlers(maker_of(platform, pool))
            await Worker(platform.database, handlers, signals=platform.signals, concurrency=1).run()
        finally:
            await pool.close()

    await keep_releasing(settings, "exports", run)
