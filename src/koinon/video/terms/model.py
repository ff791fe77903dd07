"""What terms are made of: regimes and their stages, limits over recording time, holds, what was deleted. Pure values.

Instants are aware; `until` is exclusive. An age is counted from the start of a unit, so of its oldest frame.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, NewType
from uuid import UUID

import msgspec

from koinon.base.text import Text
from koinon.trust.parties import PartyId, PersonId
from koinon.trust.rules import Rule
from koinon.video.cameras.model import CameraId, StreamId

HoldId = NewType("HoldId", UUID)
DerivedId = NewType("DerivedId", UUID)

DEFAULT_DAYS: Final = 30
"""Kept at most so long where no regime with a legal basis says otherwise; no version of `standard` may exceed it."""

LEAD: Final = timedelta(hours=1)
"""What is about to reach its term goes so much earlier: time to unlink it before the term is over."""

LONGEST_HOLD: Final = timedelta(days=366)
"""A hold ends within so long after it was placed; going on is a new decision."""

BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
FOREVER: Final = datetime.max.replace(tzinfo=UTC)


class Why(StrEnum):
    """Why a unit was deleted."""

    TERM = "term"  # the owner's own term, shorter than the law's
    MAXIMUM = "maximum"  # the law's
    PRESSURE = "pressure"  # the disk was nearly full, and the site allows it


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a regime, in the time in which it counts.

    Attributes:
        regime: its code, as cameras name it.
        rule: `id/version` in the rule bank.
        days: the oldest that an image may become.
        article, text: the legal basis.
        written: the rule itself, which says for whose cameras.
    """

    regime: str
    rule: str
    days: int
    article: str
    text: Text
    since: datetime
    until: datetime
    written: Rule


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """From an age on, an action on images of a regime needs something more.

    Attributes:
        days: from which age.
        demands: names of facts that must be true, as the rule bank's vocabulary has them.
    """

    regime: str
    rule: str
    actions: frozenset[str]
    days: int
    demands: tuple[str, ...]
    article: str
    text: Text
    since: datetime
    until: datetime


class HoldBasis(msgspec.Struct, frozen=True, kw_only=True):
    """A ground on which images may be held, and by whom.

    Attributes:
        keeps_days: it may keep images past the maximum of their regime, up to this age; None: it may not.
    """

    code: str
    rule: str
    title: Text
    article: str
    text: Text
    party_kinds: frozenset[str]
    parties: frozenset[str]
    profiles: frozenset[str]
    keeps_days: int | None
    since: datetime
    until: datetime


class Regimes(msgspec.Struct, frozen=True):
    """The part of the rule bank that is about keeping: versions, stages and grounds for holds, by code."""

    versions: dict[str, tuple[Version, ...]] = {}
    stages: dict[str, tuple[Stage, ...]] = {}
    holds: dict[str, tuple[HoldBasis, ...]] = {}


class Assignment(msgspec.Struct, frozen=True, order=True):
    """Since `since` a camera is under the regime of this code."""

    since: datetime
    regime: str


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded from `since` to `until` may be kept `days` days, by law.

    Attributes:
        regime, rule: which gave the number; no rule where it is the default.
        fallen_back: codes of regimes that the camera named and that were inactive: no version with a legal basis.
    """

    since: datetime
    until: datetime
    days: int
    regime: str
    rule: str | None
    article: str
    fallen_back: tuple[str, ...] = ()


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What of a stream is due: units that begin in it.

    Attributes:
        spare_holds: whether holds keep units of it from deletion: all that stand, or only those that may keep past the
            maximum.
    """

    stream: StreamId
    since: datetime
    until: datetime
    why: Why
    spare_holds: Literal["all", "beyond"]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Images of a camera from `since` to `until` are not deleted while it stands.

    Attributes:
        decision: holds placed together, on several cameras, share it.
        owner: the party whose hold it is. placed_by: the person.
        basis: code of the ground; rule, article: what it was at the time.
        keeps_days: up to which age it keeps images past their legal maximum; None: it does not.
        ends_at: when it ends by itself.
        renews: the hold that this one goes on with.
    """

    id: HoldId
    decision: UUID
    camera: CameraId
    since: datetime
    until: datetime
    owner: PartyId
    basis: str
    rule: str
    article: str
    reason: str
    case: str
    keeps_days: int | None
    placed_by: PersonId
    placed_at: datetime
    ends_at: datetime
    renews: HoldId | None = None
    ended_at: datetime | None = None

    def stands(self, at: datetime) -> bool:
        """Whether it keeps anything at `at`."""
        return self.ended_at is None and self.placed_at <= at < self.ends_at


class NewHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks for who wants images to be held."""

    cameras: tuple[CameraId, ...]
    since: datetime
    until: datetime
    basis: str
    reason: str
    case: str = ""
    ends_at: datetime
    renews: HoldId | None = None


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a stream that is gone: what the timeline shows as deleted."""

    stream: StreamId
    start: datetime
    end: datetime
    why: Why
    units: int
    bytes: int


class Garbage(msgspec.Struct, frozen=True, kw_only=True):
    """A file that no row needs any more and that is still to be unlinked."""

    id: int
    place: int
    file: str


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A file made from recordings: it goes with them.

    Attributes:
        start, end: the oldest and newest image in it.
        kind: `thumbnail`, `clip`, `masked`, `replica`, ...
    """

    id: DerivedId
    stream: StreamId
    start: datetime
    end: datetime
    kind: str
    place: int
    file: str
    bytes: int
