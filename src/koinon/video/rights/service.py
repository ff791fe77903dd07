"""Views: opened through the gate, running as its uses, cut with them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import structlog

from koinon.base.crypto import b64url
from koinon.base.database import Connection, Database
from koinon.base.errors import NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.trust.gate import (
    Actor,
    Ask,
    Cut,
    EndReason,
    ExchangeId,
    Gate,
    Passage,
    Second,
    Use,
    Uses,
    is_running,
)
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera, CameraId, StationId, stations
from koinon.video.cameras import store as cameras
from koinon.video.rights import confirmations, decisions, policy, store
from koinon.video.rights.model import (
    Action,
    Decided,
    Emergency,
    EmergencyId,
    ProsecutorDecision,
    ViewRequest,
    check_request,
)
from koinon.video.rights.offers import Offer, offers_of
from koinon.video.rights.policy import Verdict
from koinon.video.rights.tokens import Tokens
from koinon.video.terms import list_regimes

_STATION_SECONDS: Final = (
    15.0  # a view that hangs on a work station ends so long after its viewer's is known no more
)

_log = structlog.get_logger()


class ImageUse:
    """A running use of the images of one camera: looked at, made into a file, or fetched.

    Attributes:
        id: of the use that runs.
        since, until: of the images; None for the live picture.
        masks: what must be unrecognisable in the picture; nothing where the original may be seen.
        station: the work station at which its viewer was when it began, or None.
        decision: of the public prosecutor, where it rests on one.
    """

    station: StationId | None = None

    def __init__(
        self,
        camera: Camera,
        request: ViewRequest,
        use: Use,
        on_end: Callable[["ImageUse"], None],
        decision: ProsecutorDecision | None = None,
    ) -> None:
        self.id: UUID = use.id
        self.camera = camera
        self.request = request
        self.action = request.action
        self.since, self.until = request.since, request.until
        self.use = use
        self.decision = decision
        self._on_end = on_end

    @property
    def masks(self) -> frozenset[str]:
        """What is masked, by the rules that give the view now."""
        return self.use.passage.decision.obligations.masks

    @property
    def masked(self) -> bool:
        """Whether only the masked picture may leave."""
        return bool(self.masks)

    async def go_on(self, bytes: int = 0) -> None:
        """The next piece, of so many bytes, may leave.

        Raises:
            Cut: it may not.
        """
        await self.use.go_on()
        self.use.bytes += bytes

    def on_cut(self, act: Callable[[], None]) -> None:
        """`act` is called once, at once, when the view is cut."""
        self.use.on_cut(act)

    async def end(self, reason: EndReason = EndReason.COMPLETED) -> None:
        """The view runs no more; its end is recorded."""
        self._on_end(self)
        await self.use.end(reason)


class View(ImageUse):
    """One that hangs on somebody who is there, signed in.

    Attributes:
        watermark: what stands over the picture, or None.
    """

    def __init__(
        self,
        camera: Camera,
        request: ViewRequest,
        use: Use,
        session: Session,
        on_end: Callable[[ImageUse], None],
        station: StationId | None = None,
        decision: ProsecutorDecision | None = None,
    ) -> None:
        super().__init__(camera, request, use, on_end, decision)
        self.session = session
        self.station = station

    @property
    def watermark(self) -> Text | None:
        """The viewer's name and party, where the rules want them over the picture."""
        if not self.use.passage.decision.obligations.watermark:
            return None
        name, party = self.session.name, self.session.party_name
        return Text(*(f"{name} · {getattr(party, each)}" for each in ("nl", "fr", "en")))


class Entered(NamedTuple):
    """A request that may pass: nothing runs yet, and nothing was used up."""

    camera: Camera
    passage: Passage
    second: Second | None
    decision: ProsecutorDecision | None  # on which it rests


class Rights:
    """Who may see what, and the views that run in this process."""

    def __init__(self, *, database: Database, gate: Gate, uses: Uses, tokens: Tokens) -> None:
        self._database = database
        self._gate = gate
        self._uses = uses
        self._tokens = tokens
        self._views: dict[UUID, ImageUse] = {}
        self._scope: dict[tuple[object, ...], bool] = {}
        self._scope_of: tuple[Standing, datetime] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._stationed: asyncio.Task[None] | None = None
        self._decided: asyncio.Task[None] | None = None
        gate.keeper.listen(self._standing_moved)

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
        view = View(entered.camera, request, use, session, self._forget, station, entered.decision)
        await self._run(view)
        if station is not None and (self._stationed is None or self._stationed.done()):
            self._stationed = asyncio.create_task(self._watch_stations(), name="stations-watched")
        if request.emergency:
            try:
                async with self._database.transaction() as connection:
                    await self.note_emergency(connection, entered, at)
            except BaseException:
                await view.end(EndReason.FAILED)  # an emergency that nobody could look back at does not run
                raise
        return view

    async def open_for(self, entered: Entered, request: ViewRequest, *, note: Mapping[str, Any]) -> ImageUse:
        """A use runs for somebody who asked before and may not be there now: it is cut as a view is, but for leaving.

        Raises:
            NotAllowed, Unavailable: as `Uses.begin`.

        Records: `exchange.begun`.
        """
        begun = await self._uses.begin(entered.passage, note=note)
        use = ImageUse(entered.camera, request, begun, self._forget, entered.decision)
        await self._run(use)
        return use

    async def _run(self, use: ImageUse) -> None:
        self._views[use.id] = use
        if use.decision is not None:
            if self._decided is None or self._decided.done():
                self._decided = asyncio.create_task(self._watch_decisions(), name="decisions-watched")
            await self._judge_decisions()  # one that was ended while this use began

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
        """The registered work station of the party at which the session has proven to be, in the last ten minutes."""
        if session.party is None:
            return None
        async with self._database.acquire() as connection:
            return await stations.find_present(
                connection, session.party, session.token_hash, self._gate.clock.now()
            )

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
        async with self._database.acquire() as connection:
            groups = await cameras.groups_of(connection, [camera.id for camera in found])
        pairs = [(camera, groups.get(camera.id, ())) for camera in found]
        at = self._gate.clock.now()
        return offers_of(standing, actor_of(session), pairs, action, at, original=original)

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
        found = self._views.get(view)
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
        view = self._views.get(claims.view)
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

    async def judge(
        self, standing: Standing, actor: Actor, request: ViewRequest, *, at_work_station: bool = False
    ) -> Mapping[CameraId, Verdict]:
        """What the evaluator says about every camera, were this asked about it. Nothing is recorded."""
        at = self._gate.clock.now()
        async with self._database.acquire() as connection:
            everything = await cameras.list_cameras(connection)
            groups = await cameras.groups_of(connection)
        return {
            camera.id: policy.judge_camera(
                standing,
                actor,
                camera,
                groups.get(camera.id, ()),
                request,
                at,
                at_work_station=at_work_station,
            )
            for camera in everything
        }

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

    def _standing_moved(self) -> None:
        """The register of cameras raises the epoch when a camera is taken back: the gate knows the camera as it was
        when the view began, so whoever knows cameras looks again.
        """
        self._look_again = True
        if self._views and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._judge_views(), name="views-judged")

    async def _judge_views(self) -> None:
        while self._look_again:
            self._look_again = False
            views = list(self._views.values())
            try:
                async with self._database.acquire() as connection:
                    ids = {view.camera.id for view in views}
                    found = {each.id: each for each in await cameras.list_cameras(connection, ids=ids)}
                    groups = await cameras.groups_of(connection, ids)
            except Exception:
                # What cannot be looked at is not allowed.
                _log.exception("views_not_judged")
                for view in views:
                    view.use.cut_now(Cut(EndReason.FAILED, "not_decidable"))
                return
            for view in views:
                camera = found.get(view.camera.id)
                code = "camera_unknown"
                if camera is not None:
                    code = policy.withdrawn(camera, groups.get(camera.id, ()), view.use.passage.ask) or ""
                if code:
                    view.use.cut_now(Cut(EndReason.CUT, code))
            await self._judge_stations()  # a station that was revoked raises the epoch too
            await self._judge_decisions()  # and so does a decision that was ended

    async def _watch_stations(self) -> None:
        """Views that hang on a work station end when their viewer is there no more; while there are any."""
        while any(view.station is not None for view in self._views.values()):
            await asyncio.sleep(_STATION_SECONDS)
            await self._judge_stations()

    async def _watch_decisions(self) -> None:
        """Views that rest on a decision of the prosecutor end with it; while there are any."""
        while ends := [view.decision.ends_at for view in self._views.values() if view.decision is not None]:
            left = (min(ends) - self._gate.clock.now()).total_seconds()
            await asyncio.sleep(min(max(left, 0.05), _STATION_SECONDS))
            await self._judge_decisions()

    async def _judge_decisions(self) -> None:
        for view in [each for each in self._views.values() if each.decision is not None]:
            assert view.decision is not None
            found = view.decision
            try:
                async with self._database.acquire() as connection:
                    found = await store.find_decision(connection, view.decision.id) or found
            except Exception:
                # The database may be away for a moment; its own end is known here.
                _log.exception("decision_not_checked")
            if not found.stands(self._gate.clock.now()):
                view.use.cut_now(Cut(EndReason.CUT, "decision_over"))

    async def _judge_stations(self) -> None:
        for view in [
            each for each in self._views.values() if isinstance(each, View) and each.station is not None
        ]:
            try:
                gone = await self._left_station(view)
            except Exception:
                # The database may be away for a moment; the gate cuts what it can no longer confirm.
                _log.exception("station_not_checked")
                continue
            if gone:
                view.use.cut_now(Cut(EndReason.CUT, "work_station_only"))

    async def _left_station(self, view: View) -> bool:
        """Whether the viewer is no more where the view began, and it is given nowhere else."""
        if await self.find_station(view.session) == view.station:
            return False
        async with self._database.acquire() as connection:
            groups = (await cameras.groups_of(connection, [view.camera.id])).get(view.camera.id, ())
        ask = view.use.passage.ask
        verdict = policy.judge_camera(
            await self._gate.keeper.settle(),
            ask.actor,
            view.camera,
            groups,
            view.request,
            self._gate.clock.now(),
            second=ask.second,
            decided=Decided(view.decision, "decision_missing"),
        )
        return not verdict.allowed

    def _forget(self, view: ImageUse) -> None:
        self._views.pop(view.id, None)


def actor_of(session: Session) -> Actor:
    """Who acts in the session.

    Raises:
        NotAllowed: `profile_not_chosen`.
    """
    author = session.author()
    if author.party is None or author.person is None:
        raise NotAllowed("profile_not_chosen")
    return Actor(party=author.party, person=author.person, profile=author.profile)
