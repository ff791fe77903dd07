"""Two clocks: when frames arrived by the server's, and how far apart they are by the camera's.

Frames arrive late, never early; so the least delayed frame says best when a run began. From there on the
camera's clock (RTP) spaces the frames, and each unit's wall duration is nudged towards the server's clock by
at most 500 ppm. What no drift explains ends the run, with its reason: `clock_step`, `clock_rate`.

`RunClock` is pure: seconds of a monotonic clock and RTP timestamps in, media ticks out. `Anchor` says what moment such
a second is.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from koinon.base.clock import Clock
from koinon.video.recorder.model import TICKS, Reason

_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1

_SLOWEST: Final = 0.2
_FASTEST: Final = 5.0
"""A clock that goes wrong by more is no clock: its steps are taken one by one."""

_SET_SECONDS: Final = 0.5
"""The server's wall clock was set, when it goes apart from the monotonic one by more."""
_UNSURE_SECONDS: Final = 0.01
"""What two readings of the two clocks may differ by though neither was set."""


class Anchor:
    """What the server's wall clock shows at a moment of its monotonic one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now, self._at = self._read()

    def wall(self, monotonic: float) -> datetime:
        """The moment, in UTC."""
        return (self._now + timedelta(seconds=monotonic - self._at)).astimezone(UTC)

    def renew(self) -> None:
        """Where the wall clock was set, it counts as it was set. Otherwise all runs keep one anchor: if each had its
        own, a run would begin some microseconds before the end of the last.
        """
        now, at = self._read()
        if abs((now - self.wall(at)).total_seconds()) > _UNSURE_SECONDS:
            self._now, self._at = now, at

    def is_left_behind(self) -> bool:
        """Whether the wall clock was set since."""
        now, at = self._clock.now(), self._clock.monotonic()
        return abs((now - self.wall(at)).total_seconds()) > _SET_SECONDS

    def _read(self) -> tuple[datetime, float]:
        """Both clocks at one moment: the quickest of three readings, as the process may be put aside in between."""
        clock = self._clock
        readings = [(clock.monotonic(), clock.now(), clock.monotonic()) for _ in range(3)]
        before, now, after = min(readings, key=lambda each: each[2] - each[0])
        return now, (before + after) / 2


class Spacing(msgspec.Struct, frozen=True):
    """How a unit lies in time, in seconds of the monotonic clock."""

    start: float
    wall_seconds: float
    delta_seconds: float


class RunClock:
    """The clock of one run.

    Attributes:
        ending: why the run must end at the next key frame, or None.
        ending_since: when the first frame arrived that said so; a key frame from before is not the next one.
        rate: seconds of the server in a second of the camera, for the run after a `clock_rate`.
    """

    def __init__(
        self,
        *,
        rate: float = 1.0,
        earliest: float | None = None,
        correction_ppm: float = 500.0,
        step_seconds: float = 2.0,
        window_seconds: float = 10.0,
    ) -> None:
        self.ending: Reason | None = None
        self.ending_since = 0.0
        self.rate = rate
        self._earliest = earliest
        self._correction = correction_ppm * 1e-6
        self._step = step_seconds
        self._window = window_seconds
        self._last_stamp = -1
        self._exact = self._origin = 0.0  # ticks of the camera; with `rate`, fractions of ours
        self._media = 0
        self._arrival = 0.0
        self._unit_media = 0
        self._unit_start: float | None = None
        self._unit_lag = float("inf")
        self._window_from = 0.0
        self._window_best = (float("inf"), 0.0, 0)  # lag, arrival, media
        self._bests: list[tuple[float, float, int]] = []

    def observe(self, stamp: int, arrival: float) -> int:
        """Media ticks, from the run's first frame, of a frame that arrived now; unique, near monotonic."""
        if self._last_stamp < 0:
            self._last_stamp, self._arrival, self._window_from = stamp, arrival, arrival
            self._window_best = (arrival, arrival, 0)
            self._unit_lag = arrival
            return 0
        ahead = ((stamp - self._last_stamp + _HALF) & _MASK) - _HALF
        elapsed = arrival - self._arrival
        self._last_stamp = stamp
        self._arrival = arrival
        seconds = ahead / TICKS * self.rate
        if seconds - elapsed > self._step or seconds < -self._step / 2:
            # The camera's clock was set. The frame is not thrown away: it is placed by its arrival, and the run
            # ends at the next key frame.
            self.ending, self.ending_since = "clock_step", arrival
            ahead = max(1, round(elapsed * TICKS))
            self._exact += ahead
        else:
            self._exact += ahead * self.rate
        media = self._media = round(self._exact)
        lag = arrival - media / TICKS
        if lag < self._unit_lag:
            self._unit_lag = lag
        if lag < self._window_best[0]:
            self._window_best = (lag, arrival, media)
        if arrival - self._window_from >= self._window:
            self._close_window(arrival)
        return media

    def close_unit(self, media: int, until: float | None = None) -> Spacing:
        """Where the unit that ends before `media` lies. The next begins exactly where it ends.

        `until` is when the first frame after it came: where the run ends because its clock cannot be believed,
        the unit ends then.
        """
        ticks = media - self._unit_media
        if self._unit_start is None:
            self._unit_start = self.start_estimate()
        expected = self._unit_start - self._unit_media / TICKS
        lag = self._unit_lag if self._unit_lag != float("inf") else expected
        delta = lag - expected
        seconds = ticks / TICKS
        if self.ending is None or until is None:
            bound = self._correction * seconds
            seconds += min(bound, max(-bound, delta))
        else:
            seconds = max(0.0, until - self._unit_start)
        spacing = Spacing(self._unit_start, seconds, delta)
        self._unit_start += seconds
        self._unit_media, self._unit_lag = media, float("inf")
        return spacing

    def start_estimate(self) -> float:
        """When the unit began, as far as can be told now; for the first unit the least delayed frame says it."""
        if self._unit_start is not None:
            return self._unit_start
        lag = self._bests[0][0] if self._bests else self._window_best[0]
        return lag if self._earliest is None else max(lag, self._earliest)

    def _close_window(self, arrival: float) -> None:
        """The least delayed frames of the windows tell a step, which stays, from a rate, which grows."""
        bests = self._bests
        bests.append(self._window_best)
        self._window_best = (float("inf"), arrival, 0)
        self._window_from = arrival
        if len(bests) > 4:
            del bests[1]  # the first is the anchor of the run
        if self.ending is not None or len(bests) < 3:
            return
        expected = bests[0][0]
        if self._unit_start is not None:
            expected = self._unit_start - self._unit_media / TICKS
        if abs(bests[-1][0] - expected) <= self._step:
            return
        (_, a1, m1), (_, a2, m2), (_, a3, m3) = bests[-3:]
        early, late = _rate(a1, m1, a2, m2), _rate(a2, m2, a3, m3)
        steady = abs(early - late) < 0.5 * abs(late - 1)
        overall = _rate(a1, m1, a3, m3)
        if steady and _SLOWEST < overall < _FASTEST:
            self.rate *= overall
            self.ending = "clock_rate"
        else:
            self.ending = "clock_step"


def _rate(arrival: float, media: int, later: float, further: int) -> float:
    """Seconds of the server in a second of the camera between two frames."""
    return (later - arrival) * TICKS / (further - media) if further > media else 0.0
