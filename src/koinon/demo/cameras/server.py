"""An RTSP server of many cameras that all send one clip, each with a fault of its own.

All of it is pure Python and packs each picture once for all good cameras, so a hundred cost a few hundredths
of a core.
"""

import asyncio
import base64
import contextlib
import hashlib
import random
import secrets
import socket
import struct
import time
from collections.abc import Sequence
from typing import Final, Literal, Self

from koinon.demo.cameras.certificate import Certificate
from koinon.demo.cameras.clip import Clip
from koinon.demo.cameras.description import HEAD, PAYLOAD_TYPE, SOUND, describe
from koinon.demo.cameras.faults import Fault
from koinon.demo.cameras.packets import packetise

Scheme = Literal["", "basic", "md5", "sha256"]

_LARGEST_BACKLOG: Final = 4 << 20  # bytes that a reader may leave unread; then pictures are dropped


class VirtualCamera:
    """One camera of the server.

    Attributes:
        fault: what it does wrong; change it at any moment.
        pictures, packets: sent so far, lost ones not counted; dropped: pictures that its readers did not take.
        lost: packets that it left out, as its fault says.
        requests: methods that were asked of it, in order.
        set_up: what was set up, by URL.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault = Fault()
        self.pictures = self.packets = self.lost = self.dropped = 0
        self.requests: list[str] = []
        self.set_up: list[str] = []
        self.readers: list[_Reader] = []

    def disconnect(self) -> None:
        """Every connection to it is cut."""
        for reader in list(self.readers):
            reader.writer.transport.abort()


class _Reader:
    """A connection that plays."""

    def __init__(self, camera: VirtualCamera, writer: asyncio.StreamWriter) -> None:
        self.camera, self.writer = camera, writer
        self.started = False
        self.own = False  # packs for itself, since it was not good once
        self.sequence = 0
        self.datagrams: _Datagrams | None = None
        self.late: bytes = b""  # a datagram that is to come after its follower
        self.held: list[bytes] = []
        self.held_since = 0.0
        self.chance = random.Random(camera.name)  # noqa: S311 - the same faults each time


class _Datagrams:
    """Two sockets of the camera, and the reader's two ports."""

    def __init__(self, own: str, reader: str, ports: tuple[int, int]) -> None:
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in ports]
        for each in self.sockets:
            each.bind((own, 0))
            each.setblocking(False)
        self.ports = [int(each.getsockname()[1]) for each in self.sockets]
        self._to = [(reader, port) for port in ports]

    def send(self, which: int, data: bytes) -> bool:
        """Whether the system took it."""
        try:
            self.sockets[which].sendto(data, self._to[which])
        except OSError:
            return False
        return True

    def close(self) -> None:
        for each in self.sockets:
            each.close()


class CameraServer:
    """Cameras at `rtsp://<host>:<port>/<name>`, any name; use as `async with`.

    With a `certificate` they are at `rtsps` and show it. With `udp` it refuses to send over the connection and sends
    datagrams; `sound` is the codec of a second track that it describes (`PCMA`, `PCMU` or `AAC`), of which it sends
    nothing.

    Attributes:
        port: where it listens, once started.
        says_rate: frames a second by its description; what it sends may differ.
        bytes_sent: to all readers.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        scheme: Scheme = "",
        user: str = "viewer",
        password: str = "secret",  # noqa: S107 - of a virtual camera
        timeout: int = 60,
        udp: bool = False,
        sound: str = "",
        certificate: Certificate | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.bytes_sent = 0
        self.says_rate = 90_000 / clips[0].interval
        self._clips = list(clips)
        self._packed = [packetise(clip) for clip in clips]
        self._scheme, self._user, self._password = scheme, user, password
        self._timeout, self._udp, self._sound = timeout, udp, sound
        self._certificate = certificate
        self._nonce = secrets.token_hex(16)
        self._cameras: dict[str, VirtualCamera] = {}
        self._source = secrets.randbits(32)
        self._connections: set[asyncio.StreamWriter] = set()

    def camera(self, name: str) -> VirtualCamera:
        """The camera of this name."""
        return self._cameras.setdefault(name, VirtualCamera(name))

    def url(self, name: str, credentials: bool = True, pinned: bool = True) -> str:
        """Where the camera is, with the credentials and the fingerprint of its certificate if there are any."""
        who = f"{self._user}:{self._password}@" if self._scheme and credentials else ""
        scheme, pin = "rtsp", ""
        if self._certificate is not None:
            scheme, pin = "rtsps", f"#sha256={self._certificate.fingerprint}" if pinned else ""
        return f"{scheme}://{who}{self.host}:{self.port}/{name}{pin}"

    async def __aenter__(self) -> Self:
        tls = None if self._certificate is None else self._certificate.context
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=1024, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self._pump = asyncio.create_task(self._send_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pump.cancel()
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await asyncio.wait([self._pump])

    # The stream

    async def _send_all(self) -> None:
        clip = self._clips[0]
        interval, count = clip.interval / 90_000, len(clip.pictures)
        length = clip.ticks / 90_000
        # The clip begins at full multiples of its length, so its burned-in clock tells the time of day.
        # One turn counts as past, so that there is something from before to send.
        into = time.time() % length
        number = count + int(into / interval)
        began = time.monotonic() - into - count * interval
        sequence = packets = sent = shown = 0
        while True:
            due = began + number * interval
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            elif number % 25 == 0:
                await asyncio.sleep(0)  # late: others must have their turn
            turn, index = divmod(number, count)
            if clip.pictures[index].key:
                shown = self._choose()
            picture, payloads = self._clips[shown].pictures[index], self._packed[shown][index]
            stamp = picture.shown + turn * clip.ticks
            report = self._report(stamp, packets, sent, 0.0) if picture.key else b""
            shared = b""
            for camera in list(self._cameras.values()):
                fault = camera.fault
                plain = fault == _GOOD
                for reader in list(camera.readers):
                    if reader.writer.transport.is_closing():
                        camera.readers.remove(reader)
                        continue
                    if not reader.started:
                        if not picture.key:
                            continue
                        reader.started = True
                        reader.sequence = sequence
                        if fault.prebuffer_pictures:
                            self._send_before(reader, fault, number)
                    if not plain:
                        reader.own = True
                    if reader.own:
                        self._send_own(reader, fault, number)
                        continue
                    shared = shared or report + self._pack(payloads, sequence, stamp)
                    self._write(reader, shared, len(payloads))
                    reader.sequence = sequence + len(payloads)
            sequence += len(payloads)
            packets += len(payloads)
            sent += sum(map(len, payloads))
            number += 1

    def _choose(self) -> int:
        """Which of its clips is sent from this key frame on; all of them have their key frames at the same places."""
        return 0

    def _send_before(self, reader: _Reader, fault: Fault, number: int) -> None:
        """What the camera had kept from before, all at once."""
        count = len(self._clips[0].pictures)
        first = max(0, number - fault.prebuffer_pictures)
        while first > 0 and not self._clips[0].pictures[first % count].key:
            first -= 1
        reader.own = True
        for each in range(first, number):
            self._send_own(reader, fault, each)

    def _send_own(self, reader: _Reader, fault: Fault, number: int) -> None:
        """The picture as this camera sends it to this reader."""
        if fault.frozen or fault.silent:
            return
        clip, packed = self._clips[fault.variant], self._packed[fault.variant]
        turn, index = divmod(number, len(clip.pictures))
        picture, payloads = clip.pictures[index], packed[index]
        if fault.no_key_frames and picture.key:
            return
        stamp = round((picture.shown + turn * clip.ticks) * fault.stamp_rate) + fault.stamp_offset
        out = b""
        if picture.key and not fault.no_reports:
            out += self._report(stamp, 0, 0, fault.report_offset)
        if fault.garbage:
            fault.garbage = False
            out += b"\x00garbage that is neither a packet nor a message\r\n\r\n"
        lost = 0
        for position, payload in enumerate(payloads):
            if fault.lose and reader.chance.random() < fault.lose:
                lost += 1
                reader.camera.lost += 1
                continue
            if fault.corrupt and reader.chance.random() < 0.5:
                payload = fault.spoil(payload, reader.chance)
            last = position == len(payloads) - 1
            out += self._pack([payload], reader.sequence + position, stamp, last)
        reader.sequence += len(payloads)
        if fault.burst_seconds:
            now = time.monotonic()
            reader.held_since = reader.held_since if reader.held else now
            reader.held.append(out)
            if now - reader.held_since < fault.burst_seconds:
                reader.camera.pictures += 1
                reader.camera.packets += len(payloads) - lost
                return
            out, reader.held = b"".join(reader.held), []
        self._write(reader, out, len(payloads) - lost)

    def _write(self, reader: _Reader, data: bytes, packets: int) -> None:
        if reader.datagrams is not None:
            self._send_apart(reader, data)
            reader.camera.pictures += 1
            reader.camera.packets += packets
            self.bytes_sent += len(data)
            return
        transport = reader.writer.transport
        if transport.get_write_buffer_size() > _LARGEST_BACKLOG:
            reader.camera.dropped += 1
            return
        transport.write(data)
        reader.camera.pictures += 1
        reader.camera.packets += packets
        self.bytes_sent += len(data)

    def _send_apart(self, reader: _Reader, data: bytes) -> None:
        """What would be interleaved goes as datagrams, some of them after their follower."""
        at, ports = 0, reader.datagrams
        assert ports is not None
        while at < len(data):
            channel, end = data[at + 1], at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
            packet, at = data[at + 4 : end], end
            if channel == 0 and not reader.late and reader.chance.random() < reader.camera.fault.reorder:
                reader.late = packet
                continue
            ports.send(channel, packet)
            if channel == 0 and reader.late:
                ports.send(0, reader.late)
                reader.late = b""

    def _pack(self, payloads: list[bytes], sequence: int, stamp: int, last: bool = True) -> bytes:
        """RTP packets (RFC 3550 section 5.1) as RTSP interleaves them (RFC 2326 section 10.12)."""
        out, final = [], len(payloads) - 1
        for index, payload in enumerate(payloads):
            mark = 0x80 if last and index == final else 0
            out.append(
                struct.pack(
                    ">BBHBBHII", 0x24, 0, len(payload) + 12, 0x80, PAYLOAD_TYPE | mark,
                    (sequence + index) & 0xFFFF, stamp & 0xFFFFFFFF, self._source,
                )
            )  # fmt: skip
            out.append(payload)
        return b"".join(out)

    def _report(self, stamp: int, packets: int, sent: int, offset: float) -> bytes:
        """A sender report (RFC 3550 section 6.4.1), interleaved."""
        now = time.time() + offset + 2_208_988_800
        report = struct.pack(
            ">BBHIIIIII", 0x80, 200, 6, self._source, int(now), int(now % 1 * 2**32),
            stamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, sent & 0xFFFFFFFF,
        )  # fmt: skip
        return struct.pack(">BBH", 0x24, 1, len(report)) + report

    # The conversation

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        camera: VirtualCamera | None = None
        playing: _Reader | None = None
        ports: _Datagrams | None = None
        session = secrets.token_hex(4)
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"$":
                    head = await reader.readexactly(3)
                    await reader.readexactly(int.from_bytes(head[1:], "big"))
                    continue
                text = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *rest = text.strip().split("\r\n")
                method, url, _ = line.split(" ")
                headers = {
                    name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)
                }
                if camera is None:
                    camera = self.camera(url.split("/", 3)[-1].split("/")[0].split("?")[0])
                camera.requests.append(method)
                if camera.fault.frozen or camera.fault.mute:
                    continue
                status, more, body = self._answer(camera, method, url, headers, session)
                if method == "SETUP" and self._udp and status.startswith("200"):
                    ports = ports or self._open_ports(headers["transport"], writer)
                    more[0] += f";server_port={ports.ports[0]}-{ports.ports[1]}"
                lines = [f"RTSP/1.0 {status}", f"CSeq: {headers.get('cseq', '0')}", *more]
                if body:
                    lines.append(f"Content-Length: {len(body)}")
                writer.write("\r\n".join([*lines, "", body]).encode())
                if (
                    status.startswith("200")
                    and method == "PLAY"
                    and not self._replay(camera, writer, headers)
                ):
                    playing = _Reader(camera, writer)
                    playing.datagrams = ports
                    camera.readers.append(playing)
                if method == "TEARDOWN":
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass
        finally:
            if ports is not None:
                ports.close()
            self._connections.discard(writer)
            if camera is not None and playing in camera.readers:
                camera.readers.remove(playing)
            with contextlib.suppress(OSError):
                writer.close()

    def _replay(self, camera: VirtualCamera, writer: asyncio.StreamWriter, headers: dict[str, str]) -> bool:
        """Whether what was asked is of the past, and is being sent; see `ReplayServer`."""
        return False

    def _answer(
        self, camera: VirtualCamera, method: str, url: str, headers: dict[str, str], session: str
    ) -> tuple[str, list[str], str]:
        if camera.fault.off:
            return "404 Not Found", [], ""
        if method == "OPTIONS":
            return "200 OK", ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"], ""
        if self._scheme and not self._proven(method, headers.get("authorization", "")):
            return "401 Unauthorized", self._challenges(), ""
        if method == "DESCRIBE":
            about = [f"Content-Base: {url.rstrip('/')}/", "Content-Type: application/sdp"]
            if camera.fault.jpeg:
                return (
                    "200 OK",
                    about,
                    HEAD + "m=video 0 RTP/AVP 26\r\na=control:track1\r\n" + SOUND[self._sound],
                )
            clip = self._clips[camera.fault.variant]
            return "200 OK", about, describe(clip, self.says_rate) + SOUND[self._sound]
        if method == "SETUP":
            camera.set_up.append(url)
            asked = headers.get("transport", "")
            if self._udp != ("TCP" not in asked):
                return "461 Unsupported Transport", [], ""
            if self._udp:
                ports = asked.partition("client_port=")[2].partition(";")[0]
                transport = f"Transport: RTP/AVP;unicast;client_port={ports};ssrc={self._source:08x}"
                return "200 OK", [transport, f"Session: {session};timeout={self._timeout}"], ""
            transport = f"Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc={self._source:08x}"
            return "200 OK", [transport, f"Session: {session};timeout={self._timeout}"], ""
        if headers.get("session") != session:
            return "454 Session Not Found", [], ""
        return "200 OK", [f"Session: {session}"], ""

    def _open_ports(self, transport: str, writer: asyncio.StreamWriter) -> _Datagrams:
        first, _, last = transport.partition("client_port=")[2].partition(";")[0].partition("-")
        return _Datagrams(self.host, writer.get_extra_info("peername")[0], (int(first), int(last or first)))

    def _challenges(self) -> list[str]:
        if self._scheme == "basic":
            return ['WWW-Authenticate: Basic realm="camera"']
        digest = f'WWW-Authenticate: Digest realm="camera", nonce="{self._nonce}"'
        if self._scheme == "md5":
            return [digest, 'WWW-Authenticate: Basic realm="camera"']
        return [digest, f'{digest}, algorithm=SHA-256, qop="auth"']

    def _proven(self, method: str, value: str) -> bool:
        scheme, _, rest = value.partition(" ")
        if self._scheme == "basic":
            return scheme == "Basic" and base64.b64decode(rest) == f"{self._user}:{self._password}".encode()
        if scheme != "Digest":
            return False
        given = {
            name: text.strip('"') for name, _, text in (each.partition("=") for each in rest.split(", "))
        }
        sha = given.get("algorithm") == "SHA-256"
        if sha != (self._scheme == "sha256") or given.get("nonce") != self._nonce:
            return False

        def digest(text: str) -> str:
            if sha:
                return hashlib.sha256(text.encode()).hexdigest()
            return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

        secret = digest(f"{self._user}:camera:{self._password}")
        request = digest(f"{method}:{given.get('uri', '')}")
        middle = f"{self._nonce}:"
        if sha:
            middle += f"{given.get('nc')}:{given.get('cnonce')}:auth:"
        return given.get("response") == digest(f"{secret}:{middle}{request}")


_GOOD: Final = Fault()
