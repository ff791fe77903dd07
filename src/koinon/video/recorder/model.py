"""What the recorder takes and what it hands over: the source, the options, units, gaps."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec

from koinon.base.errors import Invalid
from koinon.base.tls import SCHEMES as ENCRYPTED
from koinon.base.tls import read_fingerprint

TICKS: Final = 90_000
"""Media ticks in a second: the RTP clock of video (RFC 6184 section 8.2.1, RFC 7798 section 7.1)."""

Reason = Literal[
    "stopped",  # the recorder was told to stop
    "crashed",  # the recorder died, which is found afterwards; or it made a mistake with this camera
    "camera_closed",  # the connection was closed
    "silent",  # no data within the limit: half open, frozen, cable pulled
    "unreachable",  # no connection, or none in time
    "refused",  # the camera answered with an error
    "unauthorised",  # the credentials do not hold
    "untrusted",  # its certificate is not the one that was named, or no authority vouches for it
    "protocol",  # what the camera says is not RTSP, SDP or RTP
    "unsupported",  # no H.264 or H.265 video, or no TCP
    "no_key_frame",  # frames, but none to begin with, or to turn at
    "clock_step",  # the camera's or the server's clock was set
    "clock_rate",  # the camera's clock does not run at the rate it says
    "disk_full",
    "disk_error",
    "disk_slow",  # the disk does not take what the cameras give
    "folder_gone",  # the folder is not the one that was made for recordings: not mounted
    "paused",  # the register of cameras said not to record
    "handed_over",  # from one recorder process to another
    "not_held",  # the system that replays says that it holds nothing of that time
]
"""Why a run ended, and so why there is a gap after it."""

PORTS: Final = {"rtsp": 554, "rtsps": 322}
"""Of what our own client speaks. Source: RFC 2326 section 3.2; RFC 7826 section 4.2."""

Bytes = bytes  # where a field has that name
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class Source(msgspec.Struct, frozen=True):
    """Where a camera's stream is, and with which credentials.

    Attributes:
        url: as requests name it, without credentials and without a fingerprint.
        address: the IP address to connect to, where it was looked up and checked before; else `host`.
        fingerprint: of the certificate that it must show (`koinon.base.tls`), 64 hex digits; or empty.
    """

    host: str
    port: int
    url: str
    user: str = ""
    password: str = ""
    address: str = ""
    fingerprint: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether it is reached by TLS."""
        return self.url.partition(":")[0] in ENCRYPTED

    def __repr__(self) -> str:
        return f"Source({self.url.partition('?')[0]})"  # some cameras are told a password in the query


def parse_source(text: str, schemes: Mapping[str, int] | None = None) -> Source:
    """The source that the URL `text` names; `schemes` are those allowed, each with its port: by default rtsp and rtsps.

    Raises:
        Invalid: `invalid_source`, `invalid_fingerprint`, with why; never with the credentials.
    """
    if len(text) > 2048 or any(character <= " " or character == "\x7f" for character in text):
        raise Invalid("invalid_source", why="longer than 2,048 characters, or with white space")
    try:
        parts = urlsplit(text)
        port = parts.port
        host = parts.hostname
    except ValueError:
        raise Invalid("invalid_source", why="malformed host or port") from None
    ports = PORTS if schemes is None else schemes
    if parts.scheme not in ports:
        raise Invalid("invalid_source", why=f"the scheme must be {' or '.join(ports)}")
    if not host:
        raise Invalid("invalid_source", why="no host")
    if port == 0:
        raise Invalid("invalid_source", why="port 0")
    fingerprint = read_fingerprint(parts.fragment, parts.scheme)
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority += f":{port}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Source(
        host=host,
        port=port or ports[parts.scheme],
        url=f"{parts.scheme}://{authority}{path}",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        fingerprint=fingerprint,
    )


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a camera is recorded. Times in seconds.

    Attributes:
        name: of the camera; folder name and stagger of the rotation.
        stream, copy: which of the camera's streams, and which of two copies of it; told by the file.
        unit_seconds: length of a unit; the cut falls on the next key frame.
        fragment_seconds: most that a fragment holds; a whole GOP where it is shorter.
        silence_seconds: without data for so long, the connection counts as half open.
        connect_seconds: for the connection, and for each answer.
        key_frame_seconds: how long to wait for a key frame to begin with.
        gop_seconds: how long a unit that should have turned may wait for the key frame to turn at. Then the session
            is begun anew, since cameras begin one with a key frame: what no row tells of, no term reaches.
        backoff_seconds, backoff_limit_seconds: first and longest pause before a new attempt.
        fence: of the lease under which this recorder writes; part of every file name.
        correction_ppm: most by which a unit's wall duration may differ from its media duration.
        step_seconds: a difference between media and arrival that no delay explains.
        window_seconds: over which the least delayed frame is looked for.
    """

    name: str
    stream: int = 0
    copy: int = 0
    unit_seconds: float = 60.0
    fragment_seconds: float = 2.0
    silence_seconds: float = 5.0
    connect_seconds: float = 5.0
    key_frame_seconds: float = 30.0
    gop_seconds: float = 300.0
    backoff_seconds: float = 0.5
    backoff_limit_seconds: float = 30.0
    fence: int = 0
    correction_ppm: float = 500.0
    step_seconds: float = 2.0
    window_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Invalid("invalid_camera_name", name=self.name[:80], form="a-z, 0-9, - and _, at most 64")
        if not 1 <= self.unit_seconds <= 3600:
            raise Invalid("invalid_option", option="unit_seconds", least=1, most=3600)
        if not 0.1 <= self.fragment_seconds <= 10:
            raise Invalid("invalid_option", option="fragment_seconds", least=0.1, most=10)


class KeyFrame(msgspec.Struct, frozen=True, array_like=True):
    """Where to begin reading: media ticks from the unit's start, byte offset of the fragment."""

    ticks: int
    offset: int


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A closed file: on disk, durable, under its final name.

    Attributes:
        path: of the file.
        camera, stream, copy: as in `Options`.
        run, number: the `number`-th unit (from 0) of the run.
        fence: of the recorder that wrote it.
        start: wall time of its first frame; the end of the unit before it, within a run.
        wall_us: its duration by the server's clock, in microseconds.
        media_ticks: its duration by the camera's clock, in ticks of 1/90000 s.
        delta_us: by how much the least delayed frame arrived after (or, negative, before) the time that
            `start` gives it, before any correction: evidence about the camera's clock.
        camera_us: the camera's own time (RTCP sender report) less the server's, or None; evidence only.
        frames, key_frames: how many, and where reading can begin.
        lost_packets, damaged_frames, bad_nals: what did not arrive whole, by sequence numbers and syntax;
            `lost_packets` is None where it is not known.
        codec: as RFC 6381 writes it. width, height: in pixels.
        bytes, sha256: of the whole file.
        end_reason: why the run ended with this unit, or None where it goes on.
        init: how its pictures are decoded: its `ftyp` and `moov`, without times; equal for equal formats.
    """

    path: Path
    camera: str
    stream: int = 0
    copy: int = 0
    run: UUID
    number: int
    fence: int
    start: datetime
    wall_us: int
    media_ticks: int
    delta_us: int
    camera_us: int | None
    frames: int
    key_frames: tuple[KeyFrame, ...]
    lost_packets: int | None
    damaged_frames: int
    bad_nals: int
    codec: str
    width: int
    height: int
    bytes: int
    sha256: str
    end_reason: Reason | None
    init: Bytes = b""


class Gap(msgspec.Struct, frozen=True):
    """Nothing was recorded from `start` to `end`, for this reason.

    Attributes:
        detail: what the camera or the system said, for an operator; no credentials.
    """

    start: datetime
    end: datetime
    reason: Reason
    detail: str = ""
