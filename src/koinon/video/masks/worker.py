"""The process in which streams are masked: messages on standard input, masked frames on standard output.

A process of its own, so that decoding what a camera sends, which is other people's data in other people's code, can
take no web process down and holds no event loop up. It has no secrets, no database, and no files.

Message: length of what follows (4 bytes, big endian), MessagePack of `[kind, stream, body]`.
"""

import os
import resource
import struct
import sys
from collections.abc import Iterable
from typing import Any, BinaryIO, Final, Literal

import msgspec

from koinon.video.masks.transcode import Coded, Span, Transcoder
from koinon.video.recorder.nal import Format

Kind = Literal["open", "mask", "format", "frame", "finish", "close", "taken", "done", "failed"]
LENGTH: Final = struct.Struct(">I")
LARGEST: Final = 16 << 20
_MEMORY: Final = (
    4 << 30
)  # address space: a picture that claims to be enormous fails here and not on the machine


class Opening(msgspec.Struct, frozen=True):
    """What a stream begins with."""

    spans: tuple[Span, ...]
    lines: int
    frames_a_second: int


class _Head(msgspec.Struct, frozen=True, array_like=True):
    kind: Kind
    stream: int
    body: msgspec.Raw = msgspec.Raw(b"\xc0")


_encode: Final = msgspec.msgpack.Encoder().encode
_heads: Final = msgspec.msgpack.Decoder(_Head)


def pack(kind: Kind, stream: int, body: Any = None) -> bytes:
    """A message."""
    data = _encode([kind, stream, body])
    return LENGTH.pack(len(data)) + data


def unpack(data: bytes) -> tuple[Kind, int, Any]:
    """What a message says."""
    head = _heads.decode(data)
    bodies: dict[str, Any] = {
        "open": Opening, "mask": tuple[Span, ...], "format": Format, "frame": Coded, "failed": str,
    }  # fmt: skip
    wanted = bodies.get(head.kind)
    return head.kind, head.stream, msgspec.msgpack.decode(head.body, type=wanted) if wanted else None


def serve(given: BinaryIO, told: BinaryIO) -> None:
    """Streams are masked until `given` ends."""
    streams: dict[int, Transcoder] = {}
    while len(head := given.read(4)) == 4:
        (length,) = LENGTH.unpack(head)
        kind, stream, body = unpack(given.read(length))
        if kind == "open":
            streams[stream] = Transcoder(body.spans, lines=body.lines, frames_a_second=body.frames_a_second)
            continue
        transcoder = streams.get(stream)
        if transcoder is None:
            continue  # it failed, or was closed: nothing of it is shown
        try:
            made: Iterable[Format | Coded] = ()
            if kind == "mask":
                transcoder.mask(body)
            elif kind == "format":
                transcoder.open(body)
            elif kind == "frame":
                made = transcoder.feed(body)
            elif kind == "finish":
                made = transcoder.finish()
            elif kind == "close":
                del streams[stream]
            for each in made:
                told.write(pack("frame" if isinstance(each, Coded) else "format", stream, each))
            if kind == "frame":
                told.write(pack("taken", stream))
            elif kind == "finish":
                told.write(pack("done", stream))
        except Exception as error:
            # A stream that cannot be masked ends. It is never shown as it is.
            del streams[stream]
            told.write(pack("failed", stream, f"{type(error).__name__}: {error}"[:300]))
        told.flush()


def main() -> None:
    """Streams are masked until standard input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold pictures
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.nice(5)  # recording goes first
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)  # what a library prints is no message
    serve(sys.stdin.buffer, out)
