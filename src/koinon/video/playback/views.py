"""Views that are not a connection: opened by a request, renewed by what is fetched, ended when nothing is fetched.

For HLS and for programs. What is fetched shows a media token, which is good for a minute and renewed with each answer;
the view itself ends when it was not renewed for as long.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import structlog

from koinon.base.connection import reset
from koinon.base.errors import NotFound, TooMany
from koinon.trust.gate import EndReason
from koinon.trust.parties.sign_in import Session
from koinon.video.rights import Rights, View, ViewRequest

IDLE_SECONDS: Final = 60.0
VIEWS_A_SESSION: Final = 32
_log = structlog.get_logger(__name__)


class Views:
    """Those that were opened in this process."""

    def __init__(self, rights: Rights) -> None:
        self._rights = rights
        self._used: dict[UUID, float] = {}
        self._of_session: Counter[bytes] = Counter()
        self._timers: dict[UUID, asyncio.Task[None]] = {}
        self._sending: dict[UUID, set[asyncio.Transport]] = {}

    async def open(self, session: Session, request: ViewRequest) -> View:
        """A view that runs until it is ended, cut, or not renewed.

        Raises:
            TooMany: `too_many_views`: the session has as many as a person can have use of.
            As `Rights.open`.
        """
        if self._of_session[session.token_hash] >= VIEWS_A_SESSION:
            raise TooMany("too_many_views", most=VIEWS_A_SESSION)
        self._of_session[session.token_hash] += 1
        try:
            station = await self._rights.find_station(session)
            view = await self._rights.open(session, request, station=station)
        except BaseException:
            self._let_go(session)
            raise
        self._sending[view.id] = set()
        view.on_cut(lambda: self._cut(view.id))
        self.renew(view)
        self._timers[view.id] = asyncio.create_task(self._wait(view), name="view-idle")
        return view

    def find(self, view: UUID, session: Session) -> View:
        """The session's view of that id, if it was opened by a request here. One on a connection ends with that alone.

        Raises:
            NotFound: `view_unknown`.
        """
        if view not in self._sending:
            raise NotFound("view_unknown")
        return self._rights.find(view, session)

    def renew(self, view: View) -> None:
        """It runs for another minute. A view that is a connection needs no renewal: it is not known here."""
        if view.id in self._sending:
            self._used[view.id] = asyncio.get_running_loop().time()

    async def end(self, view: View, reason: EndReason = EndReason.COMPLETED) -> None:
        """It runs no more."""
        self._cut(view.id)
        self._used.pop(view.id, None)
        if self._sending.pop(view.id, None) is not None:
            self._let_go(view.session)
        await view.end(reason)
        timer = self._timers.pop(view.id, None)
        if timer is not None and timer is not asyncio.current_task():
            timer.cancel()

    @contextlib.contextmanager
    def sending(self, view: View, transport: asyncio.Transport | None) -> Iterator[None]:
        """While the block runs a cut of the view resets this connection."""
        known = self._sending.get(view.id)
        if known is None or transport is None:
            yield
            return
        known.add(transport)
        try:
            yield
        finally:
            known.discard(transport)

    async def close(self) -> None:
        """No timer runs any more; the views are ended by whoever ends all uses."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _let_go(self, session: Session) -> None:
        self._of_session[session.token_hash] -= 1
        if not self._of_session[session.token_hash]:
            del self._of_session[session.token_hash]

    def _cut(self, view: UUID) -> None:
        for transport in self._sending.get(view, ()):
            reset(transport)

    async def _wait(self, view: View) -> None:
        loop = asyncio.get_running_loop()
        while view.use.cut is None:
            left = self._used.get(view.id, 0.0) + IDLE_SECONDS - loop.time()
            if left <= 0:
                break
            await asyncio.sleep(min(left, 5.0))
        try:
            await self.end(view, EndReason.LEFT)
        except Exception:
            _log.exception("view_not_ended", view=str(view.id))
