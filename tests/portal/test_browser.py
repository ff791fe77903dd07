"""The style guide in a real browser: every component, three languages, two widths."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from litestar import Litestar
from tests.conftest import mounted

from koinon.portal import N_, NavigationItem, Portal

pytestmark = pytest.mark.browser

Barriers = Callable[[Any], Awaitable[list[str]]]


class SignedIn:
    name = "Demo Person"
    party_name = "Demo party"
    profile_label = "Demo profile"
    language = None
    csrf_token = "a-token-of-this-session"


@pytest.fixture
async def origin(serve: Callable[[Any], Awaitable[str]]) -> str:
    portal = Portal(
        embedded=True,
        navigation=[
            NavigationItem(label=N_("Start page"), path="/", order=1),
            NavigationItem(label=N_("Style guide"), path="/style", order=2),
        ],
        viewer_of=lambda connection: SignedIn() if connection.cookies.get("session") == "demo" else None,
    )
    return await serve(Litestar(plugins=[portal], openapi_config=None))


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
async def test_no_component_is_a_barrier_in_any_language_or_width(
    origin: str, new_page: Any, find_barriers: Barriers, language: str
) -> None:
    page = await new_page(locale=language)
    await page.goto(f"{origin}/style")
    assert await page.get_attribute("html", "lang") == language
    assert await find_barriers(page) == []
    # WCAG 2.2, 1.4.10: 1280 CSS pixels at 400 % leave 320, and nothing may need scrolling sideways.
    await page.set_viewport_size({"width": 320, "height": 256})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    assert await find_barriers(page) == []


async def test_the_layout_of_a_console_is_no_barrier(
    origin: str, new_page: Any, find_barriers: Barriers
) -> None:
    page = await new_page(locale="fr")
    await page.goto(f"{origin}/style/console")
    assert await page.text_content(".side-menu [aria-current=page]") == "Une console"
    assert await find_barriers(page) == []
    await page.set_viewport_size({"width": 320, "height": 256})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


async def test_the_first_tab_stop_skips_to_the_content(origin: str, browser_page: Any) -> None:
    await browser_page.goto(f"{origin}/style")
    await browser_page.keyboard.press("Tab")
    assert await browser_page.evaluate("document.activeElement.className") == "skip"
    await browser_page.keyboard.press("Enter")
    await browser_page.wait_for_function("document.activeElement.id === 'main'")


async def test_the_switch_of_language_is_remembered_and_keeps_the_place(
    origin: str, browser_page: Any
) -> None:
    page = browser_page
    await page.goto(f"{origin}/style?sort=year")
    await page.click("button[name=lang][value=fr]")
    await page.wait_for_selector("html[lang=fr]")
    assert page.url == f"{origin}/style?sort=year"
    assert await page.text_content("h1") == "Guide de style"
    await page.goto(f"{origin}/style")
    assert await page.get_attribute("html", "lang") == "fr"


async def test_tabs_are_worked_with_the_arrow_keys(origin: str, browser_page: Any) -> None:
    page = browser_page
    await page.goto(f"{origin}/style")
    first, second = page.locator("[role=tab]").nth(0), page.locator("[role=tab]").nth(1)
    await first.focus()
    await page.keyboard.press("ArrowRight")
    assert await second.get_attribute("aria-selected") == "true"
    assert await page.is_visible("#tab-why")
    assert not await page.is_visible("#tab-time")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    assert await first.get_attribute("aria-selected") == "true"


async def test_without_scripts_all_sections_stand_open_and_no_dead_button_shows(
    origin: str, new_page: Any
) -> None:
    page = await new_page(java_script_enabled=False)
    await page.goto(f"{origin}/style")
    for panel in ("#tab-time", "#tab-why", "#tab-empty"):
        assert await page.is_visible(panel)
    assert await page.locator("[data-module=copy]:visible").count() == 0
    await page.click("button[name=lang][value=nl]")
    await page.wait_for_selector("html[lang=nl]")
    assert await page.text_content("h1") == "Stijlgids"


async def test_a_dialog_opens_takes_the_focus_and_gives_it_back(origin: str, browser_page: Any) -> None:
    page = browser_page
    await page.goto(f"{origin}/style")
    await mounted(page)
    opener = page.get_by_role("link", name="Ask first")
    await opener.click()
    assert await page.locator("dialog[open]").count() == 1
    assert await page.evaluate("document.activeElement.closest('dialog') !== null")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("dialog[open]", state="detached")
    assert await opener.evaluate("(element) => element === document.activeElement")


async def test_progress_is_fetched_until_it_is_done(origin: str, browser_page: Any) -> None:
    seen = asyncio.Event()

    async def late(route: Any) -> None:
        await seen.wait()
        await route.continue_()

    await browser_page.route("**/style/progress", late)
    await browser_page.goto(f"{origin}/style")
    bar = browser_page.locator("#style-progress progress")
    assert await bar.get_attribute("value") == "450"
    seen.set()
    await browser_page.wait_for_selector("#style-progress progress[value='1200']", timeout=5000)


async def test_the_menu_of_who_is_signed_in_is_no_barrier_on_a_phone(
    origin: str, new_page: Any, find_barriers: Barriers
) -> None:
    page = await new_page(locale="fr", width=320, height=640)
    await page.context.add_cookies([{"name": "session", "value": "demo", "url": origin}])
    await page.goto(f"{origin}/style/console")
    await page.click(".account summary")
    assert await page.is_visible("text=Se déconnecter")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    assert await find_barriers(page) == []
    await page.keyboard.press("Escape")
    assert not await page.is_visible("text=Se déconnecter")


async def test_htmx_sends_the_token_of_the_session(origin: str, new_page: Any) -> None:
    page = await new_page()
    await page.context.add_cookies([{"name": "session", "value": "demo", "url": origin}])
    async with page.expect_request("**/style/progress") as caught:
        await page.goto(f"{origin}/style")
    request = await caught.value
    assert request.headers["x-csrf-token"] == SignedIn.csrf_token


async def test_a_refusal_to_htmx_appears_in_the_notices_in_the_language_of_the_page(
    origin: str, new_page: Any, find_barriers: Barriers
) -> None:
    page = await new_page(locale="nl")
    await page.goto(f"{origin}/style")
    await page.click("#refused")
    await page.wait_for_selector("#notices .notice.error")
    assert "Dit is niet toegestaan" in str(await page.text_content("#notices"))
    assert await find_barriers(page) == []


async def test_no_problem_page_is_a_barrier(origin: str, browser_page: Any, find_barriers: Barriers) -> None:
    for status in (400, 401, 403, 404, 409, 413, 429, 500, 503):
        answer = await browser_page.goto(f"{origin}/style/problem/{status}")
        assert answer.status == status
        assert await find_barriers(browser_page) == []
