"""Our keys and certificates towards sources: made, asked for, put in place, replaced without a gap.

`home/keys/certificates/NAME/N/`: `key.pem` (PKCS #8, encrypted), `request.pem` (PKCS #10), `certificate.pem` (the
certificate, then its intermediates), `from` (an instant; absent: as soon as it is valid). A new key is a new `N`,
beside the one that signs meanwhile.

Source: RFC 2986 (requests), RFC 5280 (certificates), RFC 5958 and RFC 8018 (key files).
"""

import re
import secrets
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from koinon.base.clock import Clock
from koinon.base.crypto import b64url, hkdf
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.files import create_file, replace_file
from koinon.integrator.drivers.driver import WireFault

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
State = Literal["requested", "ready", "in_use", "replaced", "ended"]

KINDS = ("rsa-2048", "rsa-3072", "p-256", "p-384")
"""What a key can be. Sources that name no curve mean RSA; an elliptic one costs a tenth of the time to sign."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}").fullmatch
_LOOK_SECONDS = 60.0


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One of our keys, and what is known of its certificate; None where there is none yet.

    Attributes:
        number: counts the keys of a name.
        begins_at: from when it may sign: when it becomes valid, or a later instant that the operator chose.
        fingerprint: SHA-256 of the certificate, as sources ask for it.
    """

    number: int
    subject: str
    issuer: str | None = None
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    fingerprint: str | None = None


def choose(held: Iterable[Held], at: datetime) -> Held | None:
    """The one that signs at that instant: of those in use and not ended, the newest key. Pure."""
    usable = [
        each
        for each in held
        if each.begins_at is not None and each.ends_at and each.begins_at <= at < each.ends_at
    ]
    return max(usable, key=lambda each: each.number, default=None)


def state_of(one: Held, held: Iterable[Held], at: datetime) -> State:
    """What `one` of `held` is at that instant. Pure."""
    if one.begins_at is None or one.ends_at is None:
        return "requested"
    if at >= one.ends_at:
        return "ended"
    if at < one.begins_at:
        return "ready"
    return "in_use" if choose(held, at) == one else "replaced"


class Signer(msgspec.Struct, frozen=True):
    """A key that signs now, opened, and its files for a TLS connection."""

    key: Key
    certificate: x509.Certificate
    certificate_file: Path
    key_file: Path
    passphrase: str

    def __repr__(self) -> str:
        return f"Signer({self.certificate.subject.rfc4514_string()})"


class Certificates:
    """Those of one installation."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "keys" / "certificates"

    def names(self) -> list[str]:
        """Of which there are keys."""
        return sorted(each.name for each in self._folder.iterdir()) if self._folder.is_dir() else []

    def list(self, name: str) -> list[Held]:
        """The keys of that name, oldest first."""
        folder = self._folder / _checked(name)
        found = (
            sorted(int(each.name) for each in folder.iterdir() if each.name.isdecimal())
            if folder.is_dir()
            else []
        )
        # Without a request the making of it was cut off: nothing signs with it.
        return [
            _read(folder / str(number), number)
            for number in found
            if (folder / str(number) / "request.pem").exists()
        ]

    def make(
        self, name: str, subject: str, *, kind: str = "rsa-3072", hosts: Sequence[str] = ()
    ) -> tuple[int, bytes]:
        """A new key of that name is kept; its number, and the request (PEM) to be sent to who gives certificates.

        Args:
            subject: as RFC 4514 writes it, `CN=...,O=...,C=BE`.
            hosts: names for the `subjectAltName`, where the authority asks for them.

        Raises:
            Invalid: `certificate_name_malformed`, `certificate_subject_malformed`, `certificate_kind_unknown`.
            Conflict: `certificate_being_made`: by somebody else, at the same moment.
        """
        folder = self._folder / _checked(name)
        try:
            whom = x509.Name.from_rfc4514_string(subject)
            builder = x509.CertificateSigningRequestBuilder().subject_name(whom)
            if hosts:
                names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
                builder = builder.add_extension(names, critical=False)
        except ValueError:
            raise Invalid("certificate_subject_malformed", subject=subject) from None
        key = _generate(kind)
        request = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max((int(each.name) for each in folder.iterdir() if each.name.isdecimal()), default=0) + 1
        place = folder / str(number)
        try:
            place.mkdir(mode=0o700)
        except FileExistsError:
            raise Conflict("certificate_being_made", name=name, number=number) from None
        sealed = serialization.BestAvailableEncryption(self._passphrase(name).encode())
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
        create_file(place / "key.pem", pem)
        create_file(place / "request.pem", request, 0o644)
        return number, request

    def request(self, name: str, number: int | None = None) -> bytes:
        """The request (PEM) of that key; by default of the newest.

        Raises:
            NotFound: `certificate_unknown`.
        """
        held = self.list(name)
        number = number if number is not None else max((each.number for each in held), default=0)
        if number not in {each.number for each in held}:
            raise NotFound("certificate_unknown", name=name, number=number)
        return (self._folder / name / str(number) / "request.pem").read_bytes()

    def put(self, name: str, pem: bytes, *, at: datetime, begins_at: datetime | None = None) -> Held:
        """The certificate stands beside the key that it is for, and signs from `begins_at` (or as soon as it is valid).

        Args:
            pem: the certificate, then its intermediates, if any.

        Raises:
            Invalid: `certificate_malformed`; `certificate_chain_broken`, the intermediates are not those of each other;
                `certificate_of_other_key`; `certificate_ended`.
        """
        chain = read_certificates(pem)
        leaf = chain[0]
        for one, above in pairwise(chain):
            try:
                one.verify_directly_issued_by(above)
            except (ValueError, TypeError, InvalidSignature):
                raise Invalid("certificate_chain_broken", issuer=one.issuer.rfc4514_string()) from None
        if leaf.not_valid_after_utc <= at:
            raise Invalid("certificate_ended", ended_at=leaf.not_valid_after_utc.isoformat())
        public = _spki(leaf.public_key())
        for each in reversed(self.list(name)):
            place = self._folder / name / str(each.number)
            asked = x509.load_pem_x509_csr((place / "request.pem").read_bytes())
            if _spki(asked.public_key()) == public:
                if begins_at is not None:
                    # First, so that a crash between the two leaves a certificate that begins too late, not too early.
                    replace_file(place / "from", begins_at.astimezone(UTC).isoformat().encode())
                else:
                    (place / "from").unlink(missing_ok=True)
                replace_file(place / "certificate.pem", pem, 0o644)
                return _read(place, each.number)
        raise Invalid("certificate_of_other_key", name=name)

    def remove(self, name: str, number: int, *, at: datetime) -> None:
        """That key and its certificate are gone.

        Raises:
            NotFound: `certificate_unknown`.
            Conflict: `certificate_in_use`: it signs now.
        """
        held = {each.number: each for each in self.list(name)}
        if number not in held:
            raise NotFound("certificate_unknown", name=name, number=number)
        if choose(held.values(), at) == held[number]:
            raise Conflict("certificate_in_use", name=name, number=number)
        shutil.rmtree(self._folder / name / str(number))

    def open(self, name: str, one: Held) -> Signer:
        """That key, which has a certificate, to sign with.

        Raises:
            Invalid: `certificate_key_unreadable`.
        """
        place = self._folder / name / str(one.number)
        passphrase = self._passphrase(name)
        try:
            key = serialization.load_pem_private_key((place / "key.pem").read_bytes(), passphrase.encode())
        except (OSError, ValueError, TypeError):
            raise Invalid("certificate_key_unreadable", name=name, number=one.number) from None
        assert isinstance(key, Key)
        leaf = read_certificates((place / "certificate.pem").read_bytes())[0]
        return Signer(key, leaf, place / "certificate.pem", place / "key.pem", passphrase)

    def _passphrase(self, name: str) -> str:
        """Of the key files of that name: 256 bits, so their rounds of PBKDF2 need not be many."""
        path = self._home / "keys" / "certificates.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(path, secrets.token_bytes(32))
        return b64url(hkdf(path.read_bytes(), b"koinon certificates " + name.encode()))


class Current:
    """Who signs under a name, looked up again each minute, so that a certificate is replaced without a restart."""

    def __init__(self, certificates: Certificates, name: str, clock: Clock) -> None:
        self._certificates = certificates
        self._name = _checked(name)
        self._clock = clock
        self._looked: float | None = None
        self._held: Held | None = None
        self._signer: Signer | None = None

    def get(self) -> Signer:
        """Who signs now.

        Raises:
            WireFault: `no_certificate`.
        """
        now, tick = self._clock.now(), self._clock.monotonic()
        if self._looked is None or tick - self._looked >= _LOOK_SECONDS or self._has_ended(now):
            try:
                held = choose(self._certificates.list(self._name), now)
                # Read again only when it is another: opening a key takes milliseconds.
                if held != self._held or self._signer is None:
                    self._signer = self._certificates.open(self._name, held) if held is not None else None
            except (Invalid, OSError) as error:
                raise WireFault("no_certificate", getattr(error, "code", type(error).__name__)) from None
            self._held, self._looked = held, tick
        if self._signer is None:
            raise WireFault("no_certificate")
        return self._signer

    def _has_ended(self, now: datetime) -> bool:
        return self._held is not None and self._held.ends_at is not None and self._held.ends_at <= now


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """The certificates in a PEM file, at least one.

    Raises:
        Invalid: `certificate_malformed`.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise Invalid("certificate_malformed") from None


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, in hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _read(place: Path, number: int) -> Held:
    request = x509.load_pem_x509_csr((place / "request.pem").read_bytes())
    file = place / "certificate.pem"
    if not file.exists():
        return Held(number=number, subject=request.subject.rfc4514_string())
    leaf = read_certificates(file.read_bytes())[0]
    chosen = place / "from"
    begins_at = leaf.not_valid_before_utc
    if chosen.exists():
        begins_at = max(begins_at, datetime.fromisoformat(chosen.read_text()))
    return Held(
        number=number,
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        begins_at=begins_at,
        ends_at=leaf.not_valid_after_utc,
        fingerprint=fingerprint(leaf),
    )


def _generate(kind: str) -> Key:
    match kind:
        case "rsa-2048" | "rsa-3072":
            return rsa.generate_private_key(65537, int(kind[4:]))
        case "p-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p-384":
            return ec.generate_private_key(ec.SECP384R1())
    raise Invalid("certificate_kind_unknown", kind=kind, known=list(KINDS))


def _checked(name: str) -> str:
    if not _NAME(name):
        raise Invalid("certificate_name_malformed", name=name[:60])
    return name


def _spki(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
