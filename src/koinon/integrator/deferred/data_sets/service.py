"""The use cases: an operator proposes, the party agrees, and each result of it is registered when its batch has ended.

The rows do not leave the platform: they are sealed, their subjects replaced by tokens. All the same the grounds of the
batch must stand at that moment, and only fields that the rules give then are taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import structlog

from koinon.base.clock import civil_date
from koinon.base.database import BROKEN, Connection, Database
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound, Unavailable
from koinon.base.ids import new_id
from koinon.base.late import late
from koinon.integrator.deferred import policy
from koinon.integrator.deferred import store as batches
from koinon.integrator.deferred.chunks import STATUSES, read_part
from koinon.integrator.deferred.data_sets import store
from koinon.integrator.deferred.data_sets.model import Line, NewOrder, Order
from koinon.integrator.deferred.model import Batch, RecordStatus, ResultFile
from koinon.integrator.deferred.sealed import SealedObjects
from koinon.integrator.deferred.service import ask_of
from koinon.integrator.model import Flow
from koinon.integrator.processing.model import DataSet, NewDataSet
from koinon.integrator.processing.privacy import Price
from koinon.integrator.processing.service import Processing
from koinon.trust.gate import Gate, open_batch
from koinon.trust.ledger import Entry, Log, append
from koinon.trust.parties import OPERATOR, Author, PartyId
from koinon.trust.parties.store import is_same_human

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.compute
else:
    pyarrow = late("pyarrow")

AGREES = "party_manager"
SUBJECT = "subject"
_ASKED = {RecordStatus.ANSWERED, RecordStatus.UNKNOWN, RecordStatus.NO_ANSWER}
_MOST_TRIES = 20
_AGAIN_SECONDS = 2.0
_log = structlog.get_logger()


class DataSetOrders:
    """Orders of one platform, and in a process with a gate the registering of what they order."""

    def __init__(
        self,
        *,
        database: Database,
        processing: Processing,
        gate: Gate,
        sealed: SealedObjects,
        flows: Mapping[str, Flow],
    ) -> None:
        self._database, self._processing, self._gate = database, processing, gate
        self._sealed, self.flows = sealed, flows

    async def propose(self, new: NewOrder, by: Author) -> Order:
        """The order waits for the party's word.

        Raises:
            NotAllowed: `profile_not_held`.
            NotFound: `flow_unknown`, `flow_not_in_batch`, `party_unknown`.
            Invalid: `purpose_unknown`, `field_unknown`.
            Conflict: `data_set_order_exists`.

        Records: `data_set_order.proposed` in the exchange log.
        """
        await self._processing.demand_operator(by)
        if by.person is None:
            raise NotAllowed("profile_not_held", profile=OPERATOR)
        flow = self.flows.get(new.flow)
        if flow is None:
            raise NotFound("flow_unknown", flow=new.flow[:64])
        known = columns_of(flow)
        if new.purpose not in flow.purposes:
            raise Invalid("purpose_unknown", purpose=new.purpose[:64], flow=flow.name)
        if not new.fields or not set(new.fields) <= known:
            raise Invalid("field_unknown", fields=sorted(set(new.fields) - known)[:10])
        if PartyId(new.party) not in (await self._gate.keeper.settle()).register.parties:
            raise NotFound("party_unknown", party=str(new.party))
        order = Order(
            id=new_id(),
            party=PartyId(new.party),
            flow=flow.name,
            purpose=new.purpose,
            fields=tuple(dict.fromkeys(new.fields)),
            title=new.title,
            epsilon=new.budget.epsilon,
            delta=new.budget.delta,
            proposed_by=by.person,
            proposed_at=self._gate.clock.now(),
        )
        async with self._database.transaction() as connection:
            if not await store.insert_order(connection, order):
                raise Conflict("data_set_order_exists", flow=flow.name)
            await self._record(connection, "data_set_order.proposed", order, by)
        return order

    async def agree(self, order: UUID, by: Author) -> None:
        """From now on each result is registered.

        Raises:
            NotFound: `data_set_order_unknown`, also for another party's.
            NotAllowed: `profile_not_held`; `second_person_same`: the human who proposed it; the codes of
                `Standing.check_actor`.
            Conflict: `data_set_order_over`: it was agreed on before, or has ended.

        Records: `data_set_order.agreed` in the exchange log.
        """
        async with self._database.transaction() as connection:
            found = await self._hold(connection, order, by)
            if by.profile != AGREES or by.person is None or by.party != found.party:
                raise NotAllowed("profile_not_held", profile=AGREES)
            (await self._gate.keeper.settle()).check_author(by, self._gate.clock.now())
            if found.state != "proposed":
                raise Conflict("data_set_order_over", state=found.state)
            if await is_same_human(connection, found.proposed_by, by.person):
                raise NotAllowed("second_person_same")
            await store.agree(connection, order, by.person, self._gate.clock.now())
            await self._record(connection, "data_set_order.agreed", found, by)

    async def end(self, order: UUID, by: Author) -> None:
        """Nothing more comes of it; what was registered stays. The operator or the party does it.

        Raises:
            NotFound: `data_set_order_unknown`, also for another party's.
            NotAllowed: `profile_not_held`; the codes of `Standing.check_actor`.
            Conflict: `data_set_order_over`.

        Records: `data_set_order.ended` in the exchange log.
        """
        async with self._database.transaction() as connection:
            found = await self._hold(connection, order, by)
            if by.profile not in (OPERATOR, AGREES):
                raise NotAllowed("profile_not_held", profile=AGREES)
            (await self._gate.keeper.settle()).check_author(by, self._gate.clock.now())
            if found.state == "ended":
                raise Conflict("data_set_order_over", state=found.state)
            await store.end(connection, order, self._gate.clock.now())
            await self._record(connection, "data_set_order.ended", found, by)

    async def list_orders(self, by: Author) -> tuple[list[Order], list[Line]]:
        """An operator sees all orders and what became of their batches, others those of their party. Newest first."""
        party = None if by.profile == OPERATOR else by.party
        if party is None and by.profile != OPERATOR:
            return [], []
        async with self._database.acquire() as connection:
            orders = await store.list_orders(connection, party)
            return orders, await store.list_lines(connection, [each.id for each in orders])

    async def run(self) -> None:
        """Results are registered until this is cancelled."""
        while True:
            try:
                while await self.register_next():
                    pass
            except BROKEN as error:
                _log.warning("data_sets_unavailable", why=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def register_next(self) -> bool:
        """One line that waited was tried; false when none waits.

        Killed in between it is tried again: what was registered is found by its origin.
        """
        at = self._gate.clock.now()
        async with self._database.transaction() as connection:
            line = await store.take_line(connection, at)
            if line is None:
                return False
            # Counted before it is tried: what takes the process down must not do so for ever.
            await store.try_line(connection, line.batch, at)
            order = await store.find_order(connection, line.order)
            batch = await batches.find_batch(connection, line.batch)
        assert order is not None and batch is not None
        name: str | None = None
        code: str | None = None
        try:
            if line.tries >= _MOST_TRIES:
                raise Conflict("data_set_failed", tries=line.tries)
            if order.state != "agreed":
                raise Conflict("data_set_order_over", state=order.state)
            name = (await self.register(batch, order)).name
        except (Unavailable, *BROKEN) as error:
            _log.warning("data_set_postponed", batch=str(line.batch), why=str(error))
            return False
        except Conflict as error:
            # Registered by a process that did not live to say so?
            mine = error.code in ("data_set_known", "data_set_same") and await self._is_mine(batch)
            name, code = (name_of(batch), None) if mine else (None, error.code)
        except KoinonError as error:
            code = error.code
        except Exception:
            # A fault of ours with one result must not keep others from theirs, nor end the work on batches.
            _log.exception("data_set_postponed", batch=str(line.batch))
            return False
        async with self._database.transaction() as connection:
            await store.end_line(connection, line.batch, self._gate.clock.now(), name=name, code=code)
        return True

    async def register(self, batch: Batch, order: Order) -> DataSet:
        """The answers of the batch are a data set.

        Raises:
            NotAllowed: as `gate.open_batch`: its grounds do not stand any more; the refusal is recorded.
            NotFound: `batch_forgotten`; `flow_unknown`: the platform has it no more.
            Conflict: `data_set_same`, `data_set_known`; `result_fields_missing`: no field of the order may be taken.
            Unavailable: `standing_moved`: it is to be decided anew; as `gate.open_batch`.

        Records: `data_set.taken`, then `data_set.registered` in the exchange log, with the batch as its origin.
        """
        flow = self.flows.get(batch.flow)
        if flow is None:
            raise NotFound("flow_unknown", flow=batch.flow)
        if batch.forgotten_at is not None:
            raise NotFound("batch_forgotten")
        passage = await open_batch(
            self._gate, ask_of(batch, flow.plan.resources), count=max(1, batch.records or 1)
        )
        wanted = [name for name in order.fields if name in batch.fields]
        told = ResultFile(name="", length=0, sha256="", pieces=0, fields=wanted)
        withheld = set(policy.find_withheld(flow, told, passage.decision))
        fields = [name for name in wanted if name not in withheld]
        if not fields:
            raise Conflict("result_fields_missing", fields=list(order.fields))
        await self._take(batch, order, fields, passage.epoch)
        async with self._database.acquire() as connection:
            parts = await batches.list_parts(connection, batch.id)
        tables = [
            await asyncio.to_thread(_rows_of, await self._sealed.get(part.part), fields) for part in parts
        ]
        rows = await asyncio.to_thread(_once, pyarrow.concat_tables(tables))
        day = civil_date(batch.moved_at)
        new = NewDataSet(
            name=name_of(batch),
            title=msgspec.structs.replace(
                order.title,
                **{each: f"{getattr(order.title, each)}, {day.isoformat()}" for each in ("nl", "fr", "en")},
            ),
            source=f"flow {batch.flow}, {day.isoformat()}",
            budget=Price(epsilon=order.epsilon, delta=order.delta),
            origin=origin_of(batch.id),
            demo=passage.standing.register.parties[batch.party].demo,
        )
        return await self._processing.register_data_set(
            new, rows, Author(person=order.proposed_by, profile=OPERATOR)
        )

    async def _take(self, batch: Batch, order: Order, fields: Sequence[str], epoch: int) -> None:
        """It is recorded that the answers are taken, and that the standing was still the one decided on."""
        entry = Entry(
            log=Log.EXCHANGE,
            kind="data_set.taken",
            public={
                "order": str(order.id),
                "party": str(batch.party),
                "batch": str(batch.id),
                "fields": list(fields),
            },
            private={"person": str(order.proposed_by), "agreed_by": str(order.agreed_by)},
            at=self._gate.clock.now(),
        )
        try:
            await self._gate.record(entry, epoch)
        except KoinonError as error:
            if error.code != "standing_moved":
                raise
            raise Unavailable("standing_moved") from None

    async def _is_mine(self, batch: Batch) -> bool:
        try:
            found = await self._processing.get_data_set(name_of(batch))
        except NotFound:
            return False
        return found.origin == origin_of(batch.id)

    async def _hold(self, connection: Connection, order: UUID, by: Author) -> Order:
        found = await store.find_order(connection, order, hold=True)
        if found is None or (by.profile != OPERATOR and by.party != found.party):
            raise NotFound("data_set_order_unknown", id=str(order))
        return found

    async def _record(self, connection: Connection, kind: str, order: Order, by: Author) -> None:
        entry = Entry(
            log=Log.EXCHANGE,
            kind=kind,
            public={
                "order": str(order.id),
                "party": str(order.party),
                "flow": order.flow,
                "purpose": order.purpose,
                "fields": list(order.fields),
                "epsilon": str(order.epsilon),
                "delta": str(order.delta),
            },
            private={"person": str(by.person), "profile": by.profile},
            at=self._gate.clock.now(),
        )
        await append(connection, self._gate.sealer, [entry])


def columns_of(flow: Flow) -> frozenset[str]:
    """The fields that may become columns: numbers of persons never do.

    Raises:
        NotFound: `flow_not_in_batch`.
    """
    specs = policy.result_type(flow).fields[2:]
    return frozenset(spec.name for spec in specs if spec.kind != "national_number")


def origin_of(batch: UUID) -> str:
    """What a data set is the rows of, see `NewDataSet.origin`."""
    return f"batch:{batch}"


def name_of(batch: Batch) -> str:
    """The data set's name: flow, day, and what tells it from others of that day."""
    return f"{batch.flow[:40]}-{civil_date(batch.moved_at).isoformat()}-{batch.id.hex[-8:]}"


def _rows_of(data: bytes, fields: Sequence[str]) -> pyarrow.Table:
    """Of a part: who was asked about, under the number that holds now, and these fields; null without a value."""
    table = read_part(data)
    asked = pyarrow.array([place for place, status in enumerate(STATUSES) if status in _ASKED])
    table = table.filter(
        pyarrow.compute.is_in(table["record_status"], asked.cast(table["record_status"].type))
    )
    subject = pyarrow.compute.coalesce(table["replaced_by"], table["subject"])
    return pyarrow.table({SUBJECT: subject, **{name: table[name] for name in fields}})


def _once(rows: pyarrow.Table) -> pyarrow.Table:
    """Each subject once, as it stands last in the file: noise and counts reckon with one row a person."""
    placed = rows.append_column("place", pyarrow.array(range(len(rows)), pyarrow.int64()))
    last = placed.select([SUBJECT, "place"]).group_by(SUBJECT).aggregate([("place", "max")])
    return rows.take(last["place_max"].combine_chunks().sort())
