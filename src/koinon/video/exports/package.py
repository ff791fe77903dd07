"""What a package is, byte for byte: a ZIP without compression, every offset of which is known before any of it is read.

So a download that broke is taken up where it broke, and nothing before that place is read again.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 (heads), 4.3.12 (directory), 4.3.14 to 4.3.16 (its end), 4.5.3 (ZIP64).
"""

import hashlib
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from koinon.video.exports.model import ExportFile

_LARGE: Final = 0xFFFFFFFF
_MANY: Final = 0xFFFF
_HEAD: Final = struct.Struct("<4s5H3I2H")
_LISTED: Final = struct.Struct("<4s6H3I5H2I")
_UTF8: Final = 0x800
_MODE: Final = 0o600 << 16  # of what is unpacked, as Unix has it


class Stretch(NamedTuple):
    """Bytes of one kind that follow each other: `data` itself, or those of `file` from `start` up to `end`."""

    data: bytes
    file: ExportFile | None = None
    start: int = 0
    end: int = 0


class Package:
    """The package of these papers and files, in that order.

    Attributes:
        size: in bytes.
        tag: a strong entity tag (RFC 9110 section 8.8.3): it covers the papers, the name and length of each file and
            its checksum; the manifest among the papers holds the SHA-256 of each.
    """

    def __init__(
        self, papers: Sequence[tuple[str, bytes]], files: Sequence[ExportFile], at: datetime
    ) -> None:
        self._parts: list[tuple[int, bytes | ExportFile]] = []
        self.size = 0
        stamp = (
            at.hour << 11 | at.minute << 5 | at.second // 2,
            (max(at.year, 1980) - 1980) << 9 | at.month << 5 | at.day,
        )
        listed = []
        digest = hashlib.sha256()
        entries: list[tuple[str, bytes | ExportFile]] = [*papers, *((each.name, each) for each in files)]
        for name, content in entries:
            length = len(content) if isinstance(content, bytes) else content.bytes
            check = zlib.crc32(content) if isinstance(content, bytes) else content.crc32
            assert check is not None  # `Shelf.checked`
            head, line = _entry(name.encode(), length, check, self.size, stamp)
            listed.append(line)
            self._add(head)
            self._add(content)
            digest.update(head)
            digest.update(content if isinstance(content, bytes) else content.sha256)
        directory = b"".join(listed)
        self._add(directory + _end(len(listed), len(directory), self.size))
        self.tag = f'"{digest.hexdigest()}"'

    def cut(self, start: int, end: int) -> Iterator[Stretch]:
        """The stretches of which the bytes from `start` up to `end` are made."""
        at = max(0, bisect_right(self._parts, start, key=lambda part: part[0]) - 1)
        for begin, content in self._parts[at:]:
            if begin >= end:
                return
            length = len(content) if isinstance(content, bytes) else content.bytes
            first, last = max(0, start - begin), min(length, end - begin)
            if first >= last:
                continue
            if isinstance(content, bytes):
                yield Stretch(content[first:last])
            else:
                yield Stretch(b"", content, first, last)

    def _add(self, content: bytes | ExportFile) -> None:
        self._parts.append((self.size, content))
        self.size += len(content) if isinstance(content, bytes) else content.bytes


def _entry(name: bytes, length: int, check: int, offset: int, stamp: tuple[int, int]) -> tuple[bytes, bytes]:
    """The head of a file, and its line in the directory."""
    wide = [length, length] if length >= _LARGE else []
    version = 45 if wide or offset >= _LARGE else 20
    shown = min(length, _LARGE)
    extra = _zip64(wide)
    head = _HEAD.pack(
        b"PK\3\4", 45 if wide else 20, _UTF8, 0, *stamp, check, shown, shown, len(name), len(extra)
    )
    more = _zip64([*wide, *([offset] if offset >= _LARGE else [])])
    line = _LISTED.pack(
        b"PK\1\2", 3 << 8 | version, version, _UTF8, 0, *stamp, check, shown, shown, len(name), len(more), 0, 0, 0,
        _MODE, min(offset, _LARGE),
    )  # fmt: skip
    return head + name + extra, line + name + more


def _zip64(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""


def _end(count: int, length: int, offset: int) -> bytes:
    found = b""
    if count >= _MANY or length >= _LARGE or offset >= _LARGE:
        found += struct.pack(
            "<4sQ2H2I4Q", b"PK\6\6", 44, 3 << 8 | 45, 45, 0, 0, count, count, length, offset
        ) + struct.pack("<4sIQI", b"PK\6\7", 0, offset + length, 1)
    return found + struct.pack(
        "<4s4H2IH",
        b"PK\5\6",
        0,
        0,
        min(count, _MANY),
        min(count, _MANY),
        min(length, _LARGE),
        min(offset, _LARGE),
        0,
    )
