"""The camera map: for who is signed in, and for everybody."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.response import Stream

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.ranges import find_piece
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.portal import N_, NavigationItem, Viewer, portal_of, render
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.parties.store import load_part
from koinon.video.cameras import store
from koinon.video.cameras.health import Told, find_health
from koinon.video.cameras.mapping import Marker, cells_for, collection, draw, load_cells, mark
from koinon.video.cameras.model import Camera, CameraId, GroupKind, State, observation
from koinon.video.cameras.policy import sees_all
from koinon.video.cameras.tiles import BaseMap
from koinon.video.cameras.web.words import HEALTH, OBSERVATIONS, PLACES, SENSORS, STATES, wind


class VisibleTo:
    """Of which cameras the rights to images let somebody know, and which their owners record. The floors above answer:
    wiring asks them."""

    def __init__(
        self,
        ask: Callable[[Session], Awaitable[Collection[CameraId]]],
        elsewhere: Callable[[Connection, Collection[CameraId]], Awaitable[Collection[CameraId]]],
    ) -> None:
        self._ask = ask
        self._elsewhere = elsewhere

    async def __call__(self, session: Session) -> Collection[CameraId]:
        """The cameras, of whichever party."""
        return await self._ask(session)

    async def list_elsewhere(
        self, connection: Connection, cameras: Collection[CameraId]
    ) -> Collection[CameraId]:
        """Those of the cameras whose recordings stay with their owner."""
        return await self._elsewhere(connection, cameras)


GEOJSON = "application/geo+json"
TILES = "application/vnd.pmtiles"


def _has_cameras(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.party is not None


navigation = [
    NavigationItem(label=N_("Cameras"), path="/video", shown_to=_has_cameras, order=40),
    NavigationItem(label=N_("Map"), path="/video", shown_to=_has_cameras, order=5, section="cameras"),
    NavigationItem(label=N_("Cameras in public places"), path="/cameras", section="footer", order=40),
]


async def list_known(
    connection: Connection, session: Session, visible: VisibleTo, **conditions: Any
) -> list[Camera]:
    """The cameras of which this person may know: the own party's, those to which a right leads, all for who watches
    over the register. Retired ones only of the own party.
    """
    found = await store.list_cameras(connection, **conditions)
    if session.profile is not None and sees_all(session.author()):
        return found
    allowed = set(await visible(session))
    return [
        each
        for each in found
        if (session.profile is not None and each.owner == session.party)
        or (each.id in allowed and each.state is not State.RETIRED)
    ]


async def list_public(connection: Connection) -> list[Camera]:
    """The cameras of which everybody may know: shared, at a public place, not retired."""
    return [
        each for each in await store.list_cameras(connection, shared=True) if each.state is not State.RETIRED
    ]


class Choice(msgspec.Struct, frozen=True):
    """What the reader asked to see."""

    owner: str = ""
    group: str = ""
    state: str = ""

    def takes(self, camera: Camera, groups: Collection[str], health: str) -> bool:
        """Whether the camera is among what was asked. A state is the register's or the recorder's word."""
        return (
            (not self.owner or str(camera.owner) == self.owner)
            and (not self.group or self.group in groups)
            and (not self.state or self.state in (camera.state.value, health))
        )


class Shown(msgspec.Struct, frozen=True):
    """What the map shows, and among what can be chosen."""

    markers: list[Marker]
    owners: dict[PartyId, Text]
    groups: list[tuple[str, Text]]
    total: int


async def _look(
    connection: Connection, session: Session, visible: VisibleTo, clock: Clock, choice: Choice
) -> Shown:
    known = await list_known(connection, session, visible)
    ids = [each.id for each in known]
    streams = await store.list_streams(connection, ids)
    elsewhere = await visible.list_elsewhere(connection, ids)
    health = await find_health(connection, streams, clock.now(), elsewhere)
    groups = await store.groups_of(connection, ids)
    names = await _names(connection)
    used = {code for each in groups.values() for code in each}
    titles = [
        (each.code, each.title)
        for each in await store.list_groups(connection)
        if each.code in used and each.kind is not GroupKind.OWNER
    ]
    chosen = [each for each in known if choice.takes(each, groups.get(each.id, ()), health[each.id].state)]
    links = {each.id: f"/video/cameras/{each.code}" for each in chosen}
    return Shown(
        mark(chosen, names, health, links),
        {each.owner: names[each.owner] for each in known if each.owner in names},
        titles,
        len(known),
    )


async def _names(connection: Connection) -> dict[PartyId, Text]:
    return {each.id: each.name for each in (await load_part(connection)).parties.values()}


def _choice(request: Request[Any, Any, Any]) -> Choice:
    asked = {name: request.query_params.get(name, "")[:64] for name in Choice.__struct_fields__}
    return Choice(**asked)


@get("/video", include_in_schema=False)
async def show_map(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
    visible: NamedDependency[VisibleTo],
    base_map: NamedDependency[BaseMap],
) -> Response[bytes]:
    """The cameras that the viewer may know of, on a map and in a list."""
    choice = _choice(request)
    async with database.acquire() as connection:
        shown = await _look(connection, session, visible, clock, choice)
    cells = cells_for([each.camera for each in shown.markers], load_cells(settings.home))
    language = portal_of(request).language_of(request)
    query = "&".join(f"{name}={getattr(choice, name)}" for name in Choice.__struct_fields__)
    return render(
        request,
        "cameras/map.html",
        drawing=draw(shown.markers, cells, public=False),
        markers=shown.markers,
        legend=_legend(shown.markers),
        total=shown.total,
        choice=choice,
        owners=sorted(
            ((str(id_), name) for id_, name in shown.owners.items()),
            key=lambda each: each[1].in_(language).casefold(),
        ),
        groups=shown.groups,
        state_options=[(state.value, STATES[state][0]) for state in STATES]
        + [(code, label) for code, (label, _) in HEALTH.items()],
        source=f"/video/map.geojson?{query}",
        tiles=await address_of(base_map),
        states=STATES,
        health=HEALTH,
        sensors=SENSORS,
        observations=OBSERVATIONS,
        observation_of=observation,
        wind=wind,
    )


@get("/video/map.geojson", include_in_schema=False)
async def show_map_data(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
    visible: NamedDependency[VisibleTo],
) -> Response[bytes]:
    """The same as GeoJSON, for the map's script."""
    async with database.acquire() as connection:
        shown = await _look(connection, session, visible, clock, _choice(request))
    return _answer(request, shown.markers, settings, public=False)


@get("/cameras", opt={"public": True}, include_in_schema=False)
async def show_public_map(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    base_map: NamedDependency[BaseMap],
) -> Response[bytes]:
    """Which shared cameras there are in public places, whose, what they record, and what one may do about it."""
    async with database.acquire() as connection:
        cameras = await list_public(connection)
        names = await _names(connection)
    markers = mark(cameras, names, Told(), {})
    cells = cells_for(cameras, load_cells(settings.home))
    return render(
        request,
        "cameras/public.html",
        drawing=draw(markers, cells, public=True),
        markers=markers,
        legend=_legend(markers),
        source="/cameras.geojson",
        tiles=await address_of(base_map),
        places=PLACES,
        sensors=SENSORS,
        wind=wind,
    )


@get(
    "/cameras.geojson",
    opt={"public": True},
    tags=["cameras"],
    summary="Shared cameras in public places",
    media_type=GEOJSON,
    responses={200: ResponseSpec(dict[str, Any], description="A FeatureCollection.", media_type=GEOJSON)},
)
async def show_public_data(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> Response[bytes]:
    """Position, owner, direction and declaration of each shared camera, as GeoJSON (RFC 7946)."""
    async with database.acquire() as connection:
        cameras = await list_public(connection)
        names = await _names(connection)
    return _answer(request, mark(cameras, names, Told(), {}), settings, public=True)


@get("/maps/base.pmtiles", opt={"public": True}, include_in_schema=False)
async def send_tiles(request: Request[Any, Any, Any], base_map: NamedDependency[BaseMap]) -> Stream:
    """The site's base map, or one range of it: the only file that this address ever leads to."""
    opened = await base_map.open()
    ask = request.headers.get
    piece = find_piece(ask("range"), ask("if-range"), opened.tag, opened.size)
    return Stream(
        opened.send(piece),
        status_code=piece.status,
        media_type=TILES,
        headers=piece.headers(opened.tag) | {"Cache-Control": "public, max-age=86400"},
    )


async def address_of(base_map: BaseMap) -> str:
    """Where the map's script finds the base map; empty where there is none that can be drawn."""
    version = await base_map.find_version()
    return f"/maps/base.pmtiles?{version}" if version else ""


def _answer(
    request: Request[Any, Any, Any], markers: Sequence[Marker], settings: Settings, *, public: bool
) -> Response[bytes]:
    cells = cells_for([each.camera for each in markers], load_cells(settings.home))
    language = portal_of(request).language_of(request)
    body = msgspec.json.encode(collection(markers, cells, language, public=public))
    return Response(body, media_type=GEOJSON)


def _legend(markers: Sequence[Marker]) -> list[tuple[int, Text, int]]:
    """Colour, owner, how many cameras."""
    counts: dict[PartyId, int] = {}
    for each in markers:
        counts[each.camera.owner] = counts.get(each.camera.owner, 0) + 1
    first: Mapping[PartyId, Marker] = {each.camera.owner: each for each in reversed(markers)}
    return sorted(
        ((each.colour, each.owner, counts[party]) for party, each in first.items()),
        key=lambda each: (each[0], each[1].nl),
    )
