"""Streams of `POST /api/communications`: JSON lines that only their last line makes an answer.

A head, one line for each dossier, and a last line: a JWS over the number of rows and the SHA-256 of all lines
before it, the head with the request's signature among them. Whatever ends without it was cut or lost.
"""

import hashlib
from collections.abc import Mapping
from uuid import UUID

import msgspec

from koinon.base.crypto import parse_jws
from koinon.base.errors import KoinonError
from koinon.client.errors import StreamCut, Untrusted
from koinon.client.model import FieldAnswer
from koinon.client.pins import Pins

MAX_LINE_BYTES = 1 << 20


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One dossier. `entry` is the ledger entry of the piece of the stream that it came in."""

    subject: str
    answer: Mapping[str, FieldAnswer]
    entry: UUID | None = None


class _Head(msgspec.Struct):
    exchange: UUID
    request: str


class _End(msgspec.Struct):
    rows: int
    sha256: str
    exchange: UUID


class _Line(msgspec.Struct):
    subject: str | None = None
    answer: Mapping[str, FieldAnswer] | None = None
    entry: UUID | None = None
    end: str | None = None


class StreamReader:
    """Reads one stream, whatever pieces it comes in."""

    def __init__(self, request_signature: bytes, pins: Pins) -> None:
        self._request = request_signature.hex()
        self._pins = pins
        self._head: _Head | None = None
        self._rest = b""
        self._rows = 0
        self._ended = False
        self._whole = hashlib.sha256()

    def feed(self, data: bytes) -> list[Row]:
        """The rows that are complete with `data`; believe them when `finish` has returned.

        Raises:
            Untrusted: `stream_malformed`, `answer_to_another_question`, `stream_altered`, or what does not hold
                about the last line's signature.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise Untrusted("stream_malformed")
        found = [self._take(line) for line in lines]
        return [row for row in found if row is not None]

    def finish(self) -> None:
        """Returns only if all rows were given, as the platform signed them.

        Raises:
            StreamCut: `stream_cut`, with the fact `rows`.
        """
        if not self._ended or self._rest:
            raise StreamCut("stream_cut", rows=self._rows)

    def _take(self, data: bytes) -> Row | None:
        if self._ended:
            raise Untrusted("stream_malformed")
        try:
            if self._head is None:
                self._head = msgspec.json.decode(data, type=_Head)
                if self._head.request != self._request:
                    raise Untrusted("answer_to_another_question")
                self._whole.update(data + b"\n")
                return None
            line = msgspec.json.decode(data, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Untrusted("stream_malformed") from None
        if line.end is not None:
            self._end(line.end, self._head)
            return None
        if line.subject is None or line.answer is None:
            raise Untrusted("stream_malformed")
        self._whole.update(data + b"\n")
        self._rows += 1
        return Row(subject=line.subject, answer=line.answer, entry=line.entry)

    def _end(self, token: str, head: _Head) -> None:
        try:
            jws = parse_jws(token)
            end = msgspec.json.decode(jws.verify(self._pins.find(jws.key_id)), type=_End)
        except Untrusted:
            raise
        except KoinonError as error:
            raise Untrusted(error.code) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Untrusted("stream_malformed") from None
        if (end.rows, end.sha256, end.exchange) != (self._rows, self._whole.hexdigest(), head.exchange):
            raise Untrusted("stream_altered")
        self._ended = True
