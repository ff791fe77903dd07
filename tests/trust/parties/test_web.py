"""Signing in and the register's pages, through HTTP, with the portal as the application wires it."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import argon2
import httpx
import pytest
from litestar import Litestar, get
from litestar.di import NamedDependency, Provide

from koinon.base import metrics
from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.settings import Settings
from koinon.portal import Portal
from koinon.trust.ledger import Sealer
from koinon.trust.parties import INSTALLER, LOCAL_ISSUER, Identity, KeyUse, api, service, web
from koinon.trust.parties.sign_in import LocalAccounts, Session, SignIn, provide_session, viewer_of

HOME = Path("/nonexistent")
PASSWORD = "a good long password"
PAGE = {"accept": "text/html"}
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@get("/secret")
async def secret(session: NamedDependency[Session]) -> dict[str, Any]:
    return {"name": session.name, "profile": session.profile}


def application(region, sign_in: SignIn, settings: Settings) -> Litestar:
    def give(value: Any):
        return Provide(lambda: value, sync_to_thread=False)

    portal = Portal(
        packages=["koinon.trust.parties"],
        viewer_of=viewer_of,
        remember_language=sign_in.remember_language,
        navigation=web.navigation,
        problems=web.problems,
        embedded=True,
        secure=settings.origin.startswith("https:"),
    )
    return Litestar(
        route_handlers=[*web.handlers, *api.handlers, secret],
        plugins=[portal],
        middleware=[sign_in.middleware],
        dependencies={
            "database": give(region.database),
            "sealer": give(region.sealer),
            "clock": give(region.clock),
            "settings": give(settings),
            "sign_in": give(sign_in),
            "session": Provide(provide_session),
        },
        signature_types=[Database, Sealer, Clock, Settings, SignIn],
    )


def browser(app: Litestar, scheme: str = "http") -> httpx.AsyncClient:
    """A client of its own cookies, on the test's own event loop."""
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 40000))
    return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://testserver.local")


@pytest.fixture
def settings() -> Settings:
    return Settings(home=HOME, ledger_origin="koinon.invalid/test", public_origin="http://testserver.local")


@pytest.fixture
async def accounts(region, settings) -> LocalAccounts:
    return LocalAccounts(region.database, settings, hasher=CHEAP, sealer=region.sealer)


@pytest.fixture
async def http(region, settings, accounts):
    sign_in = SignIn(region.database, region.sealer, settings, region.clock, accounts=accounts)
    app = application(region, sign_in, settings)
    async with browser(app) as client:
        yield client


@pytest.fixture
def enrol(region, accounts):
    """`await enrol("anna")`: a person of the register can sign in by that login."""

    async def link(name: str, login: str | None = None) -> None:
        login = login or name
        async with region.database.transaction() as connection:
            await accounts.set_password(connection, login, PASSWORD, region.at)
            identity = Identity(issuer=LOCAL_ISSUER, subject=login, person=region.persons[name].id)
            await service.link_identity(connection, region.sealer, identity, by=INSTALLER, at=region.at)

    return link


async def sign_in(http: httpx.AsyncClient, login: str, password: str = PASSWORD, **more: Any) -> Any:
    form = {"login": login, "password": password, "next": "/me"}
    if "koinon_session" in http.cookies:
        form["_csrf"] = await token_of(http)
    return await http.post("/sign-in/local", data=form, follow_redirects=False, **more)


async def token_of(http: httpx.AsyncClient, path: str = "/me") -> str:
    page = await http.get(path, headers=PAGE)
    found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert found, page.text[:300]
    return found[1]


async def post(http: httpx.AsyncClient, path: str, **form: Any) -> Any:
    data = {"_csrf": await token_of(http), **form}
    return await http.post(path, data=data, headers=PAGE, follow_redirects=False)


@pytest.fixture
async def anna(region, enrol):
    await region.person("anna", "alpha", "case_handler")
    await enrol("anna")


async def test_somebody_signs_in_and_out(http, anna):
    assert (await http.get("/secret")).json()["code"] == "not_signed_in"
    answer = await sign_in(http, "anna")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/choose?next=%2Fme")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("koinon_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert (await http.get("/secret")).json() == {"name": "anna", "profile": "case_handler"}
    answer = await post(http, "/sign-out")
    assert answer.status_code == 303
    assert (await http.get("/secret")).status_code == 401


async def test_the_cookie_is_secure_over_https(region, accounts, anna):
    settings = Settings(home=HOME, public_origin="https://testserver.local")
    sign = SignIn(region.database, region.sealer, settings, region.clock, accounts=accounts)
    app = application(region, sign, settings)
    async with browser(app, "https") as client:
        assert "Secure" in (await sign_in(client, "anna")).headers["set-cookie"]


async def test_unknown_login_and_wrong_password_get_the_same_page(http, anna):
    pages = []
    for login in ("anna", "nobody"):
        answer = await sign_in(http, login, "wrong password", headers={**PAGE, "x-forwarded-for": "1.2.3.4"})
        pages.append(
            (answer.status_code, answer.text.replace(login, "LOGIN"), "set-cookie" in answer.headers)
        )
    assert pages[0] == pages[1]
    assert pages[0][0] == 401
    assert pages[0][2] is False


async def test_a_program_gets_a_problem_document(http, anna):
    answer = await sign_in(http, "anna", "wrong password")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_failed")


async def test_too_many_attempts_say_when_to_come_back(http, anna):
    for _ in range(4):
        assert (await sign_in(http, "anna", "wrong password", headers=PAGE)).status_code == 401
    answer = await sign_in(http, "anna", headers=PAGE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "Wacht 1 seconden" in answer.text


async def test_session_fixation_a_planted_cookie_is_replaced_and_worth_nothing(http, anna, region):
    await sign_in(http, "anna")
    planted = http.cookies["koinon_session"]
    await sign_in(http, "anna")
    fresh = http.cookies["koinon_session"]
    assert fresh != planted
    http.cookies.clear()
    assert (await http.get("/secret", cookies={"koinon_session": planted})).status_code == 401


@pytest.mark.parametrize("cookie", ["x", "A" * 43, '"; DROP TABLE', "A" * 4000])
async def test_a_cookie_that_is_no_session_is_nobody(http, cookie):
    answer = await http.get("/secret", headers={"cookie": f"koinon_session={cookie}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")


async def test_a_form_without_the_sessions_token_changes_nothing(http, anna, region, enrol):
    await sign_in(http, "anna")
    for token in ("", "wrong", None):
        form = {} if token is None else {"_csrf": token}
        answer = await http.post("/sign-out", data=form)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_token_wrong")
    token = await token_of(http)
    answer = await http.post("/sign-out", data={"_csrf": token}, headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    assert (await http.get("/secret")).status_code == 200
    # A token of another session is no token of this one.
    await sign_in(http, "anna")
    assert (await http.post("/sign-out", data={"_csrf": token})).json()["code"] == "csrf_token_wrong"


@pytest.mark.parametrize("target", ["https://evil.invalid/", "//evil.invalid", "/\\evil.invalid", "x", ""])
async def test_nobody_is_sent_elsewhere_after_signing_in(http, anna, target):
    form = {"login": "anna", "password": PASSWORD, "next": target}
    answer = await http.post("/sign-in/local", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/sign-in/choose?next=%2F"
    answer = await http.get("/sign-in/choose", params={"next": target}, follow_redirects=False)
    assert answer.headers["location"] == "/"


async def test_who_has_two_capacities_chooses_one_and_can_choose_again(http, anna, region, enrol):
    await region.person("anna at beta", "beta", "housing_manager")
    identity = Identity(issuer=LOCAL_ISSUER, subject="anna", person=region.persons["anna at beta"].id)
    async with region.database.transaction() as connection:
        await service.link_identity(connection, region.sealer, identity, by=INSTALLER, at=region.at)
    await sign_in(http, "anna")
    assert (await http.get("/secret")).json() == {"name": "", "profile": None}
    page = await http.get("/sign-in/choose?next=/me", headers=PAGE)
    choices = re.findall(r'value="([0-9a-f-]{36} \w+)"', page.text)
    assert len(choices) == 2
    beta = next(each for each in choices if each.endswith("housing_manager"))
    before = http.cookies["koinon_session"]
    answer = await post(http, "/sign-in/choose", choice=beta, next="/me")
    assert answer.headers["location"] == "/me"
    assert http.cookies["koinon_session"] != before
    assert (await http.get("/secret")).json() == {"name": "anna at beta", "profile": "housing_manager"}
    answer = await post(http, "/sign-in/choose", choice=f"{region.persons['olga'].id} operator", next="/")
    assert answer.status_code == 403
    answer = await post(http, "/sign-in/choose", choice="nonsense", next="/")
    assert answer.status_code == 400
    page = await http.get("/sign-in/choose?again=true", headers=PAGE)
    assert page.status_code == 200


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("nl", "Vertrouwelijkheidshandvest"),
        ("fr", "Charte de confidentialité"),
        ("en", "Confidentiality charter"),
    ],
)
async def test_the_charter_is_read_and_signed_in_each_language(http, anna, region, charter, language, words):
    async with region.database.transaction() as connection:
        await service.publish_charter(connection, region.sealer, charter, by=INSTALLER, at=region.at)
    await sign_in(http, "anna")
    page = (await http.get(f"/me?lang={language}", headers=PAGE)).text
    assert words in page
    assert charter.text.in_(language) in page
    answer = await post(http, "/me/charter", version="2026-1")
    assert answer.status_code == 400
    assert (await region.load()).persons[region.persons["anna"].id].charter is None
    answer = await post(http, "/me/charter", version="2026-1", read="on")
    assert answer.status_code == 303
    assert (await region.load()).persons[region.persons["anna"].id].charter.version == "2026-1"
    assert (await post(http, "/me/charter", version="2026-1", read="on")).status_code == 409


async def test_sign_out_everywhere_ends_the_other_browser_too(http, anna, region, settings, accounts):
    await sign_in(http, "anna")
    first = http.cookies["koinon_session"]
    http.cookies.clear()
    await sign_in(http, "anna")
    assert (await post(http, "/me/sign-out-everywhere")).status_code == 303
    http.cookies.clear()
    assert (await http.get("/secret", cookies={"koinon_session": first})).status_code == 401


async def test_a_managers_page_shows_and_changes_the_own_party_only(http, region, enrol):
    await region.person("mia", "alpha", "party_manager")
    await enrol("mia")
    await sign_in(http, "mia")
    alpha, beta = region.parties["alpha"].id, region.parties["beta"].id
    answer = await http.get("/parties", follow_redirects=False)
    assert answer.headers["location"] == f"/parties/{alpha}"
    for language in ("nl", "fr", "en"):
        page = await http.get(f"/parties/{alpha}?lang={language}", headers=PAGE)
        assert page.status_code == 200
        assert region.parties["alpha"].name.in_(language) in page.text
    assert (await http.get(f"/parties/{beta}")).json()["code"] == "reading_not_allowed"
    here = f"/parties/{alpha}"
    answer = await post(http, f"{here}/persons", name="Nora Proef", language="fr", profile="case_handler")
    assert (answer.status_code, answer.headers["location"]) == (303, here)
    nora = next(each for each in (await region.load()).persons.values() if each.name == "Nora Proef")
    for what, form in (
        ("roles", {"person": nora.id, "profile": "housing_manager", "valid_from": "2026-11-24"}),
        ("training", {"person": nora.id, "completed_on": "2026-11-01", "valid_until": "2028-11-01"}),
        ("identities", {"person": nora.id, "issuer": "https://id.invalid", "subject": "nora"}),
        ("units", {"nl": "Verhuur", "fr": "Location", "en": "Letting"}),
        ("systems", {"name": "rent"}),
        ("advisers-propose", {"person": nora.id}),
    ):
        answer = await post(http, f"{here}/{what}", **form)
        assert answer.status_code == 303, (what, re.findall(r"<p>(.*?)</p>", answer.text))
    register = await region.load()
    assert {role.profile for role in register.persons[nora.id].roles} == {"case_handler", "housing_manager"}
    (adviser,) = register.advisers[alpha]
    (system,) = register.systems.values()
    key = await region.key(alpha, system=system.id, use=KeyUse.REQUEST_SIGNING)
    for what, form in (
        ("advisers-appoint", {"adviser": adviser.id, "advice": "AB" * 32}),
        ("advisers-end", {"adviser": adviser.id}),
        ("keys-revoke", {"kid": key.kid, "reason": "stolen"}),
        ("systems-deactivate", {"system": system.id}),
        ("roles-end", {"person": nora.id, "profile": "case_handler"}),
        ("persons-deactivate", {"person": nora.id}),
    ):
        answer = await post(http, f"{here}/{what}", **form)
        assert answer.status_code == 303, (what, re.findall(r"<p>(.*?)</p>", answer.text))
        assert (await http.get(here, headers=PAGE)).status_code == 200
    register = await region.load()
    assert not register.persons[nora.id].active
    assert register.keys[key.kid].revoked_at is not None
    # What is refused stands above the page, and changes nothing.
    answer = await post(http, f"{here}/persons", name="", language="fr")
    assert answer.status_code == 400
    answer = await post(http, f"{here}/keys", request="{}")
    assert answer.status_code == 400
    answer = await post(http, f"{here}/nonsense")
    assert answer.status_code == 404
    mia = region.persons["mia"].id
    answer = await post(http, f"{here}/roles", person=mia, profile="case_handler", valid_from="2026-11-24")
    assert answer.status_code == 403
    answer = await post(http, f"/parties/{beta}/systems", name="mine")
    assert answer.status_code == 403
    assert all(each.party != beta for each in (await region.load()).systems.values())


async def test_an_operator_sees_all_parties_and_registers_one(http, region, enrol):
    await enrol("olga")
    await sign_in(http, "olga")
    page = await http.get("/parties?lang=fr", headers=PAGE)
    assert (page.status_code, "beta fr" in page.text) == (200, True)
    form = {"enterprise_number": "0403.019.261", "kind": "school", "nl": "a", "fr": "b", "en": "c"}
    answer = await post(http, "/parties", **form)
    assert answer.status_code == 303
    assert (await post(http, "/parties", **form)).status_code == 409
    assert (await post(http, "/parties", **{**form, "enterprise_number": "1"})).status_code == 400


async def test_a_case_handler_sees_no_administration(http, anna, region):
    await sign_in(http, "anna")
    assert (await http.get("/parties")).json()["code"] == "reading_not_allowed"
    alpha = region.parties["alpha"].id
    assert (await http.get(f"/parties/{alpha}")).json()["code"] == "reading_not_allowed"
    assert (await http.get("/parties/0/x")).status_code in (404, 405)


async def test_the_public_facts_name_no_person_but_the_adviser(http, region):
    adam = await region.person("Adam Proef", "alpha")
    await region.person("Zoë Geheim", "alpha", "case_handler")
    system = await region.system("rent", "alpha")
    key = await region.key(adam.party, system=system.id)
    async with region.database.transaction() as connection:
        adviser = await service.propose_adviser(
            connection, region.sealer, adam.party, adam.id, by=INSTALLER, at=region.at
        )
        await service.appoint_adviser(
            connection, region.sealer, adviser.id, region.at.date(), "ab" * 32, by=INSTALLER, at=region.at
        )
    parties = (await http.get("/api/parties")).json()["parties"]
    alpha = next(each for each in parties if each["id"] == str(adam.party))
    assert (alpha["adviser"], alpha["name"]["fr"]) == ("Adam Proef", "alpha fr")
    answer = await http.get("/api/parties/keys")
    assert answer.status_code == 200, answer.text
    (listed,) = answer.json()["keys"]
    assert (listed["jwk"]["kid"], listed["state"], listed["party"]) == (key.kid, "usable", str(adam.party))
    assert "Geheim" not in (await http.get("/api/parties")).text


async def test_flood_of_unauthenticated_refusals_is_counted_and_not_ledgered(http, anna, region):
    async with region.database.acquire() as connection:
        before = await connection.fetchval("SELECT count(*) FROM ledger.pending")
    counted = value("koinon_unidentified_total"), value("koinon_sign_in_refused_total")
    for _ in range(20):
        assert (await http.get("/secret")).status_code == 401
        assert (await sign_in(http, "nobody", "wrong")).status_code in (401, 429)
        assert (await http.get("/sign-in/callback?state=x&code=y")).status_code == 404
    assert value("koinon_unidentified_total") == counted[0] + 20
    assert value("koinon_sign_in_refused_total") == counted[1] + 20
    async with region.database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ledger.pending") == before


def value(name: str) -> float:
    lines = metrics.render().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def test_the_readers_language_is_remembered_with_the_session(http, anna):
    await sign_in(http, "anna")
    assert (await post(http, "/language", lang="fr", next="/me")).status_code == 303
    http.cookies.delete("koinon_language")
    assert '<html lang="fr">' in (await http.get("/me", headers=PAGE)).text


# By OpenID Connect, through HTTP.


@pytest.fixture
async def federated(region, liar, clock):
    """An application whose provider is `liar`, and the settings of it."""
    settings = Settings(
        home=HOME, public_origin="http://127.0.0.1:9999", oidc_issuer=liar.issuer, oidc_client_id="koinon"
    )
    sign = SignIn(region.database, region.sealer, settings, region.clock)
    async with browser(application(region, sign, settings)) as client:
        yield client
    await sign.close()


async def come_back(federated, liar, region, subject: str, **query: str):
    answer = await federated.get("/sign-in/oidc?next=/secret", follow_redirects=False)
    assert answer.status_code == 303
    assert "Path=/sign-in" in answer.headers["set-cookie"]
    asked = {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    now = int(region.at.timestamp())
    liar.claims = {
        "iss": liar.issuer, "aud": "koinon", "sub": subject, "iat": now, "exp": now + 60, "nonce": asked["nonce"],
    }  # fmt: skip
    given = {"state": asked["state"], "code": "c", **query}
    return await federated.get("/sign-in/callback", params=given, follow_redirects=False)


async def test_somebody_signs_in_by_the_provider_and_ends_where_they_wanted(federated, liar, region):
    anna = await region.person("anna", "alpha", "case_handler")
    identity = Identity(issuer=liar.issuer, subject="a-1", person=anna.id)
    async with region.database.transaction() as connection:
        await service.link_identity(connection, region.sealer, identity, by=INSTALLER, at=region.at)
    page = await federated.get("/sign-in?next=/secret", headers=PAGE)
    assert "/sign-in/oidc?next=/secret" in page.text
    answer = await come_back(federated, liar, region, "a-1")
    assert answer.headers["location"] == "/sign-in/choose?next=%2Fsecret"
    answer = await federated.get(answer.headers["location"], follow_redirects=True)
    assert answer.json() == {"name": "anna", "profile": "case_handler"}
    assert "koinon_sign_in" not in federated.cookies


async def test_whom_the_provider_knows_and_we_do_not_is_refused_in_words(federated, liar, region):
    answer = await come_back(federated, liar, region, "stranger")
    assert (answer.status_code, answer.json()["code"]) == (403, "person_unknown")
    assert "koinon_session" not in federated.cookies


async def test_an_answer_that_another_browser_began_signs_nobody_in(federated, liar, region):
    answer = await federated.get("/sign-in/oidc", follow_redirects=False)
    state = parse_qs(urlsplit(answer.headers["location"]).query)["state"][0]
    federated.cookies.clear()
    answer = await federated.get("/sign-in/callback", params={"state": state, "code": "c"})
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_state_wrong")
    assert "/token" not in liar.asked


async def test_local_accounts_do_not_exist_in_production(region, liar):
    settings = Settings(
        home=HOME,
        mode="production",
        public_origin="https://testserver.local",
        oidc_issuer="https://id.invalid",
        oidc_client_id="koinon",
    )
    sign = SignIn(region.database, region.sealer, settings, region.clock)
    async with browser(application(region, sign, settings), "https") as client:
        answer = await sign_in(client, "anna")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_local_accounts")
        assert "/sign-in/local" not in (await client.get("/sign-in", headers=PAGE)).text
    await sign.close()
