"""Which cameras can be steered, connections to them, and whose turn it is."""

import asyncio
import ipaddress
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, NotAllowed, NotFound, Unavailable
from koinon.trust.gate import Cut, EndReason
from koinon.trust.parties import PartyId, PersonId
from koinon.video.cameras import Camera, CameraId, Control, SourceKey
from koinon.video.cameras.controls import find_control, list_controlled
from koinon.video.cameras.networks import permits, resolve
from koinon.video.cameras.sources import parse_control
from koinon.video.cameras.store import list_networks
from koinon.video.masks import find_mask
from koinon.video.steering import policy, store
from koinon.video.steering.onvif import OnvifCamera
from koinon.video.steering.policy import Course
from koinon.video.steering.soap import CameraFault, Soap


class Asker(NamedTuple):
    """Whose turn it is to be: the use that runs, and how he ranks."""

    use: UUID
    camera: Camera
    party: PartyId
    person: PersonId
    rank: int

    @property
    def owns(self) -> bool:
        """Whether the camera is his party's."""
        return self.camera.owner == self.party


class Connected(NamedTuple):
    """A camera that answers, the address at which it does, and what was configured then."""

    camera: OnvifCamera
    ip: str
    control: Control


class Steering:
    """What a web process needs to let cameras be steered."""

    def __init__(
        self, database: Database, key: SourceKey, clock: Clock, *, accept_simulated: bool = False
    ) -> None:
        self._database, self._key, self._clock = database, key, clock
        self._accept_simulated = accept_simulated
        self._changed: dict[CameraId, set[asyncio.Event]] = {}

    async def list_steerable(self, among: Collection[CameraId]) -> set[CameraId]:
        """Of these cameras those that could be steered now, masks apart."""
        async with self._database.acquire() as connection:
            return await list_controlled(connection, among)

    async def demand_steerable(self, camera: Camera, ip: str | None = None) -> Control:
        """Where the camera is steered, which it can be now; `ip`: where somebody is connected to it.

        Raises:
            NotFound: `camera_not_steerable`: it does not turn, has no address for it, or is paused or retired.
            NotAllowed: `address_not_allowed`.
            Conflict: `camera_masked`: a mask counts, which would not fit the picture any more.
        """
        async with self._database.acquire() as connection:
            control = await find_control(connection, camera.id)
            if control is None or camera.id not in await list_controlled(connection, [camera.id]):
                raise NotFound("camera_not_steerable")
            if ip is not None and not permits(
                ipaddress.ip_address(ip), await list_networks(connection, camera.owner)
            ):
                raise NotAllowed("address_not_allowed", host=ip)
            mask = await find_mask(connection, camera.id, self._clock.now())
        if mask is not None and mask.polygons:
            raise Conflict("camera_masked")
        return control

    async def connect(self, camera: Camera) -> Connected:
        """The camera answers, knows us and turns.

        Raises:
            As `demand_steerable`, and
            CameraFault.
        """
        control = await self.demand_steerable(camera)
        place = parse_control(self._key.open_control(control))
        async with self._database.acquire() as connection:
            networks = await list_networks(connection, camera.owner)
        try:
            ip = await resolve(place.host, place.port, networks)
        except Unavailable as error:
            raise CameraFault("unreachable", error.code) from None
        soap = Soap(place, ip, accept_simulated=self._accept_simulated)
        try:
            return Connected(await OnvifCamera.open(soap, place.path), ip, control)
        except BaseException:
            await soap.close()
            raise

    async def ask(self, asker: Asker) -> None:
        """He waits for his turn.

        Raises:
            Conflict: `too_many_wait`.
        """
        async with self._database.transaction() as connection:
            at = await store.lock_camera(connection, asker.camera.id)
            claims = await store.list_claims(connection, asker.camera.id)
            await store.delete_claims(connection, policy.settle(claims, at).dead)
            if not policy.may_wait(claims, asker.rank, at):
                raise Conflict("too_many_wait", most=policy.MOST_WAITING)
            await store.insert_claim(
                connection, asker.use, asker.camera.id, asker.party, asker.person, asker.rank, at
            )

    async def settle(self, asker: Asker, *, moved: bool) -> Course:
        """Whose turn it is now. `moved`: the asker has moved the camera since he asked last.

        Raises:
            Cut: `steering_taken_over`, `steering_idle`: he has to let go, for somebody else; `steering_lost`: he was
                taken for dead.
        """
        async with self._database.transaction() as connection:
            at = await store.lock_camera(connection, asker.camera.id)
            alive = await store.keep_alive(connection, asker.use, at, moved=moved)
            claims = await store.list_claims(connection, asker.camera.id)
            course = policy.settle(claims, at)
            await self._carry_out(connection, course, at)
        if not alive:
            raise Cut(EndReason.FAILED, "steering_lost")
        holder = course.holder
        if course.begins or course.oust:
            self._wake(asker.camera.id)
        if holder is not None and holder.use == asker.use:
            by = course.next.use if course.oust and course.next is not None else holder.ousted_by
            if by is not None:
                rival = next((each for each in claims if each.use == by), None)
                raise Cut(EndReason.CUT, policy.why_ousted(holder, rival))
        return course

    async def _carry_out(self, connection: Connection, course: Course, at: datetime) -> None:
        await store.delete_claims(connection, course.dead)
        if course.begins and course.holder is not None:
            await store.begin_holding(connection, course.holder.use, at)
        if course.oust and course.holder is not None and course.next is not None:
            await store.oust(connection, course.holder.use, course.next.use)

    async def let_go(self, asker: Asker) -> None:
        """He has no turn and waits for none."""
        async with self._database.transaction() as connection:
            await store.delete_claims(connection, [asker.use])
        self._wake(asker.camera.id)

    def listen(self, camera: CameraId) -> asyncio.Event:
        """Set when whose turn it is at the camera may have changed in this process; `forget` it."""
        event = asyncio.Event()
        self._changed.setdefault(camera, set()).add(event)
        return event

    def forget(self, camera: CameraId, event: asyncio.Event) -> None:
        """The event is set no more."""
        listening = self._changed.get(camera, set())
        listening.discard(event)
        if not listening:
            self._changed.pop(camera, None)

    def _wake(self, camera: CameraId) -> None:
        for event in self._changed.get(camera, ()):
            event.set()
