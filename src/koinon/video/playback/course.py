"""One way through the recordings of a stream: piece after piece, and what is missing between them.

Never a frame from before `since` or from `until` on. Begins at the key frame at or before the moment asked for, or,
where that lies before `since`, at the next.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from koinon.base.errors import Invalid, KoinonError
from koinon.video.playback import pieces
from koinon.video.playback.pieces import Fragment, of_us, to_us
from koinon.video.recordings.model import EntryId, SampleEntry, StoredUnit
from koinon.video.recordings.timeline import Span, State

READ_BYTES: Final = 512 * 1024
_KEY_BYTES: Final = 64 * 1024  # a key frame of 720p at 2 Mbit/s, with its head, in one read
_ROUNDING_US: Final = 1000
_STEP_ROUNDING_US: Final = 100  # ticks and microseconds, there and back; far less than any frame lasts


class Source(Protocol):
    """The recordings of one stream, whoever may see them."""

    async def list_units(self, us: int) -> Sequence[StoredUnit]:
        """The units, of both copies, that hold the moment, and the next few after it; by start."""

    async def find_before(self, us: int) -> StoredUnit | None:
        """The last unit that began before the moment."""

    async def get_entry(self, entry: EntryId) -> SampleEntry:
        """How its pictures are decoded."""

    async def draw(self, since_us: int, until_us: int) -> list[Span]:
        """What there is between the two moments."""

    async def read(self, unit: StoredUnit, offset: int, length: int) -> bytes:
        """These bytes of the unit's file, or fewer at its end."""


class Opening(NamedTuple):
    """Media of this unit follow: how they are decoded, the moment from which their times count, and how long it is by
    the server's clock and by its own times.
    """

    entry: SampleEntry
    unit_us: int
    wall_us: int
    media_ticks: int


class Media(NamedTuple):
    """A fragment of the unit that began at `unit_us`, and when its frames were taken.

    Attributes:
        frames_us: Unix microseconds, in the order of decoding.
    """

    fragment: Fragment
    frames_us: list[int]
    unit_us: int

    @property
    def us(self) -> int:
        """When its earliest frame was taken."""
        return min(self.frames_us)


class Missing(NamedTuple):
    """There are no pictures here, and why."""

    spans: list[Span]


class Ended(NamedTuple):
    """There is nothing more before the end of the view."""


Piece = Opening | Media | Missing | Ended


class Walk(Protocol):
    """A way through recordings: of them as they are (`Course`), or masked."""

    since_us: int
    until_us: int

    def seek(self, us: int) -> None:
        """The next piece is of the key frame at or before the moment."""

    async def next(self, *, keys_only: bool = False) -> Piece:
        """The next piece."""

    async def before(self, us: int) -> int | None:
        """The last moment by then from which a `seek` finds pictures; None where there is none in the view."""


async def step(walk: Walk, us: int, *, forwards: bool) -> tuple[list[Piece], int | None]:
    """What must be there to show the frame after (or before) the one of that moment, and when that frame was taken.

    The frame of a moment is the last that was taken by then; in a gap there is none, and the one before is the last
    before the gap. None: there is no such frame in the view.
    """
    if forwards:
        return await _first_after(walk, us + _STEP_ROUNDING_US)
    us = min(us, walk.until_us - 1)  # at the end of the view its last frame is on the screen
    before = await walk.before(us)
    if before is None:
        return [], None
    found, current = await _last_before(walk, before, us + _STEP_ROUNDING_US)
    if current is None or us - before > 2 * _ROUNDING_US:  # nothing is shown: it is the last before the gap
        return found, current
    earlier = [each for each in _shown(found) if each < current]
    if earlier:
        return found, max(earlier)
    before = await walk.before(current - 2 * _ROUNDING_US)
    return ([], None) if before is None else await _last_before(walk, before, current)


async def _first_after(walk: Walk, us: int) -> tuple[list[Piece], int | None]:
    found, after = await _on_from(walk, us, us)
    if after is None or not any(us < each < after for each in _taken(found)):
        return found, after
    earlier = await _before_leading(walk, found)
    return (found, after) if earlier is None else await _on_from(walk, earlier, us)


async def _on_from(walk: Walk, start: int, us: int) -> tuple[list[Piece], int | None]:
    """Everything from `start` to the first frame after `us`."""
    walk.seek(start)
    found: list[Piece] = []
    while not isinstance(piece := await walk.next(), Ended):
        found.append(piece)
        if isinstance(piece, Media):
            later = [each for each in _shown(found) if each > us]
            if later:
                return found, min(later)
    return found, None


async def _last_before(walk: Walk, start: int, us: int) -> tuple[list[Piece], int | None]:
    """The last frame before `us`, of what goes on from `start` without a gap."""
    while True:
        walk.seek(start)
        found: list[Piece] = []
        while not isinstance(piece := await walk.next(), Ended | Missing):
            if isinstance(piece, Media) and min(piece.frames_us) >= us:
                break
            found.append(piece)
        last = max((each for each in _shown(found) if each < us), default=None)
        earlier = await _before_leading(walk, found) if last is None else None
        if earlier is None or earlier >= start:
            return found, last
        start = earlier


async def _before_leading(walk: Walk, found: list[Piece]) -> int | None:
    """From where there are also the frames to which those refer that are shown before the first key frame."""
    first = next((each for each in found if isinstance(each, Media)), None)
    return None if first is None else await walk.before(first.us - 2 * _ROUNDING_US)


def _taken(pieces: list[Piece]) -> list[int]:
    return [each for piece in pieces if isinstance(piece, Media) for each in piece.frames_us]


def _shown(pieces: list[Piece]) -> list[int]:
    """When the frames were taken that a decoder shows of them: it leaves out what comes before the key frame with which
    it begins, since that may refer past it (ITU-T H.265 section 7.4.2.2, RASL).
    """
    shown: list[int] = []
    key: int | None = None
    for piece in pieces:
        if isinstance(piece, Media):
            key = piece.frames_us[0] if key is None else key
            shown += [each for each in piece.frames_us if each >= key]
        elif isinstance(piece, Missing):
            key = None
    return shown


class Course:
    """Where a viewer is in the recordings. `since_us` and `until_us` bound all that leaves."""

    def __init__(self, source: Source, since_us: int, until_us: int) -> None:
        self.since_us, self.until_us = since_us, until_us
        self._source = source
        self._at = since_us
        self._unit: StoredUnit | None = None
        self._copy = 0
        self._key = 0
        self._offset = 0
        self._limit = 0
        self._rest = b""
        self._queue: deque[Fragment] = deque()
        self._begun = False  # with the unit: its first fragment was looked at
        self._ended = False

    def seek(self, us: int) -> None:
        """The next piece is of the key frame at or before the moment."""
        self._at = min(max(us, self.since_us), self.until_us)
        self._unit = None
        self._queue.clear()
        self._rest = b""
        self._ended = False

    async def next(self, *, keys_only: bool = False) -> Piece:
        """The next piece. With `keys_only`, key frames alone; change it only with a `seek`."""
        while True:
            if self._unit is None:
                entered = await self._enter()
                if entered is not None:
                    return entered
                continue
            try:
                fragment = await (self._take_key() if keys_only else self._take())
            except KoinonError as error:
                # The index has it, the disk does not (or not now): told, not passed over in silence.
                until = min(to_us(self._unit.end), self.until_us)
                start = min(self._at, until)
                self._leave()
                if start < until:
                    return Missing([Span(of_us(start), of_us(until), State.UNKNOWN, error.code)])
                continue
            if fragment is None:
                self._leave()
                continue
            unit = self._unit
            kept = pieces.until_ticks(fragment, pieces.ticks_at(unit, self.until_us))
            if kept is None:
                self._ended, self._unit = True, None
                continue
            frames = [pieces.wall_us(unit, ticks) for ticks in kept.shown()]
            self._at = max(self._at, pieces.wall_us(unit, kept.base + kept.duration))
            return Media(kept, frames, to_us(unit.start))

    async def before(self, us: int) -> int | None:
        """The last moment by then from which a `seek` finds pictures; None where there is none in the view."""
        if us < self.since_us:
            return None
        units = await self._source.list_units(us)
        here = [unit for unit in units if to_us(unit.start) <= us < to_us(unit.end)]
        last = max(here, key=lambda unit: unit.end) if here else await self._source.find_before(us)
        if last is None:
            return None
        us = min(us, max(to_us(last.start), to_us(last.end) - 2 * _ROUNDING_US))
        return us if us >= self.since_us else None

    async def _enter(self) -> Opening | Missing | Ended | None:
        """The unit at, or next after, where we are has been opened; None to look again."""
        if self._ended or self._at >= self.until_us:
            self._ended = True
            return Ended()
        unit = self._choose(await self._source.list_units(self._at))
        start = self.until_us if unit is None else min(to_us(unit.start), self.until_us)
        if start > self._at + _ROUNDING_US:
            spans = await self._source.draw(self._at, start)
            self._at = start
            return Missing(spans)
        if unit is None:
            self._ended = True
            return Ended()
        key = pieces.key_before(unit, max(self._at, self.since_us))
        if not unit.key_frames or pieces.wall_us(unit, unit.key_frames[key].ticks) < self.since_us:
            later = pieces.key_from(unit, self.since_us)
            if later is None:
                self._at = to_us(unit.end)
                return None
            key = later
        if pieces.wall_us(unit, unit.key_frames[key].ticks) >= self.until_us:
            self._ended = True
            return Ended()
        entry = await self._source.get_entry(unit.entry)
        self._unit, self._copy, self._begun = unit, unit.copy, False
        self._start_at(key)
        after = pieces.key_from(unit, self.until_us)
        self._limit = unit.bytes if after is None else unit.key_frames[after].offset
        return Opening(entry, to_us(unit.start), unit.wall_us, unit.media_ticks)

    def _choose(self, units: Sequence[StoredUnit]) -> StoredUnit | None:
        """Of the same copy as long as it goes on; else the first copy that has the moment; else what comes next."""
        here = [
            unit
            for unit in units
            if to_us(unit.start) <= self._at + _ROUNDING_US and to_us(unit.end) > self._at + _ROUNDING_US
        ]
        if here:
            return min(here, key=lambda unit: (unit.copy != self._copy, unit.copy, -to_us(unit.start)))
        later = [unit for unit in units if to_us(unit.start) > self._at]
        return min(later, key=lambda unit: (unit.start, unit.copy), default=None)

    def _leave(self) -> None:
        assert self._unit is not None
        self._at = max(self._at, to_us(self._unit.end))
        self._unit = None
        self._queue.clear()
        self._rest = b""

    def _start_at(self, key: int) -> None:
        assert self._unit is not None
        self._key, self._offset, self._rest = key, self._unit.key_frames[key].offset, b""
        self._queue.clear()

    async def _take(self) -> Fragment | None:
        unit = self._unit
        assert unit is not None
        while True:
            while not self._queue:
                if self._offset >= self._limit:
                    return None
                data = await self._read(self._offset, min(READ_BYTES, self._limit - self._offset))
                self._offset += len(data)
                found, taken = pieces.split(self._rest + data)
                self._rest = (self._rest + data)[taken:]
                if len(self._rest) > pieces.LARGEST_FRAGMENT:
                    raise Invalid("unit_damaged", why="fragment without end")
                self._queue.extend(found)
            fragment = self._queue.popleft()
            if not self._begun:
                self._begun = True
                early = min(pieces.wall_us(unit, ticks) for ticks in fragment.shown()) < self.since_us
                # Frames shown before their key frame may be from before the view.
                if early and self._key + 1 < len(unit.key_frames):
                    self._begun = False
                    self._start_at(self._key + 1)
                    continue
                if early:
                    return None
            return fragment

    async def _take_key(self) -> Fragment | None:
        unit = self._unit
        assert unit is not None
        if self._key >= len(unit.key_frames):
            return None
        key = unit.key_frames[self._key]
        later = self._key + 1
        end = unit.key_frames[later].ticks if later < len(unit.key_frames) else unit.media_ticks
        room = (unit.key_frames[later].offset if later < len(unit.key_frames) else unit.bytes) - key.offset
        data = await self._read(key.offset, min(_KEY_BYTES, room))
        needed = pieces.head_bytes(data) or min(room, 1 << 20)
        if needed > len(data):
            data += await self._read(key.offset + len(data), needed - len(data))
        self._key = later
        return pieces.key_alone(data, end - key.ticks)

    async def _read(self, offset: int, length: int) -> bytes:
        assert self._unit is not None
        data = await self._source.read(self._unit, offset, length)
        if not data:
            raise Invalid("unit_damaged", why="shorter than the index says")
        return data
