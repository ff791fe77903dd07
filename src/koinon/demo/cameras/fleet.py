"""The virtual cameras of the demo region and a simulated partner's system, as one process; what turns one, as another.

Large and small pictures with a burned-in clock, and a clip of real traffic where one lies beside the checkout. The
camera that turns is a device of its own: it shows where it looks.
"""

import asyncio
import contextlib
import os
import signal
from functools import partial
from pathlib import Path

import msgspec
import structlog
import uvloop

from koinon.base.settings import Settings
from koinon.demo.cameras.clip import ClipUnavailable, make_clip, read_clip
from koinon.demo.cameras.ptz import PASSWORD, USER, PtzCamera
from koinon.demo.cameras.replay import ReplayServer, holding
from koinon.demo.cameras.server import CameraServer
from koinon.demo.cameras.views import TurningServer, make_views, read_views
from koinon.demo.sources.server import Shell, make_server, refuse_production

KEPT_ELSEWHERE = 7
"""Days that the partner's system keeps."""
TRAFFIC = "centre-1"
"""The camera that shows the clip of real traffic."""
TURNS = "west-2"
"""The camera that can be turned."""
_log = structlog.get_logger()


class Fleet(msgspec.Struct, frozen=True):
    """Where the virtual cameras listen, ports of 127.0.0.1. `traffic` is nought without the clip; `ptz` turns a camera,
    `turning` shows it; `partner` is a video system of its own, which also replays.
    """

    main: int
    sub: int
    traffic: int = 0
    ptz: int = 0
    turning: int = 0
    partner: int = 0

    def main_url(self, code: str) -> str:
        """Of the large picture of the camera."""
        special = {TRAFFIC: self.traffic, TURNS: self.turning}
        port = special.get(code, 0) or self.main
        return f"rtsp://127.0.0.1:{port}/{code}"

    def partner_url(self, code: str) -> str:
        """Of a camera of the partner's system, now and of the past."""
        return f"rtsp://127.0.0.1:{self.partner}/{code}"

    def sub_url(self, code: str) -> str:
        """Of the small picture of the camera; the one that turns has one size."""
        port = self.turning if self.turning and code == TURNS else self.sub
        return f"rtsp://127.0.0.1:{port}/{code}"

    @property
    def controls(self) -> dict[str, str]:
        """At which ONVIF service cameras are steered, by their code."""
        return {TURNS: f"http://{USER}:{PASSWORD}@127.0.0.1:{self.ptz}"} if self.ptz else {}


def run_ptz(settings: Settings, folder: Path, fleet: Fleet) -> None:
    """The camera that turns has served its ONVIF and its picture on 127.0.0.1 until it was told to stop. What it shows
    is made in `folder` at the first start, and comes a moment after the rest.

    Raises:
        Invalid: `simulated_in_production`.
    """
    refuse_production(settings)
    signal.signal(signal.SIGTERM, lambda *_: None)  # as the simulated sources do
    camera = PtzCamera()

    async def show() -> None:
        try:
            views = await asyncio.to_thread(lambda: read_views(make_views(folder)))
        except ClipUnavailable as error:
            _log.error("demo_cameras_unavailable", why=str(error))
            return
        async with TurningServer(views, lambda: camera.position, port=fleet.turning):
            await asyncio.Event().wait()

    async def serve() -> None:
        showing = asyncio.create_task(show())
        try:
            await make_server(Shell(camera), fleet.ptz).serve()
        finally:
            showing.cancel()
            await asyncio.wait([showing])

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve())


def find_traffic_clip() -> Path | None:
    """A clip of real traffic (H.264), where the public data lie beside the checkout or KOINON_SHARED says so."""
    shared = Path(os.environ.get("KOINON_SHARED") or Path.cwd().parent / "shared")
    clip = shared / "data" / "video" / "car-detection.mp4"
    return clip if clip.is_file() else None


def run_fleet(folder: Path, fleet: Fleet) -> None:
    """The cameras send until this process is told to stop. Clips are made in `folder` at the first start.

    Without ffmpeg there are no cameras, which is logged; the region works without them.
    """

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with contextlib.AsyncExitStack() as stack:
            try:
                # The small one first: it is there in a moment, and the wall shows it.
                for port, make in (
                    (fleet.sub, partial(make_clip, folder)),
                    (fleet.main, partial(_large, folder)),
                ):
                    clip = read_clip(await asyncio.to_thread(make))
                    await stack.enter_async_context(CameraServer([clip], port=port))
                if fleet.partner:  # of each hour it lacks the last five minutes
                    clip = read_clip(await asyncio.to_thread(make_clip, folder))
                    held = holding(KEPT_ELSEWHERE, gap_minutes=5)
                    await stack.enter_async_context(ReplayServer([clip], held, port=fleet.partner))
                if fleet.traffic and (path := find_traffic_clip()) is not None:
                    clip = read_clip(path)
                    await stack.enter_async_context(CameraServer([clip], port=fleet.traffic))
            except ClipUnavailable as error:
                _log.error("demo_cameras_unavailable", why=str(error))
            await stop.wait()

    asyncio.run(serve())


def _large(folder: Path) -> Path:
    return make_clip(folder, width=1280, height=720, kbits=2000)
