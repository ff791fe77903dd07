"""The pages of batches: what a party sees of its own, in three languages."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from tests.integrator.deferred.conftest import Office, message, numbers

from koinon.app.http import build_app
from koinon.app.wiring import open_platform
from koinon.base.settings import Settings
from koinon.demo.region import AUTHORISATION
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in import Sessions
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE, SignIn
from koinon.trust.standing.acts import Deed, TargetKind

HTML = {"accept": "text/html"}


class Site:
    """The real application over the office's region, and a browser of somebody who is signed in."""

    def __init__(self, app: Any, platform: Any) -> None:
        self.app, self.platform = app, platform

    async def token(self, login: str) -> str:
        async with self.platform.database.transaction() as connection:
            return str(
                await Sessions(self.platform.sealer).open(
                    connection, LOCAL_ISSUER, login, self.platform.clock.now(), replacing=None
                )
            )

    async def get(self, login: str, path: str, language: str = "en") -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as browser:
            browser.cookies.set(SESSION_COOKIE, await self.token(login))
            return await browser.get(path, params={"lang": language}, headers=HTML)


@pytest.fixture
async def site(office: Office) -> AsyncIterator[Site]:
    """Of the same database and home."""
    settings: Settings = msgspec.structs.replace(office.world.settings, port=8000, epoch_limit_seconds=30.0)
    async with open_platform(settings, url=office.world.url, sources={}) as platform:
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        try:
            yield Site(build_app(platform, sign_in), platform)
        finally:
            await sign_in.close()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Batches", "What became of the records", "no valid national number", "answered in full")),
        ("nl", ("Batches", "Wat er van de records werd", "geen geldig rijksregisternummer", "volledig beantwoord")),
        ("fr", ("Lots", "Ce que sont devenus les enregistrements", "numéro national non valable", "réponse complète")),
    ],
)  # fmt: skip
async def test_a_party_sees_its_batch_with_what_was_rejected_and_no_record_of_it(
    office: Office, site: Site, language: str, words: tuple[str, ...]
) -> None:
    people = numbers(6)
    await office.know(people)
    bad = people[0].encode()
    data = message(office.world, people).replace(bad, bad[:-2] + b"00")
    batch = await office.send(data)
    async with office.running():
        await office.until(batch, "done")
    listed = await site.get("an", "/batches", language)
    shown = await site.get("an", f"/batches/{batch.id}", language)
    assert (listed.status_code, shown.status_code) == (200, 200)
    assert "B-1" in listed.text and words[0] in listed.text
    assert all(word in shown.text for word in words[1:])
    assert not any(number in shown.text + listed.text for number in people)


async def test_another_party_and_another_profile_see_nothing_of_it(office: Office, site: Site) -> None:
    batch = await office.send(message(office.world, numbers(2)))
    assert (await site.get("luc", f"/batches/{batch.id}")).status_code == 404
    assert "B-1" not in (await site.get("luc", "/batches")).text
    assert (await site.get("chair", "/batches")).status_code == 403


async def test_a_stopped_batch_gives_the_reason_of_the_commission(office: Office, site: Site) -> None:
    people = numbers(2)
    await office.know(people)
    batch = await office.send(message(office.world, people))
    await office.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    async with office.running():
        await office.until(batch, "stopped")
    for language, reason in (
        ("nl", "Proef van de rem"),
        ("fr", "Essai du frein"),
        ("en", "Trial of the brake"),
    ):
        assert reason in (await site.get("an", f"/batches/{batch.id}", language)).text


async def test_a_batch_that_waits_says_for_whom_and_a_refused_file_says_where(
    office: Office, site: Site
) -> None:
    people = numbers(3)
    await office.know(people)
    office.sources["ksz"].down = True
    batch = await office.send(message(office.world, people))
    async with office.running(idle=timedelta(seconds=30)):
        while not (await office.until(batch, "running")).progress.waiting:  # type: ignore[union-attr]
            pass
        shown = (await site.get("an", f"/batches/{batch.id}")).text
        assert "3 records wait for Crossroads Bank for Social Security" in shown
        lines = message(office.world, people, number="B-2").splitlines(keepends=True)
        broken = await office.send(b"".join([lines[0], lines[2], lines[1], *lines[3:]]), number="B-2")
        await office.until(broken, "refused")
    shown = (await site.get("an", f"/batches/{broken.id}")).text
    assert "The records are not in the order of their numbers." in shown and "Line 3." in shown


@pytest.mark.browser
async def test_the_pages_have_no_barriers(
    office: Office, site: Site, serve: Any, new_page: Any, find_barriers: Any, tmp_path: Any
) -> None:
    people = numbers(6)
    await office.know(people)
    bad = people[0].encode()
    batch = await office.send(message(office.world, people).replace(bad, bad[:-2] + b"00"))
    async with office.running():
        await office.until(batch, "done")
    origin = await serve(site.app)
    for width, locale in ((1280, "en"), (390, "fr")):
        page = await new_page(width=width, locale=locale)
        await page.context.add_cookies(
            [{"name": SESSION_COOKIE, "value": await site.token("an"), "url": origin}]
        )
        for path, name in (("/batches", "list"), (f"/batches/{batch.id}", "one")):
            await page.goto(f"{origin}{path}")
            assert await find_barriers(page) == []
            await page.screenshot(path=str(tmp_path / f"{name}-{width}.png"), full_page=True)
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (path, wide)
