"""What signed APIs have in common: who asks is proven, once; answers are signed; every failure has its code.

Raw ASGI on purpose: the exchange route goes through here a thousand times a CPU second.
"""

import asyncio
import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import structlog

from koinon.base import http_signatures
from koinon.base.crypto import SigningKey
from koinon.base.database import BROKEN
from koinon.base.errors import (
    PROBLEM_TYPE,
    Invalid,
    KoinonError,
    NotAllowed,
    NotIdentified,
    TooLarge,
    TooMany,
    Unavailable,
)
from koinon.base.fair import FairShare
from koinon.base.metrics import counter
from koinon.base.text import refuse_nul
from koinon.trust.gate import Actor, Admission, ExchangeId, Gate
from koinon.trust.parties import KeyUse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = http_signatures.JSON
BODY_LIMIT_BYTES = 64 * 1024
# A body that is not there after so long will not come.
BODY_SECONDS = 10.0
MOST_AT_ONCE = 1024
"""Calls under way in one API of a process: about a second of work. Who comes then is told so at once, and when to come
back, rather than to wait for an answer that comes after its own patience has ended."""
COME_BACK_SECONDS, LONGEST_COME_BACK_SECONDS = 4, 30
"""Each who is sent away comes back at a moment of its own, within so many seconds; the larger the crowd, the longer:
two seconds for as many as there are places."""

_log = structlog.get_logger()
# Refusals of requests that nobody signed are counted and never ledgered: a flood of them must not fill the log.
_unidentified = counter(
    "koinon_unsigned_total",
    "API requests refused before their signer was known: counted, not in the ledger.",
    ("code",),
)
_busy = counter("koinon_busy_total", "Signed API requests sent away because too many were under way.")
encode = msgspec.json.Encoder().encode


class Accepts(NamedTuple):
    """What a request may bring: how many bytes, in how long, of which type."""

    limit_bytes: int = BODY_LIMIT_BYTES
    seconds: float = BODY_SECONDS
    content_type: str = JSON


class Call(NamedTuple):
    """A request whose signer is known and that was admitted once.

    Attributes:
        signed: the request's signature, which that of the response covers.
    """

    scope: Scope
    receive: Receive
    send: Send
    body: bytes
    actor: Actor
    exchange: ExchangeId
    signed: bytes

    @property
    def method(self) -> str:
        """Of the request."""
        method: str = self.scope["method"]
        return method

    def words(self, prefix: str) -> list[str]:
        """The path after `prefix`, word by word."""
        path: str = self.scope["path"].removeprefix(prefix).strip("/")
        return path.split("/") if path else []


class SignedApi(ABC):
    """An ASGI application of signed routes. A subclass answers; it never sees a request that nobody signed.

    `authority` is ours by configuration; `key` signs responses.

    Attributes:
        most_at_once: calls under way; above that `platform_busy`, before anything is recorded or any source asked.
        places: of those calls; a party that holds as many as are left free hears `share_taken`.
    """

    most_at_once = MOST_AT_ONCE

    def __init__(self, gate: Gate, *, key: SigningKey, authority: str) -> None:
        self._gate = gate
        self._key = key
        self._authority = authority
        self.places = FairShare("calls", self.most_at_once, lambda: Unavailable("platform_busy"))
        self._sent_away = 0  # since there was room

    def accepts(self, scope: Scope) -> Accepts:
        """What this request may bring.

        Raises:
            Invalid: `method_not_allowed`.
        """
        return Accepts()

    @abstractmethod
    async def answer(self, call: Call) -> None:
        """The call has been answered, with `respond` or by a stream of its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        signed: bytes | None = None
        try:
            accepts = self.accepts(scope)
            self.places.demand_room()  # before a body is read and a signature verified: sending away must cost little
            try:
                async with asyncio.timeout(accepts.seconds):
                    body = await _read_body(scope, receive, accepts.limit_bytes)
            except TimeoutError:
                raise Invalid("body_incomplete") from None
            parsed = self._parse(scope, body, accepts.content_type)
            # A place from here on, not before: nobody can keep others from them by sending slowly. It counts for who
            # they say they are: sending away must cost less than verifying, and who cannot prove it loses it again.
            claimed = self._gate.keeper.find_claimed(parsed.key_id)
            with self.places.hold(*([] if claimed is None else [claimed])):
                await self._gate.keeper.settle()
                actor, admission, signed = self._identify(scope, body, parsed)
                if self.places.taken * 4 < self.places.most:
                    self._sent_away = (
                        0  # the crowd is over, be it of one party, which never has more than half
                    )
                exchange = await self._gate.admit(admission)
                await self.answer(Call(scope, receive, send, body, actor, exchange, signed))
        except KoinonError as error:
            if signed is None:
                _unidentified.labels(error.code).inc()
            await self._refuse(send, error, signed)
        except BROKEN:
            # Whether it was recorded is not known, so nothing leaves; the caller asks again, with its own key.
            _log.exception("signed_call_not_recorded", path=scope["path"])
            await self._refuse(send, Unavailable("database_unavailable"), signed)
        except RecursionError:  # only input is nested without end
            problem = Invalid("body_malformed").problem()
            await self._respond(send, 400, PROBLEM_TYPE, encode(problem), signed)
        except Exception:
            _log.exception("signed_call_failed", path=scope["path"])
            problem = KoinonError("internal_error").problem()
            await self._respond(send, 500, PROBLEM_TYPE, encode(problem), signed)

    async def respond(self, call: Call, body: bytes, content_type: str = JSON, status: int = 200) -> None:
        """The signed answer to the call has been sent."""
        await self._respond(call.send, status, content_type, body, call.signed)

    def _parse(self, scope: Scope, body: bytes, content_type: str) -> http_signatures.ParsedSignature:
        """The request's signature, not verified yet. Raises as `http_signatures.parse_request`."""
        return http_signatures.parse_request(
            scope["headers"],
            scope["method"],
            self._authority,
            scope["raw_path"],
            scope["query_string"],
            body,
            self._gate.clock.now(),
            content_type=content_type,
        )

    def _identify(
        self, scope: Scope, body: bytes, parsed: http_signatures.ParsedSignature
    ) -> tuple[Actor, Admission, bytes]:
        """Who signed this request.

        Raises:
            NotIdentified, Invalid: as `ParsedSignature.verify`, and `key_unknown` for every key that may not sign
                requests now: what exactly is wrong with it is not told to who cannot prove to hold it.
        """
        standing = self._gate.keeper.current
        try:
            key, verifier = standing.find_key(parsed.key_id, KeyUse.REQUEST_SIGNING, self._gate.clock.now())
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

    async def _refuse(self, send: Send, error: KoinonError, signed: bytes | None) -> None:
        """The refusal has been sent; where later may help, with when (RFC 9110 sections 10.2.3 and 15.6.4)."""
        more: list[tuple[bytes, bytes]] = []
        if isinstance(error, Unavailable | TooMany):
            if error.code in ("platform_busy", "share_taken"):
                _busy.inc()
                self._sent_away += 1
            longest = COME_BACK_SECONDS + 2 * self._sent_away // self.places.most
            seconds = random.randint(1, min(longest, LONGEST_COME_BACK_SECONDS))  # noqa: S311 - spreads a crowd
            more.append((b"retry-after", b"%d" % error.facts.get("retry_after_seconds", seconds)))
        await self._respond(send, error.status, PROBLEM_TYPE, encode(error.problem()), signed, more)

    async def _respond(
        self,
        send: Send,
        status: int,
        content_type: str,
        body: bytes,
        signed: bytes | None,
        more: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        if signed is not None:
            now = self._gate.clock.now()
            headers = http_signatures.sign_response(
                self._key, status, content_type, body, signed, now
            ).headers
        else:
            headers = [(b"content-type", content_type.encode())]
            if status == 401:
                headers.append((b"accept-signature", http_signatures.ACCEPT_SIGNATURE))
        headers += [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store"), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def decode(read: Callable[[bytes], Any], body: bytes) -> Any:
    """The body as its decoder reads it.

    Raises:
        Invalid: `body_malformed`.
    """
    refuse_nul(body)
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


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
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
