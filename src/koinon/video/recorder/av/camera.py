"""A camera read by PyAV in a thread of its own; its pictures become units as those of any other.

Dearer than our own client, by two to five times: only for what that client does not speak. Packets that were lost are
counted from what FFmpeg says (`hearing`); of a stream without numbers (plain UDP) they are unknown. What PyAV says of
failures is not what happened; `_failure` tells what did.
"""

import asyncio
import re
import ssl
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import av
import av.error

from koinon.base.errors import Invalid
from koinon.video.recorder.av.hearing import QUEUE, hear
from koinon.video.recorder.camera import Camera
from koinon.video.recorder.model import PORTS, TICKS, Source
from koinon.video.recorder.nal import Codec
from koinon.video.recorder.rtp import Depacketiser, H264Depacketiser, H265Depacketiser, SenderReport
from koinon.video.recorder.rtsp import AGENT, Session, SessionFailed, is_recorded, list_codecs, unsupported
from koinon.video.recorder.track import Track

SCHEMES: Final = {**PORTS, "http": 80, "https": 443, "udp": 0}

_PROTOCOLS: Final = {  # what FFmpeg may open for each; files are never among it
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtp,tcp,tls",
    "http": "http,tcp",
    "https": "https,tcp,tls",
    "udp": "udp",
}
_CODECS: Final[dict[str, tuple[Codec, type[Depacketiser]]]] = {
    "h264": ("h264", H264Depacketiser),
    "hevc": ("h265", H265Depacketiser),
}
_UNNUMBERED: Final = frozenset({"udp"})  # what did not come cannot be counted; what is damaged is marked
_REPORT_SECONDS: Final = 5.0
_MOST_AHEAD: Final = 500  # pictures read and not taken by the loop; then the thread waits


class AvCamera(Camera):
    """As `Camera`, for every source that FFmpeg's libraries read and that carries H.264 or H.265."""

    async def _play(self, track: Track) -> None:
        source = await self._located()
        silent = await self._look(source)
        reader = _Reader(source, self._options.connect_seconds, self._options.silence_seconds)
        self.counts.loss_known = urlsplit(source.url).scheme not in _UNNUMBERED
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[SessionFailed] = loop.create_future()
        taker: list[Depacketiser] = []

        def begin(codec: Codec, sets: list[bytes], rate: float | None, left_out: tuple[str, ...]) -> None:
            if reader.stop.is_set():
                return
            self.frame_rate, self.left_out = rate, silent or left_out
            track.begin(codec, sets, self.counts)
            kind = next(kind for name, kind in _CODECS.values() if name == codec)
            taker.append(kind(96, self._deliver(track)))
            taker[0].counts = self.counts
            track.await_key_frame()
            self.state, self.detail = "recording", ""

        def take(stamp: int, nals: list[bytes], missed: int, damaged: bool) -> None:
            if not reader.stop.is_set():
                taker[0].take_picture(stamp, nals, missed=missed, damaged=damaged)
            reader.room.release()

        def end(failure: SessionFailed) -> None:
            if not ended.done():
                ended.set_result(failure)

        def safely(call: Callable[..., None], *arguments: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(call, *arguments)

        def run() -> None:
            try:
                reader.read(
                    lambda *facts: safely(begin, *facts),
                    lambda *picture: safely(take, *picture),
                    lambda report: safely(self._report, track, reader, report),
                )
                failure = SessionFailed("camera_closed", "end of stream")
            except SessionFailed as told:
                failure = told
            except Exception as error:
                failure = SessionFailed("crashed", type(error).__name__)
            safely(end, failure)

        threading.Thread(target=run, name=f"av-{self._options.name}", daemon=True).start()
        try:
            while True:
                done, _ = await asyncio.wait([ended], timeout=1.0)
                if done:
                    raise ended.result()
                if failure := self._check(track):
                    raise failure
        finally:
            # It may be waiting inside FFmpeg, which no one can interrupt: it ends when that returns.
            reader.stop.set()

    async def _look(self, source: Source) -> tuple[str, ...]:
        """What the camera describes beside the video; it is asked with our own client, since from FFmpeg's we ask for
        video alone and then do not hear of the rest. Other schemes tell it as they are read.

        Raises:
            SessionFailed: nobody answers, or there is no video that can be recorded: FFmpeg would say that worse.
        """
        if urlsplit(source.url).scheme not in PORTS:
            return ()
        session = Session(source, self._options)
        try:
            found = list_codecs((await session.describe())[0])
        except SessionFailed as failed:
            if failed.reason in ("unreachable", "silent", "unauthorised", "untrusted"):
                raise
            if re.match(r"[A-Z]+: 3\d\d", failed.detail):
                raise  # FFmpeg would go where it is sent, and say the password there
            return ()  # FFmpeg speaks more dialects
        except Invalid:
            return ()
        finally:
            await session.close()
        if not any(kind == "video" and is_recorded(name) for kind, name in found):
            raise unsupported([name for _, name in found])
        return tuple(name for kind, name in found if not (kind == "video" and is_recorded(name)))

    def _report(self, track: Track, reader: "_Reader", report: SenderReport) -> None:
        if not reader.stop.is_set():
            track.report(report)


class _Reader:
    """What the thread does."""

    def __init__(self, source: Source, connect_seconds: float, silence_seconds: float) -> None:
        self.stop = threading.Event()
        self.room = threading.Semaphore(_MOST_AHEAD)
        self._source = source
        # A read comes back after twice the timeout that was set.
        self._timeout = (connect_seconds, silence_seconds / 2)

    def read(
        self,
        begin: Callable[[Codec, list[bytes], float | None, tuple[str, ...]], None],
        take: Callable[[int, list[bytes], int, bool], None],
        report: Callable[[SenderReport], None],
    ) -> None:
        """Pictures are given to `take` until the stream ends, each with how many packets were missed before its end,
        and whether it is known to be damaged. Raises: SessionFailed.
        """
        began = time.monotonic()
        scheme = urlsplit(self._source.url).scheme
        options = {"protocol_whitelist": _PROTOCOLS[scheme], "fflags": "nobuffer"}
        if scheme in ("http", "https"):
            options["max_redirects"] = "0"
        if scheme in ("rtsp", "rtsps"):
            options["user_agent"] = AGENT  # it cannot tell it from who looked first (`_look`)
            options["allowed_media_types"] = "video"  # sound is not even asked for
            options["reorder_queue_size"] = QUEUE
        if self._source.encrypted:  # FFmpeg believes whoever answers unless it is told not to
            options |= {"tls_verify": "1", "verifyhost": self._source.host}
            if authorities := ssl.get_default_verify_paths().cafile:
                options["ca_file"] = authorities
        try:
            with (
                hear() as heard,
                av.open(_address(self._source), options=options, timeout=self._timeout) as container,
            ):
                video = next((stream for stream in container.streams.video), None)
                codec = _CODECS.get(video.codec_context.name) if video is not None else None
                names = [stream.codec_context.name for stream in container.streams if stream.codec_context]
                if video is None or codec is None:
                    raise unsupported(names)
                left_out = tuple(
                    stream.codec_context.name for stream in container.streams if stream is not video
                )
                extra = video.codec_context.extradata or b""
                split = _split_lengths if extra[:1] == b"\x01" else _split_annex_b
                sets = [] if extra[:1] == b"\x01" else _split_annex_b(extra)
                rate = float(video.average_rate) if video.average_rate else None
                begin(codec[0], sets, rate, left_out)
                reported = 0.0
                base = video.time_base or Fraction(1, TICKS)
                for packet in container.demux(video):
                    if self.stop.is_set():
                        return
                    when = packet.pts if packet.pts is not None else packet.dts
                    if not packet.size or when is None:
                        continue
                    seconds = when * (packet.time_base or base)
                    if (
                        clock := container.start_time_realtime
                    ) and time.monotonic() - reported > _REPORT_SECONDS:
                        reported = time.monotonic()
                        into = float(seconds - (video.start_time or 0) * base)
                        report(SenderReport(clock / 1e6 + into, 0))
                    self.room.acquire()
                    stamp = round(seconds * TICKS) & 0xFFFFFFFF
                    take(stamp, split(bytes(packet)), heard.take(), packet.is_corrupt)
        except SessionFailed:
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _failure(error, time.monotonic() - began >= self._timeout[0] * 0.9) from None


def _address(source: Source) -> str:
    """What is opened: the address that was checked, with the credentials. In no log."""
    parts = urlsplit(source.url)
    host = source.address or source.host
    host = f"[{host}]" if ":" in host else host
    who = f"{quote(source.user, safe='')}:{quote(source.password, safe='')}@" if source.user else ""
    return urlunsplit(parts._replace(netloc=f"{who}{host}:{source.port}"))


def _failure(error: Exception, waited: bool) -> SessionFailed:
    """What happened, from what PyAV says of it (measured; PyAV 18)."""
    name = type(error).__name__
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return SessionFailed("unauthorised", "the camera does not accept the credentials")
    if name.startswith("HTTP"):  # RTSP answers have these names too
        return SessionFailed("refused", name)
    if isinstance(error, av.error.ExitError | TimeoutError) or (
        waited and isinstance(error, av.error.InvalidDataError)
    ):
        return SessionFailed(
            "silent", "no data"
        )  # an accepted connection that says nothing is "invalid data"
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        return SessionFailed("camera_closed", name)
    if isinstance(error, OSError) and not isinstance(error, av.error.InvalidDataError):
        return SessionFailed("unreachable", error.strerror or name)
    return SessionFailed("protocol", name)


def _split_annex_b(data: bytes) -> list[bytes]:
    """The NALs of a byte stream (H.264 annex B); none ends with a zero byte (section 7.4.1)."""
    return [nal for part in data.split(b"\0\0\1")[1:] if (nal := part.rstrip(b"\0"))]


def _split_lengths(data: bytes) -> list[bytes]:
    """The NALs of a sample of an MP4 file, each after its length in four bytes."""
    nals, at = [], 0
    while at + 4 < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        nals.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return [nal for nal in nals if nal]
