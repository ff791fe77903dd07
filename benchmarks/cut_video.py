"""From the suspension to the last byte of a picture, and to the black screen, of views live and of recordings.

All is the platform's own: convention, authorisation, rights, gate, live socket, player; the proxy is Debian's nginx
with `deploy/nginx.conf`, over TLS. The Commission suspends the authorisation from another process than serves.
Watching are a Chromium with the portal's page, and readers without a screen, one as fast as the picture comes, others
slower, so that every buffer on the way is full. Counted is when a reader *read* its last byte and when the player took
the picture off the screen, against the moment just before the suspending transaction was told to commit.
"""

import argparse
import asyncio
import json
import shutil
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import uvloop
from benchmarks.cut import NGINX, nginx
from benchmarks.frame import RUNS, result, row, show
from benchmarks.live import make_clock_clip
from benchmarks.live import process as source
from benchmarks.region import Bench, free_port, open_bench, process, settings_of

from koinon.base.clock import BRUSSELS
from koinon.base.database import Database
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.demo.cameras_seed import CAMERAS, seed_cameras
from koinon.demo.region import Region, Seeder
from koinon.demo.region.video import INVESTIGATION, PUBLIC_ORDER, VIDEO
from koinon.trust.ledger import Sealer
from koinon.trust.parties.model import LOCAL_ISSUER
from koinon.trust.parties.sign_in.sessions import Sessions
from koinon.trust.standing.acts import Deed, Target, TargetKind
from koinon.video.recorder import Camera, Disk, Options, Unit, parse_source, prepare_folder
from koinon.video.recorder.disk import read_marker
from koinon.video.recordings import Track, store
from koinon.video.recordings.model import NewUnit

TRIALS = 100
CAMERA = "south-1"
LOGIN = "wim"
# Bytes in a second that readers take: the picture is 250 kB in a second.
PACES = (1_000_000, 250_000, 128_000)
REASON = Text("Proef van de rem", "Essai du frein", "Trial of the brake")
RECORDED = 25  # seconds that are looked back at
SHOWS = """() => [...document.querySelectorAll("video")].some(
  (video) => video.readyState > 1 && !video.paused && !video.classList.contains("is-blank"))"""
# When the picture went off the screen, Unix milliseconds.
WATCH_BLANK = """() => {
  const video = document.querySelector("video");
  window.blank = 0;
  const look = () => {
    if (window.blank || !video.classList.contains("is-blank")) return;
    window.blank = performance.timeOrigin + performance.now();
  };
  new MutationObserver(look).observe(video, {attributes: true});
  look();
}"""


def run(*, trials: int = TRIALS, quick: bool = False) -> dict[str, Any]:
    """The rows of the benchmark `cut_video`; `quick`: a twentieth of the trials."""
    if quick:
        trials = max(1, trials // 20)
    if not Path(NGINX).exists():
        raise RuntimeError(f"no {NGINX}: the benchmark needs Debian's package nginx")
    if shutil.which("chromium") is None:
        raise RuntimeError("no chromium: the benchmark needs Debian's package of that name")
    with open_bench(10) as bench, tempfile.TemporaryDirectory(prefix="koinon-video-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        return uvloop.run(_measure(bench, folder, trials))


async def _measure(bench: Bench, folder: Path, trials: int) -> dict[str, Any]:
    clip, port = folder / "clock.mp4", free_port()
    make_clock_clip(clip)
    with source("cameras", str(clip)) as (_, cameras):
        async with (
            await Database.open(bench.url, kind="owner", max_size=2) as database,
            _seeded(bench, database, cameras) as (camera, token, investigator),
            process("benchmarks.cut_video", "tap", str(bench.home), bench.url, cameras),
            process(
                "benchmarks.cut", "web", str(bench.home), bench.url, f"unix:{folder}/web.sock", str(port)
            ),
            nginx(folder, port),
        ):
            brake = Brake(bench, database)
            begins = await _record(bench, database, camera, cameras)
            async with _page(port, token) as page:
                sent, blanked, said = await _cut_live(page, port, camera, token, brake, trials)
            async with _page(port, investigator) as page:
                back = await _cut_playback(page, port, camera, investigator, begins, brake, trials)
    both = [max(pair) for pair in zip(sent, blanked, strict=True)]
    looked = [max(pair) for pair in zip(*back, strict=True)]
    return result(
        "cut_video",
        [
            _highest("video_max_s", f"last byte read and picture off the screen after the suspension, highest of "
                     f"{len(both)} suspensions of live views and {len(looked)} of playback, with {len(PACES)} readers "
                     f"and a Chromium each; min and max: the highest of each of {RUNS} equal parts", [*both, *looked],
                     "<= 1"),
            _highest("video_live_max_s", "the same, live", both, "<= 1"),
            _highest("video_playback_max_s", "the same, playback", looked, "<= 1"),
            row("last_byte_median_s", "the slowest reader's last byte, median", "s", sent),
            row("blanked_median_s", "picture off the screen, median", "s", blanked),
            row("said_why", "cuts after which the page said the reason as soon as the readers were done", "%", [said]),
        ],
    )  # fmt: skip


def _highest(key: str, what: str, values: list[float], reach: str) -> dict[str, Any]:
    size = max(1, len(values) // RUNS)
    parts = [max(values[start : start + size]) for start in range(0, len(values), size)]
    made = row(key, what, "s", [max(values)], reach)
    return {**made, "min": round(min(parts), 4), "max": round(max(parts), 4)}


async def _cut_live(
    page: Any, port: int, camera: str, token: str, brake: "Brake", trials: int
) -> tuple[list[float], list[float], float]:
    """For each suspension: seconds to the last byte of the slowest reader, and to the black screen; and in how many of
    a hundred the page said at once why.
    """
    await page.goto(f"https://koinon.example:{port}/video/cameras/{CAMERA}/live")
    await page.fill("[name=case]", "BENCH")
    await page.select_option("[name=purpose]", PUBLIC_ORDER)
    await page.click("[data-scripted]")
    sent: list[float] = []
    blanked: list[float] = []
    said = 0
    while len(sent) < trials:
        await page.wait_for_selector(".live-player[data-state=live]", timeout=30_000)
        request = {"camera": camera, "action": "view_live", "purpose": PUBLIC_ORDER, "case": "BENCH"}
        readers = [Reader(port, "/video/live", request, token, pace) for pace in PACES]
        reading = [asyncio.create_task(asyncio.to_thread(each.read, 30.0)) for each in readers]
        await asyncio.sleep(1.5)
        await page.evaluate(WATCH_BLANK)
        if any(task.done() for task in reading) or await page.evaluate("window.blank"):
            raise RuntimeError(f"views end before their time: {[each.end for each in readers]}")
        suspended_at, wall = await brake.suspend()
        await page.wait_for_function("() => window.blank", timeout=10_000)
        await asyncio.gather(*reading)
        if any(each.end == "left" or each.bytes < 50_000 for each in readers):
            raise RuntimeError(f"a view was not cut: {[(each.end, each.bytes) for each in readers]}")
        sent.append(max(0.0, *(each.last_at - suspended_at for each in readers)))
        blanked.append(max(0.0, await page.evaluate("window.blank") / 1000 - wall))
        said += await page.evaluate("document.querySelector('.live-player').dataset.state") in (
            "cut",
            "refused",
        )
        await brake.lift()
        await asyncio.sleep(0.5)
        # It may have found out by itself already: a connection that was lost without a word is tried again.
        await page.evaluate(
            "() => { const b = document.querySelector('.live-retry'); if (!b.hidden) b.click(); }"
        )
    return sent, blanked, 100 * said / trials


async def _cut_playback(
    page: Any, port: int, camera: str, token: str, begins: datetime, brake: "Brake", trials: int
) -> tuple[list[float], list[float]]:
    """For each suspension: seconds to the last byte of the slowest reader of recordings, and to the black screen."""
    request = {
        "camera": camera, "action": "view_recording", "purpose": INVESTIGATION, "case": "BENCH",
        "since": begins.isoformat(), "until": (begins + timedelta(seconds=RECORDED)).isoformat(),
    }  # fmt: skip
    await page.goto(f"https://koinon.example:{port}/video/playback?lang=en")
    local = begins.astimezone(BRUSSELS)
    await page.check(f"input[name=camera][value='{camera}']")
    await page.fill("[name=date]", f"{local:%Y-%m-%d}")
    await page.fill("[name=time]", f"{local:%H:%M}")
    await page.select_option("[name=length]", "900")
    await page.select_option("[name=purpose]", INVESTIGATION)
    await page.fill("[name=case]", "BENCH")
    await page.click(".playback-ask .actions button")
    sent: list[float] = []
    blanked: list[float] = []
    while len(sent) < trials:
        await page.wait_for_function(SHOWS, timeout=30_000)
        await page.focus("[data-timeline]")
        await page.keyboard.press("Home")
        await asyncio.sleep(0.5)
        await page.wait_for_function(SHOWS, timeout=30_000)
        readers = [Reader(port, "/video/playback", request, token, pace) for pace in PACES]
        reading = [asyncio.create_task(asyncio.to_thread(each.read, 30.0)) for each in readers]
        await asyncio.sleep(1.5)
        await page.evaluate(WATCH_BLANK)
        if any(task.done() for task in reading) or await page.evaluate("window.blank"):
            raise RuntimeError(f"views end before their time: {[each.end for each in readers]}")
        suspended_at, wall = await brake.suspend()
        await page.wait_for_function("() => window.blank", timeout=10_000)
        await asyncio.gather(*reading)
        if any(each.end == "left" or each.bytes < 50_000 for each in readers):
            raise RuntimeError(f"a view was not cut: {[(each.end, each.bytes) for each in readers]}")
        sent.append(max(0.0, *(each.last_at - suspended_at for each in readers)))
        blanked.append(max(0.0, await page.evaluate("window.blank") / 1000 - wall))
        await brake.lift()
        await asyncio.sleep(0.5)
        await page.click(".playback-retry")
    return sent, blanked


async def _record(bench: Bench, database: Database, camera: str, cameras: str) -> datetime:
    """The camera has been recorded for a while, where the web process looks; when that began."""
    folder = bench.home / "recordings"
    prepare_folder(folder)
    disk = Disk(folder, least_free=1 << 20)
    units: list[Unit] = []
    async with database.acquire() as connection:
        stream = await connection.fetchval(
            "SELECT id FROM cameras.stream WHERE camera = $1 AND role = 'main'", UUID(camera)
        )
    options = Options(name=CAMERA, unit_seconds=5.0, stream=stream)
    recorded = Camera(
        parse_source(f"rtsp://127.0.0.1:{cameras}/{CAMERA}"), options, disk,
        on_unit=units.append, on_gap=lambda gap: None,
    )  # fmt: skip
    stop = asyncio.Event()
    task = asyncio.create_task(recorded.record(stop))
    await asyncio.sleep(RECORDED + 1)
    stop.set()
    await task
    await asyncio.to_thread(disk.close)
    async with database.transaction() as connection:
        place = await store.ensure_place(connection, read_marker(folder), "folder", str(folder))
        for unit in units:
            new = NewUnit(
                track=Track(stream, 0), unit=unit, place=place.id, entry=await store.ensure_entry(connection, unit),
                file=str(unit.path.relative_to(folder)),
            )  # fmt: skip
            if not await store.adopt_unit(connection, new):
                raise RuntimeError("a unit is not in the index")
    return units[0].start


class Brake:
    """The Commission, in this process: another one than serves."""

    def __init__(self, bench: Bench, database: Database) -> None:
        self._database = database
        settings = settings_of(bench.home, bench.url, 0)
        self._seeder = Seeder(settings, database, Sealer.of(bench.home), datetime.now(UTC))

    async def suspend(self) -> tuple[float, float]:
        """The authorisation is suspended; the moment just before, by the monotonic and by the wall clock."""
        return await self._act(Deed.SUSPEND)

    async def lift(self) -> None:
        """It counts again."""
        await self._act(Deed.RESUME)

    async def _act(self, deed: Deed) -> tuple[float, float]:
        self._seeder.now = datetime.now(UTC)
        async with self._database.transaction() as connection:
            await self._seeder.act(connection, "chair", deed, Target(TargetKind.AUTHORISATION, VIDEO), REASON)
            return time.monotonic(), time.time()


class Reader:
    """A player without a screen, which reads at its own pace.

    Attributes:
        last_at: when it read its last byte (`time.monotonic`).
        bytes: as read. end: `left`, or how the connection ended.
    """

    def __init__(self, port: int, path: str, request: dict[str, str], token: str, pace: int) -> None:
        self.last_at = 0.0
        self.bytes = 0
        self.end = ""
        self._port, self._path, self._request, self._token, self._pace = port, path, request, token, pace

    def read(self, seconds: float) -> None:
        """The view has been read to its end, or for so long."""
        raw = socket.socket()
        # As over a network; and little room, so that a byte which arrived is read soon.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(10)
        raw.connect(("127.0.0.1", self._port))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(raw, server_hostname="koinon.example") as wire:
            host = f"koinon.example:{self._port}"
            lines = [
                f"GET {self._path} HTTP/1.1", f"Host: {host}", f"Origin: https://{host}", "Upgrade: websocket",
                "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
                f"Cookie: koinon_session={self._token}",
            ]  # fmt: skip
            wire.sendall("\r\n".join([*lines, "", ""]).encode())
            head = wire.recv(4096)
            if b" 101 " not in head[:20]:
                self.end = head[:200].decode(errors="replace")
                return
            body = json.dumps(self._request).encode()
            wire.sendall(b"\x81\xfe" + len(body).to_bytes(2, "big") + bytes(4) + body)
            began = time.monotonic()
            try:
                while time.monotonic() - began < seconds:
                    data = wire.recv(2048)
                    if not data:
                        self.end = "closed"
                        return
                    self.last_at = time.monotonic()
                    self.bytes += len(data)
                    time.sleep(len(data) / self._pace)
                self.end = "left"
            except (OSError, ssl.SSLError) as error:
                self.end = type(error).__name__


@asynccontextmanager
async def _seeded(bench: Bench, database: Database, cameras: str) -> AsyncIterator[tuple[str, str, str]]:
    """The demo cameras, pictures from those virtual ones; the id of one, sessions of who watches and who looks back."""
    now, sealer = datetime.now(UTC), Sealer.of(bench.home)
    urls = {each.code: f"rtsp://127.0.0.1:{cameras}/{each.code}" for each in CAMERAS}
    async with database.transaction() as connection:
        ids = await seed_cameras(
            connection, sealer, bench.home, Region.load(bench.home).parties, urls, at=now
        )
        token = await Sessions(sealer).open(connection, LOCAL_ISSUER, LOGIN, now)
        investigator = await Sessions(sealer).open(connection, LOCAL_ISSUER, "iris", now)
    yield str(ids[CAMERA]), token, investigator


@asynccontextmanager
async def _page(port: int, token: str) -> AsyncIterator[Any]:
    """A page of Chromium in which that session is signed in."""
    import os

    from playwright.async_api import async_playwright

    flags = [
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "--disable-gpu", "--disable-quic", "--host-resolver-rules=MAP koinon.example 127.0.0.1",
    ]  # fmt: skip
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        context = await running.new_context(ignore_https_errors=True, locale="en")
        await context.add_cookies(
            [{"name": "koinon_session", "value": token, "url": f"https://koinon.example:{port}"}]
        )
        yield await context.new_page()
        await running.close()


async def _tap(home: str, url: str, cameras: str) -> None:
    """A recorder's tap on the demo cameras, as a recorder says of itself that it serves them."""
    from koinon.video.live import Tap, tap_key
    from koinon.video.live.alone import feed

    tap = Tap(tap_key(Path(home)))
    await tap.start("tcp:127.0.0.1:0")
    async with await Database.open(url, kind="owner", max_size=1) as database:
        async with database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT s.id, c.code FROM cameras.stream s JOIN cameras.camera c ON c.id = s.camera WHERE role = 'main'"
            )
            recorder = new_id()
            await connection.execute(
                "INSERT INTO recordings.recorder (id, host, pid, tap_address, able) VALUES ($1, 'bench', 1, $2, true)",
                recorder,
                tap.address,
            )
            await connection.executemany(
                "INSERT INTO recordings.serving (stream, copy, recorder, fence) VALUES ($1, 0, $2, 1)",
                [(row["id"], recorder) for row in rows],
            )
        print("serving", flush=True)

        async def be_seen() -> None:
            while True:
                async with database.acquire() as connection:
                    await connection.execute(
                        "UPDATE recordings.recorder SET seen_at = now() WHERE id = $1", recorder
                    )
                await asyncio.sleep(2)

        sources = {
            row["id"]: parse_source(f"rtsp://127.0.0.1:{cameras}/{row['code']}")
            for row in rows
            if row["code"] == CAMERA
        }
        async with asyncio.TaskGroup() as group:
            group.create_task(be_seen())
            group.create_task(feed(tap, sources))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["tap", home, url, cameras]:
            with suppress(KeyboardInterrupt):
                uvloop.run(_tap(home, url, cameras))
        case _:
            parser = argparse.ArgumentParser(description=__doc__)
            parser.add_argument("--trials", type=int, default=TRIALS)
            parser.add_argument("--json", action="store_true")
            show(run(trials=parser.parse_args().trials))
