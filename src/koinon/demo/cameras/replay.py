"""A simulated partner's video system: it shows its cameras live and replays what it recorded of them, well or badly.

What it holds is made up as it is asked for: the same clip over and over, at full multiples of its length, so that the
clock that is burned in says when a picture was taken.

Source: ONVIF Streaming Specification 17.06, section 6; RFC 2326 section 3.7.
"""

import asyncio
import contextlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from koinon.demo.cameras.clip import Clip
from koinon.demo.cameras.description import PAYLOAD_TYPE
from koinon.demo.cameras.server import CameraServer, VirtualCamera

Held = Callable[[], Iterable[tuple[datetime, datetime]]]
_RANGE: Final = re.compile(r"clock=(\d{8}T\d{6}(?:\.\d+)?)Z-(?:(\d{8}T\d{6}(?:\.\d+)?)Z)?")
_NTP: Final = 2_208_988_800


class ReplayFault(msgspec.Struct):
    """How the system misbehaves from now on; the defaults are a good one.

    Attributes:
        forbids: it answers 403 to whoever wants to look back.
        hangs_after: after so many seconds of pictures it sends nothing more, and says nothing.
        breaks_after: after so many seconds of pictures it ends the connection.
        jumps_after, jumps_by: after so many seconds of pictures its times are off by so many, and it does not say so.
        headless: its pictures do not say when they were taken.
        slow: it sends at the rate at which it recorded.
    """

    forbids: bool = False
    hangs_after: float | None = None
    breaks_after: float | None = None
    jumps_after: float | None = None
    jumps_by: float = 0.0
    headless: bool = False
    slow: bool = False


class Log(NamedTuple):
    """Who asked for what, as its own log has it."""

    agent: str
    camera: str
    since: datetime
    until: datetime | None


class _Picture(NamedTuple):
    unix: float
    stamp: int
    number: int
    key: bool


def holding(days: float, gap_minutes: float = 0.0) -> Held:
    """What a system holds that keeps so many days: all up to ten seconds ago, but for the end of each hour."""

    def held() -> Iterator[tuple[datetime, datetime]]:
        now = datetime.now(UTC) - timedelta(seconds=10)
        at = now - timedelta(days=days)
        while at < now:
            hour = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            end = min(now, hour - timedelta(minutes=gap_minutes)) if gap_minutes else now
            if at < end:
                yield at, end
            at = hour if gap_minutes else now

    return held


class ReplayServer(CameraServer):
    """A `CameraServer` that also replays. `held`: what it has of the past, sections in order.

    Attributes:
        faulty: what it does wrong when it replays; change it at any moment.
        log: what was asked of it.
        replayed: pictures that it has sent of the past.
        playing: replays that are being sent now.
    """

    def __init__(self, clips: Sequence[Clip], held: Held, **options: Any) -> None:
        super().__init__(clips, **options)
        self.faulty = ReplayFault()
        self.log: list[Log] = []
        self.replayed = 0
        self.playing: set[asyncio.Task[None]] = set()
        self._held = held

    async def __aexit__(self, *error: object) -> None:
        for task in list(self.playing):
            task.cancel()
        await super().__aexit__(*error)

    def _answer(
        self, camera: VirtualCamera, method: str, url: str, headers: dict[str, str], session: str
    ) -> tuple[str, list[str], str]:
        asked = headers.get("require", "")
        if asked and asked != "onvif-replay":
            return "551 Option not supported", [f"Unsupported: {asked}"], ""
        found = super()._answer(camera, method, url, headers, session)
        span = _span_of(headers)
        if method != "PLAY" or span is None or not found[0].startswith("200"):
            return found
        self.log.append(
            Log(headers.get("user-agent", ""), camera.name, *(each and _moment(each) for each in span))  # type: ignore[arg-type]
        )
        if self.faulty.forbids:
            return "403 Forbidden", [], ""
        if not any(self._sections(span)):
            return "457 Invalid Range", [], ""
        return found

    def _replay(self, camera: VirtualCamera, writer: asyncio.StreamWriter, headers: dict[str, str]) -> bool:
        span = _span_of(headers)
        if span is None:
            return False
        task = asyncio.create_task(self._send_past(writer, list(self._sections(span)), headers))
        self.playing.add(task)
        task.add_done_callback(self.playing.discard)
        return True

    def _sections(self, span: tuple[float, float | None]) -> Iterator[tuple[float, float]]:
        since, until = span
        for start, end in self._held():
            first, last = max(start.timestamp(), since), min(end.timestamp(), until or float("inf"))
            if first < last:
                yield max(start.timestamp(), self._key_before(first)), last

    def _key_before(self, unix: float) -> float:
        clip = self._clips[0]
        length = clip.ticks / 90_000
        turn, into = divmod(unix, length)
        key = max(each.shown for each in clip.pictures if each.key and each.shown / 90_000 <= into + 1e-6)
        return turn * length + key / 90_000

    def _pictures(self, since: float, until: float) -> Iterator[_Picture]:
        """In the order in which they are decoded, from the first key frame on."""
        clip, begun = self._clips[0], False
        length = clip.ticks / 90_000
        turn = int(since // length)
        while turn * length < until:
            for index, picture in enumerate(clip.pictures):
                unix = turn * length + picture.shown / 90_000
                begun = begun or (picture.key and unix >= since - 1e-6)
                if begun and unix < until:
                    yield _Picture(unix, picture.shown + turn * clip.ticks, index, picture.key)
            turn += 1

    async def _send_past(
        self, writer: asyncio.StreamWriter, sections: list[tuple[float, float]], headers: dict[str, str]
    ) -> None:
        sequence, sent, asked = 0, 0.0, int(headers.get("cseq", "0"))
        began = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionError):
            for number, section in enumerate(sections):
                pictures = self._pictures(*section)
                before = next(pictures, None)
                first = True
                while (picture := before) is not None:
                    before = next(pictures, None)
                    ends = before is None
                    fault = self.faulty
                    if fault.hangs_after is not None and sent >= fault.hangs_after:
                        await asyncio.Event().wait()  # until the connection is given up
                    if fault.breaks_after is not None and sent >= fault.breaks_after:
                        writer.transport.abort()
                        return
                    off = (
                        fault.jumps_by if fault.jumps_after is not None and sent >= fault.jumps_after else 0.0
                    )
                    flags = (
                        0x80 * picture.key
                        | 0x40 * ends
                        | 0x20 * (first and number > 0)
                        | 0x10 * (ends and number == len(sections) - 1)
                    )
                    head = b"" if fault.headless else _head(picture.unix + off, flags, asked)
                    payloads = self._packed[0][picture.number]
                    writer.write(
                        self._pack_past(payloads, sequence, picture.stamp + round(off * 90_000), head)
                    )
                    sequence += len(payloads)
                    self.replayed += 1
                    sent += self._clips[0].interval / 90_000
                    first = False
                    await writer.drain()
                    if fault.slow:
                        due = began + sent - asyncio.get_running_loop().time()
                        await asyncio.sleep(max(0.0, due))
                    elif self.replayed % 100 == 0:
                        await asyncio.sleep(0)  # others must have their turn

    def _pack_past(self, payloads: list[bytes], sequence: int, stamp: int, head: bytes) -> bytes:
        out, final = [], len(payloads) - 1
        for index, payload in enumerate(payloads):
            more = head if index == 0 else b""
            mark = 0x80 if index == final else 0
            out.append(
                struct.pack(
                    ">BBHBBHII", 0x24, 0, len(payload) + len(more) + 12, 0x90 if more else 0x80,
                    PAYLOAD_TYPE | mark, (sequence + index) & 0xFFFF, stamp & 0xFFFFFFFF, self._source,
                )
                + more
            )  # fmt: skip
            out.append(payload)
        return b"".join(out)


def _head(unix: float, flags: int, asked: int) -> bytes:
    """The replay extension (section 6.3): NTP time, C, E, D and T, the low byte of CSeq."""
    seconds = int(unix // 1)
    fraction = min(round((unix - seconds) * 2**32), 2**32 - 1)
    return struct.pack(">HHIIBBH", 0xABAC, 3, seconds + _NTP, fraction, flags, asked & 0xFF, 0)


def _span_of(headers: dict[str, str]) -> tuple[float, float | None] | None:
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or headers.get("require") != "onvif-replay":
        return None
    return _unix(match[1]), _unix(match[2]) if match[2] else None


def _unix(text: str) -> float:
    whole, _, part = text.partition(".")
    moment = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{part or 0}")


def _moment(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
