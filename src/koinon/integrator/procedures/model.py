"""Announcements of sales and seizures, the notices to creditors, and their answers: pure values."""

from datetime import date, datetime
from typing import Literal, get_args
from uuid import UUID

import msgspec

from koinon.base.text import Text
from koinon.integrator.entitlement.debts import Kind, Rank
from koinon.trust.gate import Receipt
from koinon.trust.parties import PartyId

PURPOSE = "debt_recovery"
FLOW = "debt-recovery"
RESOURCE = f"flow/{FLOW}"
ANNOUNCE, ANSWER = "announce", "answer"
"""The two actions of this procedure besides `consult`."""

CREDITOR_KINDS: dict[str, Kind] = {"municipality": "municipal_tax", "regional_service": "regional_tax"}
"""Which kind of debt a party of that kind collects; of these the ones authorised to answer are competent."""

AnnouncementKind = Literal["sale", "seizure"]
Outcome = Literal["distributed", "stated", "withdrawn"]
"""How an announcement ended: the deed was recorded and its price shared out; the claims were stated and no deed was
recorded here; it was withdrawn."""
WithdrawalReason = Literal["wrong_person", "wrong_property", "announced_twice", "not_sold"]
WITHDRAWAL_REASONS: tuple[WithdrawalReason, ...] = get_args(WithdrawalReason)
"""Codes and no words of one's own: the creditors read the reason after their right to see the person has ended."""


class AnnouncementRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/debts/announcements`.

    Attributes:
        case: reference of the notary's or bailiff's file.
        property: what is sold or seized, in words: the creditor must find it in its own books.
        deed_on, price_cents: where they are known already.
    """

    case: str
    national_number: str
    kind: AnnouncementKind
    property: str
    deed_on: date | None = None
    price_cents: int | None = None


class Term(msgspec.Struct, frozen=True):
    """Until when (inclusive) a creditor may answer; `mark` as of the parameter that gives the term."""

    creditor: Text
    kind: Kind
    term_ends: date
    working_days: int
    mark: str
    source: Text


class AnnouncementAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """That the announcement stands, and whom it told."""

    number: str
    sent_at: datetime
    terms: tuple[Term, ...]
    receipt: Receipt


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/debts/answers`: a claim, or (`principal_cents` absent) that nothing is due.

    Attributes:
        number: of the announcement.
        case: the creditor's own reference.
    """

    number: str
    case: str
    principal_cents: int | None = None
    costs_cents: int = 0
    interest_from: date | None = None
    rank: Rank = "ordinary"
    registered_on: date | None = None


class ClaimAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """That the answer was taken down; `late`: after the term, so it is out."""

    number: str
    late: bool
    term_ends: date
    receipt: Receipt


class DeedRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/debts/deeds`: the deed was passed, for this price."""

    number: str
    deed_on: date
    price_cents: int


class DeedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """That the deed stands, and by when the creditors are paid."""

    number: str
    deed_on: date
    pay_by: date
    receipt: Receipt


class ClosingRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/debts/closings`: nothing more is expected of the creditors."""

    number: str


class WithdrawalRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/debts/withdrawals`: the announcement was made in error, or nothing is sold.

    Attributes:
        reason: one of `WITHDRAWAL_REASONS`.
    """

    number: str
    reason: str


class ClosingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """That the announcement has ended, and how many creditors' lines in the directory ended with it."""

    number: str
    outcome: Outcome
    closed_at: datetime
    dossiers_ended: int
    receipt: Receipt


class ClaimBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a creditor claims, as it lies sealed."""

    principal_cents: int
    costs_cents: int
    interest_from: date | None
    rank: Rank
    registered_on: date | None


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """An announcement, opened.

    Attributes:
        deed_on, price_cents: as announced, or as the deed has them.
        deed_recorded_at: when the deed was said to have been passed.
        closed_at, outcome: when and how it ended; None while it is open.
        reason: of a withdrawal, and of nothing else.
    """

    id: UUID
    number: str
    party: PartyId
    case: str
    kind: AnnouncementKind
    subject: str
    property: str
    sent_at: datetime
    deed_on: date | None
    price_cents: int | None
    deed_recorded_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: Outcome | None = None
    reason: WithdrawalReason | None = None

    def deed_by(self, today: date) -> date | None:
        """The day of the deed: as it was recorded, or as it was named beforehand while it has not gone by."""
        if self.deed_recorded_at is None and self.deed_on is not None and self.deed_on < today:
            return None
        return self.deed_on


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What one creditor was asked and answered, opened."""

    creditor: PartyId
    kind: Kind
    term_ends: date
    answered_at: datetime | None
    answer: Literal["claim", "nothing"] | None
    claim: ClaimBody | None
    late: bool | None


class NamedNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice with the creditor's name, as the statement shows it."""

    creditor: Text
    notice: Notice


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """An announcement with all its notices: what the source `debts` says to whoever announced.

    Attributes:
        notices: none of one that was withdrawn: what was answered to it is nobody's business any more.
        read_at: when it was read; who may still answer depends on that, whatever day is asked about.
    """

    announcement: Announcement
    notices: tuple[NamedNotice, ...]
    read_at: datetime


class OpenNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as its creditor may see it: whom it is about comes with it, since it must find its own file."""

    number: str
    kind: AnnouncementKind
    announced_on: date
    term_ends: date
    days_left: int
    property: str
    answered: Literal["claim", "nothing"] | None
    late: bool | None


class ClosedNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice whose announcement has ended: no person, no property; the creditor's line about them has ended too."""

    number: str
    kind: AnnouncementKind
    announced_on: date
    closed_on: date
    outcome: Outcome
    reason: WithdrawalReason | None
    answered: Literal["claim", "nothing"] | None
    late: bool | None


class OpenNotices(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the response to `POST /api/debts/notices`: open notices by the person they are about, and closed ones."""

    notices: tuple[tuple[str, OpenNotice], ...]
    closed: tuple[ClosedNotice, ...] = ()
    receipt: Receipt | None
