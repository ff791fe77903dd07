"""From rows to an anonymous table: encode, halve, spare, write, measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from koinon.base.errors import Conflict, Invalid, TooLarge
from koinon.base.late import late
from koinon.integrator.processing.anonymise.domains import Domain, read_domain
from koinon.integrator.processing.anonymise.model import Anonymised, Anonymity, Loss
from koinon.integrator.processing.anonymise.mondrian import masks_of, split
from koinon.integrator.processing.anonymise.sparing import leave_out
from koinon.integrator.processing.engine import connect

if TYPE_CHECKING:
    import duckdb
    import numpy
    import pyarrow
    import pyarrow.compute
    from numpy.typing import NDArray

    from koinon.integrator.processing.anonymise.mondrian import Ints
else:
    duckdb = late("duckdb")
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
    tell: Tell = lambda step, share: None,
    **engine: Any,
) -> Anonymised:
    """`rows` made k-anonymous and l-diverse by making quasi-identifiers coarser.

    What is unknown is a value of its own: rows that lack it are alike in that. `engine` goes to `engine.connect`.

    Raises:
        Invalid: `anonymity_column_unknown`, `anonymity_column_kind`, `hierarchy_incomplete`.
        Conflict: `anonymity_not_reachable`: fewer than k rows, or a sensitive column with fewer than l values.
        TooLarge: `processing_memory`.
    """
    for column in [each.column for each in asked.quasi] + list(asked.sensitive):
        if column not in rows.column_names:
            raise Invalid("anonymity_column_unknown", column=column)
    connection = connect(threads=threads, **engine)
    read, halved, spared, written = (STEPS[step] for step in ("reading", "halving", "sparing", "writing"))
    tell("reading", 0.0)
    try:
        distinct = _count_tuples(connection, rows, asked)
        weights = distinct.column("weight").to_numpy().astype(numpy.int64)
        domains = [read_domain(distinct.column(f"c{n}"), each) for n, each in enumerate(asked.quasi)]
        starts = numpy.cumsum(weights) - weights
        sensitive = [Sensitive(distinct.column(f"s{n}")) for n in range(len(asked.sensitive))]
        _check_reachable(asked, weights, sensitive)
        masks = [masks_of(each.codes, starts) for each in sensitive] if asked.l > 1 else []
        tell("halving", read)
        classes = split(
            [each.codes for each in domains],
            [each.positions[each.codes] for each in domains],
            weights,
            masks,
            asked.k,
            asked.l,
            threads,
            lambda share: tell("halving", read + (halved - read) * share),
        )
        tell("sparing", halved)
        total = int(weights.sum())
        kept = leave_out(classes, domains, weights, masks, asked, int(total * asked.most_suppressed_share))
        tell("writing", spared)
        table, penalty = _write(asked, domains, sensitive, classes, weights, kept)
        suppressed = total - table.num_rows
        tell("measuring", written)
        return _measure(connection, asked, table, total, suppressed, penalty)
    except duckdb.OutOfMemoryException:
        raise TooLarge("processing_memory") from None
    finally:
        connection.close()


class Sensitive:
    """A sensitive column, row by row in the order of the tuples.

    Attributes:
        codes: of each row; equal for equal values, unknown is a value.
        values: what the codes stand for.
    """

    def __init__(self, lists: Any) -> None:
        flat = pyarrow.compute.list_flatten(lists.combine_chunks())
        coded = flat.dictionary_encode(null_encoding="encode")
        self.codes: NDArray[numpy.int32] = coded.indices.to_numpy(zero_copy_only=False).astype(numpy.int32)
        self.values = coded.dictionary


def _count_tuples(connection: Any, rows: pyarrow.Table, asked: Anonymity) -> pyarrow.Table:
    """Each combination of quasi-identifiers once, with the number of its rows and the sensitive values in them."""
    connection.register("given", rows)
    named = ", ".join(f"{_quoted(each.column)} AS c{n}" for n, each in enumerate(asked.quasi))
    lists = "".join(f", list({_quoted(name)}) AS s{n}" for n, name in enumerate(asked.sensitive))
    grouped = ", ".join(f"c{n}" for n in range(len(asked.quasi)))
    found = connection.sql(
        f"SELECT {named}, count(*) AS weight{lists} FROM given GROUP BY {grouped}"  # noqa: S608
    ).to_arrow_table()
    connection.unregister("given")
    return found


def _check_reachable(asked: Anonymity, weights: Ints, sensitive: Sequence[Sensitive]) -> None:
    if int(weights.sum()) < asked.k:
        raise Conflict("anonymity_not_reachable", why="rows", k=asked.k)
    for column, each in zip(asked.sensitive, sensitive, strict=True):
        if len(each.values) < asked.l:
            raise Conflict("anonymity_not_reachable", why="values", column=column, l=asked.l)


def _write(
    asked: Anonymity,
    domains: Sequence[Domain],
    sensitive: Sequence[Sensitive],
    classes: Ints,
    weights: Ints,
    kept: Any,
) -> tuple[pyarrow.Table, float]:
    """The rows that stay, with the class's range or group in place of each value; and their certainty penalty, summed.

    The rows of a class come out in the order of their sensitive values: next to each other as they were made, rows with
    equal quasi-identifiers would be known by their places.
    """
    here = numpy.flatnonzero(kept)
    held, classes_here = numpy.unique(classes[here], return_inverse=True)
    rows_of_class = numpy.bincount(classes_here, weights=weights[here]).astype(numpy.int64)
    class_of_row = numpy.repeat(numpy.arange(len(held)), rows_of_class)
    made: dict[str, Any] = {}
    penalty = 0.0
    for each, domain in zip(asked.quasi, domains, strict=True):
        labels, penalties = domain.generalise(domain.codes[here], classes_here)
        penalty += float((penalties * rows_of_class).sum())
        # Two classes may have the same words: one entry in the dictionary for each word.
        words = pyarrow.array(labels, pyarrow.string()).dictionary_encode()
        indices = words.indices.to_numpy(zero_copy_only=False).astype(numpy.int32)[class_of_row]
        made[each.column] = pyarrow.DictionaryArray.from_arrays(indices, words.dictionary)
    if sensitive:
        number = numpy.full(len(weights), -1, dtype=numpy.int64)
        number[here] = classes_here
        of = numpy.repeat(number, weights)
        stays = of >= 0 if len(here) < len(weights) else slice(None)
        ordered = _ordered(of[stays], [each.codes[stays] for each in sensitive], sensitive)
        for name, column, codes in zip(asked.sensitive, sensitive, ordered, strict=True):
            made[name] = column.values.take(pyarrow.array(codes))
    return pyarrow.table(made), penalty


def _ordered(of: Ints, codes: Sequence[Any], sensitive: Sequence[Sensitive]) -> list[Any]:
    """The codes of each column, by class and then by value: the columns of a row stay together."""
    sizes = [len(each.values) for each in sensitive]
    if math.prod(sizes) * (int(of.max()) + 1) < 2**63:
        # Class and values in one number: sorting numbers is several times faster than finding an order.
        key = of.copy()
        for each, size in zip(codes, sizes, strict=True):
            key *= size
            key += each
        key.sort()
        made = []
        for size in reversed(sizes):
            key, code = numpy.divmod(key, size)
            made.append(code)
        return made[::-1]
    order = numpy.lexsort((*reversed(codes), of))
    return [each[order] for each in codes]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _measure(
    connection: Any, asked: Anonymity, table: pyarrow.Table, total: int, suppressed: int, penalty: float
) -> Anonymised:
    """What was reached, counted in the result and not taken from how it was made."""
    # The words of a dictionary are different from each other: to count them, their places do, and cost less.
    quasi = {f"q{n}": table.column(each.column) for n, each in enumerate(asked.quasi)}
    places = {name: column.combine_chunks().indices for name, column in quasi.items()}
    values = {f"s{n}": table.column(name) for n, name in enumerate(asked.sensitive)}
    connection.register("made", pyarrow.table({**places, **values}))
    keys = ", ".join(quasi)
    [(k, classes, squares)] = connection.execute(
        f"SELECT min(n), count(*), sum(n * n)::HUGEINT FROM "  # noqa: S608
        f"(SELECT count(*)::HUGEINT AS n FROM made GROUP BY {keys})"
    ).fetchall()
    reached = [
        connection.execute(
            f"SELECT min(n) FROM (SELECT count(*) AS n FROM "  # noqa: S608
            f"(SELECT DISTINCT {keys}, {name} FROM made) GROUP BY {keys})"
        ).fetchall()[0][0]
        for name in values
    ]
    connection.unregister("made")
    l = min(map(int, reached)) if reached else None  # noqa: E741
    kept = total - suppressed
    return Anonymised(
        asked=asked,
        table=table,
        rows=total,
        k=int(k),
        l=l,
        classes=int(classes),
        suppressed=suppressed,
        suppressed_share=suppressed / total,
        loss=Loss(
            certainty_penalty=(penalty / len(asked.quasi) + suppressed) / total,
            discernibility=int(squares) + suppressed * total,
            average_class=kept / int(classes) / asked.k,
        ),
    )
