"""What is due when, who may hold, when a disk is nearly full: pure decisions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from koinon.base.errors import Invalid, NotAllowed
from koinon.video.cameras.model import StreamId
from koinon.video.cameras.regimes import STANDARD
from koinon.video.terms.model import (
    BEGINNING,
    DEFAULT_DAYS,
    FOREVER,
    LEAD,
    LONGEST_HOLD,
    Assignment,
    Deleted,
    Hold,
    HoldBasis,
    Limit,
    NewHold,
    Regimes,
    Version,
    Why,
    Window,
)
from koinon.video.terms.regimes import find_version

MOST_CAMERAS = 500  # of one decision to hold
_LONGEST_REASON = 2000
# The latest that counts as continuous: units of a run follow each other to the microsecond.
ADJACENT = timedelta(seconds=1)


def limits_of(assignments: Iterable[Assignment], regimes: Regimes, now: datetime) -> tuple[Limit, ...]:
    """How long a camera's recordings may be kept, for every recording time up to `now`: adjoining, oldest first.

    What was recorded at a moment is under the version of its regime of that moment; every later version, and every
    later regime of the camera, that is shorter prevails from the day it counts: the shortest legal maximum wins. A
    regime without a version in force falls back to `standard`, and that to 30 days; so does what was recorded before
    the first assignment.
    """
    named = [Assignment(BEGINNING, STANDARD), *sorted(each for each in assignments if each.since <= now)]
    codes = {each.regime for each in named} | {STANDARD}
    moments = {each.since for each in named}
    for code in codes:
        for version in regimes.versions.get(code, ()):
            moments |= {version.since, version.until}
    moments = {moment for moment in moments if moment <= now} | {BEGINNING}
    starts = sorted(moments)
    found: list[Limit] = []
    shortest: Limit | None = None
    for start, end in reversed(list(zip(starts, [*starts[1:], FOREVER], strict=True))):
        regime = next(each.regime for each in reversed(named) if each.since <= start)
        here = _limit(regimes, regime, start, end)
        if shortest is not None and shortest.days <= here.days:
            here = msgspec.structs.replace(shortest, since=start, until=end)
        else:
            shortest = here
        if found and _same(found[-1], here):
            found[-1] = msgspec.structs.replace(found[-1], since=start)
        else:
            found.append(here)
    return tuple(reversed(found))


def _limit(regimes: Regimes, code: str, since: datetime, until: datetime) -> Limit:
    version = find_version(regimes, code, since)
    fallen: tuple[str, ...] = ()
    if version is None and code != STANDARD:
        fallen = (code,)
        version = find_version(regimes, STANDARD, since)
    if version is None:
        return Limit(
            since=since,
            until=until,
            days=DEFAULT_DAYS,
            regime=STANDARD,
            rule=None,
            article="",
            fallen_back=fallen,
        )
    return _limit_of(version, since, until, fallen)


def _limit_of(version: Version, since: datetime, until: datetime, fallen: tuple[str, ...]) -> Limit:
    return Limit(
        since=since, until=until, days=version.days, regime=version.regime, rule=version.rule, article=version.article,
        fallen_back=fallen,
    )  # fmt: skip


def _same(one: Limit, other: Limit) -> bool:
    return (one.days, one.rule, one.fallen_back) == (other.days, other.rule, other.fallen_back)


def limit_at(limits: Sequence[Limit], recorded_at: datetime) -> Limit:
    """The one of `limits_of` under which a recording of that moment is."""
    return next(each for each in limits if each.since <= recorded_at < each.until)


def windows_due(
    streams: Iterable[StreamId],
    limits: Sequence[Limit],
    own_days: int | None,
    now: datetime,
    lead: timedelta = LEAD,
) -> list[Window]:
    """What of a camera's streams is due at `now`: by the law's maximum, and by the owner's own term where shorter."""
    found = []
    for limit in limits:
        by_law = min(limit.until, _before(now, limit.days, lead))
        by_owner = by_law
        if own_days is not None and own_days < limit.days:
            by_owner = min(limit.until, _before(now, own_days, lead))
        for stream in streams:
            if limit.since < by_law:
                found.append(
                    Window(
                        stream=stream, since=limit.since, until=by_law, why=Why.MAXIMUM, spare_holds="beyond"
                    )
                )
            start = max(limit.since, by_law)
            if start < by_owner:
                found.append(
                    Window(stream=stream, since=start, until=by_owner, why=Why.TERM, spare_holds="all")
                )
    return found


def _before(now: datetime, days: int, lead: timedelta) -> datetime:
    return now - timedelta(days=days) + (lead if days else timedelta(0))


def check_hold(asked: NewHold, basis: HoldBasis | None, now: datetime) -> None:
    """The hold may be placed.

    Raises:
        NotAllowed: `hold_not_allowed`: no such ground for this party and profile.
        Invalid: `hold_without_cameras`, `hold_too_many_cameras`, `hold_interval`, `hold_without_reason`,
            `hold_end` (past, or more than 366 days ahead).
    """
    if basis is None:
        raise NotAllowed("hold_not_allowed", basis=asked.basis)
    if not asked.cameras:
        raise Invalid("hold_without_cameras")
    if len(asked.cameras) > MOST_CAMERAS:
        raise Invalid("hold_too_many_cameras", most=MOST_CAMERAS)
    if asked.since >= asked.until or asked.since >= now:
        raise Invalid("hold_interval")
    if not asked.reason.strip() or len(asked.reason) > _LONGEST_REASON or len(asked.case) > 200:
        raise Invalid("hold_without_reason", most_characters=_LONGEST_REASON)
    if not now < asked.ends_at <= now + LONGEST_HOLD:
        raise Invalid("hold_end", longest_days=LONGEST_HOLD.days)


def keeps(hold: Hold, start: datetime, end: datetime, now: datetime, *, past_maximum: bool) -> bool:
    """Whether `hold` keeps a unit of its camera, from `start` to `end`, from deletion; the SQL says the same."""
    if not hold.stands(now) or not (start < hold.until and end > hold.since):
        return False
    if not past_maximum:
        return True
    return hold.keeps_days is not None and start > now - timedelta(days=hold.keeps_days)


def merge_deleted(pieces: Iterable[Deleted]) -> list[Deleted]:
    """Stretches that adjoin or overlap, of one stream and with one reason, are one: units and bytes add up."""
    merged: list[Deleted] = []
    for piece in sorted(pieces, key=lambda each: (each.stream, each.why, each.start)):
        last = merged[-1] if merged else None
        if (
            last
            and (last.stream, last.why) == (piece.stream, piece.why)
            and piece.start <= last.end + ADJACENT
        ):
            merged[-1] = msgspec.structs.replace(
                last,
                end=max(last.end, piece.end),
                units=last.units + piece.units,
                bytes=last.bytes + piece.bytes,
            )
        else:
            merged.append(piece)
    return merged


class Room(NamedTuple):
    """What a folder of recordings has left.

    Attributes:
        free: bytes, None where it could not be read.
        total: bytes.
    """

    free: int | None
    total: int


class Outlook(NamedTuple):
    """How long the room lasts.

    Attributes:
        state: `unreadable`, `pressing` (less than the reserve), `announced`, `good`.
        days_left: until the reserve is touched at the present rate; None: not within the horizon.
        to_free: bytes below the reserve.
    """

    state: str
    days_left: int | None
    to_free: int


HORIZON_DAYS = 60


def outlook(
    room: Room, in_per_day: int, due_by_day: Mapping[int, int], *, reserve_percent: int, announce_days: int
) -> Outlook:
    """How long `room` lasts when `in_per_day` bytes come each day and `due_by_day[n]` bytes become due on day n.

    A free space that cannot be read is never plenty: `unreadable`.
    """
    if room.free is None:
        return Outlook("unreadable", None, 0)
    reserve = room.total * reserve_percent // 100
    left = room.free - reserve
    if left < 0:
        return Outlook("pressing", 0, -left)
    for day in range(HORIZON_DAYS):
        left += due_by_day.get(day, 0) - in_per_day
        if left < 0:
            return Outlook("announced" if day < announce_days else "good", day, 0)
    return Outlook("good", None, 0)
