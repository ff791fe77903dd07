"""Mondrian, breadth first: every class of a level is halved at once, on arrays of distinct tuples.

The classic algorithm splits one class at a time and visits each row at each level; with a million classes its
bookkeeping is what takes the time. Here rows with equal values are one tuple with a weight, and one sort of the tuples
by (class, value of the class's chosen column) finds the medians of all classes together. After it the halves lie next
to each other, so the next level finds its classes in their places.

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
from koinon.integrator.processing.anonymise.tuples import find_starts

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from koinon.integrator.processing.anonymise.tuples import Codes, Ints

    Floats = NDArray[numpy.float64]
    Words = NDArray[numpy.uint64]
else:
    numpy = late("numpy")


_TOGETHER = 4  # levels before the work is divided: 16 classes divide well enough


def split(
    codes: Sequence[Codes],
    positions: Sequence[Floats],
    weights: Ints,
    masks: Sequence[Sequence[Words]],
    k: int,
    l: int,  # noqa: E741
    threads: int = 1,
    tell: Callable[[float], None] = lambda share: None,
) -> Codes:
    """The class of each tuple, numbered from 0.

    `tell` hears now and then, in whatever thread, about which share of the levels is done: about as many as the rows
    can be halved before fewer than k are left.

    `codes` are ranks of the values of each quasi-identifier, `positions` where each rank lies on its scale from 0 to
    1, `weights` how many rows each tuple stands for, `masks` which sensitive values are among them (see `masks_of`),
    for each sensitive column.
    """
    count = len(weights)
    if not count:
        return numpy.zeros(0, dtype=numpy.int32)
    halving = _Halving(codes, positions, weights, masks if l > 1 else [], k, l)
    level, fresh = (numpy.arange(count), numpy.array([count])), 1
    levels = max(_TOGETHER + 1, math.ceil(math.log2(max(int(weights.sum()) / k, 1)) * 1.2))
    for done in range(_TOGETHER):
        level, fresh = halving.halve(*level, fresh)
        tell((done + 1) / levels)
    # From here on halves have nothing to do with each other, and most of the work runs outside the interpreter's lock.
    parts = _parts(*level, threads)

    reached = [_TOGETHER] * len(parts)

    def finish(place: int, number: int) -> None:
        part = parts[place]
        while part[0].size:
            part, number = halving.halve(*part, number)
            reached[place] = min(reached[place] + 1, levels)
            tell(sum(reached) / len(parts) / levels)

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        # A part makes fewer classes than it has tuples.
        firsts = numpy.cumsum([fresh, *(len(tuples) for tuples, _ in parts)]).tolist()
        list(pool.map(finish, range(len(parts)), firsts))
    used = numpy.bincount(halving.classes) > 0
    return (numpy.cumsum(used) - 1).astype(numpy.int32)[halving.classes]


def _parts(tuples: Ints, lengths: Ints, threads: int) -> list[tuple[Ints, Ints]]:
    """The tuples in about equal parts, no class in two of them."""
    if not tuples.size:
        return []
    starts = numpy.cumsum(lengths) - lengths
    wanted = numpy.arange(1, threads) * len(tuples) // threads
    cuts = numpy.unique(numpy.searchsorted(starts, wanted, side="right") - 1)
    cuts = cuts[cuts > 0]
    return list(zip(numpy.split(tuples, starts[cuts]), numpy.split(lengths, cuts), strict=True))


class _Halving:
    """What does not change from level to level.

    A level is the tuples that may be halved still, class by class, and how many tuples each class has.
    """

    def __init__(
        self,
        codes: Sequence[Codes],
        positions: Sequence[Floats],
        weights: Ints,
        masks: Sequence[Sequence[Words]],
        k: int,
        l: int,  # noqa: E741
    ) -> None:
        self._codes, self._positions, self._weights, self._masks = codes, positions, weights, masks
        self._k, self._l = k, l
        self._wide = max(len(each) for each in positions)
        self.classes: Codes = numpy.zeros(len(weights), dtype=numpy.int32)

    def halve(self, tuples: Ints, lengths: Ints, fresh: int) -> tuple[tuple[Ints, Ints], int]:
        """The next level, and the next number for a class; `classes` is changed in place."""
        if not tuples.size:
            return (tuples, lengths), fresh
        weights = self._weights[tuples]
        # A class of fewer than 2 k rows cannot be halved: out at once, they are most of the last levels.
        big = numpy.add.reduceat(weights, numpy.cumsum(lengths) - lengths) >= 2 * self._k
        keep = numpy.repeat(big, lengths)
        tuples, weights, lengths = tuples[keep], weights[keep], lengths[big]
        if not tuples.size:
            return (tuples, lengths), fresh
        here = numpy.stack([column[tuples] for column in self._codes])
        spans = self._spans(here, numpy.cumsum(lengths) - lengths)
        ranked = numpy.argsort(-spans, axis=0, kind="stable")
        waiting = numpy.ones(len(lengths), dtype=numpy.bool_)
        places, next_ = numpy.arange(len(lengths)), []
        for chosen in ranked:
            waiting &= spans[chosen, places] > 0
            if not waiting.any():
                break
            members = numpy.flatnonzero(numpy.repeat(waiting, lengths))
            sizes = lengths[waiting]
            value = here[numpy.repeat(chosen[waiting], sizes), members]
            order, first, allowed = self._cut(tuples[members], value, weights[members], sizes)
            halved = tuples[members[order]][numpy.repeat(allowed, sizes)]
            both = numpy.stack([first, sizes - first], axis=1)[allowed].ravel()
            count = int(allowed.sum())
            new = numpy.repeat(numpy.arange(fresh, fresh + count), both[1::2])
            self.classes[halved[numpy.repeat(numpy.arange(len(both)) % 2 == 1, both)]] = new
            fresh += count
            next_.append((halved, both))
            waiting[numpy.flatnonzero(waiting)[allowed]] = False
        if not next_:
            return (tuples[:0], lengths[:0]), fresh
        halves, sizes_of = zip(*next_, strict=True)
        return (numpy.concatenate(halves), numpy.concatenate(sizes_of)), fresh

    def _spans(self, here: Codes, starts: Ints) -> Floats:
        """How far each class reaches in each column: ranks and their positions rise together."""
        return numpy.stack(
            [
                scale[numpy.maximum.reduceat(row, starts)] - scale[numpy.minimum.reduceat(row, starts)]
                for scale, row in zip(self._positions, here, strict=True)
            ]
        )

    def _cut(
        self, tuples: Ints, value: Codes, weights: Ints, sizes: Ints
    ) -> tuple[Ints, Ints, NDArray[numpy.bool_]]:
        """An order of the members by class and value; in it, how many of each class go left, and if the cut is allowed.

        Of the two places next to the median (a value is never torn apart) the more even one.
        """
        count, starts = len(sizes), numpy.cumsum(sizes) - sizes
        key = numpy.repeat(numpy.arange(count) * self._wide, sizes) + value
        order = numpy.argsort(key)
        key, weights = key[order], weights[order]
        # Runs of equal values in a class; how many rows of the class stand before each.
        runs = find_starts(key)
        of = key[runs] // self._wide
        before = (numpy.cumsum(weights) - weights)[runs]
        first_runs = numpy.searchsorted(runs, starts)
        left = before - before[first_runs][of]
        smaller = numpy.minimum(left, numpy.add.reduceat(weights, starts)[of] - left)
        most = numpy.maximum.reduceat(smaller, first_runs)
        # The run at which the smaller half is largest; of several the last, which wins in the assignment.
        best = numpy.flatnonzero(smaller == most[of])
        cut = numpy.empty(count, dtype=numpy.int64)
        cut[of[best]] = runs[best]
        allowed = most >= self._k
        if self._masks and allowed.any():
            # Where nothing goes left both bounds are the same, and what comes out for them is not asked.
            bounds = numpy.stack([starts, cut], axis=1).ravel()
            for words in self._masks:
                allowed &= _varieties(words, tuples[order], bounds).reshape(count, 2).min(axis=1) >= self._l
        return order, cut - starts, allowed


def _varieties(words: Sequence[Words], tuples: Ints, starts: Ints) -> Ints:
    """How many sensitive values each group has among `tuples`."""
    found = numpy.zeros(len(starts), dtype=numpy.int64)
    for word in words:
        found += numpy.bitwise_count(numpy.bitwise_or.reduceat(word[tuples], starts))
    return found


def masks_of(codes: Codes, starts: Ints) -> list[Words]:
    """For each run of rows the codes in it, as bits of as many 64-bit words as it takes."""
    words, count = [], int(codes.max(initial=0)) + 1
    for first in range(0, count, 64):
        bits = numpy.zeros(count, dtype=numpy.uint64)
        bits[first : first + 64] = numpy.left_shift(
            numpy.uint64(1), numpy.arange(min(64, count - first), dtype=numpy.uint64)
        )
        words.append(numpy.bitwise_or.reduceat(bits[codes], starts))
    return words


__all__ = ["masks_of", "split"]
