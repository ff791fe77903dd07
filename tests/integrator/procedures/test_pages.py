"""The pages of debts in a browser: a notary closes and withdraws, a creditor reads how it ended, in three languages."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.integrator.procedures.test_debts import DEBTOR, OTHER, Office, office

from koinon.app.http import build_app
from koinon.app.wiring import open_platform
from koinon.base.settings import Settings
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE, SignIn
from koinon.trust.parties.sign_in.sessions import Sessions, csrf_token

__all__ = ["office"]


class Desk:
    """The real application over the office's region, and browsers of people who are signed in."""

    def __init__(self, platform: Any, origin: str, new_page: Any, find_barriers: Any) -> None:
        self.platform, self.origin = platform, origin
        self._new_page, self._find_barriers = new_page, find_barriers

    async def token(self, login: str) -> str:
        """Of a session of that person."""
        async with self.platform.database.transaction() as connection:
            return str(
                await Sessions(self.platform.sealer).open(
                    connection, LOCAL_ISSUER, login, self.platform.clock.now(), replacing=None
                )
            )

    async def sit(self, login: str, path: str, language: str, width: int = 1280) -> Any:
        """A page of that person, at that path."""
        page = await self._new_page(locale=language, width=width)
        await page.context.add_cookies(
            [{"name": SESSION_COOKIE, "value": await self.token(login), "url": self.origin}]
        )
        await page.goto(f"{self.origin}{path}")
        # As a reader chooses it: what a form answers with stays in that language.
        async with page.expect_navigation():
            await page.locator(f'form.languages button[value="{language}"]').click()
        await page.wait_for_selector(f'html[lang="{language}"]')
        return page

    async def look(self, page: Any, name: str) -> str:
        """What stands on the page, which has no barriers; kept as an image where a folder was named."""
        if folder := os.environ.get("KOINON_SCREENSHOTS"):
            await page.screenshot(path=Path(folder) / f"debts-{name}.png", full_page=True)
        assert await self._find_barriers(page) == []
        return str(await page.inner_text("main"))


@pytest.fixture
async def desk(office: Office, serve: Any, new_page: Any, find_barriers: Any) -> AsyncIterator[Desk]:
    """Of the same database and home."""
    settings: Settings = msgspec.structs.replace(office.world.settings, port=8000, epoch_limit_seconds=30.0)
    async with open_platform(settings, url=office.world.url, sources={}) as platform:
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        try:
            yield Desk(platform, await serve(build_app(platform, sign_in)), new_page, find_barriers)
        finally:
            await sign_in.close()


class Pages:
    """Pages without a browser, in one language."""

    def __init__(self, desk: Desk, language: str) -> None:
        self._desk, self._language = desk, language

    async def get(self, login: str, path: str) -> httpx.Response:
        """As the person sees it."""
        async with await self._browser(login) as browser:
            return await browser.get(path, params={"lang": self._language})

    async def post(self, login: str, path: str, **form: str) -> httpx.Response:
        """What the form that was filled in so is answered with."""
        async with await self._browser(login) as browser:
            filled = {"_csrf": csrf_token(browser.cookies[SESSION_COOKIE]), **form}
            return await browser.post(path, params={"lang": self._language}, data=filled)

    async def _browser(self, login: str) -> httpx.AsyncClient:
        browser = httpx.AsyncClient(base_url=self._desk.origin, headers={"accept": "text/html"})
        browser.cookies.set(SESSION_COOKIE, await self._desk.token(login))
        return browser


async def make_older(office: Office, number: str, by: timedelta) -> None:
    """The announcement was sent that much earlier, and its terms ended so."""
    async with office.world.database.transaction() as connection:
        await connection.execute(
            "UPDATE procedures.announcement SET sent_at = sent_at - $2::interval WHERE number = $1",
            number,
            by,
        )
        await connection.execute(
            """
            UPDATE procedures.notice SET term_ends = term_ends - $2::int
            WHERE announcement = (SELECT id FROM procedures.announcement WHERE number = $1)
            """,
            number,
            by.days,
        )


WORDS = {
    "nl": (
        "Een schuldeiser kan nog antwoorden", "is beëindigd", "2 schuldeisers hebben daarvoor geen dossier meer",
        "ingetrokken", "het verkeerde goed", "afgesloten zonder akte hier",
    ),
    "fr": (
        "Un créancier peut encore répondre", "a pris fin", "2 créanciers n’ont plus de dossier",
        "retirée", "le mauvais bien", "close sans acte ici",
    ),
    "en": (
        "A creditor may still answer", "has ended", "2 creditors no longer have a file",
        "withdrawn", "the wrong property", "closed without a deed here",
    ),
}  # fmt: skip


async def test_a_notary_closes_one_and_withdraws_another_and_the_creditor_reads_how(
    office: Office, desk: Desk
) -> None:
    old = await office.announce()
    await office.answer(old.number, office.tax, principal_cents=80_000)
    await make_older(office, old.number, timedelta(days=30))
    new = await office.announce(case="N-2026-2", national_number=OTHER, property="Voorbeeldstraat 9")

    async def end(act: str, number: str, name: str, language: str = "nl") -> str:
        await page.select_option(f"#{act}_number", number)
        async with page.expect_navigation():
            await page.locator(f'form[action="/announcements/{act}"] button').click()
        return await desk.look(page, f"{name}-{language}")

    awaited, ended, told, withdrawn, why, closed = WORDS["nl"]
    page = await desk.sit("nele", "/announcements", "nl")
    assert awaited in await end("close", new.number, "awaited")
    assert await page.input_value("#close_number") == new.number, "what was chosen stays chosen"
    said = await end("close", old.number, "closed")
    assert f"{old.number} {ended}" in said and told in said and closed in said.casefold()
    await page.select_option("#reason", "wrong_property")
    said = await end("withdraw", new.number, "withdrawn")
    assert f"{new.number} {ended}" in said and withdrawn in said and why in said
    assert await page.locator("#close_number").count() == 0, "nothing is left to close"

    page = await desk.sit("rosa", "/notices", "fr", width=390)
    *_, withdrawn, why, closed = WORDS["fr"]
    said = await desk.look(page, "notices-fr")
    assert all(each in said for each in (old.number, new.number, withdrawn, why, closed))
    # The list of closed ones names nobody.
    assert not any(secret in said for secret in (DEBTOR, OTHER, "Voorbeeldstraat"))


async def test_every_word_of_an_end_is_there_in_three_languages(office: Office, desk: Desk) -> None:
    number = (await office.announce()).number
    pages = {language: Pages(desk, language) for language in WORDS}
    for language, each in pages.items():
        shown = await each.post("nele", "/announcements/close", number=number)
        assert shown.status_code == 409 and WORDS[language][0] in shown.text
        shown = await each.post("nele", "/announcements/withdraw", number=number)
        assert shown.status_code == 400
    done = await pages["fr"].post("nele", "/announcements/withdraw", number=number, reason="wrong_property")
    _, ended, told, *_ = WORDS["fr"]
    assert f"{number} {ended}" in done.text and told in done.text
    for language, each in pages.items():
        _, _, _, withdrawn, why, _ = WORDS[language]
        for login, path in (("nele", "/announcements"), ("rosa", "/notices")):
            shown = await each.get(login, path)
            assert withdrawn in shown.text and why in shown.text, (language, path)
            assert "&lt;" not in shown.text, "markup that is shown as text"
    # Who is no notary has no such page.
    assert (await pages["en"].post("rosa", "/announcements/close", number=number)).status_code == 403
