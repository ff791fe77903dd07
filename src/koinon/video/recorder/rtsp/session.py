"""One RTSP session: opened, played, kept alive, watched, torn down.

Source: RFC 2326, section 10.12 for the interleaving of RTP with the messages; with `rtsps` all of it inside TLS.
"""

import asyncio
import contextlib
import functools
import re
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from koinon.base.errors import Invalid
from koinon.base.text import printable
from koinon.base.tls import open_context, why_untrusted
from koinon.video.recorder.model import Options, Reason, Source
from koinon.video.recorder.rtp import Depacketiser, SenderReport, read_sender_report, receiver_report
from koinon.video.recorder.rtsp.auth import Authenticator
from koinon.video.recorder.rtsp.datagrams import Datagrams, open_datagrams
from koinon.video.recorder.rtsp.messages import Malformed, Message, read_message, write_request
from koinon.video.recorder.rtsp.sdp import Media, read_sdp

AGENT: Final = "Koinon"
_LIVE: Final = {"Range": "npt=0.000-"}
_REPORT_SECONDS: Final = 5.0  # RFC 3550 section 6.2: the recommended least interval
_DEFAULT_TIMEOUT: Final = 60  # RFC 2326 section 12.37
_GATHER_SECONDS: Final = 0.06
"""What a camera sends in so long is read at once while nobody watches live: waking for two frames costs hardly more
than for one. It adds to what a kill may lose.
"""
_LEAST_GATHERED: Final = 4096
_authorities: Final = functools.cache(open_context)
"""Read once: it takes 30 ms, and a thousand cameras come back together."""


class SessionFailed(Exception):
    """The session did not come about, or ended."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        detail = printable(detail)  # in part what a camera says
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


def unsupported(found: Sequence[str]) -> SessionFailed:
    """What is said of a camera that has no video that can be recorded, only this."""
    return SessionFailed("unsupported", f"no H.264 or H.265: {', '.join(found)}"[:200])


class Session(asyncio.Protocol):
    """A connection to a camera.

    Attributes:
        media: the track that is played, once `open` has returned.
    """

    media: Media

    def __init__(self, source: Source, options: Options, *, agent: str = AGENT) -> None:
        """`agent`: how the camera's own log is to name us."""
        self._source, self._options, self._agent = source, options, agent
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._sequence = 0
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._authenticator: Authenticator | None = None
        self._session = ""
        self._timeout = float(_DEFAULT_TIMEOUT)
        self._channels = (0, 1)
        self._datagrams: Datagrams | None = None
        self._keep_alive = "OPTIONS"
        self._depacketiser: Depacketiser | None = None
        self._on_report: Callable[[SenderReport], None] = lambda report: None
        self._heard = self._loop.time()
        self._received = 0
        self._gathering = 1
        self._ended: asyncio.Future[SessionFailed] = self._loop.create_future()
        self._ours = secrets.randbits(32)

    # The session

    async def open(self) -> Media:
        """The camera is connected and has described its video; nothing is played yet.

        Raises:
            SessionFailed: with the reason.
        """
        text, base = await self.describe()
        try:
            self.media = read_sdp(text, base)
        except Invalid as error:
            if error.code != "unsupported_media":
                raise SessionFailed("protocol", str(error)) from None
            raise unsupported(error.facts["found"]) from None
        return self.media

    async def describe(self) -> tuple[bytes, str]:
        """The camera is connected; its description, and the URL that it is relative to.

        Raises:
            SessionFailed: with the reason.
        """
        source, context = self._source, None
        if source.encrypted:
            context = open_context(source.fingerprint) if source.fingerprint else _authorities()
        try:
            async with asyncio.timeout(self._options.connect_seconds):
                await self._loop.create_connection(
                    lambda: self, source.address or source.host, source.port,
                    ssl=context, server_hostname=source.host if context else None,
                )  # fmt: skip
        except TimeoutError:
            raise SessionFailed("unreachable", "no connection in time") from None
        except ssl.SSLCertVerificationError as error:
            raise SessionFailed("untrusted", why_untrusted(error) or "") from None
        except ssl.SSLError as error:
            raise SessionFailed("protocol", f"TLS: {error.reason}") from None
        except OSError as error:
            raise SessionFailed("unreachable", error.strerror or type(error).__name__) from None
        answer = await self._request("OPTIONS", self._source.url)
        if "GET_PARAMETER" in answer.header("public").upper():
            self._keep_alive = "GET_PARAMETER"
        answer = await self._request("DESCRIBE", self._source.url, {"Accept": "application/sdp"})
        base = answer.header("content-base") or answer.header("content-location") or self._source.url
        if not base.lower().startswith(("rtsp://", "rtsps://")):
            base = self._source.url
        return answer.body, base

    async def play(
        self,
        depacketiser: Depacketiser,
        on_report: Callable[[SenderReport], None] = lambda report: None,
        *,
        what: Mapping[str, str] = _LIVE,
        require: str = "",
    ) -> None:
        """The camera sends; what arrives goes to `depacketiser`, its time to `on_report`.

        Args:
            what: headers of the request that say what is to be played; by default the picture of now.
            require: a feature without which the camera is to refuse (RFC 2326 section 12.32); then over TCP only.

        Raises:
            SessionFailed: with the reason.
        """
        self._depacketiser, self._on_report = depacketiser, on_report
        required = {"Require": require} if require else {}
        answer = await self._set_up(required)
        session, _, parameters = answer.header("session").partition(";")
        if not re.fullmatch(r"[\x21-\x7e]{1,128}", session.strip()):
            raise SessionFailed("protocol", "no session")
        self._session = session.strip()
        if match := re.search(r"timeout\s*=\s*(\d{1,5})", parameters):
            self._timeout = float(max(2, int(match[1])))
        await self._request("PLAY", self.media.aggregate, {**required, **what})
        self._heard = self._loop.time()

    async def _set_up(self, required: Mapping[str, str]) -> Message:
        """The track is set up over this connection; where the camera does not do that, over UDP, but never what is to
        be encrypted.
        """
        transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
        try:
            answer = await self._request("SETUP", self.media.control, {"Transport": transport, **required})
        except SessionFailed as failed:
            if failed.reason != "unsupported" or required or self._source.encrypted:
                raise
            return await self._set_up_udp()
        given = answer.header("transport")
        match = re.search(r"interleaved=(\d{1,3})(?:-(\d{1,3}))?", given)
        if "TCP" not in given.upper() or match is None or int(match[1]) > 254:
            raise SessionFailed("unsupported", "no RTP over TCP, though it was agreed")
        self._channels = (int(match[1]), int(match[2] or int(match[1]) + 1))
        return answer

    async def _set_up_udp(self) -> Message:
        """RFC 2326 section 12.39: the camera sends to two ports of ours, from where its end of this connection is."""
        assert self._transport is not None
        ours, theirs = (self._transport.get_extra_info(name)[0] for name in ("sockname", "peername"))
        try:
            self._datagrams = await open_datagrams(ours, theirs, self._take_packet, self._take_control)
        except OSError as error:
            raise SessionFailed("unsupported", f"no ports for UDP: {error.strerror}") from None
        first = self._datagrams.port
        transport = f"RTP/AVP;unicast;client_port={first}-{first + 1}"
        answer = await self._request("SETUP", self.media.control, {"Transport": transport})
        given = answer.header("transport")
        match = re.search(r"server_port=(\d{1,5})(?:-(\d{1,5}))?", given)
        if "TCP" in given.upper() or "multicast" in given.lower():
            raise SessionFailed("unsupported", "no RTP over UDP, though it was agreed")
        if match is not None:
            self._datagrams.expect(int(match[1]), int(match[2] or int(match[1]) + 1))
        return answer

    def _take_packet(self, data: bytes) -> None:
        self._received += len(data)
        self._heard = self._loop.time()
        if self._depacketiser is not None:
            self._depacketiser.push(data, 0, len(data))

    def _take_control(self, data: bytes) -> None:
        if report := read_sender_report(data):
            self._on_report(report)

    async def watch(
        self,
        check: Callable[[], SessionFailed | None] = lambda: None,
        hurry: Callable[[], bool] = lambda: True,
    ) -> None:
        """Keeps the session alive until it ends; never returns. `check` is asked often whether it must end, `hurry`
        whether each frame is wanted as soon as it comes.

        Raises:
            SessionFailed: when it ended: closed, silent, not RTSP, or as `check` says.
        """
        options = self._options
        kept = reported = self._loop.time()
        pause = min(1.0, options.silence_seconds / 4)
        looked, received = kept, self._received
        while True:
            done, _ = await asyncio.wait([self._ended], timeout=pause)
            if done:
                raise self._ended.result()
            now = self._loop.time()
            if (stood := now - looked - 2 * pause) > 0:
                self._heard = min(
                    now, self._heard + stood
                )  # this machine stood still: it was we who did not listen
            self._gather(0.0 if hurry() else (self._received - received) / (now - looked))
            looked, received = now, self._received
            if now - self._heard > options.silence_seconds:
                raise SessionFailed("silent", f"no data for {options.silence_seconds:g} s")
            if failure := check():
                raise failure
            if now - kept >= self._timeout / 2:
                kept = now
                self._send(self._keep_alive, self.media.aggregate, {})
            if now - reported >= _REPORT_SECONDS and self._depacketiser and self._transport:
                reported = now
                seen = self._depacketiser
                report = receiver_report(self._ours, seen.ssrc, seen.counts.lost_packets, seen.highest)
                if self._datagrams is not None:
                    self._datagrams.report(report)
                    continue
                self._transport.write(
                    bytes((0x24, self._channels[1])) + len(report).to_bytes(2, "big") + report
                )

    def _gather(self, rate: float) -> None:
        """The system wakes us when there is something worth it, at so many bytes a second (socket(7), SO_RCVLOWAT)."""
        least = int(rate * _GATHER_SECONDS)
        if least < _LEAST_GATHERED:
            least = 1
        if self._transport is None or (least > 1 and abs(least - self._gathering) < self._gathering / 4):
            return
        if least == self._gathering or self._transport.is_closing():
            return
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)
            self._gathering = least

    def hold(self, held: bool) -> None:
        """Nothing is read from the camera, so that it can send no more than the system takes; or it is again."""
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._heard = self._loop.time()  # it was we who did not listen
            self._transport.resume_reading()

    def abort(self) -> None:
        """The connection is no more, without another word."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """The session is torn down as far as the camera lets us, and the connection closed."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._transport is None:
            return
        self._gather(0.0)
        if self._session and not self._ended.done() and self._loop.time() - self._heard < 1.0:
            self._depacketiser = None
            with contextlib.suppress(SessionFailed, TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._request("TEARDOWN", self.media.aggregate)
        self._transport.abort()

    # Requests

    def _send(self, method: str, url: str, headers: dict[str, str]) -> int:
        self._sequence += 1
        values = {"CSeq": str(self._sequence), "User-Agent": self._agent, **headers}
        if self._session:
            values["Session"] = self._session
        if self._authenticator is not None:
            values["Authorization"] = self._authenticator.header(method, url)
        if self._transport is not None:
            self._transport.write(write_request(method, url, values))
        return self._sequence

    async def _request(self, method: str, url: str, headers: dict[str, str] | None = None) -> Message:
        for attempt in range(3):
            answer = await self._exchange(method, url, headers or {})
            if answer.status != 401:
                break
            stale = any("stale=true" in each.lower() for each in answer.headers.get("www-authenticate", ()))
            if not self._source.user or (self._authenticator is not None and not (stale and attempt < 2)):
                raise SessionFailed("unauthorised", "the camera does not accept the credentials")
            try:
                self._authenticator = Authenticator(
                    self._source.user, self._source.password, answer.headers.get("www-authenticate", [])
                )
            except ValueError as error:
                raise SessionFailed("unauthorised", str(error)) from None
        if answer.status == 461:
            raise SessionFailed("unsupported", "neither RTP over TCP nor over UDP")
        if answer.status in (401, 403):
            raise SessionFailed("unauthorised", f"{method}: {answer.status}")
        if answer.status == 457:  # RFC 2326 section 11.3.5: the range is not there
            raise SessionFailed("not_held", f"{method}: {answer.reason}"[:200])
        if answer.status != 200:
            # Redirections are not followed: the address is what the operator set, and nothing else.
            raise SessionFailed("refused", f"{method}: {answer.status} {answer.reason}".strip())
        return answer

    async def _exchange(self, method: str, url: str, headers: dict[str, str]) -> Message:
        if self._ended.done():
            raise self._ended.result()
        number = self._send(method, url, headers)
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answers[number] = answer
        waited: set[asyncio.Future[Any]] = {answer, self._ended}
        try:
            done, _ = await asyncio.wait(
                waited,
                timeout=self._options.connect_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._answers.pop(number, None)
        if answer.done():
            return answer.result()
        if done:
            raise self._ended.result()
        raise SessionFailed("silent", f"{method}: no answer")

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        detail = (getattr(error, "strerror", None) or type(error).__name__) if error else "end of stream"
        self._end("camera_closed", detail)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._rest:
            data = self._rest + data
        at, length = 0, len(data)
        video, control = self._channels
        depacketiser = self._depacketiser
        heard = False
        while length - at >= 4:
            if data[at] == 0x24:
                end = at + 4 + (data[at + 2] << 8 | data[at + 3])
                if end > length:
                    break
                channel = data[at + 1]
                if channel == video:
                    heard = True
                    if depacketiser is not None:
                        depacketiser.push(data, at + 4, end)
                        end = depacketiser.follow(data, end, channel)
                elif channel == control and (report := read_sender_report(data[at + 4 : end])):
                    self._on_report(report)
                at = end
            else:
                try:
                    read = read_message(data, at)
                except Malformed as error:
                    self._end("protocol", str(error))
                    if self._transport is not None:
                        self._transport.abort()
                    return
                if read is None:
                    break
                self._answered(read[0])
                at = read[1]
        self._rest = data[at:] if at < length else b""
        if heard:  # video, not answers: a camera may keep talking and send no picture
            self._heard = self._loop.time()

    def _answered(self, message: Message) -> None:
        if message.method:
            # A request of the server, such as ANNOUNCE or REDIRECT: none is obeyed (section 6.1, 501).
            if self._transport is not None and message.header("cseq").isdecimal():
                line = f"RTSP/1.0 501 Not Implemented\r\nCSeq: {message.header('cseq')}\r\n\r\n"
                self._transport.write(line.encode())
            return
        number = message.header("cseq")
        waiting = self._answers.get(int(number)) if number.isdecimal() and len(number) < 10 else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _end(self, reason: Reason, detail: str) -> None:
        if not self._ended.done():
            self._ended.set_result(SessionFailed(reason, detail))
