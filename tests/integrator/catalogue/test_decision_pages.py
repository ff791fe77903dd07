"""A norm from proposal to force, by the pages and in a browser with the members' key files."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture

from koinon.demo.region import key_path
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE
from koinon.trust.parties.sign_in.sessions import Sessions, csrf_token

HTML = {"accept": "text/html"}
FORM = {
    "kind": "standard",
    "name": "exchange-xml",
    "version": "1",
    "title_nl": "Uitwisseling in XML 1.0",
    "title_fr": "Échange en XML 1.0",
    "title_en": "Exchange in XML 1.0",
    "text_nl": "Berichten zijn XML met een schema. (demo)",
    "text_fr": "Les messages sont en XML avec un schéma. (démo)",
    "text_en": "Messages are XML with a schema. (demo)",
    "valid_from": "2026-01-01",
    "majority": "two_thirds",
    "quorum": "50",
}


async def session_of(application: Any, login: str) -> str:  # noqa: F811
    platform = application.platform
    async with platform.database.transaction() as connection:
        return await Sessions(platform.sealer).open(
            connection, LOCAL_ISSUER, login, platform.clock.now(), replacing=None
        )


async def client_of(application: Any, login: str | None) -> tuple[httpx.AsyncClient, str]:  # noqa: F811
    transport = httpx.ASGITransport(app=application.asgi, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=HTML)
    if login is None:
        return client, ""
    token = await session_of(application, login)
    client.cookies.set(SESSION_COOKIE, token)
    return client, csrf_token(token)


async def test_who_may_propose_does_and_everybody_reads_it(application: Any) -> None:  # noqa: F811
    member, csrf = await client_of(application, "committee-1")
    outsider, outsiders_csrf = await client_of(application, "an")
    public, _ = await client_of(application, None)
    bad = await member.post("/catalogue/decisions/new?lang=en", data=FORM | {"_csrf": csrf, "text_fr": ""})
    assert bad.status_code == 400
    assert "Title and text are needed in Dutch, French and English." in bad.text
    refused = await outsider.post("/catalogue/decisions/new?lang=fr", data=FORM | {"_csrf": outsiders_csrf})
    assert refused.status_code == 403 and "Seuls les membres du Comité" in refused.text
    done = await member.post("/catalogue/decisions/new", data=FORM | {"_csrf": csrf})
    assert done.status_code == 303
    address = done.headers["location"]
    said = await member.post(f"{address}/remarks", data={"_csrf": csrf, "text": "Welke versie?"})
    assert said.status_code == 303
    for language, word in (("nl", "loopt"), ("fr", "en cours"), ("en", "under way")):
        page = await public.get(f"{address}?lang={language}")
        assert page.status_code == 200 and word in page.text
        assert FORM[f"title_{language}"] in page.text
        # The discussion is the members' own.
        assert "Welke versie?" not in page.text
    assert "Welke versie?" in (await member.get(address)).text
    assert (await public.get("/api/catalogue/decisions")).json()[0]["state"] == "open"
    unsigned = await public.post(
        f"/api{address}/statements",
        json={"body": "e30=", "proof": {"kind": "ed25519", "signature": "x"}},
        headers={"accept": "application/json"},
    )
    assert (unsigned.status_code, unsigned.json()["code"]) == (400, "statement_malformed")
    for client in (member, outsider, public):
        await client.aclose()


async def test_an_operator_brings_in_a_designation_and_the_source_says_where_it_stands(
    application: Any,  # noqa: F811
) -> None:
    operator, csrf = await client_of(application, "olga")
    form = FORM | {
        "_csrf": csrf,
        "kind": "designation",
        "name": "taxi",
        "source": "taxi",
        "resources": "taxi/driver, taxi/rides",
        "keeper": "brussels_mobility",
        "decree": "BBHR / AGRBC 15.12.2025 (demo)",
        "decreed_on": "2025-12-15",
    }
    bad = await operator.post("/catalogue/decisions/new?lang=en", data=form | {"resources": "ksz/income"})
    assert bad.status_code == 400 and "Name at least one service of the source" in bad.text
    done = await operator.post("/catalogue/decisions/new", data=form)
    assert done.status_code == 303
    page = await operator.get(f"{done.headers['location']}?lang=en")
    assert "Opinion of the Control Commission" in page.text and "/catalogue/services/taxi/rides" in page.text
    # Proposed is not designated: the opinion is not there yet.
    assert "not designated yet" in (await operator.get("/catalogue/sources/taxi?lang=en")).text
    await operator.aclose()


@pytest.mark.browser
async def test_members_vote_and_close_with_their_key_files_in_a_browser(
    application: Any,  # noqa: F811
    serve: Any,
    new_page: Any,
    find_barriers: Any,
) -> None:
    member, csrf = await client_of(application, "committee-1")
    done = await member.post("/catalogue/decisions/new", data=FORM | {"_csrf": csrf})
    address = done.headers["location"]
    origin = await serve(application.asgi)
    for login, choice in (("committee-1", "for"), ("committee-2", "for"), ("committee-1", "approved")):
        page = await new_page()
        await page.context.add_cookies(
            [{"name": SESSION_COOKIE, "value": await session_of(application, login), "url": origin}]
        )
        await page.goto(origin + address)
        form = page.locator('form[action$="/sign"]')
        await form.locator(f'input[value="{choice}"]').check()
        for language in ("nl", "fr", "en"):
            await form.locator(f'[name="reason_{language}"]').fill("Goed. Bien. Good.")
        assert await find_barriers(page) == []
        await shoot(page, "decision-open")
        await form.locator("button").click()
        await page.set_input_files('input[type="file"]', key_path(application.platform.settings.home, login))
        assert await find_barriers(page) == []
        await shoot(page, "decision-sign")
        await page.locator("button[data-sign]").click()
        await page.wait_for_url(origin + address)
        await page.context.close()
    page = await new_page(locale="nl")
    await page.goto(origin + address)
    assert await page.get_by_text("van kracht").first.is_visible()
    assert await find_barriers(page) == []
    await shoot(page, "decision-in-force")
    await page.goto(f"{origin}/catalogue/decisions")
    assert await find_barriers(page) == []
    await shoot(page, "decisions")
    await member.aclose()


async def shoot(page: Any, name: str) -> None:
    if folder := os.environ.get("KOINON_SCREENSHOTS"):
        await page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
