"""A simulated camera that turns, served over real HTTP, and who asks it."""

import asyncio
import contextlib
from typing import Any

import pytest

from koinon.demo.cameras.ptz import PtzCamera
from koinon.demo.sources.server import Behaviour, Shell, make_server
from koinon.video.cameras.sources import parse_control
from koinon.video.steering.onvif import OnvifCamera
from koinon.video.steering.soap import Soap


class Served:
    """Attributes: camera; port. `behave("slow", 0.5)` until told otherwise."""

    def __init__(self, camera: PtzCamera, shell: Shell, port: int) -> None:
        self.camera, self.shell, self.port = camera, shell, port

    def url(self, user: str = "", password: str = "") -> str:
        return f"http://{user or self.camera.user}:{password or self.camera.password}@127.0.0.1:{self.port}"

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

        async def start(**options: Any) -> Served:
            shell = Shell(camera := PtzCamera(**options))
            server = make_server(shell, 0)
            task = asyncio.create_task(server.serve())

            async def stop() -> None:
                server.should_exit = server.force_exit = True
                await task

            stack.push_async_callback(stop)
            while not server.started:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)
            return Served(camera, shell, server.servers[0].sockets[0].getsockname()[1])

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
