"""From the suspension to the last byte at a slow client, through nginx.

The stream is the platform's own (`POST /api/communications`), the proxy is Debian's nginx with `deploy/nginx.conf`,
over TLS, the clients read more slowly than they are served, so that every buffer on the way is full. The Commission
suspends from another process than the one that serves. Counted is when the client *read* its last byte, against the
moment just before the suspending transaction was told to commit; a client that reads slowly finds bytes in its own
kernel too, which is counted against us.

`blackholed`: before the suspension the serving process loses connections to the database without being told (they
stay open and nothing comes through): the one that carries notifications; that one, the one on which it asks for the
epoch, and every new one; or all of them.
"""

import asyncio
import os
import random
import re
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import AF_INET, IPPROTO_TCP, SO_RCVBUF, SOCK_STREAM, SOL_SOCKET, TCP_MAXSEG, socket
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import msgspec
import uvloop
from benchmarks.frame import RUNS, result, row, show
from benchmarks.region import KEY, ROOT, Bench, free_port, open_bench, process, serve, settings_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from koinon.base import http_signatures
from koinon.base.clock import SystemClock
from koinon.base.database import Database
from koinon.base.text import Text
from koinon.demo.region import AUTHORISATION, FLOW, PURPOSE, Seeder, load_key
from koinon.trust.ledger import Sealer
from koinon.trust.standing.acts import Deed, Target, TargetKind

NGINX = "/usr/sbin/nginx"
DOSSIERS = 20_000
TRIALS = 200
BLACKHOLED_TRIALS = 60
# Bytes in a second that a client reads: twice 512 kbit/s, 1 and 2 Mbit/s, together in every trial. What lies in buffers
# when the brake is pulled, some 25 kB, is still read: the slower, the longer. Slower ones are told apart.
PACES = (64_000, 64_000, 128_000, 250_000)
SLOWEST = 32_000
PATH = b"/api/communications"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
Hole = Literal["none", "listener", "listener_and_poll", "database"]
REASON = Text("Proef van de rem", "Essai du frein", "Trial of the brake")


def run(*, quick: bool = False) -> dict[str, Any]:
    """The rows of the benchmark `cut`; `quick` tries a tenth as often, and says so."""
    if not Path(NGINX).exists():
        raise RuntimeError(f"no {NGINX}: the benchmark needs Debian's package nginx")
    share, mark = (10, " (quick)") if quick else (1, "")
    with open_bench(DOSSIERS) as bench, tempfile.TemporaryDirectory(prefix="koinon-nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        found = uvloop.run(_measure(bench, folder, TRIALS // share, BLACKHOLED_TRIALS // share, mark))
    # Views of images are uses too, with more on their way: sockets, proxies, a player.
    from benchmarks import cut_video  # it takes parts of this module

    found["rows"] += cut_video.run(quick=quick)["rows"]
    return found


async def _measure(bench: Bench, folder: Path, trials: int, blackholed: int, mark: str) -> dict[str, Any]:
    port = free_port()
    holes: tuple[Hole, ...] = ("listener", "listener_and_poll", "database")
    async with (
        Wire.between(bench.url, folder) as wire,
        process(
            "benchmarks.cut", "web", str(bench.home), wire.url, f"unix:{folder}/web.sock", str(port)
        ) as web,
        nginx(folder, port),
        await Database.open(bench.url, kind="owner", max_size=2) as database,
    ):
        brake = Brake(bench, database)
        await _until_served(bench.home, port)
        whole = await asyncio.to_thread(Reader(bench.home, port, PACES[-1]).read, 600.0)
        slowest: list[float] = []
        took = {
            hole: await _cut(bench, port, brake, wire, hole, count, slowest)
            for hole, count in [("none", trials), *((hole, blackholed // len(holes)) for hole in holes)]
        }
        assert web.returncode is None
    late = [each for hole in holes for each in took[hole]]
    ordinary = sorted(took["none"])
    paces = ", ".join(f"{pace // 1000}" for pace in PACES)
    return result(
        "cut",
        [
            _highest("max_s", f"last byte read after the suspension, highest of {len(ordinary)} cut downloads, through "
                     f"nginx, by clients that read {paces} kB/s; min and max: the highest of each of {RUNS} equal parts"
                     f"{mark}", took["none"], "<= 1"),
            _highest("blackholed_max_s", f"the same of {len(late)} downloads whose process was cut off from the "
                     "database: from notifications; from those, the epoch and new connections; from all"
                     f"{mark}", late, "<= 1"),
            row("median_s", f"the same, median, nothing cut off{mark}", "s", ordinary),
            row("p99_s", f"the same, 99th percentile{mark}", "s", [ordinary[len(ordinary) * 99 // 100]]),
            *(
                _highest(f"{hole}_max_s", f"highest with `{hole}` cut off{mark}", took[hole], "<= 1")
                for hole in holes
            ),
            _highest(f"max_s_at_{SLOWEST // 1000}_kb_per_s", f"highest of {len(slowest)} at {SLOWEST // 1000} kB/s, "
                     f"with and without connections cut off, not counted above{mark}", slowest, "<= 1"),
            row("whole_download_s", f"the same download, not cut, at {PACES[-1] // 1000} kB/s: {whole.bytes:,} bytes "
                "to its signed last line", "s", [whole.seconds], ">= 30"),
        ],
    )  # fmt: skip


def _highest(key: str, what: str, values: Sequence[float], reach: str) -> dict[str, Any]:
    """A row whose value is the highest of all, not a median: one late byte is one too many."""
    size = max(1, len(values) // RUNS)
    parts = [max(values[start : start + size]) for start in range(0, len(values), size)]
    return {
        **row(key, what, "s", [max(values)], reach),
        "min": round(min(parts), 4),
        "max": round(max(parts), 4),
    }


async def _cut(
    bench: Bench, port: int, brake: "Brake", wire: "Wire", hole: Hole, count: int, slowest: list[float]
) -> list[float]:
    """Seconds from a suspension to the last byte, of `count` downloads, some at a time; `slowest` is added to."""
    found: list[float] = []
    disturbed = 0
    while len(found) < count:
        readers = [Reader(bench.home, port, pace) for pace in (*PACES, SLOWEST)]
        reading = [asyncio.create_task(asyncio.to_thread(each.read, 30.0)) for each in readers]
        await asyncio.sleep(1.0 + random.random() * 0.5)
        if any(task.done() for task in reading):
            # A process that is starved of its CPU cannot confirm the epoch and cuts by itself: no trial of the brake.
            disturbed += 1
            if disturbed > count / len(PACES):
                raise RuntimeError(f"downloads end before their time: {[each.end for each in readers]}")
            for reader in readers:
                reader.leave()
            await asyncio.gather(*reading)
            await _until_served(bench.home, port)
            continue
        await wire.cut_off(hole)
        suspended_at = await brake.suspend()
        await asyncio.gather(*reading)
        wire.mend()
        for reader in readers:
            if reader.end in ("whole", "left") or not reader.bytes:
                raise RuntimeError(f"a download was not cut: {reader.end}, {reader.bytes} bytes")
            late = max(0.0, reader.last_at - suspended_at)
            (found if reader.pace != SLOWEST else slowest).append(late)
        await brake.lift()
        await _until_served(bench.home, port)
    return found


async def _until_served(home: Path, port: int) -> None:
    """The process has seen that the suspension was lifted."""
    for _ in range(100):
        reader = Reader(home, port, 1_000_000)
        await asyncio.to_thread(reader.read, 0.05)
        if reader.bytes:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("not served again")


class Reader:
    """A client that reads a stream at its own pace.

    Attributes:
        last_at: when it read its last byte (`time.monotonic`).
        bytes: of the body and head, as read.
        end: `whole`, `left`, or how the connection ended.
    """

    def __init__(self, home: Path, port: int, pace: int) -> None:
        self.last_at = 0.0
        self.bytes = 0
        self.seconds = 0.0
        self.end = ""
        self._left = False
        self._home, self._port, self.pace = home, port, pace

    def leave(self) -> None:
        """It reads no more."""
        self._left = True

    def read(self, seconds: float) -> "Reader":
        """The stream has been read to its end, or for so long."""
        raw = socket(AF_INET, SOCK_STREAM)
        # As over a network, whose segments are not those of the loopback; and little room, so that a byte which
        # arrived is read soon: what waits in a client's own kernel cannot be taken back by anybody.
        raw.setsockopt(IPPROTO_TCP, TCP_MAXSEG, 1400)
        raw.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        raw.settimeout(10)
        raw.connect(("127.0.0.1", self._port))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(raw, server_hostname="koinon.example") as wire:
            wire.sendall(self._request())
            began = time.monotonic()
            tail = b""
            try:
                while time.monotonic() - began < seconds and not self._left:
                    data = wire.recv(2048)
                    if not data:
                        self.end = "whole" if tail.endswith(_LAST_CHUNK) else "closed"
                        break
                    if not tail and b" 200 " not in data[:20]:
                        self.end = data[:400].decode(errors="replace")
                        break
                    tail = (tail + data)[-16:]
                    self.last_at = time.monotonic()
                    self.bytes += len(data)
                    if tail.endswith(_LAST_CHUNK):
                        self.end = "whole"
                        break
                    # Never faster than its pace on the whole; after a pause it does not hurry.
                    time.sleep(len(data) / self.pace)
                else:
                    self.end = "left"
            except (OSError, ssl.SSLError) as error:
                self.end = type(error).__name__
            self.seconds = time.monotonic() - began
        return self

    def _request(self) -> bytes:
        authority = f"127.0.0.1:{self._port}"
        body = msgspec.json.encode({"flow": FLOW, "purpose": PURPOSE, "case": "YEARLY-2026"})
        key = load_key(self._home, KEY)
        signed = http_signatures.sign_request(key, "POST", authority, PATH, b"", body, SystemClock().now())
        head = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n" % (
            PATH,
            authority.encode(),
            len(body),
        )
        return (
            head + b"".join(name + b": " + value + b"\r\n" for name, value in signed.headers) + b"\r\n" + body
        )


class Brake:
    """The Commission, in this process: another one than serves."""

    def __init__(self, bench: Bench, database: Database) -> None:
        self._database = database
        self._seeder = Seeder(
            settings_of(bench.home, bench.url, 0), database, Sealer.of(bench.home), datetime.now(UTC)
        )

    async def suspend(self) -> float:
        """The authorisation is suspended; the moment just before that was committed."""
        return await self._act(Deed.SUSPEND)

    async def lift(self) -> None:
        """It counts again."""
        await self._act(Deed.RESUME)

    async def _act(self, deed: Deed) -> float:
        self._seeder.now = datetime.now(UTC)
        async with self._database.transaction() as connection:
            await self._seeder.act(
                connection, "chair", deed, Target(TargetKind.AUTHORISATION, AUTHORISATION), REASON
            )
            return time.monotonic()


class Wire:
    """What lies between the serving process and PostgreSQL; parts of it can be made to carry nothing, unnoticed.

    Attributes:
        url: of the database, by way of it.
    """

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        self._real = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._path = folder / ".s.PGSQL.5432"
        self.url = urlunsplit(parts._replace(query=f"host={quote(str(folder))}"))
        self._open = asyncio.Event()
        self._open.set()
        self._held: set[int] = set()
        self._all_new = False
        self._database: Database | None = None
        self._url = url
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def between(cls, url: str, folder: Path) -> AsyncIterator["Wire"]:
        """Carries everything, until it is told not to."""
        wire = cls(url, folder)
        server = await asyncio.start_unix_server(wire._carry, str(wire._path))
        wire._path.chmod(0o666)
        async with await Database.open(url, kind="owner", max_size=1) as database:
            wire._database = database
            yield wire
        server.close()
        for task in list(wire._tasks):
            task.cancel()

    async def cut_off(self, hole: Hole) -> None:
        """Nothing comes through any more on the connections that `hole` means; nobody is told."""
        if hole == "none":
            return
        assert self._database is not None
        async with self._database.acquire() as connection:
            # Those outside the pool: the one that listens, and the one that asked for the epoch last.
            rows = await connection.fetch(
                "SELECT pid, query FROM pg_stat_activity WHERE usename = 'koinon_web' ORDER BY query_start DESC"
            )
        # It listens, and asks for nothing but a sign of life afterwards.
        listening = [row["pid"] for row in rows if row["query"].startswith(("LISTEN", "SELECT 1"))]
        polling = [row["pid"] for row in rows if "standing.epoch" in row["query"]]
        if not listening or not polling:
            raise RuntimeError(
                f"the serving process does not listen or poll: {[row['query'] for row in rows]}"
            )
        self._open.clear()
        self._all_new = hole != "listener"
        self._held = {
            "listener": set(listening),
            "listener_and_poll": {*listening, *polling[:1]},
            "database": {row["pid"] for row in rows},
        }[hole]

    def mend(self) -> None:
        """Everything comes through again, what waited first."""
        self._held, self._all_new = set(), False
        self._open.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._real)
        pid: list[int] = []

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
            try:
                while data := await source.read(65_536):
                    # BackendKeyData tells the process number. Source: PostgreSQL, message formats.
                    if (
                        answers
                        and not pid
                        and (found := re.search(rb"K\x00\x00\x00[\x0c-\x28](.{4})", data, re.S))
                    ):
                        pid.append(int.from_bytes(found[1], "big"))
                    while not self._open.is_set() and (pid[0] in self._held if pid else self._all_new):
                        await self._open.wait()
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            finally:
                sink.close()

        for task in (
            asyncio.create_task(pump(reader, back, answers=False)),
            asyncio.create_task(pump(there, writer, answers=True)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def nginx(folder: Path, port: int) -> AsyncIterator[None]:
    """nginx with `deploy/nginx.conf` in front of `folder/web.sock`; only names, paths and ports are other ones."""
    _certificate(folder)
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for old, new in {
        r"^user .*$": "user root;" if os.geteuid() == 0 else "",
        r"unix:/run/koinon-web-1/web\.sock": f"unix:{folder}/web.sock",
        r"listen 80;": f"listen 127.0.0.1:{free_port()};",
        r"listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        r"koinon\.example": "127.0.0.1 koinon.example",
        r"308 https://.*?\$": "308 https://koinon.example$",
        r"/etc/koinon/tls/server": f"{folder}/server",
        r"/run/nginx\.pid": f"{folder}/nginx.pid",
        r"/var/log/nginx/": f"{folder}/",
    }.items():
        text, times = re.subn(old, new.replace("\\", ""), text, flags=re.M)
        if not times:
            raise RuntimeError(f"deploy/nginx.conf has no {old}")
    (folder / "nginx.conf").write_text("daemon off;\n" + text)
    child = await asyncio.create_subprocess_exec(
        NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"),
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        for _ in range(100):
            await asyncio.sleep(0.05)
            if child.returncode is not None:
                assert child.stderr is not None
                raise RuntimeError((await child.stderr.read()).decode())
            if (folder / "nginx.pid").exists():
                break
        yield
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()


def _certificate(folder: Path) -> None:
    """A certificate that nobody believes, for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "koinon.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("koinon.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _serve(home: str, url: str, host: str, port: str) -> None:
    settings = msgspec.structs.replace(
        settings_of(Path(home), url, 0), host=host, public_origin=f"https://127.0.0.1:{port}"
    )
    uvloop.run(serve(settings))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["web", home, url, host, port]:
            _serve(home, url, host, port)
        case _:
            show(run(quick="--quick" in sys.argv))
