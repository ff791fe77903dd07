"""The catalogue's pages as a reader sees them: no barriers, and a search without a script."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture

pytestmark = pytest.mark.browser

PAGES = (
    "/catalogue?q=inkomen",
    "/catalogue/terms",
    "/catalogue/terms/birth-date",
    "/catalogue/sources/rijksregister",
    "/catalogue/flows/social-dwelling-admission",
    "/catalogue/fields/flow/social-dwelling-admission/admissible",
)


async def test_pages_have_no_barriers_in_any_language(
    application: Any,  # noqa: F811
    serve: Any,
    new_page: Any,
    find_barriers: Any,
) -> None:
    origin = await serve(application.asgi)
    for language, path in zip(("nl", "fr", "en") * 2, PAGES, strict=True):
        page = await new_page(locale=language, width=1280 if language != "fr" else 390)
        answer = await page.goto(origin + path)
        assert answer.status == 200
        assert await find_barriers(page) == [], path
        if folder := os.environ.get("KOINON_SCREENSHOTS"):
            name = path.strip("/").replace("/", "-").replace("?", "-")
            await page.screenshot(path=str(Path(folder) / f"{name}-{language}.png"), full_page=True)
        await page.context.close()


async def test_the_search_works_without_a_script(
    application: Any,  # noqa: F811
    serve: Any,
    new_page: Any,
) -> None:
    origin = await serve(application.asgi)
    page = await new_page(locale="en", java_script_enabled=False)
    await page.goto(f"{origin}/catalogue")
    await page.get_by_label("Search", exact=False).fill("income ceiling")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="income within the ceiling").first.click()
    await page.get_by_role("heading", name="Who may get it").wait_for()
