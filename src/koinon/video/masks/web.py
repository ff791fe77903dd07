"""The page on which the owner's camera manager draws what of a picture nobody is to see."""

from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.portal import N_, NavigationItem, Viewer, portal_of, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.video.cameras.model import Camera, CameraId
from koinon.video.cameras.store import find_camera, list_cameras
from koinon.video.masks import service
from koinon.video.masks.model import Kind
from koinon.video.masks.policy import area, parse_points, write_points

MANAGER = "camera_manager"
KINDS = {Kind.FILL: N_("one grey"), Kind.MOSAIC: N_("coarse blocks")}


def sets_masks(viewer: Viewer | None) -> bool:
    """Whether the menu shows masks: for camera managers."""
    return isinstance(viewer, Session) and viewer.profile == MANAGER


navigation = [
    NavigationItem(label=N_("Masks"), path="/video/masks", shown_to=sets_masks, order=52, section="cameras")
]
problems = {
    "mask_too_many": N_("At most %(most_polygons)s outlines of %(most_points)s points."),
    "mask_point_outside": N_(
        "Outline %(polygon)s has a point outside the picture: points lie from 0 to 100."
    ),
    "mask_without_area": N_("Outline %(polygon)s covers nothing: it needs three points that are no line."),
    "mask_points_malformed": N_("Line %(line)s is no list of points: write x,y in percent, apart by spaces."),
    "mask_without_reason": N_("Write what is masked and why, in at most %(most_characters)s characters."),
    "mask_newer": N_("Another mask was set in the meantime. Look at it first."),
}


def _demand(session: Session) -> None:
    """Raises: NotAllowed: `camera_managers_only`, `profile_not_chosen`."""
    session.author()
    if session.profile != MANAGER or session.party is None:
        raise NotAllowed("camera_managers_only")


@get("/video/masks", include_in_schema=False)
async def list_masks(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
) -> Any:
    """The party's cameras, with how much of each is masked now."""
    _demand(session)
    async with database.acquire() as connection:
        cameras = await list_cameras(connection, owner=session.party)
        masks = {each.id: await service.list_masks(connection, each.id) for each in cameras}
    rows = []
    for camera in cameras:
        current = next((each for each in masks[camera.id] if each.valid_until is None), None)
        rows.append((camera, current, round(100 * sum(map(area, current.polygons))) if current else 0))
    return render(request, "masks/list.html", rows=rows)


@get("/video/masks/{camera:uuid}", include_in_schema=False)
async def show_masks(
    request: Request[Any, Any, Any],
    camera: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
) -> Any:
    """What is masked now and what was masked before; the form to change it."""
    return await _form(request, CameraId(camera), session, database, {}, None)


@post("/video/masks/{camera:uuid}", status_code=200, include_in_schema=False)
async def set_masks(
    request: Request[Any, Any, Any],
    camera: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Any:
    """From now on the camera is masked as the form says. Records: `masks.set`."""
    author = session.author()
    standing.check_author(author, clock.now())  # who was suspended uncovers nothing
    sent = await request.form()
    form = {name: str(sent.get(name, ""))[:20_000] for name in ("points", "kind", "why")}
    try:
        kind = Kind(form["kind"]) if form["kind"] in [each.value for each in Kind] else Kind.FILL
        async with database.transaction() as connection:
            await service.set_mask(
                connection,
                sealer,
                author,
                CameraId(camera),
                parse_points(form["points"]),
                kind,
                form["why"],
                clock.now(),
            )
    except Invalid as error:
        return await _form(request, CameraId(camera), session, database, form, error)
    return Redirect(f"/video/masks/{camera}", status_code=303)


async def _form(
    request: Request[Any, Any, Any],
    camera: CameraId,
    session: Session,
    database: Database,
    form: dict[str, str],
    error: KoinonError | None,
) -> Any:
    _demand(session)
    async with database.acquire() as connection:
        found: Camera | None = await find_camera(connection, camera)
        if found is None or found.owner != session.party:
            raise NotFound("camera_unknown")
        masks = await service.list_masks(connection, camera)
    current = next((each for each in masks if each.valid_until is None), None)
    polygons = current.polygons if current else ()
    return render(
        request,
        "masks/edit.html",
        camera=found,
        masks=[
            (each, KINDS[each.kind], round(100 * sum(map(area, each.polygons)))) for each in reversed(masks)
        ],
        outlines=[" ".join(f"{x * 160:g},{y * 90:g}" for x, y in polygon) for polygon in polygons],
        points=form.get("points", write_points(polygons)),
        kind=form.get("kind", current.kind.value if current else Kind.FILL.value),
        kinds=[(each.value, words) for each, words in KINDS.items()],
        why=form.get("why", current.why if current else ""),
        problem=portal_of(request).problems.get(error.code) if error else None,
        facts=error.facts if error else {},
        field=("why" if error.code == "mask_without_reason" else "points") if error else "",
        status_code=error.status if error else 200,
    )


handlers = [list_masks, show_masks, set_masks]
