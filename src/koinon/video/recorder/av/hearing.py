"""What FFmpeg says of packets that it missed. It tells this in its log and nowhere else.

With a queue for packets out of order (`reorder_queue_size`), over TCP too, each hole in the sequence numbers of RTP is
told in the thread that reads, before the picture to which it did harm is given: measured (PyAV 18), and held by
`tests/video/recorder/test_av.py`.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import av.logging

QUEUE: Final = "16"
"""Packets that wait for one that is missing, as in our own client over UDP."""

_MISSED: Final = re.compile(r"RTP: missed (\d+) packets")


class Heard:
    """What was said in this thread and not yet taken."""

    def __init__(self, lines: list[tuple[int, str, str]]) -> None:
        self._lines = lines

    def take(self) -> int:
        """How many packets were missed since this was asked last."""
        if not self._lines:
            return 0
        missed = sum(int(found[1]) for _, _, text in self._lines if (found := _MISSED.search(text)))
        self._lines.clear()
        return missed


@contextmanager
def hear() -> Iterator[Heard]:
    """What FFmpeg says in this thread is heard, and written nowhere: it may hold addresses."""
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)  # the same number of missed packets twice is not once
    others = logging.getLogger("libav")  # threads of FFmpeg's own
    others.propagate = False
    if not others.handlers:
        others.addHandler(logging.NullHandler())
    with av.logging.Capture() as lines:
        yield Heard(lines)
