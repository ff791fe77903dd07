"""The demo region with a camera that turns, a web process, and pages that steer."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import connect

from koinon.base.ids import new_id
from koinon.demo.region.video import PUBLIC_ORDER, ZONE_WEST
from koinon.trust.ledger import Log, find_entries, read_private
from koinon.trust.parties import LOCAL_ISSUER, Author
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE
from koinon.video.cameras import SourceKey, service

CAMERA = "west-2"
SEVERAL = {"rik": "control_room_supervisor", "noor": "control_room_operator"}
"""In which of several profiles they act."""


class Socket:
    """A page that steers: what it says, and what it heard."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.told: list[dict[str, Any]] = []

    async def hear(self, name: str, value: Any = None) -> Any:
        """The first message of that name (and value) that was not heard before."""
        async with asyncio.timeout(10):
            while True:
                message = json.loads(await self.socket.recv())
                self.told.append(message)
                if name in message and (value is None or message[name] == value):
                    return message

    async def say(self, **said: Any) -> None:
        await self.socket.send(json.dumps(said))

    async def hold(self) -> None:
        """It turns until the connection ends: a button that is held."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await self.say(move=[0.5, 0, 0])
                await asyncio.sleep(0.2)

    async def end(self) -> str:
        """The code of its last word."""
        return str((await self.hear("cut"))["cut"]["code"])


class Room:
    """Attributes: world, platform, served (the camera); `steer(login)` gives a page."""

    def __init__(self, world: Any, platform: Any, sign_in: Any, origin: str, ids: Any, served: Any) -> None:
        self.world, self.platform, self.sign_in = world, platform, sign_in
        self.origin, self.ids, self.served = origin, ids, served
        self.sockets: list[Any] = []
        self.told: set[Any] = set()  # entries of uses that ended

    async def steer(self, login: str, camera: str = CAMERA, **changes: Any) -> Socket:
        async with self.world.database.transaction() as connection:
            token = await self.sign_in.sessions.open(connection, LOCAL_ISSUER, login, datetime.now(UTC))
            if login in SEVERAL:
                await connection.execute(
                    "UPDATE parties.session SET profile = $1 WHERE subject = $2", SEVERAL[login], login
                )
        socket = await connect(
            self.origin.replace("http", "ws") + "/video/steer?lang=en",
            origin=self.origin,
            additional_headers={"cookie": f"{SESSION_COOKIE}={token}"},
        )
        self.sockets.append(socket)
        request = {"camera": str(self.ids.get(camera, new_id())), "action": "steer", "purpose": PUBLIC_ORDER}
        await socket.send(json.dumps(request | changes))
        return Socket(socket)

    async def holds(self, login: str, **changes: Any) -> Socket:
        """A page that has the camera, which answers."""
        page = await self.steer(login, **changes)
        await page.hear("turn", "holds")
        await page.hear("camera", "ready")
        return page

    async def uses(self, login: str) -> str:
        """The page on which the owner's people read who used its cameras."""
        async with self.world.database.transaction() as connection:
            token = await self.sign_in.sessions.open(connection, LOCAL_ISSUER, login, datetime.now(UTC))
        async with httpx.AsyncClient(base_url=self.origin, cookies={SESSION_COOKIE: token}) as client:
            return (await client.get(f"/video/uses?camera={CAMERA}&lang=en")).raise_for_status().text

    async def point(self, url: str) -> None:
        """The camera is steered there."""
        author = Author(party=self.world.region.parties[ZONE_WEST], profile="camera_manager")
        key, at = SourceKey.of(self.world.home), datetime.now(UTC)
        async with self.world.database.transaction() as connection:
            await service.set_control(
                connection, self.world.sealer, key, self.ids[CAMERA], url, by=author, at=at
            )

    async def ended(self) -> dict[str, Any]:
        """What the trace says of the one use that ended and was not told of before: public and private facts."""
        async with asyncio.timeout(30):
            while True:
                async with self.world.database.acquire() as connection:
                    entries = [
                        each
                        for each in await find_entries(connection, log=Log.EXCHANGE, kind="exchange.ended")
                        if each.public["action"] == "steer" and each.id not in self.told
                    ]
                    if len(entries) == 1:
                        self.told.add(entries[0].id)
                        [private] = await read_private(connection, self.world.sealer, entries)
                        return {**entries[0].public, **private.fields}
                await asyncio.sleep(0.05)
