"""The live pages in a real Chromium: the picture is there and moves, and is gone at once when it must be."""

import asyncio
import time
from typing import Any

import pytest

from koinon.base.errors import NotAllowed
from koinon.demo.cameras import Fault

pytestmark = pytest.mark.browser

CLIP = {"width": 640, "height": 360, "gop": 25, "kbits": 800, "seconds": 10}
STATE = "document.querySelector('.live-player')?.dataset.state"
# What is on the screen: mean brightness of the picture as the video element shows it, and a checksum.
LOOK = """() => {
  const video = document.querySelector("video"), canvas = document.createElement("canvas");
  canvas.width = 64; canvas.height = 36;
  const pen = canvas.getContext("2d");
  if (!video || getComputedStyle(video).visibility === "hidden" || !video.videoWidth) return {light: 0, sum: 0};
  pen.drawImage(video, 0, 0, 64, 36);
  const dots = pen.getImageData(0, 0, 64, 36).data;
  let light = 0, sum = 0;
  for (let at = 0; at < dots.length; at++) { light += dots[at]; sum = (sum * 31 + dots[at]) >>> 0; }
  return {light: light / dots.length, sum};
}"""


# What is on the screen whenever the player's state changes: at once, since it may change again with the next frame.
REMEMBER = """(look) => {
  const player = document.querySelector(".live-player"), light = eval(look);
  window.states = [];
  new MutationObserver(() => window.states.push({
    state: player.dataset.state, light: light().light, words: document.querySelector(".live-status").textContent,
  })).observe(player, {attributes: true, attributeFilter: ["data-state"]});
}"""


async def watch(page: Any, site: Any, address: str = "/video/cameras/c1/live", case: str = "P-1") -> None:
    page.set_default_timeout(10_000)
    await page.goto(site.origin + address)
    await page.fill("[name=case]", case)
    await page.click("[data-scripted]")


async def until_state(page: Any, state: str, seconds: float = 10) -> None:
    await page.wait_for_function(f"() => {STATE} === '{state}'", timeout=seconds * 1000)


async def test_the_picture_is_there_and_moves_and_says_how_late_it_is(
    tapped: Any, site_of: Any, new_page: Any
) -> None:
    site = await site_of(await tapped(CLIP))
    page = await new_page(locale="en")
    await watch(page, site)
    await until_state(page, "live")
    first = await page.evaluate(LOOK)
    assert first["light"] > 20
    await page.wait_for_function(f"(sum) => ({LOOK})().sum !== sum", arg=first["sum"])
    told = await page.wait_for_function(
        "() => /^\\d+ ms/.exec(document.querySelector('.live-delay').textContent)?.[0]"
    )
    words = str(await told.json_value())
    assert int(words.split()[0]) < 1000, words
    marks = await page.inner_text(".live-marks span")
    assert "An Peeters" in marks and "2" in marks
    assert await page.evaluate("document.querySelector('video').videoWidth") == 640
    [view] = site.views
    assert (view.request.case, view.request.purpose) == ("P-1", "public-order")


async def test_a_cut_blanks_the_picture_at_once_and_says_why(
    tapped: Any, site_of: Any, new_page: Any
) -> None:
    site = await site_of(await tapped(CLIP))
    page = await new_page(locale="nl")
    await watch(page, site)
    await until_state(page, "live")
    assert (await page.evaluate(LOOK))["light"] > 20
    began = time.monotonic()
    site.views[0].cut("authorisation_suspended")
    await until_state(page, "cut")
    look = await page.evaluate(LOOK)
    took = time.monotonic() - began
    assert look["light"] == 0 and took < 5, (look, took)
    words = await page.inner_text(".live-status")
    assert words.startswith("Deze weergave is beëindigd.")
    assert await page.evaluate(
        "document.querySelector('video').currentSrc || ''"
    ) == "" or not await page.evaluate("document.querySelector('video').hasAttribute('src')")
    assert await page.is_visible(".live-retry")
    await asyncio.sleep(1.5)
    assert len(site.views) == 1, "what was suspended is not asked for again by itself"


async def test_a_connection_that_is_lost_blanks_and_comes_back(
    tapped: Any, site_of: Any, new_page: Any
) -> None:
    site = await site_of(await tapped(CLIP))
    page = await new_page(locale="fr")
    await watch(page, site)
    await until_state(page, "live")
    await page.evaluate(REMEMBER, LOOK)
    for connection in list(site._running.server_state.connections):
        connection.transport.abort()
    await page.wait_for_function("() => window.states.some((each) => each.state === 'lost')")
    await until_state(page, "live")
    # As it was at the moment of the loss, which does not last.
    lost = next(each for each in await page.evaluate("window.states") if each["state"] == "lost")
    assert lost["light"] == 0 and "Nouvel essai" in lost["words"]
    assert (await page.evaluate(LOOK))["light"] > 20
    assert len(site.views) == 2 and site.views[0].ended is not None


async def test_a_camera_that_goes_away_leaves_no_old_picture(
    tapped: Any, site_of: Any, new_page: Any
) -> None:
    place = await tapped(CLIP)
    site = await site_of(place)
    page = await new_page(locale="en")
    await watch(page, site)
    await until_state(page, "live")
    place.camera().fault = Fault(off=True)
    place.camera().disconnect()
    await until_state(page, "away")
    assert (await page.evaluate(LOOK))["light"] == 0
    await page.wait_for_selector(".live-status:has-text('it refuses')")
    place.camera().fault = Fault()
    await until_state(page, "live")
    assert len(site.views) == 1, "it is the same view"


async def test_a_refusal_is_said_in_words_and_not_asked_again(
    tapped: Any, site_of: Any, new_page: Any
) -> None:
    site = await site_of(await tapped(CLIP))
    site.rights.refusal = NotAllowed("camera_unknown")
    page = await new_page(locale="fr")
    await watch(page, site)
    await until_state(page, "refused")
    assert "Cette caméra ne peut pas être montrée." in await page.inner_text(".live-status")
    site.rights.refusal = None
    await page.click(".live-retry")
    await until_state(page, "live")


async def test_a_viewer_who_is_slow_jumps_ahead(tapped: Any, site_of: Any, new_page: Any) -> None:
    site = await site_of(await tapped({**CLIP, "kbits": 3000}))
    page = await new_page(locale="en")
    await watch(page, site)
    await until_state(page, "live")
    [viewer] = next(iter(site.live.hub._channels.values())).viewers
    session = await page.context.new_cdp_session(page)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    # A page that does not take messages for a while: its script is busy.
    await page.evaluate("() => { const until = Date.now() + 4000; while (Date.now() < until); }")
    await page.wait_for_function(
        """() => { const v = document.querySelector('video');
           return v.buffered.length && v.buffered.end(v.buffered.length - 1) - v.currentTime < 0.3; }""",
        timeout=8000,
    )
    assert await page.evaluate(STATE) == "live"
    assert viewer.stopped is False


async def test_h265_is_said_and_the_small_picture_taken(tapped: Any, site_of: Any, new_page: Any) -> None:
    place = await tapped({"codec": "h265", "gop": 13})
    site = await site_of(place)
    page = await new_page(locale="en")
    await watch(page, site)
    can = await page.evaluate("""MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L93.B0"')""")
    if can:
        await until_state(page, "live")
        return
    await until_state(page, "unsupported")
    words = await page.inner_text(".live-status")
    assert "cannot show the camera’s format" in words


async def test_the_wall_keeps_its_layout_in_the_address_and_obeys_the_keyboard(
    tapped: Any, site_of: Any, new_page: Any, wait_until: Any
) -> None:
    site = await site_of(await tapped(CLIP, streams=(1, 2, 3, 4)), streams=(1, 2, 3, 4))
    page = await new_page(locale="en")
    await watch(page, site, "/video/wall?tiles=4&cameras=c1,c2")
    await page.wait_for_function(
        "() => document.querySelectorAll('.live-player[data-state=live]').length === 2", timeout=15000
    )
    assert await page.locator(".wall-tile").count() == 4
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    assert await page.evaluate("document.activeElement.getAttribute('aria-label')") == "Tile 4"
    await page.locator(".wall-tile select").nth(3).select_option("c4")
    assert (await page.evaluate("location.search")) == "?tiles=4&cameras=c1,c2,,c4"
    await wait_until(lambda: len(site.views) == 3)
    await page.locator(".wall-tile").nth(0).focus()
    await page.keyboard.press("Delete")
    assert (await page.evaluate("location.search")) == "?tiles=4&cameras=,c2,,c4"
    await wait_until(lambda: site.views[0].ended is not None)
    await page.keyboard.press("3")
    assert await page.locator(".wall-tile").count() == 9
    assert len(site.views) == 3, "tiles that stay keep their view"
    await page.reload()
    await page.fill("[name=case]", "P-2")
    await page.click("[data-scripted]")
    await page.wait_for_function("() => document.querySelectorAll('.wall-tile').length === 9")
    await page.wait_for_function(
        "() => document.querySelectorAll('.live-player[data-state=live]').length === 2", timeout=15000
    )


async def test_a_wall_without_a_choice_opens_with_the_first_cameras(
    tapped: Any, site_of: Any, new_page: Any
) -> None:
    site = await site_of(await tapped(CLIP, streams=(1, 2)), streams=(1, 2))
    page = await new_page(locale="en")
    await watch(page, site, "/video/wall")
    await page.wait_for_function(
        "() => document.querySelectorAll('.live-player[data-state=live]').length === 2", timeout=15000
    )
    assert await page.locator(".wall-tile:not(:has(.live-player))").count() == 2
    assert {view.request.camera for view in site.views} == {camera.id for camera in site.rights.cameras}


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
async def test_the_pages_have_no_barriers(
    tapped: Any, site_of: Any, new_page: Any, find_barriers: Any, language: str
) -> None:
    site = await site_of(await tapped(CLIP, streams=(1, 2)), streams=(1, 2))
    page = await new_page(locale=language)
    await page.goto(site.origin + "/video/wall")
    assert await find_barriers(page) == []
    await watch(page, site, "/video/wall?tiles=4&cameras=c1,c2")
    await until_state(page, "live")
    assert await find_barriers(page) == []
