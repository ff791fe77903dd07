"""Pages of terms: what each camera really keeps, drawn against what the law says; and holds, seen and placed."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from koinon.base.clock import Clock, end_of
from koinon.base.clock import read_moment as read_civil
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed
from koinon.base.ids import parse_id
from koinon.portal import N_, NavigationItem, Viewer, portal_of, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.video.cameras.model import CameraId
from koinon.video.terms import holds as service
from koinon.video.terms.deletion import regimes_of
from koinon.video.terms.model import HoldId, NewHold, Why
from koinon.video.terms.policy import limit_at, windows_due
from koinon.video.terms.store import due, reports
from koinon.video.terms.store.holds import count_kept

PROFILES = frozenset(
    {"camera_manager", "control_room_supervisor", "investigator", "security_adviser", "party_manager"}
)
MANAGER = "camera_manager"
ROOM = {
    "good": (N_("enough"), "good"),
    "announced": (N_("will be full"), "warn"),
    "pressing": (N_("below its reserve"), "bad"),
    "unreadable": (N_("cannot be read"), "bad"),
    "away": (N_("away"), "bad"),
}
_FIELDS = ("cameras", "since", "until", "basis", "reason", "case", "ends_at")


def sees_terms(viewer: Viewer | None) -> bool:
    """Whether the menu shows terms: for who looks after cameras of a party, and the Commission."""
    return isinstance(viewer, Session) and (viewer.party_kind == "commission" or viewer.profile in PROFILES)


navigation = [
    NavigationItem(
        label=N_("Retention terms"), path="/video/terms", shown_to=sees_terms, order=50, section="cameras"
    ),
    NavigationItem(label=N_("Holds"), path="/video/holds", shown_to=sees_terms, order=51, section="cameras"),
]
problems = {
    "terms_not_for_profile": N_("This page is for who looks after cameras, and for the Control Commission."),
    "hold_not_allowed": N_("In this profile images cannot be held on this ground."),
    "hold_without_cameras": N_("Choose at least one camera."),
    "hold_too_many_cameras": N_("One decision holds images of at most %(most)s cameras."),
    "hold_interval": N_("Images are held from a moment that is past to a later one."),
    "hold_without_reason": N_(
        "Write why the images must be kept, in at most %(most_characters)s characters."
    ),
    "hold_end": N_("A hold ends, within %(longest_days)s days; then it can be decided anew."),
    "hold_unknown": N_("There is no such hold, or it is another party's."),
    "hold_over": N_("This hold has ended already."),
    "hold_moment_malformed": N_("Write a moment as 2026-11-24 10:30."),
    "own_term": N_("Between %(least)s and %(most)s days; the law allows no more."),
    "camera_managers_only": N_("Only the camera manager of the owner changes this."),
    "masks_full": N_("So many pictures are masked now that no other can be. Try again in a moment."),
    "masking_failed": N_("The picture could not be masked, so it is not shown."),
}


def _scope(session: Session) -> PartyId | None:
    """Whose cameras are shown; None for all.

    Raises:
        NotAllowed: `terms_not_for_profile`, `profile_not_chosen`.
    """
    session.author()
    if session.party_kind == "commission":
        return None
    if session.profile not in PROFILES or session.party is None:
        raise NotAllowed("terms_not_for_profile")
    return session.party


@get("/video/terms", include_in_schema=False)
async def show_terms(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """What each camera keeps, and how much of its term that is; disks and alarms."""
    return await _show_terms(request, session, database, standing, clock, None, None)


@post("/video/terms/{camera:uuid}", status_code=303, include_in_schema=False)
async def set_term(
    request: Request[Any, Any, Any],
    camera: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Any:
    """The owner's own term is what the form says. Records: `terms.own_term_set`."""
    author = session.author()
    text = str((await request.form()).get("days", "")).strip()
    try:
        days = int(text) if text else None
    except ValueError:
        days = 0
    try:
        async with database.transaction() as connection:
            await service.set_own_term(
                connection, sealer, standing, author, CameraId(camera), days, clock.now()
            )
    except Invalid as error:
        return await _show_terms(request, session, database, standing, clock, error, CameraId(camera))
    return Redirect("/video/terms", status_code=303)


async def _show_terms(
    request: Request[Any, Any, Any],
    session: Session,
    database: Database,
    standing: Standing,
    clock: Clock,
    error: KoinonError | None,
    at: CameraId | None,
) -> Any:
    scope, now = _scope(session), clock.now()
    regimes = regimes_of(standing)
    async with database.acquire() as connection:
        cameras = await due.list_kept(connection, scope)
        limits = {each.camera: each.limits(regimes, now) for each in cameras}
        late = [
            (each.camera, window)
            for each in cameras
            for window in windows_due(each.streams, limits[each.camera], None, now, timedelta(0))
            if window.why is Why.MAXIMUM
        ]
        kept = await reports.read_kept(connection, late, now)
        told = {each.camera: each for each in await reports.list_achieved(connection, None, scope)}
        rooms = await reports.list_rooms(connection)
        alarms = await reports.list_alarms(connection) if scope is None else []
    rows = []
    for each in cameras:
        limit = limit_at(limits[each.camera], now)
        there = kept.get(each.camera, reports.Kept(None, None, 0))
        age = None if there.oldest is None else (now - there.oldest) / timedelta(days=1)
        term = limit.days if each.own_days is None else min(each.own_days, limit.days)
        rows.append(
            {
                "camera": each, "limit": limit, "term": term, "oldest": there.oldest, "age": age,
                "share": None if age is None else min(100.0, 100 * age / max(limit.days, 1)),
                "mark": 100 * term / max(limit.days, 1), "over": there.overdue > 0, "told": told.get(each.camera),
                "held": there.oldest_held is not None and there.oldest_held != there.oldest,
            }
        )  # fmt: skip
    return render(
        request,
        "terms/terms.html",
        rows=rows,
        rooms=[(room, ROOM[room.state]) for room in rooms],
        alarms=alarms,
        may_set=session.profile == MANAGER,
        problem=portal_of(request).problems.get(error.code) if error else None,
        facts=error.facts if error else {},
        wrong=at,
        status_code=error.status if error else 200,
    )


@get("/video/holds", include_in_schema=False)
async def list_holds(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    over: FromQuery[bool] = False,
) -> Any:
    """Holds that stand, or those that are over; the reason only for the party that placed it."""
    scope, now = _scope(session), clock.now()
    async with database.acquire() as connection:
        found = await service.list_holds(connection, scope, now, over=over)
        kept = [
            await count_kept(connection, each.hold.camera, each.hold.since, each.hold.until)
            for each in found[:50]
        ]
    bases = {each.code: each for each in service.bases_of(standing, session.author(), now)}
    parties = standing.register.parties
    return render(
        request,
        "terms/holds.html",
        holds=[
            (
                each,
                parties[each.hold.owner].name if each.hold.owner in parties else "",
                counted,
                each.hold.owner == session.party,
                not over and each.hold.owner == session.party and each.hold.basis in bases,
            )
            for each, counted in zip(found, [*kept, *[None] * len(found)], strict=False)
        ],
        over=over,
        may_place=bool(bases),
    )


@get("/video/holds/new", include_in_schema=False)
async def show_hold_form(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The form with which images are held."""
    return await _hold_form(request, session, database, standing, clock, {}, [], None)


@post("/video/holds/new", status_code=200, include_in_schema=False)
async def place_hold(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Any:
    """The images are held. Records: `terms.hold_placed`."""
    author = session.author()
    sent = await request.form()
    form = {name: str(sent.get(name, ""))[:3000] for name in _FIELDS}
    chosen = [str(each) for each in sent.getall("cameras", [])][:1000]
    try:
        asked = NewHold(
            cameras=tuple(CameraId(parse_id(each, "camera")) for each in chosen),
            since=read_moment(form["since"]),
            # What may be meant is held: of a time that comes twice the last.
            until=read_moment(form["until"], last=True),
            basis=form["basis"],
            reason=form["reason"],
            case=form["case"],
            ends_at=_read_end(form["ends_at"]),
        )
        async with database.transaction() as connection:
            await service.place_hold(connection, sealer, standing, author, asked, clock.now())
    except (Invalid, NotAllowed) as error:
        return await _hold_form(request, session, database, standing, clock, form, chosen, error)
    return Redirect("/video/holds", status_code=303)


@post("/video/holds/{hold:uuid}/end", status_code=303, include_in_schema=False)
async def end_hold(
    hold: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Any:
    """The hold ends now. Records: `terms.hold_ended`."""
    async with database.transaction() as connection:
        await service.end_hold(connection, sealer, standing, session.author(), HoldId(hold), clock.now())
    return Redirect("/video/holds", status_code=303)


async def _hold_form(
    request: Request[Any, Any, Any],
    session: Session,
    database: Database,
    standing: Standing,
    clock: Clock,
    form: dict[str, str],
    chosen: list[str],
    error: KoinonError | None,
) -> Any:
    _scope(session)
    now = clock.now()
    bases = service.bases_of(standing, session.author(), now)
    if not bases:
        raise NotAllowed("hold_not_allowed", basis="")
    async with database.acquire() as connection:
        cameras = await due.list_kept(connection, session.party)
    return render(
        request,
        "terms/hold_new.html",
        bases=bases,
        cameras=[(str(each.camera), f"{each.name} ({each.code})") for each in cameras],
        chosen=chosen,
        form={**dict.fromkeys(_FIELDS, ""), "basis": bases[0].code, **form},
        error=error.code if error else None,
        facts=error.facts if error else {},
        problem=portal_of(request).problems.get(error.code) if error else None,
        status_code=error.status if error else 200,
    )


def read_moment(text: str, *, last: bool = False) -> datetime:
    """As `read_moment` of `base.clock`.

    Raises:
        Invalid: `hold_moment_malformed`.
    """
    try:
        return read_civil(text, last=last)
    except ValueError:
        raise Invalid("hold_moment_malformed") from None


def _read_end(text: str) -> datetime:
    """The end of the day that `text` writes."""
    try:
        return end_of(date.fromisoformat(text.strip()))
    except ValueError:
        raise Invalid("hold_moment_malformed") from None


handlers = [show_terms, set_term, list_holds, show_hold_form, place_hold, end_hold]
