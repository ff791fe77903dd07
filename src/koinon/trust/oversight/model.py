"""What the Commission has before it: requests that wait, complaints, the state of what it granted."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from koinon.base.text import Text
from koinon.trust.parties import PartyId
from koinon.trust.standing.acts import Deed, Target

ComplaintId = NewType("ComplaintId", UUID)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A request on which an act is expected.

    Attributes:
        deed: the act that would answer it.
        target: with the digest of exactly what was asked.
        since: when it was asked, where that is known.
    """

    deed: Deed
    target: Target
    title: Text
    since: datetime | None = None


class AuthorisationState(StrEnum):
    """Where an authorisation is, at an instant."""

    REQUESTED = "requested"
    REFUSED = "refused"
    GRANTED = "granted"
    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class ComplaintState(StrEnum):
    """Where a complaint is. `DECIDED` is told by a signed act, the others by its handling."""

    RECEIVED = "received"
    ADMISSIBLE = "admissible"
    INADMISSIBLE = "inadmissible"
    INVESTIGATED = "investigated"
    DECIDED = "decided"


class Filing(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who complains shows and says.

    Attributes:
        against: the party whose service it is about.
        complainant: name and where an answer reaches them.
        identity: how the identity was shown (an identity card, a mandate ...); without it there is no
            complaint.
        interest: why it concerns them; without it there is no complaint.
        story: what happened.
        exchanges: ids of the ledger entries that it is about.
    """

    against: PartyId
    complainant: str
    identity: str
    interest: str
    story: str
    exchanges: tuple[UUID, ...] = ()


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """A complaint against a participating service. Its words are sealed in the entry `filed` of the
    exchange log.
    """

    id: ComplaintId
    against: PartyId
    filed: UUID
    state: ComplaintState
    received_at: datetime
    moved_at: datetime
    exchanges: tuple[UUID, ...] = ()


class OfferedSigner(msgspec.Struct, frozen=True):
    """A key that a member offered, as canonical JSON of a `Signer`."""

    document: bytes
    offered_at: datetime


class ActHead(msgspec.Struct, frozen=True):
    """Where the next act goes: what it must name as `sequence` and `previous`, and may not be dated
    before.
    """

    sequence: int
    previous: str
    not_before: str


class RecordedAct(msgspec.Struct, frozen=True):
    """An act that was recorded, and its digest."""

    sequence: int
    digest: str
