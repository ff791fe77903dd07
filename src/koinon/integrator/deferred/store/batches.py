"""The SQL of batches as their consumers see them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.integrator.deferred.model import (
    Batch,
    BatchId,
    BatchState,
    Progress,
    ResultFile,
    Waiting,
)
from koinon.trust.parties import PartyId

_BATCH = ", ".join(f'"{field.name}"' for field in msgspec.structs.fields(Batch))
_OPEN = ("receiving", "received", "checked", "queued", "running")


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


async def list_terms(
    connection: Connection, flow: str, since: datetime, until: datetime
) -> list[tuple[datetime, datetime | None, bool]]:
    """Of each batch of the flow whose whole file came in the period: when it came, when its result or the refusal of
    its file was there, and whether it stands stopped.
    """
    rows = await connection.fetch(
        """
        SELECT min(s.at) FILTER (WHERE s.state = 'received') AS received,
               max(s.at) FILTER (WHERE s.state = b.state AND b.state IN ('done', 'refused')) AS ended,
               b.state = 'stopped' AS stopped
        FROM deferred.batch b JOIN deferred.step s ON s.batch = b.id
        WHERE b.flow = $1 AND b.moved_at >= $2 AND b.created_at < $3
        GROUP BY b.id
        HAVING min(s.at) FILTER (WHERE s.state = 'received') >= $2
            AND min(s.at) FILTER (WHERE s.state = 'received') < $3
        """,
        flow,
        since,
        until,
    )
    return [(row[0], row[1], row[2]) for row in rows]


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
