"""From coded frames to coded frames with masks: decode, copy, mask, encode. One stream, in one thread, blocking.

H.264 or H.265 in, H.264 of at most 720 lines and 15 frames a second out, where nothing else is asked. Every frame is
decoded, since the next ones need it; those that are not shown are not masked and not encoded. What leaves as a file is
marked as well (`marking`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import msgspec

from koinon.base.errors import Invalid
from koinon.base.late import late
from koinon.video.masks.marking import Mark
from koinon.video.masks.model import Kind, Mask, Polygon
from koinon.video.masks.picture import Cover, masked_copy, planes_of
from koinon.video.recorder.model import TICKS
from koinon.video.recorder.nal import Format, kind, read_format, read_nals

if TYPE_CHECKING:
    import av
else:
    av = late("av")

LINES: Final = 720
FRAMES_A_SECOND: Final = 15
BIT_RATE: Final = 1_500_000
START_CODE: Final = b"\0\0\0\1"
DECODERS: Final = {"h264": "h264", "h265": "hevc"}
# Parameter sets, delimiters and what the encoder says of itself: not part of a frame here.
_LEFT_OUT: Final = frozenset({6, 7, 8, 9})


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A mask, as a transcoder takes it: from when to when (Unix microseconds, exclusive; None: no end)."""

    since_us: int
    until_us: int | None
    polygons: tuple[Polygon, ...]
    kind: Kind

    @classmethod
    def of(cls, mask: Mask) -> Span:
        """The span of a mask that is kept."""
        until = None if mask.valid_until is None else round(mask.valid_until.timestamp() * 1e6)
        return cls(round(mask.valid_from.timestamp() * 1e6), until, mask.polygons, mask.kind)

    def counts_at(self, wall_us: int) -> bool:
        """Whether what was recorded then is under it."""
        return self.since_us <= wall_us and (self.until_us is None or wall_us < self.until_us)


class Coded(msgspec.Struct, frozen=True, array_like=True):
    """A coded frame.

    Attributes:
        ticks: when it is shown, of 1/90000 s.
        wall_us: when it was recorded, Unix microseconds: which mask it is under.
        data: NALs, each after its length in four bytes.
    """

    ticks: int
    wall_us: int
    key: bool
    data: bytes


class Transcoder:
    """One stream that is masked.

    Attributes:
        failed: frames that could not be decoded; nothing is shown in their place.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        *,
        lines: int = LINES,
        frames_a_second: int = FRAMES_A_SECOND,
        bit_rate: int = BIT_RATE,
        mark: str = "",
        shown: tuple[int, int] | None = None,
    ) -> None:
        self.failed = 0
        self._shown = shown
        self._text = mark
        self._marks: dict[tuple[int, int], Mark] = {}
        self._spans = tuple(spans)
        self._lines, self._step, self._bit_rate, self._rate = (
            lines,
            TICKS // frames_a_second,
            bit_rate,
            frames_a_second,
        )
        self._format: Format | None = None
        self._decoder: av.VideoCodecContext | None = None
        self._encoder: av.VideoCodecContext | None = None
        self._given: Format | None = None
        self._covers: dict[tuple[Span, int, int], Cover] = {}
        self._walls: dict[int, int] = {}
        self._due: int | None = None
        self._waits_for_key = True

    def mask(self, spans: Sequence[Span]) -> None:
        """From the next frame on these masks count."""
        self._spans = tuple(spans)
        self._covers.clear()

    def open(self, format_: Format) -> None:
        """What follows, from a key frame on, is decoded by it."""
        if format_ == self._format:
            return
        self._format = format_
        decoder = av.CodecContext.create(DECODERS[format_.codec], "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1
        decoder.flags |= av.codec.context.Flags.low_delay
        self._decoder = decoder
        self._waits_for_key = True
        self._walls.clear()

    def feed(self, frame: Coded) -> Iterator[Format | Coded]:
        """What can be shown masked after this frame: a format before the first frame that is in it.

        Raises:
            Invalid: `mask_without_format`: `open` was not called.
        """
        if self._decoder is None or self._format is None:
            raise Invalid("mask_without_format")
        if self._waits_for_key and not frame.key:
            return
        parts = [START_CODE + nal for nal in self._format.sets] if frame.key else []
        parts += [START_CODE + nal for nal in read_nals(frame.data)]
        packet = av.Packet(b"".join(parts))
        packet.pts = frame.ticks
        packet.time_base = Fraction(1, TICKS)
        self._walls[frame.ticks] = frame.wall_us
        try:
            pictures = self._decoder.decode(packet)
        except av.FFmpegError:
            self.failed += 1
            self._waits_for_key = True  # what predicts from it would show anything
            self._decoder.flush_buffers()
            return
        self._waits_for_key = False
        for picture in pictures:
            yield from self._show(picture)

    def finish(self) -> Iterator[Format | Coded]:
        """What the decoder still held back. Nothing may be fed after it but after `open`."""
        if self._decoder is not None:
            try:
                pictures = self._decoder.decode(None)
            except av.FFmpegError:
                pictures = []
            for picture in pictures:
                yield from self._show(picture)
        self._format = self._decoder = None

    def format_for(self, width: int, height: int) -> Format:
        """How what is made of pictures of this size is decoded: the same before any is made as with the first."""
        width, height = self._size_for(width, height)
        grey = av.VideoFrame(width, height, "yuv420p")
        for plane in grey.planes:
            plane.update(b"\x80" * plane.buffer_size)
        grey.pts, grey.time_base = 0, Fraction(1, TICKS)
        (packet, *_) = self._encoder_for(width, height).encode(grey)
        return read_format("h264", split_stream(bytes(packet)))

    def _size_for(self, width: int, height: int) -> tuple[int, int]:
        lines = min(self._lines, height) & ~1
        return round(width * lines / height / 2) * 2, lines

    def _show(self, picture: av.VideoFrame) -> Iterator[Format | Coded]:
        ticks = picture.pts
        if ticks is None:
            self.failed += 1
            return
        wall_us = self._walls.pop(ticks, None)
        for old in [each for each in self._walls if each < ticks - 10 * TICKS]:
            del self._walls[old]
        if wall_us is None:
            self.failed += 1  # whose time is not known, nor its mask
            return
        if self._shown is not None and not self._shown[0] <= wall_us < self._shown[1]:
            return  # others needed it
        if self._due is not None and abs(ticks - self._due) < 2 * TICKS:
            if ticks < self._due - self._step // 4:
                return
            self._due += self._step
            if self._due < ticks:
                self._due = ticks + self._step
        else:
            self._due = ticks + self._step
        width, height = self._size_for(picture.width, picture.height)
        shown = masked_copy(picture, self._cover(wall_us, width, height), width, height)
        if self._text:
            self._mark_for(width, height).apply(planes_of(shown), wall_us)
        shown.pts, shown.time_base = ticks, Fraction(1, TICKS)
        for packet in self._encoder_for(width, height).encode(shown):
            yield from self._coded(packet, wall_us)

    def _mark_for(self, width: int, height: int) -> Mark:
        if (width, height) not in self._marks:
            self._marks[width, height] = Mark(self._text, width, height)
        return self._marks[width, height]

    def _cover(self, wall_us: int, width: int, height: int) -> Cover | None:
        for span in self._spans:
            if span.counts_at(wall_us):
                key = (span, width, height)
                if key not in self._covers:
                    self._covers[key] = Cover(span.polygons, span.kind, width, height)
                return self._covers[key]
        return None

    def _encoder_for(self, width: int, height: int) -> av.VideoCodecContext:
        if self._encoder is None or (self._encoder.width, self._encoder.height) != (width, height):
            encoder = av.CodecContext.create("libx264", "w")
            assert isinstance(encoder, av.VideoCodecContext)
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, TICKS), Fraction(self._rate)
            encoder.bit_rate, encoder.gop_size, encoder.thread_count = self._bit_rate, self._rate, 1
            encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
            self._encoder = encoder
        return self._encoder

    def _coded(self, packet: av.Packet[Any], wall_us: int) -> Iterator[Format | Coded]:
        nals = split_stream(bytes(packet))
        if packet.is_keyframe:
            format_ = read_format("h264", nals)
            if format_ != self._given:
                self._given = format_
                yield format_
        data = b"".join(
            len(nal).to_bytes(4, "big") + nal for nal in nals if kind("h264", nal) not in _LEFT_OUT
        )
        # No B-frames are made: what is encoded comes out at once, and in order.
        yield Coded(packet.pts or 0, wall_us, bool(packet.is_keyframe), data)


def split_stream(data: bytes) -> list[bytes]:
    """The NALs of a byte stream with start codes. Source: ITU-T H.264 annex B."""
    found = []
    start = data.find(b"\0\0\1")
    while start >= 0:
        following = data.find(b"\0\0\1", start + 3)
        nal = data[start + 3 : following if following >= 0 else len(data)].rstrip(b"\0")
        if nal:
            found.append(nal)
        start = following
    return found
