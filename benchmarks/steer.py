"""From the release of a button, and from a suspension, to the Stop at the camera.

The platform is its own, from socket to ledger, in a web process; the camera is the simulated one, in this process,
and speaks ONVIF over real HTTP. Counted is when the camera obeyed. A slow camera answers each request after a while:
what it took itself is taken off, since no platform makes it faster.
"""

import asyncio
import contextlib
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from benchmarks.cut_video import LOGIN, Brake
from benchmarks.frame import RUNS, result, row, show
from benchmarks.region import Bench, free_port, open_bench, process
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed

from koinon.base.database import Database
from koinon.demo.cameras.fleet import TURNS
from koinon.demo.cameras.ptz import PASSWORD, USER, PtzCamera
from koinon.demo.cameras_seed import seed_cameras
from koinon.demo.region import Region
from koinon.demo.region.video import PUBLIC_ORDER
from koinon.demo.sources.server import Behaviour, Shell, make_server
from koinon.trust.ledger import Sealer
from koinon.trust.parties.model import LOCAL_ISSUER
from koinon.trust.parties.sign_in.sessions import Sessions

TRIALS = 100
SLOW_SECONDS = 0.3


def run(*, trials: int = TRIALS, quick: bool = False) -> dict[str, Any]:
    """The rows of the benchmark `steer`; `quick`: a tenth of the trials."""
    if quick:
        trials = max(RUNS, trials // 10)
    with open_bench(10) as bench, tempfile.TemporaryDirectory(prefix="koinon-steer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        return uvloop.run(_measure(bench, folder, trials))


async def _measure(bench: Bench, folder: Path, trials: int) -> dict[str, Any]:
    shell, port, camera_port = Shell(camera := PtzCamera()), free_port(), free_port()
    server = make_server(shell, camera_port)
    serving = asyncio.create_task(server.serve())
    async with (
        await Database.open(bench.url, kind="owner", max_size=2) as database,
        process("benchmarks.cut", "web", str(bench.home), bench.url, f"unix:{folder}/web.sock", str(port)),
    ):
        now, sealer = datetime.now(UTC), Sealer.of(bench.home)
        control = {TURNS: f"http://{USER}:{PASSWORD}@127.0.0.1:{camera_port}"}
        async with database.transaction() as connection:
            parties = Region.load(bench.home).parties
            ids = await seed_cameras(connection, sealer, bench.home, parties, {}, controls=control, at=now)
            token = await Sessions(sealer).open(connection, LOCAL_ISSUER, LOGIN, now)
        brake = Brake(bench, database)
        request = {"camera": str(ids[TURNS]), "action": "steer", "purpose": PUBLIC_ORDER}

        async def take() -> ClientConnection:
            # On a busy machine a process that could not confirm the epoch in time cuts what it runs; it is asked again.
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(ConnectionClosed):
                        return await ask()
                    await asyncio.sleep(0.3)

        async def ask() -> ClientConnection:
            page = await unix_connect(
                f"{folder}/web.sock",
                f"ws://koinon.example:{port}/video/steer",
                origin=f"https://koinon.example:{port}",
                additional_headers={"cookie": f"koinon_session={token}"},
            )
            await page.send(json.dumps(request))
            while json.loads(await asyncio.wait_for(page.recv(), 20)).get("camera") != "ready":
                pass
            return page

        page = await take()
        released = [await _release(page, camera) for _ in range(trials)]
        shell.behaviour = Behaviour("slow", SLOW_SECONDS)
        slow = [
            await _release(page, camera, held=0.05, heard=False) - SLOW_SECONDS
            for _ in range(max(RUNS, trials // 5))
        ]
        shell.behaviour = Behaviour()
        await page.close()
        cut = []
        for _ in range(trials):
            page = await take()
            holding = asyncio.create_task(_hold(page))
            await _obeyed(camera, "ContinuousMove", len(camera.heard))
            suspended_at, _wall = await brake.suspend()
            cut.append(await _obeyed(camera, "Stop", len(camera.heard)) - suspended_at)
            await holding
            await brake.lift()
        server.should_exit = True
        await serving
    ordered = sorted(released)
    return result(
        "steer",
        [
            row("release_p95_ms", f"release of a button to the Stop at the camera, p95 of {trials}", "ms",
                [1000 * ordered[len(ordered) * 95 // 100]], "<= 50"),
            row("release_slow_max_ms", "the same, at once after the press, of a camera that answers after "
                f"{SLOW_SECONDS} s, without that time, highest of {len(slow)}", "ms", [1000 * max(slow)], "<= 50"),
            row("cut_max_s", f"suspension to the Stop at a camera that turns, highest of {len(cut)}", "s", [max(cut)],
                "<= 1"),
            row("cut_median_s", "the same, median", "s", cut),
        ],
    )  # fmt: skip


async def _release(
    page: ClientConnection, camera: PtzCamera, *, held: float = 0.1, heard: bool = True
) -> float:
    """Seconds from the release to the Stop; `heard`: the camera turned before."""
    before = len(camera.heard)
    await page.send(json.dumps({"move": [0.5, 0, 0]}))
    if heard:
        await _obeyed(camera, "ContinuousMove", before)
    await asyncio.sleep(held)
    at, before = time.monotonic(), len(camera.heard)
    await page.send(json.dumps({"stop": True}))
    took = await _obeyed(camera, "Stop", before) - at
    await asyncio.sleep(0.1 if heard else 4 * SLOW_SECONDS)  # whatever follows it is over
    return took


async def _hold(page: ClientConnection) -> None:
    """A button is held until the connection ends."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await page.send(json.dumps({"move": [0.5, 0, 0]}))
            await asyncio.sleep(0.2)


async def _obeyed(camera: PtzCamera, name: str, beyond: int) -> float:
    """When the camera obeyed such a command, after so many of all (`time.monotonic`)."""
    async with asyncio.timeout(20):
        while True:
            found = next((each for each in camera.heard[beyond:] if each.name == name), None)
            if found is not None:
                return found.at
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    import sys

    show(run(quick="--quick" in sys.argv))
