"""The page of changes: what a party's systems hear of, and how far a keeper's source has come; in three languages."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from tests.integrator.mutations.conftest import RENT, Bureau, Named, changed, numbers, replaced, void
from tests.integrator.mutations.test_separating import REASON, operator

from koinon.app.http import build_app
from koinon.app.wiring import open_platform
from koinon.base.settings import Settings
from koinon.demo.region import AUTHORISATION
from koinon.integrator.drivers import Rijksregister
from koinon.integrator.mutations import Separating
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in import Sessions
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE, SignIn
from koinon.trust.parties.sign_in.sessions import csrf_token
from koinon.trust.standing.acts import Deed, TargetKind

HTML = {"accept": "text/html"}


class Site:
    """The real application over the bureau's region."""

    def __init__(self, app: Any, platform: Any) -> None:
        self.app, self.platform = app, platform

    async def token(self, login: str) -> str:
        async with self.platform.database.transaction() as connection:
            return str(
                await Sessions(self.platform.sealer).open(
                    connection, LOCAL_ISSUER, login, self.platform.clock.now(), replacing=None
                )
            )

    async def post(self, login: str, path: str, **form: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as browser:
            token = await self.token(login)
            browser.cookies.set(SESSION_COOKIE, token)
            return await browser.post(path, data={**form, "_csrf": csrf_token(token)}, headers=HTML)

    async def get(self, login: str, path: str, language: str = "en") -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as browser:
            browser.cookies.set(SESSION_COOKIE, await self.token(login))
            return await browser.get(path, params={"lang": language}, headers=HTML)


@pytest.fixture
async def site(bureau: Bureau) -> AsyncIterator[Site]:
    """Of the same database and home."""
    party = (await bureau.gate.keeper.settle()).register.parties[bureau.keeper.party]
    (bureau.world.home / "sources.toml").write_text(
        f'[rijksregister]\naddress = "http://127.0.0.1:9/x"\nkeeper = "{party.enterprise_number}"\n'
    )
    settings: Settings = msgspec.structs.replace(bureau.world.settings, port=8000, epoch_limit_seconds=30.0)
    sources: Any = {"rijksregister": Named(Rijksregister)}
    async with open_platform(settings, url=bureau.world.url, sources=sources) as platform:
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        try:
            yield Site(build_app(platform, sign_in), platform)
        finally:
            await sign_in.close()


async def told(bureau: Bureau) -> list[str]:
    """Two subscriptions, of which one is pushed in vain and one is stopped; a source with a gap."""
    people = numbers(4)
    await bureau.know(people)
    await bureau.know(people, purpose=RENT["purpose"])
    admission = await bureau.subscribe()
    await bureau.subscribe(push_address="http://127.0.0.1:9/changes", **RENT)
    await bureau.publish(changed(1, people[0]), changed(2, people[1]), changed(4, people[3]))
    await bureau.read(admission)
    await bureau.acknowledge(admission, 1)
    async with bureau.world.database.acquire() as connection:
        await connection.execute("UPDATE mutations.push SET failures = 3, last_code = 'unreachable'")
        await connection.execute(
            "UPDATE mutations.cursor SET stopped_code = 'authorisation_suspended' WHERE subscription = $1",
            admission.id,
        )
    return people


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Changes", "What your systems hear of", "stopped", "Your server cannot be reached.", "pushed to")),
        ("nl", ("Wijzigingen", "Wat uw systemen vernemen", "gestopt", "Uw server is niet bereikbaar.", "gestuurd")),
        ("fr", ("Modifications", "Ce que vos systèmes apprennent", "arrêté", "Votre serveur est injoignable.")),
    ],
)  # fmt: skip
async def test_a_party_sees_how_far_its_systems_are_and_of_nobody_what(
    bureau: Bureau, site: Site, language: str, words: tuple[str, ...]
) -> None:
    people = await told(bureau)
    shown = await site.get("an", "/mutations", language)
    assert shown.status_code == 200
    assert all(word in shown.text for word in words), [word for word in words if word not in shown.text]
    assert not any(number in shown.text for number in people)
    assert "authorisation_suspended" not in shown.text, "a code instead of words"
    assert "&lt;" not in shown.text, "markup that is shown as text"


async def test_the_keeper_of_a_source_sees_which_numbers_are_missing(bureau: Bureau, site: Site) -> None:
    await told(bureau)
    shown = await site.get("ria", "/mutations")
    assert shown.status_code == 200
    assert "What your sources published" in shown.text
    row = shown.text[shown.text.index("National Register</th>") :].partition("</tr>")[0]
    # Passed on until 2, one waits, 3 is missing.
    assert re.findall(r">\s*(\d+)\s*<", row + "<") == ["2", "1", "3"], row
    other = await site.get("kaat", "/mutations")
    assert other.status_code == 200 and "What your sources published" not in other.text


async def test_another_party_sees_nothing_of_it_and_a_commissioner_has_no_such_page(
    bureau: Bureau, site: Site
) -> None:
    await told(bureau)
    south = await site.get("luc", "/mutations")
    assert south.status_code == 200 and "No subscription yet" in south.text
    assert (await site.get("chair", "/mutations")).status_code == 403


async def test_the_page_has_no_barriers_and_can_be_looked_at(
    bureau: Bureau, site: Site, serve: Any, new_page: Any, find_barriers: Any, tmp_path: Any
) -> None:
    await told(bureau)
    await bureau.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    origin = await serve(site.app)
    old, new = numbers(2, start=50)
    await bureau.know([old])
    await bureau.publish(void(3), replaced(5, old, new))
    await Separating(bureau.integrator).ask(old, new, REASON, operator(bureau))
    asked = await Separating(bureau.integrator).ask(old, new, REASON, operator(bureau))
    await Separating(bureau.integrator).confirm(asked, old, new, operator(bureau, "otto"))
    for login, language, width, path in (
        ("an", "nl", 1280, "/mutations"), ("ria", "fr", 1280, "/mutations"), ("an", "en", 390, "/mutations"),
        ("otto", "fr", 1280, "/mutations/merges"), ("an", "nl", 1280, "/dossiers"),
    ):  # fmt: skip
        page = await new_page(locale=language, width=width)
        await page.context.add_cookies(
            [{"name": SESSION_COOKIE, "value": await site.token(login), "url": origin}]
        )
        await page.goto(f"{origin}{path}?lang={language}")
        name = f"{login}-{language}{path.replace('/', '-')}.png"
        await page.screenshot(path=tmp_path / name, full_page=True)
        assert await find_barriers(page) == []


async def test_operators_undo_a_merge_and_the_party_says_whose_a_file_is(bureau: Bureau, site: Site) -> None:
    old, new = numbers(2, start=50)
    [file] = await bureau.know([old])
    await bureau.publish(replaced(1, old, new))
    both = {"old": f"{old[:6]} {old[6:]}", "new": new}
    for login, path, form, code in (
        ("an", "/mutations/merges", {**both, "reason": REASON}, 403),
        ("olga", "/mutations/merges", {**both, "reason": "why"}, 400),
        ("olga", "/mutations/merges", {**both, "reason": REASON}, 303),
    ):
        assert (await site.post(login, path, **form)).status_code == code
    [asked] = await Separating(bureau.integrator).list(operator(bureau))
    confirm = f"/mutations/merges/{asked.id}/confirm"
    assert (await site.post("olga", confirm, **both)).status_code == 403
    shown = await site.get("otto", "/mutations/merges")
    assert REASON in shown.text and old not in shown.text and new not in shown.text
    assert (await site.post("otto", confirm, **both)).status_code == 303
    shown = await site.get("an", "/dossiers")
    assert "Whose file is this?" in shown.text and shown.text.count(old) == 1
    assert (await site.post("an", f"/dossiers/{file}/keep")).status_code == 303
    assert (await site.post("an", f"/dossiers/{file}/keep")).status_code == 404
    assert "Whose file is this?" not in (await site.get("an", "/dossiers")).text
