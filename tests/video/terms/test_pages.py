"""The pages of terms, holds and masks: who sees what, what a form does, and a browser that draws them."""

import os
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.video.terms.conftest import Site

from koinon.app.http import build_app
from koinon.app.wiring import open_platform
from koinon.base.errors import Invalid
from koinon.base.settings import Settings
from koinon.demo.cameras_seed import CAMERAS, seed_cameras
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE, SignIn
from koinon.trust.parties.sign_in.sessions import Sessions, csrf_token
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.terms.web import read_moment

LANGUAGES = ("nl", "fr", "en")


class Pages:
    """The platform over a demo region with its six cameras, some recordings, and the people of the region."""

    def __init__(self, world, platform, app, site, cameras):
        self.world, self.platform, self.app, self.site, self.cameras = world, platform, app, site, cameras

    async def token(self, login, profile):
        sessions, at = Sessions(self.platform.sealer), self.platform.clock.now()
        async with self.platform.database.transaction() as connection:
            token = await sessions.open(connection, LOCAL_ISSUER, login, at)
            session = await sessions.find(connection, token, at)
            if session.profile != profile:
                choices = await sessions.choices(connection, LOCAL_ISSUER, login, at)
                choice = next(each for each in choices if each.profile == profile)
                token = await sessions.choose(connection, session, choice.person, profile, at)
        return token

    @asynccontextmanager
    async def client(self, login, profile):
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8000", params={"lang": "en"}
        ) as client:
            token = await self.token(login, profile)
            client.cookies.set(SESSION_COOKIE, token)
            client.headers.update(
                {"X-CSRF-Token": csrf_token(token), "Accept-Language": "en", "Accept": "text/html"}
            )
            yield client


@pytest.fixture
async def pages(world, tmp_path):
    async with AsyncExitStack() as stack:
        settings = Settings(home=world.home, epoch_limit_seconds=30.0)
        platform = await stack.enter_async_context(open_platform(settings, url=world.url, sources={}))
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        stack.push_async_callback(sign_in.close)
        sources = {each.code: f"rtsp://127.0.0.1:1/{each.code}" for each in CAMERAS}
        async with world.database.transaction() as connection:
            await seed_cameras(
                connection, world.sealer, world.home, world.region.parties, sources, at=world.clock.now()
            )
        site = await Site(world.database, tmp_path / "recordings").open()
        rows = await site.rows(
            "SELECT c.code, c.id, s.id FROM cameras.camera c JOIN cameras.stream s ON s.camera = c.id"
            " WHERE s.role = 'main' AND c.owner = $1 ORDER BY c.code",
            world.region.parties["zone-west"],
        )
        now = datetime.now(UTC)
        for number, (code, _, stream) in enumerate(rows, 1):
            await site.unit(stream, now - timedelta(days=9 * number, hours=3), code=code)
        yield Pages(world, platform, build_app(platform, sign_in), site, rows)


async def test_a_party_sees_its_own_cameras_and_its_manager_sets_a_shorter_term(pages):
    code, camera, _ = pages.cameras[0]
    async with pages.client("cato", "camera_manager") as client:
        shown = await client.get("/video/terms")
        assert shown.status_code == 200 and code in shown.text and "9.1 of" in shown.text
        south = await pages.site.rows(
            "SELECT code FROM cameras.camera WHERE owner = $1", pages.world.region.parties["zone-south"]
        )
        assert south and all(other not in shown.text for (other,) in south)
        refused = await client.post(f"/video/terms/{camera}", data={"days": "4000"})
        assert refused.status_code == 400 and "the law allows no more" in refused.text
        done = await client.post(f"/video/terms/{camera}", data={"days": "5"})
        assert done.status_code == 303
        assert "5 days" in (await client.get("/video/terms")).text
    async with pages.client("sofie", "control_room_supervisor") as client:
        refused = await client.post(f"/video/terms/{camera}", data={"days": "6"})
        assert refused.status_code == 403 and "camera manager" in refused.text
    async with pages.client("an", "case_handler") as client:
        assert (await client.get("/video/terms")).status_code == 403


async def test_a_hold_is_placed_seen_and_ended_and_its_reason_is_for_its_own_party(pages):
    code, camera, _ = pages.cameras[0]
    now = datetime.now(UTC)
    form = {
        "cameras": [str(camera)], "since": f"{now - timedelta(days=10):%Y-%m-%d} 12:00",
        "until": f"{now - timedelta(days=8):%Y-%m-%d}T12:00", "basis": "incident", "reason": "Broken window",
        "case": "PV-7", "ends_at": f"{now + timedelta(days=9):%Y-%m-%d}",
    }  # fmt: skip
    async with pages.client("sofie", "control_room_supervisor") as client:
        wrong = await client.post("/video/holds/new", data={**form, "reason": " "})
        assert (
            wrong.status_code == 400
            and "why the images must be kept" in wrong.text
            and "checked" in wrong.text
        )
        nothing = await client.post("/video/holds/new", data={**form, "since": "yesterday"})
        assert nothing.status_code == 400 and "2026-11-24 10:30" in nothing.text
        never = await client.post("/video/holds/new", data={**form, "ends_at": "9999-12-31"})
        assert never.status_code == 400 and "2026-11-24 10:30" in never.text
        assert (await client.post("/video/holds/new", data=form)).status_code == 303
        listed = (await client.get("/video/holds")).text
        assert code in listed and "Broken window" in listed and "1 unit there" in listed
        ((hold,),) = await pages.site.rows("SELECT id FROM terms.hold")
    async with pages.client("rik", "control_room_supervisor") as client:
        assert "Broken window" not in (await client.get("/video/holds")).text
        assert (await client.post(f"/video/holds/{hold}/end")).status_code == 404
    async with pages.client("sofie", "control_room_supervisor") as client:
        assert (await client.post(f"/video/holds/{hold}/end")).status_code == 303
        assert "Everything is deleted" in (await client.get("/video/holds")).text
        assert code in (await client.get("/video/holds", params={"over": "true"})).text
        # The clock was set back that night: what may be meant is held.
        night = {"since": "2025-10-26T02:10", "until": "2025-10-26T02:20"}
        assert (await client.post("/video/holds/new", data={**form, **night})).status_code == 303
        ((since, until),) = await pages.site.rows("SELECT since, until FROM terms.hold WHERE id <> $1", hold)
    assert (f"{since:%H:%M}", f"{until:%H:%M}") == ("00:10", "01:20")


async def test_masks_are_drawn_by_the_owners_manager_only(pages):
    _, camera, _ = pages.cameras[0]
    points = "10,10 40,10 40,40 10,40"
    async with pages.client("cato", "camera_manager") as client:
        bad = await client.post(
            f"/video/masks/{camera}", data={"points": "1,1 nonsense", "kind": "fill", "why": "x"}
        )
        assert bad.status_code == 400 and "no list of points" in bad.text and "1,1 nonsense" in bad.text
        done = await client.post(
            f"/video/masks/{camera}", data={"points": points, "kind": "mosaic", "why": "Windows"}
        )
        assert done.status_code == 303
        page = (await client.get(f"/video/masks/{camera}")).text
        assert points in page and "9 % of the picture" in page and 'points="16,9 64,9 64,36 16,36"' in page
    async with pages.client("rik", "camera_manager") as client:
        assert (await client.get(f"/video/masks/{camera}")).status_code == 404
        assert (
            await client.post(f"/video/masks/{camera}", data={"points": "", "why": "x"})
        ).status_code == 404
    async with pages.client("sofie", "control_room_supervisor") as client:
        assert (await client.get("/video/masks")).status_code == 403


async def test_a_manager_whom_the_commission_stopped_shortens_no_term_and_uncovers_nothing(pages):
    _, camera, _ = pages.cameras[0]
    cato = pages.world.region.persons["cato"]
    keeper = pages.platform.keeper
    async with pages.client("cato", "camera_manager") as client:
        before = (await keeper.settle()).epoch
        await pages.world.act("chair", Deed.SUSPEND, TargetKind.PERSON, str(cato))
        await keeper.refresh(before)
        for path, data in (
            (f"/video/terms/{camera}", {"days": "1"}),
            (f"/video/masks/{camera}", {"points": "", "kind": "fill", "why": "x"}),
        ):
            answer = await client.post(path, data=data)
            assert answer.status_code == 403, path
    assert await pages.site.rows("SELECT FROM masks.mask") == []
    assert await pages.site.rows("SELECT FROM terms.own_term") == []


def test_a_moment_is_read_in_brussels_time_across_the_change_of_the_clocks():
    assert read_moment("2026-07-01 12:00") == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert read_moment("2026-12-01T12:00") == datetime(2026, 12, 1, 11, tzinfo=UTC)
    for nonsense in ("", "noon", "2026-03-29 02:30"):  # the last one never came
        with pytest.raises(Invalid) as refused:
            read_moment(nonsense)
        assert refused.value.code == "hold_moment_malformed"


@pytest.mark.browser
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_browser_draws_the_pages_and_a_click_adds_a_point(
    pages, serve, new_page, find_barriers, language
):
    origin = await serve(pages.app)
    page = await new_page(locale=language)
    token = await pages.token("cato", "camera_manager")
    await page.context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": origin}])
    _, camera, _ = pages.cameras[0]
    shots = os.environ.get("SHOTS")
    for path in (
        "/video/terms",
        "/video/holds",
        "/video/holds/new",
        "/video/masks",
        f"/video/masks/{camera}",
    ):
        answer = await page.goto(f"{origin}{path}?lang={language}")
        assert answer.status == 200, path
        assert await find_barriers(page) == [], path
        if shots:
            name = path.strip("/").replace("/", "-")[:20]
            await page.screenshot(path=str(Path(shots) / f"{language}-{name}.png"), full_page=True)
    await page.wait_for_selector(
        "[data-again]:not([disabled]):not([hidden])"
    )  # there is no still: it was said
    await page.fill("#points", "10,10 60,10")
    await page.locator("svg.mask-picture").click()  # in the middle
    first, second, third = (await page.input_value("#points")).split()
    assert (first, second) == ("10,10", "60,10") and third.startswith(("49.", "50"))
    drawn = await page.locator("svg.mask-picture polygon").get_attribute("points")
    assert drawn.startswith("16,9 96,9 ") and drawn.count(",") == 3
