"""What is told of a camera, in its order: units, and the gaps between them with their reasons."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from koinon.video.recorder.model import Gap, Reason, Unit

_TOLD: Final = frozenset({None, "stopped", "paused", "handed_over"})
"""Ends that were wanted: what follows them is a gap only once something follows."""

_LEAST_HOLE: Final = timedelta(seconds=0.1)


class Account:
    """The account of one camera from `began` on; or from where another recorder's account ended.

    Args:
        since: up to when there is an account already, and why nothing follows there: a gap, up to the first unit or
            to the first attempt that fails.
    """

    def __init__(
        self,
        began: datetime,
        on_unit: Callable[[Unit], None],
        on_gap: Callable[[Gap], None],
        since: tuple[datetime, Reason] | None = None,
    ) -> None:
        self._began = began
        self._on_unit, self._on_gap = on_unit, on_gap
        self._end: datetime | None = None
        self._reason: Reason | None = None
        if since is not None and since[0] < began:
            self._end, self._reason = since
        self._inherited = self._end is not None
        self._detail = ""

    def unit(self, unit: Unit) -> None:
        """The unit is told, after the gap before it if there is one."""
        self._gap(unit.start)
        self._inherited = False
        self._end = unit.start + timedelta(microseconds=unit.wall_us)
        self._reason = unit.end_reason
        self._on_unit(unit)

    def interrupted(self, reason: Reason, detail: str = "") -> None:
        """There is no recording from the end of the last unit on, or from the beginning. The first reason stays,
        the last detail counts.
        """
        if self._end is None:
            self._end = self._began
        if self._reason in _TOLD:
            self._reason = reason
        self.explain(detail)

    def explain(self, detail: str) -> None:
        """The gap that is coming is told with this detail, if it says anything."""
        self._detail = detail or self._detail

    def close(self, now: datetime) -> None:
        """Nothing will follow: a gap that is open is told up to now."""
        if self._reason not in _TOLD:
            self._gap(now)

    def _gap(self, until: datetime) -> None:
        # A clock that was believed no more is no interruption; what it was off by may be a hole, or rounding.
        least = _LEAST_HOLE if self._reason in (None, "clock_step", "clock_rate") else timedelta(0)
        if self._end is not None and until - self._end > least:
            self._on_gap(Gap(self._end, until, self._reason or "stopped", self._detail))
        self._detail = ""
