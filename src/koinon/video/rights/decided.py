"""Pages and API on which decisions of the public prosecutor are written down, seen and ended."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Redirect

from koinon.base.clock import Clock, end_of
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.ids import parse_id
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.video.cameras import CameraId
from koinon.video.cameras import store as cameras
from koinon.video.rights import decisions
from koinon.video.rights.model import Action, DecisionId, NewDecision, ProsecutorDecision
from koinon.video.rights.running import actor_of
from koinon.video.rights.service import Rights
from koinon.video.terms.web import read_moment

_FIELDS: Final = (
    "case", "authority", "reference", "decided_on", "since", "until", "ends_at", "document_sha256", "party",
)  # fmt: skip

problems: dict[str, Message] = {
    "decision_other_cameras": N_("The prosecutor’s decision of this case is about other cameras."),
    "decision_other_images": N_("The prosecutor’s decision of this case is about images of another time."),
    "decision_over": N_("The prosecutor’s decision has ended."),
    "decision_by_oneself": N_(
        "You wrote this decision down yourself. Another person of your party must look at the images."
    ),
    "decision_profile": N_("In this profile no decisions are recorded."),
    "decision_of_another": N_("For another party only the owner of all the cameras records a decision."),
    "decision_unknown": N_("There is no such decision, or it is another party’s."),
    "decision_without_case": N_("Give the reference of the case, in at most %(limit)s characters."),
    "decision_without_reference": N_(
        "Say whose decision it is and give its number, each in at most %(limit)s characters."
    ),
    "decision_without_cameras": N_("Choose cameras: at least one, at most %(most)s."),
    "decision_interval": N_(
        "The images are from a moment that is past to a later one that is past, within a year."
    ),
    "decision_date": N_("The decision was made today or earlier, within the last year."),
    "decision_end": N_("The decision ends after now, within %(longest_days)s days."),
    "decision_digest": N_("The SHA-256 of the document has 64 hexadecimal digits."),
}
_ERRORS_AT: Final[Mapping[str, str]] = {
    "decision_without_case": "case",
    "decision_without_reference": "reference",
    "decision_date": "decided_on",
    "decision_interval": "since",
    "hold_moment_malformed": "since",
    "decision_end": "ends_at",
    "decision_digest": "document_sha256",
}


def records_decisions(viewer: Viewer | None) -> bool:
    """Whether the menu shows decisions: for the officers who record them."""
    return isinstance(viewer, Session) and viewer.profile in decisions.RECORDERS and viewer.party is not None


navigation = [
    NavigationItem(
        label=N_("Prosecutor’s decisions"),
        path="/video/decisions",
        shown_to=records_decisions,
        order=75,
        section="cameras",
    )
]


def _demand(session: Session) -> PartyId:
    """Raises: NotAllowed: `decision_profile`, `profile_not_chosen`."""
    session.author()
    if not records_decisions(session) or session.party is None:
        raise NotAllowed("decision_profile")
    return session.party


class Recorded(msgspec.Struct, frozen=True):
    """A decision, as the API tells it. `stands`: something may be shown on it now."""

    id: UUID
    party: UUID
    case: str
    authority: str
    reference: str
    decided_on: date
    cameras: tuple[UUID, ...]
    since: datetime
    until: datetime
    ends_at: datetime
    document_sha256: str
    recorded_party: UUID
    recorded_at: datetime
    stands: bool

    @classmethod
    def of(cls, each: ProsecutorDecision, at: datetime) -> "Recorded":
        """What is told of it: not who wrote it down, which is in the trace."""
        told: dict[str, Any] = {name: getattr(each, name, None) for name in cls.__struct_fields__}
        return cls(**{**told, "document_sha256": each.document_sha256.hex(), "stands": each.stands(at)})


@get("/api/video/decisions", tags=["video"])
async def list_recorded(
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
    over: FromQuery[bool] = False,
) -> list[Recorded]:
    """The decisions of the prosecutor for the party's cases, and those that it recorded; that stand, or are over."""
    party, at = _demand(session), clock.now()
    async with database.acquire() as connection:
        return [Recorded.of(each, at) for each in await decisions.list_of(connection, party, at, over=over)]


@post("/api/video/decisions", tags=["video"], status_code=201)
async def record_decision(
    data: JSONBody[NewDecision],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Response[Recorded]:
    """A decision of the prosecutor counts from now on. Records: `decision.recorded`."""
    at = clock.now()
    async with database.transaction() as connection:
        made = await decisions.record(connection, sealer, standing, actor_of(session), data, at)
    return Response(Recorded.of(made, at), status_code=201)


@get("/video/decisions", include_in_schema=False)
async def show_decisions(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    over: FromQuery[bool] = False,
) -> Any:
    """Decisions that stand, or those that are over."""
    party, at = _demand(session), clock.now()
    async with database.acquire() as connection:
        found = await decisions.list_of(connection, party, at, over=over)
        ids = {camera for each in found for camera in each.cameras}
        codes = {each.id: each.code for each in await cameras.list_cameras(connection, ids=ids)}
    register = standing.register
    return render(
        request,
        "rights/decisions.html",
        decisions=[
            {
                "it": each,
                "digest": each.document_sha256.hex(),
                "cameras": ", ".join(codes.get(camera, "") for camera in each.cameras),
                "party": register.parties[each.party].name if each.party in register.parties else "",
                "by": register.persons[each.recorded_by].name
                if each.recorded_party == party and each.recorded_by in register.persons
                else None,
                "by_party": register.parties[each.recorded_party].name
                if each.recorded_party in register.parties
                else "",
            }
            for each in found
        ],
        over=over,
    )


@get("/video/decisions/new", include_in_schema=False)
async def show_decision_form(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    rights: NamedDependency[Rights],
) -> Any:
    """The form with which a decision is written down."""
    return await _form(request, session, database, standing, rights, {}, [], None)


@post("/video/decisions/new", status_code=200, include_in_schema=False)
async def write_decision(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    rights: NamedDependency[Rights],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Any:
    """The decision counts. Records: `decision.recorded`."""
    _demand(session)
    sent = await request.form()
    form = {name: str(sent.get(name, ""))[:500] for name in _FIELDS}
    chosen = [str(each) for each in sent.getall("cameras", [])][: decisions.MOST_CAMERAS + 1]
    try:
        asked = NewDecision(
            case=form["case"],
            authority=form["authority"],
            reference=form["reference"],
            decided_on=_day(form["decided_on"], "decision_date"),
            cameras=tuple(CameraId(parse_id(each, "camera")) for each in chosen),
            # Nothing more is shown than was certainly meant: of a time that comes twice what makes it shorter.
            since=read_moment(form["since"], last=True),
            until=read_moment(form["until"]),
            ends_at=_end(form["ends_at"]),
            document_sha256=form["document_sha256"].strip(),
            party=PartyId(parse_id(form["party"], "party")) if form["party"] else None,
        )
        async with database.transaction() as connection:
            await decisions.record(connection, sealer, standing, actor_of(session), asked, clock.now())
    except (Invalid, NotAllowed, NotFound) as error:
        return await _form(request, session, database, standing, rights, form, chosen, error)
    return Redirect("/video/decisions", status_code=303)


@post("/video/decisions/{decision:uuid}/end", status_code=303, include_in_schema=False)
async def end_decision(
    decision: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Redirect:
    """The decision ends now, and what is shown on it. Records: `decision.ended`."""
    async with database.transaction() as connection:
        await decisions.end(
            connection, sealer, standing, actor_of(session), DecisionId(decision), clock.now()
        )
    return Redirect("/video/decisions", status_code=303)


async def _form(
    request: Request[Any, Any, Any],
    session: Session,
    database: Database,
    standing: Standing,
    rights: Rights,
    form: dict[str, str],
    chosen: list[str],
    error: KoinonError | None,
) -> Any:
    party = _demand(session)
    async with database.acquire() as connection:
        own = await cameras.list_cameras(connection, owner=party)
    seen = {
        each.id: each for each in [*own, *await rights.list_visible_cameras(session, Action.VIEW_RECORDING)]
    }
    kind = standing.party_kind(party)
    others = [
        (str(each.id), each.name)
        for each in standing.register.parties.values()
        if each.id != party and standing.party_kind(each.id) == kind
    ]
    return render(
        request,
        "rights/decision_new.html",
        cameras=[
            (str(each.id), f"{each.name} ({each.code})")
            for each in sorted(seen.values(), key=lambda each: each.code)
        ],
        chosen=chosen,
        parties=[("", standing.register.parties[party].name), *others],
        form={**dict.fromkeys(_FIELDS, ""), **form},
        facts=error.facts if error else {},
        problem=portal_of(request).problems.get(error.code) if error else None,
        wrong=_ERRORS_AT.get(error.code, "") if error else "",
        status_code=error.status if error else 200,
    )


def _day(text: str, code: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(code, longest_days=decisions.LONGEST.days) from None


def _end(text: str) -> datetime:
    """When that day is over."""
    try:
        return end_of(_day(text, "decision_end"))
    except ValueError:
        raise Invalid("decision_end", longest_days=decisions.LONGEST.days) from None


handlers = [list_recorded, record_decision, show_decisions, show_decision_form, write_decision, end_decision]
