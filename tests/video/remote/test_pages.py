"""The pages in a real browser: what is elsewhere is asked on the timeline, and its owner sees and sets it."""

from typing import Any

import pytest
from tests.conftest import mounted
from tests.video.playback.test_page import keep
from tests.video.remote.conftest import Gateway

from koinon.base.clock import BRUSSELS
from koinon.demo.region.video import INVESTIGATION

pytestmark = pytest.mark.browser


async def test_what_is_elsewhere_is_asked_on_the_timeline_and_its_owner_sees_it(
    gateway: Gateway, new_page: Any, find_barriers: Any
) -> None:
    async def sign_in(page: Any, http: Any) -> None:
        token = http.headers["Cookie"].partition("=")[2]
        await page.context.add_cookies([{"name": "koinon_session", "value": token, "url": gateway.origin}])

    page = await new_page()
    await sign_in(page, gateway.http)
    await page.goto(f"{gateway.origin}/video/playback?lang=en")
    start = gateway.start.astimezone(BRUSSELS)
    await page.check(f"input[name=camera][value='{gateway.camera.id}']")
    await page.fill("[name=date]", f"{start:%Y-%m-%d}")
    await page.fill("[name=time]", f"{start:%H:%M}")
    await page.select_option("[name=length]", "900")
    await page.select_option("[name=purpose]", INVESTIGATION)
    await page.fill("[name=case]", "PV-1")
    await page.click(".playback-ask .actions button")
    await page.wait_for_selector("[data-remote]:not([hidden])")
    await page.screenshot(**keep("remote-timeline"))
    await page.click("[data-remote]")
    await page.wait_for_selector("[data-to=asks]")
    await mounted(page)
    assert await page.is_checked(f"input[value='{gateway.camera.id}']")
    assert await page.input_value("[name=case]") == "PV-1"
    assert await find_barriers(page) == []
    await page.fill("[name=to]", f"{gateway.at(90).astimezone(BRUSSELS):%H:%M:%S}")
    await page.screenshot(**keep("remote-ask"))
    await page.click(".export-ask .actions button")
    await page.wait_for_selector("#asks table .badge")
    assert await gateway.fetch_all() == ["done"]
    await page.wait_for_selector("#asks a[href*=playback]")  # htmx asked again
    await page.screenshot(**keep("remote-asks"))
    assert await find_barriers(page) == []

    await page.context.clear_cookies()
    await sign_in(page, await gateway.client("hugo"))
    await page.goto(f"{gateway.origin}/video/asks?lang=nl")
    assert "investig" in (await page.inner_text("#asks")).lower() or "onderzoek" in await page.inner_text(
        "#asks"
    )
    assert "PV-1" not in await page.inner_text("#asks")
    await page.screenshot(**keep("remote-owner"))

    await page.context.clear_cookies()
    await sign_in(page, await gateway.client("cato"))
    await page.goto(f"{gateway.origin}/video/replay/west-1?lang=fr")
    await page.fill("[name=source]", "rtsp://10.0.0.1/x")
    await page.fill("[name=keep_days]", "5")
    await page.click("main .actions button")
    await page.wait_for_selector(".field-error")
    assert await find_barriers(page) == []
    await page.screenshot(**keep("remote-source"))
    answer = await page.goto(f"{gateway.origin}/video/replay/south-1")
    assert answer.status == 404 or answer.status == 403
