"""Views for programs and HLS players, and what they fetch. Every address carries its view and its camera.

A recording of one camera asked for through another, or out of the view's time, is not there, and leaves a trace.
"""

import re
from typing import Any, Final
from uuid import UUID

from litestar import MediaType, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from koinon.base.clock import Clock, rfc3339
from koinon.base.errors import Conflict, Invalid
from koinon.base.settings import Settings
from koinon.trust.parties.sign_in import Session
from koinon.video.masks.policy import mask_of
from koinon.video.playback import hls, store
from koinon.video.playback.door import ENTER, Door, cookie_of, since_of, until_of
from koinon.video.playback.messages import base_of, place
from koinon.video.playback.pieces import of_us, shift, to_us
from koinon.video.playback.service import Playback
from koinon.video.playback.views import IDLE_SECONDS
from koinon.video.recordings import get_entry, list_units
from koinon.video.rights import Action, Rights, ViewRequest

_PLAYLIST: Final = "application/vnd.apple.mpegurl"
_UNIT: Final = re.compile(r"(\d{1,16})-([012])\.m4s")
_RANGE: Final = re.compile(r"bytes=(\d{1,12})-(\d{1,12})")
_THUMBNAIL: Final = re.compile(r"(\d{1,16})\.jpg")
_ENTRY: Final = re.compile(r"(\d{1,9})(-masked)?\.mp4")
_MASKED: Final = re.compile(r"(\d{1,16})-([012])-(\d{1,12})-(\d{1,12})\.m4s")


@post("/api/video/views", status_code=201, tags=["video"])
async def open_view(
    data: JSONBody[ViewRequest],
    session: NamedDependency[Session],
    playback: NamedDependency[Playback],
    rights: NamedDependency[Rights],
    settings: NamedDependency[Settings],
) -> Response[dict[str, Any]]:
    """A view of recordings runs, for a player of HLS or a program. It ends when nothing of it is fetched for a minute.

    Records: `exchange.begun`, or `exchange.refused`.
    """
    if data.action not in (Action.VIEW_RECORDING, Action.UNMASK):
        raise Invalid("action_not_here", action=data.action, only=Action.VIEW_RECORDING)
    if data.since is not None and data.until is not None and data.until - data.since > hls.LONGEST:
        raise Invalid("interval_malformed", why="longer than a day")
    views = playback.views(rights)
    view = await views.open(session, data)
    try:
        await playback.find_stream(data.camera)
    except BaseException:
        await views.end(view)
        raise
    token = rights.mint(view, since=since_of(view), until=until_of(view))
    span = f"{to_us(since_of(view))}-{to_us(until_of(view))}"
    return Response(
        {
            "view": str(view.id),
            "camera": str(view.camera.id),
            "playlist": f"/api/video/views/{view.id}/{view.camera.id}/{span}/playlist.m3u8",
            "watermark": view.watermark and view.watermark.en,
            "token": token,
            "renew_within_seconds": IDLE_SECONDS,
        },
        status_code=201,
        cookies=[cookie_of(token, view, settings)],
    )


@post("/api/video/views/{view:uuid}/renew", status_code=200, tags=["video"])
async def renew_view(
    view: FromPath[UUID],
    session: NamedDependency[Session],
    playback: NamedDependency[Playback],
    rights: NamedDependency[Rights],
    settings: NamedDependency[Settings],
) -> Response[dict[str, Any]]:
    """The view runs for another minute, under a new media token."""
    found = playback.views(rights).find(view, session)
    await found.go_on()
    playback.views(rights).renew(found)
    token = rights.mint(found, since=since_of(found), until=until_of(found))
    return Response(
        {"token": token, "renew_within_seconds": IDLE_SECONDS}, cookies=[cookie_of(token, found, settings)]
    )


@delete("/api/video/views/{view:uuid}", status_code=204, tags=["video"])
async def end_view(
    view: FromPath[UUID],
    session: NamedDependency[Session],
    playback: NamedDependency[Playback],
    rights: NamedDependency[Rights],
) -> None:
    """The view has ended. Records: `exchange.ended`."""
    views = playback.views(rights)
    await views.end(views.find(view, session))


@get(
    "/api/video/views/{view:uuid}/{camera:uuid}/{span:str}/playlist.m3u8",
    dependencies=ENTER,
    tags=["video"],
    media_type=MediaType.TEXT,
)
async def show_playlist(
    door: NamedDependency[Door],
    playback: NamedDependency[Playback],
    clock: NamedDependency[Clock],
) -> Response[str]:
    """The media playlist: what of the interval is recorded, with the time of each unit and a mark at each gap.

    A unit on which a mask lay is named masked, unless the view is of the picture without masks.
    """
    if door.until - door.since > hls.LONGEST:
        raise Invalid("interval_malformed", why="longer than a day")
    stream = await playback.find_stream(door.camera)
    async with playback.database.acquire() as connection:
        units = await list_units(connection, stream, door.since, door.until)
        codecs = [(await get_entry(connection, each)).codec for each in {unit.entry for unit in units}]
    masks = await playback.list_masks(door.camera, door.view)
    segments = [
        each._replace(masked=bool(mask_of(masks, each.unit.start, each.unit.end)))
        for each in hls.cut(units, to_us(door.since), to_us(door.until))
    ]
    # What was recorded a moment ago may not be in the index yet.
    whole = (clock.now() - door.until).total_seconds() > 180
    return Response(
        hls.write(segments, whole=whole, independent=all(each.startswith("avc1") for each in codecs)),
        media_type=_PLAYLIST,
        cookies=door.renew(),
    )


@get(
    "/api/video/views/{view:uuid}/{camera:uuid}/{span:str}/init/{name:str}",
    dependencies=ENTER,
    tags=["video"],
)
async def show_init(
    name: FromPath[str],
    door: NamedDependency[Door],
    playback: NamedDependency[Playback],
) -> Response[bytes]:
    """How units are decoded (`ftyp` and `moov`), if one of this camera in the view's time is decoded so; or how what is
    made of them masked is.
    """
    asked = _ENTRY.fullmatch(name)
    async with playback.database.acquire() as connection:
        entry = asked and await store.find_entry_of(
            connection, door.camera, int(asked[1]), door.since, door.until
        )
    if not entry or not asked:
        await door.refuse()
    init = await playback.segments.make_init(entry) if asked[2] else entry.init
    return Response(init, media_type="video/mp4", cookies=door.renew())


@get(
    "/api/video/views/{view:uuid}/{camera:uuid}/{span:str}/units/{name:str}",
    dependencies=ENTER,
    tags=["video"],
)
async def show_unit(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    door: NamedDependency[Door],
    playback: NamedDependency[Playback],
) -> Stream:
    """A segment of a unit, by exactly the byte range that the playlist names; its times count from the view's start."""
    asked = _UNIT.fullmatch(name)
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if not asked or not wanted:
        await door.refuse()
    segment = await _find_segment(playback, door, asked, int(wanted[1]), int(wanted[2]) + 1)
    masks = await playback.list_masks(door.camera, door.view)
    if mask_of(masks, segment.unit.start, segment.unit.end):
        raise Conflict("segment_only_masked")
    data = await playback.read(segment.unit, segment.offset, segment.end - segment.offset)
    moved = shift(data, place(to_us(segment.unit.start), base_of(to_us(door.since))))
    return Stream(
        door.send(moved),
        status_code=206,
        media_type="video/mp4",
        headers={
            "Content-Length": str(len(moved)),
            "Content-Range": f"bytes {segment.offset}-{segment.end - 1}/{segment.unit.bytes}",
        },
        cookies=door.renew(),
    )


@get(
    "/api/video/views/{view:uuid}/{camera:uuid}/{span:str}/masked/{name:str}",
    dependencies=ENTER,
    tags=["video"],
)
async def show_masked(
    view: FromPath[UUID],
    name: FromPath[str],
    door: NamedDependency[Door],
    playback: NamedDependency[Playback],
) -> Stream:
    """A segment of a unit, masked: made when it is asked for (`<unit>-<copy>-<offset>-<end>.m4s`), kept nowhere."""
    asked = _MASKED.fullmatch(name)
    if not asked:
        await door.refuse()
    segment = await _find_segment(playback, door, asked, int(asked[3]), int(asked[4]))
    # Of the view if it is known; else all, so that what is masked for anybody is masked.
    masks = await playback.list_masks(door.camera, door.view)
    over = mask_of(masks, segment.unit.start, segment.unit.end)
    if not over:
        await door.refuse()
    unit, start_us = segment.unit, to_us(segment.unit.start)
    async with playback.database.acquire() as connection:
        entry = await get_entry(connection, unit.entry)

    async def read_before() -> bytes:
        offset = max((key.offset for key in unit.key_frames if key.offset < segment.offset), default=None)
        return b"" if offset is None else await playback.read(unit, offset, segment.offset - offset)

    with door.sending():
        made = await playback.segments.make(
            view,
            door.person,
            over,
            entry,
            lambda: playback.read(unit, segment.offset, segment.end - segment.offset),
            read_before,
            start_us,
        )
    moved = shift(made, place(start_us, base_of(to_us(door.since))))
    return Stream(
        door.send(moved),
        media_type="video/mp4",
        headers={"Content-Length": str(len(moved))},
        cookies=door.renew(),
    )


@get(
    "/api/video/views/{view:uuid}/{camera:uuid}/{span:str}/thumbnails/{name:str}",
    dependencies=ENTER,
    tags=["video"],
)
async def show_thumbnail(
    name: FromPath[str],
    door: NamedDependency[Door],
    playback: NamedDependency[Playback],
) -> Response[bytes]:
    """A small picture of the camera at a moment of the view (`<Unix microseconds>.jpg`), masked where the view is."""
    asked = _THUMBNAIL.fullmatch(name)
    since, until = to_us(door.since), to_us(door.until)
    if asked is None or not since <= int(asked[1]) < until:
        await door.refuse()
    data, taken = await playback.thumbnail(door.camera, door.view, door.person, since, until, int(asked[1]))
    if door.view is not None:
        await door.view.go_on(len(data))
    return Response(
        data,
        media_type="image/jpeg",
        headers={"X-Taken-At": rfc3339(of_us(taken))},
        cookies=door.renew(),
    )


async def _find_segment(
    playback: Playback, door: Door, unit: re.Match[str], offset: int, end: int
) -> hls.Segment:
    """The segment of the unit that an address names by its start and copy, if it lies whole in the view.

    Raises:
        NotFound: `media_unknown`, traced.
    """
    async with playback.database.acquire() as connection:
        found = await store.find_unit_of(
            connection, door.camera, of_us(int(unit[1])), int(unit[2]), door.since, door.until
        )
    segment = found and hls.find_segment(found, offset, end)
    if not segment or segment.us < to_us(door.since) or segment.until_us > to_us(door.until):
        await door.refuse()
    return segment


handlers = [open_view, renew_view, end_view, show_playlist, show_init, show_unit, show_masked, show_thumbnail]
