"""The statement of debts as a flow: from what the register of announcements holds to its fields. Pure."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from koinon.base.clock import civil_date
from koinon.base.errors import NotFound
from koinon.base.text import Text
from koinon.integrator.drivers import Plan, Request, SourceAnswer
from koinon.integrator.entitlement.answers import Answers, parameter
from koinon.integrator.entitlement.debts import Claim, Rank, Share, book, distribute, is_lapsed
from koinon.integrator.entitlement.words import Money, words
from koinon.integrator.model import Combined, FieldAnswer, FieldStatus, Flow
from koinon.integrator.procedures.model import FLOW, PURPOSE, Announcement, NamedNotice, Statement

CLAIMS = "debts/claims"
_PLAN = Plan(steps=((Request(CLAIMS, frozenset({"statement"})),),), find=lambda about, subject, answers: ())
_FIELDS = {CLAIMS: ("statement",)}
_CODES = (
    "answer_term_regional_tax",
    "answer_term_municipal_tax",
    "interest_regional_tax",
    "interest_municipal_tax",
    "announcement_holds",
    "payment_term",
)


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    """One creditor in the statement.

    Attributes:
        state: `claim`, `nothing`, `waiting` (the term runs), `silent` (it ended without an answer), `late` (it came
            after the term, and is out).
        due_cents: principal, costs and interest to `interest_to`.
        paid_cents: of the price; None while none is known.
    """

    creditor: Text
    state: str
    rank: Rank | None = None
    principal_cents: int | None = None
    costs_cents: int | None = None
    interest_cents: int | None = None
    due_cents: int | None = None
    paid_cents: int | None = None
    term_ends: date
    interest_to: date


def combine_debts(subject: str, answers: Sequence[SourceAnswer], at: datetime) -> Combined:
    """The statement about a debtor, on the day: who claims what, in which order, and what is not known yet."""
    known = Answers(subject, answers, _FIELDS, frozenset({CLAIMS}))
    day = civil_date(at)
    notes = (
        words(__package__).say("note", "illustrative"),
        words(__package__).say("note", "not_examined"),
    )
    statement = known.values(CLAIMS).get("statement")
    if not isinstance(statement, Statement):
        nothing = known.has_none(CLAIMS)
        answer = next((one for one in answers if one.resource == CLAIMS), None)
        status: FieldStatus = "no_data" if nothing else "no_answer" if answer is None else _status(answer)
        fields = dict.fromkeys(
            DEBT_RECOVERY.fields, FieldAnswer(status=status, missing=(f"{CLAIMS}.statement",))
        )
        if nothing:
            fields = dict.fromkeys(DEBT_RECOVERY.fields, FieldAnswer(status="no_data"))
            fields["announced"] = FieldAnswer(status="value", value=False)
        return Combined(fields=fields, notes=notes)
    return _stated(statement, day, notes)


def _stated(statement: Statement, day: date, notes: tuple[Text, ...]) -> Combined:
    announcement = statement.announcement
    texts = words(__package__)
    if announcement.closed_at is not None and announcement.outcome == "withdrawn":
        return _withdrawn(announcement, civil_date(announcement.closed_at), notes)
    sent = civil_date(announcement.sent_at)
    today = civil_date(statement.read_at)
    deed_on = announcement.deed_by(today)
    lapsed = is_lapsed(sent, deed_on, day)
    closed = None if announcement.closed_at is None else civil_date(announcement.closed_at)
    # Interest runs to the deed where it was passed or to the end of the procedure, else to the day.
    until = min(each for each in (day, deed_on, closed) if each is not None)
    # Whether a creditor may still answer is a matter of today, whatever day the interest is asked to.
    rows = _rows(statement, sent, today, until)
    waiting = [row for row in rows if row.state == "waiting"]
    claims = [row for row in rows if row.state == "claim"]
    total = sum(row.due_cents or 0 for row in claims)
    said = tuple(_sentence(row) for row in rows)
    missing = (f"{CLAIMS}.answer",) if waiting else ()
    price = announcement.price_cents

    def unless_waiting(value: object, explanation: tuple[Text, ...] = ()) -> FieldAnswer:
        if waiting:
            return FieldAnswer(status="unknown", missing=missing, explanation=explanation)
        return FieldAnswer(status="value", value=value, explanation=explanation)

    short = None if price is None else total > price
    fields = {
        "announced": FieldAnswer(
            status="value",
            value=True,
            explanation=(texts.say("state", "announced", number=announcement.number, day=sent),),
        ),
        "lapsed": FieldAnswer(
            status="value",
            value=lapsed,
            explanation=(texts.say("state", "lapsed" if lapsed else "holds"),),
        ),
        "closed": FieldAnswer(
            status="value",
            value=closed is not None,
            explanation=() if closed is None else (texts.say("state", "closed", day=closed),),
        ),
        "answers_complete": FieldAnswer(
            status="value",
            value=not waiting,
            explanation=(texts.say("state", "waiting" if waiting else "complete", count=len(waiting)),)
            if waiting
            else (texts.say("state", "complete"),),
        ),
        "last_term": FieldAnswer(status="value", value=max((row.term_ends for row in rows), default=sent)),
        "claims": FieldAnswer(status="value", value=tuple(rows), explanation=said),
        "total_due": unless_waiting(
            total, (texts.say("state", "total", total=Money(total), day=until),) if not waiting else ()
        ),
        "price_too_short": FieldAnswer(status="no_data")
        if short is None and not waiting
        else unless_waiting(short),
    }
    used = []
    for code in _CODES:
        try:
            used.append(book().on(code, sent if code.startswith("answer_term") else until))
        except NotFound:
            continue
    return Combined(
        fields=fields,
        parameters=tuple(parameter(each) for each in used),
        explanation=(*said, *notes),
        notes=notes,
    )


def _withdrawn(announcement: Announcement, on: date, notes: tuple[Text, ...]) -> Combined:
    """An announcement that was withdrawn is none: who answered it, and what, is not told."""
    said = (words(__package__).say("state", "withdrawn", number=announcement.number, day=on),)
    fields = dict.fromkeys(DEBT_RECOVERY.fields, FieldAnswer(status="no_data"))
    fields["announced"] = FieldAnswer(status="value", value=False, explanation=said)
    fields["closed"] = FieldAnswer(status="value", value=True, explanation=said)
    return Combined(fields=fields, explanation=(*said, *notes), notes=notes)


def _rows(statement: Statement, sent: date, today: date, until: date) -> list[ClaimRow]:
    claims, names = [], {}
    others: list[ClaimRow] = []
    for place, named in enumerate(statement.notices):
        notice = named.notice
        if notice.claim is None or notice.answered_at is None:
            others.append(
                ClaimRow(
                    creditor=named.creditor,
                    state=_unclaimed(named, today),
                    term_ends=notice.term_ends,
                    interest_to=until,
                )
            )
            continue
        names[str(place)] = named
        claims.append(
            Claim(
                creditor=str(place),
                kind=notice.kind,
                rank=notice.claim.rank,
                principal_cents=notice.claim.principal_cents,
                costs_cents=notice.claim.costs_cents,
                interest_from=notice.claim.interest_from,
                registered_on=notice.claim.registered_on,
                answered_on=civil_date(notice.answered_at),
            )
        )
    shares = distribute(claims, sent, until, statement.announcement.price_cents)
    return [*(_row(share, names[share.claim.creditor], until) for share in shares), *others]


def _unclaimed(named: NamedNotice, today: date) -> str:
    if named.notice.answer == "nothing":
        return "nothing"
    return "waiting" if today <= named.notice.term_ends else "silent"


def _row(share: Share, named: NamedNotice, until: date) -> ClaimRow:
    return ClaimRow(
        creditor=named.creditor,
        state="late" if share.late else "claim",
        rank=share.claim.rank,
        principal_cents=share.claim.principal_cents,
        costs_cents=share.claim.costs_cents,
        interest_cents=share.interest_cents,
        due_cents=share.due_cents,
        paid_cents=share.paid_cents,
        term_ends=named.notice.term_ends,
        interest_to=until,
    )


def _sentence(row: ClaimRow) -> Text:
    return words(__package__).say(
        "row",
        row.state,
        creditor=row.creditor,
        due=Money(row.due_cents or 0),
        day=row.interest_to,
        term=row.term_ends,
    )


def _status(answer: SourceAnswer) -> FieldStatus:
    return "unknown" if answer.status == "data" else answer.status


DEBT_RECOVERY = Flow(
    name=FLOW,
    title=Text(
        "Schulden bij een verkoop of beslag",
        "Dettes lors d’une vente ou d’une saisie",
        "Debts at a sale or seizure",
    ),
    purposes={
        PURPOSE: Text(
            "invordering uit de verkoop of het beslag van een goed",
            "recouvrement sur la vente ou la saisie d’un bien",
            "recovery from the sale or seizure of property",
        )
    },
    subject="national_number",
    fields={
        "announced": Text("aangekondigd", "annoncé", "announced"),
        "lapsed": Text("aankondiging vervallen", "annonce caduque", "announcement has lapsed"),
        "closed": Text("procedure afgesloten", "procédure close", "procedure closed"),
        "answers_complete": Text(
            "alle antwoorden binnen", "toutes les réponses reçues", "every answer is in"
        ),
        "last_term": Text("laatste dag van antwoord", "dernier jour de réponse", "last day to answer"),
        "claims": Text("schuldvorderingen", "créances", "claims"),
        "total_due": Text("totaal verschuldigd", "total dû", "total due"),
        "price_too_short": Text("prijs volstaat niet", "le prix ne suffit pas", "the price is too short"),
    },
    plan=_PLAN,
    parameters=lambda at: {},
    combine=combine_debts,
    cents=frozenset({"total_due"}),
)
"""Who claims what from this sale or seizure?"""
