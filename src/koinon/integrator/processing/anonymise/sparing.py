"""Which rows to leave out so that many others lose less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from koinon.base.late import late
from koinon.integrator.processing.anonymise.domains import Domain
from koinon.integrator.processing.anonymise.model import Anonymity

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from koinon.integrator.processing.anonymise.mondrian import Words
    from koinon.integrator.processing.anonymise.tuples import Codes, Ints
else:
    numpy = late("numpy")


def leave_out(
    groups: tuple[Ints, Ints],
    codes: Sequence[Codes],
    domains: Sequence[Domain],
    weights: Ints,
    masks: Sequence[Sequence[Words]],
    asked: Anonymity,
    most: int,
) -> NDArray[numpy.bool_]:
    """True for each tuple that stays; at most `most` rows go.

    In a class one value may lie far from all others and make its range wide for everybody. The rows at one end of one
    column go when those that stay, still k and with l values, gain more certainty than the rows that go lose (all of
    it). The best bargains first, one a class.

    `groups`: the tuples, class by class, and where each class starts among them.
    """
    kept = numpy.ones(len(weights), dtype=numpy.bool_)
    if most <= 0 or not len(weights):
        return kept
    order, starts = groups
    ends = numpy.append(starts[1:], len(order))
    of = numpy.repeat(numpy.arange(len(starts)), ends - starts)
    rows = weights[order]
    totals = numpy.add.reduceat(rows, starts)
    places = [domain.positions[each[order]] for domain, each in zip(domains, codes, strict=True)]
    spans = [numpy.maximum.reduceat(each, starts) - numpy.minimum.reduceat(each, starts) for each in places]
    loss = sum(spans) / len(domains)
    offers: list[tuple[float, int, int, Any]] = []
    for place, span in zip(places, spans, strict=True):
        for sign in (1, -1):
            side = place * sign
            end = numpy.maximum.reduceat(side, starts)
            goes = side == end[of]
            gone = numpy.add.reduceat(numpy.where(goes, rows, 0), starts)
            rest = numpy.maximum.reduceat(numpy.where(goes, -numpy.inf, side), starts)
            # What the others gain in this column alone; other columns can only gain too.
            spared = (end - numpy.where(numpy.isfinite(rest), rest, end)) / len(domains)
            gain = spared * (totals - gone) - (1 - loss) * gone
            good = numpy.flatnonzero((gain > 0) & (totals - gone >= asked.k) & (gone <= most) & (span > 0))
            offers += [(float(gain[n] / gone[n]), int(gone[n]), int(n), (sign, place, end[n])) for n in good]
    taken: set[int] = set()
    for _, leaving, n, (sign, place, end) in sorted(offers, key=lambda offer: -offer[0]):
        if n in taken or leaving > most:
            continue
        here = order[starts[n] : ends[n]]
        stays = place[starts[n] : ends[n]] * sign != end
        if any(_varieties(words, here[stays]) < asked.l for words in masks):
            continue
        kept[here[~stays]] = False
        taken.add(n)
        most -= leaving
    return kept


def _varieties(words: Sequence[Words], tuples: Any) -> int:
    return sum(int(numpy.bitwise_count(numpy.bitwise_or.reduce(word[tuples]))) for word in words)
