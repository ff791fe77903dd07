"""Simulated sources as processes of their own; and the first flow over all of them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest

from koinon.app.demo import free_ports
from koinon.base.errors import Invalid, NotFound
from koinon.base.settings import Settings
from koinon.demo.population import Population, open_population
from koinon.demo.sources import (
    SOURCES,
    make_source,
    register_households,
    run_source,
    seed_candidates,
)
from koinon.demo.sources.signing import give_certificates
from koinon.integrator.drivers import (
    Candidates,
    Context,
    HttpClient,
    Kbo,
    Ksz,
    Reachable,
    Rijksregister,
    Source,
    SqlClient,
    gather,
    read_address,
)
from koinon.integrator.entitlement import ADMISSION
from koinon.integrator.model import Combined
from koinon.integrator.sources import open_signed_messages

PARTY, PURPOSE = "1990000009", "social_dwelling_admission"
AT = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def source_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def population(source_home: Path) -> Population:
    return open_population(source_home)


def start(name: str, home: Path, port: int, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "koinon.demo.sources", name, str(port), *arguments],
        env={**os.environ, "KOINON_HOME": str(home), **environment},
        stderr=subprocess.PIPE,
    )


def wait_for(port: int, process: subprocess.Popen[bytes]) -> float:
    started = time.monotonic()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return time.monotonic() - started
        except ConnectionRefusedError:
            assert process.poll() is None and time.monotonic() - started < 30
            time.sleep(0.01)


@pytest.fixture(scope="module")
def ports(source_home: Path, population: Population) -> Iterator[dict[str, int]]:
    persons = [persona.number for persona in population.personas().values()]
    register_households(Settings(home=source_home), population, persons, PARTY, PURPOSE, date(2025, 1, 1))
    ports = dict(zip(SOURCES, free_ports(len(SOURCES)), strict=True))
    processes = {name: start(name, source_home, port) for name, port in ports.items()}
    for name, process in processes.items():
        wait_for(ports[name], process)
    yield ports
    for process in processes.values():
        process.terminate()
    assert [process.wait(10) for process in processes.values()] == [0] * len(SOURCES)


def test_a_source_starts_within_a_second_over_a_hundred_thousand_people_and_stops_when_told(
    source_home: Path, population: Population
) -> None:
    port = free_ports(1)[0]
    process = start("kbo", source_home, port)
    # A second on a quiet machine; tests run side by side.
    assert wait_for(port, process) < 4
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


@pytest.mark.parametrize("name", SOURCES)
def test_no_simulated_source_starts_in_production(
    name: str, source_home: Path, population: Population
) -> None:
    with pytest.raises(Invalid) as refusal:
        run_source(name, Settings(home=source_home, mode="production"), 0)
    assert refusal.value.code == "simulated_in_production"
    process = start(name, source_home, free_ports(1)[0], KOINON_MODE="production")
    assert process.wait(20) == Invalid.exit_code
    assert process.stderr is not None and b"simulated_in_production" in process.stderr.read()


def test_the_reference_directory_is_not_filled_in_production(
    source_home: Path, population: Population
) -> None:
    production = Settings(home=source_home, mode="production")
    with pytest.raises(Invalid) as refusal:
        register_households(production, population, [], PARTY, PURPOSE, AT.date())
    assert refusal.value.code == "simulated_in_production"


def test_a_source_that_does_not_exist_is_refused(source_home: Path) -> None:
    with pytest.raises(NotFound) as refusal:
        make_source("oracle", Settings(home=source_home))
    assert refusal.value.code == "unknown_source"


def test_without_control_nobody_can_make_it_misbehave(ports: dict[str, int]) -> None:
    for port in ports.values():
        reply = httpx.post(f"http://127.0.0.1:{port}/control", json={"mode": "down"})
        assert reply.status_code in (400, 403, 404, 500)
        assert httpx.get(f"http://127.0.0.1:{port}/control").status_code in (403, 404, 405)


def test_an_oversized_question_is_refused(ports: dict[str, int]) -> None:
    reply = httpx.post(f"http://127.0.0.1:{ports['ksz']}/ksz/v1", content=b"x" * 300_000)
    assert reply.status_code == 413


def test_an_xml_bomb_sent_to_a_source_is_a_fault_at_once(ports: dict[str, int]) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY e0 "ha">{entities}]><b>&e9;</b>'
    started = time.monotonic()
    reply = httpx.post(f"http://127.0.0.1:{ports['rijksregister']}/rijksregister/v1", content=bomb)
    assert reply.status_code == 500 and b"Fault" in reply.content and time.monotonic() - started < 5


@pytest.fixture
async def sources(
    ports: dict[str, int], population: Population, server_url: str, source_home: Path
) -> AsyncIterator[dict[str, Source]]:
    reachable, database = Reachable.loopback(), f"candidates_{uuid.uuid4().hex[:12]}"
    url = await seed_candidates(
        Settings(home=source_home), server_url, population, (PARTY, "1990000108"), database=database
    )

    (source_home / "sources.toml").write_text(f'[ksz]\naddress = ""\n{give_certificates(source_home)}')

    def client(name: str) -> HttpClient:
        address = read_address(f"http://127.0.0.1:{ports[name]}", reachable)
        return HttpClient(address, reachable, accept_simulated=True)

    opened: dict[str, Source] = {
        "rijksregister": Rijksregister(client("rijksregister")),
        "kbo": Kbo(client("kbo")),
        "ksz": Ksz(client("ksz"), signed=open_signed_messages("ksz", Settings(home=source_home))),
        "candidates": Candidates(SqlClient(read_address(url, reachable), reachable), accept_simulated=True),
    }
    yield opened
    for source in opened.values():
        await source.close()
    admin = await asyncpg.connect(server_url)
    await admin.execute(f"drop database {database} with (force)")
    await admin.execute(f"drop role {database}_reader")
    await admin.close()


async def admission(sources: dict[str, Source], number: str, party: str = PARTY) -> Combined:
    context = Context(
        purpose=PURPOSE,
        party=party,
        exchange=uuid.uuid4(),
        at=AT,
        deadline=time.monotonic() + 10,
        parameters=ADMISSION.parameters(AT),
    )
    return ADMISSION.combine(number, await gather(ADMISSION.plan, number, sources, context), AT)


EXPECTED: dict[str, tuple[str, bool | None]] = {
    "single_modest_income": ("value", True),
    "family_modest_income": ("value", True),
    "income_too_high": ("value", False),
    "owner": ("value", False),
    "bare_owner": ("value", True),
    "minor": ("value", False),
    "no_assessment": ("unknown", None),
    "waiting_register": ("value", False),
    "self_employed": ("value", True),
    "two_applications": ("value", False),
    "deceased": ("value", False),
    "bis_number": ("unknown", None),
}


async def test_each_persona_gets_the_answer_its_case_calls_for(
    sources: dict[str, Source], population: Population
) -> None:
    personas = population.personas()
    answers = await asyncio.gather(*(admission(sources, personas[code].number) for code in EXPECTED))
    found = {
        code: (answer.fields["admissible"].status, answer.fields["admissible"].value)
        for code, answer in zip(EXPECTED, answers, strict=True)
    }
    assert found == EXPECTED
    by_code = dict(zip(EXPECTED, answers, strict=True))
    assert by_code["income_too_high"].fields["income_within_ceiling"].value is False
    assert by_code["owner"].fields["no_property"].value is False
    assert by_code["minor"].fields["adult"].value is False
    assert by_code["waiting_register"].fields["registered"].value is False
    assert by_code["self_employed"].fields["self_employed"].value is True
    assert by_code["no_assessment"].fields["income_within_ceiling"].status == "no_data"


async def test_the_household_and_what_counts_agree_with_the_facts(
    sources: dict[str, Source], population: Population
) -> None:
    number = population.personas()["family_modest_income"].number
    person = population.find_person(number)
    assert person is not None and person.household is not None
    members = population.members(person.household)
    answer = await admission(sources, number)
    assert answer.fields["household_size"].value == len(members)
    assert answer.fields["dependent_children"].value == sum(member.dependent_child for member in members)


async def test_a_replaced_number_gives_the_answer_of_its_successor(
    sources: dict[str, Source], population: Population
) -> None:
    old = population.personas()["replaced_number"].number
    current = population.replacement(old)
    assert current is not None
    before, after = await admission(sources, old), await admission(sources, current)
    assert before.fields == after.fields


async def test_a_party_without_files_learns_nothing_from_the_network_of_social_security(
    sources: dict[str, Source], population: Population
) -> None:
    number = population.personas()["single_modest_income"].number
    answer = await admission(sources, number, party="1990000207")
    assert answer.fields["income_within_ceiling"].status == "not_allowed"
    assert answer.fields["no_property"].status == "not_allowed"
    assert answer.fields["admissible"].status == "unknown"


async def test_a_source_that_is_gone_is_named_and_the_rest_still_answers(
    sources: dict[str, Source], population: Population
) -> None:
    reachable = Reachable.loopback()
    gone = Ksz(HttpClient(read_address(f"http://127.0.0.1:{free_ports(1)[0]}", reachable), reachable))
    answer = await admission({**sources, "ksz": gone}, population.personas()["single_modest_income"].number)
    assert answer.fields["adult"].value is True and answer.fields["household_size"].value == 1
    assert answer.fields["no_property"].status == "no_answer"
    assert "ksz/income.net_taxable_income" in answer.fields["admissible"].missing
