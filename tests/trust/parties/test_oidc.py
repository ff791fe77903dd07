"""Sign-in by OpenID Connect: against an independent provider, and against one that lies."""

import base64
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from koinon.base.clock import SystemClock
from koinon.base.errors import Invalid, NotIdentified, Unavailable
from koinon.base.settings import Settings
from koinon.trust.parties.sign_in import check_sign_in_settings
from koinon.trust.parties.sign_in.oidc import OidcClient

HOME = Path("/nonexistent")


def settings(issuer: str, **changed: Any) -> Settings:
    values = {
        "home": HOME,
        "oidc_issuer": issuer,
        "oidc_client_id": "koinon",
        "oidc_client_secret": "s3cret: with/odd chars",
        "public_origin": "http://127.0.0.1:9999",
    }
    return Settings(**{**values, **changed})


def query_of(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


# An independent provider: Canaille, by pytest-iam.


@pytest.fixture
def provider(iam_server):
    models = iam_server.models
    user = models.User(
        user_name="anna",
        emails=["anna@koinon.invalid"],
        family_name="Proef",
        formatted_name="Anna Proef",
        password="correct horse battery",
    )
    iam_server.backend.save(user)
    client = models.Client(
        client_id="koinon",
        client_secret="s3cret: with/odd chars",
        client_name="koinon",
        client_uri="http://127.0.0.1:9999",
        redirect_uris=["http://127.0.0.1:9999/sign-in/callback"],
        grant_types=["authorization_code"],
        response_types=["code"],
        token_endpoint_auth_method="client_secret_basic",
        scope=["openid", "email", "profile"],
    )
    iam_server.backend.save(client)
    client.audience = [client]
    iam_server.backend.save(client)
    iam_server.login(user)
    iam_server.consent(user, client)
    yield iam_server
    iam_server.logout()
    iam_server.backend.delete(client)
    iam_server.backend.delete(user)


def authorise(address: str) -> dict[str, str]:
    """What a browser that is signed in at the provider comes back with."""
    answer = httpx.get(address)
    assert answer.status_code in (302, 303), answer.text[:500]
    assert answer.headers["location"].startswith("http://127.0.0.1:9999/sign-in/callback?")
    return query_of(answer.headers["location"])


@pytest.fixture
async def client(provider, database):
    made = OidcClient(database, settings(provider.url.rstrip("/")), SystemClock())
    yield made
    await made.close()


async def test_somebody_signs_in_with_an_independent_provider(client):
    begun = await client.begin("/consult")
    asked = query_of(begun.address)
    assert asked["code_challenge_method"] == "S256"
    proven = await client.finish(authorise(begun.address), begun.browser)
    assert proven.subject == "anna"
    assert (proven.issuer, proven.return_to) == (client.issuer, "/consult")


async def test_replayed_code_is_refused(client):
    begun = await client.begin("/")
    answer = authorise(begun.address)
    await client.finish(answer, begun.browser)
    with pytest.raises(NotIdentified) as state:
        await client.finish(answer, begun.browser)
    assert state.value.code == "sign_in_state_wrong"
    # Nor is the code worth anything in a sign-in of the attacker's own.
    second = await client.begin("/")
    with pytest.raises(NotIdentified) as code:
        await client.finish({**answer, "state": query_of(second.address)["state"]}, second.browser)
    assert code.value.code == "sign_in_code_refused"


async def test_a_code_is_worth_nothing_without_its_verifier(client, database):
    begun = await client.begin("/")
    answer = authorise(begun.address)
    async with database.acquire() as connection:
        await connection.execute("UPDATE parties.sign_in SET verifier = repeat('x', 43)")
    with pytest.raises(NotIdentified) as error:
        await client.finish(answer, begun.browser)
    assert error.value.code == "sign_in_code_refused"


async def test_another_browser_cannot_finish_what_this_one_began(client):
    begun, other = await client.begin("/"), await client.begin("/")
    with pytest.raises(NotIdentified) as error:
        await client.finish(authorise(begun.address), other.browser)
    assert error.value.code == "sign_in_state_wrong"


async def test_wrong_state_is_refused_without_asking_the_provider(client):
    begun = await client.begin("/")
    answer = authorise(begun.address)
    for state in ("", "x" * 43):
        with pytest.raises(NotIdentified) as error:
            await client.finish({**answer, "state": state}, begun.browser)
        assert error.value.code == "sign_in_state_wrong"
    assert (await client.finish(answer, begun.browser)).subject == "anna"


# A provider that lies: `liar` of conftest.py.


@pytest.fixture
async def victim(liar, database, clock):
    client = OidcClient(database, settings(liar.issuer), clock)
    yield client
    await client.close()


async def sign_in(victim: OidcClient, liar, **changed: Any) -> str:
    """A whole sign-in in which the provider's claims are `changed` (None takes one away); the subject."""
    begun = await victim.begin("/")
    asked = query_of(begun.address)
    now = int(victim._clock.now().timestamp())
    claims = {
        "iss": liar.issuer,
        "aud": "koinon",
        "sub": "mallory",
        "iat": now,
        "exp": now + 300,
        "nonce": asked["nonce"],
        **changed,
    }
    liar.claims = {name: value for name, value in claims.items() if value is not None}
    return (await victim.finish({"state": asked["state"], "code": "c"}, begun.browser)).subject


async def test_an_honest_answer_of_the_same_provider_is_taken(victim, liar):
    assert await sign_in(victim, liar) == "mallory"
    pair = base64.b64decode(liar.authorizations[0].removeprefix("Basic ")).decode()
    assert pair == "koinon:s3cret%3A%20with%2Fodd%20chars"
    assert "client_secret" not in liar.forms[0]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": 5}, "nonce"),
        ({"iss": "https://other.invalid"}, "invalid_claim"),
        ({"iss": None}, "missing_claim"),
        ({"aud": "somebody-else"}, "invalid_claim"),
        ({"aud": []}, "invalid_claim"),
        ({"aud": None}, "missing_claim"),
        ({"aud": ["koinon", "other"]}, "azp"),
        ({"azp": "other"}, "azp"),
        ({"exp": 1}, "expired_token"),
        ({"exp": None}, "missing_claim"),
        ({"exp": "tomorrow"}, "invalid_claim"),
        ({"iat": 4102444800}, "invalid_claim"),
        ({"iat": None}, "missing_claim"),
        ({"sub": None}, "missing_claim"),
        ({"sub": ""}, "invalid_claim"),
        ({"sub": 7}, "invalid_claim"),
        ({"sub": "x" * 256}, "sub"),
    ],
)
async def test_an_id_token_that_is_not_for_us_now_and_this_is_refused(victim, liar, changed, why):
    with pytest.raises(NotIdentified) as error:
        await sign_in(victim, liar, **changed)
    assert (error.value.code, error.value.facts["why"]) == ("id_token_invalid", why)


def b64(value: bytes | dict[str, Any]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_clocks_may_differ_by_a_minute_and_no_more(victim, liar, clock):
    now = int(clock.now().timestamp())
    assert await sign_in(victim, liar, exp=now - 59) == "mallory"
    assert await sign_in(victim, liar, iat=now + 60) == "mallory"
    for changed in ({"exp": now - 60}, {"iat": now + 61}, {"nbf": now + 61}):
        with pytest.raises(NotIdentified) as error:
            await sign_in(victim, liar, **changed)
        assert error.value.code == "id_token_invalid"


async def test_id_token_with_alg_none_is_refused(victim, liar, monkeypatch):
    monkeypatch.setattr(liar, "id_token", lambda: f"{b64({'alg': 'none', 'kid': 'one'})}.{b64(liar.claims)}.")
    with pytest.raises(NotIdentified) as error:
        await sign_in(victim, liar)
    assert (error.value.code, error.value.facts["why"]) == ("id_token_invalid", "signature")


async def test_id_token_signed_with_the_public_key_as_an_hmac_secret_is_refused(victim, liar, monkeypatch):
    def forged() -> str:
        signed = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{b64(liar.claims)}"
        return f"{signed}.{b64(hmac.digest(liar.key.as_pem(private=False), signed.encode(), 'sha256'))}"

    monkeypatch.setattr(liar, "id_token", forged)
    with pytest.raises(NotIdentified) as error:
        await sign_in(victim, liar)
    assert (error.value.code, error.value.facts["why"]) == ("id_token_invalid", "signature")


async def test_id_token_of_another_key_is_refused_and_keys_are_fetched_anew_once(victim, liar, monkeypatch):
    assert await sign_in(victim, liar) == "mallory"
    other = liar.rsa_key("one", "another")
    monkeypatch.setattr(liar, "id_token", lambda: type(liar).id_token(liar, other))
    for _ in range(3):
        with pytest.raises(NotIdentified) as error:
            await sign_in(victim, liar)
        assert (error.value.code, error.value.facts["why"]) == ("id_token_invalid", "signature")
    # One fetch at first; within the pause a flood of bad tokens fetches nothing more.
    assert liar.asked.count("/keys") == 1


async def test_a_provider_that_changed_its_key_is_understood_after_the_pause(victim, liar, clock):
    assert await sign_in(victim, liar) == "mallory"
    liar.key = liar.rsa_key("two")
    liar.header = {"alg": "RS256", "kid": "two"}
    clock.advance(timedelta(seconds=61))
    assert await sign_in(victim, liar) == "mallory"
    assert liar.asked.count("/keys") == 2


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 100, "a.b", "..", "eyJhbGciOiJSUzI1NiJ9..", "é.é.é"])
async def test_what_is_no_token_at_all_is_refused(victim, liar, token):
    liar.token = token or " "
    with pytest.raises(NotIdentified) as error:
        await sign_in(victim, liar)
    assert error.value.code == "id_token_invalid"


async def test_mix_up_answer_of_another_issuer_is_refused_before_the_code_is_sent(victim, liar):
    begun = await victim.begin("/")
    state = query_of(begun.address)["state"]
    with pytest.raises(NotIdentified) as error:
        await victim.finish({"state": state, "code": "c", "iss": "https://other.invalid"}, begun.browser)
    assert error.value.code == "sign_in_issuer_wrong"
    assert "/token" not in liar.asked


async def test_mix_up_a_provider_that_names_itself_must_do_so_each_time(victim, liar):
    liar.extra = {"authorization_response_iss_parameter_supported": True}
    with pytest.raises(NotIdentified) as error:
        await sign_in(victim, liar)
    assert error.value.code == "sign_in_issuer_wrong"
    assert "/token" not in liar.asked


async def test_mix_up_a_sign_in_begun_with_another_provider_is_not_finished_here(victim, liar, database):
    begun = await victim.begin("/")
    async with database.acquire() as connection:
        await connection.execute("UPDATE parties.sign_in SET issuer = 'https://other.invalid'")
    with pytest.raises(NotIdentified) as error:
        await victim.finish({"state": query_of(begun.address)["state"], "code": "c"}, begun.browser)
    assert error.value.code == "sign_in_state_wrong"


async def test_a_sign_in_must_come_back_within_ten_minutes(victim, clock):
    begun = await victim.begin("/")
    clock.advance(timedelta(minutes=10))
    with pytest.raises(NotIdentified) as error:
        await victim.finish({"state": query_of(begun.address)["state"], "code": "c"}, begun.browser)
    assert error.value.code == "sign_in_state_wrong"


async def test_a_refusal_of_the_provider_is_told_as_one(victim):
    begun = await victim.begin("/")
    state = query_of(begun.address)["state"]
    with pytest.raises(NotIdentified) as error:
        await victim.finish({"state": state, "error": "access_denied"}, begun.browser)
    assert error.value.code == "sign_in_refused"


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ({"issuer": "https://other.invalid"}, "issuer"),
        ({"token_endpoint": "http://192.0.2.1/token"}, "endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "endpoint"),
        ({"jwks_uri": "file:///etc/passwd"}, "endpoint"),
        ({"raw": b"not json"}, "discovery"),
        ({"raw": b"[]"}, "discovery"),
        ({"raw": b'"' + b"x" * 300_000 + b'"'}, "too_large"),
    ],
)
async def test_a_provider_whose_discovery_makes_no_sense_is_not_used(victim, liar, extra, what):
    liar.extra = extra
    with pytest.raises(Unavailable) as error:
        await victim.begin("/")
    assert (error.value.code, error.value.facts["what"]) == ("identity_provider_unavailable", what)


@pytest.mark.parametrize("status", [404, 500, 302])
async def test_a_provider_that_fails_is_told_as_unavailable(victim, liar, status):
    liar.token_status = status
    with pytest.raises(Unavailable) as error:
        await sign_in(victim, liar)
    assert error.value.code == "identity_provider_unavailable"


async def test_a_provider_that_is_not_there_is_told_as_unavailable(database, clock, unused_tcp_port):
    client = OidcClient(database, settings(f"http://127.0.0.1:{unused_tcp_port}"), clock)
    with pytest.raises(Unavailable) as error:
        await client.begin("/")
    assert error.value.facts["what"] == "connection"
    await client.close()


@pytest.mark.parametrize(
    ("changed", "setting"),
    [
        ({"mode": "production", "oidc_issuer": ""}, "oidc_issuer"),
        ({"mode": "production", "oidc_issuer": "http://127.0.0.1:1"}, "oidc_issuer"),
        ({"mode": "embedded", "oidc_issuer": "http://id.invalid"}, "oidc_issuer"),
        ({"mode": "embedded", "oidc_issuer": "ftp://id.invalid"}, "oidc_issuer"),
        ({"mode": "production", "public_origin": "http://koinon.invalid"}, "public_origin"),
        ({"oidc_client_id": ""}, "oidc_client_id"),
    ],
)
def test_production_does_not_start_without_a_provider_over_https(changed, setting):
    values = {"mode": "production", "public_origin": "https://koinon.invalid", **changed}
    issuer = values.pop("oidc_issuer", "https://id.invalid")
    with pytest.raises(Invalid) as error:
        check_sign_in_settings(settings(issuer, **values))
    assert (error.value.code, error.value.facts["setting"]) == ("invalid_setting", setting)
