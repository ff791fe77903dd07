"""NAL units of H.264 and H.265: what the recorder must know of them, and no more.

Source: ITU-T H.264 (08/2021) sections 7.3.1, 7.3.2.1, 7.4.1; ITU-T H.265 (08/2021) sections 7.3.1, 7.3.2.2,
7.3.3, 7.4.2.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from koinon.base.errors import Invalid

Codec = Literal["h264", "h265"]

LARGEST_SET: Final = 4096
"""Bytes; a parameter set of a camera has some tens."""

# nal_unit_type by codec: parameter sets, in the order in which a sample entry lists them.
SETS: Final[dict[Codec, tuple[int, ...]]] = {"h264": (7, 8), "h265": (32, 33, 34)}
_SPS: Final[dict[Codec, int]] = {"h264": 7, "h265": 33}

_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def kind(codec: Codec, nal: bytes) -> int:
    """`nal_unit_type` of a NAL that is not empty."""
    return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63


def read_nals(data: bytes) -> Iterator[bytes]:
    """The NALs that `data` holds, each after its length in four bytes; ends before one that is cut."""
    at = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 4 + size > len(data):
            return
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


class Format(msgspec.Struct, frozen=True):
    """How a stream is to be decoded: codec, parameter sets, and what they say.

    Attributes:
        sets: the parameter sets, by type and then as they came.
        codec_string: RFC 6381 section 3.3, ISO/IEC 14496-15 annex E.
        profile: bytes of the decoder configuration record that the SPS gives.
    """

    codec: Codec
    sets: tuple[bytes, ...]
    width: int
    height: int
    codec_string: str
    profile: bytes


def read_format(codec: Codec, nals: Iterable[bytes]) -> Format:
    """The format that these parameter sets describe; other NALs among them are left out.

    Raises:
        Invalid: `invalid_parameter_sets`: one is missing, too large or malformed.
    """
    found: dict[int, list[bytes]] = {each: [] for each in SETS[codec]}
    for nal in nals:
        if nal and (group := found.get(kind(codec, nal))) is not None and nal not in group:
            if len(nal) > LARGEST_SET:
                raise Invalid("invalid_parameter_sets", why="too large")
            group.append(nal)
    if not all(found.values()) or any(len(group) > 16 for group in found.values()):
        raise Invalid("invalid_parameter_sets", why="one is missing, or more than 16 of a kind")
    sps = found[_SPS[codec]][0]
    try:
        width, height, profile, text = _h264_sps(sps) if codec == "h264" else _h265_sps(sps)
    except IndexError:
        raise Invalid("invalid_parameter_sets", why="SPS too short") from None
    if not (16 <= width <= 16384 and 16 <= height <= 16384):
        raise Invalid("invalid_parameter_sets", why="picture size", width=width, height=height)
    sets = tuple(nal for each in SETS[codec] for nal in found[each])
    return Format(codec, sets, width, height, text, profile)


def merge_sets(codec: Codec, current: Iterable[bytes], fresh: Iterable[bytes]) -> list[bytes]:
    """The parameter sets in force after `fresh` came: each replaces the one of its kind and number."""
    merged = {_number(codec, nal): nal for nal in current}
    for nal in fresh:
        if len(nal) > 4:
            merged[_number(codec, nal)] = nal
    return list(merged.values())


def _number(codec: Codec, nal: bytes) -> tuple[int, int]:
    """Kind and identifier of a parameter set. The SPS of H.265 has its identifier deep inside; a camera has one."""
    each = kind(codec, nal)
    try:
        if each in (7, 8) and codec == "h264":
            return each, _Bits(nal[4:8] if each == 7 else nal[1:5]).ue()
        if each == 34:
            return each, _Bits(nal[2:6]).ue()
    except (IndexError, Invalid):
        pass
    return each, 0


class _Bits:
    """Bits of an RBSP. Past the end: IndexError."""

    def __init__(self, payload: bytes) -> None:
        # Emulation prevention (H.264 section 7.3.1): 00 00 03 stands for 00 00.
        clean, zeros = bytearray(), 0
        for byte in payload:
            if zeros >= 2 and byte == 3:
                zeros = 0
                continue
            zeros = zeros + 1 if byte == 0 else 0
            clean.append(byte)
        self._bytes = bytes(clean)
        self._at = 0

    def u(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._bytes[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def ue(self) -> int:
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
            if zeros > 31:
                raise Invalid("invalid_parameter_sets", why="Exp-Golomb code")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _h264_sps(nal: bytes) -> tuple[int, int, bytes, str]:
    bits = _Bits(nal[1:])
    profile, _, _ = bits.u(8), bits.u(8), bits.u(8)
    bits.ue()
    chroma, planes, record = 1, 0, nal[1:4]
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            planes = bits.u(1)
        luma, colour = bits.ue(), bits.ue()
        bits.u(1)
        # The end of AVCDecoderConfigurationRecord: ISO/IEC 14496-15 section 5.3.3.1.
        record += bytes((0xFC | chroma & 3, 0xF8 | luma & 7, 0xF8 | colour & 7, 0))
        if bits.u(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1), bits.se(), bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()
    bits.ue(), bits.u(1)
    width, height = (bits.ue() + 1) * 16, (bits.ue() + 1) * 16
    frames_only = bits.u(1)
    height *= 2 - frames_only
    if not frames_only:
        bits.u(1)
    bits.u(1)
    if bits.u(1):  # cropping, in units of section 7.4.2.1.1
        across = 2 if chroma in (1, 2) and not planes else 1
        down = (2 if chroma == 1 and not planes else 1) * (2 - frames_only)
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= across * (left + right)
        height -= down * (top + bottom)
    return width, height, record, f"avc1.{nal[1:4].hex()}"


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se() + 256) % 256
        last = following or last


def _h265_sps(nal: bytes) -> tuple[int, int, bytes, str]:
    bits = _Bits(nal[2:])
    bits.u(4)
    layers, nested = bits.u(3), bits.u(1)
    general = bytes(bits.u(8) for _ in range(12))
    present = [(bits.u(1), bits.u(1)) for _ in range(layers)]
    if layers:
        bits.u(2 * (8 - layers))
    for profile, level in present:
        bits.u(88 * profile + 8 * level)
    bits.ue()
    chroma = bits.ue()
    if chroma == 3:
        bits.u(1)
    width, height = bits.ue(), bits.ue()
    if bits.u(1):  # conformance window, in units of table 6-1
        across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= across * (left + right)
        height -= down * (top + bottom)
    luma, colour = bits.ue(), bits.ue()
    # The part of HEVCDecoderConfigurationRecord that the SPS gives: ISO/IEC 14496-15 section 8.3.3.1.
    record = general + bytes(
        (0xF0, 0, 0xFC, 0xFC | chroma & 3, 0xF8 | luma & 7, 0xF8 | colour & 7, 0, 0)
    ) + bytes(((layers + 1) << 3 | nested << 2 | 3,))  # fmt: skip
    compatible = int(f"{int.from_bytes(general[1:5], 'big'):032b}"[::-1], 2)
    space = ("", "A", "B", "C")[general[0] >> 6]
    tier = "H" if general[0] & 0x20 else "L"
    constraints = "".join(f".{each:X}" for each in general[5:11].rstrip(b"\0"))
    text = f"hvc1.{space}{general[0] & 31}.{compatible:X}.{tier}{general[11]}{constraints}"
    return width, height, record, text
