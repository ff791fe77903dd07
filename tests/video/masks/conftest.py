"""Pictures with something to hide, coded by PyAV, and read back by a decoder of their own."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import av
import numpy as np
import pytest

from koinon.base.ids import new_id
from koinon.video.masks import Coded, Kind, Mask
from koinon.video.masks.transcode import split_stream
from koinon.video.recorder.nal import read_format

START = datetime(2026, 11, 24, 9, tzinfo=UTC)


def scene(number, width, height, secret):
    """A moving picture, YUV 4:2:0 as one array; `secret` seeds what stands in the middle of it."""
    y, x = np.mgrid[0:height, 0:width]
    luma = ((x * 3 + y * 2 + number * 5) % 200 + 20).astype(np.uint8)
    noise = np.random.default_rng(secret * 1000 + number).integers(
        16, 235, (height // 3, width // 3), np.uint8
    )
    top, left = height // 3, width // 3
    luma[top : top + height // 3, left : left + width // 3] = noise
    return np.concatenate([luma, np.full((height // 2, width), 110, np.uint8)])


# The middle third with a margin, since a block that is touched is masked whole.
MIDDLE = ((0.33, 0.33), (0.67, 0.33), (0.67, 0.67), (0.33, 0.67))


def code(
    count=60,
    *,
    width=320,
    height=180,
    secret=1,
    gop=1000,
    rate=25,
    codec="libx264",
    lossless=True,
    b_frames=0,
):
    """The format and the coded frames of a scene: one key frame, then P frames only, unless `gop` says otherwise."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 90_000), Fraction(rate)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = gop, b_frames, 1
    tune = {} if b_frames else {"tune": "zerolatency"}
    if codec == "libx264":
        encoder.options = {"preset": "ultrafast", **({"qp": "0"} if lossless else {"crf": "18"}), **tune}
        if b_frames:
            encoder.options |= {"preset": "veryfast"}
        name = "h264"
    else:
        encoder.options = {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none", **tune}
        name = "h265"
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(scene(number, width, height, secret), "yuv420p")
        frame.pts, frame.time_base = number * (90_000 // rate), Fraction(1, 90_000)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    nals = split_stream(bytes(packets[0]))
    frames = [
        Coded(
            packet.pts, round(START.timestamp() * 1e6) + packet.pts * 100 // 9, bool(packet.is_keyframe),
            b"".join(len(nal).to_bytes(4, "big") + nal for nal in split_stream(bytes(packet))),
        )
        for packet in packets
    ]  # fmt: skip
    return read_format(name, nals), frames


def decode(made):
    """The luma planes that a decoder of its own makes of a format and frames."""
    from koinon.video.recorder.nal import read_nals

    decoder, pictures, sets = av.CodecContext.create("h264", "r"), [], b""
    decoder.thread_count = 1
    for each in made:
        if not isinstance(each, Coded):
            sets = b"".join(b"\0\0\0\1" + nal for nal in each.sets)
            continue
        packet = av.Packet(
            (sets if each.key else b"") + b"".join(b"\0\0\0\1" + nal for nal in read_nals(each.data))
        )
        packet.pts = each.ticks
        pictures += decoder.decode(packet)
    pictures += decoder.decode(None)
    found = []
    for picture in pictures:
        plane = picture.planes[0]
        found.append(
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
        )
    return found


def mask(polygons=(MIDDLE,), kind=Kind.FILL, since=START - timedelta(days=1), until=None):
    return Mask(
        id=new_id(), camera=new_id(), valid_from=since, valid_until=until, polygons=tuple(polygons), kind=kind, why="w",
        by=None, made_at=since,
    )  # fmt: skip


@pytest.fixture(scope="session")
def coded():
    """Makes coded scenes, each once."""
    made = {}

    def get(**kind):
        key = tuple(sorted(kind.items()))
        if key not in made:
            made[key] = code(**kind)
        return made[key]

    return get
