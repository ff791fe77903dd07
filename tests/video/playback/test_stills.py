"""The picture on which masks are drawn: of the own camera alone, through the gate, decoded elsewhere."""

import base64
import os
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.video.playback.conftest import Site
from tests.video.playback.test_api import Client, mask_the_left
from tests.video.rights.test_rights import trace

from koinon.base.clock import BRUSSELS
from koinon.base.errors import Unavailable
from koinon.demo.region.video import UPKEEP, VIDEO
from koinon.trust.parties.model import LOCAL_ISSUER
from koinon.trust.standing.acts import Deed, TargetKind


class Manager(Client):
    """Rik, who manages the cameras of zone South, as a program."""

    async def take(self, camera: Any) -> httpx.Response:
        if not self.csrf:
            await self.open()  # finds the mark that a page gives
        return await self.http.post(
            f"/api/video/cameras/{camera}/still", headers={"X-CSRF-Token": self.csrf, "Accept-Language": "en"}
        )


async def token_of(site: Site, login: str, profile: str) -> str:
    """The token of a session of that person in that profile."""
    world, sessions = site.film.world, site.sign_in_with.sessions
    at = world.clock.now()
    async with world.database.transaction() as connection:
        token: str = await sessions.open(connection, LOCAL_ISSUER, login, at)
        session = await sessions.find(connection, token, at)
        if session.profile != profile:
            choices = await sessions.choices(connection, LOCAL_ISSUER, login, at)
            choice = next(each for each in choices if each.profile == profile)
            token = await sessions.choose(connection, session, choice.person, profile, at)
    return token


@pytest.fixture
async def manager(site: Site) -> Any:
    found = Manager(site, await token_of(site, "rik", "camera_manager"))
    yield found
    await found.http.aclose()


def picture_of(answer: httpx.Response) -> Any:
    kind, _, data = answer.json()["image"].partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(BytesIO(base64.b64decode(data)))


async def test_a_manager_gets_the_last_picture_of_the_own_camera_and_its_owner_finds_that_in_the_trace(
    manager: Manager, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    def decodes(*_: Any, **__: Any) -> None:
        raise AssertionError("decoded in the process that holds sessions and keys")

    camera = site.film.camera["south-1"]
    await mask_the_left(site, site.units[0].start - timedelta(days=1))
    with monkeypatch.context() as patched:
        for name in ("CodecContext", "open", "VideoFrame", "Packet"):
            patched.setattr(av, name, decodes)
        got = await manager.take(camera.id)
    assert got.status_code == 200, got.text
    assert got.headers["cache-control"] == "no-store"
    picture = picture_of(got)
    assert picture.size == (320, 180)
    # Who draws sees what is to be covered: the rule of this still demands no masks.
    low, high = picture.convert("L").crop((5, 5, 150, 175)).getextrema()
    assert high - low > 60
    told = got.json()
    assert told["watermark"].startswith("Rik")
    last = site.units[-1]
    assert last.start.isoformat()[:19] <= told["taken_at"][:19] <= last.end.isoformat()[:19]
    [(begun, private)] = await trace(site.film.world, "exchange.begun", camera)
    assert (begun.public["action"], private["purpose"]) == ("mask", UPKEEP)
    [(ended, _)] = await trace(site.film.world, "exchange.ended", camera)
    assert ended.public["reason"] == "completed"


async def test_nobody_else_gets_one_and_every_try_is_in_the_trace(manager: Manager, site: Site) -> None:
    film = site.film
    # Of another zone, though shared: its masks are its owner's matter.
    for camera in (film.camera["centre-1"].id, film.camera["west-1"].id):
        got = await manager.take(camera)
        assert (got.status_code, got.json()["code"]) == (404, "camera_unknown")
    assert await trace(film.world, "exchange.refused", film.camera["centre-1"])
    for login, profile in (
        ("iris", "investigator"),
        ("rik", "control_room_supervisor"),
        ("cato", "camera_manager"),
    ):
        other = Manager(site, await token_of(site, login, profile))
        got = await other.take(film.camera["south-1"].id)
        assert (got.status_code, got.json()["code"]) == (404, "camera_unknown"), login
        await other.http.aclose()
    # And what gives a still gives nothing more: no recording, no playlist, no word of where it was masked.
    opened = await manager.open("south-1", action="mask", purpose=UPKEEP)
    assert opened.status_code == 400 and opened.json()["code"] == "action_not_here"
    opened = await manager.open("south-1", purpose=UPKEEP)
    assert (opened.status_code, opened.json()["code"]) == (404, "camera_unknown")


async def test_where_there_is_none_the_reason_is_told(
    manager: Manager, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, camera = site.film.world, site.film.camera["south-1"]
    async with world.database.acquire() as connection:
        await connection.execute(
            "DELETE FROM recordings.unit USING cameras.stream s WHERE s.id = stream AND s.camera = $1",
            camera.id,
        )

    async def nothing(*_: Any) -> Any:
        raise Unavailable("not_recorded")

    with monkeypatch.context() as patched:
        patched.setattr(site.live, "take_key", nothing)
        got = await manager.take(camera.id)
    assert (got.status_code, got.json()["code"]) == (404, "no_still")
    [(ended, _)] = await trace(world, "exchange.ended", camera)
    assert ended.public["reason"] == "failed"
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    got = await manager.take(camera.id)
    assert (got.status_code, got.json()["code"]) == (403, "authorisation_suspended")


@pytest.mark.browser
@pytest.mark.parametrize("language", ["nl", "fr", "en"])
async def test_the_editor_draws_on_the_picture_and_says_so_where_there_is_none(
    site: Site, new_page: Any, find_barriers: Any, language: str
) -> None:
    page = await new_page(locale=language)
    token = await token_of(site, "rik", "camera_manager")
    await page.context.add_cookies([{"name": "koinon_session", "value": token, "url": site.origin}])
    camera = site.film.camera["south-1"].id
    await page.goto(f"{site.origin}/video/masks/{camera}?lang={language}")
    await page.wait_for_selector("svg.has-picture image[href^='data:image/jpeg']")
    assert await page.locator("[data-mark]").inner_text() != ""
    assert (
        str(site.units[-1].start.astimezone(BRUSSELS).year) in await page.locator("[data-told]").inner_text()
    )
    await page.fill("#points", "10,10 60,10 60,60")
    assert await page.locator("svg.mask-picture polygon").count() == 1
    assert await find_barriers(page) == []
    await shoot(page, f"{language}-masks-picture")
    await site.film.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    await page.goto(f"{site.origin}/video/masks/{camera}?lang={language}")
    told = page.locator("[data-told]")
    await page.wait_for_selector("[data-again]:not([disabled]):not([hidden])")
    suspended = {"nl": "geschorst", "fr": "suspendu", "en": "suspended"}[language]
    assert suspended in await told.inner_text()
    assert await page.locator("svg.has-picture").count() == 0
    assert await find_barriers(page) == []
    await shoot(page, f"{language}-masks-grid")


async def shoot(page: Any, name: str) -> None:
    if folder := os.environ.get("KOINON_SCREENSHOTS"):
        await page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
