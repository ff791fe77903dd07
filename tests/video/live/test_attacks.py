"""What a player that does not play by the rules does to the process that serves it."""

import asyncio
import json

from tests.video.live.test_socket import REQUEST

CLIP = {"kbits": 4000, "width": 640, "height": 360, "gop": 50}


def masked(text):
    """A text message as a browser sends it, under a mask of nothing."""
    body = text.encode()
    size = bytes((0x80 | len(body),)) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + body


async def test_a_player_that_asks_and_takes_nothing_makes_nothing_pile_up(
    tapped, site_of, wait_until, monkeypatch
):
    monkeypatch.setattr("koinon.video.live.socket.MOST_WAITING", 1 << 20)
    site = await site_of(await tapped(CLIP, CLIP, streams=(1, 2)), sub={1: 2})
    host, port = site.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    lines = [
        "GET /video/live HTTP/1.1", f"Host: {host}:{port}", f"Origin: {site.origin}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(masked(json.dumps(REQUEST)))
    await wait_until(lambda: site.views and site.views[0].bytes > 200_000, 20)
    channels = site.live.hub._channels
    [viewer] = next(iter(channels.values())).viewers
    most = 0
    for n in range(4000):
        # Each asks for a whole group of pictures, out of some twenty bytes.
        writer.write(masked(json.dumps({"role": "main" if n % 2 else "sub", "clock": n})))
        most = max(most, viewer.waiting)
        if site.views[0].ended:
            break
        await asyncio.sleep(0.002)
    await wait_until(lambda: site.views[0].ended, 10)
    assert most < 4 << 20
    await wait_until(lambda: not any(channel.viewers for channel in channels.values()), 5)
    writer.close()
