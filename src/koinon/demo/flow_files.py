"""On whom the parties of the four flows have files in the demo region, drawn from its inhabitants."""

from collections.abc import Mapping, Sequence

from koinon.demo.population import Population
from koinon.demo.region.flows import (
    DEBT_PURPOSE,
    FARES_PURPOSE,
    MOBILITY,
    NOTARY,
    PARKING_PURPOSE,
    RENT_PURPOSE,
    TAXI_PURPOSE,
    TOWN,
    TRANSPORT,
)
from koinon.demo.sources.registers.app import drives_with_a_gap, drives_without_one

_EACH = 20


def flow_files(population: Population, tenants: Sequence[str]) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """National numbers by purpose and party; `tenants` are known to housing company North already."""
    heads = population.heads(600)
    drivers = [*filter(drives_with_a_gap, heads)][:_EACH] + [*filter(drives_without_one, heads)][:_EACH]
    disabled = [number for number in heads if (person := population.find_person(number)) and person.disabled][
        :_EACH
    ]
    return {
        RENT_PURPOSE: {"housing-north": tenants},
        DEBT_PURPOSE: {NOTARY: heads[:_EACH]},
        TAXI_PURPOSE: {MOBILITY: drivers},
        PARKING_PURPOSE: {TOWN: [*disabled, *heads[:_EACH]]},
        FARES_PURPOSE: {TRANSPORT: [*disabled, *heads[:_EACH]]},
    }
