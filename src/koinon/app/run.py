"""`koinon run ...`: the processes of the platform."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from koinon.base.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, help="Run a process of the platform until SIGTERM or Ctrl-C.")


@app.command()
def database() -> None:
    """The embedded PostgreSQL under its supervisor."""
    from koinon.base.database import supervisor

    supervisor.run(load_settings().home)


@app.command()
def migrate() -> None:
    """Bring the schemas up to date, and exit."""
    from koinon.app.wiring import database_url, prepare_database

    settings = load_settings()
    for name in asyncio.run(prepare_database(database_url(settings))):
        print(name)


@app.command()
def web(port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None) -> None:
    """Pages and API."""
    import msgspec

    settings = load_settings()
    run_web(settings if port is None else msgspec.structs.replace(settings, port=port))


@app.command()
def worker() -> None:
    """Jobs: reaping uses of dead processes, daily counts, forgetting nonces."""
    run_worker(load_settings())


@app.command()
def sequencer() -> None:
    """Numbers the ledger's entries, publishes tiles, has checkpoints cosigned."""
    run_sequencer_process(load_settings())


@app.command()
def recorder() -> None:
    """Records a share of the cameras; one process for each core that cameras may take."""
    run_recorder_process(load_settings())


@app.command()
def witness(
    name: Annotated[str, typer.Option(help="Name of the witness's key, a URL without scheme.")],
    folder: Annotated[Path, typer.Option(help="Folder of its state, key and logs.txt.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")],
    host: Annotated[str, typer.Option()] = "127.0.0.1",
) -> None:
    """A witness of the ledger; it belongs with a partner or the Commission, not with the operator."""
    from koinon.trust.ledger.witness.server import run_witness

    run_witness(folder, name, host, port)


@app.command()
def platform() -> None:
    """Database, web, worker and sequencer on this machine, each kept running."""
    from koinon.app.platform import Family, platform_members
    from koinon.app.wiring import database_url, prepare_database
    from koinon.base.logging import configure

    settings = load_settings()
    configure(settings.log_level, "platform")
    asyncio.run(prepare_database(database_url(settings)))
    family = Family()
    for member in platform_members(settings):
        family.start(member)
    family.watch(tick=keep_database(settings))


def keep_database(settings: Settings) -> Callable[[], None]:
    """Every few seconds the embedded server's supervisor is started again if somebody killed it."""
    import time

    from koinon.base.database import embedded
    from koinon.base.errors import Unavailable

    looked = [time.monotonic()]

    def tick() -> None:
        if not settings.database_url and time.monotonic() - looked[0] > 3:
            looked[0] = time.monotonic()
            with contextlib.suppress(Unavailable):
                embedded.ensure_running(settings.home)

    return tick


def run_web(settings: Settings, listener: Any = None) -> None:
    """A web process has served until it was told to stop."""
    from koinon.app.http import build_app
    from koinon.app.server import server, uvloop_run
    from koinon.app.wiring import open_platform
    from koinon.base.logging import configure
    from koinon.trust.parties.sign_in.edge import SignIn

    configure(settings.log_level, "web")

    async def main() -> None:
        async with open_platform(settings) as platform:
            sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
            running = server(
                build_app(platform, sign_in), host=settings.host, port=settings.port, uses=platform.uses
            )
            try:
                await running.serve(sockets=[listener] if listener is not None else None)
            finally:
                await sign_in.close()

    uvloop_run(main())


def run_worker(settings: Settings) -> None:
    """The worker has done its jobs until it was told to stop."""
    from koinon.app.worker import work
    from koinon.base.logging import configure

    configure(settings.log_level, "worker")
    _until_told(lambda: work(settings))


def run_sequencer_process(settings: Settings) -> None:
    """The sequencer has worked until it was told to stop."""
    from koinon.app.wiring import database_url
    from koinon.base.logging import configure
    from koinon.trust.ledger.sequencing.running import run_sequencer

    configure(settings.log_level, "sequencer")
    _until_told(lambda: run_sequencer(settings, database_url(settings)))


def run_recorder_process(settings: Settings) -> None:
    """The recorder has recorded its share of the cameras until it was told to stop."""
    import os

    from koinon.app.wiring import database_url
    from koinon.base.database import Database
    from koinon.base.garbage import collect_seldom
    from koinon.base.logging import configure
    from koinon.video.live import Tap, tap_key
    from koinon.video.recordings.process import run_recorder
    from koinon.video.terms import list_garbage_files
    from koinon.video.terms.jobs import keep_clean

    configure(settings.log_level, "recorder")

    async def work() -> None:
        url = database_url(settings)
        tap = Tap(tap_key(settings.home))
        folder = settings.home / "taps"
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        socket = folder / f"{os.getpid()}.sock"
        # The path of a Unix socket has 107 bytes at most (unix(7)).
        named = f"unix:{socket}" if len(os.fsencode(socket)) < 108 else "tcp:127.0.0.1:0"
        await tap.start(settings.recorder_tap or named)
        async with await Database.open(url, kind="recorder", max_size=2) as database:
            cleaning = asyncio.create_task(keep_clean(database, settings.home))
            collect_seldom()
            try:
                await run_recorder(settings, url, tap=tap, spare=list_garbage_files)
            finally:
                cleaning.cancel()
                await asyncio.wait([cleaning])
                await tap.close()

    _until_told(work)


def _until_told(work: Callable[[], Awaitable[None]]) -> None:
    """Runs `work` until SIGTERM or SIGINT cancels it."""
    import signal

    from koinon.app.server import uvloop_run

    async def main() -> None:
        task = asyncio.ensure_future(work())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    uvloop_run(main())
