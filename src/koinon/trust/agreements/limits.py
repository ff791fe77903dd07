"""What narrows a row of a convention's matrix: how deep, when, where, for what, with whom.

All of a row's limits hold together. What the gate does not know counts as not met.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from koinon.base.clock import BRUSSELS
from koinon.trust.agreements.conditions import Circumstances

# What hangs on the time is looked at again at the next quarter of an hour: changes of the civil time fall on one.
_QUARTER = timedelta(minutes=15)
MINUTES_A_DAY = 24 * 60


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A daily span in minutes from midnight, Brussels civil time; `until` is exclusive, and lower than `since` where
    the span goes over midnight.
    """

    since: int
    until: int

    def hold(self, minute: int) -> bool:
        """Whether `minute` of the day lies in the span."""
        if self.since <= self.until:
            return self.since <= minute < self.until
        return minute >= self.since or minute < self.until


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limits of one row. A limit that is absent narrows nothing.

    Attributes:
        depth_days: images are at most so many days old; live view is of age nought.
        hours, weekdays: when it may be used, Brussels civil time; ISO weekdays, Monday is 1.
        territories: NIS codes of municipalities or codes of zones, in one of which the camera stands.
        purposes: only for these; the authorisation narrows them further.
        case: a reference of the party's own case must be given.
        reason: a written reason must be given.
        second_person: another human of the party confirms before anything is shown.
        work_station: only from a registered work station of the party's control centre.
        emergency: the row counts only where somebody declares an emergency (break-glass), which is reviewed.
    """

    depth_days: int | None = None
    hours: tuple[Hours, ...] = ()
    weekdays: tuple[int, ...] = ()
    territories: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    case: bool = False
    reason: bool = False
    second_person: bool = False
    work_station: bool = False
    emergency: bool = False


CODES = (
    "purpose_not_in_matrix",
    "outside_territory",
    "depth_exceeded",
    "outside_hours",
    "emergency_only",
    "case_missing",
    "work_station_only",
    "reason_missing",
    "second_person_missing",
)
"""Why a row does not give, the farthest from giving first: what cannot be mended before what can, and a second person
is not called for what would be refused all the same.
"""


def find_malformed(limits: Limits) -> str | None:
    """What is wrong with the limits, or None."""
    for holds, why in (
        (limits.depth_days is None or limits.depth_days >= 0, "depth_days"),
        (all(0 <= m < MINUTES_A_DAY for h in limits.hours for m in (h.since, h.until)), "hours"),
        (all(1 <= day <= 7 for day in limits.weekdays), "weekdays"),
        (limits != Limits(), "limits that limit nothing"),
    ):
        if not holds:
            return why
    return None


def find_exceeded(limits: Limits | None, facts: Circumstances, at: datetime) -> str | None:
    """The code of the first limit that is not met at `at`; None when all are.

    The codes and their order are `CODES`.
    """
    if limits is None:
        return None
    local = at.astimezone(BRUSSELS)
    minute = local.hour * 60 + local.minute
    age = facts.image_age(at)
    for exceeded, code in (
        (limits.purposes and facts.purpose not in limits.purposes, "purpose_not_in_matrix"),
        (limits.territories and not facts.territories & set(limits.territories), "outside_territory"),
        (
            limits.depth_days is not None and (age is None or age > timedelta(days=limits.depth_days)),
            "depth_exceeded",
        ),
        (limits.weekdays and local.isoweekday() not in limits.weekdays, "outside_hours"),
        (limits.hours and not any(span.hold(minute) for span in limits.hours), "outside_hours"),
        (limits.emergency and not facts.emergency, "emergency_only"),
        (limits.case and not facts.case.strip(), "case_missing"),
        (limits.work_station and not facts.at_work_station, "work_station_only"),
        (limits.reason and not facts.reason, "reason_missing"),
        (limits.second_person and not facts.second_person, "second_person_missing"),
    ):
        if exceeded:
            return code
    return None


def next_quarter(at: datetime) -> datetime:
    """The next full quarter of an hour after `at`, UTC: until then what hangs on the time is not looked at again."""
    begun = at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)
    return begun + _QUARTER


def hang_on_time(limits: Iterable[Limits | None]) -> bool:
    """Whether one of these may change by the time alone."""
    return any(
        each is not None and (each.depth_days is not None or each.hours or each.weekdays) for each in limits
    )
