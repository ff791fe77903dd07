"""Pages about rights to images: who can see what, a second person's word, the look back at emergencies."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotAllowed, NotFound
from koinon.base.ids import parse_id
from koinon.base.text import Text
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, render
from koinon.trust.gate.web import ACTIONS
from koinon.trust.ledger import Sealer
from koinon.trust.parties import PROFILES, PersonId
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules import load_vocabulary
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera
from koinon.video.cameras import store as cameras
from koinon.video.rights import confirmations, decided, emergencies, owned, store
from koinon.video.rights.model import ConfirmationId, EmergencyId, ViewRequest
from koinon.video.rights.running import actor_of
from koinon.video.rights.service import Rights
from koinon.video.rights.simulate import Right, rights_of, rights_on

# Who asks about other people's rights: of the own party those who look after it, and who oversees everybody.
OF_A_PARTY = frozenset({"party_manager", "security_adviser", "camera_manager", "control_room_supervisor"})
OF_ALL = frozenset({"commission_member", "commission_secretary", "auditor"})
SEEING = frozenset({"control_room_operator", "control_room_supervisor", "investigator", "crisis_coordinator"})

problems: dict[str, Message] = {
    "camera_unknown": N_("There is no such camera for you."),
    "media_unknown": N_("There is nothing here, or not any more."),
    "view_unknown": N_("This view does not run."),
    "interval_malformed": N_("The times do not make an interval: %(why)s."),
    "case_too_long": N_("The reference of the file is longer than %(limit)s characters."),
    "reason_too_long": N_("The text is longer than %(limit)s characters."),
    "purpose_missing": N_("Choose a purpose."),
    "decision_missing": N_(
        "Images as old as these need a written decision of the public prosecutor, and none is recorded for this case."
    ),
    **decided.problems,
    "confirmation_unknown": N_("There is no such request for you."),
    "confirmation_answered": N_("Somebody has answered this request."),
    "confirmation_expired": N_("This request has run out."),
    "confirmation_used": N_("This confirmation has been used."),
    "second_person_profile": N_("Your profile does not confirm for others."),
    "emergency_unknown": N_("There is no such emergency for you to review."),
    "emergency_reviewed": N_("Somebody has reviewed this emergency."),
    "review_by_oneself": N_("Nobody reviews the emergency that they declared themselves."),
    "note_missing": N_("Say why it was not justified."),
    "verdict_missing": N_("Say whether it was justified."),
    "not_shared": N_("The owner no longer shares this camera."),
    "camera_retired": N_("This camera is no longer in use."),
    "camera_regrouped": N_("The camera is no longer in the group through which you saw it."),
    "camera_moved": N_("The camera stands elsewhere now, or has another owner."),
    "interval_outside_view": N_("This lies outside what the view was opened for. Open another."),
    "second_person_declined": N_("The second person declined."),
}
NEEDS: dict[str, Message] = {
    "case": N_("a file's reference"),
    "reason": N_("a written reason"),
    "second_person": N_("a second person"),
    "work_station": N_("a registered work station"),
    "emergency": N_("a declared emergency"),
}


def asks_about_rights(viewer: Viewer | None) -> bool:
    """Whether the viewer may ask who can see what."""
    return isinstance(viewer, Session) and viewer.profile in OF_A_PARTY | OF_ALL


def _confirms(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in confirmations.SECOND_PROFILES | SEEING


def _reviews(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in emergencies.ADVISERS | emergencies.COMMISSION


navigation = [
    *owned.navigation,
    *decided.navigation,
    NavigationItem(
        label=N_("Who can see what"),
        path="/video/rights",
        shown_to=asks_about_rights,
        order=60,
        section="cameras",
    ),
    NavigationItem(
        label=N_("Second person"),
        path="/video/confirmations",
        shown_to=_confirms,
        order=70,
        section="cameras",
    ),
    NavigationItem(
        label=N_("Emergencies"), path="/video/emergencies", shown_to=_reviews, order=80, section="cameras"
    ),
]


class Row(msgspec.Struct, frozen=True):
    """A right as the page shows it."""

    right: Right
    person: str
    party: Text
    profile: Text
    action: Message | str
    purpose: Text | str
    needs: Sequence[Message]
    why: Message | None


@get("/video/rights", include_in_schema=False)
async def show_rights(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    camera: FromQuery[str] = "",
    person: FromQuery[str] = "",
) -> Any:
    """Who can see a camera, or what somebody can do; of one's own party, or of all for those who oversee."""
    if not asks_about_rights(session):
        raise NotAllowed("profile_not_held", profile=session.profile or "")
    everywhere = session.profile in OF_ALL
    at = clock.now()
    async with database.acquire() as connection:
        words = await load_vocabulary(connection)
        mine = await cameras.list_cameras(connection, owner=None if everywhere else session.party)
        every = await cameras.list_cameras(connection)
        groups = await cameras.groups_of(connection)
    persons = sorted(
        (
            each
            for each in standing.register.persons.values()
            if (everywhere or each.party == session.party)
            and any(role.profile in SEEING for role in each.roles)
        ),
        key=lambda each: each.name,
    )
    found: list[Right] = []
    chosen: Camera | None = None
    if camera:
        chosen = next((each for each in mine if each.code == camera), None)
        if chosen is None:
            raise NotFound("camera_unknown")
        found = rights_on(standing, chosen, groups.get(chosen.id, ()), at)
    elif person:
        who = next((each for each in persons if each.id == PersonId(parse_id(person, "person"))), None)
        if who is None:
            raise NotFound("person_unknown")
        found = rights_of(standing, who, every, groups, at)  # type: ignore[arg-type]
    said = portal_of(request).problems
    rows = [
        Row(
            right=right,
            person=standing.register.persons[right.person].name,
            party=standing.register.parties[standing.register.persons[right.person].party].name,
            profile=PROFILES[right.profile],
            action=ACTIONS.get(right.action.value, right.action.value),
            purpose=words.purposes.get(right.purpose, right.purpose),
            needs=[NEEDS[need] for need in right.needs],
            why=None if right.code == "allowed" else said.get(right.code),
        )
        for right in found
    ]
    return render(
        request,
        "rights/rights.html",
        cameras=[(each.code, f"{each.name} ({each.code})") for each in mine],
        persons=[(str(each.id), each.name) for each in persons],
        camera=camera,
        person=person,
        rows=rows,
    )


@get("/video/confirmations", include_in_schema=False)
async def show_confirmations(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """What people of the party asked a second person today: those that wait, then the others."""
    if not _confirms(session):
        raise NotAllowed("profile_not_held", profile=session.profile or "")
    at = clock.now()
    async with database.acquire() as connection:
        words = await load_vocabulary(connection)
        asked = await confirmations.list_open(connection, actor_of(session), at)
        ids = {each.request.camera for each in asked}
        known = {each.id: each for each in await cameras.list_cameras(connection, ids=ids)}
    register = standing.register
    return render(
        request,
        "rights/confirmations.html",
        asked=[
            {
                "id": each.id,
                "who": register.persons[each.asked_by].name,
                "by": register.persons[each.answered_by].name if each.answered_by else None,
                "camera": known[each.request.camera].name
                if each.request.camera in known
                else each.request.camera,
                "action": ACTIONS.get(each.request.action.value, each.request.action.value),
                "purpose": words.purposes.get(each.request.purpose, each.request.purpose),
                "request": each.request,
                "at": each.asked_at,
                "until": each.expires_at,
                "waits": each.answer is None and at < each.expires_at,
                "mine": each.asked_by == session.person,
                "answer": each.answer,
                "used": each.used_at,
            }
            for each in asked
        ],
        answers=session.profile in confirmations.SECOND_PROFILES,
    )


@post("/video/confirmations/{confirmation:uuid}", status_code=303, include_in_schema=False)
async def answer_confirmation(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    confirmation: FromPath[UUID],
) -> Redirect:
    """The second person has confirmed or declined. Records: see `confirmations.answer`."""
    form = await request.form()
    async with database.transaction() as connection:
        await confirmations.answer(
            connection,
            sealer,
            standing,
            actor_of(session),
            ConfirmationId(confirmation),
            confirms=form.get("answer") == "confirm",
            at=clock.now(),
        )
    return Redirect("/video/confirmations", status_code=303)


class Asked(msgspec.Struct, frozen=True):
    """What a request for a second person's word came to."""

    confirmation: UUID
    state: str
    expires_at: datetime


@post("/api/video/confirmations", tags=["video"])
async def ask_confirmation(
    data: JSONBody[ViewRequest],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    rights: NamedDependency[Rights],
    clock: NamedDependency[Clock],
) -> Asked:
    """Another human of the party is asked to confirm exactly this view. Records: `confirmation.asked`.

    The page on which it is answered names the camera, so only one of which the viewer may know is asked about.
    """
    await rights.demand_known(session, data)
    async with database.transaction() as connection:
        made = await confirmations.ask(connection, sealer, actor_of(session), data, clock.now())
    return Asked(made.id, "waiting", made.expires_at)


@get("/api/video/confirmations/{confirmation:uuid}", tags=["video"])
async def show_confirmation(
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
    confirmation: FromPath[UUID],
) -> Asked:
    """How the request stands: `waiting`, `confirmed`, `declined`, `used` or `expired`; only for who asked it."""
    actor = actor_of(session)
    async with database.acquire() as connection:
        found = await store.find_confirmation(connection, ConfirmationId(confirmation), actor.party)
    if found is None or found.asked_by != actor.person:
        raise NotFound("confirmation_unknown")
    state: str = "used" if found.used_at else found.answer or "waiting"
    if state in ("waiting", "confirmed") and clock.now() >= found.expires_at:
        state = "expired"
    return Asked(found.id, state, found.expires_at)


@get("/video/emergencies", include_in_schema=False)
async def show_emergencies(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
) -> Any:
    """Declared emergencies, those that wait for a review first."""
    if not _reviews(session):
        raise NotAllowed("profile_not_held", profile=session.profile or "")
    party = None if session.profile in emergencies.COMMISSION else session.party
    async with database.acquire() as connection:
        declared = await store.list_emergencies(connection, party=party, owner=party)
        known = {
            each.id: each
            for each in await cameras.list_cameras(connection, ids={each.camera for each in declared})
        }
    register = standing.register
    return render(
        request,
        "rights/emergencies.html",
        declared=[
            {
                "it": each,
                "who": register.persons[each.person].name if each.person in register.persons else "",
                "party": register.parties[each.party].name,
                "camera": known[each.camera].name if each.camera in known else each.camera,
                "action": ACTIONS.get(each.action, each.action),
                "by": register.persons[each.reviewed_by].name if each.reviewed_by in register.persons else "",
                "mine": each.person == session.person,
            }
            for each in declared
        ],
    )


@post("/video/emergencies/{emergency:uuid}", status_code=303, include_in_schema=False)
async def review_emergency(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
    emergency: FromPath[UUID],
) -> Redirect | Response[Any]:
    """Somebody has looked back. Records: `emergency.reviewed`."""
    form = await request.form()
    verdict = str(form.get("justified", ""))
    if verdict not in ("yes", "no"):
        raise Invalid("verdict_missing")
    async with database.transaction() as connection:
        await emergencies.review(
            connection,
            sealer,
            standing,
            session,
            EmergencyId(emergency),
            justified=verdict == "yes",
            note=str(form.get("note", "")),
            at=clock.now(),
        )
    return Redirect("/video/emergencies", status_code=303)


handlers = [
    *owned.handlers,
    *decided.handlers,
    show_rights,
    show_confirmations,
    answer_confirmation,
    ask_confirmation,
    show_confirmation,
    show_emergencies,
    review_emergency,
]
