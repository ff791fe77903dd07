"""Uses of images that run here, and what ends them besides the gate: the camera, the work station, a decision."""

import asyncio
from typing import Final
from uuid import UUID

import structlog

from koinon.base.database import Database
from koinon.trust.gate import Cut, EndReason, Gate
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras import StationId, stations
from koinon.video.cameras import store as cameras
from koinon.video.rights import policy, store
from koinon.video.rights.model import Decided
from koinon.video.rights.running import ImageUse, View

# A view that hangs on a work station ends so long after its viewer's is known no more.
_STATION_SECONDS: Final = 15.0

_log = structlog.get_logger()


class Watch:
    """Attributes: uses: that run in this process, by their id."""

    def __init__(self, *, database: Database, gate: Gate) -> None:
        self._database = database
        self._gate = gate
        self.uses: dict[UUID, ImageUse] = {}
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._stationed: asyncio.Task[None] | None = None
        self._decided: asyncio.Task[None] | None = None
        gate.keeper.listen(self._standing_moved)

    async def run(self, use: ImageUse) -> None:
        """The use is watched until it ends."""
        self.uses[use.id] = use
        if use.decision is not None:
            if self._decided is None or self._decided.done():
                self._decided = asyncio.create_task(self._watch_decisions(), name="decisions-watched")
            await self._judge_decisions()  # one that was ended while this use began
        if use.station is not None and (self._stationed is None or self._stationed.done()):
            self._stationed = asyncio.create_task(self._watch_stations(), name="stations-watched")

    def forget(self, use: ImageUse) -> None:
        """The use is watched no more."""
        self.uses.pop(use.id, None)

    async def find_station(self, session: Session) -> StationId | None:
        """The registered work station of the party at which the session has proven to be, in the last ten minutes."""
        if session.party is None:
            return None
        async with self._database.acquire() as connection:
            return await stations.find_present(
                connection, session.party, session.token_hash, self._gate.clock.now()
            )

    def _standing_moved(self) -> None:
        """The register of cameras raises the epoch when a camera is taken back: the gate knows the camera as it was
        when the view began, so whoever knows cameras looks again.
        """
        self._look_again = True
        if self.uses and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._judge_views(), name="views-judged")

    async def _judge_views(self) -> None:
        while self._look_again:
            self._look_again = False
            views = list(self.uses.values())
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
            await self.judge_stations()  # a station that was revoked raises the epoch too
            await self._judge_decisions()  # and so does a decision that was ended

    async def _watch_stations(self) -> None:
        """Views that hang on a work station end when their viewer is there no more; while there are any."""
        while any(view.station is not None for view in self.uses.values()):
            await asyncio.sleep(_STATION_SECONDS)
            await self.judge_stations()

    async def _watch_decisions(self) -> None:
        """Views that rest on a decision of the prosecutor end with it; while there are any."""
        while ends := [view.decision.ends_at for view in self.uses.values() if view.decision is not None]:
            left = (min(ends) - self._gate.clock.now()).total_seconds()
            await asyncio.sleep(min(max(left, 0.05), _STATION_SECONDS))
            await self._judge_decisions()

    async def _judge_decisions(self) -> None:
        for view in [each for each in self.uses.values() if each.decision is not None]:
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

    async def judge_stations(self) -> None:
        """Views whose viewer has left the work station on which they hang are cut."""
        for view in [
            each for each in self.uses.values() if isinstance(each, View) and each.station is not None
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
