"""What the simulated sources share: a small ASGI shell that marks every answer, and can misbehave when told to.

A simulated source refuses to start in production. Its answers carry the header `X-Koinon-Simulated`, which drivers
refuse in production too.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

import msgspec
import uvicorn

from koinon.base.errors import Invalid
from koinon.base.settings import Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MARK = b"x-koinon-simulated"
_MOST_BYTES = 256 * 1024

MODES: Mapping[str, str] = {
    "slow": "answers after `seconds`",
    "drip": "sends one byte every 50 ms",
    "down": "closes the connection without a word",
    "truncated": "closes the connection in the middle of the answer",
    "garbage": "sends noise",
    "bomb": "sends nested entities (XML) or nesting (JSON)",
    "external_entity": "sends a document type that names a file",
    "deep": "sends deeply nested elements",
    "huge": "sends 64 MiB",
    "http_500": "answers 500 with a plain text",
    "busy": "answers 503",
    "redirect": "answers 302 to a link-local address",
    "fault": "answers with a fault of its protocol",
    "wrong_person": "answers about somebody else",
    "duplicate": "answers twice about the same person",
    "missing": "leaves the last person out of the answer",
}
"""How a simulated source can misbehave, when its control is open."""


class Asked(msgspec.Struct, frozen=True):
    """A request, read."""

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


class Said(msgspec.Struct, frozen=True):
    """A response."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Behaviour(msgspec.Struct, frozen=True):
    """What the control asks: a mode for the next `times` requests (None: until told otherwise)."""

    mode: str | None = None
    seconds: float = 1.0
    times: int | None = None


class SimulatedSource(Protocol):
    """A source behind the shell; `trick` is one of `fault`, `wrong_person`, `duplicate`, `missing`, or empty."""

    content_type: str

    def answer(self, asked: Asked, trick: str) -> Said:
        """The response to a request."""


class Shell:
    """ASGI application around a simulated source."""

    def __init__(self, source: SimulatedSource, *, control: bool = False) -> None:
        self._source = source
        self._control = control
        self.behaviour = Behaviour()
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if len(body) > _MOST_BYTES:
                await _say(send, Said(413, "text/plain", b"too large"))
                return
            if not event.get("more_body"):
                break
        asked = Asked(scope["method"], scope["path"], scope["query_string"], dict(scope["headers"]), body)
        if self._control and asked.path == "/control":
            await _say(send, self._steer(asked))
            return
        self.requests += 1
        await self._behave(asked, send)

    def _steer(self, asked: Asked) -> Said:
        if asked.method == "POST":
            wanted = msgspec.json.decode(asked.body, type=Behaviour)
            if wanted.mode is not None and wanted.mode not in MODES:
                return Said(400, "text/plain", b"no such mode")
            self.behaviour = wanted
        state = {"mode": self.behaviour.mode, "requests": self.requests}
        return Said(200, "application/json", msgspec.json.encode(state))

    def _mode(self) -> Behaviour:
        now = self.behaviour
        if now.times is not None:
            left = now.times - 1
            self.behaviour = msgspec.structs.replace(now, times=left) if left > 0 else Behaviour()
        return now

    async def _behave(self, asked: Asked, send: Send) -> None:
        now = self._mode()
        if now.mode is None:
            await _say(send, self._source.answer(asked, ""))
        elif now.mode == "slow":
            await asyncio.sleep(now.seconds)
            await _say(send, self._source.answer(asked, ""))
        elif now.mode == "down":
            _transport(send).abort()
        elif now.mode in ("drip", "truncated"):
            said = self._source.answer(asked, "")
            await _start(send, said, length=len(said.body))
            if now.mode == "truncated":
                await send(
                    {
                        "type": "http.response.body",
                        "body": said.body[: len(said.body) // 2],
                        "more_body": True,
                    }
                )
                await asyncio.sleep(0.01)
                _transport(send).close()
                return
            for index in range(len(said.body)):
                await asyncio.sleep(0.05)
                await send(
                    {"type": "http.response.body", "body": said.body[index : index + 1], "more_body": True}
                )
            await send({"type": "http.response.body"})
        elif now.mode == "huge":
            await _start(send, Said(200, self._source.content_type, b""), length=None)
            for _ in range(1024):
                await send({"type": "http.response.body", "body": b" " * 65536, "more_body": True})
            await send({"type": "http.response.body"})
        else:
            await _say(
                send, _bad(now.mode, self._source.content_type) or self._source.answer(asked, now.mode)
            )


def _bad(mode: str, content_type: str) -> Said | None:
    xml = "xml" in content_type
    if mode == "http_500":
        return Said(500, "text/plain", b"internal error")
    if mode == "busy":
        return Said(503, "text/plain", b"come back later")
    if mode == "redirect":
        return Said(302, "text/plain", b"", ((b"location", b"http://169.254.169.254/latest/meta-data/"),))
    if mode == "garbage":
        return Said(200, content_type, b"<not what}{you expect \xff\xfe")
    if mode == "bomb":
        entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
        bomb = f'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY e0 "ha">{entities}]><b>&e9;</b>'
        return Said(200, content_type, bomb.encode() if xml else b"[" * 100_000)
    if mode == "external_entity":
        entity = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
        return Said(200, content_type, entity)
    if mode == "deep":
        return Said(200, content_type, b"<a>" * 200 + b"</a>" * 200 if xml else b"[" * 200 + b"]" * 200)
    return None


def _transport(send: Send) -> Any:
    """The connection under `send`: uvicorn's own, since ASGI has no way to hang up."""
    return getattr(send, "__self__").transport  # noqa: B009 (Callable has no __self__ for the type checker)


async def _start(send: Send, said: Said, length: int | None) -> None:
    headers = [(b"content-type", said.content_type.encode()), (MARK, b"demo"), *said.headers]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": said.status, "headers": headers})


async def _say(send: Send, said: Said) -> None:
    await _start(send, said, len(said.body))
    await send({"type": "http.response.body", "body": said.body})


def refuse_production(settings: Settings) -> None:
    """Nothing happened.

    Raises:
        Invalid: `simulated_in_production`.
    """
    if settings.mode == "production":
        raise Invalid("simulated_in_production")


def make_server(app: Shell, port: int, tls: ssl.SSLContext | None = None) -> uvicorn.Server:
    """A server on the loopback interface that has yet to run; by HTTPS where it is given what to show."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    return uvicorn.Server(config)
