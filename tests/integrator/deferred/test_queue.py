"""The queue: who goes first, how much one may have at once, what is forgotten in the end."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from tests.integrator.deferred.conftest import Office, message, numbers

from koinon.app.batches import run_batches
from koinon.base.errors import NotFound
from koinon.integrator.deferred import BatchRequest, forget, store
from koinon.integrator.deferred.model import BatchState
from koinon.integrator.deferred.policy import KEPT
from koinon.trust.parties import PartyId

SILENCE = timedelta(seconds=30)


async def queued(office: Office, party: UUID, number: str, chunks: int, priority: int = 0) -> UUID:
    """A batch of so many chunks of ten records of that party stands in the queue."""
    sent = await office.send(
        message(office.world, numbers(1), number=f"seed-{number}"), number=f"seed-{number}"
    )
    id_ = uuid4()
    async with office.world.database.transaction() as connection:
        found = await store.find_batch(connection, sent.id)
        assert found is not None
        await connection.execute("DELETE FROM deferred.task WHERE batch = $1", found.id)
        at = office.world.clock.now()
        await store.move(connection, found.id, BatchState.STOPPED, at, sources=list(BatchState))
        batch = msgspec.structs.replace(
            found, id=id_, party=PartyId(party), number=number, priority=priority, state=BatchState.QUEUED
        )
        assert await store.insert_batch(connection, batch)
        await store.insert_tasks(
            connection, batch.id, [(n, "chunk", 10, n * 10) for n in range(1, chunks + 1)]
        )
    return id_


async def take(office: Office, count: int, *, finish: bool = True) -> list[UUID]:
    """The batches of the next tasks that are given out, each done before the next is asked for."""
    given = []
    for _ in range(count):
        async with office.world.database.transaction() as connection:
            task = await store.claim(connection, "test", SILENCE)
            if task is None:
                break
            given.append(task.batch)
            if finish:
                await store.finish_task(connection, task, office.world.clock.now())
    return given


async def test_two_consumers_are_served_in_turn_however_much_one_of_them_has(office: Office) -> None:
    big, small = uuid4(), uuid4()
    many = await queued(office, big, "many", 30)
    assert await take(office, 5) == [many] * 5
    async with office.world.database.transaction() as connection:
        await connection.execute("INSERT INTO deferred.consumer (party) VALUES ($1)", small)
        await store.join_queue(connection, PartyId(small))
    few = await queued(office, small, "few", 2)
    given = await take(office, 6)
    # Both at once from here on: of the next four tasks two are of the small one, and nobody pays for the past.
    assert given.count(few) == 2 and few in given[:2] and given[4:] == [many] * 2


async def test_priority_counts_among_ones_own_batches_only(office: Office) -> None:
    mine, theirs = uuid4(), uuid4()
    later = await queued(office, mine, "later", 2, priority=0)
    urgent = await queued(office, mine, "urgent", 2, priority=9)
    other = await queued(office, theirs, "other", 2, priority=-9)
    given = await take(office, 6)
    own = [each for each in given if each != other]
    assert own == [urgent, urgent, later, later]
    assert given[:4].count(other) == 2


async def test_a_consumer_has_no_more_at_once_than_its_quota(office: Office) -> None:
    party = uuid4()
    batch = await queued(office, party, "all", 5)
    assert await take(office, 5, finish=False) == [batch] * 2  # the default
    async with office.world.database.transaction() as connection:
        await connection.execute("UPDATE deferred.consumer SET at_once = 4 WHERE party = $1", party)
    assert await take(office, 5, finish=False) == [batch] * 2


async def test_what_a_waiting_chunk_cost_its_consumer_is_given_back(office: Office) -> None:
    party = uuid4()
    await queued(office, party, "waits", 1)

    async def served() -> int:
        async with office.world.database.acquire() as connection:
            return int(
                await connection.fetchval("SELECT served FROM deferred.consumer WHERE party = $1", party)
            )

    async with office.world.database.transaction() as connection:
        task = await store.claim(connection, "test", SILENCE)
    assert task is not None and await served() == 10
    at = office.world.clock.now()
    async with office.world.database.transaction() as connection:
        await store.give_back(connection, task, timedelta(hours=1), sources=["ksz"], at=at)
    assert await served() == 0
    assert await take(office, 1) == []  # it waits


async def test_files_of_a_batch_are_gone_after_their_term_and_what_was_done_stays(office: Office) -> None:
    people = numbers(2)
    await office.know(people)
    batch = await office.send(message(office.world, people))
    async with office.running():
        await office.until(batch, "done")
    now = office.world.clock.now()
    database = office.gate.database
    assert await forget(database, office.sealed, now + KEPT - timedelta(minutes=1)) == 0
    assert await forget(database, office.sealed, now + KEPT + timedelta(minutes=1)) == 1
    assert [each.key async for each in office.objects.list(f"deferred/{batch.id.hex}")] == []
    system = office.world.system()
    for call in (
        office.deferred.fetch(batch.id, "fixed", 0, system),
        office.deferred.prove(batch.id, 1, system),
    ):
        with pytest.raises(NotFound) as gone:
            await call
        assert gone.value.code == "batch_forgotten"
    assert (await office.look(batch)).totals == {
        "answered": 2, "unknown": 0, "no_answer": 0, "not_in_directory": 0, "rejected": 0
    }  # fmt: skip
    assert await office.deferred.receipt(batch.id, system)


async def test_an_upload_that_nobody_goes_on_with_is_given_up(office: Office) -> None:
    data = bytes(10)
    system = office.world.system()
    said: dict[str, Any] = {"number": "B-1", "flow": "social-dwelling-admission", "syntax": "fixed"}
    said |= {"purpose": "social_dwelling_admission", "length": len(data), "sha256": "0" * 64}
    batch, _ = await office.deferred.create(BatchRequest(**said), system)
    now = office.world.clock.now()
    assert await forget(office.gate.database, office.sealed, now + timedelta(days=8)) == 1
    found = await office.look(batch)
    assert (found.state, found.code) == ("refused", "upload_abandoned")


async def test_the_worker_does_batches_over_the_sources_that_are_connected(office: Office) -> None:
    """None is connected here: the chunk waits for them and says so."""
    people = numbers(2)
    await office.know(people)
    batch = await office.send(message(office.world, people))
    settings = msgspec.structs.replace(
        office.world.settings, database_url=office.world.url, epoch_limit_seconds=10.0
    )
    task = asyncio.create_task(run_batches(settings))
    try:
        found = await office.until(batch, "running", seconds=60)
        while not found.progress.waiting:  # type: ignore[union-attr]
            assert not task.done(), task
            await asyncio.sleep(0.05)
            found = await office.look(batch)
        waits = {each.source for each in found.progress.waiting}  # type: ignore[union-attr]
        assert waits == {"rijksregister", "ksz", "kbo", "candidates"}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with office.world.database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM gate.running") == 0
