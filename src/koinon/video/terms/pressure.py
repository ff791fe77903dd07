"""Room on the disks: looked at by who has them mounted, announced before it is short, and never guessed.

What cannot be read is an alarm. Deleting before the term is over happens only where the site allows it, and then the
oldest goes first, nothing held, nothing of the last day, never more than is missing by the rows' own sizes, with a row
and a line of the ledger.
"""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from koinon.base.clock import Clock, civil_date, rfc3339
from koinon.base.database import Connection, Database
from koinon.base.metrics import gauge
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.video.recordings import list_places
from koinon.video.terms.deletion import list_windows
from koinon.video.terms.model import Regimes
from koinon.video.terms.places import FolderReach, reach
from koinon.video.terms.policy import Room, outlook
from koinon.video.terms.store import due, reports
from koinon.video.terms.store.reports import RoomRow

FLOOR: Final = timedelta(days=1)
"""Nothing younger goes for lack of room: a recorder that has no room stops and says so."""

STALE: Final = timedelta(minutes=10)
"""A place of which nobody has said so long what it has left is away."""

MOST: Final = 5000
_PATIENCE_SECONDS: Final = 5.0
_ALARMS: Final = {"announced": "disk_announced", "pressing": "disk_pressing", "unreadable": "disk_unreadable"}
_FREE = gauge(
    "koinon_terms_free_bytes", "Room left in a place of recordings; -1 where it cannot be read.", ["place"]
)

_log = structlog.get_logger(__name__)


async def look(database: Database, home: Path, clock: Clock) -> list[RoomRow]:
    """What every folder that is mounted here has left is told, with alarms; those that are not are left to others."""
    found = []
    async with database.acquire() as connection:
        places = await list_places(connection)
        setting = await reports.get_setting(connection)
    for place in places:
        here = await asyncio.to_thread(reach, place, home)
        if not isinstance(here, FolderReach):
            continue
        async with database.transaction() as connection:
            # In turn with `relieve`, and garbage before room: what was marked is never reckoned as missing again.
            await due.take_turn(connection)
            waiting = await due.sum_garbage(connection, place.id)
            room = await _room(here)
            per_day, due_by_day = await reports.get_rate(connection, place.id)
            seen = outlook(
                room,
                per_day,
                due_by_day,
                reserve_percent=setting.reserve_percent,
                announce_days=setting.announce_days,
            )
            row = RoomRow(
                place=place.id, at=clock.now(), free_bytes=room.free, total_bytes=room.total, state=seen.state,
                days_left=seen.days_left, to_free_bytes=max(0, seen.to_free - waiting), in_per_day_bytes=per_day,
            )  # fmt: skip
            await reports.put_room(connection, row)
            await _tell(connection, row)
        _FREE.labels(str(place.id)).set(-1 if room.free is None else room.free)
        found.append(row)
    return found


async def _room(here: FolderReach) -> Room:
    """What is left; a disk that does not answer in time cannot be read."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await asyncio.to_thread(here.room)
    except TimeoutError:
        return Room(None, 0)


async def _tell(connection: Connection, row: RoomRow) -> None:
    subject = f"place {row.place}"
    wanted = _ALARMS.get(row.state)
    for kind in _ALARMS.values():
        if kind == wanted:
            detail: dict[str, Any] = {"free_bytes": row.free_bytes, "days_left": row.days_left}
            if await reports.raise_alarm(connection, kind, subject, row.at, detail):
                _log.error("alarm", alarm=kind, subject=subject, **detail)
        else:
            await end_alarm(connection, kind, subject, row.at)


async def end_alarm(connection: Connection, kind: str, subject: str, at: datetime) -> None:
    """That alarm does not stand any more."""
    standing = [each.subject for each in await reports.list_alarms(connection) if each.kind == kind]
    await reports.end_alarms(connection, kind, at, but=[each for each in standing if each != subject])


async def watch(database: Database, clock: Clock) -> None:
    """Alarms about what does not happen: a place that nobody sees any more, garbage that nobody removes."""
    now = clock.now()
    async with database.transaction() as connection:
        away = [f"place {row.place}" for row in await reports.list_rooms(connection) if row.at < now - STALE]
        waiting = {
            f"place {place}": count
            for place, (count, since) in (await due.count_garbage(connection)).items()
            if since < now - 2 * STALE
        }
        for kind, subjects in (("place_away", dict.fromkeys(away, 0)), ("garbage_waiting", waiting)):
            for subject, count in subjects.items():
                if await reports.raise_alarm(connection, kind, subject, now, {"files": count}):
                    _log.error("alarm", alarm=kind, subject=subject, files=count)
            await reports.end_alarms(connection, kind, now, but=list(subjects))


async def measure_rates(database: Database, regimes: Regimes, clock: Clock) -> None:
    """How fast places fill, and what becomes due in them on the coming days, is told anew: sampled, an hour a day."""
    now = clock.now()
    async with database.transaction() as connection:
        setting = await reports.get_setting(connection)
        days = [
            await list_windows(connection, regimes, now + timedelta(days=day))
            for day in range(1, setting.announce_days + 1)
        ]
        await reports.put_rates(connection, await reports.sample_rates(connection, days, now), now)


async def relieve(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Where a disk is below its reserve and the site allows it, so much of the oldest is garbage as is missing.

    Nothing while garbage of that place still waits: what was marked before has not made its room yet. How many units.

    Records: `terms.deleted_early` (register log), one a place.
    """
    now = clock.now()
    done = 0
    async with database.transaction() as connection:
        setting = await reports.get_setting(connection)
        if not setting.early_deletion:
            return 0
        await due.take_turn(connection)
        waiting = await due.count_garbage(connection)
        for room in await reports.list_rooms(connection):
            if (
                room.state != "pressing"
                or room.at < now - STALE
                or room.place in waiting
                or not room.to_free_bytes
            ):
                continue
            gone = await reports.delete_oldest(
                connection, room.place, room.to_free_bytes, now - FLOOR, now, MOST
            )
            if not gone:
                continue
            pieces = await due.note_deleted(connection, gone, civil_date(now), now)
            await due.delete_derived_of(connection, pieces, now)
            entry = Entry(
                log=Log.REGISTER, kind="terms.deleted_early", at=now,
                public={
                    "place": room.place, "reason": "pressure", "units": len(gone),
                    "bytes": sum(each.bytes for each in gone), "cameras": len({each.camera for each in gone}),
                    "oldest": rfc3339(gone[0].start, minutes=True), "newest": rfc3339(gone[-1].start, minutes=True),
                    "missing_bytes": room.to_free_bytes,
                },
            )  # fmt: skip
            await append(connection, sealer, [entry])
            await reports.put_room(connection, msgspec.structs.replace(room, to_free_bytes=0))
            _log.error("deleted_early", place=room.place, units=len(gone))
            done += len(gone)
    return done
