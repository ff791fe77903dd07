"""The recorder process: holds the leases of its share of the cameras, records them, and says how they are.

PostgreSQL is the only coordinator. While it is away recording goes on: nobody else can take a lease either, and a
lease that ran out meanwhile goes on if its fence is still the newest when the database is back.
"""

import asyncio
import contextlib
import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, get_args

import structlog

from koinon.base.clock import Clock, SystemClock
from koinon.base.database import BROKEN, Database
from koinon.base.errors import KoinonError
from koinon.base.ids import new_id
from koinon.base.metrics import gauge
from koinon.base.objects import Objects, open_objects
from koinon.base.settings import Settings
from koinon.base.signals import Signals
from koinon.video.cameras.model import Camera as Registered
from koinon.video.cameras.model import Network, Stream
from koinon.video.cameras.sources import SourceKey
from koinon.video.cameras.store import list_networks, list_recorded
from koinon.video.recorder import Options, Reason, Unit
from koinon.video.recordings import recorders, store
from koinon.video.recordings.assignment import plan
from koinon.video.recordings.folder import Folder
from koinon.video.recordings.health import health_of, show
from koinon.video.recordings.indexing import Indexer
from koinon.video.recordings.model import Health, RecorderId, Track
from koinon.video.recordings.orphans import Spare
from koinon.video.recordings.passing import CHANNEL as WATCHED
from koinon.video.recordings.passing import Passing
from koinon.video.recordings.recorders import LEASE_SECONDS, Recorder
from koinon.video.recordings.recording import CameraMaker, Recording, Tap, configuration
from koinon.video.recordings.uploading import Uploader, open_bucket

CHANNEL: Final = "koinon_video_cameras"
"""A signal on it makes recorders look at the register at once; they look by themselves every few seconds."""

_RENEW_SECONDS: Final = LEASE_SECONDS / 3
_LOOK_SECONDS: Final = 1.0
_HEALTH_SECONDS: Final = 5.0
_CLEAN_SECONDS: Final = 30.0
_OVERDUE_SECONDS: Final = 4.0  # after so long without a holder a lease is taken above one's share
_INDEX_SECONDS: Final = 5.0  # for the last unit to be in the index, before a lease is given back
_REASONS: Final = frozenset(get_args(Reason))

AWAY: Final = gauge(
    "koinon_recorder_database_away_seconds", "Since when the database does not answer; 0 if it does."
)

_log = structlog.get_logger(__name__)


class Process:
    """One recorder process.

    Attributes:
        id: of this process, new at each start.
        recordings: what it records now.
        folder: what it writes to.
        passing: what it pulls without recording it, if it has a tap.
    """

    def __init__(
        self,
        database: Database,
        *,
        folder: Path,
        key: SourceKey,
        signals: Signals | None = None,
        tap: Tap | None = None,
        clock: Clock | None = None,
        objects: Objects | None = None,
        objects_address: str = "",
        spare: Spare | None = None,
        options: Callable[..., Options] = Options,
        least_free: int = 256 << 20,
    ) -> None:
        """`objects`: the bucket to which closed units move, if they do. `spare`: files that are waiting to be unlinked,
        and so have no row: see `reconcile`.
        """
        self.id = RecorderId(new_id())
        self.recordings: dict[Track, Recording] = {}
        self.indexer = Indexer(database)
        self.folder = Folder(database, folder, self.indexer, spare=spare, least_free=least_free)
        self._database, self._signals, self._tap = database, signals, tap
        self._clock = clock or SystemClock()
        self._cameras = CameraMaker(key, options, self._clock, tap)
        self._objects, self._objects_address = objects, objects_address
        self._wanted: dict[Track, tuple[Stream, Registered]] = {}
        self._networks: dict[Any, list[Network]] = {}
        self._free_since: dict[Track, float] = {}
        self._single: set[Track] = set()
        self._unusable: dict[Track, tuple[tuple[Any, ...], str]] = {}
        self._leases: dict[Track, int] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._away_since: float | None = None
        self.passing: Passing | None = None
        if tap is not None:
            self.passing = Passing(database, self.id, self._leases, tap, self._cameras.make)

    def stop(self) -> None:
        """`run` gives everything back and returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Cameras have been recorded until `stop`; then every unit is closed, told, and every lease given back."""
        tasks = [
            asyncio.create_task(each)
            for each in (
                self.indexer.run(),
                self._keep(),
                self._look_often(),
                self._tell_often(),
                self._clean_often(),
                self._upload(),
                self._pass_often(),
            )
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done() and not self._stopping.is_set():
                    task.result()  # none of them ends by itself: what went wrong ends the process, and is told
        finally:
            stopping.cancel()
            await self._hand_over(tasks)

    async def _hand_over(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks[2:]:  # but for the index, and the leases while units are closed
            task.cancel()
        with contextlib.suppress(*BROKEN):
            async with asyncio.timeout(2.0), self._database.acquire() as connection:
                await recorders.leave(connection, self.id)
        if self.passing is not None:
            await self.passing.close()
        await asyncio.gather(*(self._end(each, "handed_over") for each in list(self.recordings.values())))
        await asyncio.gather(*self._ending, return_exceptions=True)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        with contextlib.suppress(*BROKEN):
            async with asyncio.timeout(2.0), self._database.acquire() as connection:
                await recorders.remove(connection, self.id)
        await self.folder.close()

    # Every so often

    async def _once(self, do: Callable[[], Awaitable[None]]) -> None:
        """It is done, unless the database is away."""
        try:
            await do()
        except BROKEN as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
                _log.warning("recorder_database_away", why=str(error) or type(error).__name__)
            AWAY.set(time.monotonic() - self._away_since)
        else:
            self._away_since = None
            AWAY.set(0)

    async def _every(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._once(do)
            await asyncio.sleep(seconds)

    async def _keep(self) -> None:
        await self._every(_RENEW_SECONDS, self.renew)

    async def _look_often(self) -> None:
        while True:
            await self._once(self.look)
            if self._signals is None:
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                await self._signals.wait(CHANNEL, _LOOK_SECONDS)

    async def _pass_often(self) -> None:
        if self.passing is None:
            await self._stopping.wait()
            return
        while True:
            await self._once(self.passing.look)
            if self._signals is None:
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                await self._signals.wait(WATCHED, _LOOK_SECONDS)

    async def _tell_often(self) -> None:
        await self._every(_HEALTH_SECONDS, self.tell)

    async def _clean_often(self) -> None:
        async def clean() -> None:
            async with self._database.acquire() as connection:
                await recorders.clean_up(connection)
            if self.indexer.overflowed and self.indexer.waiting == 0:
                self.indexer.overflowed = False
                await self.folder.reconcile()

        await self._every(_CLEAN_SECONDS, clean)

    async def _upload(self) -> None:
        """Closed units move to the bucket, if there is one, once this process has its folder."""
        uploader: list[Uploader] = []

        async def open_() -> None:
            if self._objects is not None and (place := self.folder.place) is not None:
                bucket = await open_bucket(self._database, self._objects, self._objects_address)
                uploader.append(Uploader(self._database, self.folder.path, place, self._objects, bucket))

        if self._objects is None:
            await self._stopping.wait()
            return
        while not uploader:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.folder.place is not None:
                await self._once(open_)
        await uploader[0].run()

    # Leases

    async def renew(self) -> None:
        """This process is seen, and has its leases for another while; what it lost is recorded no more."""
        await self.folder.look()
        leases = dict(self._leases)
        async with asyncio.timeout(_RENEW_SECONDS * 2), self._database.acquire() as connection:
            lost = await recorders.renew(
                connection,
                Recorder(
                    id=self.id,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    tap_address=self._tap.address if self._tap is not None else "",
                    place=self.folder.place.id if self.folder.place else None,
                    able=self.folder.usable and not self._stopping.is_set(),
                ),
                leases,
            )
        for track in lost:
            if self._leases.get(track) != leases[track]:
                continue  # given back while this was asked
            del self._leases[track]
            _log.error("lease_lost", lease=track.lease)
            if (recording := self.recordings.get(track)) is not None:
                self._end_soon(recording, "handed_over")
            elif self.passing is not None:
                await self.passing.end(track)

    async def look(self) -> None:
        """What is to be recorded, and by whom, is looked at; this process takes, changes and hands over its own."""
        if self.folder.disk is None or self._stopping.is_set():
            return
        async with self._database.acquire() as connection:
            recorded = await list_recorded(connection)
            for owner in {camera.owner for _, camera in recorded}:
                self._networks[owner] = await list_networks(connection, owner)
            wanted = {
                Track(stream.id, copy): (stream, camera)
                for stream, camera in recorded
                for copy in range(2 if camera.doubly_recorded else 1)
            }
            holders = await recorders.list_holders(connection, wanted)
            able = await recorders.list_able(connection)
        self._wanted = wanted
        self._change()
        now = time.monotonic()
        self._free_since = {
            track: self._free_since.get(track, now) for track in wanted if track not in holders
        }
        overdue = {track for track, since in self._free_since.items() if now - since > _OVERDUE_SECONDS}
        self._single = {
            track
            for track in self.recordings
            if (other := Track(track.stream, 1 - track.copy)) in wanted and other not in holders
        }
        what = plan(list(wanted), holders, able, self.id, overdue=overdue)
        for track in what.release:
            if (recording := self.recordings.get(track)) is not None:
                self._end_soon(recording, "handed_over")
        take = [track for track in what.take[: what.limit] if track not in self._leases]
        if take and self.folder.usable:
            await self._take(take)

    async def _take(self, tracks: list[Track]) -> None:
        async with self._database.acquire() as connection:
            fences = await recorders.take(connection, self.id, tracks)
            self._leases |= fences
            ends = await store.list_ends(connection, list(fences))
        for track, fence in fences.items():
            self.indexer.fences[track] = fence
            self._begin(track, fence, ends.get(track))

    def _begin(self, track: Track, fence: int, since: tuple[datetime, str | None] | None) -> None:
        stream, registered = self._wanted[track]
        account: tuple[datetime, Reason] | None = None
        if since is not None:
            told = since[1] or "crashed"  # it said nothing about an end: it was killed
            account = (since[0], told if told in _REASONS else "stopped")  # type: ignore[assignment]
        try:
            recording = self._recording(track, fence, account)
        except KoinonError as error:
            # One camera that cannot be recorded must not keep the others from it. Its lease is kept: another process
            # could record it no better.
            _log.error("camera_not_begun", camera=registered.code, why=str(error))
            self._unusable[track] = (configuration(stream, registered), error.code)
            return
        self._unusable.pop(track, None)
        recording.task = asyncio.create_task(recording.camera.record(recording.stop))
        self.recordings[track] = recording

    def _recording(self, track: Track, fence: int, account: tuple[datetime, Reason] | None) -> Recording:
        stream, registered = self._wanted[track]
        recording = Recording(track, fence, stream, registered)
        on_unit, on_gap = self.indexer.listener(track)

        def unit(told: Unit) -> None:
            recording.last = told
            on_unit(told)

        recording.camera = self._cameras.make(
            track,
            fence,
            stream,
            registered,
            self._networks,
            disk=self.folder.disk,
            on_unit=unit,
            on_gap=on_gap,
            since=account,
        )
        return recording

    def _change(self) -> None:
        """What is recorded no more ends; what is recorded from elsewhere now ends too, and begins anew when free."""
        for track, recording in list(self.recordings.items()):
            wanted = self._wanted.get(track)
            if wanted is None:
                reason: Reason = "paused"
            elif configuration(*wanted) != recording.configuration:
                reason = "handed_over"
            else:
                continue
            self._end_soon(recording, reason)
        for track, (before, _) in list(self._unusable.items()):
            wanted = self._wanted.get(track)
            if wanted is not None and configuration(*wanted) == before:
                continue
            del self._unusable[track]
            if wanted is not None and (fence := self._leases.get(track)) is not None:
                self._begin(track, fence, None)

    def _end_soon(self, recording: Recording, reason: Reason) -> None:
        self._ending.add(task := asyncio.create_task(self._end(recording, reason)))
        task.add_done_callback(self._ending.discard)

    async def _end(self, recording: Recording, reason: Reason) -> None:
        """The track is recorded here no more: its last unit is in the index, its lease is given back."""
        track = recording.track
        if self.recordings.pop(track, None) is None:
            return  # it is ending already
        recording.camera.ending = reason
        recording.stop.set()
        if recording.task is not None:
            await asyncio.wait([recording.task])
            if not recording.task.cancelled() and (error := recording.task.exception()) is not None:
                _log.error("camera_task_failed", camera=recording.registered.code, exc_info=error)
        if self._tap is not None:
            self._tap.forget(track.stream)
        await self.indexer.settle(_INDEX_SECONDS)
        if self._leases.get(track) != recording.fence:
            return
        del self._leases[track]
        with contextlib.suppress(*BROKEN):  # if it cannot be said the lease runs out by itself
            async with asyncio.timeout(_INDEX_SECONDS), self._database.acquire() as connection:
                health = self._health(recording, "paused" if reason == "paused" else "stopped", reason)
                await recorders.tell_health(connection, [health], self._clock.now())
                await recorders.release(connection, self.id, {track: recording.fence})

    # Health

    async def tell(self) -> None:
        """The state of every camera of this process is in the register's sight."""
        now = time.monotonic()
        told = []
        for recording in list(self.recordings.values()):
            recording.measure(now)
            told.append(self._health(recording))
        for track, (_, code) in self._unusable.items():
            told.append(Health(track=track, state="refused", detail=code, alarm="not_recording"))
        show(told)
        if told:
            async with self._database.acquire() as connection:
                await recorders.tell_health(connection, told, self._clock.now())

    def _health(self, recording: Recording, state: str | None = None, detail: str | None = None) -> Health:
        return health_of(
            recording,
            refusal=self.folder.refusal,
            single=recording.track in self._single,
            behind=self.indexer.overflowed,
            state=state,
            detail=detail,
        )


async def run_recorder(
    settings: Settings, url: str, *, tap: Tap | None = None, spare: Spare | None = None
) -> None:
    """This process has recorded its share of the cameras until it was cancelled; then it has handed them over."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection and two files a camera
    objects = open_objects(settings.recordings_url, settings.home) if settings.recordings_url else None
    async with (
        await Database.open(url, kind="recorder", max_size=6) as database,
        Signals(database) as signals,
    ):
        process = Process(
            database,
            folder=recordings_folder(settings),
            key=SourceKey.of(settings.home),
            signals=signals,
            tap=tap,
            objects=objects,
            objects_address=settings.recordings_url,
            spare=spare,
        )
        running = asyncio.create_task(process.run())
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            process.stop()
            await running
            raise


def recordings_folder(settings: Settings) -> Path:
    """Where the recorders of this machine write."""
    return Path(settings.recordings_folder) if settings.recordings_folder else settings.home / "recordings"
