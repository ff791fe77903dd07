"""What may be asked at once, what of it is to be fetched, what is told of the rest. Pure decisions."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from koinon.base.errors import Conflict, Invalid
from koinon.video.recorder import Gap, Reason
from koinon.video.recorder.replay import Outcome
from koinon.video.recordings.timeline import Stretch, uncovered
from koinon.video.remote.model import AskRequest, RemoteSource
from koinon.video.rights.model import check_interval
from koinon.video.terms.model import Limit
from koinon.video.terms.policy import limit_at

LONGEST: Final = timedelta(hours=4)
MOST_OPEN: Final = 5
"""Asks of one person that are not over."""
MOST_WAITING: Final = 50
"""Stretches of one owner that wait."""
PER_OWNER: Final = 2
"""Stretches that are fetched from one owner at once, whatever others do: a bad system takes no more places."""
AT_ONCE: Final = 6
"""Stretches that one worker fetches at once."""
ATTEMPTS: Final = 4
LONGEST_KEPT: Final = 366

TRANSIENT: Final = frozenset({"unreachable", "silent", "camera_closed"})
"""What may be otherwise in a moment."""
LACKING: Final = frozenset({"disk_full", "disk_error", "disk_slow", "folder_gone", "crashed"})
"""What says nothing of the owner's system: it is ours that could not take it."""

_LEAST: Final = timedelta(milliseconds=100)  # less is the length of a picture


def check_request(request: AskRequest, at: datetime) -> None:
    """It names a stretch that can be asked.

    Raises:
        Invalid: `interval_malformed` (with why), `ask_too_long` (with the longest, in minutes).
    """
    check_interval(request.since, request.until)
    if request.until > at:
        raise Invalid("interval_malformed", why="it is not over yet")
    if request.until - request.since > LONGEST:
        raise Invalid("ask_too_long", minutes=LONGEST // timedelta(minutes=1))


def check_source(keep_days: int, holds_from: datetime | None, at: datetime) -> None:
    """What an owner says to hold can be so.

    Raises:
        Invalid: `keep_days_malformed`, `holds_from_malformed`.
    """
    if not 1 <= keep_days <= LONGEST_KEPT:
        raise Invalid("keep_days_malformed", least=1, most=LONGEST_KEPT, field="keep_days")
    if holds_from is not None and (holds_from.tzinfo is None or holds_from > at):
        raise Invalid("holds_from_malformed", field="holds_from")


def held_by(source: RemoteSource, at: datetime) -> Stretch:
    """Over which time its owner says to hold recordings."""
    start = at - timedelta(days=source.keep_days)
    if source.holds_from is not None:
        start = max(start, source.holds_from)
    return Stretch(start, max(start, at))


def wanted(request: AskRequest, source: RemoteSource, at: datetime) -> Stretch:
    """What of the stretch the owner says to hold.

    Raises:
        Conflict: `owner_holds_nothing`, with from when on it does.
    """
    held = held_by(source, at)
    start, end = max(request.since, held.start), min(request.until, held.end)
    if start >= end:
        raise Conflict("owner_holds_nothing", since=held.start.astimezone(UTC).isoformat())
    return Stretch(start, end)


def check_term(stretch: Stretch, limits: Sequence[Limit], own_days: int | None, at: datetime) -> None:
    """None of it is past its term here: the term counts from the recording, so that it would be deleted as it comes.

    Raises:
        Conflict: `past_its_term`, with the days.
    """
    days = limit_at(limits, stretch.start).days
    if own_days is not None:
        days = min(days, own_days)
    if stretch.start <= at - timedelta(days=days):
        raise Conflict("past_its_term", days=days)


def missing(stretch: Stretch, *covered: Iterable[Stretch]) -> list[Stretch]:
    """What of it none of these covers, without moments shorter than a few pictures."""
    spans = [(each.start, each.end) for group in covered for each in group]
    return [
        Stretch(start, end)
        for start, end in uncovered(stretch.start, stretch.end, spans)
        if end - start >= _LEAST
    ]


def gaps_of(stretch: Stretch, recorded: Iterable[Stretch], outcome: Outcome) -> list[Gap]:
    """Why what is missing of the stretch is: what the other side passed over has its reason, what comes after it ended
    has the reason of that end, and of all else the owner holds nothing.
    """
    found = []
    for hole in missing(stretch, recorded):
        start, end = hole.start.timestamp(), hole.end.timestamp()
        reason: Reason = "not_held"
        for jump in outcome.jumps:
            if jump.since < end and jump.until > start:
                reason = jump.reason
        if outcome.reason is not None and end > outcome.reached + _LEAST.total_seconds():
            reason = outcome.reason
        found.append(Gap(hole.start, hole.end, reason, outcome.detail if reason == outcome.reason else ""))
    return found
