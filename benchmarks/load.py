"""A load generator in a process of its own: signed questions, a fixed number of clients that ask again at once.

It signs before a run and verifies after it, so that between the first byte and the last it does little but wait.
"""

import asyncio
import gc
import statistics
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from benchmarks.region import KEY, subjects

from koinon.app.wiring import platform_key
from koinon.base import http_signatures
from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey, VerifyKey
from koinon.demo.region import FLOW, PURPOSE, load_key

DOSSIERS = 2_000
PATH = b"/api/exchanges"
# More than any run sends; what is missing is signed on the way.
_AHEAD_PER_SECOND = 1_500


class Generator:
    """A load generator seen from the process that measures: `sign`, then `go`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def run(self, clients: int, seconds: float) -> dict[str, Any]:
        """Both, one after the other."""
        await self.sign(clients, seconds)
        return await self.go()

    async def sign(self, clients: int, seconds: float) -> None:
        """The requests of a run are signed; it waits for the word to go."""
        await self._say(msgspec.json.encode([clients, seconds]))
        await self._hear()

    async def go(self) -> dict[str, Any]:
        """They are sent and answered; what was seen: `count`, `failed`, `why`, `seconds`, `p50`, `p95`, `p99` in ms."""
        await self._say(b"go")
        return dict(msgspec.json.decode(await self._hear()))

    async def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()

    async def _hear(self) -> bytes:
        assert self._process.stdout is not None
        return await asyncio.wait_for(self._process.stdout.readline(), 120)


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer, until the time is over."""

    def __init__(self, load: "_Load") -> None:
        self.load = load
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._data = b""
        self._whole = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def ask(self) -> None:
        """The next request is on its way, or this client is done."""
        if time.perf_counter() >= self.load.until:
            self.done.set_result(None)
            return
        self._request, message = self.load.next()
        self._sent_at = time.perf_counter()
        self.transport.write(message)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._whole:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._data[:end].lower()
            place = head.index(b"content-length: ") + 16
            self._whole = end + 4 + int(head[place:].split(b"\r\n", 1)[0])
        if len(self._data) >= self._whole:
            self.load.took.append(time.perf_counter() - self._sent_at)
            self.load.answers.append((self._request, self._data))
            self._data, self._whole = b"", 0
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the server"))


class _Load:
    """The requests of one run and what came back."""

    def __init__(self, key: SigningKey, authority: str, count: int) -> None:
        self.until = 0.0
        self.took: list[float] = []
        self.answers: list[tuple[bytes, bytes]] = []
        self._key, self._authority = key, authority
        self._subjects = subjects(DOSSIERS)
        self._made = 0
        self._ready = [self._sign() for _ in range(count)]

    def next(self) -> tuple[bytes, bytes]:
        """The signature of a request never sent before, and the request."""
        return self._ready.pop() if self._ready else self._sign()

    def _sign(self) -> tuple[bytes, bytes]:
        subject = self._subjects[self._made * 7 % DOSSIERS]
        self._made += 1
        body = msgspec.json.encode(
            {
                "flow": FLOW,
                "purpose": PURPOSE,
                "case": f"2026-{self._made:06}",
                "subject": {"national_number": subject},
            }
        )
        signed = http_signatures.sign_request(
            self._key, "POST", self._authority, PATH, b"", body, SystemClock().now()
        )
        head = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\nIdempotency-Key: %b\r\n" % (
            PATH,
            self._authority.encode(),
            len(body),
            signed.signature.hex()[:32].encode(),
        )
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in signed.headers)
        return signed.signature, head + lines + b"\r\n" + body


async def generate(home: Path, ports: Sequence[int], *, governed: bool) -> None:
    """Obeys its standard input, a run at a time, until it is closed.

    Clients connect to the `ports` in turn, web processes of one platform, whose authority is that of the first.
    """
    key, ours = load_key(home, KEY), platform_key(home).verify_key
    loop = asyncio.get_running_loop()
    print("waiting", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        clients, seconds = msgspec.json.decode(line)
        load = _Load(key, f"127.0.0.1:{ports[0]}", int(seconds * _AHEAD_PER_SECOND))
        connected = [
            (await loop.create_connection(lambda: _Client(load), "127.0.0.1", port))[1]  # noqa: B023
            for port in islice(cycle(ports), clients)
        ]
        print("signed", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        gc.disable()  # what it collects here would be waited for there
        began = time.perf_counter()
        load.until = began + seconds
        for client in connected:
            client.ask()
        await asyncio.gather(*(client.done for client in connected))
        elapsed = time.perf_counter() - began
        gc.enable()
        for client in connected:
            client.transport.abort()
        why = [found for each in load.answers if (found := fault(*each, ours if governed else None))]
        took = statistics.quantiles([each * 1e3 for each in load.took], n=100)
        told = {"count": len(load.answers), "failed": len(why), "why": why[:1], "seconds": elapsed}
        print(
            msgspec.json.encode({**told, "p50": took[49], "p95": took[94], "p99": took[98]}).decode(),
            flush=True,
        )


def fault(request: bytes, answer: bytes, key: VerifyKey | None) -> str | None:
    """What is wrong with an answer: it must be 200, about an admissible person, and signed for this request."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    if b" 200 " not in first or msgspec.json.decode(body)["answer"]["admissible"].get("value") is not True:
        return f"{first!r} {body[:400]!r}"
    if key is not None:
        headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
        http_signatures.parse_response(headers, 200, body, request).verify(key)
    return None


if __name__ == "__main__":
    _, _home, _ports, _mode = sys.argv
    uvloop.run(generate(Path(_home), [int(each) for each in _ports.split(",")], governed=_mode == "governed"))
