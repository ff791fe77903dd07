"""Who the end user of a system's call is, and on whose word."""

import base64
import json
from datetime import timedelta

import pytest
from joserfc import jws, jwt
from joserfc.jwk import OKPKey

from koinon.base.crypto import SigningKey, b64url
from koinon.base.errors import Invalid, NotAllowed, NotIdentified
from koinon.trust.parties import INSTALLER, KeyUse, service
from koinon.trust.parties.assertion import TYPE, asserted_by_party, verify_user_assertion

PURPOSE = "social_dwelling_admission"
ORIGIN = "https://koinon.invalid"
SEED = bytes(range(32))


def sign(claims: dict, *, seed: bytes = SEED, **header) -> str:
    signer = SigningKey(seed)
    key = OKPKey.import_key(
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(signer.verify_key.public), "d": b64url(seed)}
    )
    full = {"alg": "EdDSA", "kid": signer.key_id, "typ": TYPE, **header}
    return jwt.encode(
        {name: value for name, value in full.items() if value is not None},
        {name: value for name, value in claims.items() if value is not None},
        key,
        registry=jws.JWSRegistry(algorithms=["EdDSA"]),
    )


@pytest.fixture
async def alpha(region):
    party = region.parties["alpha"].id
    await region.key(party, use=KeyUse.USER_ASSERTION, signer=SigningKey(SEED))
    return party


def claims(region, party, **changed):
    now = int(region.at.timestamp())
    base = {
        "iss": str(party), "sub": "agent-17", "aud": ORIGIN, "purpose": PURPOSE,
        "iat": now, "exp": now + 120, "jti": "1",
    }  # fmt: skip
    return {**base, **changed}


async def verify(region, token, party):
    return verify_user_assertion(
        token, await region.load(), party=party, purpose=PURPOSE, audience=ORIGIN, at=region.at
    )


async def test_an_end_user_is_the_identity_providers_word_when_it_signed_it(region, alpha):
    user = await verify(region, sign(claims(region, alpha)), alpha)
    assert (user.user, user.by, user.key) == ("agent-17", "identity_provider", SigningKey(SEED).key_id)


def test_without_an_assertion_the_end_user_is_the_partys_word():
    user = asserted_by_party("agent-17")
    assert (user.user, user.by, user.key) == ("agent-17", "party", None)
    for wrong in ("", "x" * 256, "a\nb"):
        with pytest.raises(Invalid) as error:
            asserted_by_party(wrong)
        assert error.value.code == "user_malformed"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"purpose": "taxi_careers"}, "purpose"),
        ({"purpose": None}, "purpose"),
        ({"iss": "00000000-0000-0000-0000-000000000000"}, "iss"),
        ({"aud": "https://other.invalid"}, "aud"),
        ({"aud": None}, "aud"),
        ({"sub": None}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"jti": None}, "jti"),
        ({"exp": 1}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": 4102444800}, "life"),
        ({"iat": 4102444800, "exp": 4102444900}, "iat"),
        ({"iat": None}, "iat"),
    ],
)
async def test_an_assertion_that_does_not_fit_this_call_is_refused(region, alpha, changed, why):
    with pytest.raises(NotIdentified) as error:
        await verify(region, sign(claims(region, alpha, **changed)), alpha)
    assert (error.value.code, error.value.facts["why"]) == ("user_assertion_invalid", why)


async def test_an_assertion_of_one_party_is_worth_nothing_in_anothers_call(region, alpha):
    beta = region.parties["beta"].id
    for named in (alpha, beta):
        with pytest.raises(NotIdentified) as error:
            await verify(region, sign(claims(region, named)), beta)
        assert (error.value.code, error.value.facts["why"]) == ("user_assertion_invalid", "party")


async def test_an_assertion_signed_by_another_key_under_this_kid_is_refused(region, alpha):
    token = sign(claims(region, alpha), seed=b"\1" * 32, kid=SigningKey(SEED).key_id)
    with pytest.raises(NotIdentified) as error:
        await verify(region, token, alpha)
    assert error.value.facts["why"] == "signature"


async def test_a_request_signing_key_cannot_assert_users(region, alpha):
    system = await region.system("rent", "alpha")
    await region.key(alpha, system=system.id, signer=SigningKey(b"\2" * 32))
    with pytest.raises(NotAllowed) as error:
        await verify(region, sign(claims(region, alpha), seed=b"\2" * 32), alpha)
    assert error.value.code == "key_use_wrong"


async def test_a_revoked_identity_provider_key_asserts_nobody(region, alpha):
    token = sign(claims(region, alpha))
    async with region.database.transaction() as connection:
        await service.revoke_key(
            connection, region.sealer, SigningKey(SEED).key_id, "stolen", by=INSTALLER, at=region.at
        )
    with pytest.raises(NotAllowed) as error:
        await verify(region, token, alpha)
    assert error.value.code == "key_revoked"


async def test_an_assertion_grows_old(region, alpha):
    token = sign(claims(region, alpha))
    region.clock.advance(timedelta(seconds=181))
    with pytest.raises(NotIdentified) as error:
        await verify(region, token, alpha)
    assert error.value.facts["why"] == "exp"


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": None}, {"kid": None}, {"kid": 5}])
async def test_another_jwt_of_that_provider_is_not_an_assertion(region, alpha, header):
    with pytest.raises(Invalid) as error:
        await verify(region, _raw({"alg": "EdDSA", "kid": "k", "typ": TYPE, **header}), alpha)
    assert error.value.code == "user_assertion_malformed"


@pytest.mark.parametrize("token", ["", "a.b.c", "..", "é", "x" * 9000, "e30.e30.", "bnVsbA.e30.AA"])
async def test_what_is_no_token_at_all_is_refused(region, alpha, token):
    with pytest.raises(Invalid) as error:
        await verify(region, token, alpha)
    assert error.value.code == "user_assertion_malformed"


async def test_an_unsigned_assertion_is_refused(region, alpha):
    token = _raw({"alg": "none", "kid": SigningKey(SEED).key_id, "typ": TYPE}, claims(region, alpha))
    with pytest.raises(NotIdentified) as error:
        await verify(region, token, alpha)
    assert error.value.facts["why"] == "signature"


def _raw(header: dict, body: dict | None = None) -> str:
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({k: v for k, v in header.items() if v is not None})}.{part(body or {})}."
