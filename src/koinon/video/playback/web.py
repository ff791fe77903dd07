"""The page of playback, and the timelines that it draws."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotFound
from koinon.base.ids import parse_id
from koinon.portal import MEDIA_POLICY, N_, NavigationItem, Viewer, portal_of, render
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules.store import load_vocabulary
from koinon.trust.standing import Standing
from koinon.video.cameras import CameraId
from koinon.video.cameras.store import groups_of
from koinon.video.playback import api, stills, store
from koinon.video.playback.messages import spans as told_spans
from koinon.video.playback.pace import KEYS_FROM, SPEEDS
from koinon.video.playback.past import MOST_STREAMS, splice, visible_since
from koinon.video.playback.pieces import to_us
from koinon.video.playback.service import Playback
from koinon.video.playback.words import PROBLEMS, WORDS
from koinon.video.recordings.timeline import Stretch, gather
from koinon.video.rights import Action, Rights, ViewRequest, actor_of, choices_of
from koinon.video.rights.model import Decided, check_interval

MOST_CAMERAS: Final = 9
_MOST_SPANS: Final = 2000
"""Of one camera in one answer; what has more is told in so many equal parts."""
_PAGE = {"Content-Security-Policy": MEDIA_POLICY}

problems = PROBLEMS


def may_look_back(viewer: Viewer | None) -> bool:
    """Whether the menu shows playback: who acts for a party that could have recordings to look at."""
    return (
        isinstance(viewer, Session)
        and viewer.party is not None
        and viewer.party_kind not in ("commission", "witness")
    )


navigation = [
    NavigationItem(
        label=N_("Recordings"), path="/video/playback", shown_to=may_look_back, order=20, section="cameras"
    )
]


@get("/video/playback", include_in_schema=False)
async def show_playback(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    rights: NamedDependency[Rights],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Any:
    """Recordings of one to nine cameras of those that the viewer may look back at, on one clock."""
    cameras = await rights.list_visible_cameras(session, Action.VIEW_RECORDING)
    portal = portal_of(request)
    language = portal.language_of(request)
    offers = await rights.list_offers(session, Action.VIEW_RECORDING, cameras)
    codes = standing.list_purposes(session.party, Action.VIEW_RECORDING.value) if session.party else ()
    unmasking = await rights.list_offers(session, Action.UNMASK)
    async with database.acquire() as connection:
        labels: Mapping[str, Any] = (await load_vocabulary(connection)).purposes
    owners = standing.register.parties
    return render(
        request,
        "playback/playback.html",
        headers=_PAGE,
        most=MOST_CAMERAS,
        speeds=SPEEDS,
        cameras=[
            (each, owners[each.owner].name if each.owner in owners else "", each.code in _asked(request))
            for each in cameras
        ],
        choices=choices_of(offers, unmasking, labels, codes),
        words=_json(
            {name: str(portal.catalogues.in_language(language, text)) for name, text in WORDS.items()}
        ),
        keys_from=KEYS_FROM,
        exports=bool(await rights.list_visible(session, Action.EXPORT)),
    )


@get("/api/video/timelines", tags=["video"], media_type=MediaType.JSON)
async def show_timelines(
    session: NamedDependency[Session],
    rights: NamedDependency[Rights],
    playback: NamedDependency[Playback],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    camera: Annotated[list[str], QueryParameter(description="ids of cameras")],
    since: FromQuery[datetime],
    until: FromQuery[datetime],
    purpose: FromQuery[str] = "",
    case: FromQuery[str] = "",
    reason: FromQuery[str] = "",
    emergency: FromQuery[bool] = False,
    action: FromQuery[Action] = Action.VIEW_RECORDING,
) -> Response[bytes]:
    """What there is of each camera's past, for that purpose: spans that touch, in order, their sum the interval.

    A camera with thousands of spans in the interval is told as equal parts, with how long each state lasted in each.
    """
    asked = list(dict.fromkeys(CameraId(parse_id(each, "camera")) for each in camera))
    if len(asked) > MOST_STREAMS:
        raise Invalid("too_many_cameras", most=MOST_STREAMS)
    check_interval(since, until)
    if action not in (Action.VIEW_RECORDING, Action.UNMASK):
        raise Invalid("action_not_here", action=action, only=Action.VIEW_RECORDING)
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    found = {each.id: each for each in await rights.list_visible_cameras(session, Action.VIEW_RECORDING)}
    if any(each not in found for each in asked):
        raise NotFound("camera_unknown")
    at = clock.now()
    async with playback.database.acquire() as connection:
        groups = await groups_of(connection, asked)
        streams = await store.find_streams(connection, asked)
    edges: dict[CameraId, datetime | None] = {}
    opened: dict[CameraId, list[Stretch]] = {}  # beyond the edge, by decisions of the prosecutor
    for each in asked:
        request = ViewRequest(
            camera=each, action=action, purpose=purpose, case=case, reason=reason, emergency=emergency
        )
        asks = (standing, actor_of(session), found[each], groups.get(each, ()), request, at)
        edge = edges[each] = visible_since(*asks)
        for decision in await rights.list_decided(session, request) if case.strip() else ():
            beyond = visible_since(*asks, Decided(decision))
            if edge is None or beyond is None:
                continue
            start, end = max(beyond, decision.since, since), min(edge, decision.until, until)
            if start < end:
                opened.setdefault(each, []).append(Stretch(start, end))
    never = Stretch(since, since)
    visible = {
        streams[each]: never if (edge := edges[each]) is None else Stretch(edge, max(edge, until))
        for each in asked
        if each in streams
    }
    drawn = await playback.past.draw(list(visible), since, until, visible, session.party)
    told = {}
    for each in asked:
        edge = edges[each]
        spans = drawn[streams[each]] if each in streams else []
        for stretch in opened.get(each, ()) if each in streams else ():
            stream = streams[each]
            part = await playback.past.draw(
                [stream], stretch.start, stretch.end, {stream: stretch}, session.party
            )
            spans = splice(spans, part[stream])
        answer: dict[str, Any] = {"visible_since": None if edge is None else to_us(edge)}
        if len(spans) <= _MOST_SPANS:
            answer["spans"] = told_spans(spans)
        else:
            step = (until - since) / _MOST_SPANS
            parts = gather(spans, [*(since + step * n for n in range(_MOST_SPANS)), until])
            answer["parts"] = [
                {"start": to_us(part.start), "end": to_us(part.end), "us": part.microseconds}
                for part in parts
            ]
        told[str(each)] = answer
    return Response(_json({"now": to_us(at), "cameras": told}).encode(), media_type=MediaType.JSON)


def _asked(request: Request[Any, Any, Any]) -> Sequence[str]:
    return request.query_params.getall("camera", [])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


handlers = [show_playback, show_timelines, *api.handlers, *stills.handlers]
