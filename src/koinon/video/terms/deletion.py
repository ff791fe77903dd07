"""The protocol of deletion: rows go and garbage comes in one transaction; files are unlinked; garbage goes.

`mark_due` decides and may run anywhere; `sweep` unlinks and runs wherever a place can be reached. Both may be killed at
any moment and run again, at the same time as others of their kind. What is deleted is told by rows, never by how much
room there is.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from koinon.base.clock import Clock, civil_date
from koinon.base.database import Connection, Database
from koinon.base.metrics import counter, gauge
from koinon.trust.standing import Standing
from koinon.video.cameras.model import CameraId
from koinon.video.recordings import list_places
from koinon.video.terms.model import Regimes, Window
from koinon.video.terms.places import reach
from koinon.video.terms.policy import windows_due
from koinon.video.terms.regimes import read_regimes
from koinon.video.terms.store import due as store

MARK_BATCH = 2000
SWEEP_BATCH = 200  # some tenths of a second of unlinking: the transaction is open meanwhile

_DELETED = counter(
    "koinon_terms_units_deleted_total", "Units past their term of which the rows went.", ["why"]
)
_UNLINKED = counter("koinon_terms_files_unlinked_total", "Files that were durably removed.")
_WAITING = gauge("koinon_terms_garbage_files", "Files that wait to be removed.")


class Marked(msgspec.Struct, kw_only=True):
    """What one pass of `mark_due` did: rows that went."""

    units: int = 0
    bytes: int = 0
    derived: int = 0
    gaps: int = 0


class Swept(msgspec.Struct, kw_only=True):
    """What one pass of `sweep` did: files removed, those that could not be, and places that are not here."""

    files: int = 0
    failed: int = 0
    away: int = 0


@lru_cache(maxsize=4)
def regimes_of(standing: Standing) -> Regimes:
    """The regimes that count under this standing."""
    return read_regimes(standing.bank.rules)


async def list_windows(
    connection: Connection, regimes: Regimes, now: datetime
) -> list[tuple[CameraId, Window]]:
    """What is due at `now`, of every camera."""
    return [
        (kept.camera, window)
        for kept in await store.list_kept(connection)
        for window in windows_due(kept.streams, kept.limits(regimes, now), kept.own_days, now)
    ]


async def mark_due(
    database: Database,
    regimes: Regimes,
    clock: Clock,
    *,
    batch: int = MARK_BATCH,
    pause_seconds: float = 0.05,
) -> Marked:
    """Nothing that is past its term is a row any more: units, what was made from them, gaps.

    Held units stay, within what their hold may keep. Paced: a batch, then a pause.
    """
    now = clock.now()
    done = Marked()
    async with database.acquire() as connection:
        windows = await list_windows(connection, regimes, now)
    if not windows:
        return done
    while True:
        async with database.transaction() as connection:
            await store.take_turn(connection)
            gone = await store.delete_units(connection, windows, now, batch)
            if gone:
                pieces = await store.note_deleted(connection, gone, civil_date(now), now)
                done.derived += await store.delete_derived_of(connection, pieces, now)
        done.units += len(gone)
        done.bytes += sum(each.bytes for each in gone)
        for each in gone:
            _DELETED.labels(each.why.value).inc()
        if len(gone) < batch:
            break
        await asyncio.sleep(pause_seconds)
    while True:
        async with database.transaction() as connection:
            await store.take_turn(connection)
            derived = await store.delete_derived(connection, windows, now, batch)
        done.derived += derived
        if derived < batch:
            break
        await asyncio.sleep(pause_seconds)
    async with database.transaction() as connection:
        done.gaps = await store.delete_gaps(connection, windows)
    return done


async def sweep(
    database: Database, home: Path, *, batch: int = SWEEP_BATCH, pause_seconds: float = 0.05
) -> Swept:
    """No garbage lies in a place that can be reached from here, but what the disk refuses to remove.

    Paced: a batch, then a pause. What another process is removing at this moment is left to it.
    """
    done = Swept()
    async with database.acquire() as connection:
        waiting = await store.count_garbage(connection)
        places = [each for each in await list_places(connection) if each.id in waiting]
    for place in places:
        found = await asyncio.to_thread(reach, place, home)
        if found is None:
            done.away += 1
            continue
        while True:
            async with database.transaction() as connection:
                garbage = await store.take_garbage(connection, place.id, batch)
                failed = await found.remove([each.file for each in garbage])
                gone = [each.id for each in garbage if each.file not in failed]
                await store.forget_garbage(connection, gone)
                await store.note_failures(
                    connection, [(each.id, failed[each.file]) for each in garbage if each.file in failed]
                )
            done.files += len(gone)
            done.failed += len(failed)
            _UNLINKED.inc(len(gone))
            if failed or len(garbage) < batch:
                break
            await asyncio.sleep(pause_seconds)
    async with database.acquire() as connection:
        left: Sequence[tuple[int, datetime]] = list((await store.count_garbage(connection)).values())
    _WAITING.set(sum(count for count, _ in left))
    return done
