"""What is asked of a camera that can be turned, what it can, and who has or waits for a turn at it. Pure values."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from koinon.trust.parties import PartyId, PersonId
from koinon.video.cameras import CameraId


class Velocity(msgspec.Struct, frozen=True, array_like=True):
    """How fast it turns and zooms, each from -1 to 1 of what it can: right, up and closer are positive.

    Source: ONVIF PTZ Service Specification, section 5.7 (generic spaces of velocity).
    """

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0

    @property
    def kinds(self) -> frozenset[str]:
        """Which kinds of movement it is: `pan_tilt`, `zoom`; none when it stands still."""
        turned = {"pan_tilt"} if self.pan or self.tilt else set()
        return frozenset(turned | ({"zoom"} if self.zoom else set()))


STILL: Final = Velocity()


class Position(msgspec.Struct, frozen=True):
    """Where it looks: pan and tilt from -1 to 1, zoom from 0 to 1. None: it does not say."""

    pan: float | None
    tilt: float | None
    zoom: float | None


class Preset(msgspec.Struct, frozen=True):
    """A place to which it goes by itself."""

    token: str
    name: str


class Ability(msgspec.Struct, frozen=True):
    """What the camera can. `most_presets`: so many it keeps by its own word, none where it does not say."""

    pan_tilt: bool
    zoom: bool
    presets: tuple[Preset, ...] = ()
    most_presets: int = 0


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's turn at a camera, which he has or waits for.

    Attributes:
        use: that runs, of the gate.
        rank: the higher goes first; see `policy.rank_of`.
        held_since: None while he waits.
        moved_at: when he last moved it, or got it.
        alive_until: his process is taken for dead then.
        ousted_by: the use that gets it next; he is to stop the camera and let go.
    """

    use: UUID
    camera: CameraId
    party: PartyId
    person: PersonId
    rank: int
    asked_at: datetime
    held_since: datetime | None
    moved_at: datetime | None
    alive_until: datetime
    ousted_by: UUID | None
