"""Grouping and aggregating on DuckDB, and turning what comes out into a table that may be published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from koinon.base.errors import Invalid, TooLarge
from koinon.base.late import late
from koinon.integrator.processing.cluster.model import (
    MOST_CELLS,
    TOTAL,
    Cell,
    Cluster,
    Dominance,
    PublishedTable,
)
from koinon.integrator.processing.cluster.suppression import suppress
from koinon.integrator.processing.engine import connect
from koinon.integrator.processing.flow import SUBJECT

if TYPE_CHECKING:
    import duckdb
    import numpy
    import pyarrow
else:
    duckdb = late("duckdb")
    numpy = late("numpy")
    pyarrow = late("pyarrow")

_LARGEST = 2**53  # what a reader of JSON still reads exactly (RFC 8259 section 6)


def make_table(rows: pyarrow.Table, cluster: Cluster, **engine: Any) -> PublishedTable:
    """The groups of `rows`, with what tells about a few left out.

    `rows` has a column `subject` (who the row is about), the dimensions, and the measured column. A row without a
    subject is not counted, and told; an unknown category is a category; an unknown value is in no sum, and told.
    `engine` goes to `engine.connect`.

    Raises:
        Invalid: `cluster_column_unknown`; `cluster_subject_repeated` when a subject is in two cells of a table of
            numbers, which then would not add up; `cluster_value_negative`; `cluster_value_inexact` for a column of
            floating-point numbers.
        TooLarge: `cluster_too_large`: too many cells.
    """
    for column in (
        SUBJECT,
        *cluster.dimensions,
        *([cluster.measure.column] if cluster.measure.column else []),
    ):
        if column not in rows.column_names:
            raise Invalid("cluster_column_unknown", column=column)
    scale = _scale(rows, cluster)
    connection = connect(**engine)
    try:
        connection.register("given", rows)
        return _make(connection, cluster, scale)
    except duckdb.OutOfMemoryException:
        raise TooLarge("processing_memory") from None
    finally:
        connection.close()


def _make(connection: Any, cluster: Cluster, scale: int) -> PublishedTable:
    dimensions = cluster.dimensions
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in dimensions]
    measured = '"' + (cluster.measure.column or "").replace('"', '""') + '"'
    value = f"CAST({measured} * {10**scale} AS HUGEINT)" if cluster.measure.column else "1"
    listed = ", ".join(f"CAST({name} AS VARCHAR) AS d{n}" for n, name in enumerate(quoted))
    connection.execute(
        f"CREATE TEMP TABLE r AS SELECT CAST({SUBJECT} AS VARCHAR) AS s, {listed}, {value} AS v FROM given"  # noqa: S608
    )
    [(lacking, unknown, negative)] = connection.execute(
        "SELECT count(*) FILTER (s IS NULL), count(*) FILTER (s IS NOT NULL AND v IS NULL), "
        "count(*) FILTER (v < 0) FROM r"
    ).fetchall()
    if negative:
        raise Invalid("cluster_value_negative", column=cluster.measure.column)
    names = [f"d{n}" for n in range(len(dimensions))]
    if cluster.measure.kind == "count":
        connection.execute("CREATE OR REPLACE TEMP TABLE r AS SELECT DISTINCT * FROM r WHERE s IS NOT NULL")
        twice = connection.execute("SELECT 1 FROM r GROUP BY s HAVING count(*) > 1 LIMIT 1").fetchall()
        if twice:
            raise Invalid("cluster_subject_repeated")
    categories = [_categories(connection, name) for name in names]
    shape = tuple(len(each) + 1 for each in categories)
    if numpy.prod([float(size) for size in shape]) > MOST_CELLS:
        raise TooLarge("cluster_too_large", most_cells=MOST_CELLS)
    places = [{category: n for n, category in enumerate(each)} for each in categories]
    top = max(2, (cluster.dominance.n or 0) if cluster.dominance else 0)
    # What one subject brings into a cell is one contribution, also into a total over several of its cells.
    found = connection.execute(
        f"""
        WITH c AS (
            SELECT {", ".join(names)}, GROUPING({", ".join(names)}) AS g, s, sum(v) AS v
            FROM r WHERE s IS NOT NULL AND v IS NOT NULL GROUP BY CUBE ({", ".join(names)}), s
        )
        SELECT {", ".join(names)}, g, count(*), sum(v)::HUGEINT, max(v, {top}) FROM c
        GROUP BY {", ".join(names)}, g
        """  # noqa: S608
    ).fetchall()
    values = numpy.zeros(shape, dtype=numpy.int64)
    primary = numpy.zeros(shape, dtype=numpy.bool_)
    span = numpy.zeros(shape, dtype=numpy.int64)
    subjects = 0
    width = len(names)
    for row in found:
        grouped = int(row[width])
        at = tuple(
            # GROUPING's highest bit is its first argument's.
            shape[n] - 1 if grouped >> (width - 1 - n) & 1 else places[n][row[n]]
            for n in range(width)
        )
        count, total, largest = int(row[width + 1]), int(row[width + 2]), [int(v) for v in row[width + 3]]
        if total > _LARGEST:
            raise TooLarge("cluster_value_too_large")
        values[at] = total
        if grouped == (1 << width) - 1:
            subjects = count
        wanted = _span(cluster, count, total, largest)
        primary[at], span[at] = wanted > 0, wanted
    hidden = suppress(values, primary, span, totals=cluster.totals)
    return _published(cluster, scale, categories, values, hidden, subjects, int(lacking), int(unknown))


def _span(cluster: Cluster, count: int, total: int, largest: list[int]) -> int:
    """How wide the span of possible values must be for somebody who sees the table; 0 where nothing need be hidden.

    A number under the minimum: the minimum. A sum: twice the upper protection level, so that as much is open above
    the true value.

    Source: Hundepool et al., "Statistical Disclosure Control" (2012), table 4.3.
    """
    if not count:
        return 0
    if cluster.dominance is None:
        return cluster.minimum if count < cluster.minimum else 0
    level = _upper_level(cluster.dominance, total, largest)
    if count < cluster.minimum:
        # Too few, whatever their shares: at least a tenth of the largest must stay open.
        level = max(level, (largest[0] + 9) // 10, 1)
    return 2 * level


def _upper_level(rule: Dominance, total: int, largest: list[int]) -> int:
    if rule.p is not None:
        rest = total - sum(largest[:2])
        return max(0, -(-rule.p * largest[0] // 100) - rest)
    assert rule.n is not None and rule.k is not None
    return max(0, -(-100 * sum(largest[: rule.n]) // rule.k) - total)


def _scale(rows: pyarrow.Table, cluster: Cluster) -> int:
    if cluster.measure.column is None:
        return 0
    kind = rows.schema.field(cluster.measure.column).type
    if pyarrow.types.is_decimal(kind) and 0 <= kind.scale <= 6:
        return int(kind.scale)
    if not pyarrow.types.is_integer(kind):
        raise Invalid("cluster_value_inexact", column=cluster.measure.column)
    return 0


def _categories(connection: Any, name: str) -> list[str | None]:
    rows = connection.execute(
        f"SELECT DISTINCT {name} FROM r WHERE s IS NOT NULL ORDER BY {name} NULLS LAST LIMIT {MOST_CELLS}"  # noqa: S608
    ).fetchall()
    if any(row[0] == TOTAL for row in rows):
        raise Invalid("cluster_category_reserved", category=TOTAL)
    return [row[0] for row in rows]


def _published(
    cluster: Cluster,
    scale: int,
    categories: list[list[str | None]],
    values: Any,
    hidden: Any,
    subjects: int,
    lacking: int,
    unknown: int,
) -> PublishedTable:
    cells = []
    inner = tuple(slice(0, size - 1) for size in values.shape)
    for at in numpy.ndindex(*values.shape):
        is_total = any(place == size - 1 for place, size in zip(at, values.shape, strict=True))
        if is_total and not cluster.totals:
            continue
        where = tuple(
            TOTAL if place == len(each) else each[place] for place, each in zip(at, categories, strict=True)
        )
        cells.append(Cell(where, None if hidden[at] else int(values[at])))
    whole = int(values[inner].sum())
    left_out = int(values[inner][hidden[inner]].sum())
    minimum = cluster.minimum
    # Beside the table: a share told to a hundredth must not itself tell a small number.
    share = round(left_out / whole, 2) if whole else 0.0
    return PublishedTable(
        cluster=cluster,
        scale=scale,
        categories=tuple(tuple(each) for each in categories),
        cells=tuple(cells),
        cells_total=sum(1 for cell in cells if cell.value != 0),
        cells_suppressed=sum(1 for cell in cells if cell.value is None),
        value_suppressed_share=share,
        subjects=subjects // minimum * minimum if subjects >= minimum else None,
        without_subject=lacking // minimum * minimum,
        unknown_values=None if 0 < unknown < minimum else unknown // minimum * minimum,
    )
