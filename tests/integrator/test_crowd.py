"""A crowd asks at once: so many are served, the others are told at once when to come back, and nothing is lost."""

import asyncio
import contextlib
from typing import Any, NamedTuple

import msgspec
from tests.integrator.test_exchange_api import Served, Told, served  # noqa: F401 - fixture

from koinon.base import http_signatures
from koinon.base.crypto import SigningKey
from koinon.base.http_signatures import parse_response
from koinon.demo.region import SOUTH, load_key
from koinon.integrator.api import ExchangeApi
from koinon.trust.gate.signed import COME_BACK_SECONDS, LONGEST_COME_BACK_SECONDS

CROWD, PLACES = 500, 80
SHARE = PLACES // 2  # of one party alone


class Said(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    document: dict[str, Any]


class Consumer:
    """One connection, one question, asked until it is answered."""

    def __init__(self, served: Served, number: int) -> None:  # noqa: F811
        self._served, self.number = served, number
        self.case = f"CROWD-{number}"

    async def ask(self, key: SigningKey | None = None) -> Said:
        here = self._served
        body = here.body(case=self.case)
        signed = http_signatures.sign_request(
            key or here.key,
            "POST",
            here.authority,
            b"/api/exchanges",
            b"",
            body,
            here.world.clock.now(),
        )
        head = b"POST /api/exchanges HTTP/1.1\r\nhost: %b\r\ncontent-length: %d\r\nidempotency-key: %b\r\n" % (
            here.authority.encode(), len(body), self.case.encode(),
        )  # fmt: skip
        lines = b"".join(b"%b: %b\r\n" % each for each in signed.headers)
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        try:
            writer.write(head + lines + b"\r\n" + body)
            first, *rest = (await reader.readuntil(b"\r\n\r\n")).strip().split(b"\r\n")
            headers = [(k.lower(), v) for k, _, v in (each.partition(b": ") for each in rest)]
            content = await reader.readexactly(int(dict(headers)[b"content-length"]))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        status = int(first.split()[1])
        if b"signature" in dict(headers):
            parse_response(headers, status, content, signed.signature).verify(here.platform_key.verify_key)
        return Said(status, dict(headers), msgspec.json.decode(content))


class Held(Told):
    """A source that answers when it is let go."""

    def __init__(self, told: Told) -> None:
        self.name, self.services, self.values = told.name, told.services, told.values
        self.silent, self.asked = False, []
        self.go = asyncio.Event()

    async def fetch_many(self, *words: Any) -> Any:
        await self.go.wait()
        return await super().fetch_many(*words)


def is_sent_away(said: Said) -> int:
    """For how many seconds."""
    assert (said.status, said.document["code"]) == (429, "share_taken")
    assert said.headers[b"content-type"] == b"application/problem+json"
    seconds = int(said.headers[b"retry-after"])
    assert 1 <= seconds <= LONGEST_COME_BACK_SECONDS
    return seconds


async def test_of_a_crowd_so_many_are_served_as_are_its_share_and_nobody_loses_anything(
    served: Served,  # noqa: F811
) -> None:
    api: ExchangeApi = served.api
    api.places.most = PLACES
    held = served.sources["rijksregister"] = Held(served.sources["rijksregister"])
    crowd = [Consumer(served, number) for number in range(CROWD)]
    asking = {asyncio.create_task(each.ask()): each for each in crowd}
    away: list[Consumer] = []
    pauses: list[int] = []
    waiting = set(asking)
    # While the source says nothing nobody can be served: the rest of the crowd is sent away first.
    async with asyncio.timeout(60):
        while len(waiting) > api.places.held.total():
            done, waiting = await asyncio.wait(waiting, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                pauses.append(is_sent_away(each.result()))
                away.append(asking[each])
    assert api.places.taken == SHARE == len(waiting)
    # Another party's calls are taken in meanwhile, as if there were no crowd: this one hears what it would hear then.
    other = await Consumer(served, CROWD).ask(load_key(served.world.home, f"{SOUTH}-system"))
    assert (other.status, other.document["code"]) == (403, "authorisation_missing")
    # A crowd many times the places is spread over more than the few seconds that a small one is.
    assert max(pauses) > COME_BACK_SECONDS and len(set(pauses)) > 5
    held.go.set()
    answers = {asking[task].case: task.result() for task in (await asyncio.wait(waiting))[0]}
    # Who was sent away comes back, so many at a time as are its share; a few more are sent away again.
    while away:
        turn, away = away[: SHARE + 5], away[SHARE + 5 :]
        for consumer, said in zip(turn, await asyncio.gather(*(each.ask() for each in turn)), strict=True):
            if said.status != 200:
                is_sent_away(said)
                away.append(consumer)
            else:
                answers[consumer.case] = said
    assert {each.status for each in answers.values()} == {200} and len(answers) == CROWD
    for case, said in answers.items():
        assert said.document["case"] == case
        assert said.document["answer"]["admissible"] == {"status": "value", "value": True}
    async with served.world.database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT kind, count(*) AS count FROM ledger.entry WHERE kind LIKE 'exchange.%' GROUP BY kind"
        )
    assert {row["kind"]: row["count"] for row in rows} == {"exchange.released": CROWD, "exchange.refused": 1}
    assert len({said.document["exchange"] for said in answers.values()}) == CROWD
    assert api.places.taken == 0


async def test_where_there_is_no_place_for_anybody_it_is_said_before_anything_is_read(served: Served) -> None:  # noqa: F811
    served.api.places.most = 1
    with served.api.places.hold():
        said = await Consumer(served, 1).ask()
    assert (said.status, said.document["code"]) == (503, "platform_busy")
    assert b"retry-after" in said.headers and b"signature" not in said.headers


async def test_who_is_not_known_takes_no_place(served: Served) -> None:  # noqa: F811
    served.api.places.most = 1
    connections = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(20)]
    try:
        for _, writer in connections:  # heads, and no body
            writer.write(b"POST /api/exchanges HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
            await writer.drain()
        strangers = [Consumer(served, n).ask(SigningKey.generate()) for n in range(20)]
        assert {said.status for said in await asyncio.gather(*strangers)} == {401}
        assert (await Consumer(served, 99).ask()).status == 200
        assert served.api.places.taken == 0
    finally:
        for _, writer in connections:
            writer.transport.abort()
