"""Signing in Chromium: the key never leaves the page, and what is shown is what is signed."""

from pathlib import Path
from typing import Any

import pytest

from koinon.base.crypto import SigningKey
from koinon.trust.oversight.documents import DEEDS
from koinon.trust.standing.acts import Deed, TargetKind

pytestmark = pytest.mark.browser

SUSPEND = "/acts/new?deed=suspend&kind=authorisation&id=2026%2F014"


@pytest.fixture
async def origin(desk: Any, office: Any, serve: Any) -> str:
    """The application by a host name, as passkeys need one, with an authorisation to stop."""
    await office.grant()
    address: str = await serve(desk.app)
    desk.settings = desk.settings.__class__(
        home=desk.settings.home, public_origin=address.replace("127.0.0.1", "localhost")
    )
    desk.sign_in()
    await desk.caught_up()
    return desk.settings.origin


async def draft(page: Any, origin: str, path: str = SUSPEND, *, signer: str, words: str = "reason") -> None:
    """The act's form is filled in and sent; the page now shows what will be signed."""
    await page.goto(origin + path)
    for language in ("nl", "fr", "en"):
        await page.fill(f"[name=reason_{language}]", f"{words} {language}")
    await page.select_option("[name=signer]", signer)
    await page.click("main form .actions button")
    await page.wait_for_selector("[data-sign]")


async def key_file(page: Any, folder: Path, key: SigningKey, passphrase: str | None = None) -> None:
    path = folder / f"{key.key_id}.pem"
    path.write_bytes(key.to_pem(passphrase))
    await page.set_input_files("#key-file", path)


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
async def test_a_commissioner_suspends_with_a_key_file_read_in_the_browser(
    origin: str, office: Any, desk: Any, new_page: Any, tmp_path: Path, find_barriers: Any, language: str
) -> None:
    page = await new_page(locale=language)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    member = office.region.member
    await draft(page, origin, signer=member.kid)
    shown = await page.inner_text("[data-shown]")
    assert (
        DEEDS[Deed.SUSPEND].in_(language) in shown and f"reason {language}" in shown and "2026/014" in shown
    )
    assert await find_barriers(page) == []
    await key_file(page, tmp_path, member.key, "a long passphrase")
    await page.fill("#key-passphrase", "a wrong one")
    await page.click("[data-sign]")
    await page.wait_for_selector("[data-error]:not([hidden])")
    assert (await office.chain()).next_sequence == 2
    await page.fill("#key-passphrase", "a long passphrase")
    async with page.expect_navigation(url="**/commission/authorisations/2026/014"):
        await page.click("[data-sign]")
    assert (await desk.caught_up()).acts.find_suspension("authorisation", "2026/014") is not None
    assert not any("PRIVATE KEY" in body or "a long passphrase" in body for body in sent)


async def test_a_grant_shows_the_document_and_checks_its_digest_in_the_browser(
    origin: str, office: Any, desk: Any, new_page: Any, tmp_path: Path, find_barriers: Any
) -> None:
    asked = await office.ask_authorisation(number="2026/015")
    await desk.caught_up()
    page = await new_page()
    path = f"/acts/new?deed=grant&kind=authorisation&id=2026%2F015&digest={asked.digest}"
    await draft(page, origin, path, signer=office.region.chair.kid)
    await page.wait_for_selector("[data-checked]:not([hidden])")
    shown = await page.inner_text("[data-readable]")
    assert asked.text.en in shown and "income_condition_met" in shown and "2027-11-01" in shown
    assert asked.text.nl not in shown
    await page.click("summary:has-text('As it is signed')")
    assert await find_barriers(page) == []
    await key_file(page, tmp_path, office.region.chair.key)
    async with page.expect_navigation(url="**/commission/authorisations/2026/015"):
        await page.click("[data-sign]")
    assert (await desk.caught_up()).acts.is_granted("2026/015", asked.digest)


async def test_threat_document_changed_on_its_way_to_the_signer(
    origin: str, office: Any, desk: Any, new_page: Any
) -> None:
    asked = await office.ask_authorisation(number="2026/015")
    await desk.caught_up()
    page = await new_page()

    async def change(route: Any) -> None:
        answer = await route.fetch()
        body = (await answer.text()).replace("income_condition_met", "income_amount")
        await route.fulfill(response=answer, body=body)

    path = f"/acts/new?deed=grant&kind=authorisation&id=2026%2F015&digest={asked.digest}"
    await page.goto(origin + path)
    for language in ("nl", "fr", "en"):
        await page.fill(f"[name=reason_{language}]", "reason")
    await page.select_option("[name=signer]", office.region.chair.kid)
    await page.route("**/acts/new", change)
    await page.click("main form .actions button")
    await page.wait_for_selector("[data-error]:not([hidden])")
    assert not await page.is_visible("[data-sign]")


async def test_another_members_key_file_and_other_files_are_refused_in_the_browser(
    origin: str, office: Any, new_page: Any, tmp_path: Path
) -> None:
    page = await new_page()
    await draft(page, origin, signer=office.region.chair.kid)

    async def refusal() -> str:
        await page.click("[data-sign]")
        await page.wait_for_selector("[data-error]:not([hidden])")
        text: str = await page.inner_text("[data-error]")
        return text

    await key_file(page, tmp_path, office.region.member.key)
    assert "somebody else" in await refusal()
    (tmp_path / "text.pem").write_text("no key")
    await page.set_input_files("#key-file", tmp_path / "text.pem")
    assert "no key file" in await refusal()


async def test_an_act_that_another_one_overtook_says_so_and_is_drafted_anew(
    origin: str, office: Any, desk: Any, new_page: Any, tmp_path: Path
) -> None:
    page = await new_page()
    await draft(page, origin, signer=office.region.chair.kid)
    await office.do(office.region.member, Deed.SUSPEND, TargetKind.PARTY, "p")
    await key_file(page, tmp_path, office.region.chair.key)
    await page.click("[data-sign]")
    await page.wait_for_selector("[data-error]:not([hidden])")
    assert "Another act was recorded" in await page.inner_text("[data-error]")
    await desk.caught_up()
    async with page.expect_navigation():  # from a page on which one may sign to another
        await page.click("main form .hint button")
    await page.wait_for_selector("[data-sign]")
    await key_file(page, tmp_path, office.region.chair.key)
    async with page.expect_navigation(url="**/commission/authorisations/2026/014"):
        await page.click("[data-sign]")
    assert len((await office.chain()).acts) == 3


async def test_a_member_makes_a_passkey_is_appointed_and_signs_with_it(
    origin: str, office: Any, desk: Any, new_page: Any, tmp_path: Path
) -> None:
    page = await new_page()
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    await devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    await page.goto(f"{origin}/commission/members")
    await page.click("[data-offer]")
    appoint = page.locator("a[href*=appoint_signer]")
    await appoint.wait_for()
    await draft(page, "", origin + await appoint.get_attribute("href"), signer=office.region.chair.kid)
    await key_file(page, tmp_path, office.region.chair.key)
    async with page.expect_navigation(url="**/commission/members"):
        await page.click("[data-sign]")
    standing = await desk.caught_up()
    (passkey,) = [each for each in standing.acts.signers.values() if each.origin == origin]
    assert passkey.kind == "webauthn" and passkey.rp_id == "localhost"
    await draft(page, origin, signer=passkey.kid)
    async with page.expect_navigation(url="**/commission/authorisations/2026/014"):
        await page.click("[data-sign]")
    chain = await office.chain()
    assert chain.acts[-1].signer == passkey.kid and chain.counters.get(passkey.kid, 0) >= 0
    assert (await desk.caught_up()).acts.find_suspension("authorisation", "2026/014") is not None


async def test_the_console_and_the_public_register_have_no_barriers(
    origin: str, office: Any, desk: Any, new_page: Any, find_barriers: Any
) -> None:
    await office.agree()
    await office.do(office.region.chair, Deed.SUSPEND, TargetKind.PARTY, str(office.parties.id["housing"]))
    await desk.caught_up()
    for width in (1280, 390):
        page = await new_page(width=width)
        for path in (
            "/register",
            "/register/authorisations/2026/014",
            "/commission",
            "/commission/requests",
            "/commission/authorisations/new",
            "/commission/complaints/new",
            "/commission/members",
            SUSPEND,
        ):
            await page.goto(origin + path)
            assert await find_barriers(page) == [], path
            wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{path} is wider than {width} pixels"


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
async def test_the_making_of_rules_has_no_barriers_and_a_rule_is_approved_in_the_browser(
    origin: str, office: Any, desk: Any, new_page: Any, tmp_path: Path, find_barriers: Any, language: str
) -> None:
    stored = await office.propose_rule()
    await desk.caught_up()
    page = await new_page(locale=language)
    desk.sign_in("rule_author", kind="integrator")
    await page.goto(f"{origin}/rules/proposals/new")
    await page.fill("[name=text]", "id = 1")
    await page.click("main form .actions button")
    await page.wait_for_selector("td:has-text('rule_malformed')")
    assert await find_barriers(page) == []
    desk.sign_in("committee_member", kind="integrator")
    await page.goto(f"{origin}/rules/proposals")
    assert await find_barriers(page) == []
    await page.click("table a:has-text('" + DEEDS[Deed.APPROVE_RULE].in_(language) + "')")
    await page.wait_for_url("**/rules/proposals/rule/**")
    assert await find_barriers(page) == []
    async with page.expect_navigation():
        await page.click(".page-header a.button")
    signing = page.url.removeprefix(origin)
    first = office.region.first
    await draft(page, origin, signing, signer=first.kid)
    await page.wait_for_selector("[data-checked]:not([hidden])")
    await key_file(page, tmp_path, first.key)
    async with page.expect_navigation(url="**/rules/proposals/rule/**"):
        await page.click("[data-sign]")
    assert (await desk.caught_up()).acts.rule_approvals[stored.digest] == {"first"}
