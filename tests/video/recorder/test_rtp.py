"""Packets become frames: every way of packing, every way of losing."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.demo.cameras.packets import payloads
from koinon.video.recorder.rtp import (
    H264Depacketiser,
    H265Depacketiser,
    read_sender_report,
    receiver_report,
)

PT = 96


def packet(payload, sequence, stamp, marker=False, first=0x80, more=b"", pt=PT, ssrc=7):
    head = struct.pack(">BBHII", first, pt | (0x80 if marker else 0), sequence & 0xFFFF, stamp, ssrc)
    return head + more + payload


class Receiver:
    def __init__(self, kind=H264Depacketiser):
        self.frames = []
        self.depacketiser = kind(PT, self.frames.append)
        self.counts = self.depacketiser.counts

    def push(self, data):
        # In the middle of a larger buffer, as it comes from the socket.
        self.depacketiser.push(b"\x24\x00\x00\x00" + data + b"\x24", 4, 4 + len(data))

    def send(self, frames, lost=(), sequence=65530):
        number = sequence
        for stamp, packets in enumerate(frames):
            for at, payload in enumerate(packets):
                if number - sequence not in lost:
                    self.push(packet(payload, number, stamp * 3600, at == len(packets) - 1))
                number += 1

    def nals(self, index):
        data, out = b"".join(self.frames[index].parts), []
        assert len(data) == self.frames[index].size
        while data:
            size = int.from_bytes(data[:4], "big")
            out.append(data[4 : 4 + size])
            data = data[4 + size :]
        return out


def h264_nal(kind, size, seed=0):
    return bytes((0x60 | kind, 0x80)) + random.Random(seed).randbytes(size)


def h265_nal(kind, size, seed=0):
    return bytes((kind << 1, 1, 0x80)) + random.Random(seed).randbytes(size)


h264_frame = st.lists(
    st.tuples(st.sampled_from([1, 5, 6, 7, 8, 9]), st.integers(1, 6000)), min_size=1, max_size=6
)
h265_frame = st.lists(
    st.tuples(st.sampled_from([1, 19, 32, 33, 34, 39]), st.integers(1, 6000)), min_size=1, max_size=6
)


@settings(max_examples=60)
@given(st.lists(h264_frame, min_size=1, max_size=5), st.integers(100, 1500))
def test_h264_arrives_as_it_was_sent_in_single_nals_stap_a_and_fu_a(frames, largest):
    sent = [tuple(h264_nal(kind, size, size) for kind, size in frame) for frame in frames]
    receiver = Receiver()
    receiver.send([payloads("h264", nals, largest) for nals in sent])
    assert [tuple(receiver.nals(index)) for index in range(len(receiver.frames))] == sent
    assert [frame.key for frame in receiver.frames] == [any(k == 5 for k, _ in frame) for frame in frames]
    assert (receiver.counts.lost_packets, receiver.counts.bad_nals) == (0, 0)


@settings(max_examples=60)
@given(st.lists(h265_frame, min_size=1, max_size=5), st.integers(100, 1500))
def test_h265_arrives_as_it_was_sent_in_single_nals_ap_and_fu(frames, largest):
    sent = [tuple(h265_nal(kind, size, size) for kind, size in frame) for frame in frames]
    receiver = Receiver(H265Depacketiser)
    receiver.send([payloads("h265", nals, largest) for nals in sent])
    assert [tuple(receiver.nals(index)) for index in range(len(receiver.frames))] == sent
    assert [frame.key for frame in receiver.frames] == [any(k == 19 for k, _ in frame) for frame in frames]


@settings(max_examples=100)
@given(st.data())
def test_every_lost_packet_is_counted_and_no_frame_is_delivered_that_is_not_whole(data):
    sent = [(h264_nal(5 if n == 0 else 1, 4000 + n, n),) for n in range(6)]
    packed = [payloads("h264", nals, 700) for nals in sent]
    total = sum(map(len, packed))
    # The last packet is always there: what is lost after the last that came cannot be known.
    lost = data.draw(st.sets(st.integers(1, total - 2), max_size=6))
    receiver = Receiver()
    receiver.send(packed, lost)
    assert receiver.counts.lost_packets == len(lost)
    got = [tuple(receiver.nals(index)) for index in range(len(receiver.frames))]
    assert set(got) <= set(sent)
    assert len(got) + receiver.counts.damaged_frames >= len(sent) - len(lost)
    first = 0
    for nals, packets in zip(sent, packed, strict=True):
        if lost & set(range(first, first + len(packets))):
            assert nals not in got
        first += len(packets)


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=40), max_size=30), st.sampled_from([H264Depacketiser, H265Depacketiser]))
def test_any_bytes_at_all_are_survived(bodies, kind):
    receiver = Receiver(kind)
    for number, body in enumerate(bodies):
        receiver.push(packet(body, number, number // 3, number % 3 == 2))
        receiver.push(body)
    for index in range(len(receiver.frames)):
        assert receiver.nals(index) is not None


def test_a_frame_without_its_marker_ends_where_the_next_timestamp_begins():
    receiver = Receiver()
    for number in range(3):
        receiver.push(packet(h264_nal(1, 50, number), number, number * 3600))
    assert [frame.timestamp for frame in receiver.frames] == [0, 3600]


def test_csrcs_extension_and_padding_are_no_payload():
    nal = h264_nal(1, 50)
    receiver = Receiver()
    more = bytes(8) + struct.pack(">HH", 0xABAC, 1) + bytes(4)
    receiver.push(packet(nal + b"\0\0\3", 1, 0, True, first=0x80 | 0x20 | 0x10 | 2, more=more))
    assert receiver.nals(0) == [nal]


@pytest.mark.parametrize("first", [0x60 | 0x80 | 1, 0, 0x1F, 25, 26, 27, 29, 30])
def test_a_nal_that_no_stream_may_hold_is_counted_and_left_out(first):
    receiver = Receiver()
    receiver.push(packet(bytes((first, 1, 2, 3)), 1, 0, False))
    receiver.push(packet(h264_nal(1, 9), 2, 0, True))
    assert receiver.counts.bad_nals == 1
    assert len(receiver.nals(0)) == 1


def test_a_sender_that_begins_anew_loses_no_packets():
    receiver = Receiver()
    receiver.send([[h264_nal(1, 9)]], sequence=10)
    receiver.push(packet(h264_nal(1, 9), 40_000, 5, True, ssrc=8))
    assert receiver.counts.lost_packets == 0


def test_a_packet_that_comes_twice_is_taken_once():
    receiver = Receiver()
    for sequence in (10, 11, 11, 10, 12):
        receiver.push(packet(h264_nal(1, 9, sequence), sequence, sequence, True))
    assert len(receiver.frames) == 3 and receiver.counts.lost_packets == 0


def test_a_frame_over_the_limit_is_not_gathered(monkeypatch):
    monkeypatch.setattr("koinon.video.recorder.rtp.LARGEST_FRAME", 10_000)
    receiver = Receiver()
    receiver.send([payloads("h264", (h264_nal(5, 30_000),)), payloads("h264", (h264_nal(1, 500),))])
    assert [frame.key for frame in receiver.frames] == [False]
    assert receiver.counts.damaged_frames >= 1


def test_a_sender_report_tells_the_senders_time():
    unix = 1_795_000_000.25
    report = struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, int(unix) + 2_208_988_800, 1 << 30, 42, 0, 0)
    assert read_sender_report(report).unix == unix
    assert read_sender_report(report).timestamp == 42
    assert read_sender_report(report[:20]) is None
    assert read_sender_report(receiver_report(1, 2, 3, 4)) is None


SPOILT = st.sampled_from(
    ["", "", "", "", "", "lost", "twice", "cut", "other stamp", "other sender", "other type", "other channel",
     "extended", "marked", "last bit", "first bit", "another kind", "empty"]
)  # fmt: skip


def spoil(how, payload, sequence, stamp, marker, start):
    """The interleaved packet as a camera should send it, or not."""
    more, first, pt, ssrc, channel = b"", 0x80, PT, 7, 0
    match how:
        case "cut":
            payload = payload[: start + 1]
        case "empty":
            payload = payload[:start]
        case "other stamp":
            stamp += 1
        case "other sender":
            ssrc = 8
        case "other type":
            pt = 97
        case "other channel":
            channel = 2
        case "extended":
            first, more = 0x90, b"\xab\xac\x00\x01abcd"
        case "marked":
            marker = not marker
        case "last bit" | "first bit" | "another kind":
            bit = {"last bit": 0x40, "first bit": 0x80, "another kind": 0x01}[how]
            payload = payload[: start - 1] + bytes((payload[start - 1] ^ bit,)) + payload[start:]
    data = packet(payload, sequence, stamp, marker, first, more, pt, ssrc)
    return struct.pack(">BBH", 0x24, channel, len(data)) + data


@pytest.mark.parametrize("codec", ["h264", "h265"])
@settings(max_examples=150)
@given(data=st.data())
def test_fragments_taken_one_after_the_other_say_what_each_alone_says(codec, data):
    kind, of, nal = {
        "h264": (H264Depacketiser, h264_frame, h264_nal), "h265": (H265Depacketiser, h265_frame, h265_nal)
    }[codec]  # fmt: skip
    frames = data.draw(st.lists(of, min_size=1, max_size=4))
    buffer, sequence = b"", 65530
    for stamp, frame in enumerate(frames):
        packets = payloads(codec, tuple(nal(each, size, size) for each, size in frame), 200)
        spoilt = data.draw(st.dictionaries(st.integers(0, len(packets) - 1), SPOILT, max_size=3))
        for at, payload in enumerate(packets):
            how = spoilt.get(at, "")
            one = spoil(
                how, payload, sequence, stamp * 3600, at == len(packets) - 1, kind._following.size - 16
            )
            buffer += {"lost": b"", "twice": one * 2}.get(how, one)
            sequence += 1
    buffer = buffer[: len(buffer) - data.draw(st.integers(0, 300))]

    alone, after = Receiver(kind), Receiver(kind)
    for receiver in (alone, after):
        at = 0
        while len(buffer) - at >= 4 and (
            end := at + 4 + int.from_bytes(buffer[at + 2 : at + 4], "big")
        ) <= len(buffer):
            if buffer[at + 1] == 0:
                receiver.depacketiser.push(buffer, at + 4, end)
                if receiver is after:
                    end = receiver.depacketiser.follow(buffer, end, 0)
            at = end
        receiver.depacketiser.push(packet(b"\x41\x80", sequence, 9), 0, 14)  # what was open is closed
    assert after.frames == alone.frames
    assert (after.counts, after.depacketiser.highest) == (alone.counts, alone.depacketiser.highest)


def test_the_short_way_is_taken():
    frame = h264_nal(5, 20_000)
    packets = payloads("h264", (frame,), 1000)
    buffer = b"".join(
        struct.pack(">BBH", 0x24, 0, len(one) + 12) + packet(one, number, 0, number == len(packets) - 1)
        for number, one in enumerate(packets)
    )
    receiver = Receiver()
    first = 4 + 12 + len(packets[0])
    receiver.depacketiser.push(buffer, 4, first)
    assert receiver.depacketiser.follow(buffer, first, 0) == len(buffer), "all but the first"
    assert receiver.nals(0) == [frame]
