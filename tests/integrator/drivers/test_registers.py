"""The driver of the registers over their simulated source."""

from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest
from tests.integrator.drivers.conformance import Case, JsonConformance
from tests.integrator.drivers.conftest import Server, context
from tests.integrator.drivers.test_rijksregister import NOBODY

from koinon.demo.population import Population
from koinon.integrator.drivers import (
    REGISTERS,
    HttpClient,
    Register,
    Spell,
    WireFault,
)
from koinon.integrator.drivers.registers import translate
from koinon.integrator.entitlement.disability import GROUNDS


@pytest.fixture
def dwellings(open_client: Callable[..., HttpClient]) -> Register:
    return Register("dwellings", open_client("registers"))


@pytest.fixture
def taxi(open_client: Callable[..., HttpClient]) -> Register:
    return Register("taxi", open_client("registers"))


class TestConformance(JsonConformance):
    @pytest.fixture
    def case(self, dwellings: Register, servers: dict[str, Server], population: Population) -> Case:
        heads = population.heads(4)
        return Case(dwellings, "tenancy", heads[0], NOBODY, servers["registers"].behave, tuple(heads[1:]))

    async def test_a_simulated_source_is_refused_where_real_ones_are_required(
        self, case: Case, open_client: Callable[..., Any]
    ) -> None:
        strict = Register("dwellings", open_client("registers", accept_simulated=False))
        answer = await strict.fetch(case.service, case.known, strict.services[case.service].fields, context())
        assert (answer.status, answer.fault, answer.values) == ("no_answer", "simulated", {})


async def test_periods_are_spells_and_who_drives_no_taxi_has_none(
    taxi: Register, population: Population
) -> None:
    answers = await taxi.fetch_many("driver", population.heads(40), ["certificates"], context())
    drivers = [answer for answer in answers if answer.status == "data"]
    others = [answer for answer in answers if answer.status == "no_data"]
    assert drivers and others and all(answer.fault is None for answer in others)
    certificates = drivers[0].values["certificates"]
    assert isinstance(certificates, tuple) and isinstance(certificates[0], Spell)
    assert certificates[0].valid_from == date(2022, 10, 21)


async def test_a_replaced_number_is_followed(dwellings: Register, population: Population) -> None:
    old = population.personas()["replaced_number"].number
    answer = await dwellings.fetch("tenancy", old, ["base_rent"], context())
    assert answer.replaced_by == population.replacement(old)


def test_the_grounds_of_the_driver_are_those_of_the_rule() -> None:
    assert set(GROUNDS) == REGISTERS["disability"]["recognition"].fields.keys() - {
        "valid_from",
        "valid_until",
    }


@pytest.mark.parametrize(
    ("service", "values", "detail"),
    [
        ("tenancy", {"base_rent": "many"}, "cents"),
        ("tenancy", {"base_rent": -1}, "cents"),
        ("tenancy", {"excess_bedrooms": 10**15}, "number"),
        ("tenancy", {"transfer_requested": 1}, "flag"),
        ("driver", {"certificates": [{"from": "2024-01-01", "until": "2024-01-01"}]}, "period"),
        ("driver", {"certificates": [{"from": "2024-01-01", "party": "0123456789"}]}, "number"),
        ("driver", {"certificates": [{"from": "2024-01-01", "minutes": -1}]}, "figure"),
        ("driver", {"certificates": [{"from": "2024-02-30"}]}, "spells"),
    ],
)
def test_a_value_of_another_kind_is_garbage(service: str, values: dict[str, object], detail: str) -> None:
    register = "dwellings" if service == "tenancy" else "taxi"
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}
    record = translate.Record("80690112370", True, None, raw)
    with pytest.raises(WireFault) as fault:
        translate.read(REGISTERS[register][service], translate.Answered("t", [record]))
    assert (fault.value.code, fault.value.detail) == ("garbage", detail)


def test_fields_that_nobody_declared_are_left_out() -> None:
    record = translate.Record("80690112370", True, None, {"secret": msgspec.Raw(b"1")})
    [reply] = translate.read(REGISTERS["dwellings"]["tenancy"], translate.Answered("t", [record]))
    assert reply.values == {}
