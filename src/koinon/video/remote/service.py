"""What somebody does about recordings that stay with their owner: ask, look how far it is, withdraw."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.clock import rfc3339
from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, NotAllowed, NotFound, TooMany
from koinon.base.ids import new_id
from koinon.trust.gate import Gate, Record, release_with
from koinon.trust.gate.web import OVERSEEING
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras.model import StreamId
from koinon.video.cameras.policy import MANAGER
from koinon.video.recordings.timeline import Stretch
from koinon.video.remote import policy, store
from koinon.video.remote.model import (
    Ask,
    AskId,
    AskRequest,
    AskState,
    AskView,
    Fetch,
    FetchId,
    FetchState,
    RemoteSource,
    view_of,
)
from koinon.video.rights import Entered, Rights, actor_of, confirmations
from koinon.video.terms import list_deleted, list_kept, regimes_of

ANSWERING = OVERSEEING | {MANAGER}
"""Who of an owner sees what was asked of its cameras."""


class Asks:
    """The use cases in a web process."""

    def __init__(self, *, database: Database, gate: Gate, rights: Rights) -> None:
        self._database, self._gate, self._rights = database, gate, rights

    async def ask(self, session: Session, request: AskRequest) -> AskView:
        """The stretch will be fetched from the owner's system, as far as it is not here and nobody asked for it.

        Raises:
            Invalid: see `policy.check_request` and `rights.check_request`.
            NotFound: `camera_unknown`.
            NotAllowed: the gate's codes, as for looking back.
            Conflict: `camera_not_remote`, `owner_holds_nothing`, `past_its_term`, `confirmation_used`.
            TooMany: `too_many_asks`, `owner_busy`.

        Records: `recording.asked`, or `exchange.refused`.
        """
        at = self._gate.clock.now()
        policy.check_request(request, at)
        station = await self._rights.find_station(session)
        entered = await self._rights.enter(
            actor_of(session), request.view(), at_work_station=station is not None
        )
        async with self._database.acquire() as connection:
            source, stream = await self._find(connection, entered)
            stretch = policy.wanted(request, source, at)
            await self._check_term(connection, entered, stretch, at)
        id_, person, owner = AskId(new_id()), entered.passage.ask.actor.person, entered.camera.owner
        assert person is not None

        async def act(connection: Connection, record: Record) -> Ask:
            if await store.count_open(connection, person) >= policy.MOST_OPEN:
                raise TooMany("too_many_asks", most=policy.MOST_OPEN)
            await store.lock_owner(connection, owner)
            if await store.count_waiting(connection, owner) >= policy.MOST_WAITING:
                raise TooMany("owner_busy", most=policy.MOST_WAITING)
            if entered.second is not None and request.confirmation is not None:
                await confirmations.use(connection, request.confirmation, at)
            if request.emergency:
                await self._rights.note_emergency(connection, entered, at)
            [receipt] = await record(
                {"ask": str(id_), "since": rfc3339(request.since), "until": rfc3339(request.until)}
            )
            ask = _new(id_, session, request, entered, receipt, station is not None, at)
            fetches = await self._plan(connection, ask, stream, stretch)
            if not fetches:
                ask = _over(ask)
            await store.insert_ask(connection, ask, fetches)
            await store.begin_next(connection, ask.owner)
            return ask

        nothing: dict[str, None] = {}
        ask, _ = await release_with([entered.passage], nothing, act, kind="recording.asked")
        return (await self._views([ask]))[0]

    async def list_own(self, session: Session) -> list[AskView]:
        """What the person asked in this party, newest first."""
        actor = actor_of(session)
        assert actor.person is not None
        async with self._database.acquire() as connection:
            found = await store.list_own(connection, actor.party, actor.person)
        return await self._views(found)

    async def list_about(self, session: Session) -> list[AskView]:
        """What was asked of the party's own cameras, newest first, without the askers' cases.

        Raises:
            NotAllowed: `profile_not_held`: only a manager or an adviser of the owner sees it.
        """
        actor = actor_of(session)
        if actor.profile not in ANSWERING:
            raise NotAllowed("profile_not_held", profile=actor.profile or "")
        async with self._database.acquire() as connection:
            found = await store.list_about(connection, actor.party)
        return await self._views(found, own=False)

    async def look(self, session: Session, ask: UUID) -> AskView:
        """How it stands with it. Raises `NotFound: ask_unknown`, also for another person's."""
        return (await self._views([await self._get(session, ask)]))[0]

    async def withdraw(self, session: Session, ask: UUID) -> None:
        """Its asker wants it no more. What came of it stays for its term.

        Raises:
            NotFound: `ask_unknown`.
            Conflict: `ask_over`.
        """
        found = await self._get(session, ask)
        async with self._database.transaction() as connection:
            await store.lock_owner(connection, found.owner)
            if not await store.stop_ask(connection, found.id, "withdrawn_by_asker", self._gate.clock.now()):
                raise Conflict("ask_over")

    async def _get(self, session: Session, ask: UUID) -> Ask:
        actor = actor_of(session)
        assert actor.person is not None
        async with self._database.acquire() as connection:
            found = await store.find_own(connection, ask, actor.party, actor.person)
        if found is None:
            # One answer for "there is none" and "it is not yours".
            raise NotFound("ask_unknown")
        return found

    async def _views(self, asks: Sequence[Ask], *, own: bool = True) -> list[AskView]:
        async with self._database.acquire() as connection:
            told = await store.find_progress(connection, [each.id for each in asks])
        views = [view_of(each, told[each.id]) for each in asks]
        return views if own else [_without_case(each) for each in views]

    async def _find(self, connection: Connection, entered: Entered) -> tuple[RemoteSource, StreamId]:
        source = await store.find_source(connection, entered.camera.id)
        stream = await store.find_stream(connection, entered.camera.id)
        if source is None or stream is None:
            raise Conflict("camera_not_remote")
        return source, stream

    async def _check_term(
        self, connection: Connection, entered: Entered, stretch: Stretch, at: datetime
    ) -> None:
        standing = await self._gate.keeper.settle()
        kept = await list_kept(connection, entered.camera.owner)
        camera = next(each for each in kept if each.camera == entered.camera.id)
        policy.check_term(stretch, camera.limits(regimes_of(standing), at), camera.own_days, at)

    async def _plan(
        self, connection: Connection, ask: Ask, stream: StreamId, stretch: Stretch
    ) -> list[FetchId]:
        """The stretches that are fetched for the ask: those that others asked for, and new ones for the rest."""
        going = await store.list_open(connection, stream, stretch.start, stretch.end)
        recorded = await store.list_recorded(connection, stream, stretch.start, stretch.end)
        gone = await list_deleted(connection, stream, stretch.start, stretch.end)
        spans = policy.missing(
            stretch,
            recorded,
            [Stretch(each.since, each.until) for each in going],
            [Stretch(each.start, each.end) for each in gone],
        )
        fetches = [each.id for each in going]
        for span in spans:
            fetch = Fetch(
                id=FetchId(new_id()), camera=ask.camera, owner=ask.owner, stream=stream, since=span.start,
                until=span.end, state=FetchState.WAITING, code=None, attempt=0, done_us=0, bytes=0,
                asked_at=ask.asked_at, moved_at=ask.asked_at,
            )  # fmt: skip
            await store.insert_fetch(connection, fetch)
            fetches.append(fetch.id)
        return fetches


def _new(
    id_: AskId,
    session: Session,
    request: AskRequest,
    entered: Entered,
    receipt: Any,
    at_work_station: bool,
    at: datetime,
) -> Ask:
    actor = actor_of(session)
    assert actor.person is not None
    return Ask(
        id=id_, camera=request.camera, owner=entered.camera.owner, party=actor.party, person=actor.person,
        profile=actor.profile or "", purpose=request.purpose, case=request.case.strip(),
        reason=request.reason.strip(), since=request.since.astimezone(UTC), until=request.until.astimezone(UTC),
        emergency=request.emergency, state=AskState.OPEN, code=None, exchange=entered.passage.exchange,
        second=entered.second, at_work_station=at_work_station, receipt=receipt, asked_at=at, moved_at=at,
    )  # fmt: skip


def _over(ask: Ask) -> Ask:
    return msgspec.structs.replace(ask, state=AskState.DONE)


def _without_case(view: AskView) -> AskView:
    return msgspec.structs.replace(view, case="")
