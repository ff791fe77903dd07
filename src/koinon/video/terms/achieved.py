"""The achieved term: once a day, of every camera, what its oldest image is, against what the law and its owner say.

It stands in the register log, where everybody can hold it against the rule; what is held, and where, would tell of
inquiries, so that it stands sealed in the exchange log for the owner.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import structlog

from koinon.base.clock import Clock, civil_date, rfc3339
from koinon.base.database import Database
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.video.cameras.model import CameraId
from koinon.video.terms.model import Limit, Regimes, Why
from koinon.video.terms.policy import limit_at, windows_due
from koinon.video.terms.store import due, reports
from koinon.video.terms.store.reports import Achieved

TOLD = "terms.achieved"
HELD = "terms.held"
_CAMERAS_AN_ENTRY = 150

_log = structlog.get_logger(__name__)


async def tell_achieved(
    database: Database, sealer: Sealer, regimes: Regimes, clock: Clock
) -> Sequence[Achieved]:
    """The achieved terms are told for yesterday (Brussels), once: as things are now, with what went that day.

    Records: `terms.achieved` (register log) and, where something is held, `terms.held` (exchange log), for each owner.
    """
    now = clock.now()
    day = civil_date(now) - timedelta(days=1)
    async with database.transaction() as connection:
        await due.take_turn(connection)
        if await reports.is_achieved_told(connection, day):
            return []
        cameras = await due.list_kept(connection)
        limits = {each.camera: each.limits(regimes, now) for each in cameras}
        overdue = [
            (each.camera, window)
            for each in cameras
            for window in windows_due(each.streams, limits[each.camera], None, now, timedelta(0))
            if window.why is Why.MAXIMUM
        ]
        kept = await reports.read_kept(connection, overdue, now)
        deletions = await reports.read_deletions(connection, day)
        holds = await reports.count_holds(connection, now)
        rows: list[Achieved] = []
        for owner, owned in groupby(
            sorted(cameras, key=lambda each: (str(each.owner), each.code)), lambda e: e.owner
        ):
            mine = list(owned)
            entries: list[Entry] = []
            for first in range(0, len(mine), _CAMERAS_AN_ENTRY):
                chunk = mine[first : first + _CAMERAS_AN_ENTRY]
                cells = [_cell(each, limits, kept, deletions, now, day) for each in chunk]
                entry = Entry(
                    log=Log.REGISTER, kind=TOLD, at=now,
                    public={"party": str(owner), "day": day.isoformat(), "cameras": [cell for cell, _ in cells]},
                )  # fmt: skip
                entries.append(entry)
                for each, (_, facts) in zip(chunk, cells, strict=True):
                    rows.append(
                        Achieved(
                            day=day,
                            camera=each.camera,
                            owner=owner,
                            holds=holds.get(each.camera, 0),
                            entry=entry.id,
                            **facts,
                        )
                    )
            held = [row for row in rows if row.owner == owner and row.holds]
            if held:
                codes = {each.camera: each.code for each in mine}
                entries.append(
                    Entry(
                        log=Log.EXCHANGE, kind=HELD, at=now, public={"keeper": str(owner), "day": day.isoformat()},
                        private={
                            "cameras": [
                                {
                                    "camera": codes[row.camera], "holds": row.holds,
                                    "oldest": rfc3339(row.oldest_held_at) if row.oldest_held_at else None,
                                }
                                for row in held
                            ]
                        },
                    )
                )  # fmt: skip
            await append(connection, sealer, entries)
        await reports.insert_achieved(connection, rows)
        for kind, wrong in (
            ("term_exceeded", [row for row in rows if not row.within]),
            ("regime_inactive", [row for row in rows if row.fallen_back]),
        ):
            subjects = [f"camera {row.camera}" for row in wrong]
            for subject in subjects:
                if await reports.raise_alarm(connection, kind, subject, now, {"day": day.isoformat()}):
                    _log.error("alarm", alarm=kind, subject=subject)
            await reports.end_alarms(connection, kind, now, but=subjects)
    return rows


def _cell(
    camera: due.Kept,
    limits: dict[CameraId, tuple[Limit, ...]],
    kept: dict[CameraId, reports.Kept],
    deletions: dict[CameraId, tuple[int, int, int]],
    now: datetime,
    day: date,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the public line says of a camera, and what the row says."""
    limit = limit_at(limits[camera.camera], now)
    there = kept.get(camera.camera, reports.Kept(None, None, 0))
    units, size, early = deletions.get(camera.camera, (0, 0, 0))
    term = limit.days if camera.own_days is None else min(camera.own_days, limit.days)
    facts: dict[str, Any] = {
        "regime": limit.regime, "rule": limit.rule, "fallen_back": limit.fallen_back[0] if limit.fallen_back else None,
        "maximum_days": limit.days, "term_days": term, "oldest_at": there.oldest, "oldest_held_at": there.oldest_held,
        "deleted_units": units, "deleted_bytes": size, "early_units": early, "within": there.overdue == 0,
    }  # fmt: skip
    cell = {
        "camera": camera.public_code, "regime": limit.regime, "rule": limit.rule, "maximum_days": limit.days,
        "term_days": term, "oldest": rfc3339(there.oldest, minutes=True) if there.oldest else None,
        "deleted": units, "early": early, "within": there.overdue == 0,
    }  # fmt: skip
    if limit.fallen_back:
        cell["fallen_back"] = limit.fallen_back[0]
    return cell, facts
