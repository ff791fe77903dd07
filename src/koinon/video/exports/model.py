"""What is asked to leave as a file, and what became of it. Pure values."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from koinon.base.text import Text
from koinon.trust.gate import Actor, Receipt, Second
from koinon.trust.parties import PartyId, PersonId
from koinon.video.cameras import CameraId
from koinon.video.cameras.model import StreamId
from koinon.video.recordings import PlaceId
from koinon.video.rights import Action, ConfirmationId, ViewRequest

ExportId = NewType("ExportId", UUID)
Bytes = bytes  # a field of this name shadows the type


class Form(StrEnum):
    """As what images leave."""

    CLIP = "clip"  # masked where they must be, marked, encoded anew
    EVIDENCE = "evidence"  # the recorder's units, bit for bit


class State(StrEnum):
    """How it stands with an export."""

    QUEUED = "queued"
    MAKING = "making"
    READY = "ready"
    STOPPED = "stopped"  # it may not (any more): see the code
    FAILED = "failed"
    DELETED = "deleted"


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks: one interval of one or several cameras.

    Attributes:
        cameras: their ids; each is decided on for itself, and all are given or none.
        purpose: a code of the register. case, reason: the party's own words.
        since, until: of the images, aware instants, both past.
        emergency: an emergency is declared: it is reviewed afterwards.
        confirmations: by the camera's id, of a second person, for exactly this.
    """

    cameras: tuple[CameraId, ...]
    purpose: str
    since: datetime
    until: datetime
    form: Form = Form.CLIP
    case: str = ""
    reason: str = ""
    emergency: bool = False
    confirmations: dict[CameraId, ConfirmationId] = {}

    def view_of(self, camera: CameraId) -> ViewRequest:
        """What is asked of the gate about one of the cameras."""
        return ViewRequest(
            camera=camera,
            action=Action.EXPORT,
            purpose=self.purpose,
            case=self.case,
            reason=self.reason,
            since=self.since,
            until=self.until,
            emergency=self.emergency,
            original=self.form is Form.EVIDENCE,
            confirmation=self.confirmations.get(camera),
        )


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """An export as it is kept.

    Attributes:
        name, party_name: whose it is, in the words of its mark.
        code: why it was stopped, failed, or is gone.
        deletes_at: when its files go at the latest, holds apart; known when it is ready.
        done_us, total_us: how much of the cameras' time together has been made.
        manifest: a JWS, while its files are there.
    """

    id: ExportId
    party: PartyId
    person: PersonId
    profile: str
    name: str
    party_name: Text
    form: Form
    purpose: str
    case: str
    reason: str
    since: datetime
    until: datetime
    emergency: bool
    state: State
    code: str | None
    asked_at: datetime
    moved_at: datetime
    deletes_at: datetime | None
    attempt: int
    done_us: int
    total_us: int
    bytes: int
    manifest: str | None
    swept_at: datetime | None

    @property
    def actor(self) -> Actor:
        """Who asked, as the gate knows them."""
        return Actor(party=self.party, person=self.person, profile=self.profile)

    def view_of(self, camera: CameraId) -> ViewRequest:
        """What was asked of the gate about one of the cameras."""
        return ViewRequest(
            camera=camera,
            action=Action.EXPORT,
            purpose=self.purpose,
            case=self.case,
            reason=self.reason,
            since=self.since,
            until=self.until,
            emergency=self.emergency,
            original=self.form is Form.EVIDENCE,
        )


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One camera of an export.

    Attributes:
        exchange: the id of all that is recorded about asking for it and making it.
        second: who confirmed it, where that was needed.
        receipt: the promise of the entry `export.asked`.
        masked: whether only the masked picture could leave when it was made; None before.
    """

    export: ExportId
    number: int
    camera: CameraId
    exchange: UUID
    second: Second | None
    at_work_station: bool
    receipt: Receipt
    masked: bool | None = None


class ExportFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a package: one stretch of one camera.

    Attributes:
        pieces: in so many its bytes lie beside the recordings.
        crc32: as a ZIP wants it; None for files of before it was kept.
    """

    export: ExportId
    attempt: int
    number: int
    camera: CameraId
    stream: StreamId
    name: str
    start: datetime
    end: datetime
    place: PlaceId
    pieces: int
    bytes: int
    sha256: Bytes
    crc32: int | None = None


class ExportView(msgspec.Struct, frozen=True, kw_only=True):
    """What its asker is told."""

    id: ExportId
    form: Form
    state: State
    code: str | None
    cameras: list[CameraId]
    purpose: str
    case: str
    since: datetime
    until: datetime
    progress: float
    bytes: int
    asked_at: datetime
    deletes_at: datetime | None


def view_of(export: Export, parts: list[Part]) -> ExportView:
    """As `ExportView`."""
    return ExportView(
        id=export.id,
        form=export.form,
        state=export.state,
        code=export.code,
        cameras=[each.camera for each in parts],
        purpose=export.purpose,
        case=export.case,
        since=export.since,
        until=export.until,
        progress=1.0 if export.state is State.READY else min(1.0, export.done_us / export.total_us),
        bytes=export.bytes,
        asked_at=export.asked_at,
        deletes_at=export.deletes_at,
    )
