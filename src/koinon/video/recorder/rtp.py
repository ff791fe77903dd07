"""RTP over TCP to frames: sequence checked, NALs put together again; RTCP sender reports.

A `Depacketiser` is given every packet and calls `deliver` with each whole frame. This is the busiest code of
the recorder (some 220 packets a second and camera): it copies each payload once and looks at as little as it can.

Source: RFC 3550 (RTP and RTCP), RFC 6184 (H.264), RFC 7798 (H.265).
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from koinon.video.recorder.nal import SETS, Codec

LARGEST_FRAME: Final = 8 << 20
"""Bytes. A 4K key frame of a camera has about one million."""

_HEADER: Final = 12
_RESTART: Final = 3000
"""A jump in sequence numbers that is a new sequence, not a loss (RFC 3550 appendix A.1, MAX_DROPOUT)."""


class Frame(msgspec.Struct, gc=False):
    """An access unit: its NALs, each after its length in four bytes, in parts to be joined.

    Attributes:
        timestamp: RTP, 32 bits.
        key: decoding can begin here (H.264: IDR; H.265: IRAP).
        leading: H.265: shown before the key frame that it follows.
        sets: the parameter sets in it, or None.
        first: holds the first slice of a picture; false for what continues the frame before it.
    """

    timestamp: int
    parts: list[bytes]
    size: int
    key: bool
    leading: bool
    first: bool
    sets: list[bytes] | None


class Counts(msgspec.Struct):
    """What arrived since the beginning, and what did not arrive whole.

    Attributes:
        loss_known: whether packets carry numbers, so that `lost_packets` says anything.
    """

    frames: int = 0
    lost_packets: int = 0
    damaged_frames: int = 0
    bad_nals: int = 0
    loss_known: bool = True

    @property
    def lost(self) -> int | None:
        """Packets that never came; None where that cannot be known."""
        return self.lost_packets if self.loss_known else None


class SenderReport(msgspec.Struct, frozen=True):
    """The sender's own clock (Unix seconds) at an RTP timestamp."""

    unix: float
    timestamp: int


def read_sender_report(packet: bytes) -> SenderReport | None:
    """The sender report that begins a compound RTCP packet, if one does (RFC 3550 section 6.4.1)."""
    if len(packet) < 28 or packet[0] >> 6 != 2 or packet[1] != 200:
        return None
    seconds, fraction, timestamp = struct.unpack_from(">III", packet, 8)
    if seconds == 0:
        return None  # section 4: the sender has no notion of time
    return SenderReport(seconds - 2_208_988_800 + fraction / 2**32, timestamp)


def receiver_report(ours: int, theirs: int, lost: int, highest: int) -> bytes:
    """An RTCP receiver report, so that a camera that counts them goes on sending (section 6.4.2)."""
    block = struct.pack(">IIIIII", theirs, min(lost, 0x7FFFFF), highest & 0xFFFFFFFF, 0, 0, 0)
    return struct.pack(">BBHI", 0x81, 201, 7, ours) + block


class Depacketiser(ABC):
    """Gathers the packets of one stream into frames.

    Attributes:
        counts: of what was lost or malformed.
        ssrc: of the stream as last seen, for receiver reports.
    """

    codec: Codec
    _following: (
        struct.Struct
    )  # of an interleaved fragment: `$` and channel, length, flags, number, all that stays

    def __init__(self, payload_type: int, deliver: Callable[[Frame], None]) -> None:
        self.counts = Counts()
        self.ssrc = 0
        self._payload_type = payload_type
        self._deliver = deliver
        self._expected = -1
        self._stamp = self._middle = self._last = b""
        self._reset()

    @property
    def highest(self) -> int:
        """The newest sequence number."""
        return self._expected - 1 & 0xFFFF

    def _reset(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._key = self._leading = self._first = self._damaged = False
        self._sets: list[bytes] | None = None
        self._open = -1  # index in _parts of the head of a NAL whose fragments are arriving
        self._open_size = 0

    def push(self, data: bytes, start: int, end: int) -> None:
        """The RTP packet at `data[start:end]` is taken in; frames that it completes are delivered."""
        if end - start <= _HEADER:
            self.counts.bad_nals += 1
            return
        second = data[start + 1]
        if second & 0x7F != self._payload_type:
            return
        sequence = data[start + 2] << 8 | data[start + 3]
        if sequence != self._expected and not self._resume(data, start, sequence):
            return
        self._expected = (sequence + 1) & 0xFFFF
        stamp = data[start + 4 : start + 8]
        if stamp != self._stamp:
            if self._parts or self._damaged:
                self._finish()  # the packet with the marker was lost, or the camera sets none
            self._stamp = stamp
        at = start + _HEADER
        if data[start] != 0x80:
            at, end = _payload(data, start, end)
            if at >= end:
                self.counts.bad_nals += 1
                return
        self._take(data, at, end)
        if second & 0x80:
            self._finish()

    def follow(self, data: bytes, at: int, channel: int) -> int:
        """Where the interleaved packets at `data[at]` end that are, each plainly, the next fragment of the open NAL.

        They are taken in, up to the last one of the NAL: what comes most takes this short way, and says what `push`
        would.

        Source: RFC 2326 section 10.12.
        """
        if self._open < 0:
            return at
        unpack, head, middle = self._following.unpack_from, self._following.size, self._middle
        length, payload = len(data), head - 4
        mark, flags, expected = 0x2400 | channel, 0x8000 | self._payload_type, self._expected
        keep, size = self._parts.append, self._open_size
        while at + head < length:
            found, count, flagged, sequence, rest = unpack(data, at)
            end, last = at + 4 + count, rest != middle
            if (
                sequence != expected
                or found != mark
                or count <= payload
                or end > length
                or size >= LARGEST_FRAME
                or (last and rest != self._last)
                or (flagged != flags and not (last and flagged == flags | 0x80))
            ):
                break
            keep(data[at + head : end])
            size += count - payload
            expected = expected + 1 & 0xFFFF
            at = end
            if last:
                self._expected, self._open_size = expected, size
                self._close_nal()
                if flagged != flags:
                    self._finish()
                return at
        self._expected, self._open_size = expected, size
        return at

    def take_picture(
        self, stamp: int, nals: Iterable[bytes], *, missed: int = 0, damaged: bool = False
    ) -> None:
        """The NALs of a picture, which another put together, are taken in; the frame is delivered if it is whole.

        `missed` packets never came before its last: it, or the picture before it that it refers to, is not whole.
        """
        self.counts.lost_packets += missed
        if missed or damaged:
            self._lose()
        self._stamp = stamp.to_bytes(4, "big")
        for nal in nals:
            self._add(nal)
        self._finish()

    def _resume(self, data: bytes, start: int, sequence: int) -> bool:
        """Whether to take a packet that is not the next one; what is missing before it is counted."""
        ssrc = int.from_bytes(data[start + 8 : start + 12], "big")
        ahead = (sequence - self._expected) & 0xFFFF
        if self._expected >= 0 and ssrc == self.ssrc:
            if ahead > 0x10000 - 100:
                return False  # late or twice; over TCP only from a camera that stutters
            if ahead < _RESTART:
                self.counts.lost_packets += ahead
        if self._expected >= 0:
            self._lose()
        self.ssrc = ssrc
        return True

    def _lose(self) -> None:
        """The frame being gathered will not be whole. Which frame a lost packet was of cannot be known: the one
        being gathered when there is one, else the next.
        """
        self._damaged = True
        self._open = -1

    def _finish(self) -> None:
        """The frame is delivered if it is whole."""
        if self._open >= 0:
            self._damaged = True
            self.counts.bad_nals += 1
        if self._damaged:
            self.counts.damaged_frames += 1
        elif self._parts:
            stamp = int.from_bytes(self._stamp, "big")
            frame = Frame(stamp, self._parts, self._size, self._key, self._leading, self._first, self._sets)
            self.counts.frames += 1
            self._reset()
            self._deliver(frame)
            return
        self._reset()

    def _add(self, nal: bytes) -> None:
        """A whole NAL belongs to the frame."""
        if not self._note(nal[0], nal):
            self.counts.bad_nals += 1
            return
        size = len(nal)
        self._parts.append(size.to_bytes(4, "big"))
        self._parts.append(nal)
        self._grow(size + 4)

    def _open_nal(self, header: bytes, payload: bytes, mark: bytes) -> None:
        """A NAL begins whose fragments follow; in front of each stands `mark`, until the last."""
        if self._open >= 0:
            self._lose()
            self.counts.bad_nals += 1
        if not self._note(header[0], header + payload[:1]):
            self.counts.bad_nals += 1
            self._lose()
            return
        self._open = len(self._parts)
        self._open_size = len(header) + len(payload)
        self._middle = stays = self._stamp + self.ssrc.to_bytes(4, "big") + mark
        self._last = stays[:-1] + bytes((stays[-1] | 0x40,))
        self._parts.append(header)
        self._parts.append(payload)

    def _extend(self, payload: bytes) -> None:
        """The open NAL goes on."""
        self._parts.append(payload)
        self._open_size += len(payload)
        if self._open_size > LARGEST_FRAME:
            self._parts, self._size = [], 0
            self._lose()

    def _close_nal(self) -> None:
        """The open NAL is whole."""
        parts, at = self._parts, self._open
        parts[at] = self._open_size.to_bytes(4, "big") + parts[at]
        self._open = -1
        self._grow(self._open_size + 4)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > LARGEST_FRAME:
            self._parts, self._size = [], 0
            self._lose()

    @abstractmethod
    def _take(self, data: bytes, at: int, end: int) -> None:
        """What [at, end) of a packet holds is part of the frame."""

    @abstractmethod
    def _note(self, first: int, nal: bytes) -> bool:
        """What the NAL says of the frame is noted; false if it is none that a stream may hold."""

    def _aggregate(self, data: bytes, at: int, end: int) -> None:
        """The NALs of an aggregation packet, each after its size in two bytes, are added."""
        while at < end:
            size = int.from_bytes(data[at : at + 2], "big")
            if size < 2 or at + 2 + size > end:
                self.counts.bad_nals += 1
                self._lose()
                return
            self._add(data[at + 2 : at + 2 + size])
            at += 2 + size


class H264Depacketiser(Depacketiser):
    """RFC 6184, packetisation modes 0 and 1: single NAL, STAP-A, FU-A."""

    codec = "h264"
    _following = struct.Struct(">HHHH10s")  # a FU indicator and a FU header

    def _take(self, data: bytes, at: int, end: int) -> None:
        first = data[at]
        packet = first & 31
        if packet == 28:  # FU-A, section 5.8
            if end - at < 3:
                self.counts.bad_nals += 1
                self._lose()
                return
            mark = data[at + 1]
            if mark & 0x80:
                header = first & 0xE0 | mark & 31
                self._open_nal(bytes((header,)), data[at + 2 : end], bytes((first, mark & 31)))
            elif self._open >= 0:
                self._extend(data[at + 2 : end])
            else:
                self._damaged = True
            if mark & 0x40 and self._open >= 0:
                self._close_nal()
        elif 1 <= packet <= 23:
            self._add(data[at:end])
        elif packet == 24:  # STAP-A, section 5.7.1
            self._aggregate(data, at + 1, end)
        else:
            self.counts.bad_nals += 1

    def _note(self, first: int, nal: bytes) -> bool:
        kind = first & 31
        if first & 0x80 or not 1 <= kind <= 23:
            return False
        if kind <= 5:
            # first_mb_in_slice is the first Exp-Golomb code of a slice header: 0 is written as the bit 1.
            self._first = self._first or (len(nal) > 1 and nal[1] & 0x80 != 0)
            if kind == 5:
                self._key = True
        elif kind in SETS["h264"]:
            self._sets = [*(self._sets or ()), nal]
        return True


class H265Depacketiser(Depacketiser):
    """RFC 7798 without decoding order numbers: single NAL, AP, FU."""

    codec = "h265"
    _following = struct.Struct(">HHHH11s")  # a payload header and a FU header

    def _take(self, data: bytes, at: int, end: int) -> None:
        if end - at < 3:
            self.counts.bad_nals += 1
            self._lose()
            return
        first = data[at]
        packet = first >> 1 & 63
        if packet == 49:  # FU, section 4.4.3
            mark = data[at + 2]
            if mark & 0x80:
                header = bytes((first & 0x81 | (mark & 63) << 1, data[at + 1]))
                self._open_nal(header, data[at + 3 : end], bytes((first, data[at + 1], mark & 63)))
            elif self._open >= 0:
                self._extend(data[at + 3 : end])
            else:
                self._damaged = True
            if mark & 0x40 and self._open >= 0:
                self._close_nal()
        elif packet < 48:
            self._add(data[at:end])
        elif packet == 48:  # AP, section 4.4.2
            self._aggregate(data, at + 2, end)
        else:
            self.counts.bad_nals += 1

    def _note(self, first: int, nal: bytes) -> bool:
        kind = first >> 1 & 63
        if first & 0x80 or kind >= 48:
            return False
        if kind < 32:
            self._first = self._first or (len(nal) > 2 and nal[2] & 0x80 != 0)
            if 16 <= kind <= 21:
                self._key = True
            elif 6 <= kind <= 9:
                self._leading = True
        elif kind in SETS["h265"]:
            self._sets = [*(self._sets or ()), nal]
        return True


def _payload(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the payload of a packet with CSRCs, an extension or padding begins and ends (RFC 3550 section 5.1)."""
    first = data[start]
    at = start + _HEADER + 4 * (first & 15)
    if first >> 6 != 2:
        return end, end
    if first & 0x10:
        if at + 4 > end:
            return end, end
        at += 4 + 4 * (data[at + 2] << 8 | data[at + 3])
    if first & 0x20:
        end -= data[end - 1]
    return at, end
