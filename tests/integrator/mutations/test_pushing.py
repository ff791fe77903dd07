"""Pushes: signed, to the subscriber's own address, each at its own pace; one bad subscriber hurts nobody."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
from tests.integrator.mutations.conftest import RENT, Bureau, changed, numbers

from koinon.base.crypto import SigningKey
from koinon.client import Pins
from koinon.client.mutations import Receiver
from koinon.demo.region import AUTHORISATION, NORTH, load_key
from koinon.integrator.drivers import Reachable
from koinon.integrator.mutations import Delivery, Mutations, Pusher
from koinon.trust.ledger import find_entries
from koinon.trust.standing.acts import Deed, TargetKind


class Subscriber:
    """A subscriber's HTTP server: keeps what took effect, by number, and may behave badly."""

    def __init__(self, receiver: Callable[[str], Receiver]) -> None:
        self._receiver = receiver
        self.effects: dict[int, str] = {}
        self.doubled: list[int] = []
        self.calls = 0
        self.manner = "good"
        self.most = 1000
        self.address = ""

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.receiver = self._receiver(f"127.0.0.1:{port}")
        self.address = f"http://127.0.0.1:{port}/told"
        return server

    def apply(self, delivery: Delivery) -> int:
        for item in delivery.items[: self.most]:
            if item.number in self.effects:
                self.doubled.append(item.number)
                assert self.effects[item.number] == item.subject, "a number that means something else by now"
            self.effects[item.number] = item.subject
        return min(delivery.until, delivery.after + self.most)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = [
                    (name.strip().lower().encode(), value.strip().encode())
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                ]
                length = next(int(value) for name, value in headers if name == b"content-length")
                body = await reader.readexactly(length)
                self.calls += 1
                if self.manner == "silent":
                    await asyncio.sleep(60)
                if self.manner == "rude":
                    writer.write(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
                    continue
                if self.manner == "redirecting":
                    writer.write(
                        b"HTTP/1.1 302 There\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
                    )
                    continue
                status, answer_headers, answer = self.receiver.take(headers, body, self.apply)
                if self.manner == "unsigned":
                    answer_headers = [(b"content-type", b"application/json")]
                if self.manner == "dies":
                    writer.close()  # after it took effect, before it could say so
                    return
                lines = b"".join(b"%b: %b\r\n" % each for each in answer_headers)
                writer.write(
                    b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(answer), answer)
                )
                await writer.drain()
        writer.close()


@pytest.fixture
async def subscriber(bureau: Bureau) -> AsyncIterator[Callable[..., Subscriber]]:
    """`await subscriber()`: a server of company North that answers with its system's key."""
    servers: list[asyncio.Server] = []

    async def make(key: SigningKey | None = None) -> Subscriber:
        signing = key or load_key(bureau.world.home, f"{NORTH}-system")
        pins = Pins([bureau.key.verify_key])
        one = Subscriber(lambda authority: Receiver(signing, pins, authority=authority, path="/told"))
        servers.append(await one.serve())
        return one

    yield make  # type: ignore[misc]
    for server in servers:
        server.close()


@contextlib.asynccontextmanager
async def pushing(bureau: Bureau, **values: object) -> AsyncIterator[Pusher]:
    pusher = Pusher(bureau.mutations, bureau.key, **{"poll_seconds": 0.05, "push_seconds": 2.0, **values})  # type: ignore[arg-type]
    task = asyncio.create_task(pusher.run())
    try:
        yield pusher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def acknowledged(bureau: Bureau, subscription: object, number: int) -> None:
    """What took effect at the subscriber is written down here as well, once its answer has come."""
    async with asyncio.timeout(60):
        while (await bureau.look(subscription)).acknowledged < number:  # type: ignore[arg-type]  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def fails(bureau: Bureau, subscription: object, seconds: float = 15) -> str:
    """The code of the subscription's last push, once there is one."""
    deadline = time.monotonic() + seconds
    while True:
        view = await bureau.look(subscription)  # type: ignore[arg-type]
        if view.push is not None and view.push.last_code is not None:
            return view.push.last_code
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_what_is_published_is_pushed_in_order_and_acknowledged_by_signature(
    bureau: Bureau, subscriber: Callable[..., object]
) -> None:
    people = numbers(5)
    await bureau.know(people)
    server: Subscriber = await subscriber()  # type: ignore[misc]
    heard = await bureau.subscribe(push_address=server.address)
    server.most = 2
    await bureau.publish(*(changed(n + 1, each) for n, each in enumerate(people)))
    async with pushing(bureau):
        await until(lambda: len(server.effects) == 5)
        await bureau.publish(changed(6, people[0]))
        await until(lambda: len(server.effects) == 6)
        await acknowledged(bureau, heard, 6)
    assert [server.effects[n] for n in range(1, 7)] == [*people, people[0]]
    assert server.doubled == []
    view = await bureau.look(heard)
    assert (view.acknowledged, view.waiting) == (6, 0)
    assert view.push is not None and (view.push.failures, view.push.last_code) == (0, None)


@pytest.mark.parametrize(
    ("manner", "code"),
    [
        ("silent", "timeout"), ("rude", "refused"), ("unsigned", "signature_missing"), ("redirecting", "redirect"),
        ("dies", "unreachable"),
    ],
)  # fmt: skip
async def test_a_bad_subscriber_is_left_alone_and_the_live_one_beside_it_is_told_at_once(
    bureau: Bureau, subscriber: Callable[..., object], manner: str, code: str
) -> None:
    people = numbers(3)
    await bureau.know(people)
    await bureau.know(people, purpose=RENT["purpose"])
    bad: Subscriber = await subscriber()  # type: ignore[misc]
    live: Subscriber = await subscriber()  # type: ignore[misc]
    bad.manner = manner
    hurt = await bureau.subscribe(push_address=bad.address)
    await bureau.subscribe(push_address=live.address, **RENT)
    # How long an answer may take is told by the one that never comes; else a pause of the machine would be it.
    push_seconds = 0.6 if manner == "silent" else 30.0
    async with pushing(bureau, places=2, doubtful=1, push_seconds=push_seconds):
        for n, each in enumerate(people):
            await bureau.publish(changed(n + 1, each))
            await until(lambda n=n: len(live.effects) == n + 1, 10)  # type: ignore[misc]
        assert (await fails(bureau, hurt)).startswith(code[:9])
        calls = bad.calls
        assert calls <= 4, "it is not left alone"
        # It comes to its senses: nothing is lost, and what had taken effect is recognised by its number.
        bad.manner = "good"
        bad.doubled.clear()
        await until(lambda: len(bad.effects) == 3, 20)
        await acknowledged(bureau, hurt, 3)
    assert (await bureau.look(hurt)).acknowledged == 3
    assert live.doubled == []


async def test_a_dead_address_costs_the_others_nothing(
    bureau: Bureau, subscriber: Callable[..., object]
) -> None:
    people = numbers(2)
    await bureau.know(people)
    await bureau.know(people, purpose=RENT["purpose"])
    live: Subscriber = await subscriber()  # type: ignore[misc]
    dead = await bureau.subscribe(push_address="http://127.0.0.1:9/told")
    await bureau.subscribe(push_address=live.address, **RENT)
    await bureau.publish(changed(1, people[0]), changed(2, people[1]))
    async with pushing(bureau, places=2, doubtful=1):
        await until(lambda: len(live.effects) == 2)
        assert await fails(bureau, dead) == "unreachable"
    view = await bureau.look(dead)
    assert view.push is not None and view.push.failures >= 1 and view.waiting == 2


async def test_an_answer_signed_by_another_counts_for_nothing(
    bureau: Bureau, subscriber: Callable[..., object]
) -> None:
    [one] = numbers(1)
    await bureau.know([one])
    another: Subscriber = await subscriber(load_key(bureau.world.home, "rijksregister-system"))  # type: ignore[misc]
    heard = await bureau.subscribe(push_address=another.address)
    await bureau.publish(changed(1, one))
    async with pushing(bureau):
        assert await fails(bureau, heard) == "key_of_another"
    assert (await bureau.look(heard)).acknowledged == 0


async def test_a_name_that_leads_inside_is_found_out_at_the_connection_and_nothing_is_recorded(
    bureau: Bureau,
) -> None:
    """The address is a name when it is registered; only at the connection it is known where it leads."""
    [one] = numbers(1)
    await bureau.know([one])
    mutations = Mutations(bureau.integrator, reachable=Reachable(networks=("10.9.0.0/16",), plain_http=True))
    bureau.mutations = mutations
    heard = await bureau.subscribe(push_address="http://localhost:9/told")
    await bureau.publish(changed(1, one))
    async with pushing(bureau):
        assert await fails(bureau, heard) == "unreachable"
    async with bureau.world.database.acquire() as connection:
        assert await find_entries(connection, kind="mutations.delivered", limit=2) == []


async def test_a_suspension_drops_what_is_on_its_way_within_a_second_and_nothing_is_lost(
    bureau: Bureau, subscriber: Callable[..., object]
) -> None:
    people = numbers(2)
    await bureau.know(people)
    server: Subscriber = await subscriber()  # type: ignore[misc]
    heard = await bureau.subscribe(push_address=server.address)
    server.manner = "silent"
    await bureau.publish(changed(1, people[0]))
    async with pushing(bureau, push_seconds=30.0) as pusher:
        await until(lambda: server.calls == 1)
        await bureau.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
        began = time.monotonic()
        await until(lambda: not pusher._sending)
        assert time.monotonic() - began < 10
        server.manner = "good"
        await bureau.publish(changed(2, people[1]))
        await asyncio.sleep(1.5)
        assert server.effects == {}
        view = await bureau.look(heard)
        assert (view.state, view.code) == ("stopped", "authorisation_suspended")
        async with bureau.world.database.acquire() as connection:
            # Looked at in memory: what waits for a suspension to end does not fill the trace.
            assert await find_entries(connection, kind="exchange.refused", limit=2) == []
        await bureau.world.act("chair", Deed.RESUME, TargetKind.AUTHORISATION, AUTHORISATION)
        await until(lambda: len(server.effects) == 2)
    assert [server.effects[1], server.effects[2]] == people
