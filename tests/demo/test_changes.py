"""What happens to inhabitants of the demo region: every source tells the same, and the register publishes it whole."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import pytest
from tests.integrator.drivers.conftest import PARTY
from tests.integrator.mutations.conftest import Bureau, bureau  # noqa: F401 - fixture
from tests.integrator.mutations.test_api import client_of, url  # noqa: F401 - fixture

from koinon.base.errors import Invalid
from koinon.base.settings import Settings
from koinon.client.mutations import Mutations
from koinon.demo.consumer import run_consumer
from koinon.demo.population import Changes, Population, open_population
from koinon.demo.sources.ksz.app import KszSource
from koinon.demo.sources.ksz.directory import Directory
from koinon.demo.sources.rijksregister.publishing import Events, publish_outstanding, run_keeper
from koinon.integrator.drivers import national_number_kind
from koinon.integrator.mutations import policy
from koinon.integrator.mutations.model import Mutation, PublicationRequest

DAY = date(2026, 11, 20)
SIZE = 3000


class Register:
    def __init__(self, home: Path) -> None:
        self.changes = Changes(home)
        self.population: Population = open_population(home, SIZE)
        self.events = Events(self.population, self.changes)


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    made = Register(tmp_path)
    yield made
    made.population.close()
    made.changes.close()


def test_a_household_that_moved_lives_elsewhere_in_its_town_and_each_member_is_published(
    register: Register,
) -> None:
    population = register.population
    person = next(
        found
        for number in register.events.living()
        if (found := population.find_person(number)) is not None
        and found.household is not None
        and len(population.members(found.household)) > 1
    )
    assert person.household is not None
    before = population.find_household(person.household).address
    register.events.move(person, Random(3), DAY)
    after = population.find_household(person.household).address
    assert after != before and after.rpartition(", ")[2] == before.rpartition(", ")[2]
    members = [each.number for each in population.members(person.household)]
    told = register.changes.after(0)
    assert [each.subject for each in told] == members and {each.kind for each in told} == {"changed"}


def test_who_died_leaves_the_household_and_has_a_day_of_death(register: Register) -> None:
    number = register.events.living()[0]
    household = register.population.find_person(number).household  # type: ignore[union-attr]
    register.changes.die(number, DAY)
    found = register.population.find_person(number)
    assert found is not None and (found.death, found.household) == (DAY.isoformat(), None)
    assert number not in [each.number for each in register.population.members(household)]  # type: ignore[arg-type]
    assert number not in register.events.living()


def test_a_merged_number_leads_to_the_new_one_under_which_everything_is_known(
    register: Register, tmp_path: Path
) -> None:
    population = register.population
    old = register.events.living()[0]
    before = population.find_person(old)
    assert before is not None and before.household is not None
    incomes = [population.income(old, year) for year in (2022, 2023)]
    new = register.events.new_number(before)
    register.changes.merge(old, new, DAY)
    assert population.find_person(old) is None and population.replacement(old) == new
    assert population.find_person(new) == before._replace(number=new)
    assert new in [each.number for each in population.members(before.household)]
    assert [population.income(new, year) for year in (2022, 2023)] == incomes
    assert national_number_kind(new) == national_number_kind(old) == "synthetic"
    assert register.events.new_number(before) != new
    # Who had a file on the person at the Crossroads Bank has one still.
    directory = Directory(tmp_path)
    directory.register([old], PARTY, "purpose", DAY, None)
    known = KszSource(population, directory)
    asked = (PARTY, "purpose", datetime(2026, 11, 21, tzinfo=UTC), "2023")
    assert "replaced" in known._result(old, "ConsultSocialStatusRequest", *asked)
    assert "DATA_FOUND" in known._result(new, "ConsultSocialStatusRequest", *asked)
    assert "not integrated" in known._result(before.number[:-2] + "00", "ConsultSocialStatusRequest", *asked)
    directory.close()


def test_whatever_happens_the_sequence_is_whole_and_well_formed(register: Register) -> None:
    for _ in range(150):
        register.events.happen(DAY)
    told = register.changes.after(0)
    assert [each.sequence for each in told] == list(range(1, len(told) + 1))
    assert {each.kind for each in told} == {"changed", "died", "replaced"}
    lines = [
        Mutation(
            sequence=each.sequence, kind=each.kind, service="person", subject=each.subject,
            effective_on=each.effective_on, replaced_by=each.replaced_by,
        )
        for each in told
    ]  # fmt: skip
    policy.check_publication(PublicationRequest(source="rijksregister", mutations=lines[:1000]), ["person"])
    gone: set[str] = set()
    for each in told:
        assert each.subject not in gone, (
            "somebody who died or has another number changed again under this one"
        )
        if each.kind != "changed":
            gone.add(each.subject)


async def test_what_the_platform_does_not_have_is_published_once_whoever_sends_it(
    bureau: Bureau,  # noqa: F811
    url: str,  # noqa: F811
    tmp_path: Path,
    register: Register,
) -> None:
    people = register.events.living()[:3]
    await bureau.know(people)
    heard = await bureau.subscribe()
    for number in people[:2]:
        register.changes.die(number, DAY)

    def publish() -> int:
        with client_of(bureau, url, "rijksregister-system") as client:
            return publish_outstanding(Mutations(client), register.changes)

    assert await asyncio.to_thread(publish) == await asyncio.to_thread(publish) == 2
    register.changes.die(people[2], DAY)
    assert await asyncio.to_thread(publish) == 3
    delivery = await bureau.read(heard)
    assert [(each.number, each.subject, each.kind) for each in delivery.items] == [
        (n, number, "died") for n, number in enumerate(people, start=1)
    ]


def test_neither_runs_in_production(tmp_path: Path) -> None:
    for run in (run_keeper, run_consumer):
        with pytest.raises(Invalid) as refused:
            run(Settings(home=tmp_path, mode="production"))
        assert refused.value.code == "simulated_in_production"
