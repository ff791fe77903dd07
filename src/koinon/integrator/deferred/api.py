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

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import structlog

from koinon.base.crypto import SigningKey
from koinon.base.database import BROKEN
from koinon.base.errors import PROBLEM_TYPE, Invalid, KoinonError, NotFound, Unavailable
from koinon.base.http_signatures import JSON
from koinon.base.ids import parse_id
from koinon.integrator.api import (
    BODY_LIMIT_BYTES,
    ExchangeApi,
    Receive,
    Scope,
    Send,
    _decode,
    _read_body,
    _unidentified,
)
from koinon.integrator.deferred.model import PIECE_BYTES, BatchRequest
from koinon.integrator.deferred.service import Deferred
from koinon.trust.gate import Actor

PREFIX = "/api/batches"
OCTETS = "application/octet-stream"
JOSE = "application/jose"
# A piece over a slow line takes longer than a question.
PIECE_SECONDS, BODY_SECONDS = 50.0, 10.0
_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode
_read_request = msgspec.json.Decoder(BatchRequest).decode


class BatchApi(ExchangeApi):
    """The ASGI application of `/api/batches`."""

    def __init__(self, deferred: Deferred, *, key: SigningKey, authority: str) -> None:
        super().__init__(deferred.integrator, key=key, authority=authority)
        self._deferred = deferred

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        signed: bytes | None = None
        try:
            method, path = scope["method"], scope["path"].removeprefix(PREFIX).strip("/")
            words = path.split("/") if path else []
            piece = method == "PUT"
            try:
                async with asyncio.timeout(PIECE_SECONDS if piece else BODY_SECONDS):
                    body = await _read_body(scope, receive, PIECE_BYTES if piece else BODY_LIMIT_BYTES)
            except TimeoutError:
                raise Invalid("body_incomplete") from None
            gate = self._integrator.gate
            await gate.keeper.settle()
            actor, admission, signed = self._identify(scope, body, OCTETS if piece else JSON)
            await gate.admit(admission)
            kind, answer = await self._answer(method, words, body, actor)
            await self._respond(send, 200, kind, answer, signed)
        except KoinonError as error:
            if signed is None:
                _unidentified.labels(error.code).inc()
            await self._respond(send, error.status, PROBLEM_TYPE, _encode(error.problem()), signed)
        except BROKEN:
            _log.exception("batch_call_not_recorded")
            away = Unavailable("database_unavailable")
            await self._respond(send, away.status, PROBLEM_TYPE, _encode(away.problem()), signed)
        except RecursionError:  # only input is nested without end
            await self._respond(send, 400, PROBLEM_TYPE, _encode(Invalid("body_malformed").problem()), signed)
        except Exception:
            _log.exception("batch_call_failed")
            problem = KoinonError("internal_error").problem()
            await self._respond(send, 500, PROBLEM_TYPE, _encode(problem), signed)

    async def _answer(self, method: str, words: list[str], body: bytes, actor: Actor) -> tuple[str, bytes]:
        """Content type and body of the response."""
        deferred = self._deferred
        match method, words:
            case "POST", []:
                batch, new = await deferred.create(_decode(_read_request, body), actor)
                return JSON, _encode({"new": new, "batch": batch})
            case "GET", []:
                return JSON, _encode({"batches": await deferred.page(actor.party)})
            case "GET", [id_]:
                return JSON, _encode(await deferred.look(_id(id_), actor))
            case "PUT", [id_, "pieces", start]:
                return JSON, _encode(await deferred.put_piece(_id(id_), _number(start), body, actor))
            case "GET", [id_, "files", name, number]:
                return OCTETS, await deferred.fetch(_id(id_), name, _number(number), actor)
            case "GET", [id_, "receipt"]:
                return JOSE, (await deferred.receipt(_id(id_), actor)).encode("ascii")
            case "GET", [id_, "proofs", record]:
                return JSON, _encode(await deferred.prove(_id(id_), _number(record), actor))
            case "POST", [id_, "cancel"]:
                return JSON, _encode(await deferred.cancel(_id(id_), actor))
            case "POST", [id_, "resume"]:
                return JSON, _encode(await deferred.resume(_id(id_), actor))
            case _:
                raise NotFound("route_unknown", method=method)


def _id(text: str) -> UUID:
    return parse_id(text, "batch")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Invalid("number_malformed")
    return int(text)


__all__: list[Any] = ["PREFIX", "BatchApi"]
