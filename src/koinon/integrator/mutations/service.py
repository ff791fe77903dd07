"""What a subscriber does: subscribe, read on, acknowledge, begin anew, end. Delivery passes the gate."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from koinon.base.ids import new_id
from koinon.base.metrics import counter
from koinon.integrator.drivers import Reachable, read_address
from koinon.integrator.mutations import policy, store
from koinon.integrator.mutations.model import (
    Cursor,
    Delivery,
    Item,
    Stored,
    Subscription,
    SubscriptionId,
    SubscriptionRequest,
    SubscriptionView,
)
from koinon.integrator.mutations.waiting import Waiting
from koinon.integrator.service import Integrator
from koinon.trust.gate import Actor, Ask, Passage, open_batch
from koinon.trust.ledger import Entry, Log, append

_CASE_LIMIT = 64
_ADDRESS_LIMIT = 512
_delivered = counter("koinon_mutations_delivered_total", "Numbers that left, withdrawn ones included.", ())


class Mutations:
    """The use cases of subscribers.

    Attributes:
        reachable: where pushes may go.
    """

    def __init__(self, integrator: Integrator, *, reachable: Reachable | None = None) -> None:
        self.integrator = integrator
        self.gate = integrator.gate
        self.reachable = reachable or Reachable()
        self._database: Database = integrator.gate.database
        self._waiting = Waiting(self._database)

    async def subscribe(self, request: SubscriptionRequest, actor: Actor) -> tuple[SubscriptionView, bool]:
        """The system hears from now on of its party's files for the flow and purpose; and whether that is new.

        Asked again, the same subscription takes the case, services and address of this request.

        Raises:
            NotFound: `flow_unknown`.
            Invalid: `purpose_unknown`, `case_missing`, `case_too_long`, `service_unknown`, `push_address_refused`.
            NotAllowed: as `Gate.open`; `subject_not_registered` while the party has no file for the purpose.

        Records: `mutations.subscribed` in the exchange log, `exchange.refused` when it is refused.
        """
        flow = self.integrator.flows.get(request.flow)
        if flow is None:
            raise NotFound("flow_unknown", flow=request.flow[:64])
        if request.purpose not in flow.purposes:
            raise Invalid("purpose_unknown", purpose=request.purpose[:64], flow=flow.name)
        case = request.case.strip()
        if not 0 < len(case) <= _CASE_LIMIT:
            raise Invalid("case_missing" if not case else "case_too_long", limit=_CASE_LIMIT)
        address = self.check_address(request.push_address) if request.push_address is not None else None
        resources = policy.resources_of(request, flow)
        if actor.system is None or actor.key is None:
            raise NotAllowed("actor_unknown")
        at = self.gate.clock.now()
        one = Subscription(
            id=SubscriptionId(new_id()),
            party=actor.party,
            system=actor.system,
            key=actor.key,
            flow=flow.name,
            purpose=request.purpose,
            case=case,
            authorisation=request.authorisation,
            resources=resources,
            began_at=at,
        )
        passage = await open_batch(self.gate, self.ask_of(one), count=1)
        async with self._database.transaction() as connection:
            if not await store.has_dossier(connection, one.party, one.purpose, at):
                refusal = NotAllowed("subject_not_registered")
                await self.gate.refuse(passage.ask, refusal)
                raise refusal
            new = await store.insert_subscription(connection, one)
            if not new:
                known = await store.find_like(connection, one.party, one.system, one.flow, one.purpose)
                if known is None:  # it ended in this very moment
                    raise Unavailable("subscription_busy")
                await store.change_subscription(
                    connection, known.id, one.key, case, one.authorisation, resources
                )
                one = known
            if new or address is not None:
                await store.set_push(connection, one.id, address, at)
            if new:
                await self._tell(connection, one, passage.grounds.authorisation, "mutations.subscribed", at)
            [(_, view)] = await store.list_views(connection, one.party, only=one.id)
        return view, new

    async def read(
        self,
        id_: UUID,
        after: int,
        actor: Actor,
        *,
        limit: int = policy.MOST_AT_ONCE,
        wait_seconds: float = 0.0,
    ) -> Delivery:
        """The numbers after `after`, in order and without holes, recorded before they leave; waits for the first one.

        Raises:
            NotFound: `subscription_unknown`.
            Conflict: `subscription_ended`, with why; `resynchronise`, with `floor`.
            Invalid: `cursor_ahead`.
            NotAllowed, Unavailable: as `gate.open_batch`: nothing leaves while the authorisation is suspended, and
                nothing is lost.

        Records: `mutations.delivered` about whoever is named, `exchange.refused` when it is refused.
        """
        one = await self.get(id_, actor)
        deadline = asyncio.get_running_loop().time() + min(wait_seconds, policy.LONGEST_WAIT_SECONDS)
        async with self._database.acquire() as connection:
            policy.check_read(await store.get_cursor(connection, one.id), after)
        await self._waiting.until_beyond(one.id, after, deadline)
        return await self.deliver(one, after, actor, limit=limit)

    async def deliver(
        self, one: Subscription, after: int, actor: Actor, *, limit: int = policy.MOST_AT_ONCE
    ) -> Delivery:
        """See `read`; does not wait."""
        ask = self.ask_of(one, actor)
        at = self.gate.clock.now()
        count = max(1, min(limit, policy.MOST_AT_ONCE))
        # As of one moment: what is thrown away meanwhile is told as thrown away, or read whole.
        async with (
            self._database.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            cursor = await store.get_cursor(connection, one.id)
            policy.check_read(cursor, after)
            kept = await store.list_items(connection, self.integrator.keys, one.id, after, count, at)
        policy.check_whole(after, kept, min(count, cursor.last - after))
        try:
            passage = await self._open(ask, bool(kept))
        except NotAllowed as refusal:
            await self.stop(one, refusal.code)
            raise
        delivery = await self._release(one, after, cursor, kept, passage)
        async with self._database.transaction() as connection:
            before = await store.get_cursor(connection, one.id, lock=True)
            await store.set_cursor(
                connection, one.id, before, policy.deliver(before, delivery.until), self.gate.clock.now()
            )
            await store.set_stopped(connection, one.id, None)
        _delivered.inc(len(kept))
        return delivery

    async def _open(self, ask: Ask, something: bool) -> Passage | None:
        """The way through the gate; none where there is nothing to bring through. Raises as `gate.open_batch`."""
        if not something:
            standing = await self.gate.keeper.settle()
            try:
                standing.find_grounds(ask, self.gate.clock.now())
            except NotAllowed:
                pass  # refused, and recorded, as anything that is asked
            else:
                return None
        return await open_batch(self.gate, ask, count=1)

    async def _release(
        self, one: Subscription, after: int, cursor: Cursor, kept: Sequence[Stored], passage: Passage | None
    ) -> Delivery:
        until = after + len(kept)
        told = {each.subject for each in kept if each.subject is not None}
        exchange = receipt = None
        allowed: set[str] = set()
        if told and passage is not None:
            rows: list[tuple[str, dict[str, None]]] = [(subject, {}) for subject in sorted(told)]
            released = await passage.release_rows(
                rows,
                note={"subscription": str(one.id), "first": after + 1, "last": until},
                kind="mutations.delivered",
            )
            # Decided anew on the way, perhaps: what may be told is known after the recording, not before.
            allowed = {each for each in one.resources if passage.allowed(each)}
            told = {subject for subject, _ in released.value}
            exchange, receipt = released.exchange, released.receipt
        return Delivery(
            subscription=one.id,
            after=after,
            until=until,
            last=max(cursor.last, until),
            items=[_item(each, told, allowed) for each in kept],
            exchange=exchange,
            receipt=receipt,
        )

    async def acknowledge(self, id_: UUID, until: int, actor: Actor) -> SubscriptionView:
        """Numbers up to `until` took effect at the consumer.

        Raises:
            NotFound: `subscription_unknown`.
            Invalid: `acknowledged_ahead`.
            Conflict: `resynchronise`, `subscription_ended`.
        """
        one = await self.get(id_, actor)
        return await self._move(one, lambda cursor: policy.acknowledge(cursor, until))

    async def resynchronised(self, id_: UUID, until: int, actor: Actor) -> SubscriptionView:
        """The consumer fetched anew what it holds, when number `until` was the last; it reads on from there.

        Raises:
            NotFound, Conflict, Invalid: see `acknowledge` and `policy.resynchronised`.
        """
        one = await self.get(id_, actor)
        return await self._move(one, lambda cursor: policy.resynchronised(cursor, until))

    async def set_push(self, id_: UUID, address: str | None, actor: Actor) -> SubscriptionView:
        """Pushed to `address` from now on; without one the system asks.

        Raises:
            NotFound: `subscription_unknown`.
            Conflict: `subscription_ended`.
            Invalid: `push_address_refused`.
        """
        one = await self.get(id_, actor)
        checked = self.check_address(address) if address is not None else None
        assert actor.key is not None
        async with self._database.transaction() as connection:
            await store.change_subscription(
                connection, one.id, actor.key, one.case, one.authorisation, one.resources
            )
            await store.set_push(connection, one.id, checked, self.gate.clock.now())
        return await self.look(id_, actor)

    async def end(self, id_: UUID, actor: Actor) -> SubscriptionView:
        """The system is told nothing any more.

        Raises:
            NotFound: `subscription_unknown`.
            Conflict: `subscription_ended`.

        Records: `mutations.unsubscribed` in the exchange log.
        """
        one = await self.get(id_, actor)
        await self._end(one, "unsubscribed")
        return await self.look(id_, actor)

    async def look(self, id_: UUID, actor: Actor) -> SubscriptionView:
        """How it stands. Raises `NotFound: subscription_unknown`."""
        async with self._database.acquire() as connection:
            one = await store.get_subscription(connection, id_, actor.party)
            _check_system(one, actor)
            [(_, view)] = await store.list_views(connection, actor.party, only=one.id)
        return view

    async def page(self, actor: Actor) -> list[SubscriptionView]:
        """The party's subscriptions, those of this system where a system asks."""
        async with self._database.acquire() as connection:
            found = await store.list_views(connection, actor.party)
        return [view for one, view in found if actor.system in (None, one.system)]

    async def get(self, id_: UUID, actor: Actor) -> Subscription:
        """The system's own subscription, which has not ended; it ends here when its last file has.

        Raises:
            NotFound: `subscription_unknown`, also for another party's or system's.
            Conflict: `subscription_ended`, with why.
        """
        at = self.gate.clock.now()
        async with self._database.acquire() as connection:
            one = await store.get_subscription(connection, id_, actor.party)
            _check_system(one, actor)
            alive = one.ended_at is None and await store.has_dossier(connection, one.party, one.purpose, at)
        if one.ended_at is not None:
            raise Conflict("subscription_ended", why=one.ended_code)
        if not alive:
            await self._end(one, "no_dossier_left")
            raise Conflict("subscription_ended", why="no_dossier_left")
        return one

    def ask_of(self, one: Subscription, actor: Actor | None = None) -> Ask:
        """What a subscription asks of the gate: to hear of its party's own files, as in a list of them."""
        flow = self.integrator.flows[one.flow]
        return Ask(
            actor=actor or Actor(party=one.party, system=one.system, key=one.key, profile="system"),
            purpose=one.purpose,
            case=one.case,
            action="communicate",
            resource=f"flow/{flow.name}",
            fields=frozenset(flow.fields),
            subjects=(),
            sources=flow.plan.resources,
            authorisation=one.authorisation,
        )

    def check_address(self, address: str) -> str:
        """The address, if a push may go there as far as can be seen from it; it is checked again at each connection.

        Raises:
            Invalid: `push_address_refused`, with why.
        """
        if len(address) > _ADDRESS_LIMIT or not address.isascii():
            raise Invalid("push_address_refused", why="malformed")
        try:
            read = read_address(address, self.reachable)
        except Invalid as error:
            raise Invalid("push_address_refused", why=error.facts.get("why", "malformed")) from None
        if read.scheme not in ("https", "http"):
            raise Invalid("push_address_refused", why="scheme")
        return address

    async def stop(self, one: Subscription, code: str) -> None:
        """Its page says why nothing leaves."""
        async with self._database.acquire() as connection:
            await store.set_stopped(connection, one.id, code)

    async def _move(self, one: Subscription, step: Callable[[Cursor], Cursor]) -> SubscriptionView:
        async with self._database.transaction() as connection:
            before = await store.get_cursor(connection, one.id, lock=True)
            await store.set_cursor(connection, one.id, before, step(before), self.gate.clock.now())
            [(_, view)] = await store.list_views(connection, one.party, only=one.id)
        return view

    async def _end(self, one: Subscription, code: str) -> None:
        at = self.gate.clock.now()
        async with self._database.transaction() as connection:
            if await store.end_subscription(connection, one.id, code, at):
                await self._tell(connection, one, one.authorisation, "mutations.unsubscribed", at, code=code)

    async def _tell(
        self,
        connection: Connection,
        one: Subscription,
        authorisation: str | None,
        kind: str,
        at: datetime,
        **more: str,
    ) -> None:
        await append(connection, self.gate.sealer, [entry_of(one, authorisation, kind, at, **more)])


def entry_of(one: Subscription, authorisation: str | None, kind: str, at: datetime, **more: str) -> Entry:
    """The entry of a subscription's beginning or end."""
    public = {"party": str(one.party), "action": "communicate", "resources": [f"flow/{one.flow}"]}
    return Entry(
        log=Log.EXCHANGE,
        kind=kind,
        public=public if authorisation is None else {**public, "authorisation": authorisation},
        private={
            "subscription": str(one.id),
            "system": str(one.system),
            "purpose": one.purpose,
            "case": one.case,
            "services": list(one.resources),
            **more,
        },
        at=at,
    )


def _item(stored: Stored, told: set[str], allowed: set[str]) -> Item:
    if stored.subject is None or stored.subject not in told or stored.resource not in allowed:
        return Item(number=stored.number, kind="withdrawn", doubted=stored.doubted)
    return Item(
        number=stored.number,
        kind=stored.kind,
        resource=stored.resource,
        subject=stored.subject,
        effective_on=stored.effective_on,
        replaced_by=stored.replaced_by,
    )


def _check_system(one: Subscription, actor: Actor) -> None:
    # One system of a party reads not what another subscribed to: each has a cursor that would jump.
    if actor.system is not None and actor.system != one.system:
        raise NotFound("subscription_unknown", subscription=str(one.id))
