"""What is decided about announcements, and about what a creditor is told and answers, from what is known. Pure."""

from collections.abc import Sequence
from datetime import date, datetime

from koinon.base.clock import civil_date
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.integrator.entitlement.debts import RANKS, Kind, book, is_lapsed
from koinon.integrator.procedures.model import (
    ANSWER,
    CREDITOR_KINDS,
    PURPOSE,
    WITHDRAWAL_REASONS,
    Announcement,
    ClaimBody,
    ClaimRequest,
    ClosedNotice,
    Notice,
    OpenNotice,
    Outcome,
    WithdrawalReason,
)
from koinon.trust.parties import Party
from koinon.trust.standing import Standing

MOST_CENTS = 10**13


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


def demand_new(same: Sequence[Announcement], today: date) -> None:
    """None of these, which are open, of one case and kind and about one debtor, holds.

    Raises:
        Conflict: `announcement_exists`, with its number.
    """
    for each in same:
        if not is_lapsed(civil_date(each.sent_at), each.deed_by(today), today):
            raise Conflict("announcement_exists", number=each.number)


def is_late(announcement: Announcement, notice: Notice, day: date) -> bool:
    """Whether an answer on that day comes after the term.

    Raises:
        Conflict: `answer_final`: it would, and there is an answer already.
    """
    late = day > notice.term_ends
    if late and notice.answered_at is not None:
        raise Conflict("answer_final", number=announcement.number, term_ends=str(notice.term_ends))
    return late


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


def list_competent(standing: Standing) -> list[Party]:
    """The creditors to be told: of a competent kind, taking part, and authorised to answer."""
    found = [
        party
        for party in standing.register.parties.values()
        if party.kind in CREDITOR_KINDS and PURPOSE in standing.list_purposes(party.id, ANSWER)
    ]
    return sorted(found, key=lambda party: party.enterprise_number)


def read_case(text: str) -> str:
    """The reference of a file, as it is kept. Raises `Invalid: case_missing`, `case_too_long`."""
    case = text.strip()
    if not case:
        raise Invalid("case_missing")
    if len(case) > 64:
        raise Invalid("case_too_long", limit=64)
    return case


def check_amount(cents: int) -> None:
    """Raises `Invalid: amount_out_of_range`."""
    if not 0 <= cents <= MOST_CENTS:
        raise Invalid("amount_out_of_range", limit_cents=MOST_CENTS)


def read_claim(request: ClaimRequest, today: date) -> ClaimBody | None:
    """What a creditor claims, in eurocent; None: it has no claim.

    Raises:
        Invalid: `amount_out_of_range`, `rank_unknown`, `registered_on_missing`, `claim_in_future`.
    """
    if request.principal_cents is None:
        return None
    for amount in (request.principal_cents, request.costs_cents):
        check_amount(amount)
    if request.rank not in RANKS:
        raise Invalid("rank_unknown", rank=str(request.rank)[:32])
    if request.rank == "registered" and request.registered_on is None:
        raise Invalid("registered_on_missing")
    if any(day is not None and day > today for day in (request.interest_from, request.registered_on)):
        raise Invalid("claim_in_future")
    return ClaimBody(
        principal_cents=request.principal_cents,
        costs_cents=request.costs_cents,
        interest_from=request.interest_from,
        rank=request.rank,
        registered_on=request.registered_on,
    )


def demand_rate(claim: ClaimBody | None, kind: Kind) -> None:
    """A rate is known for the day from which interest is claimed: without one nobody's share could be stated.

    Raises:
        Invalid: `interest_rate_unknown`, with that day.
    """
    if claim is None or claim.interest_from is None:
        return
    try:
        book().on(f"interest_{kind}", claim.interest_from)
    except NotFound:
        raise Invalid("interest_rate_unknown", interest_from=str(claim.interest_from)) from None


def show_open(announcement: Announcement, notice: Notice, today: date) -> OpenNotice:
    """What a creditor sees of an announcement that it may still answer."""
    return OpenNotice(
        number=announcement.number,
        kind=announcement.kind,
        announced_on=civil_date(announcement.sent_at),
        term_ends=notice.term_ends,
        days_left=(notice.term_ends - today).days,
        property=announcement.property,
        answered=notice.answer,
        late=notice.late,
    )


def show_closed(
    announcement: Announcement, notice: Notice, closed_at: datetime, outcome: Outcome
) -> ClosedNotice:
    """What a creditor still sees once the announcement has ended: neither person nor property."""
    return ClosedNotice(
        number=announcement.number,
        kind=announcement.kind,
        announced_on=civil_date(announcement.sent_at),
        closed_on=civil_date(closed_at),
        outcome=outcome,
        reason=announcement.reason,
        answered=notice.answer,
        late=notice.late,
    )
