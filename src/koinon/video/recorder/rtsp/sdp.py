"""Session descriptions: the one video track that is recorded.

Source: RFC 8866 (SDP), RFC 2326 appendix C (control), RFC 6184 section 8.2.1 and RFC 7798 section 7.1 (fmtp).
"""

import base64
import binascii
import re
from typing import Final
from urllib.parse import urljoin, urlsplit

import msgspec

from koinon.base.errors import Invalid
from koinon.base.text import printable
from koinon.video.recorder.nal import LARGEST_SET, Codec

LARGEST: Final = 64 << 10
"""Bytes of a description; cameras send one or two thousand."""

_CODECS: Final[dict[str, Codec]] = {"H264": "h264", "H265": "h265", "HEVC": "h265"}
_STATIC: Final = {0: "PCMU", 3: "GSM", 8: "PCMA", 9: "G722", 14: "MPA", 26: "JPEG", 32: "MPV", 33: "MP2T"}
"""Payload types that need no `rtpmap` (RFC 3551 section 6): what cameras send of them."""
_RTPMAP: Final = re.compile(r"(\d{1,3}) ([A-Za-z0-9.-]{1,32})/(\d{1,6})(/\d+)?")


class Media(msgspec.Struct, frozen=True):
    """The video track: how it is coded, and where it is set up and played.

    Attributes:
        frame_rate: frames a second, as the camera says, or None where it does not (RFC 8866 section 6.13).
        left_out: codecs of tracks that are not recorded: sound.
    """

    codec: Codec
    payload_type: int
    sets: tuple[bytes, ...]
    control: str
    aggregate: str
    frame_rate: float | None = None
    left_out: tuple[str, ...] = ()


def read_sdp(text: bytes, base: str) -> Media:
    """The first track of H.264 or H.265 video that `text` describes; its URLs are made absolute by `base`.

    Raises:
        Invalid: `invalid_sdp`: not a session description; `unsupported_media`: no such track, with what there is.
    """
    session, tracks = _split(text)
    base = base if base.endswith("/") or urlsplit(base).query else base + "/"
    aggregate = _resolve(_attribute(session, "control") or "*", base)
    seen = []
    for track in tracks:
        if media := _video(track, aggregate):
            others = [_names(each) for each in tracks if each is not track]
            return msgspec.structs.replace(
                media, left_out=tuple(name for names in others for name in names)[:8]
            )
        seen += _names(track)
    raise Invalid("unsupported_media", found=seen[:8])


def _video(track: list[str], aggregate: str) -> Media | None:
    fields = track[0][2:].split()
    if len(fields) < 4 or fields[0] != "video" or fields[2] not in ("RTP/AVP", "RTP/AVP/TCP", "RTP/AVPF"):
        return None
    for line in track:
        match = _RTPMAP.fullmatch(line.removeprefix("a=rtpmap:")) if line.startswith("a=rtpmap:") else None
        if match is None or match[1] not in fields[3:] or int(match[1]) > 127:
            continue
        codec = _CODECS.get(match[2].upper())
        if codec is None or match[3] != "90000":
            continue
        parameters = _parameters(track, match[1])
        if codec == "h264" and parameters.get("packetization-mode", "0") not in ("0", "1"):
            continue  # mode 2 interleaves; no camera does
        if codec == "h265" and parameters.get("sprop-max-don-diff", "0") != "0":
            continue
        control = _resolve(_attribute(track, "control") or "", aggregate)
        rate = _frame_rate(track)
        return Media(codec, int(match[1]), _sets(codec, parameters), control, aggregate, rate)
    return None


def list_codecs(text: bytes) -> list[tuple[str, str]]:
    """What `text` describes: of each codec of each track its kind (`video`, `audio` ...) and its name.

    Raises:
        Invalid: `invalid_sdp`.
    """
    return [(track[0][2:].split(" ")[0], name) for track in _split(text)[1] for name in _names(track)]


def is_recorded(name: str) -> bool:
    """Whether video of this codec, as descriptions name it, is recorded."""
    return name.upper() in _CODECS


def _split(text: bytes) -> tuple[list[str], list[list[str]]]:
    """The lines about the session, and those of each track."""
    if len(text) > LARGEST:
        raise Invalid("invalid_sdp", why="too large", limit_bytes=LARGEST)
    try:
        lines = text.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Invalid("invalid_sdp", why="not UTF-8") from None
    lines = [line.strip() for line in lines if line.strip()]
    if not lines or lines[0] != "v=0":
        raise Invalid("invalid_sdp", why="does not begin with v=0")
    if malformed := next((line for line in lines if not re.match(r"[a-z]=", line)), None):
        raise Invalid("invalid_sdp", why="malformed line", line=malformed[:80])
    session: list[str] = []
    tracks: list[list[str]] = []
    for line in lines:
        if line.startswith("m="):
            tracks.append([])
        (tracks[-1] if tracks else session).append(line)
    return session, tracks


def _names(track: list[str]) -> list[str]:
    """The codecs that a track names; where it names none, those of its payload types, or its own first line."""
    named = [match[2] for line in track if (match := _RTPMAP.match(line.removeprefix("a=rtpmap:")))]
    types = [int(each) for each in track[0].split()[3:] if each.isdecimal() and len(each) <= 3]
    return named or [_STATIC[each] for each in types if each in _STATIC] or [printable(track[0][2:34])]


def _frame_rate(track: list[str]) -> float | None:
    text = _attribute(track, "framerate") or ""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,6})?", text):
        return None
    rate = float(text)
    return rate if 0 < rate <= 1000 else None


def _attribute(lines: list[str], name: str) -> str | None:
    return next((line[len(name) + 3 :].strip() for line in lines if line.startswith(f"a={name}:")), None)


def _parameters(track: list[str], payload_type: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in track:
        if line.startswith(f"a=fmtp:{payload_type} "):
            for part in line.split(" ", 1)[1].split(";"):
                name, _, value = part.strip().partition("=")
                found[name.strip().lower()] = value.strip()
    return found


def _sets(codec: Codec, parameters: dict[str, str]) -> tuple[bytes, ...]:
    """The parameter sets that the description gives; none where they are not well-formed: the stream has them."""
    names = ("sprop-parameter-sets",) if codec == "h264" else ("sprop-vps", "sprop-sps", "sprop-pps")
    found = []
    for text in ",".join(parameters.get(name, "") for name in names).split(","):
        try:
            nal = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            return ()
        if len(nal) > LARGEST_SET:
            return ()
        if nal:
            found.append(nal)
    return tuple(found)


def _resolve(control: str, base: str) -> str:
    """RFC 2326 appendix C.1.1: absolute, relative, or `*` for the base itself."""
    if control in ("", "*"):
        return base
    if any(character <= " " or character == "\x7f" for character in control) or len(control) > 1024:
        raise Invalid("invalid_sdp", why="malformed control attribute")
    if control.lower().startswith(("rtsp://", "rtsps://")):
        return control
    if urlsplit(base).query:
        return base.rstrip("/") + "/" + control  # what cameras with a query in their URL expect
    scheme, _, rest = base.partition("://")
    return scheme + urljoin(f"http://{rest}", control).removeprefix("http")
