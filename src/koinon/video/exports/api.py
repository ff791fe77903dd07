"""Exports for programs and for the page: asked, looked at, fetched, deleted. Nothing here decides."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream

from koinon.base.connection import narrow, reset, transport_of
from koinon.trust.parties.sign_in import Session
from koinon.video.exports.model import ExportRequest, ExportView
from koinon.video.exports.service import LIFE, Exports

_BUFFER_BYTES = 128 * 1024  # what a cut finds underway; a package is long, and nobody watches it


class ExportList(msgspec.Struct, frozen=True):
    """Exports, newest first."""

    exports: list[ExportView]


class Ticket(msgspec.Struct, frozen=True):
    """Where the package is fetched, within so many seconds, by the same session."""

    package: str
    expires_in_seconds: int


@post("/api/video/exports", status_code=202, tags=["video"])
async def ask_export(
    data: JSONBody[ExportRequest], session: NamedDependency[Session], exports: NamedDependency[Exports]
) -> ExportView:
    """The export will be made, of all its cameras; ask again how it stands.

    Records: `export.asked` for each camera, or `exchange.refused`.
    """
    return await exports.ask(session, data)


@get("/api/video/exports", tags=["video"])
async def list_exports(session: NamedDependency[Session], exports: NamedDependency[Exports]) -> ExportList:
    """One's own exports in this party."""
    return ExportList(await exports.list_own(session))


@get("/api/video/exports/{export:uuid}", tags=["video"])
async def show_export(
    export: FromPath[UUID], session: NamedDependency[Session], exports: NamedDependency[Exports]
) -> ExportView:
    """How it stands with it."""
    return await exports.look(session, export)


@delete("/api/video/exports/{export:uuid}", status_code=204, tags=["video"])
async def delete_export(
    export: FromPath[UUID], session: NamedDependency[Session], exports: NamedDependency[Exports]
) -> None:
    """It is not made, or what was made goes within a minute."""
    await exports.delete(session, export)


@post("/api/video/exports/{export:uuid}/token", status_code=200, tags=["video"])
async def mint_token(
    export: FromPath[UUID], session: NamedDependency[Session], exports: NamedDependency[Exports]
) -> Ticket:
    """The package can be fetched by this session, for a minute."""
    return Ticket(address_of(export, await exports.mint(session, export)), LIFE // timedelta(seconds=1))


@get("/api/video/exports/{export:uuid}/package", tags=["video"])
async def fetch_package(
    request: Request[Any, Any, Any],
    export: FromPath[UUID],
    session: NamedDependency[Session],
    exports: NamedDependency[Exports],
    token: FromQuery[str] = "",
) -> Stream:
    """The package, a ZIP, or one range of it (RFC 9110 section 14). A cut resets the connection.

    Records: `exchange.begun` and `exchange.ended` for each camera, or `exchange.refused`; once for a download, in
    however many ranges it is fetched.
    """
    ask = request.headers.get
    asked, condition = ask("range"), ask("if-range")
    resumes = asked is not None and not asked.replace(" ", "").lower().startswith("bytes=0-")
    download = await exports.open(session, export, token, resumes=resumes)
    piece = download.find_piece(asked, condition)
    transport = transport_of(request.scope)  # type: ignore[arg-type]
    if transport is not None:
        narrow(transport, _BUFFER_BYTES)
    return Stream(
        download.send(piece, lambda: reset(transport) if transport is not None else None),
        status_code=piece.status,
        media_type="application/zip",
        headers=piece.headers(download.tag)
        | {
            "Content-Disposition": f'attachment; filename="{download.name}"',
            "Cache-Control": "no-store",
        },
    )


def address_of(export: UUID, token: str) -> str:
    """Where the package is fetched with that token."""
    return f"/api/video/exports/{export}/package?token={token}"


handlers = [ask_export, list_exports, show_export, delete_export, mint_token, fetch_package]
