"""The page of playback in a real browser: pictures, the timeline, steps, civil time, and the end of a view."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.video.playback.conftest import Site

pytestmark = pytest.mark.browser


async def wait_for(page: Any, condition: str, seconds: float = 10) -> None:
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
    await wait_for(page, "() => /n’a rien envoyé/.test(document.querySelector('[data-missing]').textContent)")
    await page.screenshot(**keep("playback"))
