"""The signed API of deferred mode: `/api/batches`. Raw ASGI, like the exchange route; nothing here decides.

    POST /api/batches                          a batch is announced (again: the same one)
    GET  /api/batches                          the consumer's own, newest first
    GET  /api/batches/<id>                     how it stands
    PUT  /api/batches/<id>/pieces/<offset>     a piece of its file: `application/octet-stream`, 4 MiB save the last
    GET  /api/batches/<id>/files/<name>/<n>    a piece of a file to fetch: of a result by its syntax, or of `rejects`
    GET  /api/batches/<id>/receipt             the platform's word for the whole, a JWS
    GET  /api/batches/<id>/proofs/<record>     one record's two-level proof
    POST /api/batches/<id>/cancel, .../resume  without a body

Every request is signed (RFC 9421), every piece too, and so is every answer.
"""

from typing import Any
from uuid import UUID

import msgspec

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, NotFound
from koinon.base.ids import parse_id
from koinon.integrator.deferred.model import PIECE_BYTES, BatchRequest
from koinon.integrator.deferred.service import Deferred
from koinon.trust.gate import Actor
from koinon.trust.gate.signed import JSON, Accepts, Call, Scope, SignedApi, decode, encode

PREFIX = "/api/batches"
OCTETS = "application/octet-stream"
JOSE = "application/jose"
# A piece over a slow line takes longer than a question.
PIECE_SECONDS = 50.0
_read_request = msgspec.json.Decoder(BatchRequest).decode


class BatchApi(SignedApi):
    """The ASGI application of `/api/batches`."""

    def __init__(self, deferred: Deferred, *, key: SigningKey, authority: str) -> None:
        super().__init__(deferred.integrator.gate, key=key, authority=authority)
        self._deferred = deferred

    def accepts(self, scope: Scope) -> Accepts:
        """See `SignedApi.accepts`."""
        return Accepts(PIECE_BYTES, PIECE_SECONDS, OCTETS) if scope["method"] == "PUT" else Accepts()

    async def answer(self, call: Call) -> None:
        """See `SignedApi.answer`."""
        kind, answer = await self._answer(call.method, call.words(PREFIX), call.body, call.actor)
        await self.respond(call, answer, kind)

    async def _answer(self, method: str, words: list[str], body: bytes, actor: Actor) -> tuple[str, bytes]:
        """Content type and body of the response."""
        deferred = self._deferred
        match method, words:
            case "POST", []:
                batch, new = await deferred.create(decode(_read_request, body), actor)
                return JSON, encode({"new": new, "batch": batch})
            case "GET", []:
                return JSON, encode({"batches": await deferred.page(actor.party)})
            case "GET", [id_]:
                return JSON, encode(await deferred.look(_id(id_), actor))
            case "PUT", [id_, "pieces", start]:
                return JSON, encode(await deferred.put_piece(_id(id_), _number(start), body, actor))
            case "GET", [id_, "files", name, number]:
                return OCTETS, await deferred.fetch(_id(id_), name, _number(number), actor)
            case "GET", [id_, "receipt"]:
                return JOSE, (await deferred.receipt(_id(id_), actor)).encode("ascii")
            case "GET", [id_, "proofs", record]:
                return JSON, encode(await deferred.prove(_id(id_), _number(record), actor))
            case "POST", [id_, "cancel"]:
                return JSON, encode(await deferred.cancel(_id(id_), actor))
            case "POST", [id_, "resume"]:
                return JSON, encode(await deferred.resume(_id(id_), actor))
            case _:
                raise NotFound("route_unknown", method=method)


def _id(text: str) -> UUID:
    return parse_id(text, "batch")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Invalid("number_malformed")
    return int(text)


__all__: list[Any] = ["PREFIX", "BatchApi"]
