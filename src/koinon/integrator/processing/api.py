"""Published results for machines: JSON and CSV, for anybody."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from koinon.base.ids import parse_id
from koinon.integrator.processing.export import as_json, cells_csv, noisy_csv
from koinon.integrator.processing.model import Publication
from koinon.integrator.processing.service import Processing

_PAGE = 50


@get("/api/statistics", opt={"public": True}, tags=["statistics"])
async def list_statistics(
    processing: NamedDependency[Processing], before: FromQuery[str | None] = None
) -> list[dict[str, Any]]:
    """What was published, newest first, 50 at a time; `before` is the last id of the page before."""
    past = parse_id(before, "before") if before else None
    return [
        msgspec.to_builtins(each) for each in await processing.list_publications(before=past, limit=_PAGE)
    ]


@get("/api/statistics/{publication:uuid}", opt={"public": True}, tags=["statistics"])
async def get_statistics(
    publication: FromPath[UUID], processing: NamedDependency[Processing]
) -> dict[str, Any]:
    """One publication with its cells; one that is left out has `value` null and `suppressed` true."""
    return as_json(await processing.get_publication(publication))


@get("/api/statistics/{publication:uuid}/csv", opt={"public": True}, tags=["statistics"])
async def get_statistics_csv(
    publication: FromPath[UUID], processing: NamedDependency[Processing]
) -> Response[bytes]:
    """The same as CSV (RFC 4180, UTF-8); `:c` where a cell is left out, nothing in it runs in a spreadsheet."""
    found = await processing.get_publication(publication)
    return Response(
        await _csv(processing, found),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="{found.data_set_name}-{found.id}.csv"'},
    )


async def _csv(processing: Processing, found: Publication) -> bytes:
    if found.kind == "rows":
        return await processing.read_rows(found)
    return cells_csv(found) if found.kind == "cells" else noisy_csv(found)


handlers = [list_statistics, get_statistics, get_statistics_csv]
"""Routes for `app.http`."""
