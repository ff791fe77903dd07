"""Live view: from the clock burned into the picture to the screen of a real Chromium, viewers a core, first picture.

Virtual cameras (a process) send H.264 720p25, 2 Mbit/s, GOP 2 s, no B-frames, by RTSP over TCP. A frame carries its
number as a row of black and white blocks; it is sent when the time of day is a multiple of the clip's length plus its
own place, so that the picture says when it left the camera. A tap (a process, as a recorder has it) gives the frames
to a web process, which is what is measured; the page is the portal's own.

`p95_ms`: the moment of `requestVideoFrameCallback` less that time, of every frame shown in a run.
`viewers_per_core`: viewers for whom the CPU seconds of the web process would suffice, by frames that came: a run in
which frames are late flatters nobody. The viewers read and do not decode.
`first_picture_ms`: from the click to the first picture, the first viewer of a stream as well as a later one.
Who may see what is decided by a stand-in that says yes: `cut_video` measures with the real one.

Peer: aiortc, H.264 passed on as it is over WebRTC; the same camera, page and clock.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import types
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import uvloop
from benchmarks.frame import RUNS, CpuMeter, result, row, show

SECONDS = 12.0
VIEWERS = 200
FIRST = 10
BLOCKS: Final = 12
LENGTH_SECONDS: Final = 10
KEY = bytes(32)
PARTY = UUID(int=7)
REQUEST = {"action": "view_live", "purpose": "public-order", "case": "BENCH"}

# Reads the blocks of the frame that is on the screen now; `late` are milliseconds.
READ: Final = """(length) => {
  const video = document.querySelector("video"), canvas = document.createElement("canvas");
  canvas.width = 1280; canvas.height = 8;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  window.late = []; window.numbers = [];
  const read = () => {
    const now = performance.timeOrigin + performance.now();
    pen.drawImage(video, 0, 12, 1280, 8, 0, 0, 1280, 8);
    const dots = pen.getImageData(0, 4, 1280, 1).data;
    let number = 0;
    for (let each = 0; each < 12; each++) number = number * 2 + (dots[(each * 64 + 32) * 4] > 127 ? 1 : 0);
    let late = now % length - number * 40;
    if (late < -length / 2) late += length;
    window.late.push(late); window.numbers.push(number);
    video.requestVideoFrameCallback(read);
  };
  video.requestVideoFrameCallback(read);
}"""


def run(
    *,
    seconds: float = SECONDS,
    viewers: int = VIEWERS,
    runs: int = RUNS,
    first: int = FIRST,
    quick: bool = False,
) -> dict[str, Any]:
    """The rows of the benchmark `live`. `quick`: one run of 5 s, a tenth of the viewers."""
    if quick:
        seconds, viewers, runs, first = min(seconds, 5), max(1, viewers // 10), 1, 2
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("no chromium: the benchmark needs Debian's package of that name")
    with tempfile.TemporaryDirectory(prefix="koinon-live-") as name:
        return uvloop.run(_measure(Path(name), chromium, seconds, viewers, runs, first))


async def _measure(
    place: Path, chromium: str, seconds: float, viewers: int, runs: int, first: int
) -> dict[str, Any]:
    clip = place / "clock.mp4"
    make_clock_clip(clip)
    with (
        process("cameras", str(clip)) as (_, cameras),
        process("tap", cameras, f"unix:{place}/tap.sock") as (_, tap),
        process("web", tap) as (web, port),
    ):
        origin = f"http://127.0.0.1:{port}"
        late: list[list[float]] = []
        peer: list[list[float]] = []
        firsts: list[float] = []
        shown: list[float] = []
        async with browser(chromium) as open_page:
            for each in range(runs):
                found = await _watch(open_page, origin, seconds)
                late.append(found)
                shown.append(len(found) / seconds)
                if each < 3:
                    peer.append(await _watch_aiortc(open_page, cameras, seconds))
            for each in range(first):
                if each % 2:
                    await asyncio.sleep(6)  # the stream is let go: this viewer is its first
                firsts.append(await _first_picture(open_page, origin))
        cost = [await _load(web, int(port), viewers, seconds) for _ in range(runs)]
    p95 = [_percentile(each, 95) for each in late]
    return result(
        "live",
        [
            row("p95_ms", f"burned clock to screen in Chromium, 95th percentile of {seconds:.0f} s, one viewer", "ms",
                p95, "<= 80", {"aiortc": statistics.median(_percentile(each, 95) for each in peer)}),
            row("p50_ms", "the same, median", "ms", [_percentile(each, 50) for each in late], "",
                {"aiortc": statistics.median(_percentile(each, 50) for each in peer)}),
            row("shown_per_s", "frames on the screen in a second, of 25", "", shown),
            row("viewers_per_core", f"viewers of 2 Mbit/s for whom one core suffices, from the CPU seconds of the web "
                f"process with {viewers} viewers of one camera", "", [each[0] for each in cost], ">= 1000"),
            row("on_time", "frames that reached the viewers of those that the camera sent", "%",
                [each[1] for each in cost]),
            row("first_picture_ms", "click to first picture, every second time as the stream's first viewer", "ms",
                firsts, "<= 300"),
        ],
    )  # fmt: skip


async def _watch(open_page: Any, origin: str, seconds: float) -> list[float]:
    page = await open_page()
    await page.goto(f"{origin}/video/cameras/c1/live")
    await page.click("[data-scripted]")
    try:
        await page.wait_for_selector(".live-player[data-state=live]", timeout=15_000)
    except Exception:
        raise RuntimeError(f"no live picture: {await page.inner_text('main')}") from None
    return await _read(page, seconds)


async def _read(page: Any, seconds: float) -> list[float]:
    await asyncio.sleep(2)  # the picture settles at the newest frame
    await page.evaluate(READ, LENGTH_SECONDS * 1000)
    await asyncio.sleep(seconds)
    late: list[float] = await page.evaluate("window.late")
    await page.context.close()
    if len(late) < seconds:
        raise RuntimeError(f"only {len(late)} frames were shown in {seconds:.0f} s")
    return late


async def _first_picture(open_page: Any, origin: str) -> float:
    page = await open_page()
    await page.goto(f"{origin}/video/cameras/c1/live")
    await page.wait_for_selector("[data-scripted]:enabled")
    await asyncio.sleep(1)
    took: float = await page.evaluate(
        """() => new Promise((done) => {
             const began = performance.now();
             new MutationObserver(() => {
               if (document.querySelector(".live-player[data-state=live]")) done(performance.now() - began);
             }).observe(document.body, {subtree: true, childList: true, attributes: true});
             document.querySelector("[data-scripted]").click();
           })"""
    )
    await page.context.close()
    return took


async def _load(web: int, port: int, viewers: int, seconds: float) -> tuple[float, float]:
    """Viewers a core, and the share of frames in time, of a run with so many who read and do not decode."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.live", "readers", str(port), str(viewers), str(seconds),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    await child.stdout.readline()  # all of them see a picture
    meter = CpuMeter(web)
    child.stdin.write(b"go\n")
    told = json.loads(await child.stdout.readline())
    used = meter.seconds()
    await child.wait()
    # By frames, not by the wall clock: so many seconds of 25 frames were delivered to viewers.
    delivered = told["frames"] / 25
    return delivered / used, 100 * delivered / (viewers * told["seconds"])


async def _watch_aiortc(open_page: Any, cameras: str, seconds: float) -> list[float]:
    with process("aiortc", cameras) as (_, port):
        page = await open_page()
        await page.goto(f"http://127.0.0.1:{port}/")
        await page.wait_for_function("() => document.querySelector('video').videoWidth > 0", timeout=30_000)
        return await _read(page, seconds)


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


@contextmanager
def process(*arguments: str) -> Iterator[tuple[int, str]]:
    """A process of this module; its id, and the line that it prints when it is ready."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.live", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        ready = child.stdout.readline().strip()
        if not ready:
            raise RuntimeError(f"{arguments[0]} did not start")
        yield child.pid, ready
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


@asynccontextmanager
async def browser(chromium: str) -> AsyncIterator[Any]:
    """`await open_page()`: a page with nothing remembered."""
    from playwright.async_api import async_playwright

    flags = [
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--autoplay-policy=no-user-gesture-required",
        # WebRTC of the peer, which else leaves the loopback.
        "--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns",
    ]  # fmt: skip
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=flags)

        async def open_page() -> Any:
            return await (await running.new_context(viewport={"width": 1400, "height": 1000})).new_page()

        yield open_page
        await running.close()


# The processes


def make_clock_clip(path: Path) -> None:
    """A clip of ten seconds, 720p25, 2 Mbit/s, GOP 2 s, whose frames carry their numbers as blocks at the top."""
    import av
    import numpy as np

    chance = np.random.default_rng(1)
    noise = chance.integers(0, 255, (720, 1280), dtype=np.uint8)
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 1280, 720, "yuv420p", 2_000_000
        stream.options = {
            "preset": "veryfast", "tune": "zerolatency", "profile": "main",
            "x264-params": "keyint=50:min-keyint=50:scenecut=0:bframes=0:repeat-headers=1:"
            "vbv-maxrate=2000:vbv-bufsize=1000:nal-hrd=cbr",
        }  # fmt: skip
        for number in range(25 * LENGTH_SECONDS):
            luma = np.roll(noise // 3 + 60, 4 * number, axis=1)
            luma[:32] = 0
            for block in range(BLOCKS):
                if number >> (BLOCKS - 1 - block) & 1:
                    luma[:32, block * 64 : block * 64 + 64] = 255
            picture = np.concatenate([luma, np.full((360, 1280), 128, np.uint8)])
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)


async def _cameras(clip: str) -> None:
    from koinon.demo.cameras import CameraServer, read_clip

    async with CameraServer([read_clip(Path(clip))]) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


async def _tap(cameras: str, address: str) -> None:
    from koinon.video.live import Tap
    from koinon.video.live.alone import feed
    from koinon.video.recorder import parse_source

    tap = Tap(KEY)
    await tap.start(address)
    print(tap.address, flush=True)
    await feed(tap, {1: parse_source(f"rtsp://127.0.0.1:{cameras}/c1")})


async def _web(tap: str) -> None:
    from koinon.app.server import listen, server

    async def locate(stream: int) -> str:
        return tap

    listener = listen("127.0.0.1", 0)
    app = _application(locate)
    print(listener.getsockname()[1], flush=True)
    await server(app, host="127.0.0.1", port=0).serve([listener])


def _application(locate: Any) -> Any:
    """The live pages and their socket, with a stand-in for the rights that says yes to everything."""
    from litestar import Litestar
    from litestar.di import Provide

    from koinon.base.text import Text
    from koinon.portal import Portal, problem_document
    from koinon.trust.parties import PartyId, PersonId
    from koinon.trust.parties.sign_in import Session, viewer_of
    from koinon.trust.standing import Standing
    from koinon.video import rights
    from koinon.video.cameras import Camera, CameraId, PlaceKind, Sensor
    from koinon.video.live import web
    from koinon.video.live.hub import Hub
    from koinon.video.live.socket import LiveSocket
    from koinon.video.steering import Steering

    name = Text("Zone West", "Zone Ouest", "Zone West")
    now = datetime.now(UTC)
    session = Session(
        token_hash=b"t" * 32, csrf_token="csrf", issuer="local", subject="an", person=PersonId(UUID(int=3)),
        party=PartyId(PARTY),
        party_kind="police_zone", party_name=name, name="Bench", profile=None, language=None, signed_in_at=now,
        expires_at=now,
    )  # fmt: skip
    camera = Camera(
        id=CameraId(UUID(int=1)), code="c1", owner=PartyId(PARTY), name="Camera 1", latitude=50.8, longitude=4.3,
        place_kind=PlaceKind.PUBLIC_OPEN, municipality="21004", sensor=Sensor.FIXED,
    )  # fmt: skip

    class Yes(rights.Rights):
        def __init__(self) -> None: ...

        async def open(self, session: Any, request: Any, **options: Any) -> Any:
            return types.SimpleNamespace(
                id=UUID(int=1), request=request, masked=False, watermark=name,
                use=types.SimpleNamespace(cut=None, bytes=0),
                go_on=_nothing, end=_nothing, on_cut=lambda act: None,
            )  # fmt: skip

        async def find_station(self, session: Any) -> Any:
            return None

        async def list_offers(self, session: Any, action: Any, among: Any = None, **options: Any) -> Any:
            return []

        async def list_stops(self, session: Any, action: Any, among: Any, offers: Any) -> Any:
            return []

        async def list_visible_cameras(self, session: Any, action: Any) -> Any:
            return [camera]

    class Known(Standing):
        def __init__(self) -> None:
            zone: Any = types.SimpleNamespace(name=Text("Zone", "Zone", "Zone"))
            self.register: Any = types.SimpleNamespace(parties={PARTY: zone})

        def list_purposes(self, *_: Any) -> Any:
            return {"public-order"}

    class Empty(_database_type()):  # type: ignore[misc]
        def __init__(self) -> None: ...

        @asynccontextmanager
        async def acquire(self) -> AsyncIterator[Any]:
            yield types.SimpleNamespace(fetchval=_nothing)

    live: Any = types.SimpleNamespace(hub=Hub(locate, KEY), find=_stream_one)
    portal = Portal(packages=["koinon.video.rights", "koinon.video.live"], viewer_of=viewer_of)

    class Still(Steering):
        def __init__(self) -> None: ...

        async def list_steerable(self, among: Any) -> set[Any]:
            return set()

    given = {
        "session": session, "rights": Yes(), "standing": Known(), "steering": Still(), "database": Empty()
    }  # fmt: skip
    pages: Any = Litestar(
        route_handlers=list(web.handlers),
        plugins=[portal],
        dependencies={key: Provide(_constant(value), sync_to_thread=False) for key, value in given.items()},
        logging_config=None,
    )
    socket = LiveSocket(
        live,
        Yes(),
        describe=lambda connection, error: problem_document(portal, connection, error),
        language_of=portal.language_of,
        find_session=_session_of(session),
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        # Everybody has a session of their own: one session may open a wall, not a thousand views.
        own = msgspec.structs.replace(session, token_hash=os.urandom(32))
        scope.setdefault("state", {})["koinon_session"] = own
        await (socket if scope["type"] == "websocket" else pages)(scope, receive, send)

    return app


def _database_type() -> type:
    from koinon.base.database import Database

    return Database


async def _nothing(*values: Any, **options: Any) -> None:
    return None


async def _stream_one(camera: Any, role: str) -> int | None:
    return 1 if role == "main" else None


def _session_of(session: Any) -> Any:
    async def find(connection: Any) -> Any:
        return session

    return find


def _constant(value: Any) -> Any:
    return lambda: value


class _Reader(asyncio.BufferedProtocol):
    """A viewer who reads and throws away, counting whole messages by their heads."""

    buffer = memoryview(bytearray(1 << 18))  # of all: nobody looks at it

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self.greeted = False
        self.port = port

    def connection_made(self, transport: Any) -> None:
        origin = f"127.0.0.1:{self.port}"
        lines = [
            "GET /video/live HTTP/1.1", f"Host: {origin}", f"Origin: http://{origin}", "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
        ]  # fmt: skip
        transport.write("\r\n".join([*lines, "", ""]).encode())
        self.transport = transport

    def get_buffer(self, hint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        if not self.greeted:
            self.greeted = True
            body = json.dumps({**REQUEST, "camera": str(UUID(int=1))}).encode()
            self.transport.write(b"\x81\xfe" + len(body).to_bytes(2, "big") + bytes(4) + body)
        self.bytes += count


async def _readers(port: int, viewers: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    readers = []
    for _ in range(viewers):
        _, reader = await loop.create_connection(lambda: _Reader(port), "127.0.0.1", port)
        readers.append(reader)
    await asyncio.sleep(4)
    if any(reader.bytes < 50_000 for reader in readers):
        raise RuntimeError(f"viewers got no picture: {sorted(reader.bytes for reader in readers)[:5]}")
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    before, began = sum(reader.bytes for reader in readers), loop.time()
    await asyncio.sleep(seconds)
    took, came = loop.time() - began, sum(reader.bytes for reader in readers) - before
    # 250 frames of the clip in ten seconds: 2 Mbit/s, and 200 bytes of boxes and head each.
    frame = came / viewers / took / 25
    print(json.dumps({"frames": came / BYTES_A_FRAME, "seconds": took, "bytes_a_frame": frame}), flush=True)


BYTES_A_FRAME: Final = 2_000_000 / 8 / 25


async def _aiortc(cameras: str) -> None:
    """The peer: aiortc passes the camera's H.264 on over WebRTC."""
    import aioice.ice
    from aiortc import RTCPeerConnection, RTCSessionDescription
    from aiortc.contrib.media import MediaPlayer

    from koinon.app.server import listen, server

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    connections = []
    page = b"""<!DOCTYPE html><video muted autoplay playsinline></video><script>
      (async () => {
        const peer = new RTCPeerConnection(), video = document.querySelector("video");
        peer.addTransceiver("video", {direction: "recvonly"});
        peer.ontrack = (event) => { video.srcObject = new MediaStream([event.track]); };
        await peer.setLocalDescription(await peer.createOffer());
        await new Promise((done) => { if (peer.iceGatheringState === "complete") done();
          peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done(); });
        const answer = await fetch("/offer", {method: "POST", body: JSON.stringify(peer.localDescription)});
        await peer.setRemoteDescription(await answer.json());
      })();</script>"""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, kind = page, b"text/html"
        if scope["path"] == "/offer":
            offer = json.loads((await receive())["body"])
            peer = RTCPeerConnection()
            connections.append(peer)
            player = MediaPlayer(
                f"rtsp://127.0.0.1:{cameras}/c1",
                format="rtsp",
                options={"rtsp_transport": "tcp"},
                decode=False,
            )
            assert player.video is not None
            peer.addTrack(player.video)
            for transceiver in peer.getTransceivers():
                from aiortc.rtcrtpsender import RTCRtpSender

                codecs = [
                    c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType == "video/H264"
                ]
                transceiver.setCodecPreferences(codecs)
            await peer.setRemoteDescription(RTCSessionDescription(sdp=offer["sdp"], type=offer["type"]))
            await peer.setLocalDescription(await peer.createAnswer())
            answer = {"sdp": peer.localDescription.sdp, "type": peer.localDescription.type}
            body, kind = json.dumps(answer).encode(), b"application/json"
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    await server(app, host="127.0.0.1", port=0).serve([listener])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["cameras", clip]:
            uvloop.run(_cameras(clip))
        case ["tap", cameras, address]:
            uvloop.run(_tap(cameras, address))
        case ["web", tap]:
            uvloop.run(_web(tap))
        case ["readers", port, viewers, seconds]:
            uvloop.run(_readers(int(port), int(viewers), float(seconds)))
        case ["aiortc", cameras]:
            asyncio.run(_aiortc(cameras))
        case _:
            parser = argparse.ArgumentParser(description=__doc__)
            parser.add_argument("--seconds", type=float, default=SECONDS)
            parser.add_argument("--viewers", type=int, default=VIEWERS)
            parser.add_argument("--runs", type=int, default=RUNS)
            parser.add_argument("--first", type=int, default=FIRST)
            parser.add_argument("--json", action="store_true")
            given = parser.parse_args()
            with contextlib.suppress(KeyboardInterrupt):
                show(run(seconds=given.seconds, viewers=given.viewers, runs=given.runs, first=given.first))
