"""The values that pass the gate beside the ask itself (`standing.Ask`)."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from koinon.trust.parties import PartyId

ExchangeId = NewType("ExchangeId", UUID)
ProcessId = NewType("ProcessId", UUID)


class EndReason(StrEnum):
    """Why a use that lasted ended."""

    COMPLETED = "completed"  # everything was sent
    LEFT = "left"  # the viewer or caller went away
    CUT = "cut"  # its grounds were taken away while it ran
    EXPIRED = "expired"  # its grounds ended by themselves
    UNCONFIRMED = "unconfirmed"  # this process could not confirm the epoch in time
    FAILED = "failed"  # a source or this process failed
    UNKNOWN = "unknown"  # the process that ran it died


class Filtered(msgspec.Struct, frozen=True):
    """A field that was asked and did not leave."""

    field: str
    reason: str


class Receipt(msgspec.Struct, frozen=True):
    """The promise that the exchange's entry will be in the tree, as its response carries it.

    `leaf_hash` is base64url of the RFC 9162 leaf hash; `at` is RFC 3339 in UTC.
    """

    log: str
    entry: UUID
    leaf_hash: str
    at: str
    max_merge_delay_seconds: int


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What a signed request needs to be admitted once: its nonce, and its idempotency key if it has one."""

    party: PartyId
    key: str
    nonce: str
    expires: datetime
    idempotency_key: str | None = None
    body_hash: bytes = b""


class Dossier(msgspec.Struct, frozen=True):
    """The line of the reference directory on which an exchange about a subject rests."""

    id: UUID
    valid_until: datetime
