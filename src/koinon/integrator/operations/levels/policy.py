"""Which minutes count as what, and whether a promise was kept. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from koinon.base.clock import civil_date, start_of
from koinon.base.clock import read_moment as read_civil
from koinon.base.errors import Invalid
from koinon.base.text import LANGUAGES
from koinon.integrator.operations.levels.model import (
    DayMinutes,
    Level,
    Life,
    Maintenance,
    Minutes,
    NewLevel,
    Promise,
)
from koinon.integrator.operations.model import BOUNDS_MS, Term
from koinon.integrator.operations.policy import LEAST_ASKED, oldest_kept

MINUTE = timedelta(minutes=1)
LONGEST_MAINTENANCE = timedelta(hours=24)
_REASON_LIMIT = 200
# Minutes are written every few seconds: the last one may not be complete.
_LAG = MINUTE


def read_month(text: str) -> date:
    """The first day of a month that is written as `2026-11`.

    Raises:
        Invalid: `month_malformed`.
    """
    try:
        if len(text) != 7:
            raise ValueError(text)
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise Invalid("month_malformed", expected="2026-11") from None


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def period_of(month: date, now: datetime) -> tuple[datetime, datetime]:
    """From where to where the month can be judged now.

    Raises:
        Invalid: `month_not_begun`; `month_not_kept`: its numbers are deleted; `month_malformed`: not of our time.
    """
    try:
        since, end = start_of(month), start_of(next_month(month))
    except OverflowError:
        raise Invalid("month_malformed", expected="2026-11") from None
    if since < oldest_kept(now):
        raise Invalid("month_not_kept")
    until = min(end, now.replace(second=0, microsecond=0) - _LAG)
    if since > now:
        raise Invalid("month_not_begun")
    return since, max(since, until)


def check_level(new: NewLevel, standing: Iterable[Level], now: datetime) -> None:
    """Returns only for a promise that begins with a month to come; the first of a flow may begin with this one.

    What was promised is never loosened after the fact.

    Raises:
        Invalid: `level_malformed`, with the field; `level_not_to_come`.
    """
    limits = {
        "availability_percent": (50.0, 100.0),
        "p95_ms": (1, BOUNDS_MS[-1]),
        "notice_hours": (1, 720),
        **({} if new.deferred_hours is None else {"deferred_hours": (1, 8_760)}),
    }
    for field, (least, most) in limits.items():
        if not least <= getattr(new, field) <= most:
            raise Invalid("level_malformed", field=field, least=least, most=most)
    if round(new.availability_percent, 2) != new.availability_percent:
        raise Invalid("level_malformed", field="availability_percent")
    if new.begins_on.day != 1:
        raise Invalid("level_malformed", field="begins_on")
    this = civil_date(now).replace(day=1)
    earliest = next_month(this) if any(level.begins_on <= this for level in standing) else this
    if new.begins_on < earliest:
        raise Invalid("level_not_to_come", earliest=earliest.isoformat())


def level_in(month: date, levels: Iterable[Level]) -> Level | None:
    """What was promised in that month."""
    begun = [level for level in levels if level.begins_on <= month]
    return max(begun, key=lambda level: level.begins_on, default=None)


def check_maintenance(new: Maintenance) -> None:
    """Returns only for whole minutes to come, at most a day, with a reason in every language.

    Raises:
        Invalid: `maintenance_malformed`, with the field.
    """
    if new.since <= new.announced_at:
        raise Invalid("maintenance_malformed", field="since")
    if not timedelta() < new.until - new.since <= LONGEST_MAINTENANCE:
        raise Invalid("maintenance_malformed", field="until", limit_hours=24)
    if any(at.second or at.microsecond for at in (new.since, new.until)):
        raise Invalid("maintenance_malformed", field="since")
    for language in LANGUAGES:
        if not 1 <= len(new.reason.in_(language)) <= _REASON_LIMIT:
            raise Invalid("maintenance_malformed", field=f"reason_{language}", limit=_REASON_LIMIT)


def is_planned(each: Maintenance, level: Level | None) -> bool:
    """Whether it was announced as long before as was agreed; where nothing was, any time before is enough."""
    notice = timedelta(hours=level.notice_hours) if level else timedelta()
    return each.since - each.announced_at >= notice


def judge_minutes(
    since: datetime,
    until: datetime,
    asked: Mapping[datetime, tuple[int, int]],
    lives: Sequence[Life],
    first_known: datetime | None,
    planned: Sequence[Maintenance],
) -> tuple[DayMinutes, ...]:
    """What each whole minute was, by the day; see `Minutes`.

    Args:
        asked: per minute questions and those that we failed.
        lives: that touch the period. A minute is covered by them when at least half of it is.
        first_known: when a process that answers was first written down; before, nobody knows.
    """
    count = (until - since) // MINUTE
    web = _covered(since, count, [life for life in lives if life.kind == "web"])
    perhaps = _covered(since, count, [life for life in lives if life.kind is None])
    out = _planned(since, count, planned)
    days: list[DayMinutes] = []
    place, day = 0, civil_date(since)
    while place < count:
        end = min(count, (start_of(day + timedelta(days=1)) - since) // MINUTE)
        found: Counter[str] = Counter()
        for index in range(place, end):
            at = since + index * MINUTE
            if out[index]:
                found["planned"] += 1
            elif at in asked:
                questions, failed = asked[at]
                found["down" if failed * 2 >= questions else "answered"] += 1
            elif web[index] >= 30:
                found["ready"] += 1
            elif perhaps[index] >= 30 or first_known is None or at < first_known:
                found["unknown"] += 1
            else:
                found["down"] += 1
        days.append(DayMinutes(day, Minutes(**found)))
        place, day = end, day + timedelta(days=1)
    return tuple(days)


def add_up(days: Iterable[DayMinutes]) -> Minutes:
    """All days together."""
    names = Minutes.__struct_fields__
    every = [day.minutes for day in days]
    return Minutes(**{name: sum(getattr(each, name) for each in every) for name in names})


def judge_availability(level: Level, minutes: Minutes) -> Promise:
    """Kept when it was even if all that is unknown had been down; broken when it was even if none had."""
    up, known = minutes.answered + minutes.ready, minutes.answered + minutes.ready + minutes.down
    every = known + minutes.unknown
    promised = level.availability_percent
    if not every:
        return Promise(verdict="unknown", promised=promised, measured=None)
    least, most = 100 * up / every, 100 * (up + minutes.unknown) / every
    return Promise(
        verdict="kept" if least >= promised else "broken" if most < promised else "unknown",
        promised=promised,
        measured=100 * up / known if known else None,
        least=least,
        most=most,
    )


def judge_p95(level: Level, p95: int | None, asked: int) -> Promise:
    """As far as classes of latency tell: `p95` is the upper bound of one."""
    if p95 is None or asked < LEAST_ASKED:
        return Promise(verdict="unknown", promised=level.p95_ms, measured=p95)
    place = bisect_left(BOUNDS_MS, p95)
    least = BOUNDS_MS[place - 1] if place else 0
    return Promise(
        verdict="kept" if p95 <= level.p95_ms else "broken" if least >= level.p95_ms else "unknown",
        promised=level.p95_ms,
        measured=p95,
        least=least,
        most=p95,
    )


def judge_deferred(level: Level, terms: Iterable[Term], now: datetime) -> Promise | None:
    """Whether the longest kept its term. One that is awaited and not late yet may still be either."""
    if level.deferred_hours is None:
        return None
    hours: list[float] = []
    open_ = late = False
    for term in terms:
        if term.stopped:
            continue
        took = ((term.ended_at or now) - term.received_at) / timedelta(hours=1)
        hours.append(took)
        late |= took > level.deferred_hours
        open_ |= term.ended_at is None
    return Promise(
        verdict="broken" if late else "unknown" if open_ or not hours else "kept",
        promised=level.deferred_hours,
        measured=max(hours, default=None),
    )


def read_moment(text: str) -> datetime:
    """The minute that `2026-11-24 10:30` is in Brussels; of one that comes twice the first; in UTC.

    Raises:
        Invalid: `maintenance_malformed`, also for one that does not come.
    """
    try:
        return read_civil(text)
    except ValueError:
        raise Invalid("maintenance_malformed", expected="2026-11-24 10:30") from None


def _covered(since: datetime, count: int, lives: Iterable[Life]) -> list[float]:
    """How many seconds of each minute somebody lived in."""
    seconds = [0.0] * count
    end = count * 60.0
    reached = 0.0
    for life in sorted(lives, key=lambda each: each.since):
        # What an earlier life covered is not counted again.
        begin = max(reached, (life.since - since).total_seconds())
        until = min(end, (life.until - since).total_seconds())
        while begin < until:
            index = int(begin // 60)
            stop = min(until, (index + 1) * 60.0)
            seconds[index] += stop - begin
            begin = stop
        reached = max(reached, until)
    return seconds


def _planned(since: datetime, count: int, planned: Iterable[Maintenance]) -> bytearray:
    """1 for each minute that lies in one of them as a whole."""
    marks = bytearray(count)
    for each in planned:
        until = min(each.until, each.withdrawn_at or each.until)
        first = max(0, -((since - each.since) // MINUTE))
        last = min(count, (until - since) // MINUTE)
        if first < last:
            marks[first:last] = b"\x01" * (last - first)
    return marks
