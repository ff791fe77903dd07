"""The pages about rights to images, as the web process serves them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from koinon.app.http import build_app
from koinon.app.wiring import open_platform
from koinon.demo.region.video import CRISIS, INVESTIGATION
from koinon.trust.ledger import Log, find_entries
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE, SignIn
from koinon.video.rights import Action, ViewRequest, subject_of


class Site:
    """The application, and people signed in to it."""

    def __init__(self, asgi: Any, platform: Any, sign_in: Any) -> None:
        self.asgi, self.platform, self.sign_in = asgi, platform, sign_in

    async def client(self, login: str, language: str = "en") -> httpx.AsyncClient:
        at = self.platform.clock.now()
        async with self.platform.database.transaction() as connection:
            token = await self.sign_in.sessions.open(connection, LOCAL_ISSUER, login, at)
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.asgi),
            base_url="http://127.0.0.1:8000",
            cookies={SESSION_COOKIE: token},
            headers={"accept-language": language, "accept": "text/html"},
        )


@pytest.fixture
async def site(world: Any, film: Any) -> Any:
    settings = msgspec.structs.replace(world.settings, port=8000, epoch_limit_seconds=30.0)
    async with open_platform(settings, url=world.url, sources={}) as platform:
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        try:
            yield Site(build_app(platform, sign_in), platform, sign_in)
        finally:
            await sign_in.close()


def csrf(page: str) -> dict[str, str]:
    found = re.search(r'name="(_?csrf[^"]*)" value="([^"]+)"', page)
    assert found, page[:2000]
    return {found[1]: found[2]}


async def test_who_can_see_a_camera_is_shown_to_who_looks_after_it_in_each_language(site: Any) -> None:
    for language, words in (
        ("nl", ("Wie mag wat zien", "een gemeld noodgeval")),
        ("fr", ("Qui peut voir quoi", "une urgence déclarée")),
        ("en", ("Who can see what", "a declared emergency")),
    ):
        adviser = await site.client("axel", language)
        page = await adviser.get(f"/video/rights?camera=west-1&lang={language}")
        assert page.status_code == 200
        for word in (*words, "Wim Demo", "2026/010"):
            assert word in page.text, (language, word)
        assert (await adviser.get("/video/rights?camera=south-1")).status_code == 404
    operator = await site.client("wim")
    assert (await operator.get("/video/rights")).status_code == 403
    commissioner = await site.client("member")
    assert "Wim Demo" in (await commissioner.get("/video/rights?camera=south-1")).text


async def test_a_second_person_confirms_on_the_page_and_the_one_who_asked_learns_it(
    site: Any, film: Any
) -> None:
    since = datetime.now(UTC) - timedelta(hours=2)
    request = ViewRequest(
        camera=film.camera["centre-1"].id,
        action=Action.UNMASK,
        purpose=INVESTIGATION,
        case="PV-7",
        reason="a <b>face</b>",
        since=since,
        until=since + timedelta(minutes=5),
    )
    iris, ivo, wim = await site.client("iris"), await site.client("ivo"), await site.client("wim")
    mine = await iris.get("/video/confirmations")
    token = re.search(r'csrf[^>]*content="([^"]+)"', mine.text) or re.search(
        r'csrf[^>]*value="([^"]+)"', mine.text
    )
    assert token
    headers = {"content-type": "application/json", "accept": "application/json", "x-csrf-token": token[1]}
    asked = await iris.post("/api/video/confirmations", content=msgspec.json.encode(request), headers=headers)
    assert asked.status_code == 201, asked.text
    # What PostgreSQL cannot keep is no fault of ours.
    odd = msgspec.json.encode(msgspec.structs.replace(request, reason="a\0face"))
    refused = await iris.post("/api/video/confirmations", content=odd, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "body_malformed")
    path = f"/api/video/confirmations/{asked.json()['confirmation']}"
    assert (await iris.get(path)).json()["state"] == "waiting"
    assert (await ivo.get(path)).status_code == 404
    page = await ivo.get("/video/confirmations")
    assert "PV-7" in page.text
    assert "a &lt;b&gt;face" in page.text
    assert 'value="confirm"' not in (await wim.get("/video/confirmations")).text
    answered = await ivo.post(
        f"/video/confirmations/{asked.json()['confirmation']}", data={**csrf(page.text), "answer": "confirm"}
    )
    assert answered.status_code == 303, answered.text
    assert (await iris.get(path)).json()["state"] == "confirmed"


async def test_an_adviser_looks_back_at_an_emergency_and_nobody_else_does(
    world: Any, site: Any, film: Any
) -> None:
    camera = film.camera["south-1"]
    request = ViewRequest(
        camera=camera.id, action=Action.VIEW_LIVE, purpose=CRISIS, emergency=True, reason="a flood"
    )
    view = await site.platform.rights.open(film.session("wim", "control_room_operator"), request)
    await view.end()
    adviser, owner, other = await site.client("axel"), await site.client("hugo"), await site.client("theo")
    assert "a flood" in (await owner.get("/video/emergencies")).text
    assert "a flood" not in (await other.get("/video/emergencies")).text
    page = await adviser.get("/video/emergencies")
    [path] = set(re.findall(r'action="(/video/emergencies/[^"]+)"', page.text))
    token = csrf(page.text)
    refused = await adviser.post(path, data={**token, "justified": "no", "note": " "})
    assert (refused.status_code, "note_missing" in refused.text) == (400, True)
    foreign = await other.get("/video/emergencies")
    stranger = await other.get("/video/rights")
    assert (await other.post(path, data={**csrf(stranger.text), "justified": "yes"})).status_code == 404, (
        foreign.text
    )
    done = await adviser.post(path, data={**token, "justified": "yes", "note": "it was"})
    assert done.status_code == 303
    assert "it was" in (await owner.get("/video/emergencies")).text
    async with world.database.acquire() as connection:
        kinds = [
            entry.kind
            for entry in await find_entries(
                connection, world.sealer, subject=subject_of(camera.id), log=Log.EXCHANGE
            )
        ]
    assert "emergency.reviewed" in kinds


async def test_an_owner_sees_who_used_its_camera_and_nobody_elses(world: Any, site: Any, film: Any) -> None:
    since = datetime.now(UTC) - timedelta(hours=2)
    request = ViewRequest(
        camera=film.camera["south-1"].id,
        action=Action.VIEW_RECORDING,
        purpose=INVESTIGATION,
        case="PV-SECRET",
        since=since,
        until=since + timedelta(minutes=5),
    )
    view = await site.platform.rights.open(film.session("iris", "investigator"), request)
    await view.end()
    owner, guest = await site.client("hugo"), await site.client("axel")
    page = await owner.get("/video/uses?camera=south-1")
    assert page.status_code == 200
    assert "Iris D" in page.text
    assert "enquête" in page.text
    assert "PV-SECRET" not in page.text
    assert (await guest.get("/video/uses?camera=south-1")).status_code == 404
    assert (await (await site.client("wim")).get("/video/uses")).status_code == 403
    async with world.database.acquire() as connection:
        assert await find_entries(connection, kind="trace.read", log=Log.EXCHANGE)
