"""The cells of a table of groups as a page lays them out."""

from typing import Any

from koinon.integrator.processing.cluster import TOTAL, PublishedTable


def grid_of(table: PublishedTable) -> dict[str, Any]:
    """The cells as rows and columns: the last dimension across, the others down."""
    value = {cell.at: cell for cell in table.cells}
    across: list[str | None] = [*table.categories[-1], *([TOTAL] if table.cluster.totals else [])]
    if len(table.categories) == 1:
        across = []
    down: list[tuple[str | None, ...]] = []
    for cell in table.cells:
        head = cell.at[:-1] if across else cell.at
        if head not in down[-1:]:
            down.append(head)
    return {
        "heads": list(table.cluster.dimensions[: -1 if across else None]),
        "across": across,
        "across_name": table.cluster.dimensions[-1] if across else "",
        "rows": [
            (head, [value[(*head, each)] for each in across] if across else [value[head]]) for head in down
        ],
        "scale": 10**table.scale,
    }
