"""Bounded places, shared fairly: calls, pictures, masks, bytes. Nobody takes all of them.

One rule: whoever holds as many as are left free gets no more. So one who takes whatever there is comes to half; of n
such each comes to one in n + 1, and as many are left for who comes next. Nothing is set, and nobody need know how many
there will be. (Dynamic thresholds of shared buffers: Choudhury and Hahne, IEEE/ACM Trans. Networking 6(2), 1998.)
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from koinon.base.errors import KoinonError, TooMany
from koinon.base.metrics import counter

_refused = counter(
    "koinon_share_taken_total",
    "Refused, since who asked held as much as was left free for all others.",
    ["of"],
)


def demand_share(
    of: str, held: int, taken: int, most: int, *, retry_after_seconds: int | None = None
) -> None:
    """Who holds `held` of the `taken` places of `most` may have another one.

    Raises:
        TooMany: `share_taken`, with `of` what, `held` and `most`.
    """
    if held < most - taken:
        return
    _refused.labels(of).inc()
    later = {} if retry_after_seconds is None else {"retry_after_seconds": retry_after_seconds}
    raise TooMany("share_taken", of=of, held=held, most=most, **later)


class FairShare:
    """So many places in this process, and who holds them.

    Attributes:
        of: what they are, for metrics and for who is refused.
        most: how many there are. taken: how many are held now. held: by whom, where it counts for somebody.
        later: seconds after which who was refused may come back, if that is the same for all.
    """

    def __init__(
        self, of: str, most: int, full: Callable[[], KoinonError], *, retry_after_seconds: int | None = None
    ) -> None:
        """`full` gives what is raised when there is no place for anybody."""
        self.of, self.most, self.later = of, most, retry_after_seconds
        self.taken = 0
        self.held: Counter[Hashable] = Counter()
        self._full = full
        self._freed: asyncio.Event | None = None  # where somebody waits

    def demand_room(self) -> None:
        """There is a place for somebody, whoever it is. Raises what `full` gives."""
        if self.taken >= self.most:
            raise self._full()

    @contextmanager
    def hold(self, *whose: Hashable) -> Iterator[None]:
        """A place is held while the block runs: of several it counts for the one who holds fewest, of none for nobody.

        Raises:
            TooMany: `share_taken`; or what `full` gives.
        """
        self.demand_room()
        one = min(whose, key=lambda each: self.held[each], default=None)
        if whose:
            demand_share(self.of, self.held[one], self.taken, self.most, retry_after_seconds=self.later)
            self.held[one] += 1
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            if whose:
                self.held[one] -= 1
                if not self.held[one]:
                    del self.held[one]
            if self._freed is not None:
                self._freed.set()
                self._freed = None

    async def wait(self, *whose: Hashable) -> None:
        """One of these may have a place now, or there is none for anybody: `hold` says which, at once."""
        while whose and min(self.held[each] for each in whose) >= self.most - self.taken > 0:
            self._freed = self._freed or asyncio.Event()
            await self._freed.wait()
