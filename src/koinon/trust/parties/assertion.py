"""Who the end user of a system's call is: asserted by the party's identity provider, or by the party alone.

The system that calls is known by its signature; whom it calls for is the party's word. A JWT that the party's
identity provider signed for this call makes that word a proof that the party cannot take back.
"""

from datetime import datetime
from typing import Literal

import msgspec

from koinon.base.crypto import Jws, VerifyKey, parse_jws
from koinon.base.errors import Invalid, NotIdentified
from koinon.trust.parties.model import Key, PartyId, Register
from koinon.trust.parties.policy import check_key
from koinon.trust.parties.vocabulary import KeyUse

LONGEST_LIFE_SECONDS = 300
CLOCK_SKEW_SECONDS = 60
MAX_LENGTH = 8192
TYPE = "koinon-user+jwt"
"""The header's `typ`, so that no other JWT of that provider passes for one (RFC 8725 section 3.11)."""


class AssertedUser(msgspec.Struct, frozen=True, kw_only=True):
    """The end user, and on whose word.

    Attributes:
        user: the party's own name for the user; opaque here.
        by: `identity_provider` with a valid assertion, else `party`.
        key: kid of the identity provider's key.
    """

    user: str
    by: Literal["identity_provider", "party"]
    key: str | None = None


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str
    purpose: str
    jti: str
    iat: int
    exp: int


_decode = msgspec.json.Decoder(_Claims).decode


def verify_user_assertion(
    token: str, register: Register, *, party: PartyId, purpose: str, audience: str, at: datetime
) -> AssertedUser:
    """The end user whom the party's identity provider names for this purpose, now.

    The token is a JWT signed with EdDSA (Ed25519) by a key of the party registered for `user_assertion`: header
    `alg`, `kid` and `typ` `koinon-user+jwt`; claims `iss` (the party's id), `sub` (the user), `aud` (the
    platform's origin, one text), `purpose`, `jti`, `iat` and `exp` (whole seconds, at most 300 apart).

    Raises:
        Invalid: `user_assertion_malformed`, also for another header or a claim that is absent or not of its type.
        NotAllowed: the codes of `policy.check_key`.
        NotIdentified: `user_assertion_invalid` with the fact `why`: `party`, `signature`, or the claim.
    Source: RFC 7519, RFC 8725, RFC 8037.
    """
    jws = _parse(token)
    key, _ = check_key(register, jws.key_id, KeyUse.USER_ASSERTION, at)
    if key.party != party:
        raise _invalid("party")
    claims = _believed(jws, key)
    now = int(at.timestamp())
    for holds, why in (
        (claims.iss == str(party), "iss"),
        (claims.aud == audience, "aud"),
        (claims.purpose == purpose, "purpose"),
        (0 < len(claims.sub) <= 255 and claims.sub.isprintable(), "sub"),
        (claims.jti != "", "jti"),
        (claims.iat <= now + CLOCK_SKEW_SECONDS, "iat"),
        (now < claims.exp + CLOCK_SKEW_SECONDS, "exp"),
        (0 <= claims.exp - claims.iat <= LONGEST_LIFE_SECONDS, "life"),
    ):
        if not holds:
            raise _invalid(why)
    return AssertedUser(user=claims.sub, by="identity_provider", key=key.kid)


def asserted_by_party(user: str) -> AssertedUser:
    """The end user on the party's word alone, recorded as such.

    Raises:
        Invalid: `user_malformed`.
    """
    if not 0 < len(user) <= 255 or not user.isprintable():
        raise Invalid("user_malformed")
    return AssertedUser(user=user, by="party")


def _parse(token: str) -> Jws:
    try:
        jws = parse_jws(token) if len(token) <= MAX_LENGTH else None
    except Invalid:
        jws = None
    if jws is None or jws.typ != TYPE:
        raise Invalid("user_assertion_malformed")
    return jws


def _believed(jws: Jws, key: Key) -> _Claims:
    try:
        payload = jws.verify(VerifyKey(key.public))
    except NotIdentified:
        raise _invalid("signature") from None
    try:
        return _decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Invalid("user_assertion_malformed") from None


def _invalid(why: str) -> NotIdentified:
    return NotIdentified("user_assertion_invalid", why=why)
