"""The rent of a social dwelling, written again in OpenFisca: an oracle for the tests, a peer for the benchmark.

Nothing of our rule is used here, and its amounts are typed anew from the public pages that `parameters.toml` names
(reference incomes of 2023 and 2024, minimum of 2023, reductions, shares, supplement). One household is one row; its
members are counted already. OpenFisca calculates in single precision: results agree to a cent.
"""

from collections.abc import Mapping
from typing import Any

import numpy
from openfisca_core.entities import build_entity
from openfisca_core.parameters import ParameterNode
from openfisca_core.periods import MONTH
from openfisca_core.simulation_builder import SimulationBuilder
from openfisca_core.taxbenefitsystems import TaxBenefitSystem
from openfisca_core.variables import Variable

TENANT = build_entity(key="tenant", plural="tenants", label="Tenant household", is_person=True)

_AMOUNTS = {
    "reference_income": {"2023-01-01": 22869.48, "2024-01-01": 23820.85},
    "minimum": {"2023-01-01": 104.77, "2024-01-01": 109.13},
    "cap": {"2023-01-01": 735.00, "2024-01-01": 765.58},
    "ceiling_one_income": {"2023-01-01": 29334.27, "2024-01-01": 30554.58},
    "ceiling_single": {"2023-01-01": 26400.83, "2024-01-01": 27499.10},
    "addition_child": {"2023-01-01": 2514.36, "2024-01-01": 2618.96},
    "addition_adult": {"2023-01-01": 5028.72, "2024-01-01": 5237.91},
}


class income(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = float, TENANT, MONTH


class base_rent(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = float, TENANT, MONTH


class members(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = int, TENANT, MONTH


class children(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = int, TENANT, MONTH


class disabled_adults(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = int, TENANT, MONTH


class excess(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = int, TENANT, MONTH


class transfer(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = bool, TENANT, MONTH


class exempt(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = bool, TENANT, MONTH


class rent(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = float, TENANT, MONTH

    def formula(tenants, period, parameters):  # type: ignore[no-untyped-def]
        amounts = parameters(period)
        money, base = tenants("income", period), tenants("base_rent", period)
        kids = numpy.minimum(tenants("children", period), 6)
        off = numpy.array([0, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50])[kids] + 0.2 * tenants(
            "disabled_adults", period
        )
        plain = numpy.maximum(base * money / amounts.reference_income - base * off, base / 2)
        alone = tenants("members", period) == 1
        ceiling = (
            numpy.where(alone, amounts.ceiling_single, amounts.ceiling_one_income)
            + tenants("children", period) * amounts.addition_child
            + tenants("disabled_adults", period) * amounts.addition_adult
        )
        modest = money < amounts.reference_income
        fits = (tenants("excess", period) < 2) | tenants("transfer", period)
        share = numpy.select([modest & fits, modest, money <= ceiling], [0.20, 0.24, 0.22], 0.24)
        return numpy.maximum(numpy.minimum(plain, money * share / 12), amounts.minimum)


class supplement(Variable):  # type: ignore[misc]
    value_type, entity, definition_period = float, TENANT, MONTH

    def formula(tenants, period, parameters):  # type: ignore[no-untyped-def]
        rooms = numpy.maximum(tenants("excess", period) - 1, 0)
        each = numpy.minimum(0.04 * tenants("income", period), parameters(period).cap)
        spared = tenants("exempt", period) | tenants("transfer", period)
        return numpy.where(spared, 0, rooms * each / 12)


def make_system() -> TaxBenefitSystem:
    """The tax-benefit system."""
    system = TaxBenefitSystem([TENANT])
    system.parameters = ParameterNode(
        "",
        data={
            name: {"values": {day: {"value": value} for day, value in values.items()}}
            for name, values in _AMOUNTS.items()
        },
    )
    for variable in (
        income,
        base_rent,
        members,
        children,
        disabled_adults,
        excess,
        transfer,
        exempt,
        rent,
        supplement,
    ):
        system.add_variable(variable)
    return system


def calculate(system: TaxBenefitSystem, month: str, columns: Mapping[str, Any]) -> tuple[Any, Any]:
    """Rent and supplement of each household, in euro; `columns` are arrays of equal length, `month` as `2024-05`."""
    simulation = SimulationBuilder().build_default_simulation(system, len(next(iter(columns.values()))))
    for name, values in columns.items():
        simulation.set_input(name, month, numpy.asarray(values))
    return simulation.calculate("rent", month), simulation.calculate("supplement", month)
