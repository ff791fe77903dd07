"""What a player gets: the binary messages of `/video/live`, with the times of recordings.

A binary message begins with 24 bytes, big endian:

    kind (1: 1 opening, 2 media) · flags (1: 1 key frame) · 0 (2) · duration in ticks, or pace (4)
    · when its first frame was taken, Unix microseconds (8) · where that lies on the player's timeline, ticks (8)

An opening goes on with the length of the codec's name (1), the name (RFC 6381), and `ftyp` and `moov`; media with
`moof` and `mdat` as they are in the file, whose own times count from their unit: an opening's last number is where on
the timeline that lies (`SourceBuffer.timestampOffset`), and its pace how many nanoseconds of the server's clock pass in
a second of the unit's. Ticks are of 1/90000 s. Place 0 of the timeline is `base_us`.
"""

import struct
from typing import Any, Final

from koinon.video.playback.course import Media, Opening
from koinon.video.playback.pieces import to_us
from koinon.video.recorder.model import TICKS
from koinon.video.recordings.model import LONGEST
from koinon.video.recordings.timeline import Span

OPENING: Final = 1
MEDIA: Final = 2
KEY: Final = 1
HEAD: Final = struct.Struct(">BBHIQQ")
_MOST_PACE: Final = 2**32 - 1  # of a clock that goes four times too slow: no camera's


def base_of(since_us: int) -> int:
    """Place 0 of a player's timeline: before the beginning of every unit that holds the view's first moment."""
    return since_us - int(LONGEST.total_seconds() * 1e6)


def place(us: int, base_us: int) -> int:
    """Where the moment lies on the timeline, in ticks."""
    return (us - base_us) * TICKS // 1_000_000


def opening(piece: Opening, base_us: int) -> bytes:
    """How the media that follow are decoded, and from where their times count."""
    codec = piece.entry.codec.encode("ascii")
    pace = piece.wall_us * 1000 * TICKS // piece.media_ticks if piece.media_ticks else 10**9
    head = HEAD.pack(OPENING, 0, 0, min(pace, _MOST_PACE), piece.unit_us, place(piece.unit_us, base_us))
    return b"".join((head, bytes((len(codec),)), codec, piece.entry.init))


def media(piece: Media, base_us: int) -> bytes:
    """A fragment, as it is."""
    fragment = piece.fragment
    first = min(fragment.shown())
    head = HEAD.pack(
        MEDIA,
        KEY if fragment.key else 0,
        0,
        fragment.duration,
        piece.us,
        place(piece.unit_us, base_us) + max(0, first),
    )
    return head + fragment.data


def find_place(pieces: list[Any], us: int, base_us: int) -> int | None:
    """Where on the timeline the frame lies that was taken then, if one of the pieces has it."""
    for piece in pieces:
        if isinstance(piece, Media) and us in piece.frames_us:
            shown = piece.fragment.shown()[piece.frames_us.index(us)]
            return place(piece.unit_us, base_us) + shown
    return None


def spans(told: list[Span]) -> list[dict[str, Any]]:
    """Spans as players are told them: times in Unix microseconds."""
    return [
        {"start": to_us(each.start), "end": to_us(each.end), "state": each.state, "reason": each.reason}
        for each in told
    ]
