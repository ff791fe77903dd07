"""Rows as one number each: columns become ranks, ranks become a number, and to group rows is to sort numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from koinon.base.late import late

if TYPE_CHECKING:
    import numpy
    import pyarrow
    from numpy.typing import NDArray

    Ints = NDArray[numpy.int64]
    Codes = NDArray[numpy.int32]
else:
    numpy = late("numpy")
    pyarrow = late("pyarrow")

_WIDEST = 2**62
_SPARSE = 2  # a table of counts may have so many places for each number that is counted


def encode(column: Any) -> tuple[Codes, Any]:
    """For each row the place of its value among the values that occur, each once; unknown is a value of its own.

    `column` is chunked; the values are an Arrow array.
    """
    if pyarrow.types.is_dictionary(column.type) and column.num_chunks != 1:
        column = column.cast(column.type.value_type)  # each chunk has a dictionary of its own
    if pyarrow.types.is_dictionary(column.type):
        # As it was made elsewhere: it may name a value twice, or one that no row has.
        held = column.chunk(0)
        inner = _whole(pyarrow.chunked_array([held.dictionary, pyarrow.nulls(1, held.dictionary.type)]))
        inner = inner.dictionary_encode(null_encoding="encode")
        places = held.indices.cast(pyarrow.int32()).fill_null(len(inner) - 1).to_numpy(zero_copy_only=False)
        codes, values = inner.indices.to_numpy(zero_copy_only=False)[places], inner.dictionary
    else:
        held = _whole(column.dictionary_encode(null_encoding="encode"))
        codes, values = held.indices.to_numpy(zero_copy_only=False), held.dictionary
    codes = codes.astype(numpy.int32, copy=False)
    there = numpy.bincount(codes, minlength=len(values)) > 0
    if there.all():
        return codes, values
    places = (numpy.cumsum(there) - 1).astype(numpy.int32)
    return places[codes], values.filter(pyarrow.array(there))


def _whole(column: Any) -> Any:
    """One array of a chunked one; of a single chunk that chunk, without a copy."""
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pyarrow.ChunkedArray) else whole


class Packing:
    """Several columns of codes as one number a row, in the order of the columns: equal exactly where all are equal.

    Attributes:
        keys: of the rows.
        wide: every key is below it.
    """

    def __init__(self, columns: Sequence[Any], sizes: Sequence[int]) -> None:
        """`sizes`: the codes of each column are below it."""
        self._sizes = list(sizes)
        self._renumbered: list[Ints | None] = []
        self.wide = 1
        keys: Ints | None = None
        for column, size in zip(columns, sizes, strict=True):
            seen = None
            if keys is None:
                keys = column.astype(numpy.int64)
            else:
                if self.wide * size > _WIDEST:
                    # No room left: the combinations so far that occur are numbered, which are no more than rows.
                    seen, keys = numpy.unique(keys, return_inverse=True)
                    self.wide = len(seen)
                keys *= size
                keys += column
            self.wide *= size
            self._renumbered.append(seen)
        self.keys: Ints = numpy.zeros(0, dtype=numpy.int64) if keys is None else keys

    def unpack(self, keys: Ints, begin: int, end: int | None = None) -> tuple[Ints, list[Codes]]:
        """What is left of `keys` when columns from `begin` on are taken off, and the codes of those.

        `end`: columns from there on were taken off before.
        """
        codes: list[Codes] = []
        for place in reversed(range(len(self._sizes))[begin:end]):
            size, seen = self._sizes[place], self._renumbered[place]
            rest = keys // size
            codes.append((keys - rest * size).astype(numpy.int32))
            keys = rest if seen is None else seen[rest]
        return keys, codes[::-1]

    def ordered(self) -> Ints:
        """The keys, rising; the same array, when they are sorted in their place."""
        if self.wide <= _SPARSE * len(self.keys):
            counts = numpy.bincount(self.keys, minlength=self.wide)
            return numpy.repeat(numpy.arange(self.wide), counts)
        self.keys.sort()
        return self.keys


def find_starts(ordered: Any) -> Ints:
    """Where each group of equal neighbours starts."""
    edge = numpy.ones(len(ordered), dtype=numpy.bool_)
    numpy.not_equal(ordered[1:], ordered[:-1], out=edge[1:])
    return numpy.flatnonzero(edge)


def lengths_of(starts: Ints, count: int) -> Ints:
    """How long each group is, of `count` in all."""
    return numpy.diff(starts, append=count)


def need_bytes(rows: int, columns: int) -> int:
    """The memory that making `rows` with so many columns anonymous takes beside them, at most.

    Each row is a key, its codes, and their likes while they are sorted and taken apart.
    """
    return rows * (45 + 10 * columns)


__all__ = ["Packing", "encode", "find_starts", "lengths_of", "need_bytes"]
