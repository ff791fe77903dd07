"""The driver of the register of applicants over a real PostgreSQL."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import asyncpg
import pytest
from tests.integrator.drivers.conformance import Case, Conformance
from tests.integrator.drivers.conftest import context
from tests.integrator.drivers.test_rijksregister import NOBODY

from koinon.base.errors import Invalid
from koinon.base.settings import Settings
from koinon.demo.population import Population
from koinon.demo.sources import seed_candidates
from koinon.integrator.drivers import Candidates, Reachable, SqlClient, read_address

COMPANIES = ("1990000009", "1990000108")
MEMBERS = "candidates.application_member"
ROWS = f"select national_number, application, company, since, true as simulated from {MEMBERS}"
# How the register misbehaves: by what its view gives.
VIEWS = {
    None: ROWS,
    "slow": f"select national_number, application || pg_sleep({{seconds}})::text as application, company, since, "
    f"true as simulated from {MEMBERS}",
    "duplicate": f"{ROWS} union all {ROWS}",
    "fault": f"select national_number, (1 / (length(application) - length(application)))::text as application, "
    f"company, since, true as simulated from {MEMBERS}",
    "garbage": f"select national_number, 12 as application, company, since, true as simulated from {MEMBERS}",
}


class Register:
    """A seeded register and what a test may do to it."""

    def __init__(self, server_url: str, database: str, address: str, other: str) -> None:
        self.server_url = server_url
        self.database = database
        self.address = address
        self.other = other

    def give(self, mode: str | None, seconds: float = 1.0) -> None:
        """The view now gives what that mode means; done from a loop of its own, since suites call it between awaits."""
        view = VIEWS[mode].replace("{seconds}", str(seconds))
        thread = threading.Thread(target=asyncio.run, args=(self._change(view),))
        thread.start()
        thread.join()

    async def _change(self, view: str) -> None:
        connection = await asyncpg.connect(self.server_url, database=self.database)
        async with connection.transaction():
            await connection.execute("drop view candidates.open_application")
            await connection.execute(f"create view candidates.open_application as {view}")
            await connection.execute(f"grant select on candidates.open_application to {self.database}_reader")
        await connection.close()


@pytest.fixture
async def register(server_url: str, tmp_path: Path, population: Population) -> AsyncIterator[Register]:
    name = f"candidates_{uuid.uuid4().hex[:12]}"
    address = await seed_candidates(Settings(home=tmp_path), server_url, population, COMPANIES, database=name)
    yield Register(server_url, name, address, population.applications()[1][0])
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"drop database if exists {name} with (force)")
    await connection.execute(f"drop role if exists {name}_reader")
    await connection.close()


@pytest.fixture
async def candidates(register: Register) -> AsyncIterator[Candidates]:
    reachable = Reachable.loopback()
    client = SqlClient(read_address(register.address, reachable), reachable)
    yield Candidates(client, accept_simulated=True)
    await client.close()


class TestConformance(Conformance):
    @pytest.fixture
    async def case(
        self, candidates: Candidates, register: Register, population: Population
    ) -> AsyncIterator[Case]:
        reachable = Reachable.loopback()
        away = SqlClient(read_address("postgresql://nobody@127.0.0.1:1/none", reachable), reachable)
        home = candidates._client

        def misbehave(mode: str | None, seconds: float = 1.0) -> None:
            candidates._client = away if mode == "down" else home
            if mode != "down":
                register.give(mode, seconds)

        yield Case(candidates, "application", population.applications()[0][0], NOBODY, misbehave)
        candidates._client = home
        await away.close()

    async def test_an_answer_about_somebody_else_is_never_used(self, case: Case) -> None:
        # No view can do this: the condition on the number is in our query. A lying server could.
        class Lying:
            async def rows(self, query: str, *arguments: object) -> list[dict[str, object]]:
                since = date(2026, 1, 1)
                return [
                    {
                        "national_number": NOBODY,
                        "application": "A",
                        "company": "1",
                        "since": since,
                        "simulated": True,
                    }
                ]

        case.driver = Candidates(Lying(), accept_simulated=True)  # type: ignore[arg-type]
        answer = await self.ask(case)
        assert (answer.status, answer.fault, answer.values) == ("no_answer", "wrong_subject", {})


async def test_an_application_is_what_the_register_has(
    candidates: Candidates, population: Population
) -> None:
    number, application, company, since = population.applications()[0]
    answer = await candidates.fetch("application", number, ["application", "company", "since"], context())
    assert answer.values["application"] == application
    assert answer.values["company"] == COMPANIES[company]
    assert str(answer.values["since"]) == since


async def test_a_household_is_asked_in_one_query(candidates: Candidates, population: Population) -> None:
    numbers = [number for number, *_ in population.applications()[:20]]
    answers = await candidates.fetch_many("application", [NOBODY, *numbers], ["application"], context())
    assert [answer.status for answer in answers] == ["no_data"] + ["data"] * 20


async def test_the_reader_can_change_nothing_and_see_only_the_view(register: Register) -> None:
    reader = await asyncpg.connect(register.address)
    try:
        for statement in (
            f"select * from {MEMBERS}",
            f"insert into {MEMBERS} values ('1', '1', '1', now())",
            "create table candidates.mine ()",
            "create table public.mine ()",
            "delete from candidates.open_application",
        ):
            for setting in ("on", "off"):
                await reader.execute(f"set default_transaction_read_only = {setting}")
                with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
                    await reader.execute(statement)
    finally:
        await reader.close()


async def test_our_session_is_read_only_and_limited_in_time_whatever_the_role_may_do(
    register: Register,
) -> None:
    reachable = Reachable.loopback()
    client = SqlClient(read_address(register.address, reachable), reachable, statement_timeout_seconds=0.2)
    try:
        assert (await client.rows("select current_setting('transaction_read_only') as it"))[0]["it"] == "on"
        answer = await Candidates(client, accept_simulated=True).fetch(
            "application", NOBODY, ["application"], context()
        )
        assert answer.status == "no_data"
        register.give("slow", 3)
        number = register.other
        answer = await Candidates(client, accept_simulated=True).fetch(
            "application", number, ["application"], context()
        )
        assert (answer.status, answer.fault, answer.detail) == ("no_answer", "timeout", "statement")
    finally:
        await client.close()


async def test_a_column_of_another_type_is_garbage(candidates: Candidates, register: Register) -> None:
    register.give("garbage")
    answer = await candidates.fetch("application", register.other, ["application"], context())
    assert (answer.status, answer.fault) == ("no_answer", "garbage")


async def test_simulated_rows_are_refused_where_real_ones_are_required(
    candidates: Candidates, register: Register
) -> None:
    strict = Candidates(candidates._client)
    answer = await strict.fetch("application", register.other, ["application"], context())
    assert (answer.status, answer.fault, answer.values) == ("no_answer", "simulated", {})


async def test_the_register_is_not_seeded_in_production(
    server_url: str, tmp_path: Path, population: Population
) -> None:
    with pytest.raises(Invalid) as refusal:
        await seed_candidates(Settings(home=tmp_path, mode="production"), server_url, population, COMPANIES)
    assert refusal.value.code == "simulated_in_production"
