"""A camera that is looked at and not recorded: its frames go to whoever watches, and nowhere else."""

from koinon.base.clock import Clock
from koinon.base.errors import Invalid
from koinon.video.recorder.model import Reason
from koinon.video.recorder.nal import Codec, read_format
from koinon.video.recorder.rtp import Counts, Frame, SenderReport
from koinon.video.recorder.track import Track


class Unkept(Track):
    """Stands where a `Track` does; nothing is written, and neither units nor gaps are told."""

    def __init__(self, clock: Clock) -> None:
        self.format = None
        self.waiting_since = None
        self._monotonic = clock.monotonic
        self._begun = False

    @property
    def due(self) -> float | None:
        """None: there are no units."""
        return None

    async def settle(self) -> None:
        """At once: nothing is waited for."""

    def begin(self, codec: Codec, sets: list[bytes], counts: Counts) -> None:
        """A session has begun. What its description says of the format is known; the rest comes with the frames."""
        self._begun, self.format = False, None
        if sets:
            try:
                self.format = read_format(codec, sets)
            except Invalid:
                self.format = None

    def await_key_frame(self) -> None:
        """A key frame is waited for from now on, unless one has come already."""
        if not self._begun:
            self.waiting_since = self._monotonic()

    def report(self, report: SenderReport) -> None:
        """The camera's own time is of no interest here."""

    def frame(self, frame: Frame) -> None:
        """A frame has arrived now."""
        if frame.key:
            self._begun, self.waiting_since = True, None

    def end(self, reason: Reason, detail: str = "") -> None:
        """The session has ended."""
        self.waiting_since = None

    def stop(self) -> None:
        """Nothing is left to be let go of."""
