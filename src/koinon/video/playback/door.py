"""The door to the recordings of a view: every fetch passes it, with the token of its view and camera."""

import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn
from uuid import UUID

from litestar import Request
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from koinon.base.connection import narrow, transport_of
from koinon.base.errors import NotAllowed, NotFound
from koinon.base.settings import Settings
from koinon.trust.gate import Ask, Gate
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras import CameraId
from koinon.video.playback.pieces import of_us
from koinon.video.playback.service import Playback
from koinon.video.playback.views import IDLE_SECONDS
from koinon.video.rights import Action, Rights, View, actor_of, policy, subject_of

COOKIE: Final = "koinon_media"
_PIECE: Final = 64 * 1024
_SPAN: Final = re.compile(r"(\d{1,16})-(\d{1,16})")


class Door:
    """What every fetch passes: the token is good for this camera and interval, and the view behind it runs.

    Attributes:
        camera: whose recordings are fetched. person: by whom.
        since, until: the interval of the address.
        view: the view, if it runs in this process; None where it runs in another.
    """

    def __init__(
        self,
        request: Request[Any, Any, Any],
        session: Session,
        playback: Playback,
        rights: Rights,
        gate: Gate,
        settings: Settings,
        *,
        camera: CameraId,
        since: datetime,
        until: datetime,
        view: View | None,
    ) -> None:
        self.camera, self.since, self.until, self.view = camera, since, until, view
        self.person = session.person
        self._request, self._session, self._playback = request, session, playback
        self._rights, self._gate, self._settings = rights, gate, settings

    def renew(self) -> Sequence[Cookie]:
        """The cookie with a token for the next minute."""
        if self.view is None:
            return []
        token = self._rights.mint(self.view, since=since_of(self.view), until=until_of(self.view))
        return [cookie_of(token, self.view, self._settings)]

    async def refuse(self) -> NoReturn:
        """Something was asked for that is not there for this camera and view.

        Raises:
            NotFound: `media_unknown`.

        Records: `exchange.refused`.
        """
        view = self.view
        ask = Ask(
            actor=actor_of(self._session),
            purpose=view.request.purpose if view else "-",
            case=view.request.case if view else "",
            action=(view.action if view else Action.VIEW_RECORDING).value,
            resource="cameras/unknown",
            fields=policy.FIELDS,
            subjects=(subject_of(self.camera),),
        )
        await self._gate.refuse(ask, NotAllowed("media_unknown"))
        raise NotFound("media_unknown")

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """While the block runs a cut of the view resets the connection, also of one who still waits for bytes."""
        if self.view is None:
            yield
            return
        transport = transport_of(self._request.scope)  # type: ignore[arg-type]
        with self._playback.views(self._rights).sending(self.view, transport):
            yield

    async def send(self, data: bytes) -> AsyncIterator[bytes]:
        """The bytes in pieces; none after the view was cut."""
        view, transport = self.view, transport_of(self._request.scope)  # type: ignore[arg-type]
        if view is None:
            yield data
            return
        if transport is not None:
            narrow(transport)
        with self.sending():
            for at in range(0, len(data), _PIECE):
                piece = data[at : at + _PIECE]
                await view.go_on(len(piece))
                yield piece


async def enter(
    request: Request[Any, Any, Any],
    view: FromPath[UUID],
    camera: FromPath[UUID],
    span: FromPath[str],
    session: NamedDependency[Session],
    playback: NamedDependency[Playback],
    rights: NamedDependency[Rights],
    gate: NamedDependency[Gate],
    settings: NamedDependency[Settings],
) -> Door:
    """The door, passed. `span` is the interval in Unix microseconds, as `<since>-<until>`.

    Raises:
        NotFound: `media_unknown`.
        Cut: the view was cut.
    """
    asked = _SPAN.fullmatch(span)
    if asked is None:
        raise NotFound("media_unknown")
    since, until = of_us(int(asked[1])), of_us(int(asked[2]))
    try:
        action = rights.find(view, session).action
    except NotFound:
        action = Action.VIEW_RECORDING
    token = request.cookies.get(COOKIE) or request.query_params.get("token") or ""
    running = await rights.redeem(
        token, session, camera=CameraId(camera), action=action, since=since, until=until, of_view=view
    )
    if running is not None:
        playback.views(rights).renew(running)
    return Door(
        request,
        session,
        playback,
        rights,
        gate,
        settings,
        camera=CameraId(camera),
        since=since,
        until=until,
        view=running,
    )


ENTER: Final = {"door": Provide(enter)}


def since_of(view: View) -> datetime:
    """From when on the view of recordings looks."""
    assert view.since is not None
    return view.since


def until_of(view: View) -> datetime:
    """Until when the view of recordings looks."""
    assert view.until is not None
    return view.until


def cookie_of(token: str, view: View, settings: Settings) -> Cookie:
    """The cookie that carries the media token to the addresses of that view, and to no other."""
    return Cookie(
        key=COOKIE,
        value=token,
        path=f"/api/video/views/{view.id}",
        max_age=int(IDLE_SECONDS),
        httponly=True,
        samesite="strict",
        secure=settings.origin.startswith("https:"),
    )
