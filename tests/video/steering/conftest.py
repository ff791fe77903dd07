"""A simulated camera that turns, served over real HTTP, and who asks it."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.video.steering.room import CAMERA, Room

from koinon.app.http import build_app
from koinon.app.server import listen, server
from koinon.app.wiring import open_platform
from koinon.demo.cameras import Certificate
from koinon.demo.cameras.ptz import PtzCamera
from koinon.demo.cameras_seed import seed_cameras
from koinon.demo.sources.server import Behaviour, Shell, make_server
from koinon.trust.parties.sign_in.edge import SignIn
from koinon.video.cameras.sources import parse_control
from koinon.video.steering.onvif import OnvifCamera
from koinon.video.steering.soap import Soap


class Served:
    """Attributes: camera; port. `behave("slow", 0.5)` until told otherwise."""

    def __init__(self, camera: PtzCamera, shell: Shell, port: int, scheme: str) -> None:
        self.camera, self.shell, self.port, self.scheme = camera, shell, port, scheme

    def url(self, user: str = "", password: str = "") -> str:
        who = f"{user or self.camera.user}:{password or self.camera.password}"
        return f"{self.scheme}://{who}@127.0.0.1:{self.port}"

    def behave(self, mode: str | None = None, seconds: float = 1.0) -> None:
        self.shell.behaviour = Behaviour(mode, seconds)

    @property
    def heard(self) -> list[str]:
        return [each.name for each in self.camera.heard]

    async def until(self, name: str, *, beyond: int = 0) -> float:
        """When the camera obeyed a command of that name, after so many of all."""
        async with asyncio.timeout(10):
            while not any(each.name == name for each in self.camera.heard[beyond:]):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)
        return next(each.at for each in self.camera.heard[beyond:] if each.name == name)


@pytest.fixture
async def serve() -> Any:
    """`await serve(accepts="digest")`: the camera, listening."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(certificate: Certificate | None = None, **options: Any) -> Served:
            shell = Shell(camera := PtzCamera(**options))
            running = make_server(shell, 0, certificate and certificate.context)
            task = asyncio.create_task(running.serve())

            async def stop() -> None:
                running.should_exit = running.force_exit = True
                await task

            stack.push_async_callback(stop)
            while not running.started:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)
            port = running.servers[0].sockets[0].getsockname()[1]
            return Served(camera, shell, port, "https" if certificate else "http")

        yield start


@pytest.fixture
async def dial() -> Any:
    """`await dial(served)`: the camera as the platform has it."""
    soaps: list[Soap] = []

    async def open_(served: Served, url: str = "", *, simulated: bool = True, **options: Any) -> OnvifCamera:
        place = parse_control(url or served.url())
        soaps.append(Soap(place, "127.0.0.1", accept_simulated=simulated, **options))
        return await OnvifCamera.open(soaps[-1], place.path)

    yield open_
    for soap in soaps:
        await soap.close()


@pytest.fixture
async def room(world: Any, serve: Any) -> Any:
    """The demo region with its camera that turns, and a web process."""
    settings = msgspec.structs.replace(world.settings, port=8000, epoch_limit_seconds=5.0)
    served = await serve()
    async with contextlib.AsyncExitStack() as stack:
        async with world.database.transaction() as connection:
            ids = await seed_cameras(
                connection, world.sealer, world.home, world.region.parties, {}, controls={CAMERA: served.url()},
                at=datetime.now(UTC),
            )  # fmt: skip
        platform = await stack.enter_async_context(open_platform(settings, url=world.url, sources={}))
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        stack.push_async_callback(sign_in.close)
        listener = listen("127.0.0.1", 0)
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = server(build_app(platform, sign_in), host="127.0.0.1", port=0, uses=platform.uses)
        task = asyncio.create_task(running.serve([listener]))
        room = Room(world, platform, sign_in, origin, ids, served)
        yield room
        for socket in room.sockets:
            await socket.close()
        running.should_exit = running.force_exit = True
        await task
