"""Two tables of the same data set, side by side: what neither tells, both together must not tell either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from koinon.base.errors import Conflict
from koinon.base.late import late
from koinon.integrator.processing.cluster.model import Cluster, PublishedTable
from koinon.integrator.processing.engine import connect
from koinon.integrator.processing.flow import SUBJECT

if TYPE_CHECKING:
    import pyarrow
else:
    pyarrow = late("pyarrow")


def check_differences(
    cluster: Cluster,
    rows: pyarrow.Table,
    table: PublishedTable,
    earlier: Sequence[tuple[str, Cluster, pyarrow.Table, PublishedTable]],
    **engine: Any,
) -> None:
    """Returns only if `table`, made of `rows`, may stand beside the `earlier` ones of the same data set.

    Each earlier one is (its name, what was asked, the rows it was made of, what was published). Two things are looked
    at, on the dimensions that both have:

    - rows: in no cell may they differ by one or more, and fewer than the minimum, of the subjects (a table of all
      and one of all but three give the three back);
    - the same rows: no total over those dimensions may be left out in either, because then the proof of
      `suppression` holds for both at once: the masses it moves stay inside each cell of the other table.

    For three tables and more that is checked pair by pair: nothing can be worked out by sums and differences, but how
    wide the span of a cell is, is promised for two.

    Raises:
        Conflict: `publication_differencing`, with the name of the earlier one.
    """
    for name, asked, their_rows, published in earlier:
        common = [each for each in cluster.dimensions if each in asked.dimensions]
        minimum = max(cluster.minimum, asked.minimum)
        if _differ_by_few(rows, their_rows, common, minimum, **engine):
            raise Conflict("publication_differencing", table=name, why="rows")
        same_measure = cluster.measure == asked.measure
        if same_measure and (_hides_shared(table, common) or _hides_shared(published, common)):
            raise Conflict("publication_differencing", table=name, why="cells")


def _hides_shared(table: PublishedTable, common: Sequence[str]) -> bool:
    """Whether a total over dimensions that both tables have is left out."""
    dimensions = table.cluster.dimensions
    return any(
        all(at == "*" or dimensions[n] in common for n, at in enumerate(cell.at))
        for cell in table.cells
        if cell.value is None
    )


def _differ_by_few(
    one: pyarrow.Table, other: pyarrow.Table, common: Sequence[str], minimum: int, **engine: Any
) -> bool:
    connection = connect(**engine)
    try:
        connection.register("one_given", one.select([SUBJECT, *common]))
        connection.register("other_given", other.select([SUBJECT, *common]))
        names = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in common]
        columns = ", ".join([SUBJECT, *names])
        # CUBE: a total over a shared dimension may differ by few where its cells do not, and the other way round.
        groups = f"GROUP BY CUBE ({', '.join(names)})" if names else ""
        for left, right in (("one_given", "other_given"), ("other_given", "one_given")):
            found = connection.execute(
                f"""
                SELECT 1 FROM (
                    SELECT count(DISTINCT {SUBJECT}) AS n FROM (
                        SELECT {columns} FROM {left} EXCEPT SELECT {columns} FROM {right}
                    ) {groups}
                ) WHERE n BETWEEN 1 AND {minimum - 1} LIMIT 1
                """  # noqa: S608
            ).fetchall()
            if found:
                return True
        return False
    finally:
        connection.close()
