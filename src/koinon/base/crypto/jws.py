"""JSON Web Signatures in the one form used here: compact, EdDSA over Ed25519, the key named by `kid`.

Everything else a header may carry (`crit`, `b64`, `jwk`, another `alg`) is refused: what is not understood
must not be believed. The detached form leaves the payload out and is otherwise the same.
"""

from typing import Final

import msgspec

from koinon.base.canonical import canonical
from koinon.base.crypto.encoding import b64url, from_b64url
from koinon.base.crypto.keys import SIGNATURE_LENGTH, SigningKey, VerifyKey
from koinon.base.errors import Invalid, NotIdentified

# 1 MiB: no convention, deliberation or assertion comes near it.
MAX_LENGTH: Final = 1 << 20


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    kid: str
    typ: str | None = None


_decode_header = msgspec.json.Decoder(_Header).decode


class Jws(msgspec.Struct, frozen=True):
    """A signature that was read but not yet believed: look the key up by `key_id`, then `verify`."""

    key_id: str
    typ: str | None
    payload: bytes
    signed: bytes
    signature: bytes

    def verify(self, key: VerifyKey) -> bytes:
        """The payload, believed.

        Raises:
            NotIdentified: `bad_signature`, also when `key` is not the key that the header names.
        """
        if key.key_id != self.key_id:
            raise NotIdentified("bad_signature")
        key.verify(self.signed, self.signature)
        return self.payload


def jws_sign(key: SigningKey, payload: bytes, *, typ: str | None = None, detached: bool = False) -> str:
    """`payload` signed, in compact serialisation; with `detached`, without the payload (`header..signature`).

    Source: RFC 7515 section 7.1 and appendix F; RFC 8037 section 3.1.
    """
    header = {"alg": "EdDSA", "kid": key.key_id} | ({"typ": typ} if typ is not None else {})
    protected, content = b64url(canonical(header)), b64url(payload)
    signature = b64url(key.sign(f"{protected}.{content}".encode("ascii")))
    return f"{protected}.{'' if detached else content}.{signature}"


def jws_verify(token: str, key: VerifyKey, *, typ: str | None = None, payload: bytes | None = None) -> bytes:
    """The payload of `token`, signed by `key`; `payload` is given exactly when the token is detached.

    Raises:
        Invalid: `jws_malformed`; `jws_wrong_type` when the header's `typ` is not `typ`.
        NotIdentified: `bad_signature`.
    """
    jws = parse_jws(token, payload=payload)
    if jws.typ != typ:
        raise Invalid("jws_wrong_type")
    return jws.verify(key)


def parse_jws(token: str, *, payload: bytes | None = None) -> Jws:
    """The parts of `token`, not yet believed.

    Raises:
        Invalid: `jws_malformed`, also for another algorithm, an unknown header parameter, a payload given
            twice or not at all.
    """
    parts = token.split(".") if len(token) <= MAX_LENGTH else []
    if len(parts) != 3 or (parts[1] == "") != (payload is not None):
        raise Invalid("jws_malformed")
    content = parts[1] if payload is None else b64url(payload)
    try:
        header = _decode_header(from_b64url(parts[0]))
        body = from_b64url(content)
        signature = from_b64url(parts[2], length=SIGNATURE_LENGTH)
    except (Invalid, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("jws_malformed") from None
    if header.alg != "EdDSA":
        raise Invalid("jws_malformed")
    return Jws(header.kid, header.typ, body, f"{parts[0]}.{content}".encode("ascii"), signature)
