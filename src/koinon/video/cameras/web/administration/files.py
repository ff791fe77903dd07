"""The page on which a file of cameras is handed in, and the report on each row."""

import io
from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed
from koinon.base.ids import parse_id
from koinon.base.settings import Settings
from koinon.portal import render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.video.cameras import importing
from koinon.video.cameras.policy import MANAGER, OPERATOR
from koinon.video.cameras.rows import COLUMNS, REQUIRED, reader_of
from koinon.video.cameras.sources import SourceKey
from koinon.video.cameras.web.administration.forms import demand_change, list_owners
from koinon.video.cameras.web.words import (
    FIELDS,
    words_for,
)

MAX_UPLOAD_BYTES = 8 * 1024 * 1024


@get("/video/import", include_in_schema=False)
async def show_import(
    request: Request[Any, Any, Any], session: NamedDependency[Session], database: NamedDependency[Database]
) -> Response[bytes]:
    """Where a file of cameras is handed in."""
    return await _import_page(request, session.author(), database)


@post("/video/import", include_in_schema=False, status_code=200, request_max_body_size=MAX_UPLOAD_BYTES)
async def import_file(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Response[bytes]:
    """What became of each row of the file; nothing stays of a trial."""
    author = session.author()
    try:
        form = await request.form()
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            raise Invalid("file_missing", field="file")
        given = str(form.get("owner") or "")
        owner = PartyId(parse_id(given, "owner")) if given else author.party
        if owner is None:
            raise Invalid("form_incomplete", field="owner", why="owner")
        async with database.acquire() as connection:
            await demand_change(connection, author, owner, clock.now())
        reports = [
            each
            async for each in importing.import_rows(
                database,
                sealer,
                SourceKey.of(settings.home),
                owner,
                reader_of(file.filename)(io.BytesIO(await file.read())),
                by=author,
                at=clock.now(),
                rules=standing.bank.rules,
                dry_run=form.get("trial") == "on",
            )
        ]
    except KoinonError as error:
        if error.status not in (400, 413):
            raise
        return await _import_page(request, author, database, error=error)
    return await _import_page(
        request, author, database, reports=reports, trial=form.get("trial") == "on", name=file.filename
    )


async def _import_page(
    request: Request[Any, Any, Any],
    author: Author,
    database: Database,
    *,
    reports: list[importing.RowReport] | None = None,
    trial: bool = False,
    name: str = "",
    error: KoinonError | None = None,
) -> Response[bytes]:
    if author.profile not in (MANAGER, OPERATOR):
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)
    return render(
        request,
        "cameras/import.html",
        status_code=error.status if error else 200,
        problem=words_for(request, error),
        facts=error.facts if error else {},
        reports=[
            (each, words_for(request, Invalid(each.code, **each.facts)) if each.code else None)
            for each in reports or ()
        ],
        counts=importing.count(reports) if reports is not None else None,
        trial=trial,
        name=name,
        columns=COLUMNS,
        required=REQUIRED,
        fields=FIELDS,
        owners=await list_owners(database, author),
    )


handlers = [show_import, import_file]
