"""A mark in the pixels: to whom a picture was given, and when it was taken. For what leaves as a file.

A band at the foot holds the words and the moment of this picture; the words stand once more, faint, across the
picture, so that they stay when the band is cut off.
"""

from __future__ import annotations

import struct
import unicodedata
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from koinon.base.clock import BRUSSELS
from koinon.base.late import late

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Alpha = NDArray[np.float32]
else:
    np = late("numpy")

LINES_A_LETTER: Final = 36
"""A letter is as high as the picture, divided by this: 20 pixels of 720."""
_LEAST: Final = 10  # pixels: what is smaller cannot be read after coding
_FAINT: Final = 22.0  # of 255: seen by who looks for it, in the way of nobody
_WHITE: Final = 235


class Letters:
    """Pictures of letters, all equally wide: of Latin script, made once from DejaVu Sans Mono Bold (a free font).

    In the file: width, height and the length of a list of letters, that list, and four bits of grey a pixel, deflated.
    """

    def __init__(self, height: int) -> None:
        data = (files("koinon.video.masks") / "letters.bin").read_bytes()
        wide, high, length = struct.unpack_from(">HHH", data)
        self._known = {letter: at for at, letter in enumerate(data[6 : 6 + length].decode())}
        packed = np.frombuffer(zlib.decompress(data[6 + length :]), np.uint8)
        grey = np.stack([packed >> 4, packed & 15], -1).reshape(len(self._known), high, wide)
        self.height = height
        self.width = max(1, round(wide * height / high))
        self._alpha: Alpha = _resize(grey.astype(np.float32) / np.float32(15), height, self.width)

    def write(self, text: str) -> Alpha:
        """The text as one line: how much of each pixel is letter, 0 to 1, (height, width a letter times letters)."""
        found = [self._alpha[self._place(letter)] for letter in text]
        return np.concatenate(found, 1) if found else np.zeros((self.height, 0), np.float32)

    def _place(self, letter: str) -> int:
        if letter in self._known:
            return self._known[letter]
        bare = unicodedata.normalize("NFKD", letter)[:1]
        return self._known.get(bare, self._known["?"])


class Mark:
    """The mark for pictures of `width` by `height` pixels, both even."""

    def __init__(self, text: str, width: int, height: int) -> None:
        size = max(_LEAST, height // LINES_A_LETTER)
        self._letters = Letters(size)
        self._margin = size // 3
        room = max(8, (width - 2 * self._margin) // self._letters.width)
        lines = [text[at : at + room] for at in range(0, len(text), room)][:3] or [""]
        step = size + self._margin
        # Whole pixels of the colour planes, which have half the resolution.
        self.band = min(height, ((len(lines) + 1) * step + self._margin + 1) // 2 * 2)
        self._words = np.zeros((self.band, width), np.float32)
        for index, line in enumerate(lines):
            self._put(self._words, self._letters.write(line), self._margin + index * step)
        self._moment_at = self._margin + len(lines) * step
        self._faint = np.zeros((size, width), np.float32)
        self._put(self._faint, self._letters.write(lines[0]), 0, centred=True)
        self._faint *= _FAINT
        self._faint_at = max(0, min(height - self.band - size, height // 3))
        self._second: tuple[int, str, str] = (-1, "", "")

    def apply(self, planes: Sequence[Plane], wall_us: int) -> None:
        """The mark is in the planes (Y, U, V; the latter two of half the size); `wall_us`: when it was taken."""
        light = planes[0]
        words = self._words.copy()
        self._put(words, self._letters.write(self._tell(wall_us)), self._moment_at)
        foot = light[-self.band :].astype(np.float32) * 0.3
        light[-self.band :] = (foot * (1 - words) + _WHITE * words).astype(np.uint8)
        for colour in planes[1:]:
            foot = colour[-(self.band // 2) :].astype(np.float32)
            colour[-(self.band // 2) :] = (128 + (foot - 128) * 0.3).astype(np.uint8)
        rows = light[self._faint_at : self._faint_at + len(self._faint)]
        # Lighter on dark, darker on light: never lost in what lies under it.
        sign = np.where(rows > 128, -1.0, 1.0)
        rows[:] = np.clip(rows + sign * self._faint[: len(rows)], 0, 255).astype(np.uint8)

    def _tell(self, wall_us: int) -> str:
        """As `2026-11-24 10:00:00.040 +01:00`: Brussels, with its offset."""
        second, rest = divmod(wall_us, 1_000_000)
        if self._second[0] != second:
            at = datetime.fromtimestamp(second, UTC).astimezone(BRUSSELS)
            offset = f"{at:%z}"
            self._second = (second, f"{at:%Y-%m-%d %H:%M:%S}", f"{offset[:3]}:{offset[3:]}")
        return f"{self._second[1]}.{rest // 1000:03d} {self._second[2]}"

    def _put(self, onto: Alpha, line: Alpha, top: int, *, centred: bool = False) -> None:
        left = max(0, (onto.shape[1] - line.shape[1]) // 2) if centred else self._margin
        part = onto[top : top + line.shape[0], left : left + line.shape[1]]
        part[:] = line[: part.shape[0], : part.shape[1]]


def _resize(grey: Alpha, height: int, width: int) -> Alpha:
    """Each letter in another size: the average of what lies under a pixel, or the nearest where it grows."""
    for axis, size in ((1, height), (2, width)):
        there = grey.shape[axis]
        if size >= there:
            grey = grey.take(np.arange(size) * there // size, axis)
        else:
            edges = np.arange(size) * there // size
            counts = np.diff(edges, append=there).astype(np.float32)
            shape = [1, 1, 1]
            shape[axis] = size
            grey = np.add.reduceat(grey, edges, axis) / counts.reshape(shape)
    return grey
