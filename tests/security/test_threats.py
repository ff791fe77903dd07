"""Threats that cross slices, each with a test of its own name, against the whole passage over real HTTP."""

# ruff: noqa: F811 - fixtures are imported by name

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.integrator.test_exchange_api import Served, served  # noqa: F401 - a fixture

from koinon.base.errors import KoinonError, NotAllowed, Unavailable
from koinon.base.text import Text
from koinon.demo.region import AUTHORISATION, NORTH, SOUTH, Seeder, load_key
from koinon.integrator.drivers import HttpClient, Reachable, Rijksregister, SourceAnswer, read_address
from koinon.trust.ledger import Log, find_entries
from koinon.trust.oversight import propose_rule
from koinon.trust.standing.acts import Deed, Target, TargetKind


def number(start: str) -> str:
    return start + f"{97 - int(start) % 97:02d}"


async def count(world: Any, kind: str) -> int:
    async with world.database.acquire() as connection:
        return len(await find_entries(connection, kind=kind, log=Log.EXCHANGE, limit=1000))


async def patiently(served: Served, body: bytes) -> Any:
    """On a machine so busy that the epoch is not confirmed in time, the platform refuses; then once more."""
    for _ in range(20):
        response, signature = await served.post(body)
        if response.status_code != 503:
            break
        await asyncio.sleep(0.2)
    return response, signature


# --- in flight -----------------------------------------------------------------------------------------------------


async def test_purpose_bent_in_flight(served: Served, world: Any) -> None:
    """Whoever changes the purpose on the way breaks the signature; whoever signs another has no grounds for it."""
    bent, _ = await served.post(served.body(purpose="curiosity"), signed_for={"body": served.body()})
    assert (bent.status_code, bent.json()["code"]) == (400, "digest_mismatch")
    other, _ = await patiently(served, served.body(purpose="curiosity"))
    assert other.json()["code"] == "purpose_unknown"
    assert await count(world, "exchange.released") == 0


# --- what refusals tell --------------------------------------------------------------------------------------------


class Counted:
    """Counts the statements that a gate's database is sent."""

    def __init__(self, database: Any) -> None:
        self.database, self.count = database, 0

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        async with self.database.acquire() as connection:

            def heard(_: Any) -> None:
                self.count += 1

            connection.add_query_logger(heard)
            try:
                yield connection
            finally:
                connection.remove_query_logger(heard)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)


async def test_list_filtered_but_codes_shape_and_work_tell_nobodys_existence(
    world: Any, make_gate: Any
) -> None:
    """Unknown everywhere, known to another party, and in our files for another purpose: one refusal."""
    gate, _ = await make_gate()
    elsewhere = number("906701100")
    from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line

    now = world.clock.now()
    from datetime import timedelta

    def line(purpose: str, subject: str) -> Any:
        return new_line(purpose, subject, "C", "demo", now - timedelta(days=2), now + timedelta(days=9))

    past = new_line(
        "social_dwelling_admission", number("906701101"), "C", "demo", now - timedelta(9), now - timedelta(1)
    )
    keys = DirectoryKeys.load(world.home)
    async with world.database.transaction() as connection:
        await insert_dossiers(
            connection, keys, world.region.parties[SOUTH], [line("social_dwelling_admission", elsewhere)], now
        )
        await insert_dossiers(
            connection,
            keys,
            world.region.parties[NORTH],
            [line("another_purpose", number("906701102")), past],
            now,
        )
    counted = Counted(gate.database)
    gate.database = counted  # type: ignore[assignment]
    gate._directory.database = gate._directory._database = counted
    told = []
    with pytest.raises(NotAllowed):
        await gate.open(
            world.ask(subjects=(number("906701104"),))
        )  # the first of a connection looks types up
    cases = [number("906701103"), elsewhere, number("906701102"), number("906701101")]
    for subject in cases:
        counted.count = 0
        with pytest.raises(NotAllowed) as refusal:
            await gate.open(world.ask(subjects=(subject,)))
        problem = refusal.value.problem()
        problem["facts"] = {k: v for k, v in problem.get("facts", {}).items() if k != "exchange"}
        problem.pop("exchange", None)
        told.append((msgspec.json.encode(problem), refusal.value.status, counted.count))
        assert subject not in told[-1][0].decode()
    assert len(set(told)) == 1, told
    assert told[0][2] >= 1


# --- suspension lost on the wire -----------------------------------------------------------------------------------


class Wire:
    """A socket between a process and PostgreSQL that can stop carrying, without closing anything."""

    def __init__(self, url: str) -> None:
        from asyncpg.connect_utils import (  # type: ignore[attr-defined]
            _parse_connect_dsn_and_args as parse,
        )

        addresses, _ = parse(
            dsn=url, host=None, port=None, user=None, password=None, passfile=None, database=None, ssl=None,
            service=None, servicefile=None, direct_tls=None, server_settings=None, target_session_attrs=None,
            krbsrvname=None, gsslib=None,
        )  # fmt: skip
        self.real = addresses[0]
        self.carrying = asyncio.Event()
        self.carrying.set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def open(self, url: str) -> str:
        self.server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

        parts = urlsplit(url)
        query = [(k, v) for k, v in parse_qsl(parts.query) if k not in ("host", "port")]
        user = parts.netloc.rpartition("@")[0]
        place = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
        return urlunsplit(parts._replace(netloc=place, query=urlencode(query)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self.real, str):
            there, here = await asyncio.open_unix_connection(self.real)
        else:
            there, here = await asyncio.open_connection(*self.real)
        for source, sink in ((reader, here), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self.tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self.carrying.wait()
                sink.write(data)
                await sink.drain()
            sink.close()

    async def close(self) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def wire(world: Any) -> AsyncIterator[Wire]:
    """Closed after what goes through it."""
    wire = Wire(world.url)
    yield wire
    await wire.close()


async def test_suspension_lost_on_a_half_open_connection_cuts_within_a_second(
    world: Any, wire: Wire, make_gate: Any
) -> None:
    """The connection stands, nothing comes through it, and nobody is told: the process cuts its own uses."""
    gate, uses = await make_gate(poll=0.2, limit=0.7, url=await wire.open(world.url))
    use = await uses.begin(await gate.open(world.ask(action="communicate")))
    cut_at: list[float] = []
    use.on_cut(lambda: cut_at.append(time.monotonic()))
    await asyncio.sleep(0.5)
    assert use.cut is None
    wire.carrying.clear()
    lost_at = time.monotonic()
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    while not cut_at:
        assert time.monotonic() - lost_at < 3, "never cut"
        await asyncio.sleep(0.01)
    assert cut_at[0] - lost_at < 1.0
    with pytest.raises(Unavailable, match="standing_unconfirmed"):
        await gate.open(world.ask())
    wire.carrying.set()
    # Back again: nothing is let through on the standing of before.
    for _ in range(100):
        with contextlib.suppress(Unavailable):
            with pytest.raises(NotAllowed, match="authorisation_suspended"):
                await gate.open(world.ask())
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("the process never came back")
    await use.end()


# --- rules ---------------------------------------------------------------------------------------------------------


async def test_rule_changed_without_two_people_decides_nothing(world: Any, make_gate: Any) -> None:
    """Through the whole stack: proposed, approved by one and even authorised, it is no rule."""
    gate, _ = await make_gate()
    rule = next(
        span.rule
        for span in (await gate.keeper.settle()).bank.rules
        if span.id == "social-dwelling-admission.consult"
    )
    wider = msgspec.structs.replace(rule, fields=rule.fields - {"admissible"}, version=rule.version + 1)
    reason = Text("Proef", "Essai", "Trial")
    acts = (await gate.keeper.settle()).acts
    async with world.database.transaction() as connection:
        stored, _ = await propose_rule(connection, world.sealer, wider, wider.author, acts, world.clock.now())
    target = Target(TargetKind.RULE, wider.id, stored.digest)

    async def act(holder: str, deed: Deed) -> None:
        seeder = Seeder(world.settings, world.database, world.sealer, world.clock.now())
        async with world.database.transaction() as connection:
            await seeder.act(connection, holder, deed, target, reason)

    await act("committee-1", Deed.APPROVE_RULE)
    with pytest.raises(KoinonError):
        await act("committee-1", Deed.APPROVE_RULE)  # the same human again
    with contextlib.suppress(KoinonError):
        await act("chair", Deed.AUTHORISE_RULE)  # refused, or without effect: looked at below
    await gate.keeper.refresh(beyond=gate.keeper._standing.epoch)
    assert (wider.id, wider.version) not in {
        (span.id, span.version) for span in (await gate.keeper.settle()).bank.rules
    }
    # The version of before goes on deciding.
    released = await (await gate.open(world.ask(fields=frozenset({"admissible"})))).release(
        {"admissible": True}
    )
    assert released.value == {"admissible": True}
    assert released.decision.version == rule.version


# --- sources -------------------------------------------------------------------------------------------------------

BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY e SYSTEM "file:///etc/passwd">]>
<Envelope><Body>&c;&e;</Body></Envelope>"""
HOSTILE = {
    "xml_bomb_and_external_entity": (b"text/xml", BOMB),
    "not_xml": (b"text/xml", b"\x00\xff" * 1000),
    "html_of_a_proxy": (b"text/html", b"<html><body>502</body></html>"),
    "nothing": (b"text/xml", b""),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_source_answering_garbage_or_an_xml_bomb_is_named_through_the_whole_exchange(
    served: Served,
    case: str,
) -> None:
    kind, body = HOSTILE[case]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(body)) + body
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reachable = Reachable(networks=("127.0.0.0/8",), plain_http=True)
    address = read_address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", reachable)
    served.sources["rijksregister"] = Rijksregister(HttpClient(address, reachable, accept_simulated=True))
    began = time.monotonic()
    response, signature = await patiently(served, served.body())
    assert time.monotonic() - began < 9
    answered = served.verified(response, signature)
    silent = {each["service"]: each for each in answered["sources"] if each["source"] == "rijksregister"}
    assert all(each["status"] == "no_answer" for each in silent.values()), silent
    assert answered["answer"]["admissible"]["status"] in ("unknown", "no_answer")
    assert "root:" not in response.text and "aaaaaaaaaa" not in response.text
    await served.sources["rijksregister"].close()
    server.close()


class Twice:
    """Answers about somebody else, twice, too late, or not at all."""

    def __init__(self, told: Any, how: str) -> None:
        self.told, self.how = told, how
        self.name, self.services = told.name, told.services

    async def fetch(self, service: str, subject: str, fields: Any, context: Any) -> SourceAnswer:
        return (await self.fetch_many(service, [subject], fields, context))[0]

    async def fetch_many(self, service: str, subjects: Any, fields: Any, context: Any) -> Any:
        if self.how == "never":
            await asyncio.sleep(3600)
        if self.how == "broken":
            raise RuntimeError("80690112370 in the words of an error")
        answers = await self.told.fetch_many(service, subjects, fields, context)
        if self.how == "twice":
            return (*answers, *answers)
        return tuple(msgspec.structs.replace(each, subject=number("906701100")) for each in answers)


@pytest.mark.parametrize("how", ["never", "broken", "twice", "somebody_else"])
async def test_source_answering_late_twice_never_or_about_somebody_else_is_not_believed(
    served: Served,
    how: str,
) -> None:
    told = served.sources["ksz"]
    served.sources["ksz"] = Twice(told, how)
    began = time.monotonic()
    response, _ = await patiently(served, served.body())
    assert time.monotonic() - began < 11
    assert SUBJECT_OF_TESTS not in response.text
    if response.status_code == 200:
        answered = response.json()
        assert {each["status"] for each in answered["sources"] if each["source"] == "ksz"} == {"no_answer"}
        assert answered["answer"]["income_within_ceiling"]["status"] != "value"
    else:
        assert response.status_code < 500, response.text


SUBJECT_OF_TESTS = "80690112370"

# --- ledger --------------------------------------------------------------------------------------------------------


async def test_ledger_unwritable_or_disk_full_means_503_and_no_answer(served: Served, world: Any) -> None:
    async with world.database.acquire() as connection:
        await connection.execute("REVOKE EXECUTE ON FUNCTION ledger.append FROM koinon_web")
        try:
            response, signature = await served.post()
        finally:
            await connection.execute("GRANT EXECUTE ON FUNCTION ledger.append TO koinon_web")
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    served.verified(response, signature)
    assert "admissible" not in response.text
    assert (await patiently(served, served.body()))[0].status_code == 200


async def test_flood_of_unauthenticated_refusals_leaves_no_rows(
    served: Served,
    world: Any,
) -> None:
    async with world.database.acquire() as connection:
        tables = "SELECT (SELECT count(*) FROM ledger.entry) + (SELECT count(*) FROM gate.nonce)"
        before = await connection.fetchval(tables)

    async def forged(n: int) -> int:
        response, _ = await served.post(served.body(case=f"F{n}"), key=load_key(world.home, "chair"))
        return response.status_code

    assert {await forged(n) for n in range(60)} <= {401, 503}
    async with world.database.acquire() as connection:
        assert await connection.fetchval(tables) == before


# --- the operator --------------------------------------------------------------------------------------------------


async def test_operator_who_takes_the_triggers_off_cannot_make_an_act_look_recorded(world: Any) -> None:
    """A suspension that nobody would hear of is refused to the Commission, not filed away."""
    async with world.database.acquire() as connection:
        await connection.execute("ALTER TABLE standing.act DISABLE TRIGGER raise_epoch")
    with pytest.raises(Unavailable, match="epoch_not_raised"):
        await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    async with world.database.acquire() as connection:
        await connection.execute("ALTER TABLE standing.act ENABLE TRIGGER raise_epoch")
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)


async def test_operator_who_deletes_the_suspension_stops_the_platform_and_resumes_nothing(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    async with world.database.acquire() as connection:
        await connection.execute(
            "DELETE FROM standing.act WHERE sequence = (SELECT max(sequence) FROM standing.act)"
        )
    await asyncio.sleep(0.3)
    for ask in (gate, (await fresh(make_gate))):
        if ask is not None:
            with pytest.raises(KoinonError) as refusal:
                await ask.open(world.ask())
            assert refusal.value.code != "subject_not_registered"


async def fresh(make_gate: Any) -> Any:
    """A process that starts now, or None when it does not even start."""
    try:
        return (await make_gate())[0]
    except KoinonError:
        return None


async def test_operator_cannot_grant_by_writing_rows(world: Any, make_gate: Any) -> None:
    """The party of South is written into the authorisation of North, by whoever owns the database."""
    gate, _ = await make_gate()
    async with world.database.acquire() as connection:
        await connection.execute(
            "UPDATE agreements.authorisation SET document = "
            "convert_to(replace(convert_from(document, 'UTF8'), $1, $2), 'UTF8')",
            str(world.region.parties[NORTH]),
            str(world.region.parties[SOUTH]),
        )
    await gate.keeper.refresh(beyond=gate.keeper._standing.epoch)
    for party in (NORTH, SOUTH):
        with pytest.raises(NotAllowed, match="authorisation_missing"):
            await gate.open(world.ask(world.system(party)))
