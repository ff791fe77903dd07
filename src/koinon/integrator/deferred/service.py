"""What a consumer does with batches: send, look, fetch, stop, begin again. Nothing here computes."""

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, NotAllowed, NotFound, TooMany
from koinon.base.ids import new_id
from koinon.base.objects import Objects
from koinon.integrator.deferred import policy, store
from koinon.integrator.deferred.checking import REJECTS
from koinon.integrator.deferred.chunks import Questions
from koinon.integrator.deferred.model import (
    Batch,
    BatchId,
    BatchRequest,
    BatchState,
    BatchView,
    view_of,
)
from koinon.integrator.deferred.sealed import SealedObjects, chunk_name, file_piece_name, piece_name
from koinon.integrator.formats import Reject
from koinon.integrator.service import Integrator
from koinon.trust.gate import Actor, Ask, open_batch
from koinon.trust.ledger import Proof, SubjectProof, get_proof, prove_subject
from koinon.trust.parties import PartyId

_FETCHABLE = frozenset({BatchState.DONE, BatchState.REFUSED})


class RecordProof(msgspec.Struct, frozen=True, kw_only=True):
    """That a record's person is a leaf under its chunk's entry, and that entry in the log.

    Attributes:
        log: None while no checkpoint covers the entry.
    """

    record_key: str
    person: SubjectProof
    log: Proof | None


class Deferred:
    """The use cases of deferred mode, as a web process has them.

    Attributes:
        store: where the bytes of batches lie.
    """

    def __init__(self, integrator: Integrator, objects: Objects, sealed: SealedObjects) -> None:
        self.integrator = integrator
        self.store = sealed
        self._objects = objects
        self._database = integrator.gate.database

    async def create(self, request: BatchRequest, actor: Actor) -> tuple[BatchView, bool]:
        """The batch, and whether it is new: the same number with the same file is the same batch.

        Its grounds are decided on before a byte is taken.

        Raises:
            NotAllowed: as `gate.open_batch`.
            NotFound, Invalid, TooLarge: see `policy.check_request`.
            Conflict: `batch_number_reused`.
            TooMany: `too_many_batches`.

        Records: `exchange.refused` in the exchange log when it is refused.
        """
        flow = policy.check_request(request, self.integrator.flows)
        assert actor.system is not None and actor.key is not None
        at = self.integrator.gate.clock.now()
        batch = Batch(
            id=BatchId(new_id()),
            party=actor.party,
            system=actor.system,
            key=actor.key,
            number=request.number,
            flow=flow.name,
            purpose=request.purpose,
            case=request.case or request.number,
            authorisation=request.authorisation,
            fields=sorted(set(flow.fields if request.fields is None else request.fields)),
            syntax=request.syntax,
            results=list(dict.fromkeys(request.results or (request.syntax,))),
            priority=request.priority,
            length=request.length,
            sha256=bytes.fromhex(request.sha256),
            received=0,
            state=BatchState.RECEIVING,
            code=None,
            facts=None,
            records=None,
            rejected=None,
            totals=None,
            files=None,
            receipt=None,
            created_at=at,
            moved_at=at,
            forgotten_at=None,
        )
        # How many it is about is known when it was checked; an authorisation's limit is held then.
        await open_batch(self.integrator.gate, self.ask_of(batch), count=1)
        async with self._database.transaction() as connection:
            known = await store.find_batch_by_number(connection, actor.party, request.number)
            if known is None:
                count, most = await store.count_open(connection, actor.party)
                if count >= most:
                    raise TooMany("too_many_batches", open=count, limit=most)
                if await store.insert_batch(connection, batch):
                    return view_of(batch, None), True
                known = await store.find_batch_by_number(connection, actor.party, request.number)
            assert known is not None
            policy.check_same(known, request)
            return view_of(known, await store.get_progress(connection, known, at)), False

    async def put_piece(self, batch_id: UUID, start: int, data: bytes, actor: Actor) -> BatchView:
        """The piece is durable; with the last one the batch is received and will be checked.

        A piece that was put before, and is the same, changes nothing.

        Raises:
            NotFound: `batch_unknown`, also for another party's.
            Conflict, Invalid: see `policy.check_piece`; `piece_differs` for another piece than was put there.
        """
        digest = hashlib.sha256(data).digest()
        async with self._database.acquire() as connection:
            batch = await self._get(connection, batch_id, actor.party)
            known = await store.find_piece(connection, batch.id, start)
        if known is not None:
            if known != (len(data), digest):
                raise Conflict("piece_differs", start=start)
            return view_of(batch, None)
        policy.check_piece(batch, start, len(data))
        await self.store.put(piece_name(batch.id, start), data)
        at = self.integrator.gate.clock.now()
        async with self._database.transaction() as connection:
            if not await store.insert_piece(connection, batch.id, start, len(data), digest):
                now = await self._get(connection, batch_id, actor.party)
                raise Conflict("upload_offset_wrong", expected=now.received)
            if start + len(data) == batch.length:
                await store.join_queue(connection, batch.party)
                await store.move(
                    connection, batch.id, BatchState.RECEIVED, at, sources=[BatchState.RECEIVING]
                )
                await store.insert_tasks(connection, batch.id, [(0, "check", 0, 0)])
            return view_of(await self._get(connection, batch_id, actor.party), None)

    async def look(self, batch_id: UUID, actor: Actor) -> BatchView:
        """How it stands with the batch. Raises `NotFound: batch_unknown`."""
        async with self._database.acquire() as connection:
            batch = await self._get(connection, batch_id, actor.party)
            return view_of(
                batch, await store.get_progress(connection, batch, self.integrator.gate.clock.now())
            )

    async def page(self, party: PartyId, before: UUID | None = None) -> list[BatchView]:
        """The party's batches, newest first."""
        at = self.integrator.gate.clock.now()
        async with self._database.acquire() as connection:
            batches = await store.list_batches(connection, party, before=before)
            return [view_of(each, await store.get_progress(connection, each, at)) for each in batches]

    async def show(
        self, batch_id: UUID, party: PartyId, *, rejects: int = 50
    ) -> tuple[BatchView, list[tuple[BatchState, str | None, datetime]], list[Reject]]:
        """The batch, the states it was in, and its first rejects: for people of the party.

        Raises:
            NotFound: `batch_unknown`.
        """
        async with self._database.acquire() as connection:
            batch = await self._get(connection, batch_id, party)
            at = self.integrator.gate.clock.now()
            view = view_of(batch, await store.get_progress(connection, batch, at))
            steps = await store.list_steps(connection, batch.id)
        found: list[Reject] = []
        if batch.forgotten_at is None and any(file.name == REJECTS[0] for file in view.files):
            data = await self.store.get(file_piece_name(batch.id, REJECTS[0], 0))
            lines = data.splitlines()[:rejects]
            found = [msgspec.json.decode(line, type=Reject) for line in lines if line.endswith(b"}")]
        return view, steps, found

    async def fetch(self, batch_id: UUID, name: str, piece: int, actor: Actor) -> bytes:
        """A piece of a file of the batch, if its grounds stand at this moment.

        Raises:
            NotFound: `batch_unknown`, `file_unknown`, `piece_unknown`, `batch_forgotten`.
            Conflict: `batch_not_done`.
            NotAllowed: as `gate.open_batch`: what was answered before a suspension is not handed out after it;
                `field_not_authorised`, with `fields`, where the rules give less now than the file says.
        """
        async with self._database.acquire() as connection:
            batch = await self._get(connection, batch_id, actor.party)
        if batch.state not in _FETCHABLE:
            raise Conflict("batch_not_done", state=batch.state.value)
        if batch.forgotten_at is not None:
            raise NotFound("batch_forgotten")
        file = next((each for each in batch.files or () if each.name == name), None)
        if file is None:
            raise NotFound("file_unknown", file=name[:32])
        if not 0 <= piece < file.pieces:
            raise NotFound("piece_unknown", pieces=file.pieces)
        passage = await open_batch(self.integrator.gate, self.ask_of(batch, actor), count=1)
        withheld = policy.find_withheld(self.integrator.flows[batch.flow], file, passage.decision)
        if withheld:
            refusal = NotAllowed("field_not_authorised", fields=withheld)
            await self.integrator.gate.refuse(passage.ask, refusal)
            raise refusal
        return await self.store.get(file_piece_name(batch.id, file.name, piece))

    async def receipt(self, batch_id: UUID, actor: Actor) -> str:
        """The platform's word for the whole batch: a JWS.

        Raises:
            NotFound: `batch_unknown`.
            Conflict: `batch_not_done`.
        """
        async with self._database.acquire() as connection:
            batch = await self._get(connection, batch_id, actor.party)
        if batch.receipt is None:
            raise Conflict("batch_not_done", state=batch.state.value)
        return batch.receipt

    async def prove(self, batch_id: UUID, record: int, actor: Actor) -> RecordProof:
        """The two-level proof of one record of the file; `record` is its place, as in its record key.

        Raises:
            NotFound: `batch_unknown`, `record_unknown`: rejected, or of a chunk that is not done; as `prove_subject`.
        """
        async with self._database.acquire() as connection:
            batch = await self._get(connection, batch_id, actor.party)
            part = await store.find_part_of(connection, batch.id, record)
        if part is None:
            raise NotFound("record_unknown", record=record)
        if batch.forgotten_at is not None:
            raise NotFound("batch_forgotten")
        data = await self.store.get(chunk_name(batch.id, part.number))
        questions = await asyncio.to_thread(Questions.decode, data)
        if record not in questions.numbers:
            raise NotFound("record_unknown", record=record)
        subject = questions.subjects[list(questions.numbers).index(record)]
        async with self._database.acquire() as connection:
            person: SubjectProof | None = None
            for entry in (part.entry, part.refused_entry):
                if entry is not None and person is None:
                    try:
                        person = await prove_subject(
                            connection, self.integrator.gate.sealer, entry, subject=subject
                        )
                    except NotFound as error:
                        if error.code != "subject_not_in_entry":
                            raise
            if person is None:
                raise NotFound("subject_erased")
            log: Proof | None = None
            try:
                log = await get_proof(connection, self._objects, person.entry)  # type: ignore[arg-type]
            except NotFound as error:
                if error.code != "entry_not_merged":
                    raise
        return RecordProof(record_key=policy.record_key(batch.id, record), person=person, log=log)

    async def cancel(self, batch_id: UUID, actor: Actor) -> BatchView:
        """The batch goes no further; what was answered stays in the trace and is not handed out.

        Raises:
            NotFound: `batch_unknown`.
            Conflict: `batch_ended`.
        """
        at = self.integrator.gate.clock.now()
        async with self._database.transaction() as connection:
            batch = await self._get(connection, batch_id, actor.party, lock="UPDATE")
            # A batch that is stopped already may be cancelled too: nobody begins it again then.
            sources = [state for state in BatchState if state not in policy.ENDED] + [BatchState.STOPPED]
            if batch.code == policy.CANCELLED or not await store.move(
                connection, batch.id, BatchState.STOPPED, at, sources=sources, code=policy.CANCELLED
            ):
                raise Conflict("batch_ended", state=batch.state.value)
            return view_of(await self._get(connection, batch_id, actor.party), None)

    async def resume(self, batch_id: UUID, actor: Actor) -> BatchView:
        """A stopped batch is queued again, on a new decision about whoever asks for it now.

        Raises:
            NotFound: `batch_unknown`, `batch_forgotten`.
            Conflict: `batch_not_stopped`, `batch_cancelled`.
            NotAllowed: as `gate.open_batch`: what stopped it stands.

        Records: `exchange.refused` in the exchange log when it is refused.
        """
        async with self._database.acquire() as connection:
            batch = await self._get(connection, batch_id, actor.party)
        if batch.state is not BatchState.STOPPED:
            raise Conflict("batch_not_stopped", state=batch.state.value)
        if batch.code == policy.CANCELLED:
            raise Conflict("batch_cancelled")
        if batch.forgotten_at is not None:
            raise NotFound("batch_forgotten")
        await open_batch(self.integrator.gate, self.ask_of(batch, actor), count=max(1, batch.records or 1))
        at = self.integrator.gate.clock.now()
        assert actor.system is not None and actor.key is not None
        async with self._database.transaction() as connection:
            to = BatchState.QUEUED if batch.records is not None else BatchState.RECEIVED
            await store.join_queue(connection, batch.party)
            if not await store.move(connection, batch.id, to, at, sources=[BatchState.STOPPED]):
                raise Conflict("batch_not_stopped")
            await store.restart(connection, batch, system=actor.system, key=actor.key)
            return view_of(await self._get(connection, batch_id, actor.party), None)

    def ask_of(self, batch: Batch, actor: Actor | None = None) -> Ask:
        """What the batch asks of the gate; about whom is told chunk by chunk."""
        return ask_of(batch, self.integrator.flows[batch.flow].plan.resources, actor)

    async def _get(self, connection: Connection, batch: UUID, party: PartyId, *, lock: str = "") -> Batch:
        found = await store.find_batch(connection, batch, party=party, lock=lock)
        if found is None:
            # One answer for "there is none" and "it is not yours".
            raise NotFound("batch_unknown", batch=str(batch))
        return found


def ask_of(batch: Batch, resources: Mapping[str, frozenset[str]], actor: Actor | None = None) -> Ask:
    """The ask that a batch is: as the system that sent it, or as `actor`."""
    return Ask(
        actor=actor or Actor(party=batch.party, system=batch.system, key=batch.key, profile="system"),
        purpose=batch.purpose,
        case=batch.case,
        action="communicate",
        resource=f"flow/{batch.flow}",
        fields=frozenset(batch.fields),
        subjects=(),
        sources=resources,
        authorisation=batch.authorisation,
    )


async def forget(database: Database, sealed: SealedObjects, at: datetime) -> int:
    """Files of batches that ended long ago, and uploads nobody went on with, are gone; returns of how many batches."""
    async with database.acquire() as connection:
        batches = await store.list_forgettable(connection, at - policy.KEPT, at - policy.ABANDONED_AFTER)
    for batch in batches:
        await sealed.forget(batch.id)
        async with database.transaction() as connection:
            await store.move(
                connection,
                batch.id,
                BatchState.REFUSED,
                at,
                sources=[BatchState.RECEIVING],
                code="upload_abandoned",
            )
            await store.set_forgotten(connection, batch.id, at)
    return len(batches)
