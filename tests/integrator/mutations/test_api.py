"""`/api/mutations` over real HTTP, with the Python client and the command line: both ways signed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.integrator.mutations.conftest import Bureau, changed, numbers, replaced
from typer.testing import CliRunner

from koinon.app.server import listen, server
from koinon.base.crypto import SigningKey
from koinon.base.errors import KoinonError
from koinon.client import Client, Pins, Refused, Untrusted
from koinon.client.mutations import Delivery, Item, Mutations, Place, Receiver, check
from koinon.client.mutations_cli import app as command
from koinon.demo.region import FLOW, NORTH, PURPOSE, load_key
from koinon.integrator.mutations import policy, sweep
from koinon.integrator.mutations.api import MutationsApi

QUESTION = {"flow": FLOW, "purpose": PURPOSE, "case": "TELL-ME"}


@pytest.fixture
async def url(bureau: Bureau) -> AsyncIterator[str]:
    """Where the API of the bureau answers."""
    listener = listen("127.0.0.1", 0)
    authority = f"127.0.0.1:{listener.getsockname()[1]}"
    api = MutationsApi(bureau.mutations, bureau.publishing, key=bureau.key, authority=authority)
    running = server(api, host="127.0.0.1", port=0, uses=bureau.uses)
    running.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(running.serve(sockets=[listener]))
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"http://{authority}"
    running.should_exit = True
    await task


def client_of(bureau: Bureau, url: str, name: str = f"{NORTH}-system") -> Client:
    return Client(url, load_key(bureau.world.home, name), Pins([bureau.key.verify_key]))


class Died(Exception):
    """The consumer was killed here."""


async def test_a_consumer_that_dies_goes_on_where_it_was(bureau: Bureau, url: str, tmp_path: Path) -> None:
    people = numbers(7)
    await bureau.know(people)
    place = Place(tmp_path / "place")

    def work() -> tuple[list[int], list[str]]:
        with client_of(bureau, url, "rijksregister-system") as client:
            keeper = Mutations(client)
            with client_of(bureau, url) as consumer:
                mutations = Mutations(consumer)
                subscription = mutations.subscribe(**QUESTION)
                done = keeper.publish(
                    "rijksregister", [changed(n + 1, each) for n, each in enumerate(people)]
                )
                assert (done.accepted, done.stream.passed_until) == (7, 7)
                numbers_, seen = [], []
                for fatal in (3, 5, None):
                    try:
                        for item in mutations.follow(
                            subscription.id, place, wait_seconds=0, going=lambda: place.read() < 7
                        ):
                            numbers_.append(item.number)
                            seen.append(item.subject)
                            if item.number == fatal:
                                raise Died
                    except Died:
                        pass
                view = mutations.look(subscription.id)
                assert (view.acknowledged, view.waiting) == (7, 0)
                assert keeper.stream("rijksregister").passed_until == 7
                return numbers_, seen

    heard, seen = await asyncio.to_thread(work)
    # The item on which it died comes again, under its number; nothing is left out.
    assert heard == [1, 2, 3, 3, 4, 5, 5, 6, 7]
    assert [seen[heard.index(n)] for n in range(1, 8)] == people


async def test_a_consumer_that_was_away_too_long_resynchronises(
    bureau: Bureau, url: str, tmp_path: Path
) -> None:
    people = numbers(2)
    await bureau.know(people, seconds=86_400 * 90)
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, people[0]))
    at = bureau.world.clock.now() + policy.KEPT * 2
    await sweep(bureau.world.database, bureau.world.sealer, at)
    place, asked, found = Place(tmp_path / "place"), [], []

    def work() -> None:
        with client_of(bureau, url) as client:
            mutations = Mutations(client)
            with pytest.raises(Refused) as refused:
                list(mutations.follow(heard.id, place, wait_seconds=0))
            assert (refused.value.code, refused.value.facts["floor"]) == ("resynchronise", 1)
            for item in mutations.follow(
                heard.id, place, wait_seconds=0, resynchronise=asked.append, going=lambda: place.read() < 2
            ):
                found.append(item.subject)

    task = asyncio.create_task(asyncio.to_thread(work))
    while not asked and not task.done():  # noqa: ASYNC110 - the thread has no event of ours
        await asyncio.sleep(0.02)
    await bureau.publish(changed(2, people[1]))
    await task
    assert (asked, found) == ([1], [people[1]])


async def test_refusals_are_signed_and_carry_their_code(bureau: Bureau, url: str) -> None:
    [one] = numbers(1)
    await bureau.know([one])
    heard = await bureau.subscribe()

    def refusals() -> list[str]:
        codes = []
        with client_of(bureau, url) as client:
            mutations = Mutations(client)
            for call in (
                lambda: mutations.publish("rijksregister", [changed(1, one)]),
                lambda: mutations.read(heard.id, 1),
                lambda: mutations.acknowledge(heard.id, 1),
                lambda: mutations.push_to(heard.id, "http://192.168.1.1/x"),
                lambda: mutations.look(UUID(int=1)),
                lambda: client.run(client.conversation.call("POST", "/api/mutations/subscriptions", b"{}")),
                lambda: client.run(client.conversation.call("GET", "/api/mutations/elsewhere")),
            ):
                with pytest.raises(Refused) as refused:
                    call()
                assert refused.value.signed
                codes.append(refused.value.code)
        return codes

    assert await asyncio.to_thread(refusals) == [
        "not_keeper", "cursor_ahead", "acknowledged_ahead", "push_address_refused", "subscription_unknown",
        "body_malformed", "route_unknown",
    ]  # fmt: skip


async def test_nobody_in_particular_gets_nothing(bureau: Bureau, url: str) -> None:
    def ask() -> KoinonError:
        with (
            Client(url, SigningKey.generate(), Pins([bureau.key.verify_key])) as client,
            pytest.raises(KoinonError) as refused,
        ):
            Mutations(client).list()
        return refused.value

    assert (await asyncio.to_thread(ask)).code == "key_unknown"


async def test_the_command_line_publishes_subscribes_and_follows(
    bureau: Bureau, url: str, tmp_path: Path
) -> None:
    old, new = numbers(2)
    await bureau.know([old])
    pins = tmp_path / "platform.json"
    Pins([bureau.key.verify_key]).save(pins)
    lines = tmp_path / "changes.jsonl"
    lines.write_text(
        "\n".join(
            json.dumps(
                {
                    "sequence": n,
                    "kind": "changed",
                    "service": "person",
                    "subject": old,
                    "effective_on": "2026-11-20",
                }
            )
            for n in (1, 3)
        )
    )

    def call(key: str, *words: str) -> Any:
        path = bureau.world.home / "demo" / "keys" / f"{key}.pem"
        done = CliRunner().invoke(command, [*words, "--url", url, "--key", str(path), "--pins", str(pins)])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def work() -> tuple[str, list[Any], str]:
        system = f"{NORTH}-system"
        words = ("--flow", FLOW, "--purpose", PURPOSE, "--case", "TELL-ME", "--json")
        [subscription] = json.loads(call(system, "subscribe", *words))
        published = call("rijksregister-system", "publish", "rijksregister", str(lines))
        place = str(tmp_path / "place")
        followed = call(system, "follow", subscription["id"], place, "--once")
        assert call(system, "follow", subscription["id"], place, "--once") == ""
        return published, [json.loads(line) for line in followed.splitlines()], call(system, "list")

    published, followed, listed = await asyncio.to_thread(work)
    assert "2 accepted" in published and "missing: 2" in published
    assert [(each["number"], each["subject"]) for each in followed] == [(1, old)]
    assert "running" in listed and new not in listed


def test_a_client_believes_no_sequence_with_a_hole() -> None:
    items = [Item(number=n, kind="withdrawn") for n in (4, 6)]
    delivery = Delivery(subscription=UUID(int=1), after=3, until=5, last=9, items=items)
    with pytest.raises(Untrusted) as broken:
        check(delivery, UUID(int=1), 3)
    assert broken.value.code == "sequence_broken"


def test_a_receiver_believes_only_the_platform() -> None:
    from datetime import UTC, datetime

    import msgspec

    from koinon.base.http_signatures import sign_request

    platform, other = SigningKey.generate(), SigningKey.generate()
    receiver = Receiver(
        SigningKey.generate(), Pins([platform.verify_key]), authority="a.example", path="/told"
    )
    body = msgspec.json.encode(
        Delivery(subscription=UUID(int=1), after=0, until=1, last=1, items=[Item(number=1, kind="withdrawn")])
    )
    applied: list[Delivery] = []

    def apply(delivery: Delivery) -> int:
        applied.append(delivery)
        return delivery.until

    def answer(key: SigningKey, authority: str = "a.example", sent: bytes = body) -> int:
        now = datetime.now(UTC)
        signed = sign_request(key, "POST", authority, b"/told", b"", body, now)
        headers = [*signed.headers, (b"host", authority.encode())]
        return receiver.take(headers, sent, apply)[0]

    assert [answer(other), answer(platform, "b.example"), answer(platform, sent=body + b" ")] == [
        400,
        400,
        400,
    ]
    assert not applied
    assert answer(platform) == 200 and len(applied) == 1
    assert replaced(1, *numbers(2)).kind == "replaced"
