"""Nobody can work out a cell that was left out; the rest is exact."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import numpy
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.errors import Conflict, Invalid
from koinon.integrator.processing.cluster import (
    TOTAL,
    Cluster,
    Dominance,
    Measure,
    PublishedTable,
    check_differences,
    make_table,
)
from koinon.integrator.processing.cluster.suppression import suppress


def people(*groups: tuple[Any, ...]) -> pyarrow.Table:
    """`(category, ..., count)` each."""
    rows: list[dict[str, Any]] = []
    for *at, count in groups:
        for _ in range(count):
            rows.append({"subject": str(len(rows)), **{f"c{n}": each for n, each in enumerate(at)}})
    return pyarrow.Table.from_pylist(rows)


def determined(table: PublishedTable) -> set[Any]:
    """Which cells left out have one value only, by the sums that bind the table: the solver that a reader has.

    Exact arithmetic on fractions: each equation says that the cells of a line add up to its total. A cell is found
    when its unit vector is a combination of the equations, as Gauss-Jordan elimination shows.
    """
    unknown = [cell.at for cell in table.cells if cell.value is None]
    place = {at: n for n, at in enumerate(unknown)}
    value = {cell.at: cell.value for cell in table.cells}
    equations: list[list[Fraction]] = []
    for dimension in range(len(table.categories)):
        others = [[TOTAL, *each] if n != dimension else [TOTAL] for n, each in enumerate(table.categories)]
        for rest in product(*others):
            line = [(*rest[:dimension], each, *rest[dimension + 1 :]) for each in table.categories[dimension]]
            row = [Fraction(0)] * len(unknown)
            for at, sign in [*((at, 1) for at in line), (rest, -1)]:
                if value[at] is None:
                    row[place[at]] += sign
            if any(row):
                equations.append(row)
    solved = 0
    for column in range(len(unknown)):
        pivot = next((n for n in range(solved, len(equations)) if equations[n][column]), None)
        if pivot is None:
            continue
        equations[solved], equations[pivot] = equations[pivot], equations[solved]
        lead = equations[solved][column]
        equations[solved] = [each / lead for each in equations[solved]]
        for n, row in enumerate(equations):
            if n != solved and row[column]:
                factor = row[column]
                equations[n] = [a - factor * b for a, b in zip(row, equations[solved], strict=True)]
        solved += 1
    return {unknown[row.index(1)] for row in equations[:solved] if sum(1 for each in row if each) == 1}


def test_the_solver_finds_what_is_left_out_carelessly() -> None:
    table = make_table(people(("a", 40), ("b", 30), ("c", 20)), Cluster(dimensions=("c0",)))
    assert determined(table) == set()
    from koinon.integrator.processing.cluster import Cell

    careless = tuple(Cell(cell.at, None if cell.at == ("c",) else cell.value) for cell in table.cells)
    import msgspec

    assert determined(msgspec.structs.replace(table, cells=careless)) == {("c",)}


def test_a_small_cell_takes_others_with_it() -> None:
    table = make_table(
        people(("a", "x", 40), ("a", "y", 30), ("b", "x", 4), ("b", "y", 35), ("c", "x", 50), ("c", "y", 60)),
        Cluster(dimensions=("c0", "c1"), minimum=10),
    )
    assert table.value_at("b", "x") is None
    assert table.cells_suppressed == 4
    assert table.value_at(TOTAL, TOTAL) == 219
    assert table.value_at("b", TOTAL) == 39
    assert determined(table) == set()


def test_a_category_of_few_does_not_take_the_whole_table_with_it() -> None:
    table = make_table(
        people(("a", "x", 50), ("a", "y", 50), ("b", "x", 50), ("b", "y", 50), ("c", "x", 60), ("c", "y", 60),
               ("d", "x", 4)),
        Cluster(dimensions=("c0", "c1"), minimum=10),
    )  # fmt: skip
    assert table.value_at("d", "x") is None and table.value_at("d", TOTAL) is None
    assert table.cells_suppressed == 4
    assert table.value_at(TOTAL, "x") == 164
    assert table.value_at("c", "y") == 60
    assert determined(table) == set()


def test_nothing_is_left_out_without_need_and_what_stands_is_exact() -> None:
    table = make_table(
        people(("a", "x", 40), ("a", "y", 30), ("b", "x", 14), ("b", None, 35)),
        Cluster(dimensions=("c0", "c1"), minimum=10),
    )
    assert table.cells_suppressed == 0
    assert table.value_at("b", None) == 35
    assert table.value_at("a", None) == 0
    assert table.value_at(TOTAL, "x") == 54


def test_a_table_of_few_tells_nothing() -> None:
    table = make_table(people(("a", 4), ("b", 3)), Cluster(dimensions=("c0",), minimum=10))
    assert {cell.value for cell in table.cells} == {None}
    assert table.subjects is None


SIZES = st.sampled_from([(3,), (2, 3), (3, 4), (4, 5), (2, 2, 3), (3, 3, 2), (1, 4), (2, 2, 2, 2)])


@st.composite
def counts(draw: Any) -> Any:
    shape = draw(SIZES)
    number = st.one_of(st.just(0), st.integers(1, 9), st.integers(10, 60))
    total = int(numpy.prod(shape))
    return numpy.array(draw(st.lists(number, min_size=total, max_size=total))).reshape(shape)


@given(counts(), st.integers(3, 12))
@settings(max_examples=120)
def test_no_cell_left_out_can_be_worked_out_from_what_is_published(inner: Any, minimum: int) -> None:
    groups = [(*(f"k{place}" for place in at), int(count)) for at, count in numpy.ndenumerate(inner) if count]
    if not groups:
        return
    dimensions = tuple(f"c{n}" for n in range(inner.ndim))
    table = make_table(people(*groups), Cluster(dimensions=dimensions, minimum=minimum))
    assert determined(table) == set()
    truth: Counter[Any] = Counter()
    for *at, count in groups:
        for mask in product((False, True), repeat=len(at)):
            truth[tuple(TOTAL if hide else each for hide, each in zip(mask, at, strict=True))] += count
    for cell in table.cells:
        if cell.value is not None:
            assert cell.value == truth[cell.at]
            assert not 0 < cell.value < minimum


@given(counts(), st.integers(3, 12))
@settings(max_examples=80)
def test_each_small_cell_could_have_values_over_the_span_that_was_promised(inner: Any, minimum: int) -> None:
    """By moving masses round the hypercubes, as integers and never below nothing."""
    padded = numpy.zeros(tuple(size + 1 for size in inner.shape), dtype=numpy.int64)
    for mask in product((False, True), repeat=inner.ndim):
        axes = tuple(n for n, total in enumerate(mask) if total)
        index = tuple(-1 if total else slice(0, -1) for total in mask)
        padded[index] = inner.sum(axis=axes)
    primary = (padded > 0) & (padded < minimum)
    span = numpy.where(primary, minimum, 0)
    hidden = suppress(padded, primary, span)
    assert bool((hidden | ~primary).all())
    if 1 in inner.shape or inner.ndim > 2 or hidden[tuple([-1] * inner.ndim)]:
        return
    for at in map(tuple, numpy.argwhere(primary).tolist()):
        assert span_of(padded, hidden, at) >= minimum, (inner, at)


def span_of(values: Any, hidden: Any, at: tuple[int, ...]) -> int:
    """How far the cell can vary by single hypercubes, at least: an independent search over all of them."""
    best = 0
    sizes = [size - 1 for size in values.shape]
    inner = [d for d in range(len(at)) if at[d] != sizes[d]]
    for moving in ([d for d, on in zip(inner, choice, strict=True) if on]
                   for choice in product((0, 1), repeat=len(inner))):  # fmt: skip
        still = [d for d in range(len(at)) if d not in moving]
        for others in product(*(range(size) for size in sizes)):
            stays = any(others[d] != at[d] for d in still if at[d] != sizes[d])
            if not moving or stays or any(others[d] == at[d] for d in moving):
                continue
            up, down, whole = 10**9, 10**9, True
            for choice in product((0, 1), repeat=len(moving)):
                for totals in product((0, 1), repeat=len(still)):
                    corner = list(at)
                    for d, moved in zip(moving, choice, strict=True):
                        corner[d] = others[d] if moved else at[d]
                    for d, total in zip(still, totals, strict=True):
                        corner[d] = sizes[d] if total else others[d]
                    whole = whole and bool(hidden[tuple(corner)])
                    if not any(totals):
                        value = int(values[tuple(corner)])
                        up, down = (min(up, value), down) if sum(choice) % 2 else (up, min(down, value))
            if whole:
                best = max(best, up + down)
    # All inner cells hidden together vary more widely than one hypercube shows.
    everything = bool(hidden.sum() == hidden.size - 1)
    return 10**9 if everything else best


def incomes(groups: dict[str, list[str]]) -> pyarrow.Table:
    rows = [
        {"subject": f"{group}{n}", "c0": group, "v": Decimal(value)}
        for group, values in groups.items()
        for n, value in enumerate(values)
    ]
    return pyarrow.Table.from_pylist(
        rows,
        pyarrow.schema(
            [("subject", pyarrow.string()), ("c0", pyarrow.string()), ("v", pyarrow.decimal128(12, 2))]
        ),
    )


EVEN = [f"{100 + n}.50" for n in range(20)]


@pytest.mark.parametrize("rule", [Dominance(p=10), Dominance(n=2, k=80)])
def test_a_sum_that_one_contributor_dominates_is_left_out(rule: Dominance) -> None:
    asked = Cluster(dimensions=("c0",), minimum=3, measure=Measure(kind="sum", column="v"), dominance=rule)
    rows = incomes({"a": EVEN, "b": ["9000.00", *["10.00"] * 12], "c": EVEN, "d": EVEN})
    table = make_table(rows, asked)
    assert table.scale == 2
    assert table.value_at("b") is None
    assert determined(table) == set()
    assert table.cells_suppressed >= 2
    stands = [cell for cell in table.cells if cell.value is not None and cell.at != (TOTAL,)]
    assert all(cell.value == sum(Decimal(v) for v in EVEN) * 100 for cell in stands)


def test_a_contributor_with_many_rows_is_one_contributor() -> None:
    rows = pyarrow.table(
        {"subject": ["1"] * 50 + [str(n) for n in range(2, 40)], "c0": ["a"] * 50 + ["b"] * 38, "v": [1] * 88}
    )
    asked = Cluster(
        dimensions=("c0",), minimum=5, measure=Measure(kind="sum", column="v"), dominance=Dominance(p=5)
    )
    assert make_table(rows, asked).value_at("a") is None


@pytest.mark.parametrize(
    ("rows", "asked", "code"),
    [
        (people(("a", 20)), {"dimensions": ("c9",)}, "cluster_column_unknown"),
        (
            pyarrow.table({"subject": ["1", "1"], "c0": ["a", "b"]}),
            {"dimensions": ("c0",)},
            "cluster_subject_repeated",
        ),
        (
            pyarrow.table({"subject": ["1"], "c0": ["a"], "v": [-1]}),
            {"dimensions": ("c0",), "measure": Measure(kind="sum", column="v"), "dominance": Dominance(p=5)},
            "cluster_value_negative",
        ),
        (
            pyarrow.table({"subject": ["1"], "c0": ["a"], "v": [0.5]}),
            {"dimensions": ("c0",), "measure": Measure(kind="sum", column="v"), "dominance": Dominance(p=5)},
            "cluster_value_inexact",
        ),
        (
            pyarrow.table({"subject": ["1"], "c0": ["*"]}),
            {"dimensions": ("c0",)},
            "cluster_category_reserved",
        ),
    ],
)
def test_what_cannot_be_made_a_safe_table_is_refused(rows: Any, asked: Any, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        make_table(rows, Cluster(**asked))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"dimensions": ()}, "dimensions_malformed"),
        ({"dimensions": ("a", "a")}, "dimensions_malformed"),
        ({"dimensions": ("a",), "minimum": 2}, "minimum_too_low"),
        ({"dimensions": ("a",), "measure": Measure(kind="sum", column="v")}, "dominance_missing"),
    ],
)
def test_a_table_that_protects_nobody_cannot_be_asked(asked: Any, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        Cluster(**asked)
    assert refused.value.code == code


def test_rows_without_a_subject_are_told_and_not_counted() -> None:
    rows = people(("a", 40), ("b", 40)).to_pylist() + [{"subject": None, "c0": "a"}] * 25
    table = make_table(pyarrow.Table.from_pylist(rows), Cluster(dimensions=("c0",), minimum=10))
    assert table.value_at("a") == 40
    assert table.without_subject == 20


def test_two_tables_whose_rows_differ_by_few_are_not_both_published() -> None:
    whole = people(("a", "x", 40), ("a", "y", 43), ("b", "x", 50), ("b", "y", 60))
    fewer = whole.slice(3)
    asked = Cluster(dimensions=("c0",))
    first = make_table(whole, asked)
    second = make_table(fewer, asked)
    with pytest.raises(Conflict) as refused:
        check_differences(asked, fewer, second, [("first", asked, whole, first)])
    assert refused.value.code == "publication_differencing"
    assert refused.value.facts == {"table": "first", "why": "rows"}
    half = whole.slice(100)
    check_differences(asked, half, make_table(half, asked), [("first", asked, whole, first)])


def test_a_total_left_out_in_one_table_is_not_shown_in_another() -> None:
    rows = people(
        ("a", "x", 40), ("a", "y", 43), ("b", "x", 50), ("b", "y", 60), ("c", "x", 2), ("c", "y", 2)
    )
    one = Cluster(dimensions=("c0",))
    two = Cluster(dimensions=("c0", "c1"))
    three = Cluster(dimensions=("c1",))
    first = make_table(rows, one)
    assert first.value_at("c") is None
    with pytest.raises(Conflict) as refused:
        check_differences(two, rows, make_table(rows, two), [("first", one, rows, first)])
    assert refused.value.facts["why"] == "cells"
    check_differences(three, rows, make_table(rows, three), [("first", one, rows, first)])
