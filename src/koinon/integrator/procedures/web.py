"""Pages of debts: a notary or bailiff announces and states; a creditor sees what it was told, and answers."""

import re
from collections.abc import Awaitable, Mapping
from datetime import date
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency

from koinon.base.clock import Clock, civil_date
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.integrator.entitlement.calendar import add_working_days
from koinon.integrator.entitlement.debts import RANKS
from koinon.integrator.procedures.model import (
    CREDITOR_KINDS,
    AnnouncementAnswer,
    AnnouncementRequest,
    ClaimAnswer,
    ClaimRequest,
    ClosingAnswer,
    ClosingRequest,
    DeedRequest,
    OpenNotices,
    WithdrawalRequest,
)
from koinon.integrator.procedures.service import Debts, Done
from koinon.integrator.web.consult import actor_of
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, render
from koinon.trust.gate import Released
from koinon.trust.gate.edge import Governed, only_governed
from koinon.trust.parties.sign_in import Session

ANNOUNCING_KINDS = frozenset({"notary", "bailiff"})
RANK_NAMES = {
    "registered": N_("registered mortgage"),
    "regional_privilege": N_("privilege of the Region"),
    "municipal_privilege": N_("privilege of the municipality"),
    "ordinary": N_("ordinary claim"),
}
KIND_NAMES = {"sale": N_("sale"), "seizure": N_("seizure")}
OUTCOMES: dict[str, tuple[Message, str]] = {
    "distributed": (N_("closed, price shared out"), "good"),
    "stated": (N_("closed without a deed here"), "neutral"),
    "withdrawn": (N_("withdrawn"), "warn"),
}
REASONS: dict[str, Message] = {
    "wrong_person": N_("it named the wrong person"),
    "wrong_property": N_("it named the wrong property"),
    "announced_twice": N_("it was announced twice"),
    "not_sold": N_("nothing is sold or seized"),
}
_AMOUNT = re.compile(r"(\d{1,11})(?:[.,](\d{2}))?").fullmatch

problems = {
    "announcement_exists": N_("This sale or seizure was announced already for this case: %(number)s."),
    "announcement_unknown": N_("There is no such announcement, or your party was not told of it."),
    "announcement_closed": N_("This announcement is closed: nothing can be added to it."),
    "answers_awaited": N_("A creditor may still answer: close when its term has passed."),
    "terms_running": N_(
        "A creditor may still change its answer: close when the terms have passed, or record the deed."
    ),
    "deed_recorded": N_("The deed was recorded: close this announcement instead of withdrawing it."),
    "reason_unknown": N_("Choose why the announcement is withdrawn."),
    "one_at_a_time": N_("Each of these is one act: send them one by one. A batch asks for statements."),
    "answer_final": N_("The term has ended: what was answered in time stands."),
    "creditors_missing": N_("No creditor is authorised to answer now; nobody would be told."),
    "amount_out_of_range": N_("This is no amount that can be claimed."),
    "rank_unknown": N_("There is no such rank."),
    "registered_on_missing": N_("Give the day on which the mortgage was registered."),
    "claim_in_future": N_("A claim cannot start in the future."),
    "interest_rate_unknown": N_(
        "No rate of interest is known for that day. Let interest begin later, and add what is older to the costs."
    ),
    "deed_in_future": N_("The deed cannot lie in the future."),
    "deed_before_announcement": N_("The deed cannot lie before the announcement."),
    "property_missing": N_("Say what is sold or seized."),
    "property_too_long": N_("The description is too long."),
    "day_malformed": N_("Write the day as year-month-day, for example 2026-01-31."),
    "notices_none": N_("There are no announcements for your party."),
    "parameter_not_in_force": N_(
        "For %(on)s the rule %(rule)s has no %(parameter)s: nothing is decided about that day."
    ),
}


class _Form(msgspec.Struct, frozen=True):
    """What a form holds, as typed."""

    number: str = ""
    case: str = ""
    national_number: str = ""
    kind: str = "sale"
    property: str = ""
    price: str = ""
    principal: str = ""
    costs: str = ""
    interest_from: str = ""
    rank: str = "ordinary"
    registered_on: str = ""
    deed_on: str = ""
    reason: str = ""


def _is_creditor(viewer: Viewer | None) -> bool:
    return (
        isinstance(viewer, Session)
        and viewer.party_kind in CREDITOR_KINDS
        and viewer.profile == "case_handler"
    )


def _announces(viewer: Viewer | None) -> bool:
    return (
        isinstance(viewer, Session)
        and viewer.party_kind in ANNOUNCING_KINDS
        and viewer.profile == "case_handler"
    )


navigation = [
    NavigationItem(label=N_("Announcements"), path="/announcements", shown_to=_announces, order=12),
    NavigationItem(label=N_("Open notices"), path="/notices", shown_to=_is_creditor, order=12),
]


@get("/notices", opt={"governed": True}, after_request=only_governed)
async def show_notices(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    debts: NamedDependency[Debts],
    clock: NamedDependency[Clock],
) -> Governed:
    """What this creditor was told, what waits longest first.

    Records: `debt.notices_read` in the exchange log.
    """
    return await _notices(request, session, debts)


@post("/notices", status_code=200, opt={"governed": True}, after_request=only_governed)
async def answer_notice(
    request: Request[Any, Any, Any], session: NamedDependency[Session], debts: NamedDependency[Debts]
) -> Governed:
    """The creditor's answer stands, or the form says why not.

    Records: `debt.answered` in the exchange log.
    """
    form = await _read(request)
    try:
        taken = (await debts.answer(_claim_of(form), actor_of(session))).answer
    except KoinonError as error:
        return await _notices(request, session, debts, form=form, error=error)
    return await _notices(request, session, debts, taken=taken)


@get("/announcements")
async def show_announcements(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    debts: NamedDependency[Debts],
    clock: NamedDependency[Clock],
) -> Any:
    """The party's own announcements, and the form for a new one."""
    _demand(session, ANNOUNCING_KINDS)
    return await _announcements(request, session, debts, clock)


@post("/announcements", status_code=200, opt={"governed": True}, after_request=only_governed)
async def announce(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    debts: NamedDependency[Debts],
    clock: NamedDependency[Clock],
) -> Governed:
    """The sale or seizure is announced; or, with a number, its deed is recorded.

    Records: `debt.announced` or `debt.deed` in the exchange log.
    """
    _demand(session, ANNOUNCING_KINDS)
    form = await _read(request)
    try:
        if form.number:
            deed_on, price = _day(form.deed_on), _cents(form.price)
            if deed_on is None or price is None:
                raise Invalid("amount_out_of_range")
            recorded = await debts.record_deed(
                DeedRequest(number=form.number, deed_on=deed_on, price_cents=price), actor_of(session)
            )
            page = await _announcements(request, session, debts, clock, pay_by=recorded.answer.pay_by)
            return Governed.of(recorded.released, page)
        done = await debts.announce(
            AnnouncementRequest(
                case=form.case,
                national_number=form.national_number,
                kind="seizure" if form.kind == "seizure" else "sale",
                property=form.property,
                price_cents=_cents(form.price),
            ),
            actor_of(session),
        )
        page = await _announcements(request, session, debts, clock, done=done.answer)
        return Governed.of(done.released, page)
    except KoinonError as error:
        page = await _announcements(request, session, debts, clock, form=form, error=error)
        return Governed.of(error, page)


@post("/announcements/close", status_code=200, opt={"governed": True}, after_request=only_governed)
async def close_announcement(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    debts: NamedDependency[Debts],
    clock: NamedDependency[Clock],
) -> Governed:
    """The procedure has ended, or the page says why it cannot end yet.

    Records: `debt.closed` and `dossier.ended` in the exchange log.
    """
    _demand(session, ANNOUNCING_KINDS)
    form = await _read(request)
    ended = debts.close(ClosingRequest(number=form.number), actor_of(session))
    return await _ended(request, session, debts, clock, "close", form, ended)


@post("/announcements/withdraw", status_code=200, opt={"governed": True}, after_request=only_governed)
async def withdraw_announcement(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    debts: NamedDependency[Debts],
    clock: NamedDependency[Clock],
) -> Governed:
    """The announcement is withdrawn, or the page says why not.

    Records: `debt.withdrawn` and `dossier.ended` in the exchange log.
    """
    _demand(session, ANNOUNCING_KINDS)
    form = await _read(request)
    ended = debts.withdraw(WithdrawalRequest(number=form.number, reason=form.reason), actor_of(session))
    return await _ended(request, session, debts, clock, "withdraw", form, ended)


async def _ended(
    request: Request[Any, Any, Any],
    session: Session,
    debts: Debts,
    clock: Clock,
    act: str,
    form: _Form,
    ended: Awaitable[Done[ClosingAnswer]],
) -> Governed:
    try:
        done = await ended
    except KoinonError as error:
        page = await _announcements(request, session, debts, clock, act=act, form=form, error=error)
        return Governed.of(error, page)
    page = await _announcements(request, session, debts, clock, ended=done.answer)
    return Governed.of(done.released, page)


async def _notices(
    request: Request[Any, Any, Any],
    session: Session,
    debts: Debts,
    *,
    form: _Form | None = None,
    error: KoinonError | None = None,
    taken: ClaimAnswer | None = None,
) -> Governed:
    _demand(session, frozenset(CREDITOR_KINDS))
    released: Released[Any] | None = None
    refusal = error
    found = OpenNotices(notices=(), receipt=None)
    try:
        found, released = await debts.list_notices(actor_of(session))
    except NotAllowed as refused:
        refusal = refusal or refused
    page = render(
        request,
        "procedures/notices.html",
        status_code=error.status if error else 200,
        notices=found.notices,
        closed=found.closed,
        outcomes=OUTCOMES,
        reasons=REASONS,
        kinds=KIND_NAMES,
        ranks=list(RANK_NAMES.items()),
        form=form or _Form(),
        message=_message(request, refusal),
        taken=taken,
    )
    return Governed.of(released if released is not None else refusal or NotFound("notices_none"), page)


async def _announcements(
    request: Request[Any, Any, Any],
    session: Session,
    debts: Debts,
    clock: Clock,
    *,
    act: str = "",
    form: _Form | None = None,
    error: KoinonError | None = None,
    done: AnnouncementAnswer | None = None,
    pay_by: date | None = None,
    ended: ClosingAnswer | None = None,
) -> Any:
    assert session.party is not None
    today = civil_date(clock.now())
    own = await debts.list_announcements(session.party)
    return render(
        request,
        "procedures/announcements.html",
        status_code=error.status if error else 200,
        # A list on a desk need not tell a whole number: its end is enough to tell files apart.
        announcements=[(each, civil_date(each.sent_at), "•" * 7 + each.subject[-4:]) for each in own],
        numbers=[(each.number, f"{each.number} · {each.case}") for each in own if each.closed_at is None],
        kinds=KIND_NAMES,
        outcomes=OUTCOMES,
        reasons=REASONS,
        act=act or ("deed" if form is not None and form.number else "announce"),
        form=form or _Form(),
        ended=ended,
        message=_message(request, error),
        until=None if error is None else _day(error.facts.get("until", "")),
        done=done,
        pay_by=pay_by,
        usual_term=add_working_days(today, 10),
    )


def _demand(session: Session, kinds: frozenset[str]) -> None:
    if session.party is None or session.party_kind not in kinds or session.profile != "case_handler":
        raise NotAllowed("profile_not_held", profile="case_handler")


def _message(request: Request[Any, Any, Any], error: KoinonError | None) -> Message | None:
    if error is None:
        return None
    known: Mapping[str, Message] = {
        "subject_malformed": N_("This is no valid number: its check digits do not agree."),
        "case_missing": N_("Give the reference of your file."),
        "case_too_long": N_("The reference is longer than 64 characters."),
        "day_malformed": N_("This is no date, written as 1980-09-01."),
    }
    words = known.get(error.code) or portal_of(request).problems.get(
        error.code, N_("The gate did not let this question through.")
    )
    return Message(str(words), **error.facts)


async def _read(request: Request[Any, Any, Any]) -> _Form:
    sent = await request.form()
    return _Form(**{name: str(sent.get(name, "")).strip()[:401] for name in _Form.__struct_fields__})


def _claim_of(form: _Form) -> ClaimRequest:
    principal = _cents(form.principal)
    if form.rank not in RANKS:
        raise Invalid("rank_unknown", rank=form.rank[:32])
    return ClaimRequest(
        number=form.number,
        case=form.case,
        principal_cents=principal,
        costs_cents=_cents(form.costs) or 0,
        interest_from=_day(form.interest_from),
        rank=form.rank,
        registered_on=_day(form.registered_on),
    )


def _cents(text: str) -> int | None:
    """The amount typed in euro; None where nothing was typed.

    Raises:
        Invalid: `amount_out_of_range`.
    """
    if not text:
        return None
    plain = text.replace(" ", "").replace("\u202f", "").replace("\u00a0", "")
    found = _AMOUNT(plain)
    if found is None:
        raise Invalid("amount_out_of_range")
    return int(found.group(1)) * 100 + int(found.group(2) or 0)


def _day(text: str) -> date | None:
    """The day typed; None where none was.

    Raises:
        Invalid: `day_malformed`.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("day_malformed") from None


handlers = [
    show_notices,
    answer_notice,
    show_announcements,
    announce,
    close_announcement,
    withdraw_announcement,
]
