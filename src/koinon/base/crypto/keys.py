"""Ed25519 keys (RFC 8032), their names (RFC 7638) and their files (RFC 8410 in PKCS #8 and SPKI)."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

from koinon.base.crypto.encoding import b64url, from_b64url
from koinon.base.crypto.pkcs8 import encrypt_pkcs8
from koinon.base.errors import Invalid, NotIdentified

SIGNATURE_LENGTH: Final = 64


def key_id(public: bytes) -> str:
    """The name of a public key: base64url of its thumbprint, 43 characters.

    Source: RFC 7638 section 3; RFC 8037 section 2 and appendix A.3 for the members of an OKP key.
    """
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{b64url(public)}"}}'
    return b64url(hashlib.sha256(jwk.encode("ascii")).digest())


class VerifyKey:
    """The public half of an Ed25519 key.

    Attributes:
        public: 32 bytes.
        key_id: RFC 7638 thumbprint.
    """

    __slots__ = ("key_id", "public")

    def __init__(self, public: bytes) -> None:
        """Raises `Invalid: bad_key` unless `public` is a point of the prime-order group."""
        try:
            sound = len(public) == 32 and bindings.crypto_core_ed25519_is_valid_point(public)
        except (TypeError, CryptoError):
            sound = False
        if not sound:
            raise Invalid("bad_key")
        self.public: Final = bytes(public)
        self.key_id: Final = key_id(self.public)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """The key that a JWK describes; members that describe its use are ignored.

        Raises:
            Invalid: `bad_key`; also for a JWK that carries the private half.
        """
        x = jwk.get("x")
        if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or not isinstance(x, str) or "d" in jwk:
            raise Invalid("bad_key")
        try:
            return cls(from_b64url(x, length=32))
        except Invalid:
            raise Invalid("bad_key") from None

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """The key in an SPKI file (`BEGIN PUBLIC KEY`). Raises `Invalid: bad_key`."""
        try:
            key = serialization.load_pem_public_key(pem)
        except Exception:  # the library documents several kinds and raises others
            raise Invalid("bad_key") from None
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise Invalid("bad_key")
        return cls(key.public_bytes_raw())

    def to_jwk(self) -> dict[str, str]:
        """The key as a public JWK with its `kid` (RFC 8037)."""
        return {"kty": "OKP", "crv": "Ed25519", "x": b64url(self.public), "kid": self.key_id, "alg": "EdDSA"}

    def to_pem(self) -> bytes:
        """The key as an SPKI file."""
        return ed25519.Ed25519PublicKey.from_public_bytes(self.public).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def verify(self, message: bytes, signature: bytes) -> None:
        """Returns only if `signature` is this key's over `message`.

        Raises:
            NotIdentified: `bad_signature`.

        Source: RFC 8032 section 5.1.7, with the stricter choices of libsodium.
        """
        # The combined form takes the length of the message from what is left after 64 bytes: a short
        # signature would borrow from the message.
        if len(signature) != SIGNATURE_LENGTH:
            raise NotIdentified("bad_signature")
        try:
            bindings.crypto_sign_open(signature + message, self.public)
        except (BadSignatureError, CryptoError, TypeError):
            raise NotIdentified("bad_signature") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyKey) and other.public == self.public

    def __hash__(self) -> int:
        return hash(self.public)

    def __repr__(self) -> str:
        return f"VerifyKey({self.key_id})"


class SigningKey:
    """An Ed25519 key that signs. Its seed is never printed, compared, copied or pickled.

    Attributes:
        verify_key: the public half.
        key_id: RFC 7638 thumbprint of the public half.
    """

    __slots__ = ("_secret", "key_id", "verify_key")

    def __init__(self, seed: bytes) -> None:
        """Raises `Invalid: bad_key` unless `seed` is 32 bytes."""
        if not isinstance(seed, bytes) or len(seed) != 32:
            raise Invalid("bad_key")
        public, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.verify_key: Final = VerifyKey(public)
        self.key_id: Final = self.verify_key.key_id

    @classmethod
    def generate(cls) -> Self:
        """A key that nobody had before."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: str | None = None) -> Self:
        """The key in a PKCS #8 file, encrypted or, where `passphrase` is None, plain.

        Raises:
            Invalid: `bad_passphrase` when the passphrase is wrong, or missing, or given for a plain file;
                `bad_key` for anything else that is not an Ed25519 key.
        """
        encrypted = b"ENCRYPTED" in pem
        if encrypted != (passphrase is not None):
            raise Invalid("bad_passphrase")
        try:
            secret = passphrase.encode() if passphrase is not None else None
            key = serialization.load_pem_private_key(pem, secret)
        except Exception:  # the library documents several kinds and raises others
            raise Invalid("bad_passphrase" if encrypted else "bad_key") from None
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise Invalid("bad_key")
        return cls(key.private_bytes_raw())

    def to_pem(self, passphrase: str | None) -> bytes:
        """The key as a PKCS #8 file, encrypted unless `passphrase` is None: then guard the file.

        Raises:
            Invalid: `bad_passphrase` for an empty one.
        """
        if passphrase is None:
            return self._cryptography().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        if not passphrase:
            raise Invalid("bad_passphrase")
        plain = self._cryptography().private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return encrypt_pkcs8(plain, passphrase.encode())

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, 64 bytes; the same each time (RFC 8032 section 5.1.6)."""
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_LENGTH]

    def _cryptography(self) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.from_private_bytes(self._secret[:32])

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    def __reduce__(self) -> Any:
        raise TypeError("a signing key is not pickled or copied")
