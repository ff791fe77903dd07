"""What `sources.toml` says about signed messages and certificates of connections, and what becomes of it."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
from cryptography import x509

from koinon.base.clock import Clock
from koinon.base.errors import Invalid
from koinon.integrator.drivers.signed.envelope import Limits
from koinon.integrator.drivers.signed.keeping import Certificates, Current, read_certificates
from koinon.integrator.drivers.signed.messages import ClientTls, SignedMessages
from koinon.integrator.drivers.signed.trust import Authorities, Pinned, Trust

_LONGEST_SECONDS = 3600


class SignedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How messages with a source are signed (`[NAME.signed]`).

    Attributes:
        certificate: name of ours that signs what we ask.
        trusted: files with the source's own certificates.
        authorities, subject: a file with those who vouch for it, and its subject (RFC 4514); instead of `trusted`.
        answers_unsigned: the source signs nothing; its answers are believed like those of a source without this.
        clock_skew_seconds: how far its clock may be off.
        most_seconds: how old an answer may be.
        confirmed: each answer must name the signature of the question (SignatureConfirmation).
    """

    certificate: str
    trusted: tuple[str, ...] = ()
    authorities: str = ""
    subject: str = ""
    answers_unsigned: bool = False
    clock_skew_seconds: int = 60
    most_seconds: int = 300
    confirmed: bool = False


def open_messages(source: str, how: SignedSettings, home: Path, clock: Clock) -> SignedMessages:
    """How messages with `source` are signed and believed.

    Raises:
        Invalid: `invalid_setting`; `certificate_malformed`; `certificate_name_malformed`.
    """
    limits = {"clock_skew_seconds": how.clock_skew_seconds, "most_seconds": how.most_seconds}
    for name, seconds in limits.items():
        if not 0 <= seconds <= _LONGEST_SECONDS:
            raise Invalid(
                "invalid_setting", setting=f"{source}.signed.{name}", why=f"0 to {_LONGEST_SECONDS}"
            )
    trust = trust_of(source, how, home)
    return SignedMessages(
        source,
        Current(Certificates(home), how.certificate, clock),
        trust,
        clock,
        limits=Limits(timedelta(seconds=how.most_seconds), timedelta(seconds=how.clock_skew_seconds)),
        confirmed=how.confirmed,
    )


def trust_of(source: str, how: SignedSettings, home: Path) -> Trust | None:
    """By whom the answers of `source` are believed; None where it signs none.

    Raises:
        Invalid: `invalid_setting`; exactly one of `trusted`, `authorities` with `subject`, `answers_unsigned` is said.
    """
    said = [bool(how.trusted), bool(how.authorities or how.subject), how.answers_unsigned]
    if sum(said) != 1 or bool(how.authorities) != bool(how.subject):
        why = "one of: trusted; authorities and subject; answers_unsigned"
        raise Invalid("invalid_setting", setting=f"{source}.signed", why=why)
    if how.trusted:
        return Pinned(
            [each for file in how.trusted for each in _read(home, f"{source}.signed.trusted", file)]
        )
    if how.authorities:
        return Authorities(_read(home, f"{source}.signed.authorities", how.authorities), how.subject)
    return None


def open_tls(source: str, certificate: str, authorities: str, home: Path, clock: Clock) -> ClientTls:
    """TLS towards `source`, with our certificate of that name and by those authorities; empty means none of ours,
    and the machine's.

    Raises:
        Invalid: `invalid_setting`; `certificate_malformed`; `certificate_name_malformed`.
    """
    if authorities:
        _read(home, f"{source}.server_authorities", authorities)
    return ClientTls(
        Current(Certificates(home), certificate, clock) if certificate else None,
        home / authorities if authorities else None,
    )


def trusted_certificates(
    signed: Mapping[str, SignedSettings], home: Path
) -> Mapping[str, list[x509.Certificate]]:
    """The certificates by which answers are believed, by source."""
    trusts = {source: trust_of(source, how, home) for source, how in signed.items()}
    return {source: list(trust.certificates) for source, trust in trusts.items() if trust is not None}


def _read(home: Path, setting: str, file: str) -> list[x509.Certificate]:
    try:
        return read_certificates((home / file).read_bytes())
    except OSError as error:
        raise Invalid("invalid_setting", setting=setting, why=type(error).__name__) from None
