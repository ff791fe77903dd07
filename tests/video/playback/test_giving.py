"""What a viewer gives on the page of playback: a second person's word, no masks, an emergency; small pictures."""

import asyncio
from typing import Any

import pytest
from tests.conftest import mounted
from tests.video.playback.conftest import Site
from tests.video.playback.test_page import PICTURE, keep, wait_for

from koinon.demo.region.video import CRISIS, INVESTIGATION
from koinon.trust.ledger import Log, find_entries, read_private
from koinon.video.rights import subject_of

pytestmark = pytest.mark.browser

NO_REASON = "[data-error]:text-is('Give a reason in writing: it is needed for this.')"


async def fields_of(site: Site, kind: str) -> list[Any]:
    """The private part of the uses of south-1, newest first."""
    world = site.film.world
    async with world.database.acquire() as connection:
        found = await find_entries(
            connection, world.sealer, subject=subject_of(site.film.camera["south-1"].id), log=Log.EXCHANGE
        )
        opened = await read_private(connection, world.sealer, found)
    return [p.fields for e, p in zip(found, opened, strict=True) if e.kind == kind]


async def test_without_masks_waits_for_the_word_of_a_second_person_and_then_shows(
    site: Site, new_page: Any
) -> None:
    page = await site.open(new_page)
    await page.goto(f"{site.origin}/video/playback?lang=en")
    await mounted(page)
    assert await page.is_visible("[name=unmask]")
    assert await page.inner_text("[data-purpose-needs]") == "For this purpose is needed: a case."
    assert await page.is_hidden("label[for=case] .optional")
    assert await page.is_visible("label[for=reason] .optional")
    await page.check("[name=unmask]")
    assert await page.is_hidden("label[for=reason] .optional")
    told = await page.inner_text("[data-purpose-needs]")
    assert "a case, a written reason, and a second person’s word for each camera" in told
    await page.screenshot(**keep("ask-unmask"))
    await site.begin(page, "south-1", at=site.units[0].start)
    await page.wait_for_selector(NO_REASON)
    await page.fill("[name=reason]", "a number plate")
    await page.click(".playback-ask .actions button")
    await page.wait_for_selector(".playback-note:has-text('Waiting for the word')")
    await page.screenshot(**keep("playback-asks"))
    second = await new_page()
    await second.context.add_cookies(
        [{"name": "koinon_session", "value": await site.sign_in("ivo"), "url": site.origin}]
    )
    await second.goto(f"{site.origin}/video/confirmations?lang=en")
    assert "a number plate" in await second.inner_text("main")
    await second.click("button[value=confirm]")
    await wait_for(page, PICTURE, 20)
    [use] = await fields_of(site, "exchange.begun")
    assert use["second_person"] == str(site.film.world.region.persons["ivo"])
    assert (use["purpose"], use["case"], use["reason"]) == (INVESTIGATION, "PV-1", "a number plate")
    assert "without masks" in await page.inner_text("[data-asked]")


async def test_what_a_second_person_declines_is_not_shown_and_can_be_asked_again(
    site: Site, new_page: Any
) -> None:
    page = await site.open(new_page)
    await page.goto(f"{site.origin}/video/playback?lang=en")
    await page.check("[name=unmask]")
    await page.fill("[name=reason]", "a number plate")
    await site.begin(page, "south-1", at=site.units[0].start)
    await page.wait_for_selector(".playback-note:has-text('Waiting for the word')")
    second = await new_page()
    await second.context.add_cookies(
        [{"name": "koinon_session", "value": await site.sign_in("ivo"), "url": site.origin}]
    )
    await second.goto(f"{site.origin}/video/confirmations?lang=en")
    await second.click("button[value=decline]")
    await page.wait_for_selector(".playback-note:has-text('declined')")
    assert await page.inner_text(".playback-retry") == "Ask a second person"
    assert await fields_of(site, "exchange.begun") == []
    await page.click(".playback-retry")
    await page.wait_for_selector(".playback-note:has-text('Waiting for the word')")


async def test_an_emergency_is_declared_with_a_reason_and_stands_in_the_trace(
    site: Site, new_page: Any
) -> None:
    page = await new_page()
    await page.context.add_cookies(
        [{"name": "koinon_session", "value": await site.sign_in("wim"), "url": site.origin}]
    )
    await page.goto(f"{site.origin}/video/playback?lang=en")
    await mounted(page)
    assert await page.is_hidden("[name=unmask]")
    assert await page.input_value("[name=purpose]") == CRISIS  # nothing else gives an operator recordings
    await page.check(f"input[name=camera][value='{site.film.camera['south-1'].id}']")
    await page.click(".playback-ask .actions button")
    await page.wait_for_selector("[data-error]:has-text('only there for emergencies')")
    await page.check("[name=emergency]")
    await page.click(".playback-ask .actions button")
    await page.wait_for_selector(NO_REASON)
    await page.screenshot(**keep("ask-emergency"))
    await page.fill("[name=reason]", "people under the bridge")
    views: list[Any] = []
    page.on("websocket", lambda opened: views.append(opened))
    # Sent twice, as who is impatient does while this browser proves that it is a work station: one view is opened.
    await page.evaluate(
        "() => { const form = document.querySelector('[data-ask]'); form.requestSubmit(); form.requestSubmit(); }"
    )
    await wait_for(page, "() => !document.querySelector('[data-screen]').hidden")
    assert "emergency declared" in await page.inner_text("[data-asked]")
    noted = None
    for _ in range(100):  # last of all, after the trace of the use
        async with site.film.world.database.acquire() as connection:
            if noted := await connection.fetchval("SELECT reason FROM rights.emergency"):
                break
        await page.wait_for_timeout(100)
    assert noted == "people under the bridge"
    [use] = await fields_of(site, "exchange.begun")
    assert (use["emergency"], use["reason"]) == (True, "people under the bridge")
    assert len(views) == 1


async def test_the_timeline_shows_a_small_picture_under_the_pointer_and_none_after_the_end(
    site: Site, new_page: Any
) -> None:
    page = await site.open(new_page)
    await page.goto(f"{site.origin}/video/playback?lang=en")
    asked, overtaken = asyncio.Event(), asyncio.Event()

    async def answer(route: Any) -> None:
        """The first answer comes last, and says nothing of this camera."""
        if asked.is_set():
            await route.continue_()
            return
        asked.set()
        await overtaken.wait()
        await route.fulfill(json={"now": 0, "cameras": {}})

    await page.route("**/api/video/timelines?*", answer)
    await site.begin(page, "south-1", at=site.units[0].start)
    await wait_for(page, PICTURE, 20)
    await asked.wait()
    await page.focus("[data-timeline]")
    await page.keyboard.press("Space")
    # Closer, so that some seconds of recording are wide enough to point at.
    for _ in range(5):
        await page.keyboard.press("+")
    await wait_for(page, "() => document.querySelector('[data-missing]').children.length > 0")  # it was told
    async with page.expect_response("**/api/video/timelines?*"):
        overtaken.set()
    timeline = page.locator("[data-timeline]")
    width = await page.evaluate("document.querySelector('[data-timeline]').clientWidth")
    found = "() => document.querySelector('.playback-preview img').naturalWidth === 320"
    for part in range(4, 100, 4):
        await timeline.hover(position={"x": width * part / 100, "y": 36})
        if await page.is_visible(".playback-preview"):
            break
    await wait_for(page, found)
    assert not await page.evaluate(
        "document.querySelector('.playback-preview img').classList.contains('is-blank')"
    )
    await page.screenshot(**keep("playback-preview"))
    await page.keyboard.press("Escape")
    assert await page.is_hidden(".playback-preview")
    assert await page.get_attribute(".playback-preview img", "src") is None
