"""The page of playback in a real browser: pictures, the timeline, steps, civil time, and the end of a view."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import mounted
from tests.video.playback.conftest import Site

from koinon.demo.region.video import INVESTIGATION, VIDEO
from koinon.trust.gate.model import EndReason
from koinon.trust.gate.uses import Cut
from koinon.trust.standing.acts import Deed, TargetKind

pytestmark = pytest.mark.browser


async def wait_for(page: Any, condition: str, seconds: float = 30) -> None:
    await page.wait_for_function(condition, timeout=seconds * 1000)


PICTURE = """() => [...document.querySelectorAll('video')].some(
    (video) => video.readyState > 1 && !video.classList.contains('is-blank'))"""

NOTE = (
    "() => ((text) => [...document.querySelectorAll('.playback-note')].some((n) => text.test(n.textContent)))"
)


def keep(name: str) -> dict[str, Any]:
    """Where a picture of the page goes, for who wants to look."""
    folder = os.environ.get("KOINON_SCREENSHOTS")
    return {"path": str(Path(folder) / f"{name}.png"), "full_page": True} if folder else {}


async def test_pictures_move_and_the_gap_of_the_other_camera_is_told(site: Site, new_page: Any) -> None:
    page = await site.open(new_page)
    await site.begin(page, "south-1", "centre-1")
    await wait_for(page, PICTURE, 20)
    before = await page.evaluate("document.querySelector('video').currentTime")
    await wait_for(page, f"() => document.querySelector('video').currentTime > {before} + 1")
    await wait_for(
        page,
        "() => [...document.querySelectorAll('.playback-note')].some(n => /n’a rien envoyé/.test(n.textContent))",
    )
    await page.click(".playback-words summary")
    await wait_for(
        page,
        "() => / – .* : .*\\(.*n’a rien envoyé\\)/.test(document.querySelector('[data-missing]').textContent)",
    )
    await page.screenshot(**keep("playback"))


async def test_a_cut_blanks_the_player_at_once(site: Site, new_page: Any) -> None:
    page = await site.open(new_page)
    await site.begin(page, "south-1", at=site.units[0].start)
    await wait_for(page, PICTURE, 20)
    await page.click("[data-do=play]")  # it stands still, and is cut all the same
    await site.film.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    acted = time.monotonic()
    await wait_for(page, "() => !document.querySelector('video').hasAttribute('src')")
    assert time.monotonic() - acted < 5  # benchmarks/cut.py has the second
    assert await page.evaluate("document.querySelector('video').classList.contains('is-blank')")
    assert "arrêt" in (await page.inner_text(".playback-note")).lower() or await page.is_visible(
        ".playback-note"
    )


async def test_a_view_that_ends_in_passing_comes_back_by_itself_and_stands_where_it_stood(
    site: Site, new_page: Any
) -> None:
    page = await site.open(new_page)
    await site.begin(page, "south-1", at=site.units[0].start)
    await wait_for(page, PICTURE, 20)
    await page.click("[data-do=play]")
    await wait_for(page, "() => document.querySelector('video').paused")
    await page.evaluate("new Promise((done) => setTimeout(done, 150))")  # two ticks of the page
    clock = await page.inner_text("[data-clock]")
    for use in list(site.platform.uses._uses.values()):
        use.cut_now(Cut(EndReason.UNCONFIRMED, "standing_unconfirmed"))
    await wait_for(page, "() => !document.querySelector('video').hasAttribute('src')")
    assert await page.is_visible(".playback-retry")
    await wait_for(page, PICTURE, 20)
    assert await page.inner_text("[data-clock]") == clock
    assert await page.evaluate("document.querySelector('video').paused")
    assert not await page.is_visible(".playback-retry")


async def test_keys_step_frames_and_seek_on_the_timeline(site: Site, new_page: Any) -> None:
    page = await site.open(new_page)
    await site.begin(page, "south-1", at=site.units[0].start)
    await wait_for(page, PICTURE, 20)
    await page.focus("[data-timeline]")
    await page.keyboard.press("Space")
    # It may have been paused before, waiting for pictures: two ticks of the page later it stands where it stays, unless
    # it still waits for the picture of that moment, which it says.
    await page.evaluate("new Promise((done) => setTimeout(done, 150))")
    await wait_for(
        page,
        "() => document.querySelector('video').paused && !document.querySelector('video').seeking"
        " && document.querySelector('.playback-note').textContent === ''",
    )
    shown = "document.querySelector('video').currentTime"
    # Into the middle of what is recorded: the form takes minutes, so that its first seconds may be before it.
    start = await page.evaluate("document.querySelector('video').buffered.start(0)")
    frame = (
        f"Math.floor(({shown} - {start}) * 25 + 0.001)"  # which of the 25 frames of a second is on the screen
    )
    before = await page.evaluate(frame)
    assert before >= 0
    await page.keyboard.press(".")
    await wait_for(page, f"() => {frame} === {before + 1}")
    await page.keyboard.press(",")
    await wait_for(page, f"() => {frame} === {before}")
    await page.keyboard.press("End")
    await wait_for(page, "() => document.querySelector('.playback-note').textContent !== ''")
    told = await page.get_attribute("[data-timeline]", "aria-valuetext")
    assert told and "south 1" in told


@pytest.mark.parametrize(("day", "hidden"), [("2026-10-25", False), ("2026-10-24", True)])
async def test_the_hour_that_comes_twice_asks_which(
    site: Site, new_page: Any, day: str, hidden: bool
) -> None:
    page = await site.open(new_page)
    await mounted(page)
    await page.fill("[name=date]", day)
    await page.fill("[name=time]", "02:30")
    assert await page.is_hidden("[data-twice]") is hidden


async def test_what_was_filled_in_before_the_script_came_stays(site: Site, new_page: Any) -> None:
    page = await site.open(new_page)
    came = asyncio.Event()

    async def late(route: Any) -> None:
        await came.wait()
        await route.continue_()

    await page.route("**/playback*.js", late)
    await page.reload()
    await page.fill("[name=date]", "2026-10-25")
    await page.fill("[name=time]", "02:30")
    await page.fill("[name=case]", "PV-1")
    assert await page.is_hidden("[data-twice]")
    assert await page.is_disabled("[data-scripted]")
    await page.press("[name=case]", "Enter")
    came.set()
    await wait_for(page, "() => !document.querySelector('[data-twice]').hidden")
    given = [await page.input_value(f"[name={name}]") for name in ("date", "time", "case")]
    assert given == ["2026-10-25", "02:30", "PV-1"]
    assert await page.evaluate("location.search") == "", "nothing was sent as a plain form"
    assert await page.is_enabled("[data-scripted]")


async def test_an_hour_that_does_not_exist_is_told(site: Site, new_page: Any) -> None:
    page = await site.open(new_page)
    await page.check(f"input[value='{site.film.camera['south-1'].id}']")
    await page.fill("[name=date]", "2026-03-29")
    await page.fill("[name=time]", "02:30")
    await page.select_option("[name=purpose]", INVESTIGATION)
    await page.click(".playback-ask .actions button")
    await page.wait_for_selector("[data-error]:has-text('horloge a avancé')")


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
async def test_the_page_has_no_barriers_in_any_language(
    site: Site, new_page: Any, find_barriers: Any, language: str
) -> None:
    page = await site.open(new_page, width=1280 if language != "en" else 390)
    await page.goto(f"{site.origin}/video/playback?lang={language}")
    assert await page.get_attribute("html", "lang") == language
    await page.screenshot(**keep(f"ask-{language}"))
    assert await find_barriers(page) == []
    await site.begin(page, "south-1", "centre-1")
    await wait_for(page, PICTURE, 20)
    await page.click(".playback-words summary")
    await page.wait_for_selector("[data-missing] li")
    await page.screenshot(**keep(f"playback-{language}"))
    assert await find_barriers(page) == []
