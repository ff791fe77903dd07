"""The signed API of the integrator: `POST /api/exchanges`, `/api/dossiers`, and the streamed `/api/communications`.

Raw ASGI on purpose: this is the route that 1,000 exchanges per CPU second go through. Nothing here decides.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from koinon.base import http_signatures
from koinon.base.connection import narrow, reset, transport_of
from koinon.base.crypto import SigningKey, jws_sign
from koinon.base.database import BROKEN
from koinon.base.errors import (
    PROBLEM_TYPE,
    Invalid,
    KoinonError,
    NotAllowed,
    NotIdentified,
    TooLarge,
    Unavailable,
)
from koinon.base.metrics import counter
from koinon.integrator.model import ExchangeRequest
from koinon.integrator.registration import DossierRequest, register_dossier
from koinon.integrator.service import Integrator, answer_of
from koinon.trust.gate import Actor, Admission, Cut, EndReason
from koinon.trust.parties import KeyUse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT_BYTES = 64 * 1024
# Pace of a governed stream: what a cut may leave behind in buffers grows with it.
STREAM_BYTES_PER_SECOND = 512 * 1024
# A reader that takes nothing for so long has left: a use must not stand open for who does not use it.
STALL_SECONDS = 30.0
# A body that is not there after so long will not come.
BODY_SECONDS = 10.0
_JSON = http_signatures.JSON
_JSON_LINES = "application/jsonl"

_log = structlog.get_logger()
# Refusals of requests that nobody signed are counted and never ledgered: a flood of them must not fill the log.
_unidentified = counter(
    "koinon_unsigned_total",
    "API requests refused before their signer was known: counted, not in the ledger.",
    ("code",),
)


class CommunicationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/communications`: a stream about all of the party's own dossiers of one purpose."""

    flow: str
    purpose: str
    case: str


_read_exchange = msgspec.json.Decoder(ExchangeRequest).decode
_read_communication = msgspec.json.Decoder(CommunicationRequest).decode
_read_dossier = msgspec.json.Decoder(DossierRequest).decode
_encode = msgspec.json.Encoder().encode


class ExchangeApi:
    """The ASGI application of the signed routes.

    `authority` is ours by configuration; `key` signs responses.
    """

    def __init__(self, integrator: Integrator, *, key: SigningKey, authority: str) -> None:
        self._integrator = integrator
        self._key = key
        self._authority = authority

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        signed: bytes | None = None
        try:
            if scope["method"] != "POST":
                raise Invalid("method_not_allowed", allowed=["POST"])
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body = await _read_body(scope, receive)
            except TimeoutError:
                raise Invalid("body_incomplete") from None
            await self._integrator.gate.keeper.settle()
            actor, admission, signed = self._identify(scope, body)
            exchange = await self._integrator.gate.admit(admission)
            if scope["path"] == "/api/communications":
                await self._communicate(
                    _decode(_read_communication, body), actor, signed, scope, receive, send
                )
                return
            if scope["path"] == "/api/dossiers":
                registered = await register_dossier(self._integrator, _decode(_read_dossier, body), actor)
                await self._respond(send, 201, _JSON, _encode(registered.answer), signed)
                return
            done = await self._integrator.ask(_decode(_read_exchange, body), actor, exchange)
            await self._respond(send, 200, _JSON, _encode(answer_of(done)), signed)
        except KoinonError as error:
            if signed is None:
                _unidentified.labels(error.code).inc()
            await self._respond(send, error.status, PROBLEM_TYPE, _encode(error.problem()), signed)
        except BROKEN:
            # Whether it was recorded is not known, so nothing leaves; a retry with its idempotency key may follow.
            _log.exception("exchange_not_recorded")
            away = Unavailable("database_unavailable")
            await self._respond(send, away.status, PROBLEM_TYPE, _encode(away.problem()), signed)
        except RecursionError:  # only input is nested without end
            problem = Invalid("body_malformed").problem()
            await self._respond(send, 400, PROBLEM_TYPE, _encode(problem), signed)
        except Exception:
            _log.exception("exchange_failed")
            problem = KoinonError("internal_error").problem()
            await self._respond(send, 500, PROBLEM_TYPE, _encode(problem), signed)

    def _identify(
        self, scope: Scope, body: bytes, content_type: str = _JSON
    ) -> tuple[Actor, Admission, bytes]:
        """Who signed this request.

        Raises:
            NotIdentified, Invalid: the codes of `http_signatures.parse_request`, and `key_unknown` for every key that
                may not sign requests now: what exactly is wrong with it is not told to who cannot prove to hold it.
        """
        clock = self._integrator.gate.clock
        at = clock.now()
        parsed = http_signatures.parse_request(
            scope["headers"],
            scope["method"],
            self._authority,
            scope["raw_path"],
            scope["query_string"],
            body,
            at,
            content_type=content_type,
        )
        standing = self._integrator.gate.keeper.current
        try:
            key, verifier = standing.find_key(parsed.key_id, KeyUse.REQUEST_SIGNING, at)
        except NotAllowed as error:
            _log.info("key_refused", code=error.code, key=parsed.key_id)
            raise NotIdentified("key_unknown") from None
        parsed.verify(verifier)
        admission = Admission(
            party=key.party,
            key=key.kid,
            nonce=parsed.nonce,
            expires=datetime.fromtimestamp(parsed.expires, UTC),
            idempotency_key=_idempotency_key(scope),
            body_hash=hashlib.sha256(body).digest(),
        )
        actor = Actor(party=key.party, system=key.system, key=key.kid, profile="system")
        return actor, admission, parsed.signature

    async def _respond(
        self, send: Send, status: int, content_type: str, body: bytes, signed: bytes | None
    ) -> None:
        if signed is not None:
            now = self._integrator.gate.clock.now()
            headers = http_signatures.sign_response(
                self._key, status, content_type, body, signed, now
            ).headers
        else:
            headers = [(b"content-type", content_type.encode())]
            if status == 401:
                headers.append((b"accept-signature", http_signatures.ACCEPT_SIGNATURE))
        headers += [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _communicate(
        self,
        request: CommunicationRequest,
        actor: Actor,
        signed: bytes,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """JSON lines: a head, one line a dossier, and a last line that says the stream is whole.

        The last line is a JWS (RFC 7515) over the number of rows and the SHA-256 of all lines before it. A stream
        without it was cut.
        """
        use, pieces = await self._integrator.stream(request.flow, request.purpose, request.case, actor)
        transport = transport_of(scope)
        watch = asyncio.ensure_future(_until_gone(receive))
        whole = hashlib.sha256()
        pace = _Pace(STREAM_BYTES_PER_SECOND)
        reason = EndReason.FAILED

        async def line(value: Any, *, last: bool = False) -> None:
            data = _encode(value) + b"\n"
            whole.update(data)
            await pace.wait(len(data))
            await use.go_on()
            if watch.done():
                raise _Gone
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": data, "more_body": not last})
            except TimeoutError:
                raise _Gone from None
            use.bytes += len(data)

        try:
            if transport is not None:
                narrow(transport)
                use.on_cut(lambda: reset(transport))
            headers = [
                (b"content-type", _JSON_LINES.encode()),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await line(
                {"exchange": str(use.passage.exchange), "receipt": use.receipt, "request": signed.hex()}
            )
            rows = 0
            async for piece in pieces:
                for subject, answer in piece.value:
                    rows += 1
                    await line({"subject": subject, "answer": answer, "entry": piece.receipt.entry})
            end = _encode({"rows": rows, "sha256": whole.hexdigest(), "exchange": str(use.passage.exchange)})
            await line({"end": jws_sign(self._key, end)}, last=True)
            reason = EndReason.COMPLETED
        except Cut as cut:
            reason = cut.end
        except _Gone:
            reason = EndReason.LEFT
        except Exception:
            _log.exception("stream_failed", use=str(use.id))
        finally:
            # The head is out: the only honest end is one that no reader takes for a whole answer.
            if reason is not EndReason.COMPLETED and transport is not None:
                reset(transport)
            watch.cancel()
            await asyncio.shield(use.end(reason))


class _Gone(Exception):
    """The reader went away, or takes nothing any more."""


class _Pace:
    """Keeps a stream at or under a rate, without bursts longer than a fifth of a second."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._ready_at = 0.0

    async def wait(self, size: int) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._ready_at = max(self._ready_at, now - 0.2) + size / self._rate
        if self._ready_at > now:
            await asyncio.sleep(self._ready_at - now)


def _decode(read: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return read(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("body_malformed", why=str(error)[:200]) from None


def _idempotency_key(scope: Scope) -> str | None:
    """The caller's key.

    Raises:
        Invalid: `idempotency_key_malformed`: 1 to 128 visible ASCII characters, once.
    """
    found = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not found:
        return None
    if len(found) > 1 or not 1 <= len(found[0]) <= 128 or not all(0x21 <= byte <= 0x7E for byte in found[0]):
        raise Invalid("idempotency_key_malformed")
    return str(found[0].decode("ascii"))


async def _read_body(scope: Scope, receive: Receive, limit: int = BODY_LIMIT_BYTES) -> bytes:
    """The whole body.

    Raises:
        TooLarge: `body_too_large`.
        Invalid: `body_incomplete` when the client went away.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise TooLarge("body_too_large", limit_bytes=limit)
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("body_incomplete")
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > limit:
            raise TooLarge("body_too_large", limit_bytes=limit)
        if not message.get("more_body"):
            return body


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
