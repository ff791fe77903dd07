"""Clips: encoded once by Debian's ffmpeg with a clock burned in, kept, and read as frames of NALs.

The clock shows the seconds since the clip began. A server that begins a clip of 60 s at full minutes so shows
the second of the minute: the picture tells when it was sent.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final, Literal

import msgspec

Codec = Literal["h264", "h265"]

_ENCODERS: Final[dict[Codec, str]] = {"h264": "libx264", "h265": "libx265"}
_FORMATS: Final[dict[Codec, str]] = {"h264": "h264", "h265": "hevc"}
_FONTS: Final = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
)


class ClipUnavailable(Exception):
    """There is no ffmpeg, or it cannot make the clip; says which."""


class Picture(msgspec.Struct, frozen=True):
    """A coded picture: its NALs as encoded, and when it is shown, in ticks of 1/90000 s from the clip's start."""

    nals: tuple[bytes, ...]
    shown: int
    key: bool


class Clip(msgspec.Struct, frozen=True):
    """A clip in decoding order; begins with a key frame and its parameter sets.

    Attributes:
        ticks: its length, in ticks of 1/90000 s.
        interval: from one picture to the next.
    """

    codec: Codec
    pictures: tuple[Picture, ...]
    sets: tuple[bytes, ...]
    ticks: int
    interval: int


class _Packet(msgspec.Struct):
    pts: int
    flags: str
    size: str


class _Stream(msgspec.Struct):
    codec_name: str
    time_base: str
    r_frame_rate: str


class _Probe(msgspec.Struct):
    packets: list[_Packet]
    streams: list[_Stream]


def make_clip(
    folder: Path,
    *,
    seconds: int = 10,
    width: int = 320,
    height: int = 180,
    rate: int = 25,
    kbits: int = 300,
    gop: int = 50,
    codec: Codec = "h264",
    b_frames: int = 0,
    open_gop: bool = False,
    pattern: str = "testsrc2",
) -> Path:
    """A clip of this kind is in `folder`, made now or before.

    With `open_gop` and a `gop` that is a multiple of `b_frames` + 1 the frames before a key frame refer to it, and are
    coded after it; of H.264 only the first is then one at which a recorder begins (IDR).

    Raises:
        ClipUnavailable: no ffmpeg, or not with what it takes.
    """
    text = f"{seconds}-{width}x{height}-{rate}-{kbits}-{gop}-{codec}-{b_frames}-{open_gop}-{pattern}"
    source = f"{pattern}=size={width}x{height}:rate={rate}:duration={seconds}"
    clock = write_in("%{pts\\:hms}", max(16, height // 10))
    return encode(
        folder, text, source, clock, kbits=kbits, gop=gop, codec=codec, b_frames=b_frames, open_gop=open_gop
    )


def write_in(text: str, size: int) -> str:
    """The filter that writes the text into the corner of a picture; none where there is no font."""
    font = next((each for each in _FONTS if Path(each).exists()), None)
    return (
        f"drawtext=fontfile={font}:text='{text}':x=8:y=8:fontsize={size}:fontcolor=white:box=1:boxcolor=black"
        if font
        else ""
    )


def encode(
    folder: Path,
    kind: str,
    source: str,
    filters: str,
    *,
    kbits: int,
    gop: int,
    codec: Codec = "h264",
    b_frames: int = 0,
    open_gop: bool = False,
) -> Path:
    """A clip of what ffmpeg makes of `source` is in `folder`, made now or before. `kind`: all that makes it differ.

    Raises:
        ClipUnavailable.
    """
    path = folder / f"clip-{hashlib.sha256(kind.encode()).hexdigest()[:12]}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.mp4")
    private = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:repeat-headers=1"
    private += f":open-gop={int(open_gop)}" + (":b-adapt=0" if open_gop else "")
    if codec == "h264":
        private += f":vbv-maxrate={kbits}:vbv-bufsize={kbits}:nal-hrd=cbr"
    else:
        private += f":vbv-maxrate={kbits}:vbv-bufsize={kbits}:log-level=error"
    _run(
        "ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source,
        *(("-vf", filters) if filters else ()),
        "-pix_fmt", "yuv420p", "-c:v", _ENCODERS[codec], "-preset", "ultrafast" if not b_frames else "fast",
        *(("-profile:v", "main") if codec == "h264" else ()),
        "-b:v", f"{kbits}k", f"-{'x264' if codec == 'h264' else 'x265'}-params", private,
        "-threads", "2", str(draft),
    )  # fmt: skip
    draft.replace(path)
    return path


def read_clip(path: Path) -> Clip:
    """The clip in a video file that ffmpeg reads; the pictures are left as they are.

    Raises:
        ClipUnavailable: no ffmpeg, or no H.264 or H.265 in the file.
    """
    raw = _run(
        "ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json",
        "-show_entries", "packet=pts,flags,size:stream=codec_name,time_base,r_frame_rate", str(path),
    )  # fmt: skip
    probe = msgspec.json.decode(raw, type=_Probe)
    codecs: dict[str, Codec] = {"h264": "h264", "hevc": "h265"}
    if not probe.streams or (codec := codecs.get(probe.streams[0].codec_name)) is None:
        raise ClipUnavailable(f"{path.name} holds no H.264 or H.265 video")
    stream = _run(
        "ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0", "-c", "copy",
        "-bsf:v", "h264_mp4toannexb" if codec == "h264" else "hevc_mp4toannexb",
        "-f", _FORMATS[codec], "-",
    )  # fmt: skip
    units = _split(codec, [nal for nal in _annex_b(stream) if nal])
    if len(units) != len(probe.packets):
        raise ClipUnavailable(f"{path.name}: {len(units)} pictures, {len(probe.packets)} packets")
    numerator, denominator = map(int, probe.streams[0].time_base.split("/"))
    over, under = map(int, probe.streams[0].r_frame_rate.split("/"))
    first = min(packet.pts for packet in probe.packets)
    pictures = tuple(
        Picture(
            tuple(nals), round((packet.pts - first) * numerator * 90_000 / denominator), "K" in packet.flags
        )
        for nals, packet in zip(units, probe.packets, strict=True)
    )
    interval = round(90_000 * under / over)
    kinds = (7, 8) if codec == "h264" else (32, 33, 34)
    sets = tuple(nal for nal in pictures[0].nals if _kind(codec, nal) in kinds)
    ticks = max(picture.shown for picture in pictures) + interval
    return Clip(codec, pictures, sets, ticks, interval)


def _annex_b(stream: bytes) -> list[bytes]:
    """The NALs of a byte stream (H.264 annex B)."""
    return [part.rstrip(b"\0") for part in stream.split(b"\0\0\1")][1:]


def _split(codec: Codec, nals: list[bytes]) -> list[list[bytes]]:
    """The NALs of each picture: what is not a slice belongs to the next slice, a first slice begins a picture."""
    units: list[list[bytes]] = []
    before: list[bytes] = []
    for nal in nals:
        kind = _kind(codec, nal)
        if not (1 <= kind <= 5 if codec == "h264" else kind < 32):
            before.append(nal)
            continue
        first = nal[1] & 0x80 if codec == "h264" else nal[2] & 0x80
        if first or not units:
            units.append(before)
        units[-1].append(nal)
        before = []
    return units


def _kind(codec: Codec, nal: bytes) -> int:
    return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63


def _run(program: str, *arguments: str) -> bytes:
    found = shutil.which(program)
    if found is None:
        raise ClipUnavailable(f"{program} is not installed")
    done = subprocess.run([found, *arguments], capture_output=True, check=False)
    if done.returncode:
        raise ClipUnavailable(f"{program}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout
