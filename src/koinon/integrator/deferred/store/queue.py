"""The SQL of the queue: work is put in it, given out fairly, given back, done."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict
from koinon.integrator.deferred.model import BatchId, Task
from koinon.trust.parties import PartyId

_CLAIM = 0x64656665  # "defe": the advisory lock under which work is given out
_GOING = ("received", "checked", "queued", "running")
_CHARGE = (
    "UPDATE deferred.consumer SET served = served + $2 "
    "WHERE party = (SELECT party FROM deferred.batch WHERE id = $1)"
)


async def insert_tasks(
    connection: Connection, batch: BatchId, tasks: Sequence[tuple[int, str, int, int]]
) -> None:
    """Work is there: number, kind, records and first record of each task."""
    await connection.execute(
        """
        INSERT INTO deferred.task (batch, number, kind, records, first)
        SELECT $1, * FROM unnest($2::integer[], $3::text[], $4::integer[], $5::bigint[])
        """,
        batch,
        *([each[n] for each in tasks] for n in range(4)),
    )


async def join_queue(connection: Connection, party: PartyId) -> None:
    """The consumer stands in the queue no further ahead than who has waited: time without work is not saved up."""
    await connection.execute(
        """
        UPDATE deferred.consumer c SET served = greatest(c.served, coalesce((
            SELECT min(o.served) FROM deferred.consumer o
            JOIN deferred.batch b ON b.party = o.party AND b.state = ANY($2) WHERE o.party <> $1
        ), 0)) WHERE c.party = $1
          AND NOT EXISTS (SELECT 1 FROM deferred.batch b WHERE b.party = $1 AND b.state = ANY($2))
        """,
        party,
        list(_GOING),
    )


async def claim(connection: Connection, worker: str, silence: timedelta) -> Task | None:
    """A task is this worker's: of the consumer that has had least and is under its quota, its most urgent batch.

    Fair by virtual time: what is taken is added to what its consumer has had, so that a million records of one never
    stand before ten of another. A task whose worker fell silent is taken over under a higher fence.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _CLAIM)
    row = await connection.fetchrow(
        """
        WITH running AS (
            SELECT b.party, count(*) AS tasks FROM deferred.task t JOIN deferred.batch b ON b.id = t.batch
            WHERE t.state = 'running' AND t.alive_until >= clock_timestamp() GROUP BY b.party
        ), chosen AS (
            SELECT t.batch, t.number FROM deferred.task t
            JOIN deferred.batch b ON b.id = t.batch
            JOIN deferred.consumer c ON c.party = b.party
            LEFT JOIN running r ON r.party = b.party
            WHERE (t.state = 'waiting' AND t.run_after <= clock_timestamp()
                   OR t.state = 'running' AND t.alive_until < clock_timestamp())
              AND b.state = ANY($1) AND coalesce(r.tasks, 0) < c.at_once
              AND (t.kind <> 'finish' OR NOT EXISTS (
                  SELECT 1 FROM deferred.task o WHERE o.batch = t.batch AND o.kind = 'chunk' AND o.state <> 'done'))
            ORDER BY c.served, b.priority DESC, b.id, t.number LIMIT 1
        )
        UPDATE deferred.task t SET state = 'running', fence = fence + 1, attempts = attempts + 1, worker = $2,
            alive_until = clock_timestamp() + $3::interval
        FROM chosen WHERE t.batch = chosen.batch AND t.number = chosen.number
        RETURNING t.batch, t.number, t.kind, t.records, t.first, t.fence, t.attempts, t.waits_since
        """,
        list(_GOING),
        worker,
        silence,
    )
    if row is None:
        return None
    task = msgspec.convert(dict(row), Task)
    if task.kind == "chunk":
        await connection.execute(_CHARGE, task.batch, task.records)
    return task


async def say_alive(
    connection: Connection, tasks: Sequence[Task], silence: timedelta
) -> set[tuple[UUID, int]]:
    """The tasks are this process's for another while; returns those that still are."""
    rows = await connection.fetch(
        """
        UPDATE deferred.task t SET alive_until = clock_timestamp() + $4::interval
        FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS mine (batch, number, fence)
        WHERE t.batch = mine.batch AND t.number = mine.number AND t.fence = mine.fence AND t.state = 'running'
        RETURNING t.batch, t.number
        """,
        [task.batch for task in tasks],
        [task.number for task in tasks],
        [task.fence for task in tasks],
        silence,
    )
    return {(row[0], row[1]) for row in rows}


async def give_back(
    connection: Connection,
    task: Task,
    wait: timedelta,
    *,
    sources: Sequence[str] = (),
    failed: bool = False,
    at: datetime,
) -> None:
    """The task waits for its turn, or for sources; only a failure counts as an attempt. What it cost is given back."""
    done = await connection.fetchval(
        """
        UPDATE deferred.task SET state = 'waiting', worker = NULL, alive_until = NULL,
            attempts = CASE WHEN $7 THEN attempts ELSE attempts - 1 END,
            run_after = clock_timestamp() + $4::interval, waits_for = $5,
            waits_since = CASE WHEN $5::text[] IS NULL THEN waits_since ELSE coalesce(waits_since, $6) END
        WHERE batch = $1 AND number = $2 AND fence = $3 AND state = 'running' RETURNING true
        """,
        task.batch,
        task.number,
        task.fence,
        wait,
        list(sources) or None,
        at,
        failed,
    )
    if done and task.kind == "chunk":
        await connection.execute(_CHARGE, task.batch, -task.records)


async def finish_task(
    connection: Connection,
    task: Task,
    at: datetime,
    *,
    counts: Mapping[str, int] | None = None,
    part: str | None = None,
    entry: UUID | None = None,
    refused_entry: UUID | None = None,
    leaf_hash: bytes | None = None,
    promised_at: datetime | None = None,
) -> None:
    """The task is done, in the caller's transaction, which holds the batch where it is.

    Raises:
        Conflict: `task_taken`: another worker has it, or the batch does not go on.
    """
    state = await connection.fetchval("SELECT state FROM deferred.batch WHERE id = $1 FOR SHARE", task.batch)
    done = state in _GOING and await connection.fetchval(
        """
        UPDATE deferred.task SET state = 'done', alive_until = NULL, waits_for = NULL, done_at = $4, counts = $5,
            part = $6, entry = $7, leaf_hash = $8, promised_at = $9, refused_entry = $10
        WHERE batch = $1 AND number = $2 AND fence = $3 AND state = 'running' RETURNING true
        """,
        task.batch,
        task.number,
        task.fence,
        at,
        counts,
        part,
        entry,
        leaf_hash,
        promised_at,
        refused_entry,
    )
    if not done:
        raise Conflict("task_taken", task=task.number, fence=task.fence)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that is done."""

    number: int
    first: int
    records: int
    part: str
    counts: Mapping[str, int]
    entry: UUID | None
    refused_entry: UUID | None
    leaf_hash: bytes
    promised_at: datetime


async def list_parts(connection: Connection, batch: BatchId) -> list[Part]:
    """The chunks that are done, in order."""
    rows = await connection.fetch(
        "SELECT number, first, records, part, counts, entry, refused_entry, leaf_hash, promised_at FROM deferred.task "
        "WHERE batch = $1 AND kind = 'chunk' AND state = 'done' ORDER BY number",
        batch,
    )
    return [Part(**dict(row)) for row in rows]


async def find_part_of(connection: Connection, batch: BatchId, record: int) -> Part | None:
    """The chunk that is done and holds that record of the file."""
    row = await connection.fetchrow(
        "SELECT number, first, records, part, counts, entry, refused_entry, leaf_hash, promised_at FROM deferred.task "
        "WHERE batch = $1 AND kind = 'chunk' AND state = 'done' AND first <= $2 ORDER BY first DESC LIMIT 1",
        batch,
        record,
    )
    return None if row is None else Part(**dict(row))
