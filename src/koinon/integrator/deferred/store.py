"""The SQL of deferred mode."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict
from koinon.integrator.deferred.model import (
    Batch,
    BatchId,
    BatchState,
    Progress,
    ResultFile,
    Task,
    Waiting,
)
from koinon.trust.parties import PartyId

_BATCH = ", ".join(f'"{field.name}"' for field in msgspec.structs.fields(Batch))
_CLAIM = 0x64656665  # "defe": the advisory lock under which work is given out
_CHARGE = (
    "UPDATE deferred.consumer SET served = served + $2 "
    "WHERE party = (SELECT party FROM deferred.batch WHERE id = $1)"
)
_OPEN = ("receiving", "received", "checked", "queued", "running")
_GOING = ("received", "checked", "queued", "running")


def _batch(row: Any) -> Batch:
    return msgspec.convert(dict(row), Batch)


async def insert_batch(connection: Connection, batch: Batch) -> bool:
    """The batch is there; false when its consumer has one of that number."""
    values = {name: getattr(batch, name) for name in Batch.__struct_fields__}
    values["state"] = batch.state.value
    await connection.execute(
        "INSERT INTO deferred.consumer (party) VALUES ($1) ON CONFLICT DO NOTHING", batch.party
    )
    done = await connection.fetchval(
        f"INSERT INTO deferred.batch ({_BATCH}) VALUES ({', '.join(f'${n + 1}' for n in range(len(values)))}) "
        "ON CONFLICT (party, number) DO NOTHING RETURNING true",
        *values.values(),
    )
    if done:
        await _step(connection, batch.id, batch.state, None, batch.created_at)
    return bool(done)


async def count_open(connection: Connection, party: PartyId) -> tuple[int, int]:
    """How many open batches a consumer has, and may have. Nobody else counts for it until the transaction ends."""
    most = await connection.fetchval(
        "SELECT open_at_most FROM deferred.consumer WHERE party = $1 FOR UPDATE", party
    )
    count = await connection.fetchval(
        "SELECT count(*) FROM deferred.batch WHERE party = $1 AND state = ANY($2)", party, list(_OPEN)
    )
    return int(count), 20 if most is None else int(most)


async def find_batch(
    connection: Connection, batch: UUID, *, party: PartyId | None = None, lock: str = ""
) -> Batch | None:
    """The batch with that id, of that party if one is named. `lock` is empty, `UPDATE` or `SHARE`."""
    row = await connection.fetchrow(
        f"SELECT {_BATCH} FROM deferred.batch WHERE id = $1 AND ($2::uuid IS NULL OR party = $2)"
        + (f" FOR {lock}" if lock else ""),
        batch,
        party,
    )
    return None if row is None else _batch(row)


async def find_batch_by_number(connection: Connection, party: PartyId, number: str) -> Batch | None:
    """The batch to which the consumer gave that number."""
    row = await connection.fetchrow(
        f"SELECT {_BATCH} FROM deferred.batch WHERE party = $1 AND number = $2", party, number
    )
    return None if row is None else _batch(row)


async def list_batches(
    connection: Connection, party: PartyId, *, before: UUID | None = None, limit: int = 50
) -> list[Batch]:
    """The consumer's batches, newest first."""
    rows = await connection.fetch(
        f"SELECT {_BATCH} FROM deferred.batch WHERE party = $1 AND ($2::uuid IS NULL OR id < $2) "
        "ORDER BY id DESC LIMIT $3",
        party,
        before,
        limit,
    )
    return [_batch(row) for row in rows]


async def list_steps(connection: Connection, batch: BatchId) -> list[tuple[BatchState, str | None, datetime]]:
    """The states that the batch was in, oldest first."""
    rows = await connection.fetch(
        "SELECT state, code, at FROM deferred.step WHERE batch = $1 ORDER BY number", batch
    )
    return [(BatchState(row[0]), row[1], row[2]) for row in rows]


async def find_piece(connection: Connection, batch: BatchId, start: int) -> tuple[int, bytes] | None:
    """Length and hash of the piece at `start`."""
    row = await connection.fetchrow(
        "SELECT length, sha256 FROM deferred.piece WHERE batch = $1 AND start = $2", batch, start
    )
    return None if row is None else (row[0], row[1])


async def insert_piece(
    connection: Connection, batch: BatchId, start: int, length: int, sha256: bytes
) -> bool:
    """The piece counts; false when the batch does not stand at `start` any more."""
    done = await connection.fetchval(
        "UPDATE deferred.batch SET received = received + $3 WHERE id = $1 AND received = $2 "
        "AND state = 'receiving' RETURNING true",
        batch,
        start,
        length,
    )
    if done:
        await connection.execute(
            "INSERT INTO deferred.piece (batch, start, length, sha256) VALUES ($1, $2, $3, $4)",
            batch,
            start,
            length,
            sha256,
        )
    return bool(done)


async def list_pieces(connection: Connection, batch: BatchId) -> list[tuple[int, int]]:
    """Start and length of each piece, in order."""
    rows = await connection.fetch(
        "SELECT start, length FROM deferred.piece WHERE batch = $1 ORDER BY start", batch
    )
    return [(row[0], row[1]) for row in rows]


async def move(
    connection: Connection,
    batch: BatchId,
    to: BatchState,
    at: datetime,
    *,
    sources: Sequence[BatchState],
    code: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> bool:
    """The batch is in state `to`; false when it was in none of `sources`."""
    done = await connection.fetchval(
        "UPDATE deferred.batch SET state = $2, code = $4, facts = $5, moved_at = $3 "
        "WHERE id = $1 AND state = ANY($6) RETURNING true",
        batch,
        to.value,
        at,
        code,
        facts,
        [each.value for each in sources],
    )
    if done:
        await _step(connection, batch, to, code, at)
    return bool(done)


async def _step(
    connection: Connection, batch: BatchId, state: BatchState, code: str | None, at: datetime
) -> None:
    await connection.execute(
        "INSERT INTO deferred.step (batch, number, state, code, at) SELECT $1, count(*), $2, $3, $4 "
        "FROM deferred.step WHERE batch = $1",
        batch,
        state.value,
        code,
        at,
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


async def set_checked(connection: Connection, batch: BatchId, records: int, rejected: int) -> None:
    """What the check found is known."""
    await connection.execute(
        "UPDATE deferred.batch SET records = $2, rejected = $3 WHERE id = $1", batch, records, rejected
    )


async def set_files(
    connection: Connection,
    batch: BatchId,
    files: Sequence[ResultFile],
    totals: Mapping[str, int] | None = None,
    receipt: str | None = None,
) -> None:
    """What can be fetched of the batch."""
    await connection.execute(
        "UPDATE deferred.batch SET files = $2, totals = $3, receipt = $4 WHERE id = $1",
        batch,
        msgspec.to_builtins(list(files)),
        totals,
        receipt,
    )


async def restart(connection: Connection, batch: Batch, *, system: UUID, key: str) -> None:
    """Everything that was not done is to be done, on behalf of this key."""
    await connection.execute(
        "UPDATE deferred.batch SET system = $2, key = $3 WHERE id = $1", batch.id, system, key
    )
    await connection.execute(
        "UPDATE deferred.task SET state = 'waiting', attempts = 0, run_after = clock_timestamp(), "
        "waits_since = NULL, waits_for = NULL WHERE batch = $1 AND state <> 'done'",
        batch.id,
    )


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


async def get_progress(connection: Connection, batch: Batch, at: datetime) -> Progress | None:
    """How far the batch is; None before it was checked."""
    if batch.records is None:
        return None
    row = await connection.fetchrow(
        """
        SELECT coalesce(sum(records) FILTER (WHERE state = 'done'), 0)::bigint AS done,
               coalesce(sum(records) FILTER (WHERE done_at > last_at - interval '1 minute'), 0)::float8 AS lately,
               extract(epoch FROM max(done_at) - min(done_at) FILTER (WHERE done_at > last_at - interval '1 minute'))
                   ::float8 AS seconds,
               min(records) FILTER (WHERE done_at = first_at) AS first_records
        FROM (SELECT *, max(done_at) OVER () AS last_at, min(done_at) OVER () AS first_at FROM deferred.task
              WHERE batch = $1 AND kind = 'chunk') t
        """,
        batch.id,
    )
    assert row is not None
    waiting = await connection.fetch(
        """
        SELECT source, min(waits_since) AS since, min(run_after) AS next_try, sum(records)::bigint AS records
        FROM deferred.task, unnest(waits_for) AS source
        WHERE batch = $1 AND state <> 'done' AND waits_for IS NOT NULL GROUP BY source ORDER BY source
        """,
        batch.id,
    )
    done, seconds = int(row["done"]), row["seconds"] or 0.0
    # Between the first and the last chunk that are counted lies the work on all but the first.
    rate = max(0.0, row["lately"] - (row["first_records"] or 0)) / seconds if seconds else 0.0
    left = batch.records - done
    return Progress(
        done=done,
        total=batch.records,
        rate=round(rate, 1),
        expected_end=at + timedelta(seconds=left / rate) if rate and left else None,
        waiting=[
            Waiting(source=w["source"], since=w["since"], next_try=w["next_try"], records=w["records"])
            for w in waiting
        ],
    )


async def find_part_of(connection: Connection, batch: BatchId, record: int) -> Part | None:
    """The chunk that is done and holds that record of the file."""
    row = await connection.fetchrow(
        "SELECT number, first, records, part, counts, entry, refused_entry, leaf_hash, promised_at FROM deferred.task "
        "WHERE batch = $1 AND kind = 'chunk' AND state = 'done' AND first <= $2 ORDER BY first DESC LIMIT 1",
        batch,
        record,
    )
    return None if row is None else Part(**dict(row))


async def list_forgettable(connection: Connection, ended: datetime, abandoned: datetime) -> list[Batch]:
    """Batches that ended before `ended`, and uploads that nobody went on with since `abandoned`."""
    rows = await connection.fetch(
        f"""
        SELECT {_BATCH} FROM deferred.batch WHERE forgotten_at IS NULL AND (
            state IN ('done', 'refused', 'stopped') AND moved_at < $1 OR state = 'receiving' AND moved_at < $2)
        ORDER BY id LIMIT 100
        """,
        ended,
        abandoned,
    )
    return [_batch(row) for row in rows]


async def set_forgotten(connection: Connection, batch: BatchId, at: datetime) -> None:
    """What the batch held is gone; what was done stays."""
    await connection.execute("UPDATE deferred.batch SET forgotten_at = $2 WHERE id = $1", batch, at)
