"""The recordings of one stream as a course asks for them: the index, and the bytes."""

from collections.abc import Awaitable, Callable, Sequence

from koinon.base.database import Database
from koinon.video.cameras.model import StreamId
from koinon.video.playback import store
from koinon.video.playback.past import Past
from koinon.video.playback.pieces import of_us
from koinon.video.recordings import get_entry
from koinon.video.recordings.model import EntryId, SampleEntry, StoredUnit
from koinon.video.recordings.timeline import Span, State, has_pictures

ReadBytes = Callable[[StoredUnit, int, int], Awaitable[bytes]]
"""Bytes of a unit's file: the unit, from which offset, how many."""


class Recorded:
    """`course.Source` over the database and the places of recordings."""

    def __init__(
        self, database: Database, past: Past, read: ReadBytes, stream: StreamId, until_us: int
    ) -> None:
        self._database, self._past, self._read = database, past, read
        self._stream, self._until = stream, of_us(until_us)
        self._entries: dict[EntryId, SampleEntry] = {}

    async def list_units(self, us: int) -> Sequence[StoredUnit]:
        async with self._database.acquire() as connection:
            return await store.list_next_units(connection, self._stream, of_us(us), self._until)

    async def find_before(self, us: int) -> StoredUnit | None:
        async with self._database.acquire() as connection:
            return await store.find_unit_before(connection, self._stream, of_us(us))

    async def get_entry(self, entry: EntryId) -> SampleEntry:
        if entry not in self._entries:
            async with self._database.acquire() as connection:
                self._entries[entry] = await get_entry(connection, entry)
        return self._entries[entry]

    async def draw(self, since_us: int, until_us: int) -> list[Span]:
        since, until = of_us(since_us), of_us(until_us)
        return without_pictures((await self._past.draw([self._stream], since, until))[self._stream])

    async def read(self, unit: StoredUnit, offset: int, length: int) -> bytes:
        return await self._read(unit, offset, length)


def without_pictures(spans: Sequence[Span]) -> list[Span]:
    """The spans of an interval in which there is no unit: what the summary, rounded outwards, tells of units beside it
    belongs to what lies next to it.
    """
    kept = [span for span in spans if not has_pictures(span)]
    if not kept:
        return [Span(spans[0].start, spans[-1].end, State.UNKNOWN)]
    ends = [*(span.start for span in kept[1:]), spans[-1].end]
    starts = [spans[0].start, *ends[:-1]]
    return [span._replace(start=start, end=end) for span, start, end in zip(kept, starts, ends, strict=True)]
