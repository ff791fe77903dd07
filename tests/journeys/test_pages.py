"""Walks through the pages of the demo region in Chromium, in each of the three languages."""

import re
from typing import Any, NamedTuple

import pytest

from koinon.demo.region import PASSWORD
from koinon.trust.standing.acts import Deed

pytestmark = pytest.mark.browser

AUTHORISATION = "/commission/authorisations/2026/001"
RULE = "social-dwelling-admission.consult"


class Words(NamedTuple):
    """What a reader of one language must find."""

    sign_in: str
    wrong_password: str
    consult: str
    wrong_number: str
    answer: str
    filtered: str
    receipt: str
    yes: str
    refused: str
    not_registered: str
    suspended: str
    entry: str
    in_the_tree: str
    our_uses: str
    source_uses: str
    purpose: str
    rules: str
    explain: str
    register: str
    ledger: str
    in_force: str
    commission: str
    not_found: str
    not_allowed: str


WORDS = {
    "nl": Words(
        sign_in="Aanmelden",
        wrong_password="De gebruikersnaam of het wachtwoord is niet juist.",
        consult="Raadplegen",
        wrong_number="Dit is geen geldig nummer: de controlecijfers kloppen niet.",
        answer="Antwoord",
        filtered="Wat werd gefilterd",
        receipt="Ontvangstbewijs",
        yes="ja",
        refused="Geweigerd",
        not_registered="Uw partij heeft voor dit doeleinde geen dossier over deze persoon",
        suspended="De Commissie heeft de machtiging geschorst",
        entry="Inschrijving",
        in_the_tree="Het staat in de boom",
        our_uses="Gebruik door ons",
        source_uses="Gebruik van onze bron",
        purpose="toelating tot een sociale woning",
        rules="Regelbank",
        explain="Een beslissing verklaren",
        register="Openbaar register",
        ledger="Logboek",
        in_force="van kracht",
        commission="Controlecommissie",
        not_found="Deze pagina bestaat niet",
        not_allowed="Dit is niet toegestaan",
    ),
    "fr": Words(
        sign_in="S’identifier",
        wrong_password="Le nom d’utilisateur ou le mot de passe n’est pas correct.",
        consult="Consulter",
        wrong_number="Ce numéro n’est pas valable : ses chiffres de contrôle ne concordent pas.",
        answer="Réponse",
        filtered="Ce qui a été filtré",
        receipt="Accusé de réception",
        yes="oui",
        refused="Refusé",
        not_registered="Pour cette finalité, votre participant n’a pas de dossier au sujet de cette personne",
        suspended="La Commission a suspendu l’autorisation",
        entry="Inscription",
        in_the_tree="C’est dans l’arbre",
        our_uses="Nos utilisations",
        source_uses="Utilisations de notre source",
        purpose="admission à un logement social",
        rules="Banque de règles",
        explain="Expliquer une décision",
        register="Registre public",
        ledger="Journal",
        in_force="en vigueur",
        commission="Commission de contrôle",
        not_found="Cette page n’existe pas",
        not_allowed="Ceci n’est pas autorisé",
    ),
    "en": Words(
        sign_in="Sign in",
        wrong_password="The login or the password is not right.",
        consult="Consult",
        wrong_number="This is no valid number: its check digits do not agree.",
        answer="Answer",
        filtered="What was filtered",
        receipt="Receipt",
        yes="yes",
        refused="Refused",
        not_registered="Your party has no file on this person for this purpose",
        suspended="The Commission has suspended the authorisation",
        entry="Entry",
        in_the_tree="It is in the tree",
        our_uses="Uses by us",
        source_uses="Uses of our source",
        purpose="admission to a social dwelling",
        rules="Rule bank",
        explain="Explain a decision",
        register="Public register",
        ledger="Ledger",
        in_force="in force",
        commission="Control Commission",
        not_found="This page does not exist",
        not_allowed="This is not allowed",
    ),
}
LANGUAGES = pytest.mark.parametrize("language", ["nl", "fr", "en"])


@LANGUAGES
async def test_signing_in_refuses_a_wrong_password_and_remembers_the_language(
    walk: Any, language: str
) -> None:
    words = WORDS[language]
    # Somebody whose own language is another one, so that what is remembered is the choice.
    login = {"nl": "luc", "fr": "an", "en": "an"}[language]
    walker = await walk(language)
    await walker.go("/sign-in", words.sign_in)
    await walker.try_to_sign_in(login, "not the password")
    assert words.wrong_password in await walker.look(words.sign_in)
    assert await walker.page.input_value("[name=login]") == login
    await walker.sign_in(login)
    await walker.go("/")
    await walker.go("/me")
    await walker.go("/sign-in/choose?again=true")
    assert words.not_allowed in await walker.go("/commission", words.not_allowed)
    await walker.sign_out()
    await walker.look()
    await walker.try_to_sign_in(login, PASSWORD)
    await walker.look()


@LANGUAGES
async def test_an_official_asks_and_sees_answer_filter_receipt_and_proof(
    walk: Any, calm: None, region: Any, language: str
) -> None:
    words, case = WORDS[language], f"JOURNEY-{language}"
    walker = await walk(language, width=1280 if language == "fr" else 390)
    await walker.sign_in("an")
    await walker.go("/consult", words.consult)
    await walker.ask("00000000000", case)
    assert words.wrong_number in await walker.look(words.consult)
    assert await walker.page.input_value("[name=case]") == case
    await walker.ask(region.subject, case)
    text = await walker.look(words.answer)
    for expected in (case, words.filtered, words.receipt, "2026/001", words.yes):
        assert expected in text
    assert region.subject not in text
    proof = await walker.page.get_attribute("main a[href^='/ledger/']", "href")
    for _attempt in range(40):
        if words.in_the_tree in await walker.go(proof, words.entry):
            break
        await walker.page.wait_for_timeout(250)
    else:
        pytest.fail("the receipt's promise was not kept within ten seconds")
    await walker.ask(region.stranger, case)
    text = await walker.look(words.refused)
    assert words.not_registered in text and "subject_not_registered" in text
    assert case in await walker.go("/uses", words.our_uses)


@LANGUAGES
async def test_manager_and_keeper_see_who_used_what(
    walk: Any, calm: None, region: Any, language: str
) -> None:
    words = WORDS[language]
    manager = await walk(language)
    await manager.sign_in("marc")
    text = await manager.go("/uses", words.our_uses)
    assert words.purpose in text and "social_dwelling_admission" not in text and "DEMO-2026-001" in text
    await manager.go("/dossiers")
    await manager.go("/parties/" + region.party("housing-north"))
    keeper = await walk(language, width=390)
    await keeper.sign_in("ria")
    text = await keeper.go("/uses/source", words.source_uses)
    assert words.purpose in text and "2026/001" in text and region.subject not in text


@LANGUAGES
async def test_anybody_reads_rules_register_and_ledger(walk: Any, calm: None, language: str) -> None:
    words = WORDS[language]
    walker = await walk(language, width=390 if language == "fr" else 1280)
    await walker.go("/")
    await walker.go("/rules", words.rules)
    await walker.follow(f"main a[href*='{RULE}']")
    rule = await walker.look()
    assert words.purpose in rule and "2026/001" in rule
    await walker.go("/rules/explain", words.explain)
    await walker.page.select_option("[name=resource]", "flow/social-dwelling-admission")
    await walker.follow("main form button")
    await walker.look(words.explain)
    for name, value in {
        "action": "consult",
        "purpose": "social_dwelling_admission",
        "party_kind": "social_housing_company",
        "profile": "case_handler",
        "fact.subject_in_dossier": "yes",
    }.items():
        await walker.page.select_option(f"[name='{name}']", value)
    await walker.follow("main form button")
    text = await walker.look(words.explain)
    assert await walker.page.locator(".notice.success").count() == 1 and "2026/001" in text
    text = await walker.go("/register", words.register)
    assert "2026/001" in text and words.in_force in text
    await walker.follow("main a[href='/register/authorisations/2026/001']")
    text = await walker.look()
    assert words.purpose in text and words.in_force in text
    text = await walker.go("/ledger", words.ledger)
    assert "koinon.invalid/brussels-demo/register" in text
    assert words.not_found in await walker.go("/no-such-page", words.not_found)


@LANGUAGES
async def test_the_commission_suspends_with_a_key_file_and_the_next_question_is_refused_with_its_reason(
    walk: Any, alone: None, region: Any, language: str
) -> None:
    words = WORDS[language]
    chair = await walk(language, width=390 if language == "nl" else 1280)
    await chair.sign_in("chair")
    await chair.go("/commission", words.commission)
    for path in ("requests", "complaints", "complaints/new", "members", "authorisations/new"):
        await chair.go(f"/commission/{path}")
    await chair.go(AUTHORISATION)
    act = "/acts/new?deed={}&kind=authorisation&id=2026%2F001"
    await chair.sign_with_key_file(act.format("suspend"), "Too many questions", "chair", Deed.SUSPEND)
    try:
        assert chair.page.url.endswith(AUTHORISATION)
        official = await walk(language)
        await official.sign_in("an")
        await official.ask(region.subject, f"SUSPENDED-{language}")
        text = await official.look(words.refused)
        assert words.suspended in text and f"Too many questions ({language})" in text
        assert f"Too many questions ({language})" in await official.go("/register", words.register)
        assert f"Too many questions ({language})" in await chair.go("/commission", words.commission)
    finally:
        await chair.sign_with_key_file(act.format("resume"), "Looked into", "chair", Deed.RESUME)
    await official.ask(region.subject, f"RESUMED-{language}")
    assert words.yes in await official.look(words.answer)


async def test_a_member_makes_a_passkey_the_chair_appoints_it_and_it_signs(
    walk: Any, alone: None, region: Any
) -> None:
    member = await walk("en")
    devtools = await member.page.context.new_cdp_session(member.page)
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
    await member.sign_in("member")
    await member.go("/commission/members")
    await member.page.click("[data-offer]")
    appoint = member.page.locator("a[href*=appoint_signer]")
    await appoint.wait_for()
    address = await appoint.get_attribute("href")
    assert address is not None
    match = re.search(r"[?&]id=([^&]+)", address)
    assert match is not None
    passkey = match[1]
    chair = await walk("en")
    await chair.sign_in("chair")
    await chair.sign_with_key_file(address, "A passkey for the member", "chair", Deed.APPOINT_SIGNER)
    act = "/acts/new?deed={}&kind=authorisation&id=2026%2F001"
    for deed in ("suspend", "resume"):
        await member.draft_act(act.format(deed), f"By passkey: {deed}", passkey)
        await member.look()
        await member.follow("[data-sign]")
        assert member.page.url.endswith(AUTHORISATION)
    text = await member.look()
    assert "By passkey: suspend (en)" in text and "By passkey: resume (en)" in text
    official = await walk("en")
    await official.sign_in("an")
    await official.ask(region.subject, "AFTER-PASSKEY")
    await official.look("Answer")
