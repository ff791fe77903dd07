"""Asks for programs and for the page. Nothing here decides."""

from uuid import UUID

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from koinon.trust.parties.sign_in import Session
from koinon.video.remote.model import AskRequest, AskView
from koinon.video.remote.service import Asks


class AskList(msgspec.Struct, frozen=True):
    """Asks, newest first."""

    asks: list[AskView]


@post("/api/video/asks", status_code=202, tags=["video"])
async def ask_recordings(
    data: JSONBody[AskRequest], session: NamedDependency[Session], asks: NamedDependency[Asks]
) -> AskView:
    """The stretch will be fetched from the system of the camera's owner; ask again how it stands.

    Records: `recording.asked`, or `exchange.refused`.
    """
    return await asks.ask(session, data)


@get("/api/video/asks", tags=["video"])
async def list_asks(session: NamedDependency[Session], asks: NamedDependency[Asks]) -> AskList:
    """One's own asks in this party."""
    return AskList(await asks.list_own(session))


@get("/api/video/asks/about", tags=["video"])
async def list_asks_about(session: NamedDependency[Session], asks: NamedDependency[Asks]) -> AskList:
    """What was asked of one's own party's cameras: by which party and profile, for which purpose, how it stands."""
    return AskList(await asks.list_about(session))


@get("/api/video/asks/{ask:uuid}", tags=["video"])
async def show_ask(
    ask: FromPath[UUID], session: NamedDependency[Session], asks: NamedDependency[Asks]
) -> AskView:
    """How it stands with it."""
    return await asks.look(session, ask)


@delete("/api/video/asks/{ask:uuid}", status_code=204, tags=["video"])
async def withdraw_ask(
    ask: FromPath[UUID], session: NamedDependency[Session], asks: NamedDependency[Asks]
) -> None:
    """Nothing more is fetched for it within a second; what came stays for its term."""
    await asks.withdraw(session, ask)


handlers = [ask_recordings, list_asks, list_asks_about, show_ask, withdraw_ask]
