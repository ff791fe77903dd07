"""One key frame as a small picture, with the masks of its time in place. Blocking, in the process of `worker.py`."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import msgspec

from koinon.base.errors import Invalid
from koinon.base.late import late
from koinon.video.masks.picture import Cover, masked_copy
from koinon.video.masks.transcode import DECODERS, LINES, START_CODE, Coded, Span, Transcoder
from koinon.video.recorder.model import TICKS
from koinon.video.recorder.nal import Format, read_nals

if TYPE_CHECKING:
    import av
else:
    av = late("av")

LARGEST_SIDE: Final = 8192
"""Pixels: what a decoder is asked to make room for."""
_QUALITY: Final = 4  # of MPEG's scale: 2 is the finest, 31 the coarsest


class Draft(msgspec.Struct, frozen=True):
    """What a picture is made of.

    Attributes:
        frame: a key frame. format: how it is decoded.
        spans: masks; the one of the frame's time is put in place.
        width: of the picture, in pixels; never more than the frame has.
    """

    format: Format
    frame: Coded
    spans: tuple[Span, ...]
    width: int


def draw(draft: Draft) -> bytes:
    """A JPEG (JFIF) of the key frame, masked.

    Masked first and made small afterwards: what lies under a mask is in no pixel beside it.

    Raises:
        Invalid: `picture_unreadable`, with why.
    """
    frame = _decode(draft)
    _check_size(frame.width, frame.height)
    height = min(LINES, frame.height) & ~1
    width = round(frame.width * height / frame.height / 2) * 2
    if not height or not width:
        raise Invalid("picture_unreadable", why="too small")
    cover = next(
        (
            Cover(span.polygons, span.kind, width, height)
            for span in draft.spans
            if span.counts_at(draft.frame.wall_us)
        ),
        None,
    )
    shown = masked_copy(frame, cover, width, height)
    small_width = max(2, min(draft.width, width) & ~1)
    small_height = max(2, round(height * small_width / width / 2) * 2)
    small: Any = shown.reformat(width=small_width, height=small_height, format="yuvj420p")
    small.pts = 0
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = small_width, small_height, "yuvj420p"
    encoder.time_base, encoder.thread_count = Fraction(1, 25), 1
    encoder.qmin = encoder.qmax = _QUALITY
    return b"".join(bytes(packet) for packet in (*encoder.encode(small), *encoder.encode(None)))


def _decode(draft: Draft) -> av.VideoFrame:
    _check_size(draft.format.width, draft.format.height)
    decoder: Any = av.CodecContext.create(DECODERS[draft.format.codec], "r")
    decoder.thread_count = 1
    nals = (*draft.format.sets, *read_nals(draft.frame.data))
    packet = av.Packet(b"".join(START_CODE + nal for nal in nals))
    packet.pts, packet.time_base = 0, Fraction(1, TICKS)
    try:
        found = [*decoder.decode(packet), *decoder.decode(None)]
    except (av.FFmpegError, ValueError) as error:
        raise Invalid("picture_unreadable", why=type(error).__name__) from None
    if not found:
        raise Invalid("picture_unreadable", why="no picture in it")
    first: av.VideoFrame = found[0]
    return first


def _check_size(width: int, height: int) -> None:
    if max(width, height) > LARGEST_SIDE:
        raise Invalid("picture_unreadable", why="too large")


def masked_format(width: int, height: int) -> Format:
    """How masked frames are decoded that are made of pictures of this size: known before any is made.

    It hangs on the size alone, since an encoder writes its parameter sets before it sees a picture.

    Raises:
        Invalid: `picture_unreadable`.
    """
    _check_size(width, height)
    return Transcoder(()).format_for(width, height)
