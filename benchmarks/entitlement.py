"""Rules of entitlement for many: persons a second through the rent as a table flow, one DuckDB, all cores given.

Peers in the same run, on the same households: `numpy`, the same rule over arrays counted by household beforehand
(no joins, no missing data, nothing explained); `openfisca`, the rule in `openfisca_rent.py`, likewise counted. What
ours does besides: it groups members into households, keeps unknown apart, and names what is missing.

    python -m benchmarks.entitlement [--json] [--persons 1000000] [--runs 3]
"""

import argparse
import os
import time
from datetime import date
from typing import Any

import numpy
import pyarrow
from benchmarks.frame import CpuMeter, result, row, show
from benchmarks.openfisca_rent import calculate, make_system

from koinon.integrator.entitlement.social_dwelling import Occupant, RentFacts, calculate_rent
from koinon.integrator.entitlement.social_dwelling.tables import RENT_TABLES
from koinon.integrator.processing import Compiled

AT = date(2024, 5, 1)
CORES = len(os.sched_getaffinity(0))


class Households:
    """Households drawn once: as tables of members for us, as counted arrays for the peers."""

    def __init__(self, count: int, seed: int = 7) -> None:
        draw = numpy.random.default_rng(seed)
        self.count = count
        self.income = draw.integers(0, 6_000_000, count)
        self.base = draw.integers(15_000, 90_000, count)
        self.excess = draw.choice([0, 0, 0, 1, 2, 3], count)
        self.transfer = draw.random(count) < 0.2
        self.children = draw.choice([0, 0, 1, 2, 3], count)
        self.disabled = draw.random(count) < 0.1
        self.old = draw.random(count) < 0.3

    def tables(self) -> dict[str, pyarrow.Table]:
        """The input tables of the flow; a child in each further row of its household."""
        subjects = numpy.char.add("8", numpy.char.zfill(numpy.arange(self.count).astype(str), 10))
        owner = numpy.repeat(numpy.arange(self.count), self.children + 1)
        first = numpy.concatenate(([True], owner[1:] != owner[:-1])) if self.count else numpy.array([], bool)
        place = numpy.arange(len(owner)) - numpy.maximum.accumulate(
            numpy.where(first, numpy.arange(len(owner)), 0)
        )
        member = numpy.where(
            first, subjects[owner], numpy.char.add(place.astype(str), numpy.char.zfill(owner.astype(str), 10))
        )
        born = numpy.where(first, numpy.where(self.old[owner], "1950-05-01", "1990-05-01"), "2016-05-01")
        schemas = RENT_TABLES.schemas()

        def table(name: str, **columns: Any) -> pyarrow.Table:
            return pyarrow.table(columns).cast(schemas[name])

        nothing = pyarrow.nulls(self.count, pyarrow.int64())
        return {
            "application": table("application", subject=subjects, at=[AT] * self.count),
            "person": table(
                "person",
                subject=subjects,
                birth_date=numpy.where(self.old, "1950-05-01", "1990-05-01"),
                alive=numpy.ones(self.count, bool),
                register=numpy.full(self.count, "population"),
            ),
            "household": table(
                "household",
                subject=subjects[owner],
                member=member,
                birth_date=born,
                register=numpy.full(len(owner), "population"),
            ),
            "status": table(
                "status",
                subject=subjects[owner],
                member=member,
                dependent_child=~first,
                disabled=first & self.disabled[owner],
            ),
            "income": table(
                "income",
                subject=subjects[owner],
                member=member,
                net_taxable_cents=numpy.where(first, self.income[owner], 0),
            ),
            "dwelling": table(
                "dwelling",
                subject=subjects,
                base_rent_cents=self.base,
                excess_bedrooms=self.excess,
                transfer_requested=self.transfer,
                declared_income_cents=nothing,
            ),
        }

    def counted(self) -> dict[str, Any]:
        """The arrays that the peers take, in euro."""
        return {
            "income": self.income / 100,
            "base_rent": self.base / 100,
            "members": self.children + 1,
            "children": self.children,
            "disabled_adults": self.disabled.astype(int),
            "excess": self.excess,
            "transfer": self.transfer,
            "exempt": self.disabled | self.old,
        }


def by_numpy(households: Households) -> Any:
    """Rent and supplement in eurocent, over arrays."""
    income, base, children = households.income, households.base, households.children
    reference, minimum, cap = 2_382_085, 10_913, 76_558
    percent = numpy.array([0, 5, 10, 20, 30, 40, 50])[numpy.minimum(children, 6)] + 20 * households.disabled

    def half_up(numerator: Any, denominator: int) -> Any:
        return (2 * numerator + denominator) // (2 * denominator)

    plain = half_up(numpy.maximum(base * (100 * income - reference * percent), 0), 100 * reference)
    ceiling = (
        numpy.where(children == 0, 2_749_911, 3_055_458) + children * 261_896 + households.disabled * 523_793
    )
    modest, fits = income < reference, (households.excess < 2) | households.transfer
    share = numpy.select([modest & fits, modest, income <= ceiling], [20, 24, 22], 24)
    rent = numpy.maximum(
        numpy.minimum(numpy.maximum(plain, half_up(base * 50, 100)), half_up(income * share, 1200)), minimum
    )
    rooms = numpy.maximum(households.excess - 1, 0)
    due = rooms * numpy.minimum(income * 4, 100 * cap)
    spared = households.disabled | households.old | households.transfer
    return rent, numpy.where(spared, 0, half_up(due, 1200))


def run(persons: int = 1_000_000, runs: int = 3) -> dict[str, Any]:
    """The rows."""
    households = Households(persons)
    tables = households.tables()
    compiled = Compiled(RENT_TABLES, threads=CORES, memory_mb=4096)
    expected_rent, expected_supplement = by_numpy(households)
    ours, cpu = [], []
    for _ in range(runs):
        meter, began = CpuMeter(os.getpid()), time.perf_counter()
        found = compiled.many(tables)
        ours.append(persons / (time.perf_counter() - began))
        cpu.append(persons / max(meter.seconds(), 0.01))
    order = numpy.argsort(found["subject"].to_numpy(zero_copy_only=False))
    agree = bool(
        (found["rent_month"].to_numpy()[order] == expected_rent).all()
        and (found["supplement_month"].to_numpy()[order] == expected_supplement).all()
    )
    system, counted = make_system(), households.counted()
    peers: dict[str, list[float]] = {"numpy": [], "openfisca": []}
    for _ in range(runs):
        began = time.perf_counter()
        by_numpy(households)
        peers["numpy"].append(persons / (time.perf_counter() - began))
        began = time.perf_counter()
        calculate(system, "2024-05", counted)
        peers["openfisca"].append(persons / (time.perf_counter() - began))
    few = 2_000
    facts = [_facts(households, place) for place in range(min(few, persons))]
    began = time.perf_counter()
    for each in facts:
        calculate_rent(each, AT)
    alone = len(facts) / (time.perf_counter() - began)
    compiled.close()
    middle = {name: sorted(values)[len(values) // 2] for name, values in peers.items()}
    return result(
        "entitlement",
        [
            row("persons_per_s", f"rent of {persons} tenants as a table flow", "1/s", ours, peers=middle),
            row("persons_per_cpu_s", "the same, by CPU second of all cores", "1/s", cpu),
            row("one_by_one_per_s", "the pure rule with its explanation, one core", "1/s", [alone]),
            row(
                "agree",
                "every rent and supplement equal to the peer's, in eurocent",
                "",
                [float(agree)],
                ">= 1",
            ),
        ],
    )


def _facts(households: Households, place: int) -> RentFacts:
    from koinon.integrator.drivers import PartialDate

    own = Occupant(
        born=PartialDate(1950 if households.old[place] else 1990, 5, 1),
        dependent_child=False,
        disabled=bool(households.disabled[place]),
        net_taxable_cents=int(households.income[place]),
    )
    child = Occupant(born=PartialDate(2016, 5, 1), dependent_child=True, disabled=False, net_taxable_cents=0)
    return RentFacts(
        alive=True,
        members=(own, *[child] * int(households.children[place])),
        complete=True,
        base_rent_cents=int(households.base[place]),
        excess_bedrooms=int(households.excess[place]),
        transfer_requested=bool(households.transfer[place]),
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--json", action="store_true")
    options.add_argument("--persons", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    show(run(chosen.persons, chosen.runs))
