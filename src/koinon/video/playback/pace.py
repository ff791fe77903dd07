"""How fast pieces leave: as fast as they are watched, and a few seconds ahead. Pure; the time is the caller's."""

from typing import Final

from koinon.base.errors import Invalid

SPEEDS: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
KEYS_FROM: Final = 4.0
"""From this speed on only key frames are sent: nobody sees more, and 16 times a stream is 16 times its bytes."""
AHEAD_SECONDS: Final = 3.0
"""Of watching: what a player holds beyond what it shows, and so all that a cut finds there."""


class Pace:
    """Where the viewer is, by our clock: `now` is monotonic seconds, places are Unix microseconds of the recording.

    What is skipped (there are no pictures) takes no time of watching.
    """

    def __init__(self, us: int, now: float, speed: float = 1.0) -> None:
        self._skipped: list[tuple[int, int]] = []
        self._watched, self._since = us, now
        self.speed, self.paused = check_speed(speed), False

    @property
    def keys_only(self) -> bool:
        """Whether only key frames are wanted."""
        return self.speed >= KEYS_FROM

    def move(self, us: int, now: float) -> None:
        """The viewer went there."""
        self._skipped.clear()
        self._watched, self._since = us, now

    def hear(self, us: int, now: float) -> None:
        """The viewer's own clock says that it is there: it stalled, or our clocks differ."""
        self._watched, self._since = self._watch(us), now

    def skip(self, start_us: int, end_us: int) -> None:
        """There is nothing to be watched between the two."""
        if end_us > start_us:
            self._skipped.append((start_us, end_us))

    def pause(self, now: float) -> None:
        """The viewer stands still."""
        self._watched, self._since, self.paused = self._now(now), now, True

    def play(self, speed: float, now: float) -> None:
        """The viewer goes on, so fast.

        Raises:
            Invalid: `speed_unknown`.
        """
        speed = check_speed(speed)
        self._watched, self._since, self.paused, self.speed = self._now(now), now, False, speed

    def wait(self, us: int, now: float) -> float | None:
        """Seconds until a piece of that moment may leave; None while the viewer stands still and has enough."""
        over = self._watch(us) - self._now(now) - AHEAD_SECONDS * self.speed * 1e6
        if over <= 0:
            return 0.0
        return None if self.paused else over / self.speed / 1e6

    def _now(self, now: float) -> int:
        if self.paused:
            return self._watched
        return self._watched + round((now - self._since) * self.speed * 1e6)

    def _watch(self, us: int) -> int:
        return us - sum(min(max(us - start, 0), end - start) for start, end in self._skipped)


def check_speed(speed: float) -> float:
    """The speed, if it is one of ours. Raises: Invalid: `speed_unknown`."""
    if speed not in SPEEDS:
        raise Invalid("speed_unknown", known=list(SPEEDS))
    return speed
