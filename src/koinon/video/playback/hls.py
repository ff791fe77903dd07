"""Media playlists of recordings: HLS with fragmented MP4. Pure.

Source: RFC 8216 (sections named where they decide) and its draft successor for EXT-X-MAP with byte ranges.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import ceil
from typing import Final, NamedTuple

from koinon.base.clock import rfc3339
from koinon.video.playback.pieces import (
    bytes_of,
    key_from,
    of_us,
    ranges,
    seconds_of,
    ticks_of,
    to_us,
    wall_us,
)
from koinon.video.recordings.model import StoredUnit

SEGMENT_SECONDS: Final = 6.0
LONGEST: Final = timedelta(days=1)
DISCONTINUITY_US: Final = 1_000_000
_ROUNDING_US: Final = 1000


class Segment(NamedTuple):
    """A stretch of a unit from a key frame: bytes from, up to; when its first frame was taken, and the one after it.

    Attributes:
        masked: it leaves masked, made on demand: another file, of another length.
    """

    unit: StoredUnit
    offset: int
    end: int
    us: int
    until_us: int
    masked: bool = False

    @property
    def map(self) -> str:
        """The address of what it is decoded by, relative to the playlist's."""
        return f"init/{self.unit.entry}{'-masked' if self.masked else ''}.mp4"


def cut(units: Sequence[StoredUnit], since_us: int, until_us: int) -> Iterator[Segment]:
    """The segments that lie whole in [since, until), of one copy at a time, none overlapping the one before."""
    at, copy = since_us, 0
    waiting = sorted(units, key=lambda unit: (unit.start, unit.copy))
    while waiting:
        waiting = [unit for unit in waiting if to_us(unit.end) > at + _ROUNDING_US]
        if not waiting:
            return
        here = [unit for unit in waiting if to_us(unit.start) <= at + _ROUNDING_US]
        unit = min(here, key=lambda each: (each.copy != copy, each.copy), default=waiting[0])
        copy = unit.copy
        first = key_from(unit, max(at - _ROUNDING_US, since_us))
        stop = len(unit.key_frames)
        while stop and wall_us(unit, ticks_of(unit, stop)) > until_us:
            stop -= 1
        if first is not None and first < stop:
            for begin, end in ranges(unit, SEGMENT_SECONDS, first, stop):
                yield _segment(unit, begin, end)
        at = max(to_us(unit.end), at + 1)


def find_segment(unit: StoredUnit, offset: int, end: int) -> Segment | None:
    """The segment of the unit that is exactly these bytes: from a key frame to another, or to the end."""
    starts = [key.offset for key in unit.key_frames]
    ends = [*starts[1:], unit.bytes]
    if offset not in starts or end not in ends:
        return None
    begin, stop = starts.index(offset), ends.index(end) + 1
    return _segment(unit, begin, stop) if begin < stop else None


def _segment(unit: StoredUnit, begin: int, end: int) -> Segment:
    offset, stop = bytes_of(unit, begin, end)
    return Segment(
        unit, offset, stop, wall_us(unit, ticks_of(unit, begin)), wall_us(unit, ticks_of(unit, end))
    )


def write(segments: Sequence[Segment], *, whole: bool, independent: bool = True) -> str:
    """The playlist; addresses are relative to its own. `whole`: nothing will be added any more. `independent`: no
    picture refers to one of another segment, which in H.265 those after a key frame may (section 4.3.5.1).
    """
    longest = max((seconds_of(each) for each in map(_ticks, segments)), default=SEGMENT_SECONDS)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{ceil(longest)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if whole else 'EVENT'}",
    ]
    if independent:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    last: Segment | None = None
    for each in segments:
        changed = last is None or each.map != last.map
        apart = last is not None and abs(each.us - last.until_us) > DISCONTINUITY_US
        if last is not None and (changed or apart):
            lines.append("#EXT-X-DISCONTINUITY")  # section 4.3.2.3
        if changed or apart:
            lines.append(f'#EXT-X-MAP:URI="{each.map}"')
        if last is None or last.unit is not each.unit or apart:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{rfc3339(of_us(each.us))[:-4]}Z")
        lines.append(f"#EXTINF:{seconds_of(_ticks(each)):.5f},")
        name = f"{to_us(each.unit.start)}-{each.unit.copy}"
        if each.masked:
            lines.append(f"masked/{name}-{each.offset}-{each.end}.m4s")
        else:
            lines.append(f"#EXT-X-BYTERANGE:{each.end - each.offset}@{each.offset}")
            lines.append(f"units/{name}.m4s")
        last = each
    if whole:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _ticks(segment: Segment) -> int:
    return (segment.until_us - segment.us) * 9 // 100
