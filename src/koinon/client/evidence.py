"""A question and its answer as they went over the wire, kept so that others can check who said what."""

from datetime import datetime
from typing import Self

import msgspec

from koinon.base.crypto import VerifyKey
from koinon.base.errors import Invalid
from koinon.base.http_signatures import parse_request, parse_response

Fields = list[tuple[str, str]]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One signed exchange. It holds what was asked about whom: keep it as the answer itself is kept.

    Bytes are base64 in its JSON. `headers` are those that signatures cover, and the signatures.
    """

    method: str
    authority: str
    path: str
    query: str
    headers: Fields
    body: bytes
    asked_at: datetime
    status: int
    answer_headers: Fields
    answer_body: bytes
    answered_at: datetime

    def verify(self, asker: VerifyKey, platform: VerifyKey) -> None:
        """Returns only if `asker` signed the question and `platform` this answer to it.

        Raises:
            NotIdentified, Invalid: as in `koinon.base.http_signatures`.
        """
        question = parse_request(
            _bytes(self.headers),
            self.method,
            self.authority,
            self.path.encode("ascii"),
            self.query.encode("ascii"),
            self.body,
            self.asked_at,
        )
        question.verify(asker)
        answer = parse_response(
            _bytes(self.answer_headers), self.status, self.answer_body, question.signature
        )
        answer.verify(platform)

    def to_json(self) -> bytes:
        """For a file or another party."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """What `to_json` wrote. Raises `Invalid: evidence_malformed`."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Invalid("evidence_malformed") from None


def _bytes(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
