"""Which bytes of something an HTTP request asks for: one range, and only of what the asker already has a part of.

Source: RFC 9110 sections 8.8.3 (strong entity tags), 13.1.5 (If-Range), 14 (ranges).
"""

import re
from typing import NamedTuple

from koinon.base.errors import RangeNotSatisfiable

_ONE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


class Piece(NamedTuple):
    """The bytes from `start` up to and not including `end`, of `size`; `whole` when no range was asked for."""

    start: int
    end: int
    size: int
    whole: bool

    @property
    def status(self) -> int:
        """200 or 206."""
        return 200 if self.whole else 206

    def headers(self, tag: str) -> dict[str, str]:
        """The header fields of the answer, `tag` being the strong entity tag of the whole, quotes included."""
        told = {"ETag": tag, "Accept-Ranges": "bytes", "Content-Length": str(self.end - self.start)}
        if not self.whole:
            told["Content-Range"] = f"bytes {self.start}-{self.end - 1}/{self.size}"
        return told


def find_piece(asked: str | None, condition: str | None, tag: str, size: int) -> Piece:
    """What to send, given the fields `Range` (`asked`) and `If-Range` (`condition`).

    The whole is sent where the range is of another unit, malformed, or of several parts (section 14.2 lets a server
    ignore it), and where what the asker has a part of is not what is here: a date or a weak tag never is.

    Raises:
        RangeNotSatisfiable: the range begins behind the end.
    """
    whole = Piece(0, size, size, True)
    if asked is None or (condition is not None and condition.strip() != tag):
        return whole
    found = _ONE.fullmatch(asked)
    if found is None or not (found[1] or found[2]):
        return whole
    if not found[1]:  # the last so many bytes
        length = int(found[2])
        if not length or not size:
            raise RangeNotSatisfiable("range_not_satisfiable", size=size)
        return Piece(max(0, size - length), size, size, False)
    start = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < start:
        return whole
    if start >= size:
        raise RangeNotSatisfiable("range_not_satisfiable", size=size)
    return Piece(start, min(last + 1, size), size, False)
