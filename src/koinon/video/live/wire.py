"""The wire between a recorder's tap and a web process: messages after their length, proofs of one key.

    length (4 bytes, of what follows) · kind (1) · stream (4) · body

Both ends prove that they hold the key of the installation before anything else is said, over a Unix socket as over
TCP. Over TCP what follows is neither encrypted nor signed: it belongs on a network of the platform's own, or in a
tunnel.

Source: HMAC, RFC 2104; keys are compared in constant time.
"""

import enum
import hashlib
import hmac
import secrets
import struct
from pathlib import Path
from typing import Final, NamedTuple

from koinon.base.errors import Invalid
from koinon.base.files import create_file

KEY_FILE: Final = "tap.key"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 32
LARGEST_MESSAGE: Final = 16 << 20
"""Bytes. The recorder takes no frame above 8 MiB."""

HEAD: Final = struct.Struct(">IBI")
FRAME: Final = struct.Struct(">BIQI")
PREAMBLE: Final = struct.Struct(">IBIBIQI")  # HEAD and FRAME in one, as they are written


class Kind(enum.IntEnum):
    """What a message is."""

    HELLO = 1  # of the tap: its nonce
    PROOF = 2  # of the web process: its nonce, and its proof over both
    WELCOME = 3  # of the tap: its proof
    SUBSCRIBE = 4
    UNSUBSCRIBE = 5
    FORMAT = 6  # how the frames from the next on are decoded (MessagePack of `recorder.nal.Format`)
    FRAME = 7  # `FRAME` and the NALs, each after its length in four bytes
    AWAY = 8  # no frames come now; the reason in ASCII
    GONE = 9  # this recorder serves the stream no more; who does is to be asked again


class Flag(enum.IntFlag):
    """What is said of a frame."""

    KEY = 1
    LEADING = 2
    CACHED = 4  # from before the subscription: of the GOP that was going on


class FrameHead(NamedTuple):
    """What comes before the bytes of a frame: RTP timestamp, when it arrived (Unix microseconds), and how many
    frames the tap left out just before it, because this connection did not keep up.
    """

    flags: int
    stamp: int
    wall_us: int
    left_out: int


def message(kind: Kind, stream: int, body: bytes = b"") -> bytes:
    """A message, with its length before it."""
    return HEAD.pack(5 + len(body), kind, stream) + body


def prove(key: bytes, who: bytes, theirs: bytes, ours: bytes) -> bytes:
    """The proof that `who` (`tap` or `web`) holds the key, over the nonces of both."""
    return hmac.digest(key, b"koinon tap 1 " + who + b"\0" + theirs + ours, hashlib.sha256)


def proves(key: bytes, who: bytes, theirs: bytes, ours: bytes, proof: bytes) -> bool:
    """Whether `proof` is what `prove` gives."""
    return hmac.compare_digest(prove(key, who, theirs, ours), proof)


def tap_key(home: Path) -> bytes:
    """The key that taps and web processes of this installation share; made at the first use, under `home/keys`.

    Raises:
        Invalid: `tap_key_malformed`.
    """
    path = home / "keys" / KEY_FILE
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_file(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")  # or another process was first
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        raise Invalid("tap_key_malformed", path=str(path)) from None
    if len(key) != KEY_BYTES:
        raise Invalid("tap_key_malformed", path=str(path))
    return key


class Reassembly:
    """Bytes as they come become messages.

    Raises:
        Invalid: `tap_message_malformed`, from `feed`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = HEAD.size  # for the next message to be whole

    def feed(self, data: bytes) -> list[tuple[int, int, memoryview]]:
        """The messages that are whole now: kind, stream, body. A body is good until the next call."""
        self._buffer += data
        if len(self._buffer) < self._needed:
            return []
        # A copy that the bodies look into: the buffer may not be cut while somebody looks at it.
        view, at, size = memoryview(bytes(self._buffer)), 0, len(self._buffer)
        found: list[tuple[int, int, memoryview]] = []
        self._needed = HEAD.size
        while size - at >= HEAD.size:
            length, kind, stream = HEAD.unpack_from(view, at)
            if not 5 <= length <= LARGEST_MESSAGE:
                raise Invalid("tap_message_malformed", length=length)
            end = at + 4 + length
            if end > size:
                self._needed = end - at
                break
            found.append((kind, stream, view[at + HEAD.size : end]))
            at = end
        del self._buffer[:at]
        return found
