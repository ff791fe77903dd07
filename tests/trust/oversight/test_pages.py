"""Pages of the Commission and of the public register, as a browser without scripts gets them."""

import base64
import re
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from koinon.base.text import LANGUAGES
from koinon.trust.ledger import find_entries
from koinon.trust.oversight import ComplaintState
from koinon.trust.oversight.store import list_complaints
from koinon.trust.standing.acts import Body, Deed, Rank, TargetKind, parse_act

HTML = {"accept": "text/html", "accept-language": "en"}
WORDS = {"reason_nl": "zaak 14", "reason_fr": "affaire 14", "reason_en": "case 14"}


async def page(client: Any, path: str, language: str = "en") -> str:
    answer = await client.get(
        path, params=[*parse_qsl(urlsplit(path).query), ("lang", language)], headers=HTML
    )
    assert answer.status_code == 200, answer.text
    return str(answer.text)


async def posted(client: Any, path: str, **form: str) -> Any:
    return await client.post(path, data=form, headers=HTML)


@pytest.fixture
async def busy(desk: Any, office: Any) -> Any:
    """An office with something of everything."""
    await office.agree()
    await office.grant()
    await office.ask_authorisation(number="2026/015", valid_until=date(2027, 1, 15))
    await office.propose_adviser("housing")
    await office.do(office.region.deputy, Deed.SUSPEND)
    await office.do(office.region.chair, Deed.SUSPEND, TargetKind.PERSON, str(office.secretary.id))
    await office.do(office.region.chair, Deed.END_FLOW, TargetKind.FLOW, "old-flow")
    await desk.caught_up()
    return office


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_public_register_is_a_page_without_sign_in(
    busy: Any, client: Any, desk: Any, language: str
) -> None:
    text = await page(client, "/register", language)
    assert "2026/014" in text and "old-flow" in text
    suspended = {"nl": "geschorst", "fr": "suspendue", "en": "suspended"}[language]
    assert suspended in text
    assert busy.secretary.name not in text and str(busy.secretary.id) not in text
    full = await page(client, "/register/authorisations/2026/014", language)
    assert {"nl": "Beraadslaging", "fr": "Délibération", "en": "Deliberation"}[language] in full
    answer = await client.get("/register/authorisations/2026/999", headers=HTML)
    assert answer.status_code == 404


async def test_every_page_of_the_console_speaks_three_languages(busy: Any, client: Any, desk: Any) -> None:
    desk.sign_in()
    for path in (
        "/commission",
        "/commission/requests",
        "/commission/authorisations/2026/014",
        "/commission/authorisations/2026/015",
        "/commission/authorisations/new",
        "/commission/complaints",
        "/commission/complaints/new",
        "/commission/members",
        "/acts/new?deed=suspend&kind=party&id=x",
    ):
        pages = [await page(client, path, language) for language in LANGUAGES]
        for language, text in zip(LANGUAGES, pages, strict=True):
            assert f'lang="{language}"' in text
        titles = {re.search("<h1>(.*?)</h1>", text)[1] for text in pages}  # type: ignore[index]
        assert len(titles) >= 2, path  # some words are the same in two languages


async def test_the_console_is_for_the_commission_alone(busy: Any, client: Any, desk: Any) -> None:
    paths = (
        "/commission",
        "/commission/requests",
        "/commission/complaints",
        "/commission/authorisations/2026/014",
    )
    for path in paths:
        assert (await client.get(path)).status_code == 401
    for profile, kind in (
        ("case_handler", "social_housing_company"),
        ("operator", "integrator"),
        ("commission_secretary", "integrator"),
    ):
        desk.sign_in(profile, kind=kind)
        for path in paths:
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (403, "commission_only")


async def test_the_overview_shows_what_is_stopped_and_what_waits(busy: Any, client: Any, desk: Any) -> None:
    desk.sign_in()
    text = await page(client, "/commission")
    assert "2 requests wait" in text and "2026/014" in text and busy.secretary.name in text
    requests = await page(client, "/commission/requests")
    assert "deed=grant" in requests and "deed=advise_adviser" in requests


async def test_a_suspension_is_drafted_shown_and_ready_to_be_signed(
    busy: Any, client: Any, desk: Any, office: Any
) -> None:
    desk.sign_in()
    form = {"deed": "suspend", "kind": "party", "id": "x", "signer": office.region.chair.kid, **WORDS}
    answer = await posted(client, "/acts/new", **form)
    assert answer.status_code == 200 and "case 14" in answer.text
    found = re.search(r'data-body="([^"]+)"', answer.text)
    assert found is not None
    act = parse_act(base64.b64decode(found[1]))
    assert (act.act, act.target.id, act.reason.nl) == (Deed.SUSPEND, "x", "zaak 14")
    signed = office.region.chair.sign(act)
    handed_in = await client.post("/api/acts", content=msgspec.json.encode(signed))
    assert handed_in.status_code == 201


async def test_a_draft_that_cannot_be_signed_says_why(busy: Any, client: Any, desk: Any, office: Any) -> None:
    desk.sign_in()
    chair = office.region.chair.kid
    form = {"deed": "resume", "kind": "party", "id": "x", "signer": chair, **WORDS}
    answer = await posted(client, "/acts/new", **form)
    assert answer.status_code == 409 and "would change nothing" in answer.text
    answer = await posted(client, "/acts/new", **{**form, "deed": "suspend", "reason_fr": " "})
    assert answer.status_code == 400
    answer = await posted(client, "/acts/new", **{**form, "deed": "no such"})
    assert answer.status_code == 400


async def test_only_members_draft_acts(busy: Any, client: Any, desk: Any) -> None:
    for profile, kind in (("operator", "integrator"), ("commission_secretary", "commission")):
        desk.sign_in(profile, kind=kind)
        answer = await client.get("/acts/new?deed=suspend&kind=party&id=x")
        assert (answer.status_code, answer.json()["code"]) == (403, "members_only")


async def test_an_authorisation_is_drawn_up_with_conditions_and_end_and_then_granted(
    busy: Any, client: Any, desk: Any, office: Any
) -> None:
    desk.sign_in()
    form = {
        **{f"title_{code}": f"titel {code}" for code in LANGUAGES},
        **{f"text_{code}": f"tekst {code}" for code in LANGUAGES},
        "beneficiary": str(office.parties.id["housing"]),
        "purposes": "rent_calculation",
        "resources": "ksz/income: amount, year\nrijksregister/person: address",
        "actions": "consult",
        "valid_from": "2026-12-01",
        "valid_until": "2027-12-01",
        "articles": "test art. 9",
        "case_required": "on",
        "kept_at_most": "30",
    }
    refused = await posted(client, "/commission/authorisations/new", **{**form, "valid_until": "2026-12-01"})
    assert refused.status_code == 400 and "term" in refused.text and "titel nl" in refused.text
    for change in ({"kept_at_most": "x"}, {"only_profiles": "nobody"}, {"resources": "ksz/income"}):
        assert (
            await posted(client, "/commission/authorisations/new", **{**form, **change})
        ).status_code == 400
    answer = await posted(client, "/commission/authorisations/new", **form)
    assert answer.status_code == 303
    await desk.caught_up()
    made = (await desk.caught_up()).agreements.authorisations["2026/016"]
    assert made.resources == {"ksz/income": ("amount", "year"), "rijksregister/person": ("address",)}
    assert [type(each).__name__ for each in made.conditions] == ["CaseRequired", "KeptAtMost"]
    target = answer.headers["location"]
    assert f"digest={made.digest}" in target
    granting = await page(client, target)
    assert "titel nl" in granting and made.digest in granting


async def test_a_complaint_is_received_judged_and_its_exchanges_opened(
    busy: Any, client: Any, desk: Any, office: Any
) -> None:
    use = await office.use()
    desk.sign_in("commission_secretary", subject="secretary")
    form = {
        "against": str(office.parties.id["housing"]),
        "complainant": "Jo Klager",
        "identity": "card",
        "interest": "my file",
        "story": "what happened",
        "exchanges": str(use.id),
    }
    for change, words in (
        ({"identity": ""}, "Identity must be shown"),
        ({"exchanges": "nonsense"}, "not written as an entry id"),
        ({"against": ""}, "Choose the service"),
        ({"exchanges": str(office.secretary.id)}, "not in the ledger"),
    ):
        answer = await posted(client, "/commission/complaints/new", **{**form, **change})
        assert answer.status_code in (400, 404) and words in answer.text
    answer = await posted(client, "/commission/complaints/new", **form)
    assert answer.status_code == 303
    path = answer.headers["location"]
    text = await page(client, path)
    assert "Jo Klager" in text and "HN-2026-0001" not in text
    early = await posted(client, f"{path}/exchanges")
    assert early.status_code == 409
    assert (await posted(client, f"{path}/state", to="admissible")).status_code == 303
    opened = await posted(client, f"{path}/exchanges")
    assert opened.status_code == 200 and "HN-2026-0001" in opened.text
    assert (await posted(client, f"{path}/state", to="nonsense")).status_code == 400
    assert (await posted(client, f"{path}/state", to="investigated")).status_code == 303
    assert "deed=decide_complaint" in await page(client, path)
    async with office.database.acquire() as connection:
        (complaint,) = await list_complaints(connection)
        assert complaint.state is ComplaintState.INVESTIGATED
        assert len(await find_entries(connection, kind="complaint.exchanges_read")) == 1
    assert "Jo Klager" not in await page(client, "/commission/complaints")


async def test_a_form_without_the_sessions_token_changes_nothing(busy: Any, client: Any, desk: Any) -> None:
    desk.sign_in()
    answer = await client.post(
        "/commission/complaints/new", data={}, headers={**HTML, "x-csrf-token": "another"}
    )
    assert answer.status_code == 403


async def test_a_member_offers_a_key_in_the_own_name_and_the_chair_appoints_it(
    busy: Any, client: Any, desk: Any, office: Any, new_member: Any
) -> None:
    desk.sign_in("committee_member", subject="someone")
    made = new_member("somebody else", Body.COMMISSION, Rank.VICE_CHAIR)
    file = {"file": ("key.pem.signer.json", msgspec.json.encode(made.signer), "application/json")}
    answer = await client.post("/commission/members/keys", files=file, headers=HTML)
    assert answer.status_code == 303
    assert "deed=appoint_signer" in await page(client, "/commission/members")
    desk.sign_in()
    form = {
        "deed": "appoint_signer",
        "kind": "signer",
        "id": made.kid,
        "signer": office.region.chair.kid,
        **WORDS,
    }
    answer = await posted(client, "/acts/new", **form)
    found = re.search(r'data-body="([^"]+)"', answer.text)
    assert found is not None
    act = parse_act(base64.b64decode(found[1]))
    assert act.appointed is not None
    # Whose key it is and in which body, says the session and not the file.
    assert act.appointed.holder == str(office.secretary.id) and act.appointed.name == office.secretary.name
    assert act.appointed.body is Body.COMMITTEE
    await client.post("/api/acts", content=msgspec.json.encode(office.region.chair.sign(act)))
    assert made.kid in (await desk.caught_up()).acts.signers
    assert "deed=appoint_signer" not in await page(client, "/commission/members")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"-----BEGIN PRIVATE KEY-----"])
async def test_what_is_no_public_key_is_not_offered(
    busy: Any, client: Any, desk: Any, content: bytes
) -> None:
    desk.sign_in()
    file = {"file": ("key.pem", content, "application/json")}
    answer = await client.post("/commission/members/keys", files=file)
    assert (answer.status_code, answer.json()["code"]) == (400, "signer_malformed")


async def test_a_passkey_that_was_not_made_here_is_not_offered(busy: Any, client: Any, desk: Any) -> None:
    desk.sign_in()
    credential = {
        "id": "AA",
        "rawId": "AA",
        "type": "public-key",
        "response": {"attestationObject": "AA", "clientDataJSON": "AA"},
    }
    answer = await client.post(
        "/commission/members/passkeys", json={"rank": "member", "credential": credential}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "signer_malformed")
