"""The process in which streams are masked and pictures made: messages on standard input and on standard output.

A process of its own, so that decoding what a camera sends, which is other people's data in other people's code, can
take no web process down and holds no event loop up. It has no secrets, no database, and no files.

One that makes single pictures masks no streams: what spends more than its share of CPU on one ends the process.

Message: length of what follows (4 bytes, big endian), MessagePack of `[kind, stream, body]`.
"""

import os
import resource
import struct
import sys
from collections.abc import Iterable
from typing import Any, BinaryIO, Final, Literal

import msgspec

from koinon.base.errors import Invalid
from koinon.video.masks.still import Draft, draw, masked_format
from koinon.video.masks.transcode import BIT_RATE, Coded, Span, Transcoder
from koinon.video.recorder.nal import Format

Kind = Literal[
    "open", "mask", "format", "frame", "finish", "close", "taken", "done", "failed", "draw", "size", "picture"
]
LENGTH: Final = struct.Struct(">I")
LARGEST: Final = 16 << 20
# Address space: a picture that claims to be enormous fails here and not on the machine.
STREAM_MEMORY: Final = 4 << 30
PICTURE_MEMORY: Final = 2 << 30
PICTURE_CPU_SECONDS: Final = 5
"""Of CPU for one picture; a key frame of 2160 lines takes a tenth of one."""


class Opening(msgspec.Struct, frozen=True):
    """What a stream begins with. `mark`: the words in every picture, none where it is empty. `shown`: only pictures
    from the one moment up to the other are (Unix microseconds); all are decoded.
    """

    spans: tuple[Span, ...]
    lines: int
    frames_a_second: int
    bit_rate: int = BIT_RATE
    mark: str = ""
    shown: tuple[int, int] | None = None


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
        "open": Opening, "mask": tuple[Span, ...], "format": Format, "frame": Coded, "failed": str, "draw": Draft,
        "size": tuple[int, int], "picture": bytes,
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
            streams[stream] = Transcoder(
                body.spans, lines=body.lines, frames_a_second=body.frames_a_second, bit_rate=body.bit_rate,
                mark=body.mark, shown=body.shown,
            )  # fmt: skip
            continue
        if kind in ("draw", "size"):
            told.write(_answer(stream, body))
            told.flush()
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


def _answer(number: int, asked: Draft | tuple[int, int]) -> bytes:
    """The picture that was asked for, or how masked frames of that size are decoded."""
    try:
        _allow_cpu(PICTURE_CPU_SECONDS)
        if isinstance(asked, Draft):
            return pack("picture", number, draw(asked))
        return pack("format", number, masked_format(*asked))
    except Invalid as error:
        return pack("failed", number, str(error.facts.get("why", error.code))[:300])
    except Exception as error:
        return pack("failed", number, type(error).__name__)


def _allow_cpu(seconds: int) -> None:
    """The system ends the process (SIGXCPU) when it has used so many seconds of CPU more than now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main(memory: int = STREAM_MEMORY) -> None:
    """Streams are masked, pictures made, until standard input ends. `memory`: bytes of address space."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold pictures
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    os.nice(5)  # recording goes first
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)  # what a library prints is no message
    serve(sys.stdin.buffer, out)
