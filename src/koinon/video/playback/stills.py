"""A picture of one's own camera, for its owner's camera manager to draw masks on.

It passes the gate as any view of images does and stands in the trace: the last key frame that was recorded, of the day
before at most, or else one of the live picture. Decoded out of this process, and masked where the rules say so.
"""

from base64 import b64encode
from typing import Any, Final
from uuid import UUID

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from koinon.base.clock import Clock, rfc3339
from koinon.base.errors import NotAllowed, NotFound, Unavailable
from koinon.portal import portal_of
from koinon.trust.gate import EndReason
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.video.cameras import CameraId
from koinon.video.cameras.store import find_camera
from koinon.video.live.service import Live
from koinon.video.playback.pieces import of_us
from koinon.video.playback.service import Playback
from koinon.video.rights import Action, Rights, ViewRequest

WIDTH: Final = 1280
LIVE_SECONDS: Final = 8.0
_MOMENT_US: Final = 1_000
_NO_CACHE: Final = {"Cache-Control": "no-store"}


@post("/api/video/cameras/{camera:uuid}/still", status_code=200, tags=["video"])
async def take_still(
    request: Request[Any, Any, Any],
    camera: FromPath[UUID],
    session: NamedDependency[Session],
    standing: NamedDependency[Standing],
    rights: NamedDependency[Rights],
    playback: NamedDependency[Playback],
    live: NamedDependency[Live],
    clock: NamedDependency[Clock],
) -> Response[dict[str, Any]]:
    """A still of the camera (`image`, a `data:` address of a JPEG), when it was taken, and what must stand over it.

    Raises:
        NotAllowed: `still_not_given`, or what the gate says.
        NotFound: `camera_unknown`, `no_still`.

    Records: `exchange.begun` and `exchange.ended`, or `exchange.refused`.
    """
    id_ = CameraId(camera)
    purpose = await _find_purpose(id_, session, standing, rights, playback)
    asked = ViewRequest(camera=id_, action=Action.MASK, purpose=purpose or "-")
    # Before anything is looked up about its recordings: the same to whoever it is none of the business of.
    await rights.demand_known(session, asked)
    taken = await playback.find_latest(id_, clock.now())
    if taken is not None:
        asked = ViewRequest(
            camera=id_, action=Action.MASK, purpose=asked.purpose, since=of_us(taken), until=of_us(taken + _MOMENT_US)
        )  # fmt: skip
    view = await rights.open(session, asked, station=await rights.find_station(session))
    reason = EndReason.FAILED
    try:
        if taken is None:
            try:
                format_, frame = await live.take_key(id_, LIVE_SECONDS)
            except Unavailable as error:
                raise NotFound("no_still", why=error.code) from None
        else:
            format_, frame = await playback.take_key(id_, taken, taken + _MOMENT_US)
        picture = await playback.draw(view, format_, frame, width=WIDTH)
        await view.go_on(len(picture))
        reason = EndReason.COMPLETED
    finally:
        await view.end(reason)
    told = {
        "image": f"data:image/jpeg;base64,{b64encode(picture).decode()}",
        "taken_at": rfc3339(of_us(frame.wall_us)),
        "watermark": view.watermark and view.watermark.in_(portal_of(request).language_of(request)),
    }
    return Response(told, headers=_NO_CACHE)


async def _find_purpose(
    camera: CameraId, session: Session, standing: Standing, rights: Rights, playback: Playback
) -> str | None:
    """The purpose for which the camera's masks are drawn: the one that gives it, or would if nothing stopped it.

    Raises:
        NotAllowed: `still_not_given`: it is the party's own camera, and no authorisation gives stills of it.
    """
    async with playback.database.acquire() as connection:
        found = await find_camera(connection, camera)
    if found is None or session.party is None or found.owner != session.party:
        return None
    offers = await rights.list_offers(session, Action.MASK, [found])
    if offers:
        return offers[0].purpose
    purposes = sorted(standing.list_purposes(session.party, Action.MASK.value))
    if not purposes:
        raise NotAllowed("still_not_given")
    return purposes[0]


handlers = [take_still]
