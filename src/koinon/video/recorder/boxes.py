"""Boxes of fragmented MP4: what a unit begins with, one fragment, what it ends with, and reading them back.

Source: ISO/IEC 14496-12 (sections named at each box), ISO/IEC 14496-15 for the sample entries.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from koinon.video.recorder.model import TICKS, Unit
from koinon.video.recorder.nal import SETS, Format, kind

# Boxes of ours (section 11.1: `uuid`), JSON inside: who and when at the start, what became of it at the end.
OPENING: Final = bytes.fromhex("6b6f696e6f6e4d05a0017669646f0001")
CLOSING: Final = bytes.fromhex("6b6f696e6f6e4d05a0017669646f0002")

KEY: Final = 0x02000000  # depends on no other sample (section 8.8.3.1)
NOT_KEY: Final = 0x01010000  # depends on others; no sync sample

_EPOCH_1904: Final = 2_082_844_800  # seconds from 1904 to 1970 (section 8.2.2)
_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


class Sample(NamedTuple):
    """A frame in a fragment; durations and offset in ticks, the composition offset may be negative."""

    duration: int
    size: int
    key: bool
    composition: int = 0


def box(kind_: bytes, *parts: bytes) -> bytes:
    """A box (section 4.2)."""
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind_) + body


def uuid_box(extended: bytes, body: bytes) -> bytes:
    """A box of our own (section 11.1)."""
    return box(b"uuid", extended, body)


def opening(format_: Format, created: float | None = None) -> bytes:
    """`ftyp` and `moov` of a unit with one video track in `format_`; `created` in Unix seconds, None for no time."""
    seconds = 0 if created is None else int(created) + _EPOCH_1904
    stbl = box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), _sample_entry(format_)),
        _full(b"stts", 0, 0, bytes(4)),
        _full(b"stsc", 0, 0, bytes(4)),
        _full(b"stsz", 0, 0, bytes(8)),
        _full(b"stco", 0, 0, bytes(4)),
    )
    minf = box(
        b"minf",
        _full(b"vmhd", 0, 1, bytes(8)),
        box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1))),
        stbl,
    )
    mdia = box(
        b"mdia",
        _full(b"mdhd", 1, 0, struct.pack(">QQIQHH", seconds, seconds, TICKS, 0, 0x55C4, 0)),
        _full(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"camera\0"),
        minf,
    )
    size = struct.pack(">II", format_.width << 16, format_.height << 16)
    trak = box(
        b"trak",
        _full(b"tkhd", 1, 7, struct.pack(">QQIIQ", seconds, seconds, 1, 0, 0), bytes(16), _MATRIX, size),
        mdia,
    )
    header = struct.pack(">QQIQIH", seconds, seconds, TICKS, 0, 0x10000, 0x100)
    moov = box(
        b"moov",
        _full(b"mvhd", 1, 0, header, bytes(10), _MATRIX, bytes(24), struct.pack(">I", 2)),
        trak,
        box(b"mvex", _full(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, NOT_KEY))),
    )
    return box(b"ftyp", b"iso6", struct.pack(">I", 1), b"iso6", b"mp41") + moov


def fragment(number: int, base: int, samples: Sequence[Sample]) -> bytes:
    """`moof` and the header of `mdat` for these samples, whose bytes must follow.

    `base` is the decoding time of the first, in ticks from the start of the unit (sections 8.8.4 to 8.8.12).
    """
    count = len(samples)
    durations, sizes, keys, compositions = zip(*samples, strict=True)
    flags_of = [KEY if key else NOT_KEY for key in keys]
    if any(compositions):
        width, flags, version = 16, 0xF01, 1
        rows = zip(durations, sizes, flags_of, compositions, strict=True)
        run = struct.pack(">" + "IIIi" * count, *chain.from_iterable(rows))
    else:
        width, flags, version = 12, 0x701, 0
        run = struct.pack(
            f">{3 * count}I", *chain.from_iterable(zip(durations, sizes, flags_of, strict=True))
        )
    trun = 20 + width * count
    moof = 8 + 16 + 8 + 16 + 20 + trun
    return (
        struct.pack(">I4sI4sIII4s", moof, b"moof", 16, b"mfhd", 0, number, moof - 24, b"traf")
        + struct.pack(">I4sII", 16, b"tfhd", 0x20000, 1)
        + struct.pack(">I4sIQ", 20, b"tfdt", 1 << 24, base)
        + struct.pack(">I4sIIi", trun, b"trun", version << 24 | flags, count, moof + 8)
        + run
        + struct.pack(">I4s", sum(sizes) + 8, b"mdat")
    )


def closing(unit: Unit) -> bytes:
    """The box with which a unit ends: all that is known of it, but what a file cannot hold about itself."""
    names = [name for name in unit.__struct_fields__ if name not in ("path", "bytes", "sha256", "init")]
    return uuid_box(CLOSING, msgspec.json.encode({name: getattr(unit, name) for name in names}))


def without_times(head: bytes) -> bytes:
    """The `ftyp` and `moov` that `opening` made, as it makes them for no time."""
    clean = bytearray(head)
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        if (at := clean.find(name)) >= 0:
            clean[at + 8 : at + 24] = bytes(16)
    return bytes(clean)


class Box(NamedTuple):
    """A box of a file: its type, where it begins, how long it is, where its body begins."""

    kind: bytes
    offset: int
    size: int
    body: int


def read_boxes(file: BinaryIO, length: int) -> Iterator[Box]:
    """The whole boxes at the top of a file of `length` bytes; ends before the first that is cut or malformed."""
    offset = 0
    while offset + 8 <= length:
        file.seek(offset)
        head = file.read(16)
        size, kind_ = struct.unpack_from(">I4s", head)
        body = 8
        if size == 1 and len(head) == 16:
            size, body = struct.unpack_from(">Q", head, 8)[0], 16
        if size < body or offset + size > length or not kind_.isalnum():
            return
        yield Box(kind_, offset, size, offset + body)
        offset += size


def read_samples(moof: bytes) -> tuple[int, list[Sample]]:
    """Decoding time of the first sample, and the samples, of a `moof` that `fragment` made.

    Raises:
        ValueError: it is not such a box.
    """
    try:
        trun, base = moof.index(b"trun", 60) + 4, struct.unpack_from(">Q", moof, moof.index(b"tfdt") + 8)[0]
        flags, count, _ = struct.unpack_from(">IIi", moof, trun)
        form: Any = struct.Struct(">IIIi" if flags & 0x800 else ">III")
        if flags & 0xFFF not in (0x701, 0xF01):
            raise ValueError("flags of trun")
        rows = [form.unpack_from(moof, trun + 12 + form.size * index) for index in range(count)]
    except struct.error as error:
        raise ValueError(str(error)) from None
    return base, [Sample(row[0], row[1], row[2] == KEY, row[3] if len(row) > 3 else 0) for row in rows]


def _full(kind_: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind_, struct.pack(">I", version << 24 | flags), *parts)


def _sample_entry(format_: Format) -> bytes:
    """`avc1` or `hvc1`: the names that all players take. Parameter sets that the camera repeats in the stream
    stay there, bit by bit as they came; a set that differs begins a new unit, so this entry is always true.
    """
    visual = (
        bytes(6)
        + struct.pack(">H", 1)
        + bytes(16)
        + struct.pack(">HHIIIH", format_.width, format_.height, 0x480000, 0x480000, 0, 1)
        + bytes(32)
        + struct.pack(">Hh", 24, -1)
    )
    if format_.codec == "h264":
        return box(b"avc1", visual, box(b"avcC", _avc_configuration(format_)))
    return box(b"hvc1", visual, box(b"hvcC", _hevc_configuration(format_)))


def _avc_configuration(format_: Format) -> bytes:
    """ISO/IEC 14496-15 section 5.3.3.1."""
    groups = [[nal for nal in format_.sets if kind("h264", nal) == each] for each in SETS["h264"]]
    record = b"\x01" + format_.profile[:3] + b"\xff"
    for mark, group in zip((0xE0, 0), groups, strict=True):
        record += bytes((mark | len(group),)) + b"".join(struct.pack(">H", len(nal)) + nal for nal in group)
    return record + format_.profile[3:]


def _hevc_configuration(format_: Format) -> bytes:
    """ISO/IEC 14496-15 section 8.3.3.1."""
    # The record of nal.py holds, after the profile: segmentation, parallelism, chroma, depths, rates.
    record = b"\x01" + format_.profile + bytes((len(SETS["h265"]),))
    for each in SETS["h265"]:
        group = [nal for nal in format_.sets if kind("h265", nal) == each]
        record += struct.pack(">BH", 0x80 | each, len(group))
        record += b"".join(struct.pack(">H", len(nal)) + nal for nal in group)
    return record
