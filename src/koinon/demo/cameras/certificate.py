"""The certificate that a virtual camera shows: signed by nobody but itself, as those of most cameras."""

import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificate(msgspec.Struct, frozen=True):
    """What a server needs to show it.

    Attributes:
        context: of the server.
        fingerprint: SHA-256 of the certificate, 64 hex digits.
        pem: the certificate, for who is to trust it.
    """

    context: ssl.SSLContext
    fingerprint: str
    pem: bytes


def make_certificate(
    host: str = "127.0.0.1", *, since: datetime | None = None, days: float = 365.0
) -> Certificate:
    """One for that IP address or name, with a key of its own; from an hour ago unless `since` says otherwise."""
    begins = since or datetime.now(UTC) - timedelta(hours=1)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "virtual camera")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_named(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # a context reads from files alone
        both = Path(folder) / "both.pem"
        both.touch(mode=0o600)
        both.write_bytes(
            pem
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context.load_cert_chain(both)
    return Certificate(context, made.fingerprint(hashes.SHA256()).hex(), pem)


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
