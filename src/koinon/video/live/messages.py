"""What a player gets: WebSocket frames that are made once and sent to every viewer as they are.

A binary message begins with 24 bytes, big endian:

    kind (1: 1 opening, 2 media) · flags (1: 1 key frame) · 0 (2) · duration in ticks (4)
    · when it arrived at the recorder, Unix microseconds (8) · when it is shown, ticks (8)

An opening goes on with the length of the codec's name (1), the name (RFC 6381), and `ftyp` and `moov`; media with one
`moof` and `mdat`. Ticks are of 1/90000 s. Playback sends the same.

Source: RFC 6455 section 5.2. What a server sends is not masked, so it is the same for everybody.
"""

import struct
from typing import Any, Final

import msgspec

from koinon.video.live.timeline import Placed
from koinon.video.recorder import boxes
from koinon.video.recorder.nal import Format
from koinon.video.rights.sockets import frame

OPENING: Final = 1
MEDIA: Final = 2
KEY: Final = 1
HEAD: Final = struct.Struct(">BBHIQQ")


def opening(format_: Format) -> bytes:
    """How the media that follow are to be decoded."""
    codec = format_.codec_string.encode("ascii")
    return frame(2, HEAD.pack(OPENING, 0, 0, 0, 0, 0), bytes((len(codec),)), codec, boxes.opening(format_, 0))


def media(number: int, placed: Placed, wall_us: int, key: bool, data: bytes) -> bytes:
    """One frame."""
    sample = boxes.Sample(placed.duration, len(data), key, placed.composition)
    head = HEAD.pack(MEDIA, KEY if key else 0, 0, placed.duration, wall_us, max(0, placed.shown))
    return frame(2, head, boxes.fragment(number & 0xFFFFFFFF, placed.decode, [sample]), data)


def text(**told: Any) -> bytes:
    """A text message: one JSON object."""
    return frame(1, msgspec.json.encode(told, enc_hook=str))
