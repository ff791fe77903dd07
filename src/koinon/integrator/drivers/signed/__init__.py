"""Messages with sources that are signed by X.509 certificates, and the certificates themselves.

See `docs/design/ws-security.md`.
"""

from koinon.integrator.drivers.signed.envelope import ENVELOPE, Limits, Opened, open_signed, sign, unwrap
from koinon.integrator.drivers.signed.keeping import Certificates, Current, Signer, choose, read_certificates
from koinon.integrator.drivers.signed.messages import BELIEF, ClientTls, SignedMessages
from koinon.integrator.drivers.signed.settings import (
    SignedSettings,
    open_messages,
    open_tls,
    trusted_certificates,
)
from koinon.integrator.drivers.signed.trust import Authorities, Pinned, Trust
from koinon.integrator.drivers.signed.watching import CertificateWatch, Ending, endings_of

__all__ = [
    "BELIEF",
    "ENVELOPE",
    "Authorities",
    "CertificateWatch",
    "Certificates",
    "ClientTls",
    "Current",
    "Ending",
    "Limits",
    "Opened",
    "Pinned",
    "SignedMessages",
    "SignedSettings",
    "Signer",
    "Trust",
    "choose",
    "endings_of",
    "open_messages",
    "open_signed",
    "open_tls",
    "read_certificates",
    "sign",
    "trusted_certificates",
    "unwrap",
]
