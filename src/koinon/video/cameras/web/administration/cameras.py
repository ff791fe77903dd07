"""Pages of a party's own cameras: the list, a new one, one and its changes."""

from datetime import datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.ids import parse_id
from koinon.base.settings import Settings
from koinon.portal import render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.parties.store import load_part
from koinon.trust.standing import Standing
from koinon.video.cameras import controls, service, store
from koinon.video.cameras.health import find_health
from koinon.video.cameras.model import (
    FACTS,
    Camera,
    Sensor,
    State,
    observation,
)
from koinon.video.cameras.policy import MANAGER, OPERATOR, sees_all
from koinon.video.cameras.sources import SourceKey
from koinon.video.cameras.territory import MUNICIPALITIES
from koinon.video.cameras.tiles import BaseMap
from koinon.video.cameras.web.administration.forms import (
    CHANGES,
    Change,
    FactsForm,
    NewForm,
    demand_change,
    list_owners,
    read_form,
)
from koinon.video.cameras.web.maps import VisibleTo, address_of, list_known
from koinon.video.cameras.web.words import (
    DRIVERS,
    FIELDS,
    HEALTH,
    OBSERVATIONS,
    PLACES,
    ROLES,
    SENSORS,
    STATES,
    wind,
    words_for,
)


@get("/video/cameras", include_in_schema=False)
async def list_own(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
    visible: NamedDependency[VisibleTo],
) -> Response[bytes]:
    """The party's own cameras; all of them for the operator."""
    return await _list_page(request, session.author(), database, clock, visible)


@post("/video/cameras", include_in_schema=False, status_code=303)
async def add_camera(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    base_map: NamedDependency[BaseMap],
) -> Response[Any]:
    """The camera of the form is in the register; what is wrong with it stands at its field otherwise."""
    author = session.author()
    typed = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    try:
        form = await read_form(request, NewForm)
        owner = PartyId(parse_id(form.owner, "owner")) if form.owner else author.party
        if owner is None:
            raise Invalid("form_incomplete", field="owner", why="owner")
        facts = {name: getattr(form, name) for name in FactsForm.__struct_fields__}
        async with database.transaction() as connection:
            camera = await service.register_camera(
                connection,
                sealer,
                Camera(code=form.code, owner=owner, **facts),
                by=author,
                at=clock.now(),
                rules=standing.bank.rules,
            )
            if form.onvif:
                key = SourceKey.of(settings.home)
                await service.set_control(
                    connection, sealer, key, camera.id, form.onvif, by=author, at=clock.now()
                )
    except KoinonError as error:
        if error.status not in (400, 409) and error.code not in (
            "address_not_allowed",
            "regime_not_admitted",
        ):
            raise
        return await _new_page(request, author, database, base_map, typed=typed, error=error)
    return Redirect(f"/video/cameras/{camera.code}", status_code=303)


@get("/video/new-camera", include_in_schema=False)
async def show_new(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    base_map: NamedDependency[BaseMap],
) -> Response[bytes]:
    """The form on which a camera is registered."""
    return await _new_page(request, session.author(), database, base_map, typed={})


@get("/video/cameras/{code:str}", include_in_schema=False)
async def show_camera(
    request: Request[Any, Any, Any],
    code: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
    visible: NamedDependency[VisibleTo],
) -> Response[bytes]:
    """One camera: what everybody with a right on it may know, and what its owner may change."""
    return await _camera_page(request, code, session, database, clock, visible)


@post("/video/cameras/{code:str}/{what:str}", include_in_schema=False, status_code=303)
async def change_camera(
    request: Request[Any, Any, Any],
    code: FromPath[str],
    what: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    visible: NamedDependency[VisibleTo],
) -> Response[Any]:
    """The change that the form asks is made; what is wrong with it stands above the page otherwise."""
    author = session.author()
    if what not in CHANGES and what != "groups":
        raise NotFound("no_such_page")
    try:
        async with database.transaction() as connection:
            found = await store.find_camera_by_code(connection, code)
            if found is None:
                raise NotFound("camera_unknown")
            change = Change(connection, sealer, settings, found.id, author, clock.now(), standing.bank.rules)
            if what == "groups":
                codes = (await request.form()).getall("groups", [])
                await service.set_groups(
                    connection, sealer, found.id, [str(each) for each in codes], by=author, at=change.at
                )
            else:
                kind, make = CHANGES[what]
                await make(change, await read_form(request, kind))
    except KoinonError as error:
        if error.status >= 500 or error.code == "camera_unknown":
            raise
        return await _camera_page(request, code, session, database, clock, visible, error=error)
    return Redirect(f"/video/cameras/{code}", status_code=303)


async def _may(connection: Connection, author: Author, owner: PartyId, at: datetime) -> bool:
    """Whether buttons are worth showing; the change itself is checked when it is made."""
    try:
        await demand_change(connection, author, owner, at)
    except KoinonError:
        return False
    return True


async def _list_page(
    request: Request[Any, Any, Any], author: Author, database: Database, clock: Clock, visible: VisibleTo
) -> Response[bytes]:
    everything = sees_all(author)
    if not everything and author.party is None:
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)
    async with database.acquire() as connection:
        cameras = await store.list_cameras(connection, owner=None if everything else author.party)
        ids = [each.id for each in cameras]
        streams = await store.list_streams(connection, ids)
        elsewhere = await visible.list_elsewhere(connection, ids)
        health = await find_health(connection, streams, clock.now(), elsewhere)
        names = {each.id: each.name for each in (await load_part(connection)).parties.values()}
    return render(
        request,
        "cameras/list.html",
        cameras=[(each, names.get(each.owner, ""), health[each.id]) for each in cameras],
        streams=streams,
        states=STATES,
        health_words=HEALTH,
        roles=ROLES,
        may_add=author.profile in (MANAGER, OPERATOR),
        operator=author.profile == OPERATOR,
        everything=everything,
    )


async def _new_page(
    request: Request[Any, Any, Any],
    author: Author,
    database: Database,
    base_map: BaseMap,
    *,
    typed: dict[str, str],
    error: KoinonError | None = None,
) -> Response[bytes]:
    if author.profile not in (MANAGER, OPERATOR):
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)
    return render(
        request,
        "cameras/new.html",
        status_code=error.status if error else 200,
        typed=typed,
        problem=words_for(request, error),
        field=error.facts.get("field", "") if error else "",
        owners=await list_owners(database, author),
        tiles=await address_of(base_map),
        **_options(),
    )


def _options() -> dict[str, Any]:
    return {
        "places": [(kind.value, words) for kind, words in PLACES.items()],
        "sensors": [(kind.value, words) for kind, words in SENSORS.items()],
        "drivers": [(kind.value, words) for kind, words in DRIVERS.items()],
        "municipalities": [(code, name) for code, (name, _) in MUNICIPALITIES.items()],
        "fields": FIELDS,
    }


async def _camera_page(
    request: Request[Any, Any, Any],
    code: str,
    session: Session,
    database: Database,
    clock: Clock,
    visible: VisibleTo,
    *,
    error: KoinonError | None = None,
) -> Response[bytes]:
    author = session.author()
    async with database.acquire() as connection:
        known = {each.code: each for each in await list_known(connection, session, visible)}
        camera = known.get(code)
        if camera is None:
            raise NotFound("camera_unknown")
        own = author.party == camera.owner or sees_all(author)
        streams = (await store.list_streams(connection, [camera.id])).get(camera.id, []) if own else []
        control = await controls.find_control(connection, camera.id) if own else None
        all_streams = await store.list_streams(connection, [camera.id])
        elsewhere = await visible.list_elsewhere(connection, [camera.id])
        health = (await find_health(connection, all_streams, clock.now(), elsewhere))[camera.id]
        member_of = (await store.groups_of(connection, [camera.id])).get(camera.id, [])
        groups = await store.list_groups(connection)
        names = {each.id: each.name for each in (await load_part(connection)).parties.values()}
        may_change = await _may(connection, author, camera.owner, clock.now())
    return render(
        request,
        "cameras/camera.html",
        status_code=error.status if error else 200,
        problem=words_for(request, error),
        field=error.facts.get("field", "") if error else "",
        camera=camera,
        typed={
            name: "" if (value := getattr(camera, name)) is None else getattr(value, "value", value)
            for name in FACTS
        },
        owner=names.get(camera.owner, ""),
        municipality=MUNICIPALITIES[camera.municipality][0],
        streams=streams,
        control=control,
        turns=camera.sensor is Sensor.PTZ,
        health=HEALTH[health.state],
        health_detail=health,
        state=STATES[camera.state],
        place=PLACES[camera.place_kind],
        sensor=SENSORS[camera.sensor],
        purpose=OBSERVATIONS.get(observation(camera.pixels_per_metre)),  # type: ignore[arg-type]
        direction=wind(camera.direction_deg),
        groups=[each for each in groups if each.code in member_of],
        theirs=[(each.code, each.title) for each in groups if not each.derived],
        member_of=member_of,
        roles=ROLES,
        role_options=[(role.value, words) for role, words in ROLES.items()],
        may_change=may_change and camera.state is not State.RETIRED,
        own=own,
        **_options(),
    )


handlers = [list_own, add_camera, show_new, show_camera, change_camera]
