"""Views: opened through the gate, running as its uses, cut with them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from koinon.base.crypto import b64url
from koinon.base.database import Connection, Database
from koinon.base.errors import NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.trust.gate import (
    Actor,
    Ask,
    EndReason,
    ExchangeId,
    Gate,
    Second,
    Uses,
    is_running,
)
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera, CameraId, StationId
from koinon.video.cameras import store as cameras
from koinon.video.rights import confirmations, decisions, policy, store
from koinon.video.rights.model import (
    Action,
    Emergency,
    EmergencyId,
    ProsecutorDecision,
    ViewRequest,
    check_request,
)
from koinon.video.rights.offers import Offer, Stop, offers_of, stops_of
from koinon.video.rights.running import Entered, ImageUse, View, actor_of
from koinon.video.rights.tokens import Tokens
from koinon.video.rights.watching import Watch
from koinon.video.terms import list_regimes

_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def _ended_if_it_fails(use: ImageUse) -> AsyncIterator[None]:
    """A use that nobody was given, whatever went wrong or was cancelled, does not run on by itself."""
    try:
        yield
    except BaseException:
        await asyncio.shield(use.end(EndReason.FAILED))
        raise


class Rights:
    """Who may see what, and the views that run in this process."""

    def __init__(self, *, database: Database, gate: Gate, uses: Uses, tokens: Tokens) -> None:
        self._database = database
        self._gate = gate
        self._uses = uses
        self._tokens = tokens
        self._watch = Watch(database=database, gate=gate)
        self._scope: dict[tuple[object, ...], bool] = {}
        self._scope_of: tuple[Standing, datetime] | None = None

    async def enter(
        self,
        actor: Actor,
        request: ViewRequest,
        *,
        at_work_station: bool = False,
        second: Second | None = None,
        exchange: ExchangeId | None = None,
    ) -> Entered:
        """The request may pass. `second` is who confirmed it before; else its own confirmation is looked up.

        Raises:
            As `open`, but `confirmation_used`.

        Records: `exchange.refused` where it may not.
        """
        at = self._gate.clock.now()
        check_request(request, at)
        standing = await self._gate.keeper.settle()
        standing.check_actor(actor, at)  # before the camera is looked for: the same to everybody
        camera, groups, confirmed = await self._look_up(actor, request, at)
        second = second or confirmed
        if camera is None:
            await self._refuse_unknown(actor, request)
            raise NotFound("camera_unknown")
        async with self._database.acquire() as connection:
            regimes = await list_regimes(connection, camera.id, request.since or at)
            decided = await decisions.find(connection, actor, request, at)
        verdict = policy.judge_camera(
            standing,
            actor,
            camera,
            groups,
            request,
            at,
            second=second,
            at_work_station=at_work_station,
            regimes=regimes,
            decided=decided,
        )
        if not verdict.allowed and not self._knows(standing, actor, camera, groups, request.action, at):
            await self._gate.refuse(verdict.ask, NotAllowed("camera_unknown", why=verdict.code))
            raise NotFound("camera_unknown")
        if verdict.code in policy.DECISION_CODES:  # of the regime of retention, which the gate does not know
            refusal = NotAllowed(verdict.code, regime=camera.regime)
            await self._gate.refuse(verdict.ask, refusal)
            raise refusal
        assert verdict.ask.images is not None
        rests_on = decided.decision if verdict.ask.images.decision else None
        return Entered(camera, await self._gate.open(verdict.ask, exchange), second, rests_on)

    async def open(
        self,
        session: Session,
        request: ViewRequest,
        *,
        station: StationId | None = None,
        second: Second | None = None,
        note: Mapping[str, Any] | None = None,
    ) -> View:
        """The view runs. `station` is a registered work station at which the viewer has proven to be; `second` is who
        confirmed it before, where its confirmation was used up then; `note` goes into its entries.

        Raises:
            Invalid: see `check_request`.
            NotFound: `camera_unknown`, for all that lies outside the viewer's scope, whether it exists or not.
            NotAllowed: the gate's codes, for what is within scope but not given.
            Conflict: `confirmation_used`.

        Records: `exchange.begun`, or `exchange.refused`.
        """
        at = self._gate.clock.now()
        entered = await self.enter(
            actor_of(session), request, at_work_station=station is not None, second=second
        )
        if second is None and entered.second is not None and request.confirmation is not None:
            async with self._database.transaction() as connection:
                await confirmations.use(connection, request.confirmation, at)
        use = await self._uses.begin(entered.passage, note=note)
        view = View(entered.camera, request, use, session, self._watch.forget, station, entered.decision)
        async with _ended_if_it_fails(view):
            await self._watch.run(view)
            if request.emergency:  # one that nobody could look back at does not run
                async with self._database.transaction() as connection:
                    await self.note_emergency(connection, entered, at)
        return view

    async def open_for(self, entered: Entered, request: ViewRequest, *, note: Mapping[str, Any]) -> ImageUse:
        """A use runs for somebody who asked before and may not be there now: it is cut as a view is, but for leaving.

        Raises:
            NotAllowed, Unavailable: as `Uses.begin`.

        Records: `exchange.begun`.
        """
        begun = await self._uses.begin(entered.passage, note=note)
        use = ImageUse(entered.camera, request, begun, self._watch.forget, entered.decision)
        async with _ended_if_it_fails(use):
            await self._watch.run(use)
        return use

    async def demand_known(self, session: Session, request: ViewRequest) -> None:
        """The camera that the request names is one of which the viewer may know, for that action.

        Raises:
            NotAllowed: the codes of `Standing.check_actor`.
            NotFound: `camera_unknown`, whether it exists or not.

        Records: `exchange.refused` where it is not.
        """
        actor, at = actor_of(session), self._gate.clock.now()
        standing = await self._gate.keeper.settle()
        standing.check_actor(actor, at)
        camera, groups, _ = await self._look_up(actor, request, at)
        if camera is None or not self._knows(standing, actor, camera, groups, request.action, at):
            await self._refuse_unknown(actor, request)
            raise NotFound("camera_unknown")

    async def list_decided(self, session: Session, request: ViewRequest) -> Sequence[ProsecutorDecision]:
        """The decisions of the prosecutor of that case on which the viewer may look at images of the camera now."""
        actor, at = actor_of(session), self._gate.clock.now()
        async with self._database.acquire() as connection:
            return await decisions.list_usable(connection, actor, request, at)

    async def find_station(self, session: Session) -> StationId | None:
        """See `Watch.find_station`."""
        return await self._watch.find_station(session)

    async def list_offers(
        self,
        session: Session,
        action: Action,
        among: Sequence[Camera] | None = None,
        *,
        original: bool = False,
    ) -> Sequence[Offer]:
        """For which purposes the viewer may ask for this, of these cameras or of all that are visible; see `offers`."""
        found = await self.list_visible_cameras(session, action) if among is None else among
        if not found:
            return []
        standing = await self._gate.keeper.settle()
        pairs = await self._with_groups(found)
        at = self._gate.clock.now()
        return offers_of(standing, actor_of(session), pairs, action, at, original=original)

    async def list_stops(
        self, session: Session, action: Action, among: Sequence[Camera], offered: Sequence[Offer]
    ) -> Sequence[Stop]:
        """What of these cameras the Commission has stopped: why purposes are not among those offered."""
        if not among:
            return []
        standing = await self._gate.keeper.settle()
        pairs = await self._with_groups(among)
        names = {each.purpose for each in offered}
        return stops_of(standing, actor_of(session), pairs, action, self._gate.clock.now(), names)

    async def _with_groups(self, found: Sequence[Camera]) -> list[tuple[Camera, Sequence[str]]]:
        async with self._database.acquire() as connection:
            groups = await cameras.groups_of(connection, [camera.id for camera in found])
        return [(camera, groups.get(camera.id, ())) for camera in found]

    async def list_visible(self, session: Session, action: Action) -> Sequence[CameraId]:
        """The cameras of which the viewer may know, for this action, by code. Filter by it before counting anything.

        Empty for whoever may see nothing: no charter, no training, no right.
        """
        found = await self.list_visible_cameras(session, action)
        return [camera.id for camera in found]

    async def list_visible_cameras(self, session: Session, action: Action) -> Sequence[Camera]:
        """The same, the cameras themselves."""
        try:
            actor = actor_of(session)
            at = self._gate.clock.now()
            standing = await self._gate.keeper.settle()
            standing.check_actor(actor, at)
        except NotAllowed:
            return []
        async with self._database.acquire() as connection:
            everything = await cameras.list_cameras(connection)
            groups = await cameras.groups_of(connection)
        return [
            camera
            for camera in everything
            if self._knows(standing, actor, camera, groups.get(camera.id, ()), action, at)
        ]

    def find(self, view: UUID, session: Session) -> View:
        """The view of this session that runs in this process.

        Raises:
            NotFound: `view_unknown`.
        """
        found = self._watch.uses.get(view)
        if not isinstance(found, View) or found.session.token_hash != session.token_hash:
            raise NotFound("view_unknown")
        return found

    def mint(self, view: View, *, since: datetime, until: datetime) -> str:
        """A media token of the view, for images of that interval, good for a minute.

        Raises:
            NotAllowed: `interval_outside_view`.
        """
        if (
            view.since is not None
            and view.until is not None
            and not view.since <= since <= until <= view.until
        ):
            raise NotAllowed("interval_outside_view")
        at = self._gate.clock.now()
        return self._tokens.mint(
            view.id, view.session.token_hash, view.camera.id, view.action, since, until, at
        )

    async def redeem(
        self,
        token: str,
        session: Session,
        *,
        camera: CameraId,
        action: Action,
        since: datetime,
        until: datetime,
        of_view: UUID | None = None,
    ) -> View | None:
        """The token gives images of that camera and interval to that session now; with the view, if it runs here.
        `of_view`: it must be the token of that one, wherever it runs.

        Raises:
            NotFound: `media_unknown`, whatever is wrong: another camera, interval, session or action, too late, cut.
                Confusion of ids is recorded.
            Cut: the view was cut.

        Records: `exchange.refused` with `media_unknown` when a good token was shown for something else.
        """
        claims = self._tokens.read(token, self._gate.clock.now())
        view = self._watch.uses.get(claims.view)
        fits = (
            of_view in (None, claims.view)
            and claims.session == b64url(session.token_hash)
            and claims.camera == camera
            and claims.action is action
            and claims.since <= since <= until <= claims.until
        )
        if not fits:
            await self._refuse_unknown(
                actor_of(session), ViewRequest(camera=camera, action=action, purpose="-"), "media_unknown"
            )
            raise NotFound("media_unknown")
        if isinstance(view, View):
            await view.go_on()
            return view
        if not self._gate.keeper.confirmed():
            raise NotFound("media_unknown")
        async with self._database.acquire() as connection:
            if not await is_running(connection, claims.view):
                raise NotFound("media_unknown")
        return None

    async def _look_up(
        self, actor: Actor, request: ViewRequest, at: datetime
    ) -> tuple[Camera | None, Sequence[str], Second | None]:
        async with self._database.acquire() as connection:
            camera = await cameras.find_camera(connection, request.camera)
            groups = (await cameras.groups_of(connection, [request.camera])).get(request.camera, ())
            second = await confirmations.find_second(connection, actor, request, at)
        return camera, groups, second

    async def _refuse_unknown(self, actor: Actor, request: ViewRequest, code: str = "camera_unknown") -> None:
        """An id that is nobody's, or another's, leaves a trace as what is out of scope does."""
        ask = Ask(
            actor=actor,
            purpose=request.purpose,
            case=request.case,
            action=request.action.value,
            resource="cameras/unknown",
            fields=policy.FIELDS,
            subjects=(policy.subject_of(request.camera),),
        )
        await self._gate.refuse(ask, NotAllowed(code))

    def _knows(
        self,
        standing: Standing,
        actor: Actor,
        camera: Camera,
        groups: Sequence[str],
        action: Action,
        at: datetime,
    ) -> bool:
        """`policy.in_scope`, remembered for cameras that are alike until the standing or the quarter changes."""
        quarter = at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)
        if self._scope_of is None or self._scope_of[0] is not standing or self._scope_of[1] != quarter:
            self._scope_of, self._scope = (standing, quarter), {}
        key = (
            actor, action, camera.owner, camera.shared, camera.state, camera.municipality, camera.zone,
            tuple(groups),
        )  # fmt: skip
        known = self._scope.get(key)
        if known is None:
            known = self._scope[key] = policy.in_scope(standing, actor, camera, groups, action, at)
        return known

    async def note_emergency(self, connection: Connection, entered: Entered, at: datetime) -> None:
        """What was asked in a declared emergency waits for its review, with the caller's transaction."""
        ask, camera = entered.passage.ask, entered.camera
        assert ask.actor.person is not None
        emergency = Emergency(
            id=EmergencyId(new_id()),
            exchange=entered.passage.exchange,
            party=ask.actor.party,
            person=ask.actor.person,
            camera=camera.id,
            owner=camera.owner,
            action=ask.action,
            reason=ask.reason,
            declared_at=at,
        )
        await store.insert_emergency(connection, emergency)
        _log.warning("emergency_declared", exchange=str(emergency.exchange), camera=camera.code)
