"""Which pictures belong to the stretch that was asked, where a run begins anew, and what was passed over. Pure."""

from typing import Final, NamedTuple

from koinon.video.recorder.model import TICKS, Reason
from koinon.video.recorder.replay.heads import Head
from koinon.video.recorder.rtp import Frame
from koinon.video.recorder.rtsp import SessionFailed

LEAD_SECONDS: Final = 10.0
"""Asked before and after the stretch: it begins with the key frame at or before it, and ends where one begins."""

MOST_BEFORE: Final = 64 << 20
"""Bytes of pictures kept that may be wanted to begin with."""

_TOUCH: Final = 0.001  # the rounding of clocks
_STEP: Final = 0.5  # between what the time and the timestamp of a picture say
_SPARSE: Final = 2.0  # pictures further apart do not follow each other
_REORDERED: Final = 1.0  # by which a picture may be older than the one decoded before it
_STRAYS: Final = 250  # pictures in a row of a time that cannot be
_EARLIEST: Final = 120.0  # before the stretch, of the key frame it begins with


class Jump(NamedTuple):
    """Between these two moments nothing was sent; `not_held` where the other side said so, else `clock_step`."""

    since: float
    until: float
    reason: Reason


class Step(NamedTuple):
    """What becomes of a picture: these are recorded, after a new run has begun if `anew`."""

    frames: tuple[tuple[Frame, Head], ...] = ()
    anew: bool = False


_NOTHING: Final = Step()


class Sieve:
    """Which pictures belong to the stretch from `since` to `until` (Unix seconds). Pure.

    Attributes:
        reached: up to where all is told.
        jumps: what was passed over.
        over: the stretch is complete: nothing more is wanted.
    """

    def __init__(self, since: float, until: float) -> None:
        self.reached = since
        self.jumps: list[Jump] = []
        self.over = False
        self._since, self._until = since, until
        self._before: list[tuple[Frame, Head]] = []
        self._before_bytes = 0
        self._last: tuple[Frame, Head] | None = None
        self._waits = False  # for the key frame with which a new run begins
        self._strays = 0

    def take(self, frame: Frame, head: Head) -> Step:
        """What becomes of the next picture.

        Raises:
            SessionFailed: `clock_step`, `protocol`: no picture can be believed any more.
        """
        if self._last is None:
            return self._begin(frame, head)
        last, before = self._last
        if head.unix >= self._until - _TOUCH and (frame.key or head.unix > self._until + LEAD_SECONDS):
            self._pass(head, before)
            self._close(self._until)
            return _NOTHING
        if head.unix < before.unix - _REORDERED:
            self._stray()
            return _NOTHING
        anew = self._jumps(last, before, frame, head)  # what D says is of interest where time was passed over
        if anew:
            self._pass(head, before)
        if anew or self._waits:
            self._waits = not frame.key
            if self._waits:
                self._last = (frame, head)  # of a time that is right, but nothing to begin with
                return _NOTHING
            anew = True
        return self._keep(((frame, head),), anew)

    def _begin(self, frame: Frame, head: Head) -> Step:
        """From the last key frame at or before the stretch on; where there is none, from the first one in it."""
        if head.unix > self._until + LEAD_SECONDS and not head.jumped:
            self._stray()
            return _NOTHING
        if head.unix > self._until + LEAD_SECONDS or (frame.key and head.unix >= self._until - _TOUCH):
            self._close(self._until)
            return _NOTHING
        if self._before and self._jumps(*self._before[-1], frame, head):
            self._before, self._before_bytes = [], 0
        if (
            head.unix < self._since - _EARLIEST
        ):  # nobody asked for it, however long it takes to the next key frame
            self._before, self._before_bytes = [], 0
            return _NOTHING
        if frame.key and (head.unix <= self._since + _TOUCH or not self._before):
            self._before, self._before_bytes = [], 0
        elif not self._before:
            return _NOTHING
        self._before.append((frame, head))
        self._before_bytes += frame.size
        if self._before_bytes > MOST_BEFORE:
            raise SessionFailed("protocol", "no key frame to begin with")
        if head.unix < self._since and not head.last:
            return _NOTHING
        kept, self._before = tuple(self._before), []
        return self._keep(kept, False)

    def _keep(self, frames: tuple[tuple[Frame, Head], ...], anew: bool) -> Step:
        self._last = frames[-1]
        self._strays = 0
        head = frames[-1][1]
        self.reached = max(self.reached, min(head.unix, self._until))
        if head.last:
            self._close(self.reached)
        return Step(frames, anew)

    @staticmethod
    def _jumps(last: Frame, before: Head, frame: Frame, head: Head) -> bool:
        ahead = ((frame.timestamp - last.timestamp + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        off = abs(head.unix - before.unix - ahead / TICKS)
        return off > _STEP or head.unix - before.unix > _SPARSE

    def _pass(self, head: Head, before: Head) -> None:
        """Nothing was sent between the two."""
        if head.unix - before.unix > _SPARSE or before.gap_follows:
            told = head.jumped or before.gap_follows
            self.jumps.append(Jump(before.unix, head.unix, "not_held" if told else "clock_step"))

    def _close(self, reached: float) -> None:
        self.over = True
        self.reached = reached

    def _stray(self) -> None:
        self._strays += 1
        if self._strays > _STRAYS:
            raise SessionFailed("clock_step", "pictures of another time than was asked")
