"""Reading lines out of a stream in constant memory, whatever the stream does."""

from collections.abc import Iterator
from typing import BinaryIO

from koinon.integrator.formats.model import BrokenMessage

BLOCK_BYTES = 1 << 18
MAX_LINE_BYTES = 1 << 20


class Lines:
    """Lines of a stream, by block; and the bytes that were read so far.

    Attributes:
        next_line: number of the line that comes next, from 1.
        rest: what was read behind the last complete line.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ended = False
        self.next_line = 1
        self.rest = b""

    def first(self) -> bytes:
        """The first line without its ending. Empty where the stream is.

        Raises:
            BrokenMessage: `line_too_long`.
        """
        while b"\n" not in self.rest and self._fill():
            pass
        line, _, self.rest = self.rest.partition(b"\n")
        self.next_line += 1
        return line

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Pieces of some `size` bytes that each end with a line ending, save the last, which may lack it.

        Raises:
            BrokenMessage: `line_too_long`.
        """
        while True:
            more = self._fill(size)
            end = self.rest.rfind(b"\n") + 1
            if end:
                block, self.rest = self.rest[:end], self.rest[end:]
                yield block
                self.next_line += block.count(b"\n")
            if not more:
                if self.rest:
                    block, self.rest = self.rest, b""
                    yield block
                    self.next_line += 1
                return

    def _fill(self, size: int = BLOCK_BYTES) -> bool:
        if self._ended:
            return False
        if len(self.rest) > MAX_LINE_BYTES:
            raise BrokenMessage("line_too_long", line=self.next_line, limit_bytes=MAX_LINE_BYTES)
        data = self._stream.read(size)
        if not data:
            self._ended = True
            return False
        self.rest += data
        return True
