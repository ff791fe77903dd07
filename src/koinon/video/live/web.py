"""Pages of live viewing: the wall, and one camera."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from koinon.base.database import Database
from koinon.base.errors import NotFound
from koinon.portal import MEDIA_POLICY, N_, NavigationItem, Viewer, portal_of, render
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules.store import load_vocabulary
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera
from koinon.video.live.words import PROBLEMS, WORDS
from koinon.video.rights import Action, Rights, choices_of
from koinon.video.steering import Steering
from koinon.video.steering.words import WORDS as STEERING

SIZES = (1, 4, 9, 16)
_PAGE = {"Content-Security-Policy": MEDIA_POLICY}

problems = PROBLEMS


def may_watch(viewer: Viewer | None) -> bool:
    """Whether the menu shows the wall: who acts for a party that could have cameras to watch."""
    return (
        isinstance(viewer, Session)
        and viewer.party is not None
        and viewer.party_kind not in ("commission", "witness")
    )


navigation = [
    NavigationItem(label=N_("Live wall"), path="/video/wall", shown_to=may_watch, order=10, section="cameras")
]


@get("/video/wall", include_in_schema=False)
async def show_wall(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    rights: NamedDependency[Rights],
    standing: NamedDependency[Standing],
    steering: NamedDependency[Steering],
    database: NamedDependency[Database],
) -> Any:
    """One to sixteen cameras of those that the viewer may see. Which, and how many, stands in the address."""
    cameras = await rights.list_visible_cameras(session, Action.VIEW_LIVE)
    return await _show(request, session, rights, standing, steering, database, cameras)


@get("/video/cameras/{code:str}/live", include_in_schema=False)
async def show_camera(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    rights: NamedDependency[Rights],
    standing: NamedDependency[Standing],
    steering: NamedDependency[Steering],
    database: NamedDependency[Database],
    code: FromPath[str],
) -> Any:
    """One camera; one that the viewer may not know of does not exist."""
    cameras = await rights.list_visible_cameras(session, Action.VIEW_LIVE)
    found = next((each for each in cameras if each.code == code), None)
    if found is None:
        raise NotFound("camera_unknown")
    return await _show(request, session, rights, standing, steering, database, [found], only=found)


async def _show(
    request: Request[Any, Any, Any],
    session: Session,
    rights: Rights,
    standing: Standing,
    steering: Steering,
    database: Database,
    cameras: Sequence[Camera],
    *,
    only: Camera | None = None,
) -> Any:
    portal = portal_of(request)
    language = portal.language_of(request)
    offers = await rights.list_offers(session, Action.VIEW_LIVE, cameras)
    stops = await rights.list_stops(session, Action.VIEW_LIVE, cameras, offers)
    codes = standing.list_purposes(session.party, Action.VIEW_LIVE.value) if session.party else ()
    async with database.acquire() as connection:
        labels: Mapping[str, Any] = (await load_vocabulary(connection)).purposes
    owners = standing.register.parties
    # Which of them the viewer may steer as well, and what that needs, by purpose.
    turning = await steering.list_steerable([each.id for each in cameras])
    steered = [
        each for each in await rights.list_visible_cameras(session, Action.STEER) if each.id in turning
    ]
    steers = {each.id for each in steered}
    needs = {each.purpose: each.needs for each in await rights.list_offers(session, Action.STEER, steered)}
    return render(
        request,
        "live/wall.html",
        headers=_PAGE,
        only=only,
        sizes=SIZES,
        count=len(cameras),
        choices=choices_of(offers, (), labels, () if stops else codes),
        stops=[(portal.problems.get(each.code, each.code), each.reason) for each in stops],
        cameras=_json(
            [
                {
                    "id": each.id,
                    "code": each.code,
                    "name": each.name,
                    "owner": owners[each.owner].name.in_(language) if each.owner in owners else "",
                    "steers": each.id in steers,
                }
                for each in cameras
            ]
        ),
        steering=_json(needs),
        words=_json(
            {
                name: str(portal.catalogues.in_language(language, text))
                for name, text in {**WORDS, **STEERING}.items()
            }
        ),
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


handlers = [show_wall, show_camera]
