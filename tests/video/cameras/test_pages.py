"""The pages of the cameras: who finds what on the map, what everybody may know, and a browser that draws it."""

import asyncio
import io
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.video.cameras.base_maps import PICTURE, WATER, write_base_map

from koinon.app.http import build_app
from koinon.app.wiring import open_platform
from koinon.base.settings import Settings
from koinon.demo.cameras_seed import CAMERAS, seed_cameras
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE, SignIn
from koinon.trust.parties.sign_in.sessions import Sessions, csrf_token
from koinon.video.cameras import service, store
from koinon.video.cameras.territory import in_region

LANGUAGES = ("nl", "fr", "en")
HEADER = "code,name,latitude,longitude,place_kind,municipality,sensor"
ROW = "imported-1,Imported,50.85,4.35,public_open,21004,fixed"


class Site:
    """The platform over a demo region with its six cameras, and the people of the region."""

    def __init__(self, world, platform, app):
        self.world = world
        self.platform = platform
        self.app = app
        self.ids: dict[str, Any] = {}

    async def seed(self):
        parties = self.world.region.parties
        sources = {each.code: f"rtsp://127.0.0.1:1/{each.code}" for each in CAMERAS}
        async with self.world.database.transaction() as connection:
            return await seed_cameras(
                connection, self.world.sealer, self.world.home, parties, sources, at=self.world.clock.now()
            )

    async def token(self, login, profile=None):
        sessions = Sessions(self.platform.sealer)
        at = self.platform.clock.now()
        async with self.platform.database.transaction() as connection:
            token = await sessions.open(connection, LOCAL_ISSUER, login, at)
            session = await sessions.find(connection, token, at)
            if profile is not None and session.profile != profile:
                choices = await sessions.choices(connection, LOCAL_ISSUER, login, at)
                choice = next(each for each in choices if each.profile == profile)
                token = await sessions.choose(connection, token, choice.person, profile, at) or token
        return token

    @asynccontextmanager
    async def client(self, login=None, profile=None):
        """Somebody at the pages, in English, with the session's CSRF token at hand."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            client.headers["Accept-Language"] = "en"
            if login is not None:
                token = await self.token(login, profile)
                client.cookies.set(SESSION_COOKIE, token)
                client.headers["X-CSRF-Token"] = csrf_token(token)
            yield client

    async def change(self, verb, camera, by):
        async with self.world.database.transaction() as connection:
            found = await store.find_camera_by_code(connection, camera)
            await verb(connection, self.world.sealer, found.id, by=by(found), at=self.world.clock.now())


@pytest.fixture
async def site(world):
    async with AsyncExitStack() as stack:
        # A busy machine is no lost database. No test but those of the base map puts a file there.
        settings = Settings(home=world.home, epoch_limit_seconds=30.0, map_tiles="maps/base.pmtiles")
        platform = await stack.enter_async_context(open_platform(settings, url=world.url, sources={}))
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        stack.push_async_callback(sign_in.close)
        made = Site(world, platform, build_app(platform, sign_in))
        made.ids = await made.seed()
        yield made


def manager(found):
    from koinon.trust.parties import Author

    return Author(party=found.owner, profile="camera_manager")


def codes(answer):
    assert answer.status_code == 200, answer.text
    return {
        each["properties"]["code"]
        for each in answer.json()["features"]
        if each["properties"]["kind"] == "camera"
    }


async def test_everybody_finds_the_shared_cameras_and_nothing_more(site):
    async with site.client() as client:
        assert codes(await client.get("/cameras.geojson")) == {each.code for each in CAMERAS}
        await site.change(service.unshare_camera, "west-1", manager)
        await site.change(service.retire_camera, "south-1", manager)
        left = {each.code for each in CAMERAS} - {"west-1", "south-1"}
        data = await client.get("/cameras.geojson")
        assert codes(data) == left
        page = await client.get("/cameras?lang=en")
    told = {key for each in data.json()["features"] for key in each["properties"]}
    assert not told & {"state", "health", "link", "range_m", "source", "height_m"}
    assert not [each for each in data.json()["features"] if each["properties"]["kind"] == "view"]
    assert data.headers["content-type"].startswith("application/geo+json")
    assert "rtsp" not in data.text + page.text
    assert "Molenbeek" not in page.text.partition("<table")[2].partition("</table")[0]
    assert "DEMO/centre-1" in page.text and "21 March 2007" in page.text


async def test_owners_find_their_own_and_nobody_else_finds_what_is_not_shared(site):
    await site.change(service.unshare_camera, "west-1", manager)
    everything = {each.code for each in CAMERAS}
    for login, profile, expected in [
        ("cato", None, {"west-1", "west-2"}),  # the owner's camera manager: no right to others' images
        ("an", None, set()),  # somebody of a housing company
        ("olga", None, everything),  # the operator, who looks after the register
    ]:
        async with site.client(login, profile) as client:
            found = codes(await client.get("/video/map.geojson"))
            assert found == expected, login
            listed = (await client.get("/api/video/cameras")).json()["cameras"]
            assert {each["code"] for each in listed} == expected
            for code in everything:
                page = await client.get(f"/video/cameras/{code}")
                assert page.status_code == (200 if code in expected else 404), (login, code)
            assert (await client.get("/video")).status_code == 200


async def test_whoever_has_a_right_finds_the_cameras_of_others(site):
    async with site.client("wim") as client:  # control-room operator of the west zone
        found = codes(await client.get("/video/map.geojson"))
        assert found == {each.code for each in CAMERAS}
        page = await client.get("/video/cameras/centre-1")
        assert "rtsp" not in page.text and 'action="/video/cameras/centre-1' not in page.text
        async with site.world.database.transaction() as connection:
            camera = await store.find_camera_by_code(connection, "centre-1")
            await connection.execute(
                "UPDATE cameras.stream SET recorded = false WHERE camera = $1", camera.id
            )
            await connection.execute(
                "INSERT INTO remote.source VALUES ($1, '', 'rtsps://owner', 30, NULL, now())", camera.id
            )
        page = await client.get("/video/cameras/centre-1?lang=nl")
        assert (
            "opgenomen door haar eigenaar" in page.text and f"/video/asks/new?camera={camera.id}" in page.text
        )
        assert "opgenomen door haar eigenaar" in (await client.get("/video?lang=nl")).text
        await site.change(service.unshare_camera, "centre-1", manager)
        assert "centre-1" not in codes(await client.get("/video/map.geojson"))
        assert (await client.get("/video/cameras/centre-1")).status_code == 404


async def test_the_map_is_narrowed_by_owner_group_and_state_before_anything_is_counted(site):
    async with site.client("olga") as client:
        west = str(site.world.region.parties["zone-west"])
        for query, expected in [
            (f"owner={west}", {"west-1", "west-2"}),
            ("group=traffic", {"west-1", "south-1", "centre-1"}),
            ("state=unknown", {each.code for each in CAMERAS}),
            ("state=paused", set()),
            (f"owner={west}&group=traffic", {"west-1"}),
            ("group=nowhere&owner=%27%22%3E", set()),
        ]:
            assert codes(await client.get(f"/video/map.geojson?{query}")) == expected, query
            assert (await client.get(f"/video?{query}")).status_code == 200


async def test_another_partys_camera_is_changed_by_nobody_through_the_pages(site):
    async with site.client("cato") as client:
        for what in ("pause", "share", "unshare", "retire", "groups", "facts", "stream"):
            answer = await client.post(
                f"/video/cameras/centre-1/{what}", data={"role": "main", "source": "x"}
            )
            assert answer.status_code in (400, 404), (what, answer.status_code)
        assert (await client.post("/video/cameras/nowhere/pause")).status_code == 404
        assert (await client.get("/video/networks")).status_code == 403
    async with site.client("wim") as client:
        assert (await client.post("/video/cameras/west-1/pause")).status_code == 403
        assert (await client.get("/video/import")).status_code == 403
    async with site.world.database.acquire() as connection:
        cameras = await store.list_cameras(connection)
    assert all(each.state.value == "active" and each.shared for each in cameras)


async def test_an_owner_pauses_resumes_and_changes_a_camera_on_its_page(site):
    async with site.client("cato") as client:
        assert (await client.post("/video/cameras/west-1/pause")).status_code == 303
        assert "Resume" in (await client.get("/video/cameras/west-1?lang=en")).text
        refused = await client.post("/video/cameras/west-1/pause")
        assert refused.status_code == 409
        facts = {
            "name": "Renamed",
            "latitude": "50,8548",
            "longitude": "4.3388",
            "municipality": "21012",
            "place_kind": "public_open",
            "sensor": "fixed",
            "declaration": "DEMO/west-1",
        }
        assert (await client.post("/video/cameras/west-1/facts", data=facts)).status_code == 303
        bad = await client.post("/video/cameras/west-1/facts?lang=en", data=facts | {"latitude": "4,35"})
        assert bad.status_code == 400 and "outside the Region" in bad.text
        closed = await client.post(
            "/video/cameras/west-1/facts?lang=en", data=facts | {"place_kind": "not_public"}
        )
        assert closed.status_code == 403 and "article 2" in closed.text
        stream = {"role": "main", "source": "rtsp://admin:hunter2@192.0.2.1/x"}
        outside = await client.post("/video/cameras/west-1/stream?lang=en", data=stream)
        assert outside.status_code == 403 and "hunter2" not in outside.text
    async with site.world.database.acquire() as connection:
        camera = await store.find_camera_by_code(connection, "west-1")
    assert (camera.name, camera.latitude, camera.direction_deg) == ("Renamed", 50.8548, None)


async def test_a_camera_is_registered_on_its_page_and_what_is_wrong_stands_at_its_field(site):
    facts = {
        "code": "west-9",
        "name": "New",
        "latitude": "50.87",
        "longitude": "4.33",
        "municipality": "21010",
        "place_kind": "public_open",
        "sensor": "fixed",
    }
    async with site.client("cato") as client:
        assert (await client.get("/video/new-camera")).status_code == 200
        bad = await client.post("/video/cameras?lang=en", data=facts | {"range_m": "far"})
        assert bad.status_code == 400
        taken = await client.post("/video/cameras?lang=en", data=facts | {"code": "west-1"})
        assert taken.status_code == 409 and 'value="New"' in taken.text
        done = await client.post("/video/cameras", data=facts)
        assert done.headers["location"] == "/video/cameras/west-9"
        assert (await client.get("/video/cameras/west-9")).status_code == 200
        turns = facts | {"code": "west-8", "onvif": "http://u:hunter2@127.0.0.1:8080"}
        fixed = await client.post("/video/cameras?lang=en", data=turns)
        assert fixed.status_code == 409 and "hunter2" not in fixed.text, (
            "it does not turn, so it is not registered"
        )
        done = await client.post("/video/cameras", data=turns | {"sensor": "ptz"})
        assert done.headers["location"] == "/video/cameras/west-8"
        page = await client.get("/video/cameras/west-8?lang=fr")
        assert "http://127.0.0.1:8080/onvif/device_service" in page.text and "hunter2" not in page.text
        assert (await client.post("/video/cameras/west-8/uncontrol")).status_code == 303
        elsewhere = await client.post("/video/cameras/west-8/control", data={"onvif": "http://192.0.2.1/"})
        assert elsewhere.status_code == 403


async def test_a_file_is_tried_and_then_imported_on_its_page_and_through_the_api(site):
    file = f"{HEADER}\n{ROW}\n{ROW.replace('imported-1', '=cmd')}\n".encode()
    async with site.client("cato") as client:
        tried = await client.post(
            "/video/import?lang=en", data={"trial": "on"}, files={"file": ("c.csv", io.BytesIO(file))}
        )
        assert tried.status_code == 200 and "A trial" in tried.text and "refused" in tried.text
        assert (await client.get("/video/cameras/imported-1")).status_code == 404
        done = await client.post("/video/import", files={"file": ("c.csv", io.BytesIO(file))})
        assert done.status_code == 200
        assert (await client.get("/video/cameras/imported-1")).status_code == 200
        again = await client.post("/api/video/cameras/import?dry_run=true", content=file)
        assert (again.json()["unchanged"], again.json()["refused"]) == (1, 1)
        none = await client.post("/video/import?lang=en", data={"trial": "on"})
        assert none.status_code == 400
        unknown = await client.post("/video/import", files={"file": ("c.exe", io.BytesIO(b"MZ"))})
        assert unknown.status_code == 400


async def test_the_operator_allows_networks_and_makes_groups(site):
    async with site.client("olga") as client:
        party = str(site.world.region.parties["zone-west"])
        for form, status in [
            ({"party": party, "network": "10.4.0.0/16"}, 303),
            ({"party": party, "network": "169.254.0.0/16"}, 403),
            ({"party": party, "network": "anything"}, 400),
            ({"party": "x", "network": "10.4.0.0/16"}, 400),
        ]:
            assert (await client.post("/video/networks/allow", data=form)).status_code == status, form
        page = await client.get("/video/networks")
        assert "10.4.0.0/16" in page.text
        gone = await client.post("/video/networks/forbid", data={"party": party, "network": "10.4.0.0/16"})
        assert gone.status_code == 303
        group = {"code": "parks", "nl": "Parken", "fr": "Parcs", "en": "Parks"}
        assert (await client.post("/video/networks/group", data=group)).status_code == 303
        assert (await client.post("/video/networks/group", data=group)).status_code == 409


async def shows_colours(page, owners):
    """The chart is drawn: each owner's colour is on it, as far as a picture of it shows."""
    await shows(page, [(0x0B, 0x5F, 0x93), (0xB0, 0x4A, 0x00), (0x00, 0x6B, 0x4F)][:owners])


async def shows(page, wanted):
    """Each of the colours is on the chart."""
    from PIL import Image

    async with asyncio.timeout(20):
        while True:
            picture = Image.open(io.BytesIO(await page.locator(".camera-chart").screenshot())).convert("RGB")
            assert picture.height > 150
            seen = {colour for _, colour in picture.getcolors(picture.width * picture.height)}
            if all(any(near(each, colour) for each in seen) for colour in wanted):
                return


def near(one, other):
    return all(abs(a - b) <= 2 for a, b in zip(one, other, strict=True))


@pytest.mark.browser
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_public_map_is_drawn_without_another_host_and_is_in_order(
    site, serve, new_page, find_barriers, language
):
    origin = await serve(site.app)
    page = await new_page(locale=language, width=390 if language == "fr" else 1280)
    await page.goto(f"{origin}/cameras")
    await page.wait_for_selector(".camera-map.charted")
    await shows_colours(page, 3)
    assert await page.locator("tr[data-camera]").count() == 6
    assert await find_barriers(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
async def test_the_public_map_is_there_without_a_script_too(site, serve, new_page, find_barriers):
    origin = await serve(site.app)
    page = await new_page(locale="en", java_script_enabled=False)
    await page.goto(f"{origin}/cameras")
    assert await page.locator("a.map-point").count() == 6
    await page.locator("a.map-point").first.click()
    await page.wait_for_url("**/cameras#camera-1")


@pytest.mark.browser
async def test_list_and_map_follow_each_other_by_keyboard(site, serve, new_page, find_barriers):
    origin = await serve(site.app)
    page = await new_page(locale="en")
    await page.context.add_cookies(
        [{"name": SESSION_COOKIE, "value": await site.token("wim"), "url": origin}]
    )
    await page.goto(f"{origin}/video")
    await page.wait_for_selector(".camera-map.charted")
    assert await find_barriers(page) == []
    link = page.locator("li[data-camera=centre-1] a")
    await link.focus()
    popup = page.locator(".maplibregl-popup-content")
    await popup.wait_for()
    told = await popup.inner_text()
    assert "De Brouckère" in told
    assert await page.locator("li.chosen").get_attribute("data-camera") == "centre-1"
    canvas = page.locator(".maplibregl-canvas")
    await canvas.focus()
    before = await page.locator(".maplibregl-ctrl-scale").inner_text()
    await page.keyboard.press("+")
    await page.wait_for_function(
        "before => document.querySelector('.maplibregl-ctrl-scale').innerText !== before", arg=before
    )
    await page.select_option("[name=group]", "traffic")
    async with page.expect_navigation():
        await page.click(".map-filter button")
    await page.wait_for_selector(".camera-map.charted")
    assert await page.locator("li[data-camera]").count() == 3


@pytest.mark.browser
async def test_a_browser_becomes_a_work_station_and_proves_it(site, serve, new_page, find_barriers):
    origin = await serve(site.app)
    page = await new_page(locale="en")
    await page.context.add_cookies(
        [{"name": SESSION_COOKIE, "value": await site.token("pia"), "url": origin}]
    )
    await page.goto(f"{origin}/video/stations?lang=en")
    await page.fill("#centre-name", "Room 1")
    await page.click("form[action$=centres] button")
    await page.fill("[name=station]", "Desk 7")
    await page.click("form[data-register] button")
    said = page.locator("[data-said]")
    await said.filter(has_text="dix minutes").wait_for()
    assert "Desk 7" in await said.inner_text()
    assert await find_barriers(page) == []
    async with site.world.database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT s.name, p.until FROM cameras.presence p JOIN cameras.station s ON s.id = station"
        )
        assert [row["name"] for row in rows] == ["Desk 7"]
    # The private half cannot leave: not even this page's own script can export it.
    exported = await page.evaluate(
        """() => new Promise((resolve) => {
            const request = indexedDB.open("koinon-work-station", 1);
            request.onsuccess = () => {
                const get = request.result.transaction("keys").objectStore("keys").get("mine");
                get.onsuccess = () => crypto.subtle.exportKey("pkcs8", get.result.keys.privateKey)
                    .then(() => resolve("exported"), (error) => resolve(error.name));
            };
        })"""
    )
    assert exported == "InvalidAccessError"


@pytest.mark.browser
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_pages_of_a_camera_manager_are_in_order(site, serve, new_page, find_barriers, language):
    origin = await serve(site.app)
    page = await new_page(locale=language, width=390 if language == "nl" else 1280)
    await page.context.add_cookies(
        [{"name": SESSION_COOKIE, "value": await site.token("cato"), "url": origin}]
    )
    for path in ("/video/cameras", "/video/new-camera", "/video/cameras/west-1", "/video/import", "/video"):
        await page.goto(f"{origin}{path}?lang={language}")
        assert await page.locator("h1").count() == 1
        assert await find_barriers(page) == [], path
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def test_the_base_map_is_sent_in_ranges_and_nothing_else_is(site, tmp_path):
    place = site.world.home / "maps" / "base.pmtiles"
    whole = write_base_map(place)
    async with site.client() as client:
        page = (await client.get("/cameras")).text
        address = page.partition('data-tiles="')[2].partition('"')[0]
        first = await client.get(address, headers={"Range": "bytes=0-126"})
        assert (first.status_code, first.content) == (206, whole[:127])
        assert first.headers["content-range"] == f"bytes 0-126/{len(whole)}"
        assert first.headers["content-type"] == "application/vnd.pmtiles"
        again = {"Range": "bytes=-5", "If-Range": first.headers["etag"]}
        assert (await client.get(address, headers=again)).content == whole[-5:]
        assert (await client.get(address)).content == whole
        beyond = await client.get(address, headers={"Range": f"bytes={len(whole)}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")
        for other in ("/maps/municipalities.geojson", "/maps/..%2Fkoinon.toml", "/maps/base.pmtiles/x"):
            assert (await client.get(other)).status_code == 404
        # Another file under that name: of what the asker has a part of nothing is added to it.
        write_base_map(tmp_path / "other", vector=False)
        (tmp_path / "other").replace(place)
        changed = await client.get(address, headers=again)
        assert changed.status_code == 200 and changed.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize(
    ("data", "code"),
    [(None, "base_map_missing"), (b"PK\3\4" * 100, "base_map_malformed"), ("cut", "base_map_malformed")],
)
async def test_without_a_sound_base_map_municipalities_are_drawn_and_health_says_why(site, data, code):
    place = site.world.home / "maps" / "base.pmtiles"
    if data is not None:
        whole = write_base_map(place)
        place.write_bytes(whole[:-1] if data == "cut" else data)
    async with site.client() as client:
        assert "data-tiles" not in (await client.get("/cameras")).text
        answer = await client.get("/maps/base.pmtiles", headers={"Range": "bytes=0-10"})
        assert (answer.status_code, answer.json()["code"]) == (503, code)
        ready = await client.get("/health/ready")
        assert ready.status_code == 200 and ready.json()["checks"]["base_map"]["warning"] == code


@pytest.mark.browser
@pytest.mark.parametrize("vector", [True, False])
async def test_the_sites_base_map_lies_below_the_cameras(site, serve, new_page, find_barriers, vector):
    write_base_map(site.world.home / "maps" / "base.pmtiles", vector=vector)
    origin = await serve(site.app)
    page = await new_page(locale="fr")
    for login, path in ((None, "/cameras"), ("wim", "/video"), ("cato", "/video/new-camera")):
        if login is not None:
            await page.context.add_cookies(
                [{"name": SESSION_COOKIE, "value": await site.token(login), "url": origin}]
            )
        await page.goto(f"{origin}{path}")
        await page.wait_for_selector(".camera-map.charted[data-base]")
        await shows(page, [WATER if vector else PICTURE])
        assert await page.locator(".map-source").inner_text() == "Drawn for a test"
        assert await find_barriers(page) == [], path
    await page.locator(".maplibregl-canvas").click(position={"x": 200, "y": 150})
    latitude = float(await page.input_value("[name=latitude]"))
    longitude = float(await page.input_value("[name=longitude]"))
    assert in_region(latitude, longitude)
