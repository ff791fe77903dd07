"""What somebody with a session tries against a view that runs on a connection."""

import asyncio
import json
from typing import Any

import pytest
from tests.video.playback.conftest import Player, Site
from tests.video.playback.test_api import Client
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from koinon.demo.region.video import INVESTIGATION, VIDEO
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.playback import views


@pytest.fixture
async def client(site: Site) -> Any:
    found = Client(site)
    yield found
    await found.http.aclose()


async def test_a_view_on_a_connection_cannot_be_ended_behind_it_and_outlive_its_cut(
    client: Client, site: Site
) -> None:
    await client.open()  # for the page's token against forgery
    origin = site.origin
    cookie = {"cookie": f"koinon_session={site.token}"}
    async with connect(
        origin.replace("http", "ws") + "/video/playback",
        origin=origin,
        additional_headers=cookie,
        max_size=None,
    ) as socket:
        player = Player(socket)
        units = site.units
        await player.say(
            camera=str(site.film.camera["south-1"].id), action="view_recording", purpose=INVESTIGATION,
            case="PV-1", since=units[0].start.isoformat(), until=units[-1].end.isoformat(),
        )  # fmt: skip
        opened = await player.hear("opened")
        await player.hear("media")
        for method, address in (("DELETE", ""), ("POST", "/renew")):
            answer = await client.http.request(
                method,
                f"/api/video/views/{opened['view']}{address}",
                headers={"X-CSRF-Token": client.csrf},
            )
            assert (answer.status_code, answer.json()["code"]) == (404, "view_unknown")
        await site.film.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(1.5):
                while True:
                    await socket.send(json.dumps({"n": 1, "seek": opened["since"]}))
                    await socket.recv()


async def test_a_session_has_only_so_many_views_by_request_and_one_that_ended_makes_room(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "VIEWS_A_SESSION", 2)
    refused = await client.open(purpose="traffic_management")
    assert refused.status_code in (403, 404)
    first, second, third = [await client.open() for _ in range(3)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert (third.status_code, third.json()["code"]) == (429, "too_many_views")
    gone = await client.http.delete(
        f"/api/video/views/{first.json()['view']}", headers={"X-CSRF-Token": client.csrf}
    )
    assert gone.status_code == 204
    assert (await client.open()).status_code == 201
