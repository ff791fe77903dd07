"""Control centres and work stations: the page of a party, and what its browsers ask."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import Redirect

from koinon.base.clock import Clock, rfc3339
from koinon.base.crypto import from_b64url
from koinon.base.database import Database
from koinon.base.errors import KoinonError, NotAllowed, NotFound
from koinon.base.settings import Settings
from koinon.portal import N_, NavigationItem, Viewer, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras import station_store, stations
from koinon.video.cameras.model import CentreId, StationId
from koinon.video.cameras.policy import MANAGER
from koinon.video.cameras.web.words import words_for

LOOKERS = (MANAGER, "party_manager", "security_adviser", "control_room_operator", "control_room_supervisor")


def _looks(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in LOOKERS


navigation = [
    NavigationItem(
        label=N_("Work stations"), path="/video/stations", shown_to=_looks, order=50, section="cameras"
    )
]


class Challenge(msgspec.Struct, frozen=True):
    """What the browser is to sign, as `koinon.video.cameras.stations.statement` writes it."""

    challenge: str
    platform: str


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For which station a challenge is asked; none for one to be registered."""

    station: UUID | None = None


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A browser that wants to be a work station. Key and signature: base64url."""

    centre: UUID
    name: str
    public_key: str
    challenge: str
    signature: str


class Registered(msgspec.Struct, frozen=True):
    """The new work station's id, which the browser keeps beside its key."""

    station: str


class Present(msgspec.Struct, frozen=True):
    """Until when the session counts as being at the station."""

    until: str


@get("/video/stations", include_in_schema=False)
async def show_stations(
    request: Request[Any, Any, Any], session: NamedDependency[Session], database: NamedDependency[Database]
) -> Response[bytes]:
    """The party's control centres and work stations."""
    return await _page(request, session, database)


@post("/video/stations/centres", include_in_schema=False, status_code=303)
async def add_centre(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The party has a control centre of the name in the form."""
    party = _party(session)
    name = str((await request.form()).get("name") or "")
    try:
        async with database.transaction() as connection:
            await stations.register_centre(
                connection, sealer, party, name, by=session.author(), at=clock.now()
            )
    except KoinonError as error:
        if error.status not in (400, 409):
            raise
        return await _page(request, session, database, error=error)
    return Redirect("/video/stations", status_code=303)


@post("/video/stations/{station:uuid}/revoke", include_in_schema=False, status_code=303)
async def revoke(
    station: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The browser is a work station no more."""
    async with database.transaction() as connection:
        await stations.revoke_station(
            connection, sealer, StationId(station), by=session.author(), at=clock.now()
        )
    return Redirect("/video/stations", status_code=303)


@post("/api/video/stations/challenge", status_code=200, tags=["cameras"], summary="A challenge to sign")
async def ask_challenge(
    data: JSONBody[Asked],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> Challenge:
    """A challenge for this session, good for two minutes and one answer."""
    _party(session)
    station = None if data.station is None else StationId(data.station)
    async with database.transaction() as connection:
        if station is not None:
            found = await station_store.find_station(connection, station)
            if found is None or found[1].party != session.party:
                raise NotFound("station_unknown")
        challenge = await stations.make_challenge(connection, session.token_hash, station, clock.now())
    return Challenge(challenge, settings.ledger_origin)


@post("/api/video/stations", status_code=201, tags=["cameras"], summary="Register this browser")
async def add_station(
    data: JSONBody[Registration],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> Registered:
    """The browser that holds the key is a work station of the control centre."""
    async with database.transaction() as connection:
        made = await stations.register_station(
            connection,
            sealer,
            CentreId(data.centre),
            data.name,
            from_b64url(data.public_key, length=stations.POINT_BYTES),
            data.challenge,
            from_b64url(data.signature, length=stations.SIGNATURE_BYTES),
            platform=settings.ledger_origin,
            session=session.token_hash,
            by=session.author(),
            at=clock.now(),
        )
    return Registered(str(made.id))


@post("/api/video/stations/presence", status_code=200, tags=["cameras"], summary="Prove where one is")
async def prove_presence(
    data: JSONBody[stations.Answer],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> Present:
    """The session is at the work station for ten minutes; its browser asks again before they are over."""
    at = clock.now()
    async with database.transaction() as connection:
        station = await stations.verify_station(
            connection,
            _party(session),
            data.station,
            data.challenge,
            from_b64url(data.signature, length=stations.SIGNATURE_BYTES),
            platform=settings.ledger_origin,
            session=session.token_hash,
            at=at,
        )
        until = await stations.be_present(connection, station, session.token_hash, at)
    return Present(rfc3339(until))


def _party(session: Session) -> PartyId:
    if session.party is None:
        raise NotAllowed("profile_not_chosen")
    return session.party


async def _page(
    request: Request[Any, Any, Any], session: Session, database: Database, *, error: KoinonError | None = None
) -> Response[bytes]:
    if session.profile not in LOOKERS:
        raise NotAllowed("camera_change_not_allowed", profile=session.profile)
    party = _party(session)
    async with database.acquire() as connection:
        centres = await station_store.list_centres(connection, party)
        found = await station_store.list_stations(connection, party)
    names = {each.id: each.name for each in centres}
    return render(
        request,
        "cameras/stations.html",
        status_code=error.status if error else 200,
        problem=words_for(request, error),
        centres=[(str(each.id), each.name) for each in centres],
        stations=[(each, names[each.centre]) for each in found],
        may_register=session.profile in (MANAGER, "party_manager"),
        may_revoke=session.profile in (MANAGER, "party_manager", "security_adviser"),
    )


handlers = [show_stations, add_centre, revoke, ask_challenge, add_station, prove_presence]
