"""Pages of pseudonyms: periods and rotation, giving and renewing, and the case in which two humans turn one back."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed
from koinon.base.ids import parse_id
from koinon.integrator.processing.pseudonyms.reidentify import APPROVER, FIELD, OPENERS, RESOURCE, Human
from koinon.integrator.processing.pseudonyms.service import (
    GIVEN,
    NO_RECIPIENTS,
    PSEUDONYM,
    GiveRequest,
    Pseudonyms,
    RenewRequest,
    identity_of,
    period_on,
)
from koinon.integrator.processing.web.words import typed, words_of
from koinon.portal import N_, Message, NavigationItem, Viewer, render
from koinon.trust.gate import Actor
from koinon.trust.gate.edge import Governed, only_governed
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules import load_vocabulary
from koinon.trust.standing import Standing

READING = OPENERS | {APPROVER}
STATES: dict[str, tuple[Message, str]] = {
    "waiting": (N_("waits for a second person"), "info"),
    "approved": (N_("confirmed"), "good"),
    "used": (N_("used"), "neutral"),
    "over": (N_("over"), "neutral"),
}


def _has_pseudonyms(viewer: Viewer | None) -> bool:
    return (
        isinstance(viewer, Session)
        and viewer.party is not None
        and viewer.party_kind not in NO_RECIPIENTS
        and viewer.profile in READING
    )


navigation = [NavigationItem(label=N_("Pseudonyms"), path="/pseudonyms", shown_to=_has_pseudonyms, order=45)]


@get("/pseudonyms", include_in_schema=False)
async def show_pseudonyms(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    pseudonyms: NamedDependency[Pseudonyms],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Any:
    """The periods, what can be given and renewed, and the party's cases."""
    _actor(session)
    return await _page(request, session, pseudonyms, standing, database, {}, None)


@post("/pseudonyms/given", status_code=200, opt={"governed": True}, after_request=only_governed)
async def give(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    pseudonyms: NamedDependency[Pseudonyms],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Governed:
    """The pseudonym, or why not. Records: `exchange.piece` or `exchange.refused`."""
    form = typed(await request.form())
    actor = _actor(session)
    try:
        recipient = parse_id(form.get("recipient", ""), "recipient")
        released = await pseudonyms.give(
            GiveRequest(
                recipient=recipient,
                purpose=form.get("purpose", ""),
                case=form.get("case", ""),
                subjects=(form.get("subject", ""),),
            ),
            actor,
        )
    except KoinonError as error:
        return Governed.of(
            error, await _page(request, session, pseudonyms, standing, database, form, error, at="give")
        )
    return Governed.of(
        released,
        render(
            request,
            "processing/pseudonym_given.html",
            rows=released.value,
            recipient=standing.register.parties[PartyId(recipient)].name,
            period=period_on(pseudonyms.today()),
            authorisation=released.authorisation,
            exchange=str(released.exchange),
            name=PSEUDONYM,
        ),
    )


@post("/pseudonyms/renewed", status_code=200, include_in_schema=False)
async def renew(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    pseudonyms: NamedDependency[Pseudonyms],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Any:
    """Old and new pseudonyms beside each other, or why there is no new one. Records: `pseudonyms.renewed`."""
    form = typed(await request.form(), 100_000)
    actor = _actor(session)
    try:
        asked = RenewRequest(
            purpose=form.get("purpose", ""), pseudonyms=tuple(form.get("pseudonyms", "").split())
        )
        renewed = await pseudonyms.renew(asked, actor)
    except KoinonError as error:
        return await _page(request, session, pseudonyms, standing, database, form, error, at="renew")
    return render(
        request,
        "processing/pseudonyms_renewed.html",
        renewed=[(each, words_of(request, Invalid(each.code or ""), N_("Not renewed."))) for each in renewed],
        done=sum(each.new is not None for each in renewed),
        period=period_on(pseudonyms.today()),
    )


@post("/pseudonyms/cases", status_code=303, include_in_schema=False)
async def open_case(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    pseudonyms: NamedDependency[Pseudonyms],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Any:
    """The case waits for a second person. Records: `reidentification.opened`."""
    form = typed(await request.form(), 2000)
    _actor(session)
    try:
        case = await pseudonyms.open_case(
            form.get("pseudonym", ""),
            purpose=form.get("purpose", ""),
            case=form.get("case", ""),
            reason=form.get("reason", ""),
            by=_human(session),
        )
    except KoinonError as error:
        return await _page(request, session, pseudonyms, standing, database, form, error, at="case")
    return Redirect(f"/pseudonyms/cases/{case}", status_code=303)


@get("/pseudonyms/cases/{case:uuid}", include_in_schema=False)
async def show_case(
    request: Request[Any, Any, Any],
    case: FromPath[UUID],
    session: NamedDependency[Session],
    pseudonyms: NamedDependency[Pseudonyms],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Any:
    """Where the case stands, and what this person can do about it."""
    _actor(session)
    return await _case(request, case, session, pseudonyms, standing, database, None)


@post("/pseudonyms/cases/{case:uuid}/confirm", status_code=303, include_in_schema=False)
async def confirm_case(
    request: Request[Any, Any, Any],
    case: FromPath[UUID],
    session: NamedDependency[Session],
    pseudonyms: NamedDependency[Pseudonyms],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Any:
    """A second human has confirmed it. Records: `reidentification.approved`."""
    _actor(session)
    try:
        await pseudonyms.approve_case(case, _human(session))
    except KoinonError as error:
        return await _case(request, case, session, pseudonyms, standing, database, error)
    return Redirect(f"/pseudonyms/cases/{case}", status_code=303)


@post(
    "/pseudonyms/cases/{case:uuid}/use", status_code=200, opt={"governed": True}, after_request=only_governed
)
async def use_case(
    request: Request[Any, Any, Any],
    case: FromPath[UUID],
    session: NamedDependency[Session],
    pseudonyms: NamedDependency[Pseudonyms],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Governed:
    """Who it is, once. Records: `reidentification.used`, and `exchange.released` or `exchange.refused`."""
    _actor(session)
    try:
        released = await pseudonyms.use_case(case, session.author())
    except KoinonError as error:
        return Governed.of(error, await _case(request, case, session, pseudonyms, standing, database, error))
    return Governed.of(
        released,
        render(
            request,
            "processing/reidentified.html",
            number=released.value.get(FIELD),
            authorisation=released.authorisation,
            exchange=str(released.exchange),
            case=str(case),
        ),
    )


async def _page(
    request: Request[Any, Any, Any],
    session: Session,
    pseudonyms: Pseudonyms,
    standing: Standing,
    database: Database,
    form: Mapping[str, str],
    error: KoinonError | None,
    *,
    at: str = "",
) -> Any:
    actor = _actor(session)
    today = pseudonyms.today()
    period = period_on(today)
    async with database.acquire() as connection:
        words = (await load_vocabulary(connection)).purposes
    parties = [
        (str(each.id), each.name)
        for each in standing.register.parties.values()
        if each.id != actor.party and each.left_on is None and each.kind not in NO_RECIPIENTS
    ]
    purposes = sorted(standing.list_purposes(actor.party, "consult"))
    return render(
        request,
        "processing/pseudonyms.html",
        status_code=error.status if error is not None else 200,
        period=period,
        overlaps=period.overlaps(today),
        day=today,
        passed=(today - period.began) / (period.ends - period.began),
        overlap=(period.overlap_ends - period.began) / (period.ends - period.began),
        opens=session.profile in OPENERS,
        recipients=sorted(parties, key=lambda each: each[1].en),
        purposes=[(code, words.get(code, code)) for code in purposes],
        all_purposes=[(code, label) for code, label in words.items()],
        cases=await pseudonyms.list_cases(actor.party),
        words=words,
        states=STATES,
        form=form,
        at=at,
        resources=(GIVEN, RESOURCE),
        **_said(request, error),
    )


async def _case(
    request: Request[Any, Any, Any],
    case: UUID,
    session: Session,
    pseudonyms: Pseudonyms,
    standing: Standing,
    database: Database,
    error: KoinonError | None,
) -> Any:
    found = await pseudonyms.get_case(case, _actor(session).party)
    async with database.acquire() as connection:
        words = (await load_vocabulary(connection)).purposes
    persons = standing.register.persons
    names = {each: persons[each].name for each in (found.opened_by, found.approved_by) if each in persons}
    moments = [
        {
            "at": found.opened_at,
            "title": N_("Opened by %(name)s"),
            "name": names.get(found.opened_by, "–"),
            "tone": "neutral",
        }
    ]
    if found.approved_at is not None and found.approved_by is not None:
        moments.append(
            {
                "at": found.approved_at,
                "title": N_("Confirmed by %(name)s"),
                "name": names.get(found.approved_by, "–"),
                "tone": "good",
            }
        )
    if found.used_at is not None:
        moments.append(
            {
                "at": found.used_at,
                "title": N_("Used by %(name)s"),
                "name": names.get(found.opened_by, "–"),
                "tone": "neutral",
            }
        )
    return render(
        request,
        "processing/case.html",
        status_code=error.status if error is not None else 200,
        case=found,
        state=STATES[found.state],
        purpose=words.get(found.purpose, found.purpose),
        moments=moments,
        mine=found.opened_by == session.person,
        confirms=session.profile == APPROVER,
        **_said(request, error),
    )


def _said(request: Request[Any, Any, Any], error: KoinonError | None) -> dict[str, Any]:
    if error is None:
        return {"refused": False, "message": None, "facts": {}, "code": None}
    return {
        "refused": True,
        "message": words_of(request, error, N_("The gate did not let this question through.")),
        "facts": error.facts,
        "code": error.code,
    }


def _actor(session: Session) -> Actor:
    """Raises `NotAllowed: profile_not_held`."""
    if not _has_pseudonyms(session) or session.person is None or session.party is None:
        raise NotAllowed("profile_not_held", profile="case_handler")
    return Actor(party=session.party, person=session.person, profile=session.profile or "")


def _human(session: Session) -> Human:
    return Human(author=session.author(), identity=identity_of(session.issuer, session.subject))


handlers = [show_pseudonyms, give, renew, open_case, show_case, confirm_case, use_case]
