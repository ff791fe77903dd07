"""Pictures into RTP payloads: RFC 6184 (single NAL, STAP-A, FU-A) and RFC 7798 (single NAL, AP, FU)."""

from typing import Final

from koinon.demo.cameras.clip import Clip, Codec

LARGEST: Final = 1400


def payloads(codec: Codec, nals: tuple[bytes, ...], largest: int = LARGEST) -> list[bytes]:
    """The payloads that carry a picture; small NALs that stand side by side travel together."""
    out: list[bytes] = []
    small: list[bytes] = []
    for nal in nals:
        if len(nal) + 2 * len(small) + sum(map(len, small)) + 4 <= largest // 2:
            small.append(nal)
            continue
        out += _together(codec, small)
        small = []
        out += _apart(codec, nal, largest)
    return out + _together(codec, small)


def packetise(clip: Clip) -> list[list[bytes]]:
    """The payloads of every picture of the clip."""
    return [payloads(clip.codec, picture.nals) for picture in clip.pictures]


def _together(codec: Codec, nals: list[bytes]) -> list[bytes]:
    if len(nals) < 2:
        return nals
    body = b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)
    if codec == "h264":
        return [bytes((max(nal[0] & 0x60 for nal in nals) | 24,)) + body]
    return [bytes((48 << 1, 1)) + body]


def _apart(codec: Codec, nal: bytes, largest: int) -> list[bytes]:
    if len(nal) <= largest:
        return [nal]
    head = 1 if codec == "h264" else 2
    size = largest - head - 1
    pieces = [nal[at : at + size] for at in range(head, len(nal), size)]
    out = []
    for index, piece in enumerate(pieces):
        mark = (0x80 if index == 0 else 0) | (0x40 if index == len(pieces) - 1 else 0)
        if codec == "h264":
            out.append(bytes((nal[0] & 0xE0 | 28, mark | nal[0] & 31)) + piece)
        else:
            out.append(bytes((nal[0] & 0x81 | 49 << 1, nal[1], mark | nal[0] >> 1 & 63)) + piece)
    return out
