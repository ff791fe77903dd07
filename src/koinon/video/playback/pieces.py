"""Pieces of units: fragments as they lie in the file, the wall time of each frame, a key frame alone. Pure.

What leaves is what was recorded, bit by bit. Only where part of a fragment may not leave (it ends after the view does),
or only its key frame is wanted (fast playback), is its head written anew, around frames that stay as they are.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from koinon.base.errors import Invalid
from koinon.video.recorder import boxes
from koinon.video.recorder.cutting import decoding_times
from koinon.video.recorder.model import TICKS, KeyFrame
from koinon.video.recorder.nal import kind, read_nals
from koinon.video.recordings.model import StoredUnit

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
LARGEST_FRAGMENT: Final = 16 << 20
"""Bytes. The recorder writes none above 4 MiB and a frame of 8."""

_LARGEST_HEAD: Final = 1 << 20
_SKIPPED: Final = frozenset({8, 9})  # RASL_N, RASL_R


class Fragment(NamedTuple):
    """A `moof` with its `mdat`, as in the file.

    Attributes:
        base: decoding time of its first frame, in ticks from the unit's start.
    """

    data: bytes
    base: int
    samples: list[boxes.Sample]

    @property
    def duration(self) -> int:
        """In ticks."""
        return sum(sample.duration for sample in self.samples)

    @property
    def key(self) -> bool:
        """Whether decoding can begin with it."""
        return self.samples[0].key

    def shown(self) -> list[int]:
        """When each frame is shown, in ticks from the unit's start, in the order of decoding."""
        times, at = [], self.base
        for sample in self.samples:
            times.append(at + sample.composition)
            at += sample.duration
        return times


def to_us(instant: datetime) -> int:
    """Microseconds since 1970: how players are told times, whole numbers below 2**53."""
    return (instant - _EPOCH) // _MICROSECOND


def of_us(us: int) -> datetime:
    """The instant.

    Raises:
        Invalid: `invalid_time`: not of our time.
    """
    try:
        return _EPOCH + us * _MICROSECOND
    except (OverflowError, ValueError):
        raise Invalid("invalid_time") from None


def wall_us(unit: StoredUnit, ticks: int) -> int:
    """When the frame at `ticks` of the unit was taken, by the server's clock: Unix microseconds."""
    if not unit.media_ticks:
        return to_us(unit.start)
    return to_us(unit.start) + ticks * unit.wall_us // unit.media_ticks


def ticks_at(unit: StoredUnit, us: int) -> int:
    """The first place in the unit, in ticks, that `wall_us` puts at the moment or after it."""
    if not unit.wall_us:
        return 0
    return -((to_us(unit.start) - us) * unit.media_ticks // unit.wall_us)


def key_before(unit: StoredUnit, us: int) -> int:
    """The index of the last key frame at or before the moment, or of the first."""
    found = 0
    for index, key in enumerate(unit.key_frames):
        if wall_us(unit, key.ticks) > us:
            break
        found = index
    return found


def key_from(unit: StoredUnit, us: int) -> int | None:
    """The index of the first key frame at or after the moment, or None."""
    for index, key in enumerate(unit.key_frames):
        if wall_us(unit, key.ticks) >= us:
            return index
    return None


def split(data: bytes) -> tuple[list[Fragment], int]:
    """The whole fragments at the beginning of `data`, and how many bytes they and what lies between them take.

    Other boxes (our closing box) are passed over.

    Raises:
        Invalid: `unit_damaged`: this is not what a recorder writes.
    """
    found: list[Fragment] = []
    at = taken = 0
    moof: tuple[int, int, list[boxes.Sample]] | None = None
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or size > LARGEST_FRAGMENT:
            raise Invalid("unit_damaged", why="box size", size=size)
        if at + size > len(data):
            break
        if kind == b"moof":
            try:
                base, samples = boxes.read_samples(data[at : at + size])
            except ValueError as error:
                raise Invalid("unit_damaged", why=str(error)) from None
            moof = (at, base, samples)
        elif kind == b"mdat":
            if moof is None or not moof[2] or sum(sample.size for sample in moof[2]) != size - 8:
                raise Invalid("unit_damaged", why="samples and data differ")
            found.append(Fragment(data[moof[0] : at + size], moof[1], moof[2]))
            moof = None
        elif moof is not None:
            raise Invalid("unit_damaged", why="no data after moof")
        at += size
        if moof is None:
            taken = at
    return found, taken


def head_bytes(data: bytes) -> int:
    """How many bytes of a fragment must be known to have its first frame whole; 0 where that cannot be told yet.

    Raises:
        Invalid: `unit_damaged`.
    """
    if len(data) < 8:
        return 0
    size, kind = struct.unpack_from(">I4s", data)
    if kind != b"moof" or size > _LARGEST_HEAD:
        raise Invalid("unit_damaged", why="no moof where a key frame is")
    if len(data) < size:
        return 0
    try:
        _, samples = boxes.read_samples(data[:size])
    except ValueError as error:
        raise Invalid("unit_damaged", why=str(error)) from None
    if not samples or not samples[0].key:
        raise Invalid("unit_damaged", why="no key frame where one is")
    return int(size) + 8 + samples[0].size


def key_alone(data: bytes, duration: int) -> Fragment:
    """The key frame with which the fragment in `data` begins, alone, shown for `duration` ticks."""
    size = struct.unpack_from(">I", data)[0]
    base, samples = boxes.read_samples(data[:size])
    first = samples[0]
    sample = boxes.Sample(max(1, duration), first.size, True, first.composition)
    body = data[size + 8 : size + 8 + first.size]
    if len(body) < first.size:
        raise Invalid("unit_damaged", why="key frame cut off")
    return Fragment(boxes.fragment(1, base, [sample]) + body, base, [sample])


def until_ticks(fragment: Fragment, end: int) -> Fragment | None:
    """What of the fragment is shown before `end`, in ticks: all, its first frames under a new head, or nothing.

    Frames are left out from the first, in decoding order, that is shown at or after `end`.
    """
    kept = 0
    for shown in fragment.shown():
        if shown >= end:
            break
        kept += 1
    if kept == len(fragment.samples):
        return fragment
    if kept == 0:
        return None
    samples = fragment.samples[:kept]
    size = sum(sample.size for sample in samples)
    start = len(fragment.data) - sum(sample.size for sample in fragment.samples)
    data = boxes.fragment(1, fragment.base, samples) + fragment.data[start : start + size]
    return Fragment(data, fragment.base, samples)


def without_leading(fragment: Fragment, codec: str) -> Fragment:
    """The fragment, which begins with a key frame, without the frames that refer to frames before that one (RASL).

    A decoder that begins with it leaves them out. Source: ITU-T H.265 section 7.4.2.2. H.264 has none: nothing goes
    past what the recorder takes for a key frame there (IDR).
    """
    if not codec.startswith(("hvc1", "hev1")):
        return fragment
    at = len(fragment.data) - sum(sample.size for sample in fragment.samples)
    kept: list[boxes.Sample] = []
    body: list[bytes] = []
    times: list[int] = []
    for sample, shown in zip(fragment.samples, fragment.shown(), strict=True):
        data = fragment.data[at : at + sample.size]
        at += sample.size
        if not any(kind("h265", nal) in _SKIPPED for nal in read_nals(data)):
            kept.append(sample)
            body.append(data)
            times.append(shown)
    if len(kept) == len(fragment.samples):
        return fragment
    decode = decoding_times(times, fragment.base + fragment.duration, 0)
    samples = [
        boxes.Sample(decode[index + 1] - decode[index], each.size, each.key, times[index] - decode[index])
        for index, each in enumerate(kept)
    ]
    return Fragment(boxes.fragment(1, decode[0], samples) + b"".join(body), decode[0], samples)


def shift(data: bytes, ticks: int) -> bytes:
    """The fragments with all decoding times later by `ticks`; nothing else changes, not even a length.

    HLS wants one line of times over all units; a unit's own begins at 0.

    Raises:
        Invalid: `unit_damaged`.
    """
    moved = bytearray(data)
    at = 0
    while at + 8 <= len(moved):
        size, kind = struct.unpack_from(">I4s", moved, at)
        if size < 8 or at + size > len(moved):
            raise Invalid("unit_damaged", why="box size", size=size)
        if kind == b"moof":
            where = moved.find(b"tfdt", at, at + size)
            if where < 0 or moved[where + 4] != 1:
                raise Invalid("unit_damaged", why="no tfdt")
            base = struct.unpack_from(">Q", moved, where + 8)[0]
            struct.pack_into(">Q", moved, where + 8, base + ticks)
        at += size
    return bytes(moved)


def ranges(
    unit: StoredUnit, seconds: float, first: int = 0, last: int | None = None
) -> Iterator[tuple[int, int]]:
    """Key frames `first` up to `last` (None: the unit's end) in stretches of at least so long.

    Each by the numbers of the key frames with which it begins and before which it ends.
    """
    keys: Sequence[KeyFrame] = unit.key_frames
    least = round(seconds * TICKS)
    stop = len(keys) if last is None else last
    begin = first
    for index in range(first + 1, stop + 1):
        end = unit.media_ticks if index == len(keys) else keys[index].ticks
        if index == stop or end - keys[begin].ticks >= least:
            yield begin, index
            begin = index


def bytes_of(unit: StoredUnit, begin: int, end: int) -> tuple[int, int]:
    """The bytes from one key frame up to another; after the last, to the end of the file.

    Its closing box is then among them: players pass it over.
    """
    keys = unit.key_frames
    return keys[begin].offset, unit.bytes if end == len(keys) else keys[end].offset


def ticks_of(unit: StoredUnit, key: int) -> int:
    """When the key frame is shown, or, after the last, when the unit ends: ticks from its start."""
    return unit.media_ticks if key == len(unit.key_frames) else unit.key_frames[key].ticks


def seconds_of(ticks: int) -> float:
    """Ticks as seconds."""
    return ticks / TICKS
