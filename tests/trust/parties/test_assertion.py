"""Who the end user of a system's call is, and on whose word."""

import base64
import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from koinon.base.crypto import SigningKey, b64url
from koinon.base.errors import Invalid, NotAllowed, NotIdentified
from koinon.trust.parties import Key, KeyUse, Register
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
    return jws.serialize_compact(
        {name: value for name, value in full.items() if value is not None},
        json.dumps({name: value for name, value in claims.items() if value is not None}),
        key,
        algorithms=["EdDSA"],
    )


NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def key(seed: bytes, party: UUID, **changed) -> Key:
    public = SigningKey(seed).verify_key
    base = Key(
        kid=public.key_id,
        public=public.public,
        party=party,
        use=KeyUse.USER_ASSERTION,
        valid_from=date(2026, 1, 1),
    )
    return msgspec.structs.replace(base, **changed)


ALPHA, BETA = UUID(int=1), UUID(int=2)
REGISTER = Register.of(keys=[key(SEED, ALPHA), key(b"\2" * 32, ALPHA, use=KeyUse.CONVENTION_SIGNING)])


def claims(party=ALPHA, **changed):
    now = int(NOW.timestamp())
    base = {
        "iss": str(party), "sub": "agent-17", "aud": ORIGIN, "purpose": PURPOSE,
        "iat": now, "exp": now + 120, "jti": "1",
    }  # fmt: skip
    return {**base, **changed}


def verify(token, party=ALPHA, *, register=REGISTER, at=NOW):
    return verify_user_assertion(token, register, party=party, purpose=PURPOSE, audience=ORIGIN, at=at)


def test_an_end_user_is_the_identity_providers_word_when_it_signed_it():
    user = verify(sign(claims()))
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
        ({"iss": "00000000-0000-0000-0000-000000000000"}, "iss"),
        ({"aud": "https://other.invalid"}, "aud"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "a\nb"}, "sub"),
        ({"jti": ""}, "jti"),
        ({"exp": 1}, "exp"),
        ({"exp": 4102444800}, "life"),
        ({"iat": 4102444800, "exp": 4102444900}, "iat"),
    ],
)
def test_an_assertion_that_does_not_fit_this_call_is_refused(changed, why):
    with pytest.raises(NotIdentified) as error:
        verify(sign(claims(ALPHA, **changed)))
    assert (error.value.code, error.value.facts["why"]) == ("user_assertion_invalid", why)


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "purpose", "jti", "iat", "exp"])
@pytest.mark.parametrize("value", [None, ["x"], 1.5])
def test_an_assertion_without_each_claim_of_its_type_is_refused(claim, value):
    with pytest.raises(Invalid) as error:
        verify(sign(claims(ALPHA, **{claim: value})))
    assert error.value.code == "user_assertion_malformed"


def test_an_assertion_of_one_party_is_worth_nothing_in_anothers_call():
    for named in (ALPHA, BETA):
        with pytest.raises(NotIdentified) as error:
            verify(sign(claims(named)), BETA)
        assert (error.value.code, error.value.facts["why"]) == ("user_assertion_invalid", "party")


def test_an_assertion_signed_by_another_key_under_this_kid_is_refused():
    token = sign(claims(), seed=b"\1" * 32, kid=SigningKey(SEED).key_id)
    with pytest.raises(NotIdentified) as error:
        verify(token)
    assert error.value.facts["why"] == "signature"


def test_a_key_for_another_use_cannot_assert_users():
    with pytest.raises(NotAllowed) as error:
        verify(sign(claims(), seed=b"\2" * 32))
    assert error.value.code == "key_use_wrong"


def test_a_revoked_identity_provider_key_asserts_nobody():
    revoked = Register.of(keys=[key(SEED, ALPHA, revoked_at=NOW, revocation_reason="stolen")])
    with pytest.raises(NotAllowed) as error:
        verify(sign(claims()), register=revoked)
    assert error.value.code == "key_revoked"


def test_a_key_that_nobody_registered_asserts_nobody():
    with pytest.raises(NotAllowed) as error:
        verify(sign(claims(), seed=b"\3" * 32))
    assert error.value.code == "key_unknown"


def test_an_assertion_grows_old():
    token = sign(claims())
    verify(token, at=NOW + timedelta(seconds=179))
    with pytest.raises(NotIdentified) as error:
        verify(token, at=NOW + timedelta(seconds=180))
    assert error.value.facts["why"] == "exp"


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": None}, {"kid": None}, {"kid": 5}])
def test_another_jwt_of_that_provider_is_not_an_assertion(header):
    with pytest.raises(Invalid) as error:
        verify(_raw({"alg": "EdDSA", "kid": "k", "typ": TYPE, **header}))
    assert error.value.code == "user_assertion_malformed"


@pytest.mark.parametrize("token", ["", "a.b.c", "..", "é", "x" * 9000, "e30.e30.", "bnVsbA.e30.AA"])
def test_what_is_no_token_at_all_is_refused(token):
    with pytest.raises(Invalid) as error:
        verify(token)
    assert error.value.code == "user_assertion_malformed"


def test_an_unsigned_assertion_is_refused():
    for algorithm in ("none", "HS256"):
        token = _raw({"alg": algorithm, "kid": SigningKey(SEED).key_id, "typ": TYPE}, claims())
        with pytest.raises(Invalid) as error:
            verify(token)
        assert error.value.code == "user_assertion_malformed"


def _raw(header: dict, body: dict | None = None) -> str:
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({k: v for k, v in header.items() if v is not None})}.{part(body or {})}."
