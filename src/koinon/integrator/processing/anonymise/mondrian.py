"""Mondrian, breadth first: every class of a level is halved at once, on arrays of distinct tuples.

The classic algorithm splits one class at a time and visits each row at each level; with a million classes its
bookkeeping is what takes the time. Here rows with equal values are one tuple with a weight, and one sort of the tuples
by (class, value of the class's chosen column) finds the medians of all classes together.

A cut is allowed when both halves have k rows and, of each sensitive column, l values. The widest column of a class
(range over the column's domain) is tried first, then the next.

Source: K. LeFevre, D. DeWitt, R. Ramakrishnan, "Mondrian multidimensional k-anonymity", ICDE (2006).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from koinon.base.late import late

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Ints = NDArray[numpy.int64]
    Floats = NDArray[numpy.float64]
    Words = NDArray[numpy.uint64]
    Classes = NDArray[numpy.int32]
else:
    numpy = late("numpy")


_TOGETHER = 4  # levels before the work is divided: 16 classes divide well enough


def split(
    codes: Sequence[NDArray[numpy.int32]],
    positions: Sequence[Floats],
    weights: Ints,
    masks: Sequence[Sequence[Words]],
    k: int,
    l: int,  # noqa: E741
    threads: int = 1,
    tell: Callable[[float], None] = lambda share: None,
) -> Ints:
    """The class of each tuple, numbered from 0.

    `tell` hears now and then, in whatever thread, about which share of the levels is done: about as many as the rows
    can be halved before fewer than k are left.

    `codes` are ranks of the values of each quasi-identifier, `positions` where the rank lies on its scale from 0 to 1,
    `weights` how many rows each tuple stands for, `masks` which sensitive values are among them (see `masks_of`), for
    each sensitive column.
    """
    count = len(weights)
    classes = numpy.zeros(count, dtype=numpy.int32)
    bits = masks if l > 1 else []
    active, fresh = numpy.arange(count), 1
    levels = max(_TOGETHER + 1, math.ceil(math.log2(max(int(weights.sum()) / k, 1)) * 1.2))
    for level in range(_TOGETHER):
        active, fresh = _halve(active, classes, codes, positions, weights, bits, k, l, fresh)
        tell((level + 1) / levels)
    # From here on halves have nothing to do with each other, and most of the work runs outside the interpreter's lock.
    order = classes[active].argsort(kind="stable")
    parts = _parts(active[order], classes, threads)

    reached = [_TOGETHER] * len(parts)

    def finish(place: int, number: int) -> None:
        part = parts[place]
        while part.size:
            part, number = _halve(part, classes, codes, positions, weights, bits, k, l, number)
            reached[place] = min(reached[place] + 1, levels)
            tell(sum(reached) / len(parts) / levels)

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        # A part makes fewer classes than it has tuples.
        firsts = numpy.cumsum([fresh, *(len(part) for part in parts)]).tolist()
        list(pool.map(finish, range(len(parts)), firsts))
    _, numbered = numpy.unique(classes, return_inverse=True)
    return numbered.astype(numpy.int64)


def _parts(ordered: Ints, classes: Classes, threads: int) -> list[Ints]:
    """The tuples in about equal parts, no class in two of them."""
    if not ordered.size:
        return []
    starts, _ = _groups(classes[ordered])
    wanted = numpy.arange(1, threads) * len(ordered) // threads
    cuts = starts[numpy.searchsorted(starts, wanted, side="right") - 1]
    return [part for part in numpy.split(ordered, numpy.unique(cuts)) if part.size]


def _halve(
    active: Ints,
    classes: Classes,
    codes: Sequence[NDArray[numpy.int32]],
    positions: Sequence[Floats],
    weights: Ints,
    bits: Sequence[Sequence[Words]],
    k: int,
    l: int,  # noqa: E741
    fresh: int,
) -> tuple[Ints, int]:
    """One level: the tuples whose class was halved, for the next; `classes` is changed in place."""
    if not active.size:
        return active, fresh
    order = numpy.argsort(classes[active])
    tuples = active[order]
    starts, of = _groups(classes[tuples])
    # A class of fewer than 2 k rows cannot be halved: out at once, they are most of the last levels.
    big = numpy.add.reduceat(weights[tuples], starts) >= 2 * k
    keep = big[of]
    tuples = tuples[keep]
    if not tuples.size:
        return tuples, fresh
    starts, of = _groups(classes[tuples])
    spans = numpy.stack([_spans(each, tuples, starts) for each in positions])
    ranked = numpy.argsort(-spans, axis=0, kind="stable")
    waiting = numpy.ones(len(starts), dtype=numpy.bool_)
    done: list[Ints] = []
    for turn in range(len(codes)):
        chosen = ranked[turn]
        waiting &= numpy.take_along_axis(spans, chosen[None, :], axis=0)[0] > 0
        if not waiting.any():
            break
        mine = waiting[of]
        members, member_of = tuples[mine], of[mine]
        value = numpy.zeros(len(members), dtype=numpy.int64)
        for d, column in enumerate(codes):
            here = chosen[member_of] == d
            value[here] = column[members[here]]
        right, allowed = _cut(member_of, value, members, weights, bits, k, l, len(starts))
        cut = allowed[member_of]
        upper = cut & right
        number = fresh + numpy.cumsum(allowed) - 1
        fresh += int(allowed.sum())
        classes[members[upper]] = number[member_of[upper]]
        done.append(members[cut])
        waiting &= ~allowed
    return (numpy.concatenate(done) if done else tuples[:0]), fresh


def _cut(
    of: Ints,
    value: Ints,
    members: Ints,
    weights: Ints,
    bits: Sequence[Sequence[Words]],
    k: int,
    l: int,  # noqa: E741
    count: int,
) -> tuple[NDArray[numpy.bool_], NDArray[numpy.bool_]]:
    """For each member whether it goes right, and for each class whether its cut is allowed.

    Of the two places next to the median (a value is never torn apart) the more even one.
    """
    wide = int(value.max()) + 1
    key = of * wide + value
    if count * wide < 2**31:
        key = key.astype(numpy.int32)  # sorts twice as fast
    order = numpy.argsort(key)
    sorted_of, sorted_value, sorted_weight = of[order], value[order], weights[members[order]]
    before = numpy.cumsum(sorted_weight) - sorted_weight
    starts, _ = _groups(sorted_of)
    held = sorted_of[starts]
    totals = numpy.zeros(count, dtype=numpy.int64)
    offset = numpy.zeros(count, dtype=numpy.int64)
    totals[held] = numpy.add.reduceat(sorted_weight, starts)
    offset[held] = before[starts]
    # Runs of equal values in a class; how many rows of the class stand before each.
    edge = numpy.ones(len(order), dtype=numpy.bool_)
    edge[1:] = (sorted_of[1:] != sorted_of[:-1]) | (sorted_value[1:] != sorted_value[:-1])
    run_of, run_value = sorted_of[edge], sorted_value[edge]
    left = before[edge] - offset[run_of]
    smaller = numpy.minimum(left, totals[run_of] - left)
    # The run at which the smaller half is largest: the last of an ascending sort wins in the assignment.
    best = numpy.zeros(count, dtype=numpy.int64)
    rising = numpy.argsort(smaller, kind="stable")
    best[run_of[rising]] = rising
    allowed = numpy.zeros(count, dtype=numpy.bool_)
    allowed[held] = smaller[best[held]] >= k
    boundary = run_value[best]
    right = value >= boundary[of]
    if bits:
        for side in (right, ~right):
            for words in bits:
                allowed &= _varieties(words, members[side], of[side], count) >= l
    return right, allowed


def _varieties(words: Sequence[Words], members: Ints, of: Ints, count: int) -> Ints:
    """How many sensitive values each class has among `members`."""
    found = numpy.zeros(count, dtype=numpy.int64)
    if not members.size:
        return found
    order = numpy.argsort(of)
    starts, _ = _groups(of[order])
    held = of[order][starts]
    for word in words:
        together = numpy.bitwise_or.reduceat(word[members[order]], starts)
        found[held] += numpy.bitwise_count(together)
    return found


def masks_of(codes: NDArray[numpy.int32], starts: Ints) -> list[Words]:
    """For each run of rows the codes in it, as bits of as many 64-bit words as it takes."""
    one = numpy.uint64(1)
    words = []
    for first in range(0, int(codes.max(initial=0)) + 1, 64):
        shift = (codes - first).clip(0, 63).astype(numpy.uint64)
        bits = numpy.left_shift(one, shift)
        bits[(codes < first) | (codes >= first + 64)] = 0
        words.append(numpy.bitwise_or.reduceat(bits, starts))
    return words


def _groups(ordered: Ints | Classes) -> tuple[Ints, Ints]:
    """Where each group of equal neighbours starts, and the group of each."""
    edge = numpy.ones(len(ordered), dtype=numpy.bool_)
    edge[1:] = ordered[1:] != ordered[:-1]
    return numpy.flatnonzero(edge), numpy.cumsum(edge) - 1


def _spans(positions: Floats, tuples: Ints, starts: Ints) -> Floats:
    here = positions[tuples]
    spans: Floats = numpy.maximum.reduceat(here, starts) - numpy.minimum.reduceat(here, starts)
    return spans
