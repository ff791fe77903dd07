"""A circuit breaker: a source that fails or drags is left alone for a while, and asked again by one question first.

Pure: time is a reading of `time.monotonic()` that the caller gives.
"""

from collections import deque
from enum import StrEnum

from koinon.base.metrics import counter, gauge

_STATE = gauge(
    "koinon_source_breaker", "state of a service: 0 closed, 1 half open, 2 open", ("source", "service")
)
_OPENED = counter(
    "koinon_source_breaker_opened_total", "times a service was left alone", ("source", "service", "why")
)
_LONGEST_PAUSE = 32
"""A pause doubles with each probe that fails, up to this many times the first."""


class State(StrEnum):
    """How a service is asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_NUMBERS = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


class Breaker:
    """The breaker of one service of one source.

    Closed: asked freely; `failures` in a row open it, and so does a `window` of questions of which at least half were
    slow. Open: nobody asks for `pause` seconds. Half open: one question goes, the others are still turned away; an
    answer in time closes it, anything else opens it again for twice as long.
    """

    def __init__(self, source: str, service: str) -> None:
        self._labels = (source, service)
        self._failures = 0
        self._pauses = 0
        self._until = 0.0
        self._probing = False
        self._slow: deque[bool] = deque()
        self._slow_count = 0
        self.state = State.CLOSED

    def admit(self, now: float) -> bool:
        """Whether a question may go now. Each that may is told later as `answered`, `failed` or `gave_up`."""
        if self.state is State.CLOSED:
            return True
        if self._probing or now < self._until:
            return False
        self._probing = True
        self._become(State.HALF_OPEN)
        return True

    def answered(self, now: float, *, slow: bool, pause: float, window: int) -> None:
        """The source answered, whatever it said; late or in time."""
        self._failures = 0
        if self.state is not State.CLOSED:
            # Of those that went before it opened an answer proves nothing about now; the probe's does.
            if not self._probing:
                return
            self._probing = False
            if slow:
                self._open(now, pause, "slow")
            else:
                self._pauses = 0
                self._forget()
                self._become(State.CLOSED)
            return
        self._note(slow, now, pause, window)

    def failed(self, now: float, *, failures: int, pause: float) -> None:
        """The source gave no answer."""
        if self.state is not State.CLOSED:
            if self._probing:
                self._probing = False
                self._open(now, pause, "failures")
            return
        self._failures += 1
        if self._failures >= failures:
            self._open(now, pause, "failures")

    def gave_up(self) -> None:
        """Nobody knows what the source would have said: the caller left, or was in too much of a hurry."""
        self._probing = False

    def _note(self, slow: bool, now: float, pause: float, window: int) -> None:
        if not slow and not self._slow_count:
            # By far the most: nothing slow, nothing to count.
            return
        self._slow.append(slow)
        self._slow_count += slow
        if len(self._slow) > window:
            self._slow_count -= self._slow.popleft()
        if len(self._slow) >= window and self._slow_count * 2 >= window:
            self._open(now, pause, "slow")

    def _open(self, now: float, pause: float, why: str) -> None:
        self._failures = 0
        self._forget()
        self._until = now + pause * min(2**self._pauses, _LONGEST_PAUSE)
        self._pauses = min(self._pauses + 1, 16)
        _OPENED.labels(*self._labels, why).inc()
        self._become(State.OPEN)

    def _forget(self) -> None:
        self._slow.clear()
        self._slow_count = 0

    def _become(self, state: State) -> None:
        self.state = state
        _STATE.labels(*self._labels).set(_NUMBERS[state])
