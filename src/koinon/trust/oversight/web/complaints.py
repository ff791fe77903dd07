"""Complaints against a participating service, as the Commission's secretariat and members handle them."""

import re
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotFound
from koinon.base.ids import parse_id
from koinon.portal import N_, NavigationItem, portal_of, render
from koinon.trust.ledger import Erased, Private, Sealer
from koinon.trust.oversight import policy, service, store
from koinon.trust.oversight.documents import OUTCOMES
from koinon.trust.oversight.model import ComplaintState, Filing
from koinon.trust.oversight.web.access import demand_commission
from koinon.trust.oversight.web.console import act_address
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.trust.standing.acts import TargetKind

navigation = [
    NavigationItem(label=N_("Complaints"), path="/commission/complaints", section="commission", order=4)
]
STATES = {
    ComplaintState.RECEIVED: (N_("received"), "info"),
    ComplaintState.ADMISSIBLE: (N_("admissible"), "info"),
    ComplaintState.INADMISSIBLE: (N_("not admissible"), "neutral"),
    ComplaintState.INVESTIGATED: (N_("investigated"), "info"),
    ComplaintState.DECIDED: (N_("decided"), "good"),
}
MOVES = {
    ComplaintState.ADMISSIBLE: N_("Admissible"),
    ComplaintState.INADMISSIBLE: N_("Not admissible"),
    ComplaintState.INVESTIGATED: N_("Investigation closed"),
}
MISSING = {
    "identity_missing": N_("Identity must be shown: give the name and how it was established."),
    "interest_missing": N_("Say why this concerns the person who complains."),
    "story_missing": N_("Say what happened."),
    "party_unknown": N_("Choose the service the complaint is against."),
    "entry_unknown": N_("One of the exchanges is not in the ledger."),
    "invalid_id": N_("One of the exchanges is not written as an entry id."),
    "exchange_not_of_party": N_("One of the exchanges is not one of this service."),
    "complaint_too_long": N_("The text is too long."),
}
_PAGE = 50
_FIELDS = ("against", "complainant", "identity", "interest", "story", "exchanges")


@get("/commission/complaints", include_in_schema=False)
async def list_complaints(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
) -> Any:
    """Complaints, newest first; who complains and why is on each one's own page."""
    demand_commission(session)
    async with database.acquire() as connection:
        complaints = await store.list_complaints(connection, limit=_PAGE)
    return render(
        request,
        "oversight/complaints.html",
        complaints=[
            (
                each,
                policy.party_name(standing.register, each.against),
                STATES[service.state_of(each, standing)],
            )
            for each in complaints
        ],
    )


@get("/commission/complaints/new", include_in_schema=False)
async def show_complaint_form(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    standing: NamedDependency[Standing],
) -> Any:
    """The form in which the secretariat writes down a complaint that somebody brings."""
    demand_commission(session)
    return _form(request, standing, {}, None)


@post("/commission/complaints/new", status_code=200, include_in_schema=False)
async def file_complaint(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The complaint has been received. Records: `complaint.received`."""
    author = demand_commission(session)
    sent = await request.form()
    form = {name: str(value)[:30_000] for name, value in sent.items()}
    try:
        exchanges = tuple(
            parse_id(word, "entry") for word in re.split(r"[\s,;]+", form.get("exchanges", "")) if word
        )
        if not form.get("against"):
            raise Invalid("party_unknown")
        filing = Filing(
            against=PartyId(parse_id(form["against"], "party")),
            complainant=form.get("complainant", "").strip(),
            identity=form.get("identity", "").strip(),
            interest=form.get("interest", "").strip(),
            story=form.get("story", "").strip(),
            exchanges=exchanges,
        )
        async with database.transaction() as connection:
            complaint = await service.file_complaint(
                connection, sealer, filing, standing.register, author, clock.now()
            )
    except (Invalid, NotFound) as error:
        return _form(request, standing, form, error)
    return Redirect(f"/commission/complaints/{complaint.id}", status_code=303)


@get("/commission/complaints/{complaint:uuid}", include_in_schema=False)
async def show_complaint(
    request: Request[Any, Any, Any],
    complaint: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """A complaint with its words. Records: `complaint.read`."""
    return await _show(request, complaint, session, database, sealer, standing, clock, opened=None)


@post("/commission/complaints/{complaint:uuid}/exchanges", status_code=200, include_in_schema=False)
async def open_exchanges(
    request: Request[Any, Any, Any],
    complaint: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The exchanges that the complaint is about, opened. Records: `complaint.exchanges_read`."""
    author = demand_commission(session)
    async with database.transaction() as connection:
        found = await service.get_complaint(connection, complaint)
        opened = await service.read_exchanges(connection, sealer, found, author, clock.now())
    shown = [(entry, private.fields if isinstance(private, Private) else None) for entry, private in opened]
    return await _show(request, complaint, session, database, sealer, standing, clock, opened=shown)


@post("/commission/complaints/{complaint:uuid}/state", status_code=303, include_in_schema=False)
async def move_complaint(
    request: Request[Any, Any, Any],
    complaint: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Any:
    """The complaint is where the form says. Records: `complaint.moved`."""
    author = demand_commission(session)
    sent = await request.form()
    try:
        to = ComplaintState(str(sent.get("to", "")))
    except ValueError:
        raise Invalid("complaint_cannot_move") from None
    async with database.transaction() as connection:
        await service.move_complaint(connection, sealer, complaint, to, author, clock.now())
    return Redirect(f"/commission/complaints/{complaint}", status_code=303)


async def _show(
    request: Request[Any, Any, Any],
    complaint: UUID,
    session: Session,
    database: Database,
    sealer: Sealer,
    standing: Standing,
    clock: Clock,
    *,
    opened: Any,
) -> Any:
    author = demand_commission(session)
    async with database.transaction() as connection:
        found, words = await service.read_complaint(connection, sealer, complaint, author, clock.now())
    state = service.state_of(found, standing)
    outcome = standing.acts.complaints.get(str(found.id))
    return render(
        request,
        "oversight/complaint.html",
        complaint=found,
        words=None if isinstance(words, Erased) else words,
        against=policy.party_name(standing.register, found.against),
        state=STATES[state],
        outcome=OUTCOMES[outcome] if outcome else None,
        moves=[(each.value, MOVES[each]) for each in policy.next_states(state)],
        may_open=state in (ComplaintState.ADMISSIBLE, ComplaintState.INVESTIGATED) and found.exchanges,
        decide=act_address("decide_complaint", TargetKind.COMPLAINT, str(found.id))
        if state is ComplaintState.INVESTIGATED
        else None,
        opened=opened,
    )


def _form(
    request: Request[Any, Any, Any], standing: Standing, form: dict[str, str], error: KoinonError | None
) -> Any:
    message = None
    if error is not None:
        message = MISSING.get(error.code) or portal_of(request).problems.get(error.code)
    parties = standing.register.parties.values()
    return render(
        request,
        "oversight/complaint_new.html",
        status_code=error.status if error else 200,
        form={**dict.fromkeys(_FIELDS, ""), **form},
        parties=[
            (str(party.id), party.name)
            for party in sorted(parties, key=lambda each: each.enterprise_number)
            if party.kind not in ("commission", "witness")
        ],
        message=message,
        failed=error is not None,
    )


handlers = [
    list_complaints,
    show_complaint_form,
    file_complaint,
    show_complaint,
    open_exchanges,
    move_complaint,
]
