"""Certificates of the demo region, and a simulated source's end of messages that are signed.

The authority that gives certificates, and the source with its key, are others: their keys lie in `home/demo/keys`. The
platform asks as it would ask anybody, with a request; only the words of the request count for its subject.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from koinon.base.files import create_file, replace_file
from koinon.demo.sources.soap import NotBelieved
from koinon.integrator.drivers import WireFault
from koinon.integrator.drivers.signed import (
    Authorities,
    Certificates,
    Limits,
    Signer,
    choose,
    open_signed,
    read_certificates,
    sign,
)

PLATFORM = "region"
"""Name of the certificate under which the platform is known to sources."""
PLATFORM_SUBJECT = "CN=region.koinon.invalid,O=Koinon demo region,C=BE"
KSZ_SUBJECT = "CN=ksz.koinon.invalid,O=Simulated KSZ,C=BE"
KSZ_FILE = Path("demo") / "ksz.pem"
"""The simulated KSZ's certificate, which the platform pins; under home."""

_REFUSALS = {
    "garbage": "InvalidSecurity",
    "not_signed": "InvalidSecurity",
    "wrapped": "InvalidSecurity",
    "weak_algorithm": "UnsupportedAlgorithm",
    "unknown_certificate": "FailedAuthentication",
    "ended_certificate": "InvalidSecurityToken",
    "stale": "MessageExpired",
}
_LASTS = timedelta(days=365)
_RENEWED = timedelta(days=60)


class DemoAuthority:
    """Who gives certificates in the demo region; made at the first use."""

    def __init__(self, home: Path) -> None:
        folder = home / "demo" / "keys"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file, self.file = folder / "authority.key.pem", folder / "authority.pem"
        if not file.exists():
            create_file(file, _plain(ec.generate_private_key(ec.SECP256R1())))
        self._key: Any = serialization.load_pem_private_key(file.read_bytes(), None)
        if not self.file.exists():
            create_file(self.file, self._own().public_bytes(serialization.Encoding.PEM))
        self.certificate = read_certificates(self.file.read_bytes())[0]

    def answer(self, request: bytes, *, begins: datetime | None = None, lasts: timedelta = _LASTS) -> bytes:
        """The certificate (PEM) for a request (PKCS #10)."""
        asked = x509.load_pem_x509_csr(request)
        return self.give(asked.subject, asked.public_key(), begins=begins, lasts=lasts)

    def give(
        self,
        subject: x509.Name,
        key: Any,
        *,
        begins: datetime | None = None,
        lasts: timedelta = _LASTS,
        hosts: Sequence[str] = (),
    ) -> bytes:
        """A certificate (PEM) for that key."""
        start = begins or datetime.now(UTC) - timedelta(minutes=5)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _named(subject, self.certificate.subject, key, start, lasts)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(authority, critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _own(self) -> x509.Certificate:
        name = x509.Name.from_rfc4514_string("CN=Authority of the Koinon demo region,C=BE")
        public = self._key.public_key()
        return (
            _named(name, name, public, datetime.now(UTC) - timedelta(minutes=5), 20 * _LASTS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )


class SourceEnd:
    """The simulated KSZ's end: believes the platform, signs what it says."""

    def __init__(self, home: Path) -> None:
        authority = DemoAuthority(home)
        self._trust = Authorities([authority.certificate], PLATFORM_SUBJECT)
        self._signer = _ksz(home, authority)

    def open(self, root: etree._Element) -> tuple[etree._Element, str]:
        """See `soap.End.open`."""
        try:
            found = open_signed(root, self._trust, datetime.now(UTC), Limits())
        except WireFault as fault:
            raise NotBelieved(_REFUSALS.get(fault.code, "FailedCheck"), fault.code) from None
        return found.body, found.signature

    def sign(self, body: str, header: str, confirms: str) -> bytes:
        """See `soap.End.sign`."""
        return sign(body, self._signer, datetime.now(UTC), header=header, confirms=confirms)[0]


def give_certificates(home: Path) -> str:
    """The platform has its certificate and knows the KSZ's; what `sources.toml` says about it for the KSZ."""
    authority = DemoAuthority(home)
    certificates, at = Certificates(home), datetime.now(UTC)
    current = choose(certificates.list(PLATFORM), at)
    if current is None or current.ends_at is None or current.ends_at - at < _RENEWED:
        _, request = certificates.make(PLATFORM, PLATFORM_SUBJECT, kind="rsa-2048")
        certificates.put(PLATFORM, authority.answer(request), at=at)
    _ksz(home, authority)
    return f'[ksz.signed]\ncertificate = "{PLATFORM}"\ntrusted = ["{KSZ_FILE}"]\nconfirmed = true\n'


def _ksz(home: Path, authority: DemoAuthority) -> Signer:
    """The KSZ's key and certificate; made at the first use, and given anew before it ends."""
    file, certificate = home / "demo" / "keys" / "ksz.key.pem", home / KSZ_FILE
    if not file.exists():
        create_file(file, _plain(rsa.generate_private_key(65537, 2048)))
    key: Any = serialization.load_pem_private_key(file.read_bytes(), None)
    given = authority.give(x509.Name.from_rfc4514_string(KSZ_SUBJECT), key.public_key())
    if not create_file(certificate, given, 0o644):
        held = read_certificates(certificate.read_bytes())[0]
        if held.not_valid_after_utc - datetime.now(UTC) < _RENEWED:
            replace_file(certificate, given, 0o644)
    return Signer(key, read_certificates(certificate.read_bytes())[0], certificate, file, "")


def _named(
    subject: x509.Name, issuer: x509.Name, key: Any, start: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _plain(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
