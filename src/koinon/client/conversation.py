"""The whole conversation with a platform, without doing any of it.

Each use is a generator that yields what it wants done, a request to be sent or seconds to be waited, and is
given the response, or the transport's error. `clients` does it, in one thread or asynchronously.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from koinon.base.clock import Clock
from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, KoinonError, Unavailable
from koinon.base.http_signatures import JSON, Signed, parse_response, sign_request
from koinon.base.ids import new_id
from koinon.base.late import late
from koinon.client.errors import PromiseBroken, Refused, Untrusted
from koinon.client.evidence import Evidence, Fields
from koinon.client.model import Answer, AnswerDocument, Receipt, VerifiedReceipt
from koinon.client.pins import Pins
from koinon.client.receipts import ProofRefused, verify_proof

if TYPE_CHECKING:
    import httpx

    Reply = httpx.Response | httpx.RequestError | None
    Steps = Generator[httpx.Request | float, Reply, Any]
else:
    httpx = late("httpx")
    Reply = Steps = Any

# A platform or what stands before it asks to come back later.
_TRY_AGAIN = frozenset({429, 502, 503, 504})
# Our clock and the platform's, and the time to publish what was merged.
_GRACE_SECONDS = 5.0
_MAX_IDEMPOTENCY_KEY = 128
_SIGNATURE_FIELDS = (b"content-type", b"content-digest", b"signature-input", b"signature")


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How patient a client is.

    Waits are drawn between half and the whole of `first_wait_seconds`, doubled each time; a `Retry-After` is
    obeyed up to `longest_wait_seconds`, and beyond that ends the attempts.
    """

    attempts: int = 4
    first_wait_seconds: float = 0.2
    longest_wait_seconds: float = 30.0  # the longest that the platform asks of a crowd


class _Problem(msgspec.Struct):
    code: str
    facts: dict[str, Any] = {}


class Conversation:
    """What a client knows, and how it uses it."""

    def __init__(
        self,
        base_url: str,
        key: SigningKey,
        pins: Pins | Path,
        *,
        clock: Clock,
        retries: Retries,
        timeout_seconds: float,
    ) -> None:
        self._base = check_address(base_url)
        self._authority = self._base.netloc.decode("ascii")
        self._key = key
        self._pins = pins
        self._clock = clock
        self._retries = retries
        # A request made without httpx's client carries no time limit unless it is told.
        self._extensions = {"timeout": httpx.Timeout(timeout_seconds).as_dict()}

    def ask(self, question: Mapping[str, Any], idempotency_key: str | None) -> Steps:
        """See `Client.ask`; returns the Answer."""
        try:
            body = msgspec.json.encode({name: value for name, value in question.items() if value is not None})
        except (UnicodeEncodeError, TypeError):
            raise Invalid("question_malformed") from None
        again = idempotency_key or str(new_id())
        if len(again) > _MAX_IDEMPOTENCY_KEY or not all("!" <= character <= "~" for character in again):
            raise Invalid("idempotency_key_malformed")
        pins = yield from self.get_pins()
        signed, asked_at, response = yield from self._send("POST", "/api/exchanges", body, again)
        self._believe(response, signed, pins)
        try:
            document = msgspec.json.decode(response.content, type=AnswerDocument)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Untrusted("answer_malformed") from None
        if any(getattr(document, name) != question[name] for name in ("flow", "purpose", "case")):
            raise Untrusted("answer_to_another_question")
        evidence = Evidence(
            method="POST",
            authority=self._authority,
            path="/api/exchanges",
            query="",
            headers=_fields(signed.headers),
            body=body,
            asked_at=asked_at,
            status=response.status_code,
            answer_headers=_fields(response.headers.raw),
            answer_body=response.content,
            answered_at=self._clock.now(),
        )
        return Answer.of(document, evidence)

    def fetch_proof(self, entry: UUID) -> Steps:
        """See `Client.fetch_proof`; returns the bytes, or None while there is no proof."""
        try:
            _, _, response = yield from self._send("GET", f"/api/ledger/proofs/{entry}", b"", None)
        except Refused as refused:
            if refused.http_status == 404:
                return None
            raise
        return response.content

    def verify_receipt(self, answer: Answer, witnesses: int) -> Steps:
        """See `Client.verify_receipt`; returns the VerifiedReceipt."""
        pins: Pins = yield from self.get_pins()
        deadline = _deadline(answer.receipt, answer.evidence)
        wait = self._retries.first_wait_seconds
        while True:
            # A proof that does not hold proves nothing by itself: whoever stood on the way could have written
            # it. That none was to be had when the promise fell due does.
            proof = yield from self.fetch_proof(answer.receipt.entry)
            broken = PromiseBroken("not_merged", evidence=answer.evidence, proof=proof)
            found: VerifiedReceipt | None = None
            if proof is not None:
                try:
                    found = verify_proof(proof, answer, pins)
                except ProofRefused as refused:
                    broken = PromiseBroken(refused.code, evidence=answer.evidence, proof=proof)
            if found is not None and len(found.witnesses) >= witnesses:
                return found
            left = (deadline - self._clock.now()).total_seconds()
            if left <= 0:
                if found is None:
                    raise broken
                # The log kept its promise; its witnesses promised nothing.
                raise Unavailable("witnesses_missing", found=len(found.witnesses), wanted=witnesses)
            yield min(max(left, 0.05), wait)
            wait = min(wait * 2, 2.0)

    def stream_request(self, question: Mapping[str, Any]) -> tuple[Signed, httpx.Request]:
        """The signed request for a stream; it is sent once."""
        return self._request("POST", "/api/communications", msgspec.json.encode(question), None)

    def get_pins(self) -> Steps:
        """The platform's keys: given, kept, or discovered and kept."""
        if isinstance(self._pins, Pins):
            return self._pins
        path = self._pins
        if path.exists():
            self._pins = Pins.load(path)
            return self._pins
        reply = yield httpx.Request("GET", self._base.join("/api/keys"), extensions=self._extensions)
        if not isinstance(reply, httpx.Response) or reply.status_code != 200:
            raise Unavailable("platform_unavailable")
        pins = Pins.from_json(reply.content)
        try:
            pins.save(path)
        except Invalid:  # another thread or process was first; its pins hold
            pins = Pins.load(path)
        self._pins = pins
        return pins

    def call(self, method: str, path: str, body: bytes = b"", content_type: str = JSON) -> Steps:
        """Any signed call; returns the body of the answer, which the platform signed for this very request.

        Raises:
            Refused, Untrusted, Unavailable: as `ask`.
        """
        pins = yield from self.get_pins()
        signed, _, response = yield from self._send(method, path, body, None, content_type)
        self._believe(response, signed, pins)
        return response.content

    def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        idempotency_key: str | None,
        content_type: str = JSON,
    ) -> Steps:
        """The signature of the request, when it was sent, and the response of 200 or 201; refusals are raised.

        Each attempt has a nonce and a signature of its own, and the idempotency key in common.
        """
        wait = self._retries.first_wait_seconds
        for attempt in range(1, self._retries.attempts + 1):
            now = self._clock.now()
            signed, request = self._request(method, path, body, idempotency_key, content_type)
            reply = yield request
            last = attempt == self._retries.attempts
            if isinstance(reply, httpx.Response):
                if reply.status_code not in _TRY_AGAIN:
                    if reply.status_code not in (200, 201):
                        pins = yield from self.get_pins()
                        raise self.refusal(reply, signed, pins)
                    return signed, now, reply
                asked = _retry_after(reply, now)
                if last or (asked is not None and asked > self._retries.longest_wait_seconds):
                    pins = yield from self.get_pins()
                    raise self.refusal(reply, signed, pins)
            else:
                asked = None
                if last:
                    raise Unavailable("platform_unavailable", why=type(reply).__name__, attempts=attempt)
            # Not secret: it only keeps many clients from coming back at once.
            drawn = wait * random.uniform(0.5, 1.0)  # noqa: S311
            yield min(max(asked or 0.0, drawn), self._retries.longest_wait_seconds)
            wait *= 2
        raise AssertionError("the last attempt returns or raises")

    def _request(
        self,
        method: str,
        path: str,
        body: bytes,
        idempotency_key: str | None,
        content_type: str = JSON,
    ) -> tuple[Signed, httpx.Request]:
        created = self._clock.now()
        signed = sign_request(
            self._key,
            method,
            self._authority,
            path.encode("ascii"),
            b"",
            body,
            created,
            content_type=content_type,
        )
        headers = [
            *signed.headers,
            (b"accept", b"application/json, application/jsonl, application/problem+json"),
            # The digest covers the bytes as they travel.
            (b"accept-encoding", b"identity"),
        ]
        if idempotency_key is not None:
            headers.append((b"idempotency-key", idempotency_key.encode("ascii")))
        request = httpx.Request(
            method, self._base.join(path), headers=headers, content=body or None, extensions=self._extensions
        )
        return signed, request

    def _believe(self, response: httpx.Response, signed: Signed, pins: Pins) -> None:
        """Returns only if the platform signed this response to this request."""
        try:
            parsed = parse_response(
                response.headers.raw, response.status_code, response.content, signed.signature
            )
            parsed.verify(pins.find(parsed.key_id))
        except Untrusted:
            raise
        except KoinonError as error:
            raise Untrusted(error.code, **error.facts) from None

    def refusal(self, response: httpx.Response, signed: Signed, pins: Pins) -> KoinonError:
        """The refusal that `response` tells; raises Untrusted when it is signed, and not by the platform."""
        has_signature = "signature" in response.headers
        if has_signature:
            self._believe(response, signed, pins)
        code, facts = _problem(response)
        if code is None:
            return Unavailable("platform_unavailable", http_status=response.status_code)
        return Refused(code, http_status=response.status_code, signed=has_signature, facts=facts)


def check_address(base_url: str) -> httpx.URL:
    """The address of a platform: scheme and authority, over TLS unless on this machine.

    Raises:
        Invalid: `invalid_address`.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise Invalid("invalid_address") from None
    more = url.query or url.userinfo or url.fragment
    if url.scheme not in ("http", "https") or not url.host or url.path != "/" or more:
        raise Invalid("invalid_address", why="not https://host or https://host:port")
    if url.scheme == "http" and not _is_this_machine(url.host):
        raise Invalid("invalid_address", why="without TLS everybody on the way reads along")
    return url


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _deadline(receipt: Receipt, evidence: Evidence) -> datetime:
    # Our own clock bounds the platform's: a promise that is dated ahead would never fall due.
    given = min(receipt.at.astimezone(UTC), evidence.answered_at)
    return given + timedelta(seconds=receipt.max_merge_delay_seconds + _GRACE_SECONDS)


def _retry_after(response: httpx.Response, now: datetime) -> float | None:
    """Seconds to wait: from `Retry-After` (RFC 9110 section 10.2.3), else from the problem's own facts."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        seconds = _problem(response)[1].get("retry_after_seconds")
        return float(seconds) if isinstance(seconds, int | float) and seconds >= 0 else None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _problem(response: httpx.Response) -> tuple[str | None, dict[str, Any]]:
    """The code and the facts of a problem document (RFC 9457); none if it is not one of ours."""
    try:
        document = msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, {}
    return document.code, document.facts


def _fields(headers: Sequence[tuple[bytes, bytes]]) -> Fields:
    return [
        (name.lower().decode("ascii"), value.decode("latin-1"))
        for name, value in headers
        if name.lower() in _SIGNATURE_FIELDS
    ]
