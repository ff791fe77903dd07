"""Who the end user of a system's call is: asserted by the party's identity provider, or by the party alone.

The system that calls is known by its signature; whom it calls for is the party's word. A JWT that the party's
identity provider signed for this call makes that word a proof that the party cannot take back.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import extract_compact

from koinon.base.crypto import b64url
from koinon.base.errors import Invalid, NotIdentified
from koinon.trust.parties.model import Key, PartyId, Register
from koinon.trust.parties.policy import check_key
from koinon.trust.parties.vocabulary import KeyUse

LONGEST_LIFE = timedelta(minutes=5)
CLOCK_SKEW = timedelta(seconds=60)
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


def verify_user_assertion(
    token: str, register: Register, *, party: PartyId, purpose: str, audience: str, at: datetime
) -> AssertedUser:
    """The end user whom the party's identity provider names for this purpose, now.

    The token is a JWT signed with EdDSA by a key of the party registered for `user_assertion`: header `typ`
    `koinon-user+jwt`, `kid`; claims `iss` (the party's id), `sub` (the user), `aud` (the platform's origin),
    `purpose`, `iat`, `exp` (at most 5 minutes after `iat`), `jti`.

    Raises:
        Invalid: `user_assertion_malformed`.
        NotAllowed: the codes of `policy.check_key`.
        NotIdentified: `user_assertion_invalid` with the fact `why`: `signature`, `party`, `purpose`, or a
        claim.
    Source: RFC 7519, RFC 8725, RFC 8037.
    """
    kid = _kid(token)
    key, _ = check_key(register, kid, KeyUse.USER_ASSERTION, at)
    if key.party != party:
        raise NotIdentified("user_assertion_invalid", why="party")
    claims = _claims(token, key)
    registry = jwt.JWTClaimsRegistry(
        now=int(at.timestamp()),
        leeway=int(CLOCK_SKEW.total_seconds()),
        iss={"essential": True, "value": str(party)},
        aud={"essential": True, "value": audience},
        sub={"essential": True},
        purpose={"essential": True, "value": purpose},
        iat={"essential": True},
        exp={"essential": True},
        jti={"essential": True},
    )
    try:
        registry.validate(claims)
    except JoseError as error:
        raise NotIdentified(
            "user_assertion_invalid", why=getattr(error, "claim", None) or error.error
        ) from None
    if claims["exp"] - claims["iat"] > LONGEST_LIFE.total_seconds():
        raise NotIdentified("user_assertion_invalid", why="life")
    user = claims["sub"]
    if not isinstance(user, str) or not 0 < len(user) <= 255:
        raise NotIdentified("user_assertion_invalid", why="sub")
    return AssertedUser(user=user, by="identity_provider", key=kid)


def asserted_by_party(user: str) -> AssertedUser:
    """The end user on the party's word alone, recorded as such.

    Raises:
        Invalid: `user_malformed`.
    """
    if not 0 < len(user) <= 255 or not user.isprintable():
        raise Invalid("user_malformed")
    return AssertedUser(user=user, by="party")


def _kid(token: str) -> str:
    if len(token) > MAX_LENGTH:
        raise Invalid("user_assertion_malformed")
    try:
        header = extract_compact(token.encode()).protected
    except (JoseError, ValueError, TypeError):
        raise Invalid("user_assertion_malformed") from None
    kid = header.get("kid")
    if not isinstance(kid, str) or header.get("typ") != TYPE:
        raise Invalid("user_assertion_malformed")
    return kid


def _claims(token: str, key: Key) -> dict[str, Any]:
    jwk = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": b64url(key.public), "kid": key.kid})
    try:
        claims: dict[str, Any] = jwt.decode(token, jwk, algorithms=["EdDSA"]).claims
    except (JoseError, ValueError, TypeError):
        raise NotIdentified("user_assertion_invalid", why="signature") from None
    return claims
