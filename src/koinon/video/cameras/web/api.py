"""Cameras as JSON, for programs of a person who is signed in."""

import io
from typing import Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import NotAllowed
from koinon.base.settings import Settings
from koinon.trust.ledger import Sealer
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.video.cameras import importing, store
from koinon.video.cameras.model import Camera, observation
from koinon.video.cameras.rows import reader_of
from koinon.video.cameras.sources import SourceKey
from koinon.video.cameras.web.administration.files import MAX_UPLOAD_BYTES
from koinon.video.cameras.web.maps import VisibleTo, list_known


class CameraView(msgspec.Struct, frozen=True):
    """A camera as somebody with a right on it may know it; where it is connected to is no part of it."""

    id: str
    code: str
    owner: str
    name: str
    latitude: float
    longitude: float
    height_m: float | None
    direction_deg: float | None
    field_of_view_deg: float | None
    range_m: float | None
    pixels_per_metre: float | None
    observation: str | None
    place_kind: str
    municipality: str
    zone: str | None
    sensor: str
    declaration: str
    regime: str
    state: str
    shared: bool
    demo: bool
    groups: list[str]


class CameraList(msgspec.Struct, frozen=True):
    """Cameras, by code."""

    cameras: list[CameraView]


@get("/api/video/cameras", tags=["cameras"], summary="Cameras that one may know of")
async def list_cameras(
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    visible: NamedDependency[VisibleTo],
) -> CameraList:
    """The own party's cameras, and those to which a right leads."""
    async with database.acquire() as connection:
        known = await list_known(connection, session, visible)
        groups = await store.groups_of(connection, [each.id for each in known])
    return CameraList([_view(each, groups.get(each.id, [])) for each in known])


def _view(camera: Camera, groups: list[str]) -> CameraView:
    purpose = observation(camera.pixels_per_metre)
    facts: dict[str, Any] = {
        name: getattr(camera, name)
        for name in CameraView.__struct_fields__
        if name in Camera.__struct_fields__
    }
    for name in ("place_kind", "sensor", "state"):
        facts[name] = facts[name].value
    facts |= {"id": str(camera.id), "owner": str(camera.owner)}
    return CameraView(**facts, observation=purpose.value if purpose else None, groups=groups)


@post(
    "/api/video/cameras/import",
    status_code=200,
    tags=["cameras"],
    summary="Import the own cameras",
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def import_cameras(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    kind: FromQuery[Literal["csv", "geojson"]] = "csv",
    dry_run: FromQuery[bool] = False,
) -> importing.ImportReport:
    """The body is a CSV or GeoJSON file of the party's cameras; tells for each row what became of it."""
    author = session.author()
    if author.party is None:
        raise NotAllowed("profile_not_chosen")
    rows = importing.import_rows(
        database,
        sealer,
        SourceKey.of(settings.home),
        author.party,
        reader_of(f".{kind}")(io.BytesIO(await request.body())),
        by=author,
        at=clock.now(),
        rules=standing.bank.rules,
        dry_run=dry_run,
    )
    reports = [each async for each in rows]
    return importing.summarise(reports, dry_run=dry_run)


handlers: list[Any] = [list_cameras, import_cameras]
