"""What of a picture nobody is to see: polygons that count from one moment to another. Pure values."""

from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

import msgspec

from koinon.trust.parties import PersonId
from koinon.video.cameras.model import CameraId

MaskId = NewType("MaskId", UUID)
Point = tuple[float, float]
Polygon = tuple[Point, ...]

MOST_POLYGONS: Final = 32
MOST_POINTS: Final = 64


class Kind(StrEnum):
    """What is put in the place of what is masked."""

    FILL = "fill"  # one grey
    MOSAIC = "mosaic"  # blocks of one colour each, the average of what was there


class Mask(msgspec.Struct, frozen=True, kw_only=True):
    """The masks of a camera from one moment to another: all of its polygons at once.

    Attributes:
        valid_until: exclusive; None: until further notice.
        polygons: each at least three points, in shares (0 to 1) of the picture's width and height, from above left.
            None at all: from then on nothing is masked.
        why: in the owner's words: a window, a garden, an entrance.
    """

    id: MaskId
    camera: CameraId
    valid_from: datetime
    valid_until: datetime | None
    polygons: tuple[Polygon, ...]
    kind: Kind
    why: str
    by: PersonId | None
    made_at: datetime

    def counts_at(self, at: datetime) -> bool:
        """Whether what was recorded at `at` is under it."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)
