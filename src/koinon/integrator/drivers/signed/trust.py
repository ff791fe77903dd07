"""By which certificates answers are believed: the source's own, or those that an authority gave to one subject."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.x509 import verification

from koinon.base.errors import Invalid
from koinon.integrator.drivers.driver import WireFault


class Trust(Protocol):
    """Whom a source is believed by."""

    @property
    def certificates(self) -> Sequence[x509.Certificate]:
        """Those that an operator put there, and that end."""

    def believed(self, sent: Sequence[x509.Certificate], at: datetime) -> Sequence[x509.Certificate]:
        """The certificates under one of which the signature must hold; `sent` came with it, the signer's first.

        Raises:
            WireFault: `unknown_certificate` or `ended_certificate`.
        """


class Pinned:
    """The source's own certificates, each of them as a whole; several while it changes from one to the next."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self.certificates: Sequence[x509.Certificate] = tuple(certificates)

    def believed(self, sent: Sequence[x509.Certificate], at: datetime) -> Sequence[x509.Certificate]:
        """See `Trust.believed`; without a certificate in the message each of ours is tried."""
        if sent and sent[0] not in self.certificates:
            raise WireFault("unknown_certificate")
        found = [each for each in ((sent[0],) if sent else self.certificates) if _is_valid(each, at)]
        if not found:
            raise WireFault("ended_certificate")
        return found


class Authorities:
    """Authorities that vouch for many, and the one subject that is the source.

    Source: RFC 5280 section 6, as `cryptography.x509.verification` does it.
    """

    def __init__(self, authorities: Sequence[x509.Certificate], subject: str) -> None:
        """Raises `Invalid: certificate_subject_malformed`."""
        self.certificates: Sequence[x509.Certificate] = tuple(authorities)
        try:
            self._subject = x509.Name.from_rfc4514_string(subject)
        except ValueError:
            raise Invalid("certificate_subject_malformed", subject=subject) from None
        policies = verification.ExtensionPolicy
        self._policy = (
            verification.PolicyBuilder()
            .store(verification.Store(list(authorities)))
            .extension_policies(
                ca_policy=policies.webpki_defaults_ca(),
                ee_policy=policies.permit_all().may_be_present(
                    x509.KeyUsage, verification.Criticality.AGNOSTIC, _may_sign
                ),
            )
        )

    def believed(self, sent: Sequence[x509.Certificate], at: datetime) -> Sequence[x509.Certificate]:
        """See `Trust.believed`."""
        if not sent or sent[0].subject != self._subject:
            raise WireFault("unknown_certificate", "subject" if sent else "")
        if not _is_valid(sent[0], at):
            raise WireFault("ended_certificate")
        try:
            # The library's name for who is not a server.
            self._policy.time(at).build_client_verifier().verify(sent[0], list(sent[1:]))
        except verification.VerificationError:
            raise WireFault("unknown_certificate", "chain") from None
        return sent[:1]


def _is_valid(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at < certificate.not_valid_after_utc


def _may_sign(
    policy: verification.Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise ValueError("not for signatures")
