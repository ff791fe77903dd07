"""The driver of the Rijksregister over its simulated source."""

import pytest
from tests.integrator.drivers.conformance import Case, XmlConformance
from tests.integrator.drivers.conftest import Server, context

from koinon.demo.population import Population
from koinon.integrator.drivers import PartialDate, Rijksregister, check_digits

NOBODY = "906101999" + check_digits("906101999", born_from_2000=False)


class TestConformance(XmlConformance):
    @pytest.fixture
    def case(self, rijksregister: Rijksregister, servers: dict[str, Server], population: Population) -> Case:
        personas = population.personas()
        return Case(
            rijksregister,
            "person",
            personas["owner"].number,
            NOBODY,
            servers["rijksregister"].behave,
            (personas["minor"].number,),
        )


class TestHouseholdConformance(XmlConformance):
    @pytest.fixture
    def case(self, rijksregister: Rijksregister, servers: dict[str, Server], population: Population) -> Case:
        number = population.personas()["family_modest_income"].number
        return Case(rijksregister, "household", number, NOBODY, servers["rijksregister"].behave)


async def test_a_person_is_what_the_register_has(
    rijksregister: Rijksregister, population: Population
) -> None:
    person = population.find_person(population.personas()["owner"].number)
    assert person is not None
    answer = await rijksregister.fetch(
        "person", person.number, rijksregister.services["person"].fields, context()
    )
    assert answer.values["names"] == f"{person.last_name}, {person.first_names}"
    assert answer.values["sex"] == person.sex
    assert str(answer.values["birth_date"]) == person.birth
    assert answer.values["register"] == person.register
    assert answer.values["death_date"] is None
    assert str(answer.values["municipality"]).startswith("210")
    assert answer.reference


async def test_only_asked_elements_travel(
    rijksregister: Rijksregister, population: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = []
    original = rijksregister._client.send

    async def spy(*arguments: object, **options: object) -> object:
        reply = await original(*arguments, **options)  # type: ignore[arg-type]
        bodies.append(reply.body)
        return reply

    monkeypatch.setattr(rijksregister._client, "send", spy)
    person = population.find_person(population.personas()["owner"].number)
    assert person is not None
    await rijksregister.fetch("person", person.number, ["register"], context())
    assert person.last_name.encode() not in bodies[0] and person.birth.encode() not in bodies[0]


async def test_a_replaced_number_is_followed_once_and_said(
    rijksregister: Rijksregister, population: Population
) -> None:
    old = population.personas()["replaced_number"].number
    answer = await rijksregister.fetch("person", old, ["birth_date"], context())
    assert answer.status == "data" and answer.subject == old
    assert answer.replaced_by == answer.current_subject == population.replacement(old)


async def test_an_incomplete_birth_date_stays_incomplete(
    rijksregister: Rijksregister, population: Population
) -> None:
    number = population.personas()["incomplete_birth_date"].number
    born = (await rijksregister.fetch("person", number, ["birth_date"], context())).values["birth_date"]
    assert isinstance(born, PartialDate) and not born.complete and born.month == 0


async def test_somebody_who_died_has_a_date_of_death_and_no_household(
    rijksregister: Rijksregister, population: Population
) -> None:
    number = population.personas()["deceased"].number
    person = await rijksregister.fetch("person", number, ["death_date"], context())
    assert isinstance(person.values["death_date"], PartialDate)
    household = await rijksregister.fetch("household", number, ["members"], context())
    assert (household.status, household.fault) == ("no_data", None)


async def test_nobody_is_an_unknown_subject(rijksregister: Rijksregister) -> None:
    answer = await rijksregister.fetch("person", NOBODY, ["birth_date"], context())
    assert (answer.status, answer.fault) == ("no_data", "unknown_subject")


async def test_an_empty_answer_is_garbage(
    rijksregister: Rijksregister, population: Population, servers: dict[str, Server]
) -> None:
    servers["rijksregister"].behave("missing")
    answer = await rijksregister.fetch(
        "person", population.personas()["owner"].number, ["birth_date"], context()
    )
    assert (answer.status, answer.fault) == ("no_answer", "garbage")
