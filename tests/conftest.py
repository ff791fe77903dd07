"""What every test may ask for: a database of its own, a still clock, a server, a browser, the shared data."""

import asyncio
import contextlib
import fcntl
import gc
import itertools
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog
from hypothesis import settings

from koinon.app.schemas import SCHEMAS
from koinon.base.clock import FixedClock
from koinon.base.database import Database, ProcessKind, embedded, migrate
from koinon.base.database.place import find_place

pytest_plugins = ["tests.region"]  # fixtures of a seeded demo region

TEMPLATE = "koinon_template"
_VIDEO = Path(__file__).parent / "video"
OpenDatabase = Callable[..., Awaitable[Database]]

# The suite draws the same examples each time, so that it says the same of the same code; `make search` draws new ones.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# Left alone structlog draws tracebacks with the values of all local variables, which takes seconds each.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ],
    # Standard error, as in the program: what a command prints is its result and nothing else.
    logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    cache_logger_on_first_use=False,
)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Where a program that a test runs sends the log, it sends it for that test."""
    said, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**said)
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of video, which mostly wait for the time of their cameras, are spread evenly among those that compute: at
    the end of the run they would wait with nothing beside them. Modules stay whole and in their order.
    """
    total = Counter(_is_video(item) for item in items)
    seen = Counter[bool]()
    placed: list[tuple[float, list[pytest.Item]]] = []
    for _, group in itertools.groupby(items, key=lambda item: item.path):
        module = list(group)
        video = _is_video(module[0])
        placed.append(((seen[video] + len(module) / 2) / total[video], module))
        seen[video] += len(module)
    placed.sort(key=lambda each: each[0])
    items[:] = [item for _, module in placed for item in module]


def _is_video(item: pytest.Item) -> bool:
    return item.path.is_relative_to(_VIDEO)


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not walk it again and again while tests run."""
    gc.collect()
    gc.freeze()


def on(url: str, database: str) -> str:
    """`url` with another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def room() -> Path:
    """Where servers of tests live: in memory where there is room, since a database is then made in 15 ms, not 100.

    What survives kill -9 is the same in both places.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 << 30
    return memory if roomy else Path(tempfile.gettempdir())


@pytest.fixture(scope="session")
def server_home() -> Path:
    """The home of the run's PostgreSQL server, which all workers of the run share.

    It lives outside pytest's own folder, which other users (the server's, when root runs the tests) may not
    enter, and goes away by itself when the last worker has ended, also when it was killed.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    home = room() / f"koinon-test-{run[:24]}"
    home.mkdir(mode=0o755, exist_ok=True)
    embedded.ensure_running(home, scratch=True)
    return home


@pytest.fixture(scope="session")
def server_url(server_home: Path) -> str:
    """That server's URL, as the owner."""
    return embedded.ensure_running(server_home, scratch=True)


@pytest.fixture(scope="session")
def template_url(server_url: str, server_home: Path) -> str:
    """A migrated database that nobody is connected to, to make others from; made once a run."""
    with (server_home / "database" / "template.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(_make_template(server_url))
    return on(server_url, TEMPLATE)


async def _make_template(server_url: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", TEMPLATE):
            await connection.execute("DROP DATABASE IF EXISTS koinon_draft")
            await connection.execute("CREATE DATABASE koinon_draft")
            await migrate(on(server_url, "koinon_draft"), SCHEMAS)
            await connection.execute(f"ALTER DATABASE koinon_draft RENAME TO {TEMPLATE}")
    finally:
        await connection.close()


@pytest.fixture
async def database_url(server_url: str, template_url: str) -> AsyncIterator[str]:
    """The URL (as the owner) of a fresh, migrated database."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    try:
        # The other strategy writes the whole copy to the log too.
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        yield on(server_url, name)
        with contextlib.suppress(asyncpg.PostgresError):
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def open_database(database_url: str) -> AsyncIterator[OpenDatabase]:
    """`await open_database("web")`: the test's database with the rights of that kind of process."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_(kind: ProcessKind = "owner", *, max_size: int = 10) -> Database:
            return await stack.enter_async_context(
                await Database.open(database_url, kind=kind, max_size=max_size)
            )

        yield open_


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """The test's database, open with the owner's rights."""
    return await open_database("owner")


@pytest.fixture
def clock() -> FixedClock:
    """Tuesday 24 November 2026, ten in the morning in Brussels."""
    return FixedClock(datetime(2026, 11, 24, 9, tzinfo=UTC))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data that is not part of the repository: `KOINON_SHARED`, or `../shared`."""
    folder = Path(os.environ.get("KOINON_SHARED") or Path(__file__).parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}")
    return folder


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for `KOINON_HOME` with a short path that the database server's user can reach."""
    with tempfile.TemporaryDirectory(prefix="koinon-home-", dir=room()) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def own_home(home: Path) -> Iterator[Path]:
    """A home whose server belongs to the test alone."""
    yield home
    clear(home)


def clear(home: Path) -> None:
    """Nothing of the home's server is left."""
    embedded.stop(home)
    place = find_place(home)
    if place is not None:
        shutil.rmtree(place.socket, ignore_errors=True)
        if not Path(place.data).is_relative_to(home):
            shutil.rmtree(Path(place.data).parent, ignore_errors=True)


CHROMIUM_FLAGS = [
    *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium refuses to isolate processes as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Serve = Callable[[Any], Awaitable[str]]
NewPage = Callable[..., Awaitable[Any]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(app)`: the origin (`http://127.0.0.1:port`) on which the ASGI application answers."""
    import uvicorn

    running: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def serve_(app: Any) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        )
        running.append((server, asyncio.create_task(server.serve([listener]))))
        while not server.started:  # uvicorn has no event for it
            assert not running[-1][1].done(), "the server ended before it began"
            await asyncio.sleep(0.005)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve_
    for server, task in running:
        server.should_exit = True
        await task


@pytest.fixture(scope="session")
def browser_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a Chromium answers that all tests of this process share, each in contexts of its own: to start one takes
    more than most tests do with it.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        reason = "no chromium on this machine: browser tests need Debian's package of that name"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    options = {"executablePath": chromium, "args": CHROMIUM_FLAGS, "host": "127.0.0.1"}
    config = tmp_path_factory.mktemp("chromium") / "launch.json"
    config.write_text(json.dumps(options))
    command = [
        sys.executable,
        "-m",
        "playwright",
        "launch-server",
        "--browser",
        "chromium",
        "--config",
        config,
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert server.stdout is not None
        endpoint = server.stdout.readline().strip()
        assert endpoint.startswith("ws://127.0.0.1:"), f"no browser: {endpoint!r}"
        yield endpoint
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


@pytest.fixture
async def new_page(browser_endpoint: str) -> AsyncIterator[NewPage]:
    """`await new_page(locale="fr", width=390, **options)`: a page of Chromium with nothing remembered.

    Options are those of Playwright's `Browser.new_context`. At the end the test fails if a page ran into a
    script error, broke the Content-Security-Policy, or asked another host for anything.
    """
    from playwright.async_api import async_playwright

    complaints: list[str] = []

    def hear(message: Any) -> None:
        # A refusal that a test provokes is reported by the browser and by htmx; everything else is our fault.
        refusal = message.text.startswith(("Failed to load resource", "Response Status Error Code 4"))
        if message.type == "error" and not refusal:
            complaints.append(message.text)

    def watch(request: Any) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", "localhost", None):
            complaints.append(f"asked another host: {request.url}")

    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect(browser_endpoint)

        async def open_(*, locale: str = "en", width: int = 1280, height: int = 900, **options: Any) -> Any:
            context = await browser.new_context(
                locale=locale, viewport={"width": width, "height": height}, **options
            )
            page = await context.new_page()
            page.on("console", hear)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", watch)
            return page

        yield open_
        await browser.close()
    assert complaints == []


@pytest.fixture
async def browser_page(new_page: NewPage) -> Any:
    """One page, English, 1280 wide."""
    return await new_page()


async def mounted(page: Any) -> None:
    """Every module that an element of the page asks for does its work: that is after the page's load event."""
    await page.wait_for_function(
        """() => [...document.querySelectorAll("[data-module]")].every((element) =>
            element.dataset.module.split(/\\s+/).every((name) =>
                element.getAttribute(`data-module-${name}`) === "mounted"))"""
    )


@pytest.fixture
def find_barriers() -> Callable[[Any], Awaitable[list[str]]]:
    """`await find_barriers(page)`: what axe-core finds against WCAG 2.2 A and AA on the page as it is now: its modules
    are there, and nothing of it is drawn anew meanwhile.
    """
    script = Path(__file__).parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"
    source = script.read_text()

    async def find(page: Any) -> list[str]:
        await mounted(page)
        await page.evaluate(source)
        # What htmx would ask for waits until axe is done.
        found = await page.evaluate(
            """async () => {
                const held = [];
                const hold = (event) => { event.preventDefault(); held.push(event.detail.issueRequest); };
                document.addEventListener("htmx:confirm", hold);
                while (document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling")) {
                    await new Promise((done) => setTimeout(done, 10));
                }
                await Promise.allSettled(document.getAnimations().map((each) => each.finished));
                const done = await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
                    "best-practice"]});
                document.removeEventListener("htmx:confirm", hold);
                for (const issue of held) issue(true);
                return done.violations.flatMap((rule) => rule.nodes.map((node) =>
                    `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
            }"""
        )
        return list(found)

    return find
