"""Which cells must go so that none of them can be worked out again.

A small cell is not hidden by leaving it out: the totals give it back. So further cells go, by the hypercube method:
for each cell to hide, a hypercube of cells around it, of which every second may gain what the others lose while every
total stays as it is. That is a proof, and it is checked with the values of the corners: what was published agrees with
tables in which the hidden cell has other values, over a span at least as wide as the rule demands. Leaving out more
cells later can only widen the span.

Masses need not move in every dimension: where they stay in one category of a dimension, the totals over that dimension
change, and go too. So are totals hidden that are small themselves (of a category with few subjects).

What it does not do: choose the fewest cells (that is hard; this is a heuristic with a guarantee), or protect against
somebody who runs this program on the guessed data and compares what it would leave out.

Source: S. Giessing and D. Repsilber, "Tools and strategies to protect multiple tables with the GHQUAR cell suppression
engine", in "Inference Control in Statistical Databases", LNCS 2316 (2002); Hundepool et al., "Statistical Disclosure
Control" (2012), section 4.4.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from koinon.base.late import late

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Ints = NDArray[numpy.int64]
    Bools = NDArray[numpy.bool_]
else:
    numpy = late("numpy")


_FAR = 2**62


def suppress(
    values: Ints,
    primary: Bools,
    span: Ints,
    *,
    totals: bool = True,
) -> Bools:
    """True for each cell that must be left out.

    `values` has one more place in each dimension than that has categories: the last is the total. `primary` are the
    cells that the rules hide, `span` (same shape) how wide the span of possible values of each of those must be.
    Without `totals` only inner cells are published, and nothing binds them.

    When a cell cannot be protected (no partner has mass enough), everything but the grand total is left out; when the
    grand total is small itself, everything is.
    """
    if not totals:
        return primary.copy()
    for dimension, size in enumerate(values.shape):
        if size <= 2:
            # One category, or none: a cell and its total are the same number, and go or stay together.
            def of_total(cells: Any, dimension: int = dimension) -> Any:
                return numpy.take(cells, -1, axis=dimension)

            if values.ndim == 1:
                return numpy.full_like(primary, bool(of_total(primary)))
            fewer = suppress(of_total(values), of_total(primary), of_total(span))
            return numpy.repeat(numpy.expand_dims(fewer, dimension), size, axis=dimension)
    grand = tuple(size - 1 for size in values.shape)
    if primary[grand]:
        return numpy.ones_like(primary)
    hidden = primary.copy()
    # Cells with the widest demands first: what they take often protects the others too.
    wanted = sorted(map(tuple, numpy.argwhere(primary).tolist()), key=lambda at: (-int(span[at]), at))
    for at in wanted:
        corners = _hypercube(values, hidden, at, int(span[at]))
        if corners is None:
            everything = numpy.ones_like(primary)
            everything[grand] = False
            return everything
        for corner in corners:
            hidden[corner] = True
    return hidden


def _hypercube(values: Ints, hidden: Bools, at: tuple[int, ...], span: int) -> list[tuple[int, ...]] | None:
    """The cells of the cheapest hypercube that lets the cell at `at` vary over `span`; None if there is none.

    A hypercube is told by the dimensions in which masses move, with one further category for each, and by one category
    for each dimension over which `at` is a total (inside which they move). In a dimension of neither kind they stay in
    the cell's own category; the totals over it then change too, and must go.
    """
    last = [size - 1 for size in values.shape]
    inner = [d for d in range(values.ndim) if at[d] != last[d]]
    best: tuple[float, list[tuple[int, ...]]] | None = None
    for moving in _subsets(inner):
        found = _cheapest(values, hidden, at, span, sorted(moving), last) if moving else None
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return None if best is None else best[1]


def _cheapest(
    values: Ints, hidden: Bools, at: tuple[int, ...], span: int, moving: list[int], last: list[int]
) -> tuple[float, list[tuple[int, ...]]] | None:
    """As `_hypercube`, for masses that move in just these dimensions; with what it costs."""
    size = values.ndim
    still = [d for d in range(size) if d not in moving]
    chosen = [d for d in still if at[d] == last[d]]
    shape = tuple(last[d] if d in moving or d in chosen else 1 for d in range(size))
    cost = numpy.zeros(shape, dtype=numpy.float64)
    up = numpy.full(
        shape, _FAR, dtype=numpy.int64
    )  # by how much the cell may grow: what the odd corners can lose
    down = numpy.full(shape, _FAR, dtype=numpy.int64)
    for moved in _subsets(moving):
        for total in _subsets(still):
            free = [d in moved or (d in chosen and d not in total) for d in range(size)]
            index = tuple(
                slice(0, last[d]) if free[d] else last[d] if d in total else at[d] for d in range(size)
            )
            wide = tuple(last[d] if free[d] else 1 for d in range(size))
            corner, taken = values[index].reshape(wide), hidden[index].reshape(wide)
            # A cell that is hidden already costs nothing; an empty one is worth little to readers, but something.
            cost = cost + numpy.where(taken, 0.0, corner + 1.0)
            if not total:
                if len(moved) % 2:
                    up = numpy.minimum(up, corner)
                else:
                    down = numpy.minimum(down, corner)
    # Both directions, where a span around the value is asked for: the larger part of it upwards.
    fits = (up + down >= span) & (2 * up >= span)
    for d in moving:
        own: list[Any] = [slice(None)] * size
        own[d] = at[d]
        fits[tuple(own)] = False
    if not fits.any():
        return None
    best = numpy.unravel_index(int(numpy.argmin(numpy.where(fits, cost, numpy.inf))), shape)
    corners = [
        tuple(
            last[d] if d in total else int(best[d]) if d in moved or d in chosen else at[d]
            for d in range(size)
        )
        for moved in _subsets(moving)
        for total in _subsets(still)
    ]
    return float(cost[best]), corners


def _subsets(dimensions: list[int]) -> list[frozenset[int]]:
    return [
        frozenset(d for d, chosen in zip(dimensions, choice, strict=True) if chosen)
        for choice in product((False, True), repeat=len(dimensions))
    ]
