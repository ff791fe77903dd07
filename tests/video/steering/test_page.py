"""The buttons in a real Chromium, over the real platform: what is held turns, what is let go stands still."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.video.steering.room import CAMERA

from koinon.base.ids import new_id
from koinon.demo.region.video import ZONE_WEST
from koinon.trust.parties import LOCAL_ISSUER, Author
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE
from koinon.video.cameras import Role, SourceKey, service
from koinon.video.live import Tap, tap_key
from koinon.video.live.alone import feed
from koinon.video.recorder import parse_source

pytestmark = pytest.mark.browser


@pytest.fixture
async def pictured(room: Any, cameras: Any) -> Any:
    """The room, and a picture of the camera that turns."""
    source = (await cameras({"width": 640, "height": 360, "gop": 25, "kbits": 800, "seconds": 10})).url(
        CAMERA
    )
    author = Author(party=room.world.region.parties[ZONE_WEST], profile="camera_manager")
    async with contextlib.AsyncExitStack() as stack:
        tap = Tap(tap_key(room.world.home))
        await tap.start("tcp:127.0.0.1:0")
        stack.push_async_callback(tap.close)
        async with room.world.database.transaction() as connection:
            await service.set_stream(
                connection, room.world.sealer, SourceKey.of(room.world.home), room.ids[CAMERA], Role.MAIN, source,
                by=author, at=datetime.now(UTC),
            )  # fmt: skip
            stream = await connection.fetchval(
                "SELECT id FROM cameras.stream WHERE camera = $1", room.ids[CAMERA]
            )
            recorder = new_id()
            await connection.execute(
                "INSERT INTO recordings.recorder (id, host, pid, tap_address, able) VALUES ($1, 'test', 1, $2, true)",
                recorder, tap.address,
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO recordings.serving (stream, copy, recorder, fence) VALUES ($1, 0, $2, 1)",
                stream, recorder,
            )  # fmt: skip
        feeding = asyncio.create_task(feed(tap, {stream: parse_source(source)}))
        stack.callback(feeding.cancel)
        yield room


async def steering(room: Any, page: Any, login: str) -> None:
    page.set_default_timeout(20_000)
    async with room.world.database.transaction() as connection:
        token = await room.sign_in.sessions.open(connection, LOCAL_ISSUER, login, datetime.now(UTC))
    await page.context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": room.origin}])
    await page.goto(f"{room.origin}/video/cameras/{CAMERA}/live")
    await page.click("[data-scripted]")
    await page.wait_for_selector(".live-player[data-state=live]")
    await page.click(".steer-begin")
    await page.wait_for_selector(".steer[data-state=holds]")


async def test_who_may_holds_a_button_and_the_camera_turns_until_it_is_let_go(
    pictured: Any, new_page: Any
) -> None:
    room = pictured
    page = await new_page(locale="nl")
    await steering(room, page, "wim")
    await page.wait_for_selector(".steer-status:text-is('U bestuurt deze camera.')")
    await page.hover(".steer-right")
    await page.mouse.down()
    await room.served.until("ContinuousMove")
    assert room.served.camera.heard[-1].velocity[0] > 0
    await page.mouse.up()
    await room.served.until("Stop")
    await page.wait_for_function("() => document.querySelector('.steer-where').textContent !== ''")
    before = len(room.served.camera.heard)
    await page.keyboard.down("ArrowUp")
    await room.served.until("ContinuousMove", beyond=before)
    assert room.served.camera.heard[-1].velocity[1] > 0
    await page.keyboard.up("ArrowUp")
    await room.served.until("Stop", beyond=before)
    await page.locator(".steer-fields select").nth(1).select_option("2")
    await room.served.until("GotoPreset")
    await page.keyboard.press("Escape")
    await page.wait_for_selector(".steer", state="detached")
    assert (await room.ended())["movements"] == {"pan_tilt": 2, "preset": 1}


async def test_the_owner_keeps_places_by_keyboard_and_others_see_no_way_to(
    pictured: Any, new_page: Any
) -> None:
    room = pictured
    page = await new_page(locale="nl")
    await steering(room, page, "wim")
    presets, name = room.served.camera.presets, "+<b>École</b>-1"
    await page.focus(".steer-places summary")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")  # which place
    await page.keyboard.press("Tab")
    await page.keyboard.type(name)
    await page.keyboard.press("ArrowLeft")  # in a text it is no order to the camera
    await page.keyboard.press("Enter")
    await page.wait_for_function(
        f"() => document.querySelector('.steer-kept').textContent === 'Bewaard: {name}'"
    )
    assert presets["4"] == (name, (0.0, 0.0, 0.0)) and "ContinuousMove" not in room.served.heard
    offered = page.locator(".steer-fields select").nth(1).locator("option")
    assert (await offered.all_inner_texts())[-1] == name and await page.locator(".steer b").count() == 0
    assert await page.inner_text(".steer-places .hint >> nth=0") == "4 van hoogstens 8 plekken"
    await page.locator(".steer-places select").select_option("4")
    assert await page.input_value(".steer-places input") == name
    await page.fill(".steer-places input", presets["2"][0])
    await page.keyboard.press("Enter")
    await page.wait_for_function(
        "() => document.querySelector('.steer-kept').textContent === "
        "'Een andere plek van deze camera heeft deze naam al.'"
    )
    await page.focus(".steer-remove")
    await page.keyboard.press("Enter")
    await page.wait_for_function(
        "() => document.querySelector('.steer-kept').textContent.startsWith('Verwijderd')"
    )
    assert set(presets) == {"1", "2", "3"}
    assert await page.locator(".steer-remove").is_disabled(), "nothing is chosen any more"
    assert await page.evaluate("document.activeElement.matches('.steer-places select')"), (
        "the focus is not lost"
    )
    await page.click(".steer-end")
    await page.wait_for_selector(".steer", state="detached")
    assert (await room.ended())["presets"] == {"set": 1, "removed": 1}
    other = await new_page(locale="fr")
    await steering(room, other, "zoe")
    assert await other.locator(".steer-places").is_hidden()
