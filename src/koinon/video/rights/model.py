"""What a viewer asks, and what is known about asking."""

import hashlib
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal, NewType
from uuid import UUID

import msgspec

from koinon.base.canonical import canonical
from koinon.base.clock import is_of_our_time, rfc3339
from koinon.base.errors import Invalid
from koinon.trust.parties import PartyId, PersonId
from koinon.video.cameras import CameraId

ConfirmationId = NewType("ConfirmationId", UUID)
EmergencyId = NewType("EmergencyId", UUID)
DecisionId = NewType("DecisionId", UUID)

CASE_LIMIT = 64
REASON_LIMIT = 1000
LONGEST = timedelta(days=31)
CONFIRMED_FOR = timedelta(minutes=15)
PROSECUTOR = "prosecutor_decision"
"""The fact of the rule bank that a recorded decision makes true."""


class Action(StrEnum):
    """What is done with images."""

    VIEW_LIVE = "view_live"
    VIEW_RECORDING = "view_recording"
    EXPORT = "export"
    STEER = "steer"
    UNMASK = "unmask"
    MASK = "mask"


OF_THE_MOMENT = frozenset({Action.VIEW_LIVE, Action.STEER})
"""These are about the picture of now; the others are about an interval of the past. A still of one's own camera, to
draw its masks on (`mask`), is of either."""


class ViewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One view, as it is asked.

    Attributes:
        purpose: a code of the register. case: the party's own reference. reason: written, where it is demanded.
        since, until: of the images, aware instants; none of both for the live picture.
        emergency: an emergency is declared: each such use is reviewed afterwards.
        original: of an export: the recording itself, bit for bit, and not pictures made from it.
        confirmation: of a second person, for exactly this view.
    """

    camera: CameraId
    action: Action
    purpose: str
    case: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    emergency: bool = False
    original: bool = False
    confirmation: ConfirmationId | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of what a second person confirms: all but the confirmation itself."""
        asked = {
            name: rfc3339(value) if isinstance(value, datetime) else value
            for name, value in msgspec.structs.asdict(self).items()
            if name != "confirmation"
        }
        return hashlib.sha256(canonical({**asked, "camera": str(self.camera)})).digest()


def check_request(request: ViewRequest, at: datetime) -> None:
    """The request says what it must, and no more.

    Raises:
        Invalid: `interval_malformed` (with why), `case_too_long`, `reason_too_long`, `purpose_missing`,
            `original_only_in_exports`.
    """
    if not request.purpose:
        raise Invalid("purpose_missing")
    if len(request.case) > CASE_LIMIT:
        raise Invalid("case_too_long", limit=CASE_LIMIT)
    if len(request.reason) > REASON_LIMIT:
        raise Invalid("reason_too_long", limit=REASON_LIMIT)
    if request.original and request.action is not Action.EXPORT:
        raise Invalid("original_only_in_exports")
    since, until = request.since, request.until
    if request.action is Action.MASK and since is None and until is None:
        return
    if request.action in OF_THE_MOMENT:
        if since is not None or until is not None:
            raise Invalid("interval_malformed", why="the live picture has no interval")
        return
    if since is None or until is None:
        raise Invalid("interval_malformed", why="since and until are needed")
    check_interval(since, until)
    if since > at:
        raise Invalid("interval_malformed", why="it lies in the future")
    if until - since > LONGEST:
        raise Invalid("interval_malformed", why=f"longer than {LONGEST.days} days")


def check_interval(since: datetime, until: datetime) -> None:
    """[since, until) is one.

    Raises:
        Invalid: `interval_malformed` (with why).
    """
    if since.tzinfo is None or until.tzinfo is None:
        raise Invalid("interval_malformed", why="times need an offset")
    if not is_of_our_time(since, until):
        raise Invalid("interval_malformed", why="not of our time")
    if not since < until:
        raise Invalid("interval_malformed", why="since is not before until")


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What a second person was asked, and said."""

    id: ConfirmationId
    party: PartyId
    asked_by: PersonId
    asked_profile: str
    digest: bytes
    request: ViewRequest
    asked_at: datetime
    expires_at: datetime
    answer: Literal["confirmed", "declined"] | None = None
    answered_by: PersonId | None = None
    answered_profile: str | None = None
    answered_at: datetime | None = None
    used_at: datetime | None = None


class Emergency(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a declared emergency, and what the review said."""

    id: EmergencyId
    exchange: UUID
    party: PartyId
    person: PersonId
    camera: CameraId
    owner: PartyId
    action: str
    reason: str
    declared_at: datetime
    reviewed_by: PersonId | None = None
    reviewed_at: datetime | None = None
    justified: bool | None = None
    note: str = ""


class NewDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision of the public prosecutor, as somebody writes it down.

    Attributes:
        party: whose people may look; None: the party of who writes it down.
        case: the reference under which they ask for views.
        authority, reference, decided_on: whose decision it is, its own number, of which day.
        since, until: of the images, aware instants. ends_at: nothing is shown on it from then on.
        document_sha256: of the document, 64 hexadecimal digits.
    """

    case: str
    authority: str
    reference: str
    decided_on: date
    cameras: tuple[CameraId, ...]
    since: datetime
    until: datetime
    ends_at: datetime
    document_sha256: str
    party: PartyId | None = None


class ProsecutorDecision(msgspec.Struct, frozen=True, kw_only=True):
    """One that was written down; see `NewDecision`."""

    id: DecisionId
    party: PartyId
    case: str
    authority: str
    reference: str
    decided_on: date
    cameras: tuple[CameraId, ...]
    since: datetime
    until: datetime
    ends_at: datetime
    document_sha256: bytes
    recorded_by: PersonId
    recorded_party: PartyId
    recorded_profile: str
    recorded_at: datetime
    ended_by: PersonId | None = None
    ended_at: datetime | None = None

    def stands(self, at: datetime) -> bool:
        """Whether something may be shown on it."""
        return at < self.ends_at and (self.ended_at is None or at < self.ended_at)


class Decided(msgspec.Struct, frozen=True):
    """On which decision a view may rest, or why on none: `decision_missing`, `decision_other_cameras`,
    `decision_other_images`, `decision_over`, `decision_by_oneself`.
    """

    decision: ProsecutorDecision | None
    code: str = ""


NOT_DECIDED = Decided(None, "decision_missing")
