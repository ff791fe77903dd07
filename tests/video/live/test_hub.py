"""Frames of virtual cameras, through a tap and a hub, to viewers: at once, whole, in order, and to nobody's harm."""

import asyncio
import struct
import time
from itertools import pairwise

import pytest

from koinon.base.errors import Unavailable
from koinon.demo.cameras import Fault
from koinon.video.live.channel import Viewer
from koinon.video.live.hub import Hub
from koinon.video.live.link import Link
from koinon.video.live.messages import HEAD
from koinon.video.masks import Coded
from koinon.video.masks.pictures import Pictures
from koinon.video.recorder import boxes


def placed(message):
    """`(kind, flags, duration, wall_us, shown, decode, sample)` of a media message."""
    kind, flags, _, duration, wall, shown = HEAD.unpack_from(message)
    moof_size = struct.unpack_from(">I", message, HEAD.size)[0]
    base, [sample] = boxes.read_samples(message[HEAD.size : HEAD.size + moof_size])
    return kind, flags, duration, wall, shown, base, sample


def playable(wire, path):
    """What a player was given as a file."""
    with path.open("wb") as file:
        for opcode, body in wire.messages():
            if opcode == 2:
                skip = HEAD.size + (1 + body[HEAD.size] if body[0] == 1 else 0)
                file.write(body[skip:])
    return path


async def test_a_viewer_gets_a_playable_picture_at_once_and_every_frame_after_it(
    tapped, hub_of, wire, wait_until, tmp_path, probe
):
    place = await tapped({"gop": 25})
    hub = hub_of(place)
    first, second = wire(), wire()
    hub.join(1, Viewer(first))
    await wait_until(lambda: len(first.media()) >= 10)
    hub.join(1, Viewer(second))
    assert second.openings() and placed(second.media()[0])[1] == 1, "the GOP that was going on came at once"
    await wait_until(lambda: len(second.media()) >= 60)
    times = [placed(message) for message in second.media()]
    for before, after in pairwise(times):
        assert after[5] == before[5] + before[2], "decoding times have no gaps"
    assert all(abs(each[2] - 3600) <= 40 for each in times[5:]), "25 frames a second"
    lag = time.time() * 1e6 - times[-1][3]
    assert 0 <= lag < 300_000
    found = probe(playable(second, tmp_path / "live.mp4"), decode=True)
    assert int(found["nb_read_frames"]) == len(times)


async def test_the_same_bytes_go_to_every_viewer(tapped, hub_of, wire, wait_until):
    place = await tapped()
    hub = hub_of(place)
    written = {name: [] for name in "ab"}

    class Keeps(wire):  # type: ignore[valid-type]
        def __init__(self, name):
            super().__init__()
            self.name = name

        def write(self, data):
            super().write(data)
            written[self.name].append(data)

    for name in "ab":
        hub.join(1, Viewer(Keeps(name)))
    await wait_until(lambda: len(written["b"]) > 12)
    shared = {id(each) for each in written["a"]} & {id(each) for each in written["b"]}
    assert len(shared) >= 10, "made once, not once a viewer"


async def test_a_viewer_who_does_not_keep_up_jumps_to_a_key_frame_and_holds_nobody(
    tapped, hub_of, wire, wait_until
):
    place = await tapped({"gop": 13})
    hub = hub_of(place)
    slow, quick = wire(), wire()
    viewer = Viewer(slow)
    hub.join(1, viewer)
    hub.join(1, Viewer(quick))
    await wait_until(lambda: len(slow.media()) >= 15)
    slow.waiting = 10 << 20
    before, size = len(slow.media()), len(slow.data)
    seen = len(quick.media())
    await wait_until(lambda: len(quick.media()) >= seen + 30)
    assert len(slow.data) == size, "what waits for it is bounded"
    slow.waiting = 0
    await wait_until(lambda: len(slow.media()) > before + 3)
    assert placed(slow.media()[before])[1] == 1, "it goes on with a key frame"
    [told] = [each["left_out"] for each in slow.texts() if "left_out" in each]
    assert told >= 30 and viewer.left_out == told
    numbers = [placed(message)[5] for message in quick.media()]
    assert all(b - a < 7200 for a, b in pairwise(numbers)), "the other lost nothing"


async def test_a_viewer_whose_connection_has_gone_holds_nobody(tapped, hub_of, wire, wait_until):
    place = await tapped({"gop": 13})
    hub = hub_of(place)
    gone, other = wire(), wire()
    hub.join(1, Viewer(gone))
    hub.join(1, Viewer(other))
    await wait_until(lambda: len(gone.media()) >= 5)
    gone.closed = True
    seen = len(other.media())
    await wait_until(lambda: len(other.media()) >= seen + 20)
    place.camera().fault = Fault(off=True)
    place.camera().disconnect()
    await wait_until(lambda: {"away": "refused"} in other.texts())


async def test_a_camera_that_goes_away_is_told_with_its_reason_and_comes_back(
    tapped, hub_of, wire, wait_until
):
    place = await tapped({"gop": 13})
    hub = hub_of(place)
    seen = wire()
    channel = hub.join(1, Viewer(seen))
    await wait_until(lambda: len(seen.media()) >= 5)
    place.camera().fault = Fault(off=True)
    place.camera().disconnect()
    await wait_until(lambda: {"away": "refused"} in seen.texts())
    assert channel.away == "refused"
    late = wire()
    hub.join(1, Viewer(late))
    assert late.texts() == [{"away": "refused"}] and not late.media(), "nobody is shown an old picture"
    place.camera().fault = Fault()
    before = len(seen.media())
    await wait_until(lambda: len(seen.media()) > before + 3)
    assert placed(seen.media()[before])[1] == 1
    assert channel.away is None and len(late.media()) >= 3


async def test_a_silent_camera_is_away(tapped, hub_of, wire, wait_until):
    place = await tapped({"gop": 13}, silence=30)
    hub = hub_of(place)
    seen = wire()
    hub.join(1, Viewer(seen))
    await wait_until(lambda: len(seen.media()) >= 5)
    place.camera().fault = Fault(silent=True)
    await wait_until(lambda: {"away": "silent"} in seen.texts())


async def test_parameters_that_change_give_a_new_opening_before_the_key_frame(
    tapped, hub_of, wire, wait_until, tmp_path
):
    place = await tapped({"gop": 13}, {"gop": 13, "width": 480, "height": 270})
    hub = hub_of(place)
    seen = wire()
    hub.join(1, Viewer(seen))
    await wait_until(lambda: len(seen.media()) >= 5)
    place.camera().fault = Fault(variant=1)
    await wait_until(lambda: len(seen.openings()) >= 2)
    await wait_until(lambda: len(seen.media()) >= 40)
    kinds = [body[:2] for opcode, body in seen.messages() if opcode == 2]
    at = next(index for index, kind in enumerate(kinds) if kind[0] == 1 and index > 0)
    assert kinds[at + 1] == bytes((2, 1)), "a key frame follows"
    widths = {struct.unpack_from(">H", body, body.index(b"avc1", 60) + 28)[0] for body in seen.openings()}
    assert widths == {320, 480}


async def test_frames_that_are_shown_in_another_order_keep_their_times(
    tapped, hub_of, wire, wait_until, tmp_path, probe
):
    place = await tapped({"gop": 25, "b_frames": 2})
    hub = hub_of(place)
    first = wire()
    hub.join(1, Viewer(first))
    await wait_until(lambda: len(first.media()) >= 40)
    seen = wire()
    hub.join(1, Viewer(seen))
    await wait_until(lambda: len(seen.media()) >= 60)
    times = [placed(message) for message in seen.media()]
    shown = sorted(each[4] for each in times)
    assert any(each[6].composition for each in times)
    assert all(abs(b - a - 3600) <= 5 for a, b in pairwise(shown[3:-5]))
    for before, after in pairwise(times):
        assert after[5] == before[5] + before[2]
    found = probe(playable(seen, tmp_path / "b.mp4"), decode=True)
    assert int(found["nb_read_frames"]) >= len(times) - 2


async def test_h265_is_passed_on_with_its_name(tapped, hub_of, wire, wait_until):
    place = await tapped({"codec": "h265", "gop": 13})
    hub = hub_of(place)
    seen = wire()
    hub.join(1, Viewer(seen))
    await wait_until(lambda: len(seen.media()) >= 5)
    name = seen.openings()[0][HEAD.size + 1 :][: seen.openings()[0][HEAD.size]]
    assert name.startswith(b"hvc1.")


async def test_a_stream_is_subscribed_to_once_and_let_go_when_nobody_watches(
    tapped, hub_of, wire, wait_until, monkeypatch
):
    monkeypatch.setattr("koinon.video.live.hub._LINGER_SECONDS", 0.3)
    place = await tapped(streams=(1, 2))
    hub = hub_of(place)
    seen = [wire() for _ in range(4)]
    viewers = [Viewer(each) for each in seen]
    channels = [hub.join(1 + index % 2, viewer) for index, viewer in enumerate(viewers)]
    await wait_until(lambda: all(each.media() for each in seen))
    assert len(place.tap._clients) == 1, "one connection for all streams"
    assert [len(place.tap._feeds[stream].subscribers) for stream in (1, 2)] == [1, 1]
    for channel, viewer in zip(channels, viewers, strict=True):
        channel.leave(viewer)
    await wait_until(lambda: not place.tap._clients)
    assert [len(place.tap._feeds[stream].subscribers) for stream in (1, 2)] == [0, 0]


async def test_a_recorder_that_ends_is_told_and_the_next_is_found(tapped, hub_of, wire, wait_until):
    place = await tapped({"gop": 13})
    hub = hub_of(place)
    seen = wire()
    hub.join(1, Viewer(seen))
    await wait_until(lambda: len(seen.media()) >= 5)
    address = place.tap.address
    await place.tap.close()
    place.tap.address = ""
    await wait_until(lambda: {"away": "not_recorded"} in seen.texts())
    assert {"away": "recorder_unreachable"} in seen.texts()
    before = len(seen.media())
    await place.tap.start(address)
    await wait_until(lambda: len(seen.media()) > before + 5)


async def test_a_stream_that_moves_is_asked_for_again(tapped, hub_of, wire, wait_until):
    place = await tapped({"gop": 13})
    hub = hub_of(place)
    seen = wire()
    hub.join(1, Viewer(seen))
    await wait_until(lambda: len(seen.media()) >= 5)
    place.tap.forget(1)
    await wait_until(lambda: {"away": "moved"} in seen.texts())
    before = len(seen.media())
    await wait_until(lambda: len(seen.media()) > before + 5)


async def test_over_tcp_it_is_the_same(tapped, hub_of, wire, wait_until):
    place = await tapped(address="tcp:127.0.0.1:0")
    hub = hub_of(place)
    seen = wire()
    hub.join(1, Viewer(seen))
    await wait_until(lambda: len(seen.media()) >= 5)


@pytest.mark.parametrize("address", ["unix", "tcp:127.0.0.1:0"])
async def test_without_the_key_nothing_is_served(tapped, address):
    place = await tapped(address=address)
    with pytest.raises(Unavailable) as caught:
        await Link.open(place.tap.address, bytes(32))
    assert caught.value.code == "recorder_unreachable"
    assert not place.tap._clients


async def test_who_asks_before_the_proof_is_cut_off(tapped):
    place = await tapped(address="tcp:127.0.0.1:0")
    port = int(place.tap.address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(struct.pack(">IBI", 5, 4, 1))  # SUBSCRIBE
    data = await reader.read(-1)
    assert len(data) == 9 + 32, "the greeting, and nothing after it"


async def test_a_web_process_that_does_not_keep_up_loses_frames_to_the_next_key_frame(tapped, monkeypatch):
    monkeypatch.setattr("koinon.video.live.tap.HIGH_BYTES", 40_000)
    monkeypatch.setattr("koinon.video.live.tap.LOW_BYTES", 1_000)
    place = await tapped({"gop": 13, "kbits": 2000})
    heads = []

    class Keeps:
        def on_format(self, format_):
            pass

        def on_frame(self, head, data):
            heads.append(head)

        def on_away(self, reason):
            pass

        def on_gone(self, reason):
            pass

    link = await Link.open(place.tap.address, bytes(range(32)))
    link.subscribe(1, Keeps())
    await asyncio.sleep(1.0)
    link.transport.pause_reading()
    await asyncio.sleep(2.5)
    link.transport.resume_reading()
    await asyncio.sleep(1.5)
    left_out = [head for head in heads if head.left_out]
    assert left_out and all(head.flags & 1 for head in left_out), "it goes on with a key frame"
    assert sum(head.left_out for head in left_out) > 10
    link.close()


async def test_a_key_frame_is_taken_as_it_came_and_the_stream_is_let_go(tapped, hub_of):
    hub = hub_of(await tapped({"gop": 13}))
    format_, head, data = await hub.take_key(1, 20.0)
    assert (format_.width, format_.height) == (320, 180) and head.wall_us > 0
    pictures = Pictures()
    try:
        made = await pictures.draw(format_, Coded(0, head.wall_us, True, data), [], width=320)
    finally:
        await pictures.close()
    assert made.startswith(b"\xff\xd8")
    assert not hub._channels[1, None].watched


async def test_a_stream_that_nobody_serves_gives_no_key_frame_and_says_so_at_once():
    async def nowhere(stream):
        return None

    hub = Hub(nowhere, b"k" * 32)
    try:
        with pytest.raises(Unavailable) as refused:
            await hub.take_key(7, 20.0)
        assert refused.value.code == "not_recorded"
    finally:
        await hub.close()
