"""When frames are decoded and shown, told as they arrive: nobody waits for the next frame to know how long one lasts.

The decoding time of a frame is exactly where the one before it ended; how long it lasts is estimated from those
before, and what the estimate was wrong is made up by the next one. So the times have no gaps, whatever was lost on
the way, and follow the camera's clock. Where frames come in another order than they are shown (B-frames), the
difference is the composition offset.

Source: ISO/IEC 14496-12 sections 8.8.12 and 8.6.1.3; Media Source Extensions, section 3.5.8 (a frame that begins
more than two durations away from the one before it is a discontinuity).
"""

from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from koinon.video.recorder.model import TICKS

_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1
_JUMP: Final = TICKS // 2
"""A difference that is not made up for: a camera that paused, or whose clock was set. The times go on without it."""
_NOMINAL: Final = TICKS // 25
_SHORTEST: Final = TICKS // 240
_LONGEST: Final = TICKS
_WINDOW: Final = 17


class Placed(NamedTuple):
    """Where a frame lies, in ticks from the beginning of the timeline."""

    decode: int
    duration: int
    composition: int

    @property
    def shown(self) -> int:
        """When it is shown."""
        return self.decode + self.composition


class Timeline:
    """The times of one stream.

    Attributes:
        reordered: frames come in another order than they are shown.
    """

    def __init__(self) -> None:
        self.reordered = False
        self._stamp = -1
        self._media = 0  # ticks of the camera since its first frame
        self._offset = 0  # from those to the timeline
        self._next = 0  # decoding time of the next frame
        self._interval = float(_NOMINAL)
        self._recent: list[int] = []

    def place(self, stamp: int) -> Placed:
        """The frame with this RTP timestamp, which has arrived after all others."""
        ahead = 0 if self._stamp < 0 else ((stamp - self._stamp + _HALF) & _MASK) - _HALF
        first, self._stamp = self._stamp < 0, stamp
        self._media += ahead
        recent = self._recent
        recent.append(self._media)
        if len(recent) > _WINDOW:
            del recent[0]
        late = self._media + self._offset - self._next
        if abs(late) > _JUMP:
            self._offset -= late
            late = 0
            self._recent = [self._media]
        elif ahead < 0:
            self.reordered = True
        if not first and len(recent) > 2:
            ordered = sorted(recent)
            steps = [b - a for a, b in pairwise(ordered) if b > a]
            if steps:
                self._interval = min(max(median(steps), _SHORTEST), _LONGEST)
        elif 0 < ahead <= _LONGEST:
            self._interval = float(ahead)
        decode, interval = self._next, self._interval
        if self.reordered:
            # On the average shown when decoded; the estimate is corrected by at most a tenth.
            mean = sum(recent) / len(recent) + self._offset - decode + interval * (len(recent) - 1) / 2
            correction = min(max(mean / _WINDOW, -interval / 10), interval / 10)
            duration = round(interval + correction)
            composition = late
        else:
            duration = round(min(max(interval + late, interval / 4), 4 * interval))
            composition = 0
        self._next += duration
        return Placed(decode, duration, composition)
