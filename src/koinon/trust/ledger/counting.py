"""Daily counts: what the public register tells of the exchange log, with small cells suppressed."""

from datetime import date, datetime, timedelta
from typing import Any, Final

from koinon.base.clock import start_of
from koinon.base.database import Connection
from koinon.base.errors import Conflict
from koinon.trust.ledger import store
from koinon.trust.ledger.model import Entry, Log
from koinon.trust.ledger.sealing import Sealer
from koinon.trust.ledger.service import append

COUNTED: Final = "ledger.day_counted"
# A cell of fewer could point at a person.
SMALLEST_CELL: Final = 5
_CELLS_AN_ENTRY: Final = 400
_MARGIN: Final = timedelta(minutes=2)


async def count_day(connection: Connection, sealer: Sealer, day: date, at: datetime) -> int:
    """The register log tells how many uses of each kind each flow had on `day` (Brussels); returns the cells told.

    A cell is a flow or camera group (the first of an entry's `resources`), a kind and its count; one of 1 to 4 is told
    as suppressed, an empty one is not told. Totals are not told, or a suppressed cell could be computed. The day is
    counted once, and not before it is over and transactions of its last minute have ended.

    Records: `ledger.day_counted` in the register log, one or more.

    Raises:
        Conflict: `day_not_over`, `day_counted`.
    """
    begin, end = start_of(day), start_of(day + timedelta(days=1))
    if at < end + _MARGIN:
        raise Conflict("day_not_over", day=day.isoformat())
    await store.lock_counting(connection)
    counted = await store.list_register(connection, [COUNTED])
    if any(entry.public.get("day") == day.isoformat() for entry in counted):
        raise Conflict("day_counted", day=day.isoformat())
    cells = [_cell(*row) for row in await store.count_uses(connection, begin, end)]
    chunks = [cells[n : n + _CELLS_AN_ENTRY] for n in range(0, len(cells), _CELLS_AN_ENTRY)] or [[]]
    entries = [
        Entry(
            log=Log.REGISTER,
            kind=COUNTED,
            at=at,
            public={"day": day.isoformat(), "part": part, "parts": len(chunks), "cells": chunk},
        )
        for part, chunk in enumerate(chunks, start=1)
    ]
    await append(connection, sealer, entries)
    return len(cells)


def _cell(flow: str, kind: str, count: int) -> dict[str, Any]:
    told: dict[str, Any] = {"suppressed": True} if count < SMALLEST_CELL else {"count": count}
    return {"flow": flow, "kind": kind, **told}
