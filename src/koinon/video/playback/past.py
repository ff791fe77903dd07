"""The timelines of streams, from all that tells of them, and how far back a viewer may see."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid
from koinon.trust.gate import Actor
from koinon.trust.parties import PartyId
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera, CameraId
from koinon.video.cameras.model import StreamId
from koinon.video.playback import store
from koinon.video.recordings.timeline import Known, Span, Stretch, draw
from koinon.video.remote.policy import held_by
from koinon.video.remote.store import list_sources
from koinon.video.rights import ViewRequest, policy
from koinon.video.rights.model import NOT_DECIDED, Decided

LONGEST: Final = timedelta(days=366)
MOST_STREAMS: Final = 16

# Who hears one of these could be shown the images if something were given that the viewer can give.
_COULD_BE_GIVEN: Final = frozenset(
    {
        "allowed",
        "case_missing",
        "emergency_only",
        "reason_missing",
        "second_person_missing",
        "work_station_only",
    }
)
_FINEST: Final = timedelta(minutes=1)


class Past:
    """Draws timelines."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def draw(
        self,
        streams: Sequence[StreamId],
        since: datetime,
        until: datetime,
        visible: Mapping[StreamId, Stretch | None] | None = None,
        viewer: PartyId | None = None,
    ) -> dict[StreamId, list[Span]]:
        """The timeline of each stream from `since` up to `until`; what the viewer may not see is cut. That something is
        held is told to the party of `viewer`, where it may know.

        Raises:
            Invalid: `invalid_interval`, `too_many_cameras`.
        """
        if until <= since or until - since > LONGEST:
            raise Invalid("invalid_interval", since=since.isoformat(), until=until.isoformat())
        if len(streams) > MOST_STREAMS:
            raise Invalid("too_many_cameras", most=MOST_STREAMS)
        # A read of one moment: a unit that is deleted between two statements is deleted, and not nowhere.
        async with (
            self._database.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            recorded = await store.list_recorded(connection, streams, since, until)
            gaps = await store.list_gaps(connection, streams, since, until)
            deleted = await store.list_deleted(connection, streams, since, until)
            held = await store.list_held(connection, streams, self._clock.now(), viewer)
            sources = await list_sources(connection, streams)
        now = self._clock.now()
        return {
            stream: draw(
                since,
                until,
                Known(
                    recorded=recorded[stream],
                    gaps=gaps[stream],
                    deleted=deleted[stream],
                    held=held[stream],
                    remote=[held_by(sources[stream], now)] if stream in sources else (),
                    visible=None if visible is None else visible.get(stream),
                    now=now,
                ),
            )
            for stream in streams
        }


def visible_since(
    standing: Standing,
    actor: Actor,
    camera: Camera,
    groups: Sequence[str],
    request: ViewRequest,
    at: datetime,
    decided: Decided = NOT_DECIDED,
) -> datetime | None:
    """From when on this viewer could be shown images of the camera for that purpose; None: none at all.

    `request` says purpose, case and reason. By asking the one evaluator about ever younger images, to the minute; a
    limit of depth only ever allows the younger ones. `decided`: as if that decision of the prosecutor were about all of
    them.
    """

    def may(since: datetime) -> bool:
        asked = ViewRequest(
            camera=CameraId(camera.id),
            action=request.action,
            purpose=request.purpose,
            case=request.case,
            reason=request.reason,
            emergency=request.emergency,
            since=since,
            until=since + _FINEST,
        )
        found = policy.judge_camera(standing, actor, camera, groups, asked, at, decided=decided)
        return found.code in _COULD_BE_GIVEN

    youngest, oldest = at - _FINEST, at - LONGEST
    if not may(youngest):
        return None
    if may(oldest):
        return oldest
    while youngest - oldest > _FINEST:
        middle = oldest + (youngest - oldest) / 2
        if may(middle):
            youngest = middle
        else:
            oldest = middle
    return youngest


def splice(spans: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """What the other timeline tells of its interval, and these spans of all that lies outside it. Pure."""
    if not other:
        return list(spans)
    start, end = other[0].start, other[-1].end
    before = [each._replace(end=min(each.end, start)) for each in spans if each.start < start]
    after = [each._replace(start=max(each.start, end)) for each in spans if each.end > end]
    return [*before, *other, *after]
