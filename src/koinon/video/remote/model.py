"""Where recordings stay, who asked for which stretch of them, what is fetched. Pure values."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from koinon.trust.gate import Actor, Receipt, Second
from koinon.trust.parties import PartyId, PersonId
from koinon.video.cameras import CameraId
from koinon.video.cameras.model import StreamId
from koinon.video.rights import Action, ConfirmationId, ViewRequest

AskId = NewType("AskId", UUID)
FetchId = NewType("FetchId", UUID)
Bytes = bytes  # a field of this name shadows the type


class RemoteSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the owner's own system replays a camera.

    Attributes:
        sealed_source: the RTSP URL with its credentials; see `SourceKey.open_replay`.
        address: without them, for people.
        keep_days: how long the owner keeps, as it says. holds_from: since when it records, where it said.
    """

    camera: CameraId
    sealed_source: Bytes
    address: str
    keep_days: int
    holds_from: datetime | None
    changed_at: datetime


class AskRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks: one past stretch of one camera whose recordings stay with its owner.

    Attributes:
        purpose: a code of the register. case, reason: the party's own words.
        since, until: of the images, aware instants, both past.
        emergency: an emergency is declared: it is reviewed afterwards.
        confirmation: of a second person, for exactly this, as for looking back.
    """

    camera: CameraId
    purpose: str
    since: datetime
    until: datetime
    case: str = ""
    reason: str = ""
    emergency: bool = False
    confirmation: ConfirmationId | None = None

    def view(self) -> ViewRequest:
        """What is asked of the gate: to look back at it."""
        return ViewRequest(action=Action.VIEW_RECORDING, **{name: getattr(self, name) for name in _ASKED})


_ASKED = ("camera", "purpose", "case", "reason", "since", "until", "emergency", "confirmation")


class AskState(StrEnum):
    """Whether something is still wanted for an ask."""

    OPEN = "open"
    DONE = "done"
    STOPPED = "stopped"  # it may not (any more), or its asker withdrew it: see the code


class FetchState(StrEnum):
    """How it stands with a stretch."""

    WAITING = "waiting"  # for others of the same owner
    QUEUED = "queued"
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"  # the owner's system did not give it: see the code
    STOPPED = "stopped"  # nobody who asked for it may have it any more


OPEN_FETCHES = (FetchState.WAITING, FetchState.QUEUED, FetchState.FETCHING)


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch that is fetched once.

    Attributes:
        done_us: how much of it the owner's system has told.
        bytes: of units that came of it.
    """

    id: FetchId
    camera: CameraId
    owner: PartyId
    stream: StreamId
    since: datetime
    until: datetime
    state: FetchState
    code: str | None
    attempt: int
    done_us: int
    bytes: int
    asked_at: datetime
    moved_at: datetime


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked, as it is kept.

    Attributes:
        exchange: the id of all that is recorded about asking and fetching.
        second: who confirmed it, where that was needed.
        receipt: the promise of the entry `recording.asked`.
    """

    id: AskId
    camera: CameraId
    owner: PartyId
    party: PartyId
    person: PersonId
    profile: str
    purpose: str
    case: str
    reason: str
    since: datetime
    until: datetime
    emergency: bool
    state: AskState
    code: str | None
    exchange: UUID
    second: Second | None
    at_work_station: bool
    receipt: Receipt
    asked_at: datetime
    moved_at: datetime

    @property
    def actor(self) -> Actor:
        """Who asked, as the gate knows them."""
        return Actor(party=self.party, person=self.person, profile=self.profile)

    def view(self) -> ViewRequest:
        """What was asked of the gate."""
        return ViewRequest(
            action=Action.VIEW_RECORDING,
            **{name: getattr(self, name) for name in _ASKED if name != "confirmation"},
        )


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the stretches of an ask are.

    Attributes:
        open, fetching, failed: how many of them are so; `code`: why one of them was not given.
    """

    parts: int
    open: int
    fetching: int
    failed: int
    code: str | None
    done_us: int
    total_us: int


class AskView(msgspec.Struct, frozen=True, kw_only=True):
    """What people are told of an ask.

    Attributes:
        state: `waiting`, `fetching`, `done`, `failed` (with the code; what came is there), `stopped`.
        progress: from 0 to 1.
    """

    id: AskId
    camera: CameraId
    party: PartyId
    profile: str
    purpose: str
    case: str
    since: datetime
    until: datetime
    state: str
    code: str | None
    progress: float
    asked_at: datetime


def view_of(ask: Ask, told: Progress) -> AskView:
    """As `AskView`."""
    state, code = ask.state.value, ask.code
    if ask.state is AskState.OPEN:
        state = "fetching" if told.fetching else "waiting"
    elif ask.state is AskState.DONE:
        state, code = "failed" if told.failed else state, told.code
    over = ask.state is AskState.DONE
    return AskView(
        id=ask.id, camera=ask.camera, party=ask.party, profile=ask.profile, purpose=ask.purpose, case=ask.case,
        since=ask.since, until=ask.until, state=state, code=code,
        progress=1.0 if over else min(1.0, told.done_us / told.total_us) if told.total_us else 0.0,
        asked_at=ask.asked_at,
    )  # fmt: skip
