"""The WebSocket of live viewing: who is let in, what is told, how it ends."""

import asyncio
import json
import time
from uuid import UUID

import pytest
import websockets
from websockets.asyncio.client import connect

from koinon.base.errors import NotAllowed
from koinon.trust.gate import EndReason

REQUEST = {"camera": str(UUID(int=1)), "action": "view_live", "purpose": "public-order", "case": "P-1"}


def dial(site, *, origin=None, query="", **options):
    address = site.origin.replace("http", "ws") + "/video/live" + query
    return connect(address, origin=origin or site.origin, compression=None, max_size=None, **options)


async def opened(socket, **changes):
    await socket.send(json.dumps({**REQUEST, **changes}))
    return json.loads(await socket.recv())


async def media(socket, count=1):
    """So many media messages, and the texts between them."""
    found, texts = [], []
    while len(found) < count:
        message = await socket.recv()
        if isinstance(message, str):
            texts.append(json.loads(message))
        elif message[0] == 2:
            found.append(message)
    return found, texts


async def test_a_view_is_opened_shown_counted_and_ended(tapped, site_of, wait_until):
    site = await site_of(await tapped())
    async with dial(site, query="?lang=fr") as socket:
        told = await opened(socket)
        assert told["opened"]["watermark"] == "An Peeters · Zone Ouest"
        assert told["opened"]["role"] == "main" and abs(told["opened"]["now"] / 1000 - time.time()) < 5
        found, _ = await media(socket, 20)
        [view] = site.views
        assert view.request.case == "P-1"
        await socket.send(json.dumps({"clock": 12.5}))
        while "clock" not in (message := (await media(socket))[1] or [{}])[0]:
            pass
        assert message[0]["clock"] == 12.5
    await wait_until(lambda: view.ended)
    assert view.ended is EndReason.LEFT
    assert view.bytes >= sum(map(len, found))
    await wait_until(lambda: not site.socket._views)


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
async def test_another_site_may_not_open_it(tapped, site_of, origin):
    site = await site_of(await tapped())
    with pytest.raises(websockets.InvalidStatus) as caught:
        await dial(site, origin=origin).__aenter__()
    assert caught.value.response.status_code == 403
    assert not site.views


async def test_who_is_not_signed_in_is_told_so(tapped, site_of):
    site = await site_of(await tapped())
    site.session = None
    async with dial(site, query="?lang=nl") as socket:
        told = json.loads(await socket.recv())
    assert (told["problem"]["code"], told["problem"]["status"]) == ("not_signed_in", 401)
    assert told["problem"]["title"] == "Meld u aan"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"camera": str(UUID(int=99))}, "camera_unknown"),
        ({"camera": "../1"}, "body_malformed"),
        ({"action": "view_recording"}, "action_not_here"),
        ({"unknown": 1}, "body_malformed"),
        ({"case": "x" * 9000}, "body_malformed"),
    ],
)
async def test_what_is_asked_wrongly_is_refused_with_its_code(tapped, site_of, changes, code):
    site = await site_of(await tapped())
    async with dial(site) as socket:
        told = await opened(socket, **changes)
        assert told["problem"]["code"] == code
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()


async def test_a_refusal_of_the_gate_is_told_in_the_readers_language(tapped, site_of):
    site = await site_of(await tapped())
    site.rights.refusal = NotAllowed("charter_missing")
    async with dial(site, query="?lang=fr") as socket:
        told = await opened(socket)
    assert told["problem"]["code"] == "charter_missing"
    assert told["problem"]["title"] == "Ceci n’est pas autorisé"


async def test_a_camera_without_a_stream_is_said_and_its_view_ended(tapped, site_of):
    site = await site_of(await tapped())
    site.live.streams.clear()
    async with dial(site) as socket:
        told = await opened(socket)
    assert told["problem"]["code"] == "camera_has_no_stream"
    assert site.views[0].ended is EndReason.FAILED


async def test_what_must_be_masked_does_not_leave_unmasked(tapped, site_of):
    site = await site_of(await tapped())
    open_ = site.rights.open

    async def masked(*values, **options):
        view = await open_(*values, **options)
        view.masked = True
        return view

    site.rights.open = masked
    async with dial(site) as socket:
        told = await opened(socket)
        assert told["problem"]["code"] == "masked_picture_unavailable"
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()


async def test_a_cut_says_why_and_resets_at_once(tapped, site_of, wait_until):
    site = await site_of(await tapped())
    async with dial(site) as socket:
        await opened(socket)
        await media(socket, 5)
        began = time.monotonic()
        site.views[0].cut("authorisation_suspended")
        last = None
        with pytest.raises(websockets.ConnectionClosedError):
            while True:
                last = await socket.recv()
        assert time.monotonic() - began < 5
    assert json.loads(last)["cut"]["code"] == "authorisation_suspended"
    await wait_until(lambda: site.views[0].ended)
    assert site.views[0].ended is EndReason.CUT


async def test_a_cut_of_a_reader_who_takes_nothing_leaves_nothing_behind(tapped, site_of, wait_until):
    site = await site_of(await tapped({"kbits": 4000, "width": 640, "height": 360, "gop": 25}))
    host, port = site.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    lines = [
        "GET /video/live HTTP/1.1", f"Host: {host}:{port}", f"Origin: {site.origin}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await reader.readuntil(b"\r\n\r\n")
    body = json.dumps(REQUEST).encode()
    writer.write(b"\x81" + bytes((0x80 | len(body),)) + bytes(4) + body)
    await wait_until(lambda: site.views and site.views[0].bytes > 400_000, 20)
    [viewer] = next(iter(site.live.hub._channels.values())).viewers
    site.views[0].cut()
    sent = viewer.bytes
    await asyncio.sleep(0.3)
    assert viewer.bytes == sent
    with pytest.raises(ConnectionResetError):
        while await reader.read(65536):
            pass


async def test_who_signs_out_sees_nothing_more(tapped, site_of, wait_until, monkeypatch):
    monkeypatch.setattr("koinon.video.live.socket.SESSION_SECONDS", 0.2)
    monkeypatch.setattr("koinon.video.live.socket._TICK_SECONDS", 0.1)
    site = await site_of(await tapped())
    async with dial(site) as socket:
        await opened(socket)
        await media(socket, 5)
        site.session = None
        last = None
        with pytest.raises(websockets.ConnectionClosedError):
            while True:
                last = await socket.recv()
    assert json.loads(last)["cut"]["code"] == "not_signed_in"
    await wait_until(lambda: site.views[0].ended)


async def test_a_session_has_only_so_many_views(tapped, site_of, monkeypatch):
    monkeypatch.setattr("koinon.video.live.socket.LiveSocket.views_a_session", 2)
    site = await site_of(await tapped())
    async with dial(site) as first, dial(site) as second, dial(site) as third:
        assert "opened" in await opened(first) and "opened" in await opened(second)
        assert (await opened(third))["problem"]["code"] == "too_many_views"


async def test_the_small_picture_is_taken_where_it_is_asked_for_and_there(tapped, site_of):
    site = await site_of(await tapped(streams=(1, 2)), sub={1: 2})
    async with dial(site, query="?role=sub") as socket:
        assert (await opened(socket))["opened"]["role"] == "sub"
        await media(socket, 3)
        assert set(site.live.hub._channels) == {(2, None)}
        await socket.send(json.dumps({"role": "main"}))
        texts = []
        while not any("role" in text for text in texts):
            found, texts = await media(socket)
        assert found[0][1] & 1, "it begins with a key frame"
        assert len(site.views) == 1, "it is the same view"
        await socket.send(json.dumps({"role": "sub"}))
        await media(socket, 3)
    site.live.streams.pop((UUID(int=1), "sub"))
    async with dial(site) as socket:
        await opened(socket)
        await media(socket, 2)
        await socket.send(json.dumps({"role": "sub"}))
        texts = []
        while not texts:
            texts += (await media(socket))[1]
        assert texts == [{"role": "main", "why": "no_other_stream"}]


async def test_garbage_while_it_runs_is_ignored(tapped, site_of):
    site = await site_of(await tapped())
    async with dial(site) as socket:
        await opened(socket)
        for text in ("", "{", '{"clock": "x"}', '{"role": "all"}'):
            await socket.send(text)
        await socket.send(b"\x00\x01")
        await media(socket, 10)
