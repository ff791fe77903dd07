"""What is promised of a flow, what was announced, and what a month says about it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from koinon.base.text import Text

# `unknown` is never `kept`: either there is too little to judge by, or what is not known could turn it.
Verdict = Literal["kept", "broken", "unknown"]


class NewLevel(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be promised of a flow.

    Attributes:
        begins_on: first day of a month in Brussels; it holds until the next one of that flow begins.
        availability_percent: of the minutes that are known and not planned, over a month.
        p95_ms: within which 95 of 100 questions of a month are answered or refused.
        deferred_hours: from when a batch's whole file is there until its result is; None when nothing is promised.
        notice_hours: how long before it begins maintenance must be announced to count as planned.
    """

    flow: str
    begins_on: date
    availability_percent: float
    p95_ms: int
    deferred_hours: int | None
    notice_hours: int


class Level(NewLevel, frozen=True, kw_only=True):
    """What is promised of a flow, since when it is agreed."""

    agreed_at: datetime


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """A time that was announced; of all flows when `flow` is None.

    Attributes:
        withdrawn_at: from then on it counts no more: withdrawn before it began, or over earlier than announced.
    """

    id: UUID
    flow: str | None
    since: datetime
    until: datetime
    reason: Text
    announced_at: datetime
    withdrawn_at: datetime | None = None


class Life(NamedTuple):
    """When a process lived and reached the database; `kind` None: from before it was written down."""

    kind: str | None
    since: datetime
    until: datetime


class Minutes(msgspec.Struct, frozen=True, kw_only=True):
    """How many minutes were what.

    Attributes:
        answered: asked, and we failed fewer than half.
        ready: nobody asked; a process that answers lived and reached the database.
        down: asked, and we failed half or more; or nobody asked and no such process lived.
        planned: in maintenance that was announced in time, whatever happened.
        unknown: nothing was written down that would tell.
    """

    answered: int = 0
    ready: int = 0
    down: int = 0
    planned: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.answered + self.ready + self.down + self.planned + self.unknown


class DayMinutes(msgspec.Struct, frozen=True):
    """The minutes of a day in Brussels; that day may have 1,380 or 1,500."""

    day: date
    minutes: Minutes


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is promised, and what was measured.

    Attributes:
        promised, measured: percent, milliseconds or hours; nothing was measured: None.
        least, most: between these the truth lies, when what is unknown could be either.
    """

    verdict: Verdict
    promised: float
    measured: float | None
    least: float | None = None
    most: float | None = None


class MonthReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a month kept of what was promised.

    Attributes:
        month: first day; until: up to where it was judged: its end, or a moment ago.
        level: None when nothing was promised of this flow then; nothing is judged then.
        batches: how many ended, are awaited, were stopped.
    """

    flow: str
    month: date
    until: datetime
    level: Level | None
    minutes: Minutes
    days: Sequence[DayMinutes]
    availability: Promise | None
    p95: Promise | None
    deferred: Promise | None
    batches: Mapping[str, int]
    maintenance: Sequence[Maintenance]
    asked: int
