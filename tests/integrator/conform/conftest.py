"""A whole platform on a port of this machine, sequencer and batches included: what a participant would meet."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import uvicorn
from tests.integrator.test_exchange_api import told

from koinon.app.batches import runner_of
from koinon.app.http import build_app
from koinon.app.server import listen
from koinon.app.wiring import open_platform
from koinon.demo.region import FLOW, NORTH, PURPOSE, load_key
from koinon.integrator.conform import PLATFORM, PlatformKit, Question, Report
from koinon.integrator.conform.runner import run
from koinon.trust.ledger.sequencing.running import run_sequencer
from koinon.trust.parties.sign_in.edge import SignIn

SUBJECT = "80690112370"


class Whole:
    """The address of the platform, and a kit of a system of North."""

    def __init__(self, url: str, world: Any) -> None:
        self.url = url
        self.key = load_key(world.home, f"{NORTH}-system")
        self.question = Question(flow=FLOW, purpose=PURPOSE, subject={"national_number": SUBJECT})

    async def judge(self, *only: str, url: str | None = None, **how: Any) -> Report:
        """The report of the kit, from a thread of its own as from another machine."""

        def work() -> Report:
            kit = PlatformKit(
                url or self.url,
                self.key,
                how.pop("question", self.question),
                authority=self.url.removeprefix("http://"),
                **how,
            )
            try:
                return run(PLATFORM, kit, end=self.url, only=only)
            finally:
                kit.speaker.close()

        return await asyncio.to_thread(work)


@pytest.fixture
async def whole(world: Any) -> AsyncIterator[Whole]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    settings = msgspec.structs.replace(world.settings, port=port, epoch_limit_seconds=30.0)
    async with contextlib.AsyncExitStack() as stack:
        platform = await stack.enter_async_context(open_platform(settings, url=world.url, sources=told()))
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        stack.push_async_callback(sign_in.close)
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(platform, sign_in), log_level="warning", lifespan="off", timeout_graceful_shutdown=1
            )
        )
        tasks = [
            asyncio.create_task(server.serve([listener])),
            asyncio.create_task(run_sequencer(settings, world.url)),
            asyncio.create_task(runner_of(platform, concurrency=1).run()),
        ]
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield Whole(f"http://127.0.0.1:{port}", world)
        server.should_exit = True
        for task in tasks[1:]:
            task.cancel()
        await asyncio.wait(tasks)


class Between:
    """A proxy that bends what passes: how a broken platform is made of a whole one.

    `bend_request` gives what is sent on, `bend_answer` what is sent back.
    """

    def __init__(self, target: str) -> None:
        import http.server

        import httpx

        proxy = self
        self.bend_request: Any = lambda path, headers, body: (headers, body)
        self.bend_answer: Any = lambda path, status, headers, body: (status, headers, body)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = [(k.lower(), v) for k, v in self.headers.items() if k.lower() != "content-length"]
                headers, body = proxy.bend_request(self.path, headers, body)
                with httpx.Client(trust_env=False) as client:
                    got = client.request(
                        self.command, target + self.path, headers=headers, content=body or None
                    )
                kept = {
                    k: v for k, v in got.headers.items() if k not in ("content-length", "transfer-encoding")
                }
                status, kept, content = proxy.bend_answer(self.path, got.status_code, kept, got.content)
                self.send_response_only(status)
                for name, value in kept.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = any

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
async def between(whole: Whole) -> AsyncIterator[Between]:
    made = Between(whole.url)
    yield made
    made.stop()
