"""What a process of the platform is made of. The one place that knows everything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from koinon.app.schemas import SCHEMAS
from koinon.base.clock import Clock, SystemClock
from koinon.base.crypto import SigningKey
from koinon.base.database import BROKEN, Database, ProcessKind, embedded, migrate
from koinon.base.errors import KoinonError
from koinon.base.files import create_file
from koinon.base.ids import new_id
from koinon.base.objects import Objects, open_objects
from koinon.base.settings import Settings
from koinon.base.signals import Signals
from koinon.integrator.directory import DirectoryKeys, ReferenceDirectory
from koinon.integrator.drivers.driver import Source
from koinon.integrator.operations import Meter, MeteredIntegrator
from koinon.integrator.operations.sandbox import Sandboxes, separate
from koinon.integrator.procedures import DebtsSource
from koinon.integrator.service import Integrator
from koinon.integrator.sources import SourceKeepers, flows_of, open_sources, read_source_settings
from koinon.trust.gate import DecisionSample, Gate, ProcessId, QuorumWatch, Uses
from koinon.trust.ledger import Sealer
from koinon.trust.standing import StandingKeeper, StandingLoader
from koinon.video.cameras import SourceKey
from koinon.video.live import tap_key
from koinon.video.live.service import Live
from koinon.video.masks.stream import MaskPool
from koinon.video.playback import Playback, open_playback
from koinon.video.rights import Rights, Tokens
from koinon.video.steering import Steering

_log = structlog.get_logger()
PLATFORM_KEY = "platform.key"
_AGAIN_SECONDS = 2.0  # until a process that could not release is made anew


def database_url(settings: Settings) -> str:
    """The URL of the database: yours, or the embedded one, which is running afterwards."""
    return settings.database_url or embedded.ensure_running(settings.home)


async def prepare_database(url: str) -> list[str]:
    """The schemas are up to date and every table on which a right rests raises the epoch; returns what was applied."""
    applied = await migrate(url, SCHEMAS)
    async with (
        await Database.open(url, kind="owner", max_size=1) as database,
        database.acquire() as connection,
    ):
        await connection.execute("SELECT standing.watch_tables()")
    return applied


def platform_key(home: Path) -> SigningKey:
    """The key with which the platform signs its answers; made at the first use, under `home/keys`."""
    path = home / "keys" / PLATFORM_KEY
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_file(path, SigningKey.generate().to_pem(None))
    return SigningKey.from_pem(path.read_bytes())


class Platform(NamedTuple):
    """What a releasing process holds while it runs."""

    settings: Settings
    clock: Clock
    database: Database
    signals: Signals
    sealer: Sealer
    keeper: StandingKeeper
    gate: Gate
    uses: Uses
    integrator: Integrator
    key: SigningKey
    keepers: SourceKeepers
    objects: Objects
    rights: Rights
    live: Live
    playback: Playback
    steering: Steering


@contextlib.asynccontextmanager
async def open_platform(
    settings: Settings,
    *,
    url: str | None = None,
    clock: Clock | None = None,
    sources: Mapping[str, Source] | None = None,
    kind: ProcessKind = "web",
) -> AsyncIterator[Platform]:
    """A releasing process: database, standing, gate, uses, integrator; closed in the opposite order."""
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            await Database.open(url or database_url(settings), kind=kind, max_size=10)
        )
        signals = await stack.enter_async_context(Signals(database))
        sealer = Sealer.of(settings.home)
        keeper = StandingKeeper(
            database,
            StandingLoader(demo=settings.mode == "embedded"),
            clock=clock,
            signals=signals,
            poll_seconds=settings.epoch_poll_seconds,
            limit_seconds=settings.epoch_limit_seconds,
        )
        await keeper.start()
        stack.push_async_callback(keeper.stop)
        keys = DirectoryKeys.load(settings.home)
        quorum = QuorumWatch(
            database,
            quorum=settings.ledger_quorum,
            limit_seconds=settings.ledger_quorum_seconds,
            stop=settings.ledger_quorum_stop,
        )
        await quorum.start()
        stack.push_async_callback(quorum.stop)
        gate = Gate(
            database=database,
            keeper=keeper,
            sealer=sealer,
            directory=ReferenceDirectory(database, keys),
            clock=clock,
            quorum=quorum,
            sample=DecisionSample(database, settings.decision_sample),
        )
        uses = Uses(gate, ProcessId(new_id()), kind)
        await uses.start()
        stack.push_async_callback(uses.stop)
        connected = read_source_settings(settings.home)
        if sources is None:
            sources = open_sources(settings)
            for source in sources.values():
                stack.push_async_callback(source.close)
        sandboxes = Sandboxes(database, keeper)
        sources = separate({**sources, "debts": DebtsSource(database, keys, keeper, clock)}, sandboxes)
        meter = Meter(database, clock, kind=kind)
        await meter.start()
        stack.push_async_callback(meter.stop)
        integrator = MeteredIntegrator(
            meter=meter,
            sandboxes=sandboxes,
            gate=gate,
            uses=uses,
            flows=flows_of(connected),
            sources=sources,
            keys=keys,
            origin=settings.origin,
        )
        masking = MaskPool()  # one: its slots are what this machine can mask at once
        live = Live(database, tap_key(settings.home), clock, masking)
        stack.push_async_callback(live.close)
        playback = open_playback(database, clock, settings, masking)
        stack.push_async_callback(playback.close)
        yield Platform(
            settings,
            clock,
            database,
            signals,
            sealer,
            keeper,
            gate,
            uses,
            integrator,
            platform_key(settings.home),
            SourceKeepers(connected),
            open_objects(settings.objects_url, settings.home),
            Rights(database=database, gate=gate, uses=uses, tokens=Tokens.load(settings.home)),
            live,
            playback,
            Steering(
                database,
                SourceKey.of(settings.home),
                clock,
                accept_simulated=settings.mode != "production",
            ),
        )


async def keep_releasing(settings: Settings, what: str, run: Callable[[Platform], Awaitable[None]]) -> None:
    """`run` has a releasing process of a worker's own until this is cancelled; where nothing can be released now, it is
    tried again a moment later. `what` is said in the log.
    """
    task = asyncio.current_task()
    assert task is not None
    while True:
        try:
            async with open_platform(settings, kind="worker") as platform:
                await run(platform)
        except* (KoinonError, *BROKEN) as errors:
            _log.warning("nothing_released", what=what, why=str(errors.exceptions[0]))
        if task.cancelling():  # what was undone on the way out failed in turn, and was caught above
            raise asyncio.CancelledError
        await asyncio.sleep(_AGAIN_SECONDS)
