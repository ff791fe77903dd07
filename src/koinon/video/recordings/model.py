"""What the index knows of recordings: units, gaps, places, how pictures are decoded, who records what. Pure values."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal, NewType
from uuid import UUID

import msgspec

from koinon.base.errors import Invalid
from koinon.video.cameras.model import StreamId
from koinon.video.recorder.model import Bytes, KeyFrame, Unit

PlaceId = NewType("PlaceId", int)
EntryId = NewType("EntryId", int)
RecorderId = NewType("RecorderId", UUID)

LONGEST: Final = timedelta(hours=2)
"""No unit lasts longer: an hour is the most that `Options` takes, and the cut waits for a key frame."""

FETCHED: Final = 2
"""The copy of a stream that its owner recorded elsewhere and that was fetched from there, stretch by stretch; 0 and 1
are what was recorded here.
"""

PlaceKind = Literal["folder", "s3"]
OrphanWhy = Literal["unreadable", "unknown_camera", "overlap", "file_missing"]
Outcome = Literal["indexed", "known", "late"]
"""What became of a unit that was given to the index: there now; there before; or not, since the lease under which
it was written is no longer held.
"""


class Track(msgspec.Struct, frozen=True, order=True):
    """What is recorded on its own: a stream, and of a doubly recorded camera which of its two copies, or `FETCHED`."""

    stream: StreamId
    copy: int = 0

    @property
    def lease(self) -> str:
        """The name of the lease under which it is recorded."""
        return f"video/{self.stream}/{self.copy}"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where bytes lie: a folder with a marker file, or a bucket with a marker object."""

    id: PlaceId
    marker: UUID
    kind: PlaceKind
    address: str


class SampleEntry(msgspec.Struct, frozen=True, kw_only=True):
    """How pictures are decoded: `init` is `ftyp` and `moov`, codec as RFC 6381 writes it."""

    id: EntryId
    codec: str
    width: int
    height: int
    init: bytes


class NewUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit for the index: durable in its place, under its name, written under the lease's `fence`."""

    track: Track
    unit: Unit
    place: PlaceId
    file: str
    entry: EntryId


class StoredUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit as the index has it.

    Attributes:
        file: relative to its place.
        wall_us, media_ticks: its duration by the server's and by the camera's clock.
        lost: packets that never came; None where it is not known. damaged: frames left out for that.
        key_frames: where reading can begin: ticks from the start, byte offset of the fragment.
        delta_us, camera_us: evidence about clocks, see `recorder.Unit`.
    """

    stream: StreamId
    start: datetime
    copy: int
    wall_us: int
    media_ticks: int
    bytes: int
    frames: int
    lost: int | None
    damaged: int
    place: PlaceId
    file: str
    fence: int
    run: UUID
    number: int
    entry: EntryId
    sha256: Bytes
    key_frames: tuple[KeyFrame, ...]
    delta_us: int
    camera_us: int | None
    end_reason: str | None

    @property
    def end(self) -> datetime:
        """When it ends; within a run, the start of the next."""
        return self.start + timedelta(microseconds=self.wall_us)


class StoredGap(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was recorded from `start` to `end`, for this reason."""

    stream: StreamId
    copy: int
    start: datetime
    end: datetime
    reason: str
    detail: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one track, as its recorder told it last.

    Attributes:
        state: `connecting`, `recording`, or the reason why it is not.
        lost: packets that never came since it began; None where it cannot be known.
        fps_said, fps_measured: frames a second, by the camera's description and by what came.
        alarm: what an operator must look at, or None: `disk_full`, `folder_gone`, `one_copy_only`, `fps_differs`, ...
    """

    track: Track
    state: str
    detail: str = ""
    last_unit_at: datetime | None = None
    lost: int | None = 0
    damaged: int = 0
    bad_nals: int = 0
    delta_us: int | None = None
    camera_us: int | None = None
    fps_said: float | None = None
    fps_measured: float | None = None
    alarm: str | None = None


def pack_key_frames(key_frames: Iterable[KeyFrame]) -> bytes:
    """Key frames as unsigned LEB128 numbers: ticks and byte offset, each less that of the key frame before."""
    out = bytearray()
    ticks = offset = 0
    for key in key_frames:
        for value in (key.ticks - ticks, key.offset - offset):
            if value < 0:
                raise Invalid("invalid_key_frames", why="not in order")
            while value > 0x7F:
                out.append(value & 0x7F | 0x80)
                value >>= 7
            out.append(value)
        ticks, offset = key.ticks, key.offset
    return bytes(out)


def unpack_key_frames(data: bytes) -> tuple[KeyFrame, ...]:
    """The key frames that `pack_key_frames` wrote.

    Raises:
        Invalid: `invalid_key_frames`.
    """
    values: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
        elif shift > 63:
            raise Invalid("invalid_key_frames", why="number too long")
    if shift or len(values) % 2:
        raise Invalid("invalid_key_frames", why="cut off")
    found: list[KeyFrame] = []
    ticks = offset = 0
    for index in range(0, len(values), 2):
        ticks, offset = ticks + values[index], offset + values[index + 1]
        found.append(KeyFrame(ticks, offset))
    return tuple(found)
