"""Group and aggregate, with cells that would tell about a few left out in a way that cannot be undone."""

from koinon.integrator.processing.cluster.counting import make_table
from koinon.integrator.processing.cluster.differencing import check_differences
from koinon.integrator.processing.cluster.model import (
    TOTAL,
    Cell,
    Cluster,
    Dominance,
    Measure,
    PublishedTable,
)
from koinon.integrator.processing.cluster.suppression import suppress

__all__ = [
    "TOTAL",
    "Cell",
    "Cluster",
    "Dominance",
    "Measure",
    "PublishedTable",
    "check_differences",
    "make_table",
    "suppress",
]
