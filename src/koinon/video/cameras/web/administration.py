"""Pages on which a party looks after its cameras: register, change, pause, retire, share, streams, groups, import."""

import io
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.ids import parse_id
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.portal import N_, NavigationItem, Viewer, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.parties.store import load_part
from koinon.video.cameras import importing, service, store
from koinon.video.cameras.health import find_health
from koinon.video.cameras.model import (
    FACTS,
    Camera,
    CameraId,
    Driver,
    Group,
    GroupKind,
    PlaceKind,
    Role,
    Sensor,
    State,
    observation,
)
from koinon.video.cameras.networks import check_network
from koinon.video.cameras.policy import MANAGER, OPERATOR, check_may_change, check_may_set_networks, sees_all
from koinon.video.cameras.service.record import is_managed
from koinon.video.cameras.sources import SourceKey
from koinon.video.cameras.territory import MUNICIPALITIES
from koinon.video.cameras.web.maps import VisibleTo, list_known
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

MAX_UPLOAD_BYTES = 8 * 1024 * 1024


def _manages(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in (MANAGER, OPERATOR)


navigation = [
    NavigationItem(
        label=N_("Manage cameras"), path="/video/cameras", shown_to=_manages, order=40, section="cameras"
    ),
    NavigationItem(label=N_("Import"), path="/video/import", shown_to=_manages, order=42, section="cameras"),
]


class Change(NamedTuple):
    """What a change works with."""

    connection: Connection
    sealer: Sealer
    settings: Settings
    camera: CameraId
    by: Author
    at: datetime


class Nothing(msgspec.Struct):
    """A form with a button and no field."""


class FactsForm(msgspec.Struct):
    """Facts as typed; a field left empty is unknown."""

    name: str
    latitude: float
    longitude: float
    place_kind: PlaceKind
    municipality: str
    sensor: Sensor
    height_m: float | None = None
    direction_deg: float | None = None
    field_of_view_deg: float | None = None
    range_m: float | None = None
    pixels_per_metre: float | None = None
    declaration: str = ""
    doubly_recorded: bool = False


class NewForm(FactsForm):
    """A camera to register."""

    code: str = ""
    owner: str = ""


class StreamForm(msgspec.Struct):
    """Where a picture comes from."""

    role: Role
    source: str
    driver: Driver = Driver.RTSP
    recorded: bool = False


class RoleForm(msgspec.Struct):
    """Whether a stream is kept."""

    role: Role
    recorded: bool = False


async def _change_facts(change: Change, form: FactsForm) -> None:
    facts = {name: getattr(form, name) for name in FactsForm.__struct_fields__}
    await service.change_camera(
        change.connection, change.sealer, change.camera, facts, by=change.by, at=change.at
    )


async def _set_stream(change: Change, form: StreamForm) -> None:
    await service.set_stream(
        change.connection,
        change.sealer,
        SourceKey.of(change.settings.home),
        change.camera,
        form.role,
        form.source,
        driver=form.driver,
        recorded=form.recorded,
        by=change.by,
        at=change.at,
    )


async def _keep_stream(change: Change, form: RoleForm) -> None:
    await service.keep_stream(
        change.connection,
        change.sealer,
        change.camera,
        form.role,
        recorded=form.recorded,
        by=change.by,
        at=change.at,
    )


def _to(verb: Callable[..., Awaitable[Camera]]) -> Callable[[Change, Any], Awaitable[None]]:
    async def make(change: Change, form: Nothing) -> None:
        await verb(change.connection, change.sealer, change.camera, by=change.by, at=change.at)

    return make


CHANGES: dict[str, tuple[type[msgspec.Struct], Callable[[Change, Any], Awaitable[None]]]] = {
    "facts": (FactsForm, _change_facts),
    "stream": (StreamForm, _set_stream),
    "keep": (RoleForm, _keep_stream),
    "pause": (Nothing, _to(service.pause_camera)),
    "resume": (Nothing, _to(service.resume_camera)),
    "retire": (Nothing, _to(service.retire_camera)),
    "share": (Nothing, _to(service.share_camera)),
    "unshare": (Nothing, _to(service.unshare_camera)),
}


@get("/video/cameras", include_in_schema=False)
async def list_own(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[bytes]:
    """The party's own cameras; all of them for the operator."""
    return await _list_page(request, session.author(), database, clock)


@post("/video/cameras", include_in_schema=False, status_code=303)
async def add_camera(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The camera of the form is in the register; what is wrong with it stands at its field otherwise."""
    author = session.author()
    typed = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    try:
        form = await _read(request, NewForm)
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
            )
    except KoinonError as error:
        if error.status not in (400, 409):
            raise
        return await _new_page(request, author, database, clock, typed=typed, error=error)
    return Redirect(f"/video/cameras/{camera.code}", status_code=303)


@get("/video/new-camera", include_in_schema=False)
async def show_new(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[bytes]:
    """The form on which a camera is registered."""
    return await _new_page(request, session.author(), database, clock, typed={})


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
            change = Change(connection, sealer, settings, found.id, author, clock.now())
            if what == "groups":
                codes = (await request.form()).getall("groups", [])
                await service.set_groups(
                    connection, sealer, found.id, [str(each) for each in codes], by=author, at=change.at
                )
            else:
                kind, make = CHANGES[what]
                await make(change, await _read(request, kind))
    except KoinonError as error:
        if error.status >= 500 or error.code == "camera_unknown":
            raise
        return await _camera_page(request, code, session, database, clock, visible, error=error)
    return Redirect(f"/video/cameras/{code}", status_code=303)


@get("/video/import", include_in_schema=False)
async def show_import(
    request: Request[Any, Any, Any], session: NamedDependency[Session], database: NamedDependency[Database]
) -> Response[bytes]:
    """Where a file of cameras is handed in."""
    return await _import_page(request, session.author(), database)


@post("/video/import", include_in_schema=False, status_code=200, request_max_body_size=MAX_UPLOAD_BYTES)
async def import_file(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> Response[bytes]:
    """What became of each row of the file; nothing stays of a trial."""
    author = session.author()
    try:
        form = await request.form()
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            raise Invalid("file_missing", field="file")
        given = str(form.get("owner") or "")
        owner = PartyId(parse_id(given, "owner")) if given else author.party
        if owner is None:
            raise Invalid("form_incomplete", field="owner", why="owner")
        async with database.acquire() as connection:
            await _demand(connection, author, owner, clock.now())
        reports = [
            each
            async for each in importing.import_rows(
                database,
                sealer,
                SourceKey.of(settings.home),
                owner,
                importing.reader_of(file.filename)(io.BytesIO(await file.read())),
                by=author,
                at=clock.now(),
                dry_run=form.get("trial") == "on",
            )
        ]
    except KoinonError as error:
        if error.status not in (400, 413):
            raise
        return await _import_page(request, author, database, error=error)
    return await _import_page(
        request, author, database, reports=reports, trial=form.get("trial") == "on", name=file.filename
    )


@get("/video/networks", include_in_schema=False)
async def show_networks(
    request: Request[Any, Any, Any], session: NamedDependency[Session], database: NamedDependency[Database]
) -> Response[bytes]:
    """In which networks cameras of each party may stand, and the groups; for the operator."""
    check_may_set_networks(session.author())
    return await _networks_page(request, database)


@post("/video/networks/{what:str}", include_in_schema=False, status_code=303)
async def change_networks(
    request: Request[Any, Any, Any],
    what: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """A network is allowed or no longer, or a group is made."""
    author, at = session.author(), clock.now()
    check_may_set_networks(author)
    form = {name: str(value) for name, value in (await request.form()).items()}
    loopback = settings.mode == "embedded"
    try:
        async with database.transaction() as connection:
            if what == "group":
                title = Text(form.get("nl", ""), form.get("fr", ""), form.get("en", ""))
                made = Group(code=form.get("code", ""), title=title, kind=GroupKind.THEME)
                await service.make_group(connection, sealer, made, by=author, at=at)
            elif what in ("allow", "forbid"):
                party = PartyId(parse_id(form.get("party", ""), "party"))
                network = form.get("network", "")
                if what == "allow":
                    await service.allow_network(
                        connection, sealer, party, network, loopback=loopback, by=author, at=at
                    )
                else:
                    parsed = check_network(network, loopback=True)
                    await service.forbid_network(connection, sealer, party, parsed, by=author, at=at)
            else:
                raise NotFound("no_such_page")
    except KoinonError as error:
        if error.status >= 500 or error.code == "no_such_page":
            raise
        return await _networks_page(request, database, error=error)
    return Redirect("/video/networks", status_code=303)


async def _demand(connection: Connection, author: Author, owner: PartyId, at: datetime) -> None:
    managed = author.profile == OPERATOR and await is_managed(connection, owner, at)
    check_may_change(author, owner, managed=managed)


async def _may(connection: Connection, author: Author, owner: PartyId, at: datetime) -> bool:
    """Whether buttons are worth showing; the change itself is checked when it is made."""
    try:
        await _demand(connection, author, owner, at)
    except KoinonError:
        return False
    return True


async def _read(request: Request[Any, Any, Any], kind: type[Any]) -> Any:
    """The form; a field left empty is absent.

    Raises:
        Invalid: `form_incomplete`.
    """
    form = await request.form()
    known = kind.__struct_fields__
    values = {name: value for name, value in form.items() if name in known and value != ""}
    for name in ("recorded", "doubly_recorded"):
        if name in values:
            values[name] = values[name] == "on"
    for name, value in values.items():
        if name.endswith(("_deg", "_m", "itude", "_metre")) and isinstance(value, str):
            values[name] = value.strip().replace(",", ".", 1)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        field = next((name for name in known if f"$.{name}" in str(error) or f"`{name}`" in str(error)), "")
        raise Invalid("form_incomplete", why=str(error), field=field) from None


async def _list_page(
    request: Request[Any, Any, Any], author: Author, database: Database, clock: Clock
) -> Response[bytes]:
    everything = sees_all(author)
    if not everything and author.party is None:
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)
    async with database.acquire() as connection:
        cameras = await store.list_cameras(connection, owner=None if everything else author.party)
        ids = [each.id for each in cameras]
        streams = await store.list_streams(connection, ids)
        health = await find_health(connection, streams, clock.now())
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
    clock: Clock,
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
        owners=await _owners(database, author),
        **_options(),
    )


async def _owners(database: Database, author: Author) -> list[tuple[str, Text]]:
    """For whom the author may choose to act: nobody else than the own party, but for the operator."""
    if author.profile != OPERATOR:
        return []
    async with database.acquire() as connection:
        parties = (await load_part(connection)).parties.values()
    return [(str(each.id), each.name) for each in sorted(parties, key=lambda each: each.name.nl.casefold())]


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
        all_streams = await store.list_streams(connection, [camera.id])
        health = (await find_health(connection, all_streams, clock.now()))[camera.id]
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


async def _import_page(
    request: Request[Any, Any, Any],
    author: Author,
    database: Database,
    *,
    reports: list[importing.RowReport] | None = None,
    trial: bool = False,
    name: str = "",
    error: KoinonError | None = None,
) -> Response[bytes]:
    if author.profile not in (MANAGER, OPERATOR):
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)
    return render(
        request,
        "cameras/import.html",
        status_code=error.status if error else 200,
        problem=words_for(request, error),
        facts=error.facts if error else {},
        reports=[
            (each, words_for(request, Invalid(each.code, **each.facts)) if each.code else None)
            for each in reports or ()
        ],
        counts=importing.count(reports) if reports is not None else None,
        trial=trial,
        name=name,
        columns=importing.COLUMNS,
        required=importing.REQUIRED,
        fields=FIELDS,
        owners=await _owners(database, author),
    )


async def _networks_page(
    request: Request[Any, Any, Any], database: Database, *, error: KoinonError | None = None
) -> Response[bytes]:
    async with database.acquire() as connection:
        parties = sorted(
            (await load_part(connection)).parties.values(), key=lambda each: each.name.nl.casefold()
        )
        networks = [(each, await store.list_networks(connection, each.id)) for each in parties]
        groups = await store.list_groups(connection)
    return render(
        request,
        "cameras/networks.html",
        status_code=error.status if error else 200,
        problem=words_for(request, error),
        networks=[(party, found) for party, found in networks if found],
        parties=[(str(each.id), each.name) for each in parties],
        groups=[each for each in groups if not each.derived],
    )


handlers = [
    list_own,
    add_camera,
    show_new,
    show_camera,
    change_camera,
    show_import,
    import_file,
    show_networks,
    change_networks,
]
