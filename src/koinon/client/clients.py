"""The client, in one thread (`Client`) and asynchronous (`AsyncClient`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from koinon.base.clock import Clock, SystemClock
from koinon.base.crypto import SigningKey
from koinon.base.errors import Unavailable
from koinon.base.late import late
from koinon.client.conversation import Conversation, Reply, Retries, Steps
from koinon.client.model import Answer, VerifiedReceipt
from koinon.client.pins import Pins
from koinon.client.streams import Row, StreamReader

if TYPE_CHECKING:
    import httpx
else:
    httpx = late("httpx")

TIMEOUT_SECONDS = 30.0


class Client:
    """Asks one platform, as the system to whose party `key` is registered.

    `base_url` is `https://host` or `https://host:port`; without TLS only on this machine. `pins` are the
    platform's keys, or the file that keeps them, filled from `GET /api/keys` if there is none (see `Pins`).
    Use it as a context manager, or `close` it; share it between threads.
    """

    def __init__(
        self,
        base_url: str,
        key: SigningKey,
        pins: Pins | Path,
        *,
        retries: Retries | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        http: httpx.Client | None = None,
    ) -> None:
        self._conversation = Conversation(
            base_url,
            key,
            pins,
            clock=clock or SystemClock(),
            retries=retries or Retries(),
            timeout_seconds=timeout_seconds,
        )
        self._http = http or httpx.Client()
        self._sleep = sleep

    def ask(
        self,
        *,
        flow: str,
        purpose: str,
        case: str,
        subject: Mapping[str, str],
        fields: Sequence[str] | None = None,
        authorisation: str | None = None,
        user: str | None = None,
        user_assertion: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """The platform's answer, verified.

        `subject` is `{"national_number": ...}` or `{"enterprise_number": ...}`; without `fields` all that the
        flow has and the rules let through. Connection errors and 429, 502, 503 and 504 are tried again,
        with a fresh nonce and signature and the same idempotency key; the platform decides each anew. Give
        an `idempotency_key` of your own to go on after a restart.

        Raises:
            Invalid: `question_malformed`, `idempotency_key_malformed` (up to 128 visible ASCII characters).
            Refused: with the platform's code, rule, version and reason.
            Untrusted: what came back is not signed by the platform, or not for this question.
            Unavailable: `platform_unavailable`, after the last attempt.
        """
        question = _question(flow, purpose, case, subject, fields, authorisation, user, user_assertion)
        answer: Answer = self._run(self._conversation.ask(question, idempotency_key))
        return answer

    def communicate(self, *, flow: str, purpose: str, case: str) -> Iterator[Row]:
        """The answers about all of the party's own dossiers of the purpose, as they come.

        Rows are to be believed when the iteration has ended by itself: only the last line is signed, over all.
        It is not tried again.

        Raises:
            StreamCut: the stream ended before its end.
            Refused, Untrusted, Unavailable: as `ask`.
        """
        pins = self._run(self._conversation.get_pins())
        signed, request = self._conversation.stream_request({"flow": flow, "purpose": purpose, "case": case})
        reader = StreamReader(signed.signature, pins)
        try:
            response = self._http.send(request, stream=True)
        except httpx.RequestError as error:
            raise Unavailable("platform_unavailable", why=type(error).__name__) from None
        try:
            if response.status_code != 200:
                response.read()
                raise self._conversation.refusal(response, signed, pins)
            for data in response.iter_raw():
                yield from reader.feed(data)
        except httpx.RequestError:
            pass  # a reset is how a stream is cut: the reader knows whether it had ended
        finally:
            response.close()
        reader.finish()

    def fetch_proof(self, entry: UUID) -> bytes | None:
        """The proof of an entry as the platform gives it, unverified; None while there is none."""
        proof: bytes | None = self._run(self._conversation.fetch_proof(entry))
        return proof

    def verify_receipt(self, answer: Answer, *, witnesses: int = 0) -> VerifiedReceipt:
        """The answer's entry is in the tree that the log signed, cosigned by at least `witnesses` witnesses.

        Waits for the promised merge delay if it must.

        Raises:
            PromiseBroken: the platform did not keep its promise; the evidence is kept in the exception.
            Untrusted: what was given as proof proves nothing, either way.
            Unavailable: `witnesses_missing`, `platform_unavailable`.
        """
        verified: VerifiedReceipt = self._run(self._conversation.verify_receipt(answer, witnesses))
        return verified

    def close(self) -> None:
        """Connections are closed."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def conversation(self) -> Conversation:
        """What is said, without saying it: for parts of the client that add to it (`client.batches`)."""
        return self._conversation

    def run(self, steps: Steps) -> Any:
        """What a part of the conversation comes to."""
        return self._run(steps)

    def _run(self, steps: Steps) -> Any:
        reply: Reply = None
        try:
            while True:
                step = steps.send(reply)
                if isinstance(step, float):
                    self._sleep(step)
                    reply = None
                    continue
                try:
                    reply = self._http.send(step)
                except httpx.RequestError as error:
                    reply = error
        except StopIteration as done:
            return done.value


class AsyncClient:
    """As `Client`, for one event loop."""

    def __init__(
        self,
        base_url: str,
        key: SigningKey,
        pins: Pins | Path,
        *,
        retries: Retries | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._conversation = Conversation(
            base_url,
            key,
            pins,
            clock=clock or SystemClock(),
            retries=retries or Retries(),
            timeout_seconds=timeout_seconds,
        )
        self._http = http or httpx.AsyncClient()
        self._sleep = sleep

    async def ask(
        self,
        *,
        flow: str,
        purpose: str,
        case: str,
        subject: Mapping[str, str],
        fields: Sequence[str] | None = None,
        authorisation: str | None = None,
        user: str | None = None,
        user_assertion: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """As `Client.ask`."""
        question = _question(flow, purpose, case, subject, fields, authorisation, user, user_assertion)
        answer: Answer = await self._run(self._conversation.ask(question, idempotency_key))
        return answer

    async def communicate(self, *, flow: str, purpose: str, case: str) -> AsyncIterator[Row]:
        """As `Client.communicate`."""
        pins = await self._run(self._conversation.get_pins())
        signed, request = self._conversation.stream_request({"flow": flow, "purpose": purpose, "case": case})
        reader = StreamReader(signed.signature, pins)
        try:
            response = await self._http.send(request, stream=True)
        except httpx.RequestError as error:
            raise Unavailable("platform_unavailable", why=type(error).__name__) from None
        try:
            if response.status_code != 200:
                await response.aread()
                raise self._conversation.refusal(response, signed, pins)
            async for data in response.aiter_raw():
                for row in reader.feed(data):
                    yield row
        except httpx.RequestError:
            pass  # as above
        finally:
            await response.aclose()
        reader.finish()

    async def fetch_proof(self, entry: UUID) -> bytes | None:
        """As `Client.fetch_proof`."""
        proof: bytes | None = await self._run(self._conversation.fetch_proof(entry))
        return proof

    async def verify_receipt(self, answer: Answer, *, witnesses: int = 0) -> VerifiedReceipt:
        """As `Client.verify_receipt`."""
        verified: VerifiedReceipt = await self._run(self._conversation.verify_receipt(answer, witnesses))
        return verified

    async def close(self) -> None:
        """Connections are closed."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def conversation(self) -> Conversation:
        """As `Client.conversation`."""
        return self._conversation

    async def run(self, steps: Steps) -> Any:
        """As `Client.run`."""
        return await self._run(steps)

    async def _run(self, steps: Steps) -> Any:
        reply: Reply = None
        try:
            while True:
                step = steps.send(reply)
                if isinstance(step, float):
                    await self._sleep(step)
                    reply = None
                    continue
                try:
                    reply = await self._http.send(step)
                except httpx.RequestError as error:
                    reply = error
        except StopIteration as done:
            return done.value


def _question(
    flow: str,
    purpose: str,
    case: str,
    subject: Mapping[str, str],
    fields: Sequence[str] | None,
    authorisation: str | None,
    user: str | None,
    user_assertion: str | None,
) -> dict[str, Any]:
    return {
        "flow": flow,
        "purpose": purpose,
        "case": case,
        "subject": dict(subject),
        "fields": list(fields) if fields is not None else None,
        "authorisation": authorisation,
        "user": user,
        "user_assertion": user_assertion,
    }
