"""Key files that withstand guessing.

`cryptography` encrypts PKCS #8 with 2,048 rounds of PBKDF2, as OpenSSL does: a passphrase that a person can
remember falls to a graphics card. The same structure is written here with more rounds; it reads back with any
tool that reads PBES2.
"""

import base64
import secrets
from typing import Final

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

# OWASP Password Storage Cheat Sheet: PBKDF2-HMAC-SHA256 with 600,000 rounds.
ROUNDS: Final = 600_000

# Object identifiers as DER writes them (RFC 8018 appendix A and C).
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256: Final = bytes.fromhex("06082a864886f70d0209")
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")
_NULL: Final = b"\x05\x00"


def encrypt_pkcs8(private_key_info: bytes, passphrase: bytes) -> bytes:
    """`private_key_info` (DER) as a PEM file that only `passphrase` opens.

    Source: RFC 5958 section 3 (EncryptedPrivateKeyInfo), RFC 8018 section 6.2 (PBES2).
    """
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    key = PBKDF2HMAC(hashes.SHA256(), length=32, salt=salt, iterations=ROUNDS).derive(passphrase)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    encrypted = encryptor.update(padder.update(private_key_info) + padder.finalize()) + encryptor.finalize()
    rounds = _der(0x02, ROUNDS.to_bytes(3, "big"))
    derivation = _sequence(_PBKDF2, _sequence(_der(0x04, salt), rounds, _sequence(_HMAC_SHA256, _NULL)))
    cipher = _sequence(_AES256_CBC, _der(0x04, iv))
    whole = _sequence(_sequence(_PBES2, _sequence(derivation, cipher)), _der(0x04, encrypted))
    text = base64.b64encode(whole).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(
        ["-----BEGIN ENCRYPTED PRIVATE KEY-----", *lines, "-----END ENCRYPTED PRIVATE KEY-----", ""]
    ).encode()


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = (
        bytes([size])
        if size < 128
        else bytes([0x81, size])
        if size < 256
        else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes([tag]) + length + content
