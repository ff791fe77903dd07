"""The driver of the KBO over its simulated source."""

import pytest
from tests.integrator.drivers.conformance import Case, JsonConformance
from tests.integrator.drivers.conftest import Server, context
from tests.integrator.drivers.test_rijksregister import NOBODY

from koinon.demo.population import Population
from koinon.integrator.drivers import EnterpriseFunction, Kbo


class TestConformance(JsonConformance):
    @pytest.fixture
    def case(self, kbo: Kbo, servers: dict[str, Server], population: Population) -> Case:
        number = population.personas()["self_employed"].number
        return Case(kbo, "functions", number, NOBODY, servers["kbo"].behave)


async def test_functions_and_whether_one_is_held_today(kbo: Kbo, population: Population) -> None:
    number = population.personas()["self_employed"].number
    answer = await kbo.fetch("functions", number, ["functions", "active"], context())
    assert answer.values["active"] is True
    functions = answer.values["functions"]
    assert isinstance(functions, tuple) and isinstance(functions[0], EnterpriseFunction)
    assert functions[0].held_on(context().at.date())


async def test_somebody_without_functions_is_no_data_but_known(kbo: Kbo, population: Population) -> None:
    number = population.personas()["single_modest_income"].number
    answer = await kbo.fetch("functions", number, ["active"], context())
    assert (answer.status, answer.fault, answer.values) == ("no_data", None, {})


async def test_a_replaced_number_is_followed(kbo: Kbo, population: Population) -> None:
    old = population.personas()["replaced_number"].number
    answer = await kbo.fetch("functions", old, ["active"], context())
    assert answer.replaced_by == population.replacement(old)


async def test_an_enterprise_is_asked_again_only_by_its_etag(
    kbo: Kbo, population: Population, servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    enterprise = population.functions(population.personas()["self_employed"].number)[0][0]
    statuses = []
    original = kbo._client.send

    async def spy(*arguments: object, **options: object) -> object:
        reply = await original(*arguments, **options)  # type: ignore[arg-type]
        statuses.append(reply.status)
        return reply

    monkeypatch.setattr(kbo._client, "send", spy)
    first = await kbo.fetch("enterprise", enterprise, ["name", "active"], context())
    second = await kbo.fetch("enterprise", enterprise, ["name", "active"], context())
    assert statuses == [200, 304]
    assert first.values == second.values and str(first.values["name"]).endswith("(demo)")


async def test_an_enterprise_that_does_not_exist_is_no_data(kbo: Kbo) -> None:
    answer = await kbo.fetch("enterprise", "0314595348", ["name"], context())
    assert (answer.status, answer.fault) == ("no_data", "unknown_subject")


async def test_another_enterprise_in_the_answer_is_never_used(
    kbo: Kbo, population: Population, servers: dict[str, Server]
) -> None:
    wanted = population._all("select number from enterprise order by number desc limit 1")[0][0]
    servers["kbo"].behave("wrong_person")
    answer = await kbo.fetch("enterprise", wanted, ["name"], context())
    assert (answer.status, answer.fault) == ("no_answer", "wrong_subject")
