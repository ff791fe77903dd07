"""10,000 consumers ask at the same moment: what one web process does with them, and what they get.

Each is a connection of its own with one signed question. All connect first; then all questions are sent at once. Who
is sent away (429, since the crowd is of one party and has its share of the places; or 503) comes back when
`Retry-After` says, with the same idempotency key and a fresh signature, as often as it takes. Every answer is verified
against its request, and the ledger must hold a release for each consumer, or there is no result.

The web process, PostgreSQL, the sequencer and the crowd are processes of their own, on one machine: the crowd takes its
share of the processor too. Times are wall times, as good as the machine is quiet.
"""

import asyncio
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from benchmarks.frame import result, row, show
from benchmarks.load import DOSSIERS, PATH, fault
from benchmarks.region import KEY, Bench, free_port, open_bench, process, serve, settings_of, subjects

from koinon.app.wiring import platform_key
from koinon.base import http_signatures
from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey, VerifyKey
from koinon.base.database import Database
from koinon.demo.region import FLOW, PURPOSE, load_key
from koinon.trust.gate.signed import MOST_AT_ONCE
from koinon.trust.ledger.sequencing.running import run_sequencer

CROWD = 10_000
_WARM_UP = 64
_MOST_SECONDS = 300.0


def run(*, quick: bool = False) -> dict[str, Any]:
    """The rows of the benchmark `crowd`; `quick` sends fewer and says so."""
    with open_bench(DOSSIERS) as bench:
        return uvloop.run(_measure(bench, CROWD // 5 if quick else CROWD, " (quick)" if quick else ""))


async def _measure(bench: Bench, crowd: int, mark: str) -> dict[str, Any]:
    port = free_port()
    async with (
        process("benchmarks.crowd", "sequencer", str(bench.home), bench.url),
        process("benchmarks.crowd", "web", str(bench.home), bench.url, str(port)) as web,
        await Database.open(bench.url, kind="owner", max_size=1) as database,
    ):
        await _send(bench, port, _WARM_UP, "W")
        before, start = await _released(database), _memory(web.pid)
        told = await _send(bench, port, crowd, "C")
        peak = _memory(web.pid, "VmHWM")
        made = await _released(database) - before
        if told["wrong"] or told["served"] != crowd or made < crowd:
            raise RuntimeError(f"{told}; {made} entries for {crowd} consumers")
        print(f"sent away: {told['codes']}", file=sys.stderr)
        after = await _send(bench, port, _WARM_UP, "A")
    codes = told["codes"]
    refusals = sum(codes.values())
    return result(
        "crowd",
        [
            row("consumers", f"connections that ask at the same moment, one web process{mark}", "", [crowd]),
            row("served", "of them answered in the end, each answer verified, one entry in the ledger for each",
                "", [told["served"]], f">= {crowd}"),
            row("lost", "consumers without an answer, or whose answer is not in the ledger", "",
                [crowd - told["served"] + max(0, crowd - made)], "<= 0"),
            row("again", "entries beyond one for each: recorded, and the answer did not leave, since the database had "
                "not said so in time", "", [made - crowd]),
            row("dishonest", "refusals that were not 429 or 503 with a code and Retry-After; connections cut", "",
                [told["mute"] + told["cut"]], "<= 0"),
            row("sent_away", "times that somebody was sent away: the party had its share (`share_taken`), there was no "
                "place (`platform_busy`), or the process was too far behind to know that nothing was suspended "
                "meanwhile (`standing_unconfirmed`)", "", [refusals]),
            row("sent_away_behind", "of them for the last reason", "", [codes.get("standing_unconfirmed", 0)]),
            row("served_at_first", f"answered at the first try; {MOST_AT_ONCE} places, half of them for one party", "",
                [told["at_first"]]),
            row("refused_p99_ms", "from sending to the whole refusal, 99th percentile, in the first wave", "ms",
                [told["refused_p99"]]),
            row("answered_p99_ms", "from sending to the whole answer of who was not sent away, 99th percentile", "ms",
                [told["answered_p99"]]),
            row("seconds", "until the last one had its answer, pauses included", "s", [told["seconds"]]),
            row("memory_mib", "by which the web process grew at most", "MiB", [(peak - start) / 1024], "<= 512"),
            row("afterwards_ms", f"the same process a moment later: median of {_WARM_UP} who ask at once", "ms",
                [after["answered_p50"]]),
        ],
    )  # fmt: skip


async def _send(bench: Bench, port: int, crowd: int, cases: str) -> dict[str, Any]:
    """A crowd of that size has been answered; what it saw."""
    async with process("benchmarks.crowd", "ask", str(bench.home), str(port), str(crowd), cases) as asking:
        assert asking.stdout is not None
        line = await asyncio.wait_for(asking.stdout.readline(), _MOST_SECONDS + 60)
        return dict(msgspec.json.decode(line))


async def _released(database: Database) -> int:
    async with database.acquire() as connection:
        query = "SELECT count(*) FROM ledger.entry WHERE kind = 'exchange.released'"
        return int(await connection.fetchval(query))


def _memory(pid: int, what: str = "VmRSS") -> int:
    """KiB of the process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])


class _Crowd:
    """What all of them saw."""

    def __init__(self) -> None:
        self.answered: list[float] = []
        self.refused: list[float] = []
        self.codes: Counter[str] = Counter()
        self.served = self.at_first = self.cut = self.mute = 0
        self.wrong: list[str] = []


class _Consumer:
    """One connection at a time, one question."""

    def __init__(
        self, crowd: _Crowd, keys: tuple[SigningKey, VerifyKey], port: int, case: str, subject: str
    ) -> None:
        self._crowd, self._port, self._case = crowd, port, case
        self._key, self._ours = keys
        self._authority = f"127.0.0.1:{port}"
        question = {"flow": FLOW, "purpose": PURPOSE, "case": case, "subject": {"national_number": subject}}
        self._body = msgspec.json.encode(question)

    async def connect(self) -> None:
        """It stands at the door."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._signature, self._request = self._sign()

    async def ask(self) -> None:
        """It has its answer; it stays connected until then, unless it is cut off."""
        crowd, first = self._crowd, True
        while True:
            began = time.perf_counter()
            try:
                self._writer.write(self._request)
                answer = await self._read()
            except (ConnectionError, asyncio.IncompleteReadError):
                crowd.cut += 1
                self._writer.close()
                await asyncio.sleep(1.0)
                await self.connect()
                continue
            took = (time.perf_counter() - began) * 1e3
            if answer.startswith(b"HTTP/1.1 200"):
                break
            if first:
                crowd.refused.append(took)
            first = False
            await asyncio.sleep(self._note(answer))
            self._signature, self._request = self._sign()
        if why := fault(self._signature, answer, self._ours):
            crowd.wrong.append(why)
        crowd.served += 1
        crowd.at_first += first
        if first:
            crowd.answered.append(took)
        self._writer.close()

    def _sign(self) -> tuple[bytes, bytes]:
        signed = http_signatures.sign_request(
            self._key, "POST", self._authority, PATH, b"", self._body, SystemClock().now()
        )
        head = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\nIdempotency-Key: %b\r\n" % (
            PATH, self._authority.encode(), len(self._body), self._case.encode(),
        )  # fmt: skip
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in signed.headers)
        return signed.signature, head + lines + b"\r\n" + self._body

    async def _read(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = _fields(head)
        return head + await self._reader.readexactly(int(fields[b"content-length"]))

    def _note(self, answer: bytes) -> float:
        """Seconds until it comes back; a refusal that does not say when, or why, is noted as such."""
        head, _, body = answer.partition(b"\r\n\r\n")
        code = msgspec.json.decode(body).get("code", "none")
        later = _fields(head + b"\r\n\r\n").get(b"retry-after", b"")
        known = answer.startswith((b"HTTP/1.1 429", b"HTTP/1.1 503")) and later.isdigit()
        self._crowd.mute += not known or code == "none"
        self._crowd.codes[code] += 1
        return float(later) if later.isdigit() else 1.0


def _fields(head: bytes) -> Mapping[bytes, bytes]:
    lines = head.strip().split(b"\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}


async def ask(home: Path, port: int, count: int, cases: str) -> None:
    """The crowd has its answers; prints what it saw."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("waiting", flush=True)
    known, crowd = subjects(DOSSIERS), _Crowd()
    keys = load_key(home, KEY), platform_key(home).verify_key
    consumers = [
        _Consumer(crowd, keys, port, f"{cases}{n:05}", known[n * 7 % DOSSIERS]) for n in range(count)
    ]
    for start in range(0, count, 500):  # so many at a time as the kernel lets wait at the door
        await asyncio.gather(*(each.connect() for each in consumers[start : start + 500]))
    began = time.perf_counter()
    async with asyncio.timeout(_MOST_SECONDS):
        await asyncio.gather(*(each.ask() for each in consumers))
    seconds = time.perf_counter() - began
    told = {
        "served": crowd.served, "at_first": crowd.at_first, "cut": crowd.cut, "mute": crowd.mute,
        "codes": dict(crowd.codes), "wrong": crowd.wrong[:1], "seconds": seconds, "refused_p99": _p99(crowd.refused),
        "answered_p99": _p99(crowd.answered),
        "answered_p50": statistics.median(crowd.answered) if crowd.answered else 0.0,
    }  # fmt: skip
    print(msgspec.json.encode(told).decode(), flush=True)


def _p99(found: list[float]) -> float:
    return statistics.quantiles(found, n=100)[98] if len(found) > 1 else 0.0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sequencer", home, url]:
            print("waiting", flush=True)
            uvloop.run(run_sequencer(settings_of(Path(home), url, 0), url))
        case ["web", home, url, port]:
            uvloop.run(serve(settings_of(Path(home), url, int(port))))
        case ["ask", home, port, count, cases]:
            uvloop.run(ask(Path(home), int(port), int(count), cases))
        case _:
            show(run())
