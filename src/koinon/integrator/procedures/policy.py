"""What is decided about the end of an announcement, from what is known of it. Pure."""

from collections.abc import Sequence
from datetime import date

from koinon.base.clock import civil_date
from koinon.base.errors import Conflict, Invalid
from koinon.integrator.procedures.model import (
    WITHDRAWAL_REASONS,
    Announcement,
    Notice,
    Outcome,
    WithdrawalReason,
)


def demand_open(announcement: Announcement) -> None:
    """Nothing has ended the announcement.

    Raises:
        Conflict: `announcement_closed`, with its number, outcome, day and, of a withdrawal, the reason.
    """
    if announcement.closed_at is None:
        return
    facts = {
        "number": announcement.number,
        "outcome": announcement.outcome,
        "closed_on": str(civil_date(announcement.closed_at)),
        "reason": announcement.reason,
    }
    raise Conflict("announcement_closed", **{name: value for name, value in facts.items() if value})


def close(announcement: Announcement, notices: Sequence[Notice], today: date) -> Outcome:
    """How the announcement ends when whoever announced closes it today.

    Nobody who may still answer is shut out: every creditor has answered or has let its term pass. Without a deed the
    terms themselves have passed too, since until then an answer may be replaced.

    Raises:
        Conflict: `announcement_closed`; `answers_awaited`, with `count` and `until`; `terms_running`, with `until`.
    """
    demand_open(announcement)
    awaited = [each.term_ends for each in notices if each.answered_at is None and today <= each.term_ends]
    if awaited:
        raise Conflict("answers_awaited", count=len(awaited), until=str(max(awaited)))
    if announcement.deed_recorded_at is not None:
        return "distributed"
    last = max((each.term_ends for each in notices), default=date.min)
    if today <= last:
        raise Conflict("terms_running", until=str(last))
    return "stated"


def withdraw(announcement: Announcement, reason: str) -> WithdrawalReason:
    """Why the announcement is withdrawn; after its deed it was no error any more, and is closed instead.

    Raises:
        Invalid: `reason_unknown`.
        Conflict: `announcement_closed`, `deed_recorded`.
    """
    found = next((each for each in WITHDRAWAL_REASONS if each == reason), None)
    if found is None:
        raise Invalid("reason_unknown", reasons=list(WITHDRAWAL_REASONS))
    demand_open(announcement)
    if announcement.deed_recorded_at is not None:
        raise Conflict("deed_recorded", number=announcement.number, deed_on=str(announcement.deed_on))
    return found
