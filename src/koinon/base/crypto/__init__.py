"""Keys, signatures, sealing. Ed25519 and AES-256-GCM, nothing negotiable.

Signing and verifying go through libsodium (`nacl`), which is twice as fast as OpenSSL and refuses what
RFC 8032 leaves open (small-order points, non-canonical encodings); PEM, AES and HKDF go through
`cryptography`.
"""

from koinon.base.crypto.encoding import b64url, constant_time_equal, from_b64url
from koinon.base.crypto.jws import Jws, jws_sign, jws_verify, parse_jws
from koinon.base.crypto.keys import SigningKey, VerifyKey, key_id
from koinon.base.crypto.sealing import HeldKey, hkdf, hmac_token, open_sealed, seal

__all__ = [
    "HeldKey",
    "Jws",
    "SigningKey",
    "VerifyKey",
    "b64url",
    "constant_time_equal",
    "from_b64url",
    "hkdf",
    "hmac_token",
    "jws_sign",
    "jws_verify",
    "key_id",
    "open_sealed",
    "parse_jws",
    "seal",
]
