"""From rows to an anonymous table: encode, halve, spare, write, measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from koinon.base.errors import Conflict, Invalid, TooLarge
from koinon.base.late import late
from koinon.integrator.processing.anonymise.domains import Domain, generalise, read_domain
from koinon.integrator.processing.anonymise.model import Anonymised, Anonymity, Loss
from koinon.integrator.processing.anonymise.mondrian import masks_of, split
from koinon.integrator.processing.anonymise.sparing import leave_out
from koinon.integrator.processing.anonymise.tuples import (
    Packing,
    encode,
    find_starts,
    lengths_of,
    need_bytes,
)
from koinon.integrator.processing.engine import DEFAULT_MEMORY_MB

if TYPE_CHECKING:
    import numpy
    import pyarrow
    import pyarrow.compute

    from koinon.integrator.processing.anonymise.tuples import Codes, Ints
else:
    numpy = late("numpy")
    pyarrow = late("pyarrow")


STEPS: dict[str, float] = {"reading": 0.15, "halving": 0.6, "sparing": 0.65, "writing": 0.9, "measuring": 1.0}
"""The steps of the work, and about which share of the time is over when each ends."""

Tell = Callable[[str, float], None]
"""Hears the step and the share of the whole that is done, 0 to 1, in whatever thread."""


def anonymise(
    rows: pyarrow.Table,
    asked: Anonymity,
    *,
    threads: int = 2,
    memory_mb: int = DEFAULT_MEMORY_MB,
    tell: Tell = lambda step, share: None,
) -> Anonymised:
    """`rows` made k-anonymous and l-diverse by making quasi-identifiers coarser.

    What is unknown is a value of its own: rows that lack it are alike in that. It works in memory, in `memory_mb`
    beside what `rows` take themselves.

    Raises:
        Invalid: `anonymity_column_unknown`, `anonymity_column_kind`, `hierarchy_incomplete`.
        Conflict: `anonymity_not_reachable`: fewer than k rows, or a sensitive column with fewer than l values.
        TooLarge: `processing_memory`.
    """
    names = [each.column for each in asked.quasi] + list(asked.sensitive)
    for column in names:
        if column not in rows.column_names:
            raise Invalid("anonymity_column_unknown", column=column)
    if need_bytes(rows.num_rows, len(names)) > memory_mb * 2**20:
        raise TooLarge("processing_memory")
    begun, halved, spared, written = (STEPS[step] for step in ("reading", "halving", "sparing", "writing"))
    tell("reading", 0.0)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        read = list(pool.map(lambda each: read_domain(*encode(rows.column(each.column)), each), asked.quasi))
        known = list(pool.map(lambda name: _in_order(*encode(rows.column(name))), asked.sensitive))
    people = _People(read, known)
    del read, known
    _check_reachable(asked, rows.num_rows, people.values)
    masks = [masks_of(each, people.starts) for each in people.sensitive] if asked.l > 1 else []
    positions = [each.positions for each in people.domains]
    tell("halving", begun)
    classes = split(
        people.codes,
        positions,
        people.weights,
        masks,
        asked.k,
        asked.l,
        threads,
        lambda share: tell("halving", begun + (halved - begun) * share),
    )
    tell("sparing", halved)
    order = numpy.argsort(classes, kind="stable")
    groups = order, find_starts(classes[order])
    most = int(rows.num_rows * asked.most_suppressed_share)
    kept = leave_out(groups, people.codes, people.domains, people.weights, masks, asked, most)
    tell("writing", spared)
    table, penalty = _write(asked, people, classes, order[kept[order]])
    tell("measuring", written)
    return _measure(asked, table, rows.num_rows, penalty)


class _People:
    """The rows, sorted by their quasi-identifiers and then by their sensitive values.

    Attributes:
        domains: of the quasi-identifiers.
        codes: of each of those the rank of each tuple: a combination of quasi-identifiers, once each.
        weights: how many rows each tuple stands for.
        starts: where the rows of each tuple start.
        sensitive: of each sensitive column the code of each row, in the order of the values.
        values: what those codes stand for.
    """

    def __init__(self, read: Sequence[tuple[Domain, Codes]], known: Sequence[tuple[Codes, Any]]) -> None:
        """`read`: of each quasi-identifier the domain and the ranks; `known`: of each sensitive column."""
        self.domains = [domain for domain, _ in read]
        self.values = [values for _, values in known]
        packing = Packing(
            [codes for _, codes in read] + [codes for codes, _ in known],
            [len(each.positions) for each in self.domains] + [len(each) for each in self.values],
        )
        keys, self.sensitive = packing.unpack(packing.ordered(), len(self.domains))
        self.starts = find_starts(keys)
        self.weights = lengths_of(self.starts, len(keys))
        _, self.codes = packing.unpack(keys[self.starts], 0, len(self.domains))


def _in_order(codes: Codes, values: Any) -> tuple[Codes, Any]:
    """The codes in the order of what they stand for, unknown last: no order comes from the order of the rows."""
    order = pyarrow.compute.sort_indices(values).to_numpy()
    rank = numpy.empty(len(order), dtype=numpy.int32)
    rank[order] = numpy.arange(len(order), dtype=numpy.int32)
    return rank[codes], values.take(pyarrow.array(order))


def _check_reachable(asked: Anonymity, rows: int, values: Sequence[Any]) -> None:
    if rows < asked.k:
        raise Conflict("anonymity_not_reachable", why="rows", k=asked.k)
    for column, each in zip(asked.sensitive, values, strict=True):
        if len(each) < asked.l:
            raise Conflict("anonymity_not_reachable", why="values", column=column, l=asked.l)


def _write(asked: Anonymity, people: _People, classes: Codes, here: Ints) -> tuple[pyarrow.Table, float]:
    """The rows that stay, with the class's range or group in place of each value; and their certainty penalty, summed.

    `here` are the tuples that stay, class by class. The rows of a class come out in the order of their sensitive
    values: next to each other as they were made, rows with equal quasi-identifiers would be known by their places.
    """
    starts = find_starts(classes[here])
    rows_of_class = numpy.add.reduceat(people.weights[here], starts)
    made: dict[str, Any] = {}
    penalty = 0.0
    for each, domain, codes in zip(asked.quasi, people.domains, people.codes, strict=True):
        ranks = codes[here]
        low, high = numpy.minimum.reduceat(ranks, starts), numpy.maximum.reduceat(ranks, starts)
        places, words, penalties = generalise(domain, low, high)
        penalty += float((penalties * rows_of_class).sum())
        made[each.column] = pyarrow.DictionaryArray.from_arrays(numpy.repeat(places, rows_of_class), words)
    if people.sensitive:
        number = numpy.full(len(classes), -1, dtype=numpy.int32)
        number[here] = numpy.repeat(
            numpy.arange(len(starts), dtype=numpy.int32), lengths_of(starts, len(here))
        )
        of, codes_of = numpy.repeat(number, people.weights), people.sensitive
        if len(here) < len(classes):
            stays = of >= 0
            of, codes_of = of[stays], [each[stays] for each in codes_of]
        packing = Packing([of, *codes_of], [len(starts), *(len(each) for each in people.values)])
        _, ordered = packing.unpack(packing.ordered(), 1)
        for name, values, codes in zip(asked.sensitive, people.values, ordered, strict=True):
            made[name] = values.take(pyarrow.array(codes))
    return pyarrow.table(made), penalty


def _measure(asked: Anonymity, table: pyarrow.Table, total: int, penalty: float) -> Anonymised:
    """What was reached, counted in the result and not taken from how it was made."""
    quasi = [encode(table.column(each.column)) for each in asked.quasi]
    keys = Packing([codes for codes, _ in quasi], [len(values) for _, values in quasi]).keys
    # Neighbours that are alike are counted together, then all that are alike, wherever they stand.
    runs = find_starts(keys)
    alike, of = numpy.unique(keys[runs], return_inverse=True)
    lengths = lengths_of(runs, len(keys))
    sizes = numpy.bincount(of, weights=lengths).astype(numpy.int64)
    class_of_row = numpy.repeat(of.astype(numpy.int32), lengths)
    del keys
    reached = []
    for name in asked.sensitive:
        codes, values = encode(table.column(name))
        pairs = Packing([class_of_row, codes], [len(alike), len(values)])
        ordered = pairs.ordered()
        different, _ = pairs.unpack(ordered[find_starts(ordered)], 1)
        reached.append(int(numpy.bincount(different).min()))
    l = min(reached) if reached else None  # noqa: E741
    kept = table.num_rows
    suppressed = total - kept
    return Anonymised(
        asked=asked,
        table=table,
        rows=total,
        k=int(sizes.min()),
        l=l,
        classes=len(sizes),
        suppressed=suppressed,
        suppressed_share=suppressed / total,
        loss=Loss(
            certainty_penalty=(penalty / len(asked.quasi) + suppressed) / total,
            discernibility=int((sizes * sizes).sum()) + suppressed * total,
            average_class=kept / len(sizes) / asked.k,
        ),
    )
