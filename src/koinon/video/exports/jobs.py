"""What the worker does for exports: makes them, in a releasing process; clears away what is not wanted any more."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from koinon.base.clock import Clock, SystemClock
from koinon.base.database import Connection, Database
from koinon.base.jobs import Handler, Run, job, list_failed
from koinon.video.exports import store
from koinon.video.exports.making import Maker
from koinon.video.exports.model import Export, ExportId, State
from koinon.video.exports.policy import ATTEMPTS, KEPT
from koinon.video.exports.shelf import KIND, Shelf, prefix_of
from koinon.video.terms import discard_derived, list_standing

MAKE: Final = "exports.make"
REMEMBERED: Final = timedelta(days=30)
"""How long the list of one's own exports shows those of which nothing is left."""
_log = structlog.get_logger(__name__)


def make_handlers(maker: Maker) -> list[Handler]:
    """The job that makes one; its payload is the export's id."""

    @job(MAKE, attempts=ATTEMPTS)
    async def make(run: Run) -> None:
        """The export is ready or stopped; after the last attempt it has failed."""
        export = ExportId(UUID(run.payload))
        try:
            await maker.make(export)
        except Exception as error:
            if run.attempt >= ATTEMPTS:
                await maker.fail(export, getattr(error, "code", "making_failed"))
            raise

    return [make]


def sweep_handlers(shelf: Shelf, clock: Clock | None = None) -> list[Handler]:
    """The job that clears away."""
    clock = clock or SystemClock()

    @job("exports.sweep", every=timedelta(minutes=1))
    async def sweep_exports(run: Run) -> None:
        """Exports past their time, or of which a piece went with its term, are gone."""
        await sweep(run.database, shelf, clock.now())

    return [sweep_exports]


async def sweep(database: Database, shelf: Shelf, now: datetime) -> int:
    """No export can be fetched that is past its time, or of which a piece is gone; of what is not wanted the pieces are
    garbage (`terms` unlinks it). How many were cleared away.
    """
    async with database.acquire() as connection:
        ready = await store.list_ready(connection)
    for export in ready:
        async with database.acquire() as connection:
            files = await store.list_files(connection, export)
            late = now >= export.moved_at + KEPT and not await _is_held(connection, export, now)
        if late or not await shelf.has_all(files):
            async with database.transaction() as connection:
                code = "export_over" if late else "source_gone"
                await store.move(connection, export.id, State.DELETED, code, now, [State.READY])
    async with database.transaction() as connection:
        # A worker that died with each attempt has told nobody that it was the last.
        for each in await list_failed(connection, MAKE):
            if each["key"]:
                going = [State.QUEUED, State.MAKING]
                await store.move(connection, UUID(each["key"]), State.FAILED, "making_failed", now, going)
        unswept = await store.list_unswept(connection)
    for export in unswept:
        async with database.transaction() as connection:
            await discard_derived(connection, KIND, prefix_of(export.id), now)
            await store.set_swept(connection, export.id, now)
    async with database.transaction() as connection:
        await store.forget(connection, now - REMEMBERED)
    return len(unswept)


async def _is_held(connection: Connection, export: Export, now: datetime) -> bool:
    """Whether a hold stands on images of it: then nobody's seven days end it."""
    for part in (await store.list_parts(connection, [export.id]))[export.id]:
        for hold in await list_standing(connection, part.camera, now):
            if hold.since < export.until and hold.until > export.since:
                return True
    return False
