"""Streams that are not recorded, such as a camera's small picture: a recorder pulls them while somebody watches.

A web process asks for one in `recordings.watched`; the recorder that gets its lease pulls it, serves it by its tap like
any other, and lets go of it 30 s after the last viewer.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog

from koinon.base.database import BROKEN, Connection, Database
from koinon.base.errors import KoinonError
from koinon.base.metrics import gauge
from koinon.base.signals import notify
from koinon.video.cameras.model import Camera as Registered
from koinon.video.cameras.model import Network, Stream
from koinon.video.cameras.store import list_networks, list_unrecorded
from koinon.video.recorder import Camera
from koinon.video.recordings import recorders
from koinon.video.recordings.model import RecorderId, Track
from koinon.video.recordings.recording import configuration

CHANNEL: Final = "koinon_video_watched"
"""A signal on it makes recorders look at once at what is asked for."""

ASKED_SECONDS: Final = 30.0
_KEPT_SECONDS: Final = (
    25.0  # after the last subscription, which a web process keeps 5 s for who reloads the page
)

PASSING: Final = gauge(
    "koinon_recorder_passing", "Streams that are pulled only because somebody watches them."
)

_log = structlog.get_logger(__name__)


async def ask_for(connection: Connection, stream: int) -> bool:
    """A recorder will pull the stream, if it is one that is not recorded of an active camera; whether it is."""
    found = await connection.fetchval(
        """
        INSERT INTO recordings.watched (stream)
        SELECT s.id FROM cameras.stream s JOIN cameras.camera c ON c.id = s.camera
        WHERE s.id = $1 AND NOT s.recorded AND c.state = 'active'
        ON CONFLICT (stream) DO UPDATE SET asked_at = now()
        RETURNING true
        """,
        stream,
    )
    if found:
        await notify(connection, CHANNEL)
    return bool(found)


async def list_asked(connection: Connection) -> set[int]:
    """The streams that somebody asked for lately."""
    rows = await connection.fetch(
        "SELECT stream FROM recordings.watched WHERE asked_at > now() - make_interval(secs => $1)",
        ASKED_SECONDS,
    )
    return {row["stream"] for row in rows}


class Watched(Protocol):
    """What serves frames, and knows whether somebody takes them."""

    def watched(self, stream: int) -> bool:
        """Whether anybody watches the stream."""

    def forget(self, stream: int) -> None:
        """It is pulled here no more."""


class Pulled:
    """One stream as it is pulled here."""

    def __init__(self, camera: Camera, fence: int, configuration: tuple[Any, ...]) -> None:
        self.camera, self.fence, self.configuration = camera, fence, configuration
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(camera.record(self.stop))
        self.watched_at = time.monotonic()


Make = Callable[[Track, int, Stream, Registered, Mapping[Any, list[Network]]], Camera]


class Passing:
    """What this process pulls without recording it. `leases` are those that the process renews.

    Attributes:
        pulled: the streams that it pulls now.
    """

    def __init__(
        self,
        database: Database,
        recorder: RecorderId,
        leases: dict[Track, int],
        tap: Watched,
        make: Make,
    ) -> None:
        self.pulled: dict[Track, Pulled] = {}
        self._database, self._recorder, self._leases, self._tap = database, recorder, leases, tap
        self._make = make
        self._networks: dict[Any, list[Network]] = {}

    async def look(self) -> None:
        """What is asked for is pulled; what nobody watches any more, or what changed, is not."""
        now = time.monotonic()
        for track, pulled in self.pulled.items():
            if self._tap.watched(track.stream):
                pulled.watched_at = now
        async with self._database.acquire() as connection:
            asked = await list_asked(connection)
            if not asked and not self.pulled:
                return
            known = await list_unrecorded(connection, asked | {track.stream for track in self.pulled})
            for owner in {camera.owner for _, camera in known}:
                self._networks[owner] = await list_networks(connection, owner)
        wanted = {Track(stream.id, 0): (stream, camera) for stream, camera in known}
        for track, pulled in list(self.pulled.items()):
            found = wanted.get(track)
            idle = now - pulled.watched_at > _KEPT_SECONDS and track.stream not in asked
            if found is None or idle or configuration(*found) != pulled.configuration:
                await self.end(track)
        take = [t for t in wanted if t.stream in asked and t not in self.pulled and t not in self._leases]
        if not take:
            return
        async with self._database.acquire() as connection:
            fences = await recorders.take(connection, self._recorder, take)
        self._leases |= fences
        for track, fence in fences.items():
            stream, camera = wanted[track]
            try:
                made = self._make(track, fence, stream, camera, self._networks)
            except KoinonError as error:
                _log.error("camera_not_begun", camera=camera.code, why=str(error))
                await self._release(track, fence)
                continue
            self.pulled[track] = Pulled(made, fence, configuration(stream, camera))
        PASSING.set(len(self.pulled))

    async def end(self, track: Track) -> None:
        """The stream is pulled here no more, and its lease is given back."""
        pulled = self.pulled.pop(track, None)
        if pulled is None:
            return
        PASSING.set(len(self.pulled))
        pulled.stop.set()
        await asyncio.wait([pulled.task])
        self._tap.forget(track.stream)
        await self._release(track, pulled.fence)

    async def close(self) -> None:
        """Nothing is pulled any more."""
        await asyncio.gather(*(self.end(track) for track in list(self.pulled)))

    async def _release(self, track: Track, fence: int) -> None:
        if self._leases.get(track) != fence:
            return  # somebody else's by now
        del self._leases[track]
        with contextlib.suppress(*BROKEN):  # if it cannot be said the lease runs out by itself
            async with asyncio.timeout(5.0), self._database.acquire() as connection:
                await recorders.release(connection, self._recorder, {track: fence})
                await connection.execute(
                    "DELETE FROM recordings.watched"
                    " WHERE stream = $1 AND asked_at < now() - make_interval(secs => $2)",
                    track.stream,
                    ASKED_SECONDS,
                )
