"""Exports are made: decided on anew, under a use that is cut like any other, then signed."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from koinon.base.clock import Clock
from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.errors import KoinonError, NotAllowed, NotFound, TooMany, Unavailable
from koinon.base.fair import demand_share
from koinon.base.metrics import counter
from koinon.trust.gate import BEGIN_AGAIN, Cut, EndReason, ExchangeId, Gate
from koinon.video.cameras.model import StreamId
from koinon.video.exports import store
from koinon.video.exports.filming import ClipFilm, EvidenceFilm, Film, film
from koinon.video.exports.manifest import MadeCamera, sign, write
from koinon.video.exports.model import Export, ExportFile, ExportId, Form, Part, State
from koinon.video.exports.policy import check_kept, file_name, fill_holes, gone_at, mark_of
from koinon.video.exports.shelf import KIND, FileOut, Shelf, prefix_of
from koinon.video.masks.policy import mask_of
from koinon.video.masks.service import list_masks
from koinon.video.masks.stream import MaskPool
from koinon.video.playback import Playback
from koinon.video.playback.pieces import to_us
from koinon.video.recordings import Place
from koinon.video.recordings.model import SampleEntry
from koinon.video.rights import ImageUse, Rights
from koinon.video.terms import discard_derived, limit_at, list_kept, regimes_of

_TELL_SECONDS: Final = 1.0
_log = structlog.get_logger(__name__)
_made = counter("koinon_exports_total", "Exports, by what became of them.", ["state"])


class Unwanted(KoinonError):
    """Its asker deleted it, or another worker makes it."""


class Maker:
    """Makes exports in a releasing process."""

    def __init__(
        self,
        *,
        database: Database,
        gate: Gate,
        rights: Rights,
        playback: Playback,
        pool: MaskPool,
        shelf: Shelf,
        key: SigningKey,
        clock: Clock,
        platform: str,
    ) -> None:
        self._database, self._gate, self._rights, self._playback = database, gate, rights, playback
        self._pool, self._shelf, self._key, self._clock = pool, shelf, key, clock
        self._platform = platform

    async def make(self, id_: ExportId) -> State | None:
        """The export is ready, or stopped; its state, or None where nobody wants it made.

        Raises:
            Unavailable, and whatever else says that trying again may help: nothing of it is wanted then.

        Records: `exchange.begun` and `exchange.ended` for each camera; `exchange.refused` where it may not.
        """
        async with self._database.transaction() as connection:
            export = await store.begin(connection, id_, self._clock.now())
            if export is None:
                return None
            # What a worker that died left behind.
            mine = prefix_of(export.id, export.attempt)
            await discard_derived(connection, KIND, prefix_of(export.id), self._clock.now(), but=mine)
            parts = (await store.list_parts(connection, [export.id]))[export.id]
        try:
            await self._make(export, parts)
        except Unwanted:
            return None
        except Cut as cut:
            if cut.code in BEGIN_AGAIN:
                raise Unavailable(cut.code) from None
            return await self._stop(export, cut.code)
        except (NotAllowed, NotFound, TooMany) as refusal:
            return await self._stop(export, refusal.code)
        _made.labels(State.READY.value).inc()
        return State.READY

    async def fail(self, id_: ExportId, why: str) -> None:
        """It is not tried any more."""
        async with self._database.transaction() as connection:
            await store.move(
                connection, id_, State.FAILED, why, self._clock.now(), [State.QUEUED, State.MAKING]
            )
        _made.labels(State.FAILED.value).inc()

    async def _stop(self, export: Export, code: str) -> State:
        async with self._database.transaction() as connection:
            await store.move(
                connection, export.id, State.STOPPED, code, self._clock.now(), [State.QUEUED, State.MAKING]
            )
        _made.labels(State.STOPPED.value).inc()
        _log.info("export_stopped", export=str(export.id), code=code)
        return State.STOPPED

    async def _make(self, export: Export, parts: Sequence[Part]) -> None:
        place = await self._shelf.find_place()
        made: list[MadeCamera] = []
        outs: list[FileOut] = []
        count = 0
        for part in parts:
            each = await self._make_camera(export, part, place, count, len(made), outs)
            count += len(each.files)
            made.append(each)
        at = self._clock.now()
        signed = sign(self._key, write(export, made, at, self._platform))
        files = [filmed.file for each in made for filmed in each.files]
        ends = await self._ends(files)
        async with self._database.transaction() as connection:
            for file in files:
                await store.insert_file(connection, file)
            size = sum(file.bytes for file in files)
            if not await store.finish(connection, export, signed, size, at, gone_at(at, ends)):
                raise Unwanted("export_unwanted")

    async def _make_camera(
        self, export: Export, part: Part, place: Place, count: int, before: int, outs: list[FileOut]
    ) -> MadeCamera:
        request = export.view_of(part.camera)
        entered = await self._rights.enter(
            export.actor,
            request,
            at_work_station=part.at_work_station,
            second=part.second,
            exchange=ExchangeId(part.exchange),
        )
        use = await self._rights.open_for(entered, request, note={"export": str(export.id), "step": "make"})
        how = EndReason.FAILED
        try:
            async with self._database.acquire() as connection:
                known = [each for each in await list_masks(connection, part.camera) if each.polygons]
            masks = mask_of(known, export.since, export.until) if use.masked else []
            if masks and export.form is Form.EVIDENCE:
                raise NotAllowed("original_masked")
            async with self._database.acquire() as connection:
                await store.note_masked(connection, part, use.masked)
            stream = await self._playback.find_stream(part.camera)
            since, until = to_us(export.since), to_us(export.until)
            number = count

            async def new_file(start: datetime) -> FileOut:
                nonlocal number
                number += 1
                name = file_name(number, entered.camera.code, start)
                outs.append(
                    FileOut(
                        self._shelf, place, export, number, name, part.camera, stream, start, export.until
                    )
                )
                return outs[-1]

            async def begin(entry: SampleEntry) -> Film:
                if export.form is Form.EVIDENCE:
                    return EvidenceFilm(new_file, entry, export.since, export.until)
                clip = ClipFilm(new_file, export.since, export.until)
                await clip.begin(self._pool, masks, mark_of(export), entry.init)
                return clip

            files, holes = await film(
                self._playback.source(stream, until),
                since,
                until,
                begin,
                per_unit=export.form is Form.EVIDENCE,
                go_on=_Going(self, export, use, (until - since) * before, place, outs),
            )
            await use.go_on(sum(each.file.bytes for each in files))
            party = self._gate.keeper.current.register.parties.get(entered.camera.owner)
            passage = use.use.passage
            spans = [(each.file.start, each.file.end) for each in files]
            how = EndReason.COMPLETED
            return MadeCamera(
                part=part, camera=entered.camera, owner_name=party.name.nl if party else "",
                decision=passage.decision, authorisation=passage.grounds.authorisation, masked=use.masked,
                masks=masks, made=use.use.receipt, files=files,
                holes=fill_holes(export.since, export.until, spans, holes),
            )  # fmt: skip
        except asyncio.CancelledError:
            how = EndReason.LEFT
            raise
        finally:
            await asyncio.shield(use.end(how))

    async def go_on(self, export: Export, done_us: int, size: int, place: Place) -> None:
        """It is still wanted, how far it is has been told, and its person and party may have so many bytes.

        Raises:
            Unwanted.
            TooMany: `exports_full`; `share_taken`: the party has as much as is left for exports of all others.
            Unavailable: `place_unreachable`.
        """
        room = await self._shelf.find_room(place)
        async with self._database.acquire() as connection:
            if not await store.tell_progress(connection, export, done_us, size):
                raise Unwanted("export_unwanted")
            check_kept(*await store.find_kept(connection, export.person), self._clock.now())
            if room is not None and room > 0:
                held = await store.sum_party(connection, export.party)
                demand_share("export_bytes", held, held, held + room)

    async def _ends(self, files: Sequence[ExportFile]) -> list[datetime]:
        """When the term of the oldest image of each file is over."""
        streams: dict[StreamId, list[datetime]] = {}
        for file in files:
            streams.setdefault(file.stream, []).append(file.start)
        now = self._clock.now()
        standing = await self._gate.keeper.settle()
        async with self._database.acquire() as connection:
            kept = [each for each in await list_kept(connection) if streams.keys() & set(each.streams)]
        found = []
        for camera in kept:
            limits = camera.limits(regimes_of(standing), now)
            for stream in camera.streams:
                for start in streams.get(stream, ()):
                    days = limit_at(limits, start).days
                    if camera.own_days is not None:
                        days = min(days, camera.own_days)
                    found.append(start + timedelta(days=days))
        return found


class _Going:
    """Called before each piece: its grounds stand, it is still wanted, there is room for it, and how far it is has been
    told.
    """

    def __init__(
        self,
        maker: Maker,
        export: Export,
        use: ImageUse,
        before_us: int,
        place: Place,
        outs: Sequence[FileOut],
    ) -> None:
        self._maker, self._export, self._use = maker, export, use
        self._place, self._outs = place, outs
        self._before = before_us - to_us(export.since)
        self._told = 0.0

    async def __call__(self, us: int) -> None:
        await self._use.go_on()
        if time.monotonic() - self._told < _TELL_SECONDS:
            return
        self._told = time.monotonic()
        await self._maker.go_on(
            self._export, self._before + us, sum(each.bytes for each in self._outs), self._place
        )
