"""What stands for a subject at one recipient, for one purpose, in one period.

    urn:koinon:pseudonym:2026-2:4kD0...   (period, then 43 characters of base64url: 32 bytes)

The 32 bytes are AES-SIV (RFC 5297) over the padded number: the same subject gives the same pseudonym in a scope, so
that records can be joined there; and whoever has the key can turn it back, so that no table of who is who has to
exist. The key of a scope comes by HKDF (RFC 5869) from one secret outside the database and its backups; scopes share
nothing that a recipient could compare. SIV authenticates: a pseudonym that was made up, altered, or given to another
recipient does not open.

Rotation: a period is half a year. For `OVERLAP_DAYS` after it ends a recipient may have its pseudonyms of the period
before turned into those of the new one; afterwards the two are strangers to it.
"""

import secrets
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from koinon.base.crypto import b64url, from_b64url, hkdf
from koinon.base.errors import Conflict, Invalid
from koinon.base.files import create_file

PERIOD_MONTHS: Final = 6
OVERLAP_DAYS: Final = 30
PREFIX: Final = "urn:koinon:pseudonym:"
_PADDED = 16
_LENGTH = 32


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Within which pseudonyms can be compared: a party, a purpose (code of the vocabulary), a period (`2026-2`)."""

    recipient: UUID
    purpose: str
    period: str


def period_of(day: date) -> str:
    """The period that holds the day: `2026-1` is January to June."""
    return f"{day.year:04d}-{1 + (day.month - 1) // PERIOD_MONTHS}"


def start_of(period: str) -> date:
    """The first day of the period. Raises `Invalid: pseudonym_malformed`."""
    year, _, part = period.partition("-")
    if len(year) != 4 or not (year.isascii() and year.isdigit()) or part not in ("1", "2") or year == "0000":
        raise Invalid("pseudonym_malformed")
    return date(int(year), 1 + (int(part) - 1) * PERIOD_MONTHS, 1)


class PseudonymKeys:
    """Makes pseudonyms and turns them back, under one secret that lives outside the database."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hkdf(secret, b"koinon pseudonyms")
        self._ciphers: dict[Scope, AESSIV] = {}

    @classmethod
    def load(cls, home: Path) -> "PseudonymKeys":
        """The keys under `home/keys`; made at the first use. Without that file no pseudonym can be turned back."""
        path = home / "keys" / "pseudonyms.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(path, secrets.token_bytes(32))
        return cls(path.read_bytes())

    def pseudonym(self, subject: str, scope: Scope) -> str:
        """What stands for the subject (a number of at most 15 ASCII characters) in this scope.

        Raises:
            Invalid: `subject_malformed`.
        """
        if not 1 <= len(subject) < _PADDED or not subject.isascii() or not subject.isalnum():
            raise Invalid("subject_malformed")
        # Padded, so that its length does not tell a person from an enterprise.
        sealed = self._cipher(scope).encrypt(subject.encode().ljust(_PADDED, b"\0"), None)
        return f"{PREFIX}{scope.period}:{b64url(sealed)}"

    def subject(self, pseudonym: str, recipient: UUID, purpose: str) -> str:
        """Who stands behind it. What comes out of here is personal data: see `reidentify`.

        Raises:
            Invalid: `pseudonym_malformed`; `pseudonym_unknown` for one that was not made for that recipient and
                purpose.
        """
        period, sealed = read_pseudonym(pseudonym)
        scope = Scope(recipient=recipient, purpose=purpose, period=period)
        try:
            return self._cipher(scope).decrypt(sealed, None).rstrip(b"\0").decode("ascii")
        except (InvalidTag, ValueError):
            raise Invalid("pseudonym_unknown") from None

    def renew(self, pseudonym: str, recipient: UUID, purpose: str, on: date) -> str:
        """The recipient's pseudonym of the period of `on` for the same subject.

        Raises:
            Conflict: `pseudonym_period_over`: it is of an older period than the last, or the overlap is over.
            Invalid: as `subject`.
        """
        period, _ = read_pseudonym(pseudonym)
        now = period_of(on)
        began = start_of(now)
        if period != now and (
            period != period_of(began - timedelta(days=1)) or on >= began + timedelta(days=OVERLAP_DAYS)
        ):
            raise Conflict("pseudonym_period_over", period=period, now=now, overlap_days=OVERLAP_DAYS)
        scope = Scope(recipient=recipient, purpose=purpose, period=now)
        return self.pseudonym(self.subject(pseudonym, recipient, purpose), scope)

    def _cipher(self, scope: Scope) -> AESSIV:
        cipher = self._ciphers.get(scope)
        if cipher is None:
            # Lengths first: no two scopes can be written alike.
            parts = (scope.recipient.bytes, scope.purpose.encode(), scope.period.encode())
            info = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
            cipher = AESSIV(hkdf(self._secret, b"koinon pseudonym scope" + info, length=64))
            if len(self._ciphers) > 10_000:
                self._ciphers.clear()
            self._ciphers[scope] = cipher
        return cipher


def read_pseudonym(pseudonym: str) -> tuple[str, bytes]:
    """Its period and its bytes. Raises `Invalid: pseudonym_malformed`."""
    period, _, text = pseudonym.removeprefix(PREFIX).partition(":")
    if not pseudonym.startswith(PREFIX):
        raise Invalid("pseudonym_malformed")
    start_of(period)
    try:
        return period, from_b64url(text, length=_LENGTH)
    except Invalid:
        raise Invalid("pseudonym_malformed") from None
