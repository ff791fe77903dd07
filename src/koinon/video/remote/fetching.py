"""Fetches stretches from the systems of their owners, in a releasing process: under a use of each who asked.

The units are written beside the recorder's, under the lease `video/<stream>/2`, and become rows under its fence. A
worker that died is succeeded within seconds; what it left that no row knows is removed, since its owner has it still.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import structlog

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound, Unavailable
from koinon.base.files import fsync_folder
from koinon.base.lease import Lease, hold
from koinon.base.metrics import counter
from koinon.trust.gate import BEGIN_AGAIN, Cut, EndReason, ExchangeId
from koinon.trust.parties import PartyId
from koinon.video.cameras import Camera, CameraId, SourceKey
from koinon.video.cameras import store as cameras
from koinon.video.cameras.networks import check_address, permits
from koinon.video.recorder import Disk, Options, Source, Unit, parse_source, read_unit
from koinon.video.recorder.disk import PART, read_marker
from koinon.video.recorder.replay import Outcome, Replay
from koinon.video.recordings import Place, Track, list_places
from koinon.video.recordings import store as index
from koinon.video.recordings.model import FETCHED, NewUnit
from koinon.video.recordings.timeline import Stretch
from koinon.video.remote import policy, store
from koinon.video.remote.model import Ask, AskId, Fetch, FetchState
from koinon.video.rights import ImageUse, Rights

TICK_SECONDS: Final = 0.5
_DAY: Final = timedelta(days=1)
_BEGINNINGS: Final = (
    20  # of one attempt: a standing that cannot be confirmed for a moment is no failure of the partner's
)
_PAUSE_SECONDS: Final = 0.5
_made = counter(
    "koinon_remote_fetches_total", "Stretches of partners' recordings, by what became of them.", ["state"]
)
_bytes = counter("koinon_remote_bytes_total", "Bytes of units that were fetched from partners' systems.")
_log = structlog.get_logger(__name__)


class _BeginAgain(Unavailable):
    """Every use was cut, for a reason that says nothing against those who asked; or something else is to be fetched."""


class Fetcher:
    """Fetches in a releasing process; `folder` is where recordings lie on this machine."""

    def __init__(
        self,
        *,
        database: Database,
        rights: Rights,
        clock: Clock,
        folder: Path,
        key: SourceKey,
        least_free: int = 1 << 30,
        options: type[Options] | partial[Options] = Options,
    ) -> None:
        """`least_free`: bytes; fetching stops long before a recorder has no room left (256 MiB)."""
        self.database, self.rights, self.clock, self.key = database, rights, clock, key
        self._folder, self._least_free, self._options = folder.absolute(), least_free, options
        self._disk: Disk | None = None
        self._place: Place | None = None

    async def close(self) -> None:
        """Nothing is written any more."""
        if self._disk is not None:
            await asyncio.to_thread(self._disk.close)

    async def fetch(self, id_: UUID, *, last: bool = True) -> FetchState | None:
        """The stretch is in the index, with gaps for what its owner's system did not give; or nobody may have it any
        more. Its state, or None where nobody wants it. `last`: what fails now is not tried again.

        Raises:
            Unavailable: trying again may help.

        Records: `exchange.begun` and `exchange.ended` for each who asked; `exchange.refused` where somebody may not.
        """
        for _ in range(_BEGINNINGS - 1):
            with contextlib.suppress(_BeginAgain):
                return await self._fetch(id_, last)
            await asyncio.sleep(_PAUSE_SECONDS)
        return await self._fetch(id_, last)

    async def _fetch(self, id_: UUID, last: bool) -> FetchState | None:
        async with self.database.transaction() as connection:
            fetch = await store.begin(connection, id_, self.clock.now())
        if fetch is None:
            return None
        running = Running(self, fetch)
        how = EndReason.FAILED
        try:
            await running.join()
            if not running.uses:
                return await self._finish(fetch, FetchState.STOPPED, running.code)
            track = Track(fetch.stream, FETCHED)
            async with hold(self.database, track.lease, f"{socket.gethostname()}:{os.getpid()}") as lease:
                code = await self._read(running, track, lease, last)
            if running.stop.is_set():
                await running.tell_cuts()
                return await self._finish(fetch, FetchState.STOPPED, running.code)
            how = EndReason.COMPLETED
            failed = code is not None and code != "not_held"
            return await self._finish(fetch, FetchState.FAILED if failed else FetchState.DONE, code)
        except (asyncio.CancelledError, _BeginAgain):
            how = EndReason.LEFT
            raise
        finally:
            await asyncio.shield(running.end(how))

    async def fail(self, fetch: Fetch, code: str) -> None:
        """It is not tried any more."""
        await self._finish(fetch, FetchState.FAILED, code)

    async def _finish(self, fetch: Fetch, state: FetchState, code: str | None) -> FetchState:
        async with self.database.transaction() as connection:
            if not await store.finish(connection, fetch.id, fetch.owner, state, code, self.clock.now()):
                raise Unavailable("asked_meanwhile")
        _made.labels(state.value).inc()
        _log.info("remote_fetch_over", fetch=str(fetch.id), state=state.value, code=code)
        return state

    async def _read(self, running: "Running", track: Track, lease: Lease, last: bool) -> str | None:
        """What is missing of the stretch is read; why the owner's system did not give all, if it did not."""
        fetch = running.fetch
        disk, place = await self._open_disk()
        asked = Stretch(fetch.since, fetch.until)
        async with self.database.acquire() as connection:
            camera = await cameras.find_camera(connection, fetch.camera)
            assert camera is not None
            await self._clean(connection, camera, fetch, disk)
            await index.cut_gaps(connection, track, fetch.since, fetch.until)
            recorded = await store.list_recorded(connection, fetch.stream, fetch.since, fetch.until)
        code: str | None = None
        for stretch in policy.missing(asked, recorded):
            if code is None or code == "not_held":
                writer = _Writer(self, running, track, lease, place, disk.folder)
                outcome = await self._replay(running, camera, stretch, disk, writer)
                if running.stop.is_set():
                    return None
                if outcome.reason in policy.LACKING:
                    raise Unavailable(str(outcome.reason))
                if outcome.reason in policy.TRANSIENT and not last:
                    raise Unavailable(str(outcome.reason))
            else:  # the system that failed is not asked for the rest
                outcome = msgspec.structs.replace(outcome, reached=stretch.start.timestamp(), jumps=())
            async with self.database.acquire() as connection:
                recorded = await store.list_recorded(connection, fetch.stream, stretch.start, stretch.end)
                gaps = policy.gaps_of(stretch, recorded, outcome)
                await index.insert_gaps(connection, [(track, gap) for gap in gaps], {track: lease.fence})
            code = outcome.reason or code
        return code

    async def _replay(
        self, running: "Running", camera: Camera, stretch: Stretch, disk: Disk, writer: "_Writer"
    ) -> Outcome:
        fetch = running.fetch
        try:
            running.source = located = await self._locate(camera)
        except KoinonError as error:
            reason = "unreachable" if error.status == 503 else "refused"
            return Outcome(stretch.start.timestamp(), reason, error.code)  # type: ignore[arg-type]
        options = self._options(name=camera.code, stream=fetch.stream, copy=FETCHED, fence=writer.lease.fence)
        replay = Replay(
            located.source, options, disk, stretch.start, stretch.end,
            on_unit=writer.take, agent=f"Koinon (fetch {fetch.id})",
        )  # fmt: skip
        running.replay = replay
        task = asyncio.create_task(replay.run(running.stop))
        try:
            while not task.done():
                await asyncio.wait([task], timeout=TICK_SECONDS)
                reached = datetime.fromtimestamp(replay.reached, UTC)
                await writer.flush()
                await running.tick(
                    (min(reached, fetch.until) - fetch.since) // timedelta(microseconds=1), writer
                )
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
                with contextlib.suppress(Exception):  # what came is kept, where that can be said still
                    await writer.flush()
            running.replay = None
        outcome = task.result()
        await writer.flush()
        return outcome

    async def _locate(self, camera: Camera) -> "_Located":
        """Where to connect to now, looked up and checked against the owner's networks just before."""
        async with self.database.acquire() as connection:
            found = await store.find_source(connection, camera.id)
            if found is None:
                raise NotFound("camera_not_remote")
            source = parse_source(self.key.open_replay(camera.id, found.sealed_source))
            address = await check_address(connection, source.host, source.port, camera.owner)
        return _Located(msgspec.structs.replace(source, address=address), found.sealed_source, camera.owner)

    async def _open_disk(self) -> tuple[Disk, Place]:
        """Raises: Unavailable: `place_unreachable`, `place_full`."""
        if self._disk is None or self._place is None:
            async with self.database.acquire() as connection:
                places = await list_places(connection)
            with contextlib.suppress(Unavailable):
                marker = await asyncio.to_thread(read_marker, self._folder)
                self._place = next((each for each in places if each.marker == marker), None)
            if self._place is None:  # a recorder makes it
                raise Unavailable("place_unreachable")
            self._disk = Disk(self._folder, least_free=self._least_free)
        if (refusal := await asyncio.to_thread(self._disk.refusal)) is not None:
            raise Unavailable("place_full" if refusal == "disk_full" else "place_unreachable")
        return self._disk, self._place

    async def _clean(self, connection: Connection, camera: Camera, fetch: Fetch, disk: Disk) -> None:
        """Files of this copy that no row knows, which a worker left that died, are gone."""
        days = [
            fetch.since - _DAY + number * _DAY for number in range((fetch.until - fetch.since) // _DAY + 3)
        ]
        folders = [disk.folder / camera.code / f"{day:%Y%m%d}" for day in days]
        found = await asyncio.to_thread(_list_fetched, disk.folder, folders, fetch.stream)
        # Asked by name: what other asks brought lies in the same folders.
        unknown = found - await store.list_known(connection, fetch.stream, found)
        if unknown:
            await asyncio.to_thread(_remove, disk.folder, unknown)
            _log.warning("remote_files_removed", camera=camera.code, files=sorted(unknown))


class _Located(NamedTuple):
    """Where is connected to, and by what that was allowed."""

    source: Source
    sealed: bytes
    owner: PartyId

    async def is_gone(self, connection: Connection, camera: CameraId) -> bool:
        """Whether the owner took it away, or the network in which it lies was."""
        found = await store.find_source(connection, camera)
        networks = await cameras.list_networks(connection, self.owner)
        address = ipaddress.ip_address(self.source.address)
        return found is None or found.sealed_source != self.sealed or not permits(address, networks)


class Running:
    """A fetch that runs.

    Attributes:
        uses: under which it runs, by ask. When there is none any more it stops.
        stop: set when it is to stop.
        code: why the last of those who asked may not, or does not want to.
        source: where it is connected to, as it was checked.
    """

    def __init__(self, fetcher: Fetcher, fetch: Fetch) -> None:
        self.fetch = fetch
        self.uses: dict[AskId, ImageUse] = {}
        self.stop = asyncio.Event()
        self.code: str | None = None
        self.replay: Replay | None = None
        self.source: _Located | None = None
        self._fetcher = fetcher
        self._cuts: list[tuple[AskId, ImageUse, str]] = []

    async def join(self) -> None:
        """A use runs for each who wants it, and for nobody else."""
        fetcher = self._fetcher
        async with fetcher.database.acquire() as connection:
            asks = await store.list_asks_of(connection, self.fetch.id)
        for ask in asks:
            if ask.id not in self.uses and not self.stop.is_set():
                await self._begin(ask)
        wanted = {ask.id for ask in asks}
        for gone in [each for each in self.uses if each not in wanted]:
            self.code = "withdrawn_by_asker"
            await self.uses.pop(gone).end(EndReason.LEFT)
        self._look()

    async def _begin(self, ask: Ask) -> None:
        rights = self._fetcher.rights
        try:
            entered = await rights.enter(
                ask.actor, ask.view(), at_work_station=ask.at_work_station, second=ask.second,
                exchange=ExchangeId(ask.exchange),
            )  # fmt: skip
            use = await rights.open_for(
                entered, ask.view(), note={"ask": str(ask.id), "fetch": str(self.fetch.id), "step": "fetch"}
            )
        except (NotAllowed, NotFound) as refusal:
            await self._stop_ask(ask.id, refusal.code)
            return
        except Unavailable as error:
            if error.code in BEGIN_AGAIN:
                raise _BeginAgain(error.code) from None
            raise
        self.uses[ask.id] = use
        use.on_cut(partial(self._cut, ask.id))

    def _cut(self, ask: AskId) -> None:
        """Called at once when a use is cut."""
        use = self.uses.pop(ask, None)
        if use is None:
            return
        cut = use.use.cut
        self._cuts.append((ask, use, cut.code if cut is not None else "not_decidable"))
        self._look()

    def _look(self) -> None:
        if not self.uses:
            self.stop.set()
            if self.replay is not None:
                self.replay.cut()

    async def tick(self, done_us: int, writer: "_Writer") -> None:
        """It is told how far it is; those who asked meanwhile take part, those who may not any more do not."""
        for use in list(self.uses.values()):
            with contextlib.suppress(Cut):  # `_cut` was called
                await use.go_on()
        await self.tell_cuts()
        if not self.stop.is_set():
            await self.join()
        async with self._fetcher.database.acquire() as connection:
            if not await store.tell_progress(connection, self.fetch, max(0, done_us), writer.take_size()):
                raise _BeginAgain("asked_meanwhile")
            if self.source is not None and await self.source.is_gone(connection, self.fetch.camera):
                raise _BeginAgain("asked_meanwhile")

    async def tell_cuts(self) -> None:
        """Those whose uses were cut hear why, but for reasons that are ours: their uses begin again.

        Raises:
            _BeginAgain: nobody is left, for a reason of ours.
        """
        while self._cuts:
            ask, use, code = self._cuts.pop()
            await use.end(EndReason.CUT)
            if code not in BEGIN_AGAIN:
                await self._stop_ask(ask, code)
            elif not self.uses:
                raise _BeginAgain(code)

    async def _stop_ask(self, ask: AskId, code: str) -> None:
        self.code = code
        async with self._fetcher.database.transaction() as connection:
            await store.lock_owner(connection, self.fetch.owner)
            await store.stop_ask(connection, ask, code, self._fetcher.clock.now())

    async def end(self, how: EndReason) -> None:
        """No use of it runs any more."""
        for _, use, _ in self._cuts:
            await use.end(EndReason.CUT)
        for use in self.uses.values():
            await use.end(how)
        self.uses.clear()


class _Writer:
    """Units on their way into the index."""

    def __init__(
        self, fetcher: Fetcher, running: Running, track: Track, lease: Lease, place: Place, folder: Path
    ) -> None:
        self.lease = lease
        self._database, self._running, self._track = fetcher.database, running, track
        self._place, self._folder = place, folder
        self._waiting: list[Unit] = []
        self._size = 0

    def take(self, unit: Unit) -> None:
        """The unit is durable."""
        self._waiting.append(unit)

    def take_size(self) -> int:
        """Bytes that came into the index since this was asked last."""
        size, self._size = self._size, 0
        return size

    async def flush(self) -> None:
        """Every unit that came is a row.

        Raises:
            Unavailable: `lease_lost`: another worker is at it.
        """
        units, self._waiting = self._waiting, []
        if not units:
            return
        async with self._database.acquire() as connection:
            new = [
                NewUnit(
                    track=self._track, unit=each, place=self._place.id,
                    file=each.path.relative_to(self._folder).as_posix(),
                    entry=await index.ensure_entry(connection, each),
                )
                for each in units
            ]  # fmt: skip
            outcomes = await index.insert_units(connection, new, {self._track: self.lease.fence})
        if "late" in outcomes:
            raise Unavailable("lease_lost", lease=self._track.lease)
        size = sum(each.bytes for each in units)
        self._size += size
        _bytes.inc(size)
        for use in self._running.uses.values():
            use.use.bytes += size


def _list_fetched(root: Path, folders: Sequence[Path], stream: int) -> set[str]:
    """The files of the copy `FETCHED` of the stream in these folders, whole or not."""
    found = set()
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if not path.name.endswith((".mp4", PART)):
                continue
            with contextlib.suppress(Invalid, OSError):
                unit = read_unit(path)
                if (unit.stream, unit.copy) == (stream, FETCHED):
                    found.add(path.relative_to(root).as_posix())
    return found


def _remove(root: Path, files: Collection[str]) -> None:
    for name in files:
        with contextlib.suppress(OSError):
            (root / name).unlink()
    for folder in {(root / name).parent for name in files}:
        fsync_folder(folder)
