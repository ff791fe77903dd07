"""Single pictures of recordings and cameras, made out of the web process: one after another, and so many waiting.

What a camera sent is decoded in a process that has no secrets, no database and no files, with limits of CPU and memory.
One that dies, or takes too long, takes only the picture with it that it was at.
"""

import asyncio
import itertools
from collections.abc import Hashable, Sequence
from typing import Any, Final

from koinon.base.errors import Invalid, TooMany
from koinon.base.fair import FairShare
from koinon.video.masks.model import Mask
from koinon.video.masks.process import Process
from koinon.video.masks.still import LARGEST_SIDE, Draft
from koinon.video.masks.transcode import Coded, Span
from koinon.video.masks.worker import PICTURE_MEMORY, Kind, pack
from koinon.video.recorder.nal import Format

MOST_WAITING: Final = 64
SECONDS: Final = 30.0
"""Of the wall clock for one picture, for a process that does nothing; CPU is bounded in the process itself."""
_LATER_SECONDS: Final = 2


class Pictures:
    """Makes pictures in a process of its own, started when the first is asked for.

    Attributes:
        places: of pictures that are made, or wait for it.
    """

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self._process = Process(PICTURE_MEMORY)
        self._turn = asyncio.Lock()
        self.places = FairShare(
            "pictures",
            MOST_WAITING,
            lambda: TooMany("pictures_busy", retry_after_seconds=_LATER_SECONDS),
            retry_after_seconds=_LATER_SECONDS,
        )
        self._formats: dict[tuple[int, int], Format] = {}

    async def draw(
        self, format_: Format, frame: Coded, masks: Sequence[Mask], *whose: Hashable, width: int
    ) -> bytes:
        """A JPEG of the key frame, at most `width` pixels wide, under the mask of its own time (`frame.wall_us`); for
        the person `whose` it will be.

        Raises:
            Invalid: `picture_unreadable`, with why.
            TooMany: `pictures_busy`, `share_taken`.
            Unavailable: `masking_failed`: no process could be started.
        """
        if max(format_.width, format_.height) > LARGEST_SIDE:
            raise Invalid("picture_unreadable", why="too large")
        draft = Draft(format_, frame, tuple(Span.of(each) for each in masks), width)
        made: bytes = await self._ask("draw", draft, *whose)
        return made

    async def masked_format(self, width: int, height: int) -> Format:
        """How masked streams of pictures of this size are decoded, whatever is in them.

        Raises:
            As `draw`.
        """
        if (width, height) not in self._formats:
            self._formats[width, height] = await self._ask("size", (width, height))
        return self._formats[width, height]

    async def close(self) -> None:
        """The process runs no more; a picture that was being made fails."""
        await self._process.stop()

    async def _ask(self, kind: Kind, body: Any, *whose: Hashable) -> Any:
        with self.places.hold(*whose):
            async with self._turn:
                await self._process.start()
                return await self._ask_now(kind, body)

    async def _ask_now(self, kind: Kind, body: Any) -> Any:
        number, answer = next(self._numbers), _Answer()
        self._process.streams[number] = answer
        try:
            self._process.send(pack(kind, number, body))
            async with asyncio.timeout(SECONDS):
                return await answer.made
        except TimeoutError:
            await self._process.stop()
            raise Invalid("picture_unreadable", why="took too long") from None
        finally:
            del self._process.streams[number]


class _Answer:
    """What the process makes of one question."""

    def __init__(self) -> None:
        self.made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def hear(self, kind: Kind, body: Any) -> None:
        """See `Hearer`."""
        if self.made.done():
            return
        if kind == "failed":
            self.made.set_exception(Invalid("picture_unreadable", why=str(body)))
        else:
            self.made.set_result(body)
