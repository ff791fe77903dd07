"""What a replayed packet says of its picture: when it was taken, and what lies between it and the next.

Source: ONVIF Streaming Specification 17.06, section 6 (the RTP header extension 0xABAC).
"""

from typing import Final, NamedTuple

from koinon.video.recorder.nal import Codec
from koinon.video.recorder.rtp import Depacketiser, H264Depacketiser, H265Depacketiser

_NTP: Final = 2_208_988_800  # seconds from 1900 to 1970
_EXTENSION: Final = 0xABAC
_MOST_HEADS: Final = 64


class Head(NamedTuple):
    """What the extension of a packet says of its picture.

    Attributes:
        unix: when it was taken, in seconds.
        gap_follows: E: the last one before a gap, or of all there is.
        jumped: D: what it follows was not sent right before it.
        last: T: nothing of what was asked follows.
    """

    unix: float
    gap_follows: bool = False
    jumped: bool = False
    last: bool = False


def read_head(data: bytes, start: int, end: int) -> Head | None:
    """The replay extension of the RTP packet at `data[start:end]`, or None where it has none."""
    if not data[start] & 0x10:
        return None
    at = start + 12 + 4 * (data[start] & 15)
    if at + 16 > end or data[at] << 8 | data[at + 1] != _EXTENSION or data[at + 2] << 8 | data[at + 3] < 3:
        return None
    seconds = int.from_bytes(data[at + 4 : at + 8], "big")
    fraction = int.from_bytes(data[at + 8 : at + 12], "big")
    flags = data[at + 12]
    return Head(seconds - _NTP + fraction / 2**32, bool(flags & 0x40), bool(flags & 0x20), bool(flags & 0x10))


class Headed(Depacketiser):
    """Notes what is said of each picture before its packets are put together."""

    heads: dict[int, Head]

    def push(self, data: bytes, start: int, end: int) -> None:
        if end - start > 12 and (head := read_head(data, start, end)) is not None:
            stamp = int.from_bytes(data[start + 4 : start + 8], "big")
            if stamp not in self.heads and len(self.heads) >= _MOST_HEADS:
                del self.heads[next(iter(self.heads))]  # of a picture that never became whole
            self.heads.setdefault(stamp, head)
        super().push(data, start, end)


class _H264(Headed, H264Depacketiser):
    pass


class _H265(Headed, H265Depacketiser):
    pass


DEPACKETISERS: Final[dict[Codec, type[Headed]]] = {"h264": _H264, "h265": _H265}
