"""What may be asked at once, how long it stays, what is told of what is missing. Pure decisions."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from koinon.base.errors import Invalid, TooMany
from koinon.video.exports.model import Export, ExportRequest, Form
from koinon.video.rights.model import check_interval

MOST_CAMERAS: Final = 9
LONGEST: Final = timedelta(hours=4)
"""Of all cameras together: making takes CPU in proportion to it."""
MOST_OPEN: Final = 5
"""Exports of one person that wait or are being made."""
MOST_BYTES: Final = 64 << 30
"""Of one person's exports that are there: a day and a half of one camera at 4 Mbit/s."""
KEPT: Final = timedelta(days=7)
"""How long one can be fetched, where nothing ends it sooner."""
SETTLING: Final = timedelta(minutes=2)
"""A unit is in the index a minute after it began: what ended a moment ago is made a little later."""
ATTEMPTS: Final = 5
PIECE_BYTES: Final = 4 << 20

_HOLE: Final = timedelta(milliseconds=100)  # less is the length of a picture


def check_request(request: ExportRequest, at: datetime) -> None:
    """It names what can be made.

    Raises:
        Invalid: `cameras_missing`, `too_many_cameras`, `camera_twice`, `export_too_long` (with the longest, in minutes
            of one camera), `interval_malformed`.
    """
    cameras = request.cameras
    if not cameras:
        raise Invalid("cameras_missing")
    if len(cameras) > MOST_CAMERAS:
        raise Invalid("too_many_cameras", most=MOST_CAMERAS)
    if len(set(cameras)) < len(cameras):
        raise Invalid("camera_twice")
    check_interval(request.since, request.until)
    if request.until > at:
        raise Invalid("interval_malformed", why="it is not over yet")
    if (request.until - request.since) * len(cameras) > LONGEST:
        raise Invalid("export_too_long", minutes=LONGEST // timedelta(minutes=len(cameras)))


def check_kept(size: int, until: datetime | None, at: datetime) -> None:
    """The person may have more: what is kept for them is `size` bytes, the first of which go by themselves at `until`.

    Raises:
        TooMany: `exports_full`.
    """
    if size >= MOST_BYTES:
        later = {} if until is None else {"retry_after_seconds": max(60, round((until - at).total_seconds()))}
        raise TooMany("exports_full", gibibytes=size >> 30, most=MOST_BYTES >> 30, **later)


def begins_at(until: datetime, at: datetime) -> datetime:
    """When it can be made: when what was recorded up to `until` stands in the index."""
    return max(at, until + SETTLING)


def mark_of(export: Export) -> str:
    """The words in every picture: who, for whom, in which matter, which export."""
    party = export.party_name.nl
    words = [export.name, party, export.case or export.purpose, f"export {export.id.hex[-12:]}"]
    return " · ".join(words)


def file_name(number: int, code: str, start: datetime) -> str:
    """Of a file in the package: plain letters, so that every system can unpack it."""
    plain = unicodedata.normalize("NFKD", code).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:48] or "camera"
    return f"{number:03d}-{plain}-{start.astimezone(UTC):%Y%m%dT%H%M%SZ}.mp4"


class Hole(NamedTuple):
    """Nothing of this stretch is in the package, and why."""

    since: datetime
    until: datetime
    state: str
    reason: str


def fill_holes(
    since: datetime, until: datetime, files: Iterable[tuple[datetime, datetime]], told: Iterable[Hole]
) -> list[Hole]:
    """What is not in the files, in order: `told` where no file is, and `not_whole` for what neither says.

    With the files it covers the interval, but for less than the length of a picture. Originals begin at a key frame, so
    that the first moments of an interval are often `not_whole`.
    """
    taken = sorted((max(start, since), min(end, until)) for start, end in files)
    found: list[Hole] = []
    for hole in sorted(told):
        start, end = max(hole.since, since), min(hole.until, until)
        for busy_from, busy_to in taken:
            if busy_to <= start or busy_from >= end:
                continue
            if busy_from > start:
                found.append(hole._replace(since=start, until=busy_from))
            start = max(start, busy_to)
        if start < end:
            found.append(hole._replace(since=start, until=end))
    at = since
    silent: list[Hole] = []
    for start, end in sorted([*taken, *((each.since, each.until) for each in found)]):
        if start - at > _HOLE:
            silent.append(Hole(at, start, "not_whole", "between_key_frames"))
        at = max(at, end)
    if until - at > _HOLE:
        silent.append(Hole(at, until, "not_whole", "between_key_frames"))
    return join([*found, *silent])


def join(holes: Sequence[Hole]) -> list[Hole]:
    """Those that touch and say the same are one."""
    joined: list[Hole] = []
    for each in sorted(holes):
        last = joined[-1] if joined else None
        if last and last[2:] == each[2:] and each.since - last.until <= _HOLE:
            joined[-1] = last._replace(until=max(last.until, each.until))
        else:
            joined.append(each)
    return joined


def gone_at(ready_at: datetime, ends: Iterable[datetime]) -> datetime:
    """When its files go at the latest; `ends`: when the term of the oldest image of each is over."""
    return min([ready_at + KEPT, *ends])


def is_whole(since: datetime, until: datetime, start: datetime, end: datetime, form: Form) -> bool:
    """Whether a unit from `start` to `end` may leave as it is."""
    return form is Form.EVIDENCE and since <= start and end <= until
