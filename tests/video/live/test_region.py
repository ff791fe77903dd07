"""Live under the convention: the real rights, gate, register and pages, from a virtual camera to a player."""

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import websockets
from websockets.asyncio.client import connect

from koinon.app.http import build_app
from koinon.app.server import listen, server
from koinon.app.wiring import open_platform
from koinon.base.ids import new_id
from koinon.demo.cameras_seed import seed_cameras
from koinon.demo.region.video import PUBLIC_ORDER, VIDEO
from koinon.trust.ledger import Log, find_entries
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE, SignIn
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.live import Tap, tap_key
from koinon.video.live.alone import feed
from koinon.video.recorder import parse_source


class Region:
    """Attributes: origin; platform; cameras, ids by code; token(login), a session."""

    def __init__(self, world: Any, platform: Any, sign_in: Any, origin: str, cameras: Any) -> None:
        self.world, self.platform, self.sign_in = world, platform, sign_in
        self.origin, self.cameras = origin, cameras

    async def token(self, login: str) -> str:
        async with self.world.database.transaction() as connection:
            return str(await self.sign_in.sessions.open(connection, LOCAL_ISSUER, login, datetime.now(UTC)))

    async def watch(self, login: str, camera: str, **changes: Any) -> Any:
        """The socket, and the first answer."""
        socket = await connect(
            self.origin.replace("http", "ws") + "/video/live?lang=en",
            origin=self.origin,
            additional_headers={"cookie": f"{SESSION_COOKIE}={await self.token(login)}"},
            compression=None,
            max_size=None,
        )
        request = {
            "camera": str(self.cameras.get(camera, new_id())),
            "action": "view_live",
            "purpose": PUBLIC_ORDER,
        }
        await socket.send(json.dumps(request | changes))
        return socket, json.loads(await socket.recv())


@pytest.fixture
async def region(world: Any, cameras: Any) -> Any:
    """The demo region with its cameras, `south-1` served by a tap, and a web process."""
    settings = msgspec.structs.replace(world.settings, port=8000, epoch_limit_seconds=5.0)
    source = await cameras({"gop": 13})
    async with contextlib.AsyncExitStack() as stack:
        urls = {"south-1": source.url("south-1")}
        now = datetime.now(UTC)
        async with world.database.transaction() as connection:
            ids = await seed_cameras(connection, world.sealer, world.home, world.region.parties, urls, at=now)
            stream = await connection.fetchval(
                "SELECT id FROM cameras.stream WHERE camera = $1 AND role = 'main'", ids["south-1"]
            )
        tap = Tap(tap_key(world.home))
        await tap.start("tcp:127.0.0.1:0")
        stack.push_async_callback(tap.close)
        async with world.database.acquire() as connection:
            recorder = new_id()
            await connection.execute(
                "INSERT INTO recordings.recorder (id, host, pid, tap_address, able) VALUES ($1, 'test', 1, $2, true)",
                recorder, tap.address,
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO recordings.serving (stream, copy, recorder, fence) VALUES ($1, 0, $2, 1)",
                stream,
                recorder,
            )
        feeding = asyncio.create_task(feed(tap, {stream: parse_source(source.url("south-1"))}))
        stack.callback(feeding.cancel)
        platform = await stack.enter_async_context(open_platform(settings, url=world.url, sources={}))
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        stack.push_async_callback(sign_in.close)
        listener = listen("127.0.0.1", 0)
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = server(build_app(platform, sign_in), host="127.0.0.1", port=0, uses=platform.uses)
        task = asyncio.create_task(running.serve([listener]))
        yield Region(world, platform, sign_in, origin, ids)
        running.should_exit = running.force_exit = True
        await task


async def pictures(socket: Any, count: int) -> int:
    """So many pictures came; how many bytes they were."""
    found = size = 0
    while found < count:
        message = await socket.recv()
        if isinstance(message, bytes) and message[0] == 2:
            found += 1
            size += len(message)
    return size


async def test_a_view_under_the_convention_leaves_its_trace_and_is_cut_by_the_commission(region: Any) -> None:
    socket, told = await region.watch("wim", "south-1", case="P-7")
    assert told["opened"]["watermark"] == "Wim Demo · Demo police zone West"
    sent = await pictures(socket, 30)
    await region.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    began = time.monotonic()
    last: Any = None
    with pytest.raises(websockets.ConnectionClosed):
        while True:
            last = await socket.recv()
    assert time.monotonic() - began < 5
    problem = json.loads(last)["cut"]
    assert problem["code"] == "authorisation_suspended"
    assert "Commission" in problem["detail"]
    again, told = await region.watch("wim", "south-1", case="P-7")
    assert told["problem"]["code"] == "authorisation_suspended"
    await again.close()
    kinds: list[Any] = []
    async with asyncio.timeout(5):
        while not any(kind == "exchange.ended" for kind, _ in kinds):
            await asyncio.sleep(0.1)
            async with region.world.database.acquire() as connection:
                entries = await find_entries(connection, log=Log.EXCHANGE)
            kinds = [(entry.kind, entry.public) for entry in entries]
    [ended] = [public for kind, public in kinds if kind == "exchange.ended"]
    assert ended["reason"] == "cut" and ended["bytes"] >= sent
    assert {"exchange.begun", "exchange.refused"} <= {kind for kind, _ in kinds}


@pytest.mark.parametrize(
    ("login", "camera", "changes", "code"),
    [
        ("wim", "nowhere", {}, "camera_unknown"),
        ("cato", "south-1", {}, "camera_unknown"),  # her profile has nothing to watch
        ("an", "south-1", {}, "camera_unknown"),  # of a party outside the convention
        ("wim", "south-1", {"purpose": "investigation"}, "purpose_not_in_matrix"),
        ("wim", "south-1", {"purpose": ""}, "purpose_missing"),
        ("wim", "south-1", {"case": "x" * 65}, "case_too_long"),
    ],
)
async def test_who_may_not_see_hears_no_more_than_is_his_business(
    region: Any, login: str, camera: str, changes: Any, code: str
) -> None:
    socket, told = await region.watch(login, camera, **changes)
    assert told["problem"]["code"] == code, told
    with pytest.raises(websockets.ConnectionClosed):
        await socket.recv()


async def test_who_watches_nothing_has_no_socket_and_no_page(region: Any) -> None:
    import httpx

    async with httpx.AsyncClient(base_url=region.origin) as nobody:
        assert (await nobody.get("/video/wall", headers={"accept": "text/html"})).status_code in (401, 303)
    cookies = {SESSION_COOKIE: await region.token("wim")}
    async with httpx.AsyncClient(base_url=region.origin, cookies=cookies) as wim:
        page = await wim.get("/video/wall?lang=en")
        assert "south-1" in page.text and "media-src" in page.headers["content-security-policy"]
        assert (await wim.get("/video/cameras/south-1/live")).status_code == 200
        assert (await wim.get("/video/cameras/nowhere/live")).status_code == 404
        assert 'name="purpose"' in page.text and "Stopped by the Commission" not in page.text
        before = region.platform.keeper.current.epoch
        await region.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
        await region.platform.keeper.refresh(beyond=before)
        page = await wim.get("/video/wall?lang=nl")
        assert "De Commissie heeft de machtiging geschorst" in page.text and 'name="purpose"' not in page.text
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(region.origin.replace("http", "ws") + "/video/elsewhere", origin=region.origin)
    assert caught.value.response.status_code == 403
