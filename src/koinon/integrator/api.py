"""The signed API of the integrator: `POST /api/exchanges`, `/api/dossiers`, and the streamed `/api/communications`.

Raw ASGI on purpose: this is the route that 1,000 exchanges per CPU second go through. Nothing here decides.
"""

import asyncio
import hashlib
from typing import Any

import msgspec
import structlog

from koinon.base.connection import narrow, reset, transport_of
from koinon.base.crypto import SigningKey, jws_sign
from koinon.base.errors import Invalid
from koinon.integrator.model import ExchangeRequest
from koinon.integrator.registration import DossierRequest, register_dossier
from koinon.integrator.service import Integrator, answer_of
from koinon.trust.gate import Cut, EndReason
from koinon.trust.gate.signed import Accepts, Call, Receive, Scope, SignedApi, decode, encode

# Pace of a governed stream: what a cut may leave behind in buffers grows with it.
STREAM_BYTES_PER_SECOND = 512 * 1024
# A reader that takes nothing for so long has left: a use must not stand open for who does not use it.
STALL_SECONDS = 30.0
_JSON_LINES = "application/jsonl"

_log = structlog.get_logger()


class CommunicationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/communications`: a stream about all of the party's own dossiers of one purpose."""

    flow: str
    purpose: str
    case: str


_read_exchange = msgspec.json.Decoder(ExchangeRequest).decode
_read_communication = msgspec.json.Decoder(CommunicationRequest).decode
_read_dossier = msgspec.json.Decoder(DossierRequest).decode


class ExchangeApi(SignedApi):
    """The ASGI application of the routes of exchanges, dossiers and communications."""

    def __init__(self, integrator: Integrator, *, key: SigningKey, authority: str) -> None:
        super().__init__(integrator.gate, key=key, authority=authority)
        self._integrator = integrator

    def accepts(self, scope: Scope) -> Accepts:
        """See `SignedApi.accepts`."""
        if scope["method"] != "POST":
            raise Invalid("method_not_allowed", allowed=["POST"])
        return Accepts()

    async def answer(self, call: Call) -> None:
        """See `SignedApi.answer`."""
        match call.scope["path"]:
            case "/api/communications":
                await self._communicate(decode(_read_communication, call.body), call)
            case "/api/dossiers":
                registered = await register_dossier(
                    self._integrator, decode(_read_dossier, call.body), call.actor
                )
                await self.respond(call, encode(registered.answer), status=201)
            case _:
                question = decode(_read_exchange, call.body)
                done = await self._integrator.ask(question, call.actor, call.exchange)
                await self.respond(call, encode(answer_of(done)))

    async def _communicate(self, request: CommunicationRequest, call: Call) -> None:
        """JSON lines: a head, one line a dossier, and a last line that says the stream is whole.

        The last line is a JWS (RFC 7515) over the number of rows and the SHA-256 of all lines before it. A stream
        without it was cut.
        """
        use, pieces = await self._integrator.stream(request.flow, request.purpose, request.case, call.actor)
        transport = transport_of(call.scope)
        watch = asyncio.ensure_future(_until_gone(call.receive))
        whole = hashlib.sha256()
        pace = _Pace(STREAM_BYTES_PER_SECOND)
        reason = EndReason.FAILED

        async def line(value: Any, *, last: bool = False) -> None:
            data = encode(value) + b"\n"
            whole.update(data)
            await pace.wait(len(data))
            await use.go_on()
            if watch.done():
                raise _Gone
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await call.send({"type": "http.response.body", "body": data, "more_body": not last})
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
            await call.send({"type": "http.response.start", "status": 200, "headers": headers})
            await line(
                {"exchange": str(use.passage.exchange), "receipt": use.receipt, "request": call.signed.hex()}
            )
            rows = 0
            async for piece in pieces:
                for subject, answer in piece.value:
                    rows += 1
                    await line({"subject": subject, "answer": answer, "entry": piece.receipt.entry})
            end = encode({"rows": rows, "sha256": whole.hexdigest(), "exchange": str(use.passage.exchange)})
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


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
