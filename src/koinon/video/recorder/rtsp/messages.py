"""RTSP messages: responses read strictly, requests written (RFC 2326 sections 4 to 7)."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

LARGEST_HEAD: Final = 16 << 10
LARGEST_BODY: Final = 64 << 10

_STATUS: Final = re.compile(rb"RTSP/1\.\d (\d{3})(?: ([^\r\n]*))?")
_REQUEST: Final = re.compile(rb"([A-Z_]{3,20}) (\S{1,2048}) RTSP/1\.\d")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})[ \t]*:[ \t]*(.*)")


class Malformed(Exception):
    """What came is not RTSP."""


class Message(msgspec.Struct, frozen=True):
    """A response (`status`) or a request of the server (`method`).

    Attributes:
        headers: by lower-case name; all values of one that came more than once.
    """

    status: int
    reason: str
    method: str
    headers: Mapping[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return self.headers.get(name, [""])[0]


def write_request(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    """The request as it goes over the wire. No value may hold a line end."""
    lines = [f"{method} {url} RTSP/1.0", *(f"{name}: {value}" for name, value in headers.items())]
    assert not any("\r" in line or "\n" in line for line in lines)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_message(data: bytes, start: int) -> tuple[Message, int] | None:
    """The message that begins at `data[start]` and where it ends, or None while it is not all there.

    Raises:
        Malformed: it is none, or over the limits.
    """
    end = data.find(b"\r\n\r\n", start, start + LARGEST_HEAD)
    if end < 0:
        if len(data) - start >= LARGEST_HEAD:
            raise Malformed("head of a message too long")
        if data[start : start + 1] and not data[start : start + 1].isalpha():
            raise Malformed("neither a packet nor a message")
        return None
    first, *rest = data[start:end].split(b"\r\n")
    status, request = _STATUS.fullmatch(first), _REQUEST.fullmatch(first)
    if status is None and request is None:
        raise Malformed("neither a response nor a request")
    headers: dict[str, list[str]] = {}
    for line in rest:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise Malformed("malformed header")
        headers.setdefault(match[1].decode("ascii").lower(), []).append(match[2].decode("latin-1").strip())
    length = headers.get("content-length", ["0"])[0]
    if not length.isdecimal() or int(length) > LARGEST_BODY:
        raise Malformed("content length")
    body = end + 4
    if len(data) < body + int(length):
        return None
    message = Message(
        int(status[1]) if status else 0,
        (status[2] or b"").decode("latin-1")[:80] if status else "",
        request[1].decode("ascii") if request else "",
        headers,
        data[body : body + int(length)],
    )
    return message, body + int(length)
