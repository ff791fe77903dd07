"""Requests for keys as files: made by who holds the key, read by who registers it."""

import os
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from koinon.base.clock import civil_date
from koinon.base.crypto import SigningKey, b64url, from_b64url
from koinon.base.errors import Invalid
from koinon.trust.parties import service
from koinon.trust.parties.model import PersonId, SystemId
from koinon.trust.parties.vocabulary import KeyUse


def open_signing_key(path: Path) -> SigningKey:
    """The key in the file, under the passphrase in `KOINON_KEY_PASSPHRASE`, if any; made where there is none."""
    passphrase = os.environ.get("KOINON_KEY_PASSPHRASE")
    if not path.exists():
        # Created closed to others from the first byte on.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(SigningKey.generate().to_pem(passphrase))
    return SigningKey.from_pem(path.read_bytes(), passphrase)


def make_request(
    signer: SigningKey,
    party: UUID,
    use: KeyUse,
    system: UUID | None,
    person: UUID | None,
    valid_until: datetime | None,
    platform: str,
    at: datetime,
) -> service.KeyRequest:
    """What the holder of `signer` asks of the platform: that its key be registered from today on."""
    return service.KeyRequest(
        platform=platform,
        public=signer.verify_key.public,
        party=party,  # type: ignore[arg-type]
        system=None if system is None else SystemId(system),
        person=None if person is None else PersonId(person),
        use=use,
        valid_from=civil_date(at),
        valid_until=valid_until.date() if valid_until else None,
        signed_at=at,
    )


class _RequestDocument(msgspec.Struct, forbid_unknown_fields=True):
    request: service.KeyRequest
    proof: str


def document_of(request: service.KeyRequest, proof: bytes) -> _RequestDocument:
    """The request with its proof of possession, as it is handed over."""
    return _RequestDocument(request, b64url(proof))


def read_request(path: Path) -> tuple[service.KeyRequest, bytes]:
    """The request in the file and its proof.

    Raises:
        Invalid: `document_malformed`.
    """
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_RequestDocument)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise Invalid("document_malformed", why=str(error)[:200]) from None
    return document.request, from_b64url(document.proof, length=64)
