"""The only SQL on the schema `remote`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.jobs import enqueue
from koinon.trust.gate import Receipt, Second
from koinon.trust.parties import PartyId, PersonId
from koinon.video.cameras import CameraId
from koinon.video.cameras.model import StreamId
from koinon.video.recordings.model import FETCHED
from koinon.video.recordings.timeline import Stretch
from koinon.video.remote.model import (
    OPEN_FETCHES,
    Ask,
    AskId,
    AskState,
    Fetch,
    FetchId,
    FetchState,
    Progress,
    RemoteSource,
)
from koinon.video.remote.policy import PER_OWNER

JOB = "remote.fetch"
_OPEN = [each.value for each in OPEN_FETCHES]
_FETCH = ", ".join(Fetch.__struct_fields__)
_ASK = (
    'id, camera, owner, party, person, profile, purpose, "case", reason, since, until, emergency, state, code, '
    "exchange, second_person, second_profile, at_work_station, receipt, asked_at, moved_at"
)


# Where recordings stay


async def put_source(connection: Connection, source: RemoteSource) -> None:
    """The camera is replayed from there, and from nowhere else."""
    await connection.execute(
        """
        INSERT INTO remote.source (camera, sealed_source, address, keep_days, holds_from, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (camera) DO UPDATE SET sealed_source = excluded.sealed_source, address = excluded.address,
            keep_days = excluded.keep_days, holds_from = excluded.holds_from, changed_at = excluded.changed_at
        """,
        *msgspec.structs.astuple(source),
    )


async def delete_source(connection: Connection, camera: CameraId) -> bool:
    """The camera is replayed from nowhere; whether it was."""
    told: str = await connection.execute("DELETE FROM remote.source WHERE camera = $1", camera)
    return told.endswith("1")


async def find_source(connection: Connection, camera: CameraId) -> RemoteSource | None:
    """Where the camera is replayed, if anywhere."""
    row = await connection.fetchrow(
        "SELECT camera, sealed_source, address, keep_days, holds_from, changed_at FROM remote.source WHERE camera = $1",
        camera,
    )
    return RemoteSource(**dict(row)) if row else None


async def list_sources(connection: Connection, streams: Sequence[StreamId]) -> dict[StreamId, RemoteSource]:
    """Where the recordings of each stream stay, of those whose do."""
    rows = await connection.fetch(
        """
        SELECT s.id, r.camera, r.sealed_source, r.address, r.keep_days, r.holds_from, r.changed_at
        FROM cameras.stream s JOIN remote.source r ON r.camera = s.camera
        WHERE s.id = ANY($1::integer[]) AND s.role = 'main'
        """,
        streams,
    )
    return {row["id"]: RemoteSource(**{k: v for k, v in row.items() if k != "id"}) for row in rows}


async def list_remote(connection: Connection, cameras: Collection[CameraId]) -> set[CameraId]:
    """Those of the cameras whose recordings stay with their owner."""
    rows = await connection.fetch(
        "SELECT camera FROM remote.source WHERE camera = ANY($1::uuid[])", list(cameras)
    )
    return {row["camera"] for row in rows}


async def find_stream(connection: Connection, camera: CameraId) -> StreamId | None:
    """The stream under which what is fetched of the camera stands: its main picture."""
    found: StreamId | None = await connection.fetchval(
        "SELECT id FROM cameras.stream WHERE camera = $1 AND role = 'main'", camera
    )
    return found


async def list_recorded(
    connection: Connection, stream: StreamId, since: datetime, until: datetime
) -> list[Stretch]:
    """When there are units of the stream, whichever copy, in that time."""
    rows = await connection.fetch(
        """
        SELECT start_at, start_at + wall_us * interval '1 microsecond' AS end_at FROM recordings.unit
        WHERE stream = $1 AND start_at > $2::timestamptz - interval '2 hours' AND start_at < $3
          AND start_at + wall_us * interval '1 microsecond' > $2 ORDER BY start_at
        """,
        stream, since, until,
    )  # fmt: skip
    return [Stretch(row["start_at"], row["end_at"]) for row in rows]


async def list_known(connection: Connection, stream: StreamId, files: Collection[str]) -> set[str]:
    """Those of the files that are units of what was fetched of the stream."""
    rows = await connection.fetch(
        "SELECT file FROM recordings.unit WHERE stream = $1 AND copy = $2 AND file = ANY($3::text[])",
        stream, FETCHED, list(files),
    )  # fmt: skip
    return {row["file"] for row in rows}


# Asking


async def lock_owner(connection: Connection, owner: PartyId) -> None:
    """Nobody else plans what is fetched from this owner before the transaction ends."""
    await connection.execute(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))", f"remote/{owner}"
    )


async def count_open(connection: Connection, person: PersonId) -> int:
    """How many asks of the person are not over. The person's next one waits for this transaction."""
    await connection.execute(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))", f"remote/{person}"
    )
    found: int = await connection.fetchval(
        "SELECT count(*) FROM remote.ask WHERE person = $1 AND state = 'open'", person
    )
    return found


async def count_waiting(connection: Connection, owner: PartyId) -> int:
    """How many stretches of this owner are to be fetched."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM remote.fetch WHERE owner = $1 AND state = ANY($2::text[])", owner, _OPEN
    )
    return found


async def list_open(
    connection: Connection, stream: StreamId, since: datetime, until: datetime
) -> list[Fetch]:
    """What is to be fetched of the stream in that time already."""
    rows = await connection.fetch(
        f"SELECT {_FETCH} FROM remote.fetch WHERE stream = $1 AND since < $3 AND until > $2"
        " AND state = ANY($4::text[]) ORDER BY since",
        stream, since, until, _OPEN,
    )  # fmt: skip
    return [_fetch(row) for row in rows]


async def insert_ask(connection: Connection, ask: Ask, fetches: Sequence[FetchId]) -> None:
    """It stands, and these stretches are fetched for it."""
    second = ask.second
    await connection.execute(
        f"INSERT INTO remote.ask ({_ASK}) VALUES ({', '.join(f'${n}' for n in range(1, 22))})",
        ask.id, ask.camera, ask.owner, ask.party, ask.person, ask.profile, ask.purpose, ask.case, ask.reason,
        ask.since, ask.until, ask.emergency, ask.state.value, ask.code, ask.exchange,
        second.person if second else None, second.profile if second else None, ask.at_work_station,
        msgspec.to_builtins(ask.receipt), ask.asked_at, ask.moved_at,
    )  # fmt: skip
    await connection.executemany(
        "INSERT INTO remote.part (ask, stretch) VALUES ($1, $2)", [(ask.id, each) for each in fetches]
    )


async def insert_fetch(connection: Connection, fetch: Fetch) -> None:
    """It waits."""
    await connection.execute(
        f"INSERT INTO remote.fetch ({_FETCH}) VALUES ({', '.join(f'${n}' for n in range(1, 14))})",
        *(getattr(value, "value", value) for value in msgspec.structs.astuple(fetch)),
    )


async def begin_next(connection: Connection, owner: PartyId) -> None:
    """As many stretches of this owner have a job as may be fetched at once; of each camera one."""
    await lock_owner(connection, owner)
    while True:
        found = await connection.fetchval(
            """
            WITH going AS (
                SELECT stream FROM remote.fetch WHERE owner = $1 AND state IN ('queued', 'fetching')
            )
            UPDATE remote.fetch SET state = 'queued'
            WHERE id = (SELECT id FROM remote.fetch WHERE owner = $1 AND state = 'waiting'
                          AND stream NOT IN (SELECT stream FROM going) AND (SELECT count(*) FROM going) < $2
                        ORDER BY asked_at, id LIMIT 1)
            RETURNING id
            """,
            owner, PER_OWNER,
        )  # fmt: skip
        if found is None:
            return
        await enqueue(connection, JOB, str(found), key=str(found))


async def find_own(connection: Connection, ask: UUID, party: PartyId, person: PersonId) -> Ask | None:
    """The ask of that id, if this person asked it in this party."""
    row = await connection.fetchrow(
        f"SELECT {_ASK} FROM remote.ask WHERE id = $1 AND party = $2 AND person = $3", ask, party, person
    )
    return _ask(row) if row else None


async def list_own(
    connection: Connection, party: PartyId, person: PersonId, *, limit: int = 100
) -> list[Ask]:
    """What this person asked in this party, newest first."""
    rows = await connection.fetch(
        f"SELECT {_ASK} FROM remote.ask WHERE party = $1 AND person = $2 ORDER BY asked_at DESC LIMIT $3",
        party, person, limit,
    )  # fmt: skip
    return [_ask(row) for row in rows]


async def list_about(connection: Connection, owner: PartyId, *, limit: int = 100) -> list[Ask]:
    """What was asked of this party's cameras, newest first."""
    rows = await connection.fetch(
        f"SELECT {_ASK} FROM remote.ask WHERE owner = $1 ORDER BY asked_at DESC LIMIT $2", owner, limit
    )
    return [_ask(row) for row in rows]


async def find_progress(connection: Connection, asks: Sequence[AskId]) -> dict[AskId, Progress]:
    """How far each is."""
    rows = await connection.fetch(
        """
        SELECT a.ask, count(f.id) AS parts, count(f.id) FILTER (WHERE f.state = ANY($2::text[])) AS open,
               count(f.id) FILTER (WHERE f.state = 'fetching') AS fetching,
               count(f.id) FILTER (WHERE f.state = 'failed') AS failed,
               coalesce(max(f.code) FILTER (WHERE f.state = 'failed'),
                        max(f.code) FILTER (WHERE f.state = 'done')) AS code,
               coalesce(sum(CASE WHEN f.state = ANY($2::text[]) THEN f.done_us
                                 ELSE extract(epoch FROM f.until - f.since) * 1000000 END), 0)::bigint AS done_us,
               coalesce(sum(extract(epoch FROM f.until - f.since) * 1000000), 0)::bigint AS total_us
        FROM unnest($1::uuid[]) AS a (ask)
        LEFT JOIN remote.part p ON p.ask = a.ask LEFT JOIN remote.fetch f ON f.id = p.stretch GROUP BY a.ask
        """,
        list(asks), _OPEN,
    )  # fmt: skip
    return {row["ask"]: Progress(**{k: v for k, v in row.items() if k != "ask"}) for row in rows}


async def stop_ask(connection: Connection, ask: AskId, code: str, at: datetime) -> bool:
    """Nothing is wanted for it any more, for that reason; whether anything was. What waits for it alone is stopped."""
    stopped = await connection.fetchval(
        "UPDATE remote.ask SET state = 'stopped', code = $2, moved_at = $3 WHERE id = $1 AND state = 'open'"
        " RETURNING true",
        ask, code, at,
    )  # fmt: skip
    await connection.execute(
        """
        UPDATE remote.fetch AS f SET state = 'stopped', code = $2, moved_at = $3
        WHERE f.state = 'waiting' AND f.id IN (SELECT stretch FROM remote.part WHERE ask = $1)
          AND NOT EXISTS (SELECT FROM remote.part p JOIN remote.ask a ON a.id = p.ask
                          WHERE p.stretch = f.id AND a.state = 'open')
        """,
        ask, code, at,
    )  # fmt: skip
    # Of what goes on for others nothing is fetched that only this one asked for.
    await connection.execute(
        """
        UPDATE remote.fetch AS f SET since = greatest(f.since, w.since), until = least(f.until, w.until)
        FROM (SELECT p.stretch, min(a.since) AS since, max(a.until) AS until
              FROM remote.part p JOIN remote.ask a ON a.id = p.ask AND a.state = 'open'
              WHERE p.stretch IN (SELECT stretch FROM remote.part WHERE ask = $1) GROUP BY p.stretch) AS w
        WHERE f.id = w.stretch AND f.state = ANY($2::text[]) AND (f.since < w.since OR f.until > w.until)
        """,
        ask, _OPEN,
    )  # fmt: skip
    return bool(stopped)


# Fetching


async def begin(connection: Connection, fetch: UUID, at: datetime) -> Fetch | None:
    """Another attempt at fetching it is begun; None where nobody wants it any more."""
    row = await connection.fetchrow(
        f"""
        UPDATE remote.fetch SET state = 'fetching', attempt = attempt + 1, moved_at = $2
        WHERE id = $1 AND state IN ('queued', 'fetching') RETURNING {_FETCH}
        """,
        fetch, at,
    )  # fmt: skip
    return _fetch(row) if row else None


async def list_asks_of(connection: Connection, fetch: FetchId) -> list[Ask]:
    """Who still wants it."""
    rows = await connection.fetch(
        f"SELECT {_ASK} FROM remote.ask WHERE state = 'open' AND id IN (SELECT ask FROM remote.part WHERE stretch = $1)"
        " ORDER BY asked_at",
        fetch,
    )
    return [_ask(row) for row in rows]


async def tell_progress(connection: Connection, fetch: Fetch, done_us: int, size: int) -> bool:
    """So much of it has been told by the owner's system, and so many bytes more came of it. False where less of it
    is wanted now.
    """
    row = await connection.fetchrow(
        "UPDATE remote.fetch SET done_us = $3, bytes = bytes + $4"
        " WHERE id = $1 AND attempt = $2 AND state = 'fetching' RETURNING since, until",
        fetch.id, fetch.attempt, done_us, size,
    )  # fmt: skip
    return row is None or (row["since"], row["until"]) == (fetch.since, fetch.until)


async def finish(
    connection: Connection, fetch: FetchId, owner: PartyId, state: FetchState, code: str | None, at: datetime
) -> bool:
    """It is over, so are the asks of which it was the last stretch, and the next one of its owner begins. False where
    somebody asked for it meanwhile, so that it is not to be stopped.
    """
    await lock_owner(connection, owner)
    if state is FetchState.STOPPED and await list_asks_of(connection, fetch):
        return False
    await connection.execute(
        "UPDATE remote.fetch SET state = $2, code = $3, moved_at = $4 WHERE id = $1 AND state = ANY($5::text[])",
        fetch, state.value, code, at, _OPEN,
    )  # fmt: skip
    await connection.execute(
        """
        UPDATE remote.ask AS a SET state = 'done', moved_at = $2
        WHERE a.state = 'open' AND a.id IN (SELECT ask FROM remote.part WHERE stretch = $1)
          AND NOT EXISTS (SELECT FROM remote.part p JOIN remote.fetch f ON f.id = p.stretch
                          WHERE p.ask = a.id AND f.state = ANY($3::text[]))
        """,
        fetch, at, _OPEN,
    )  # fmt: skip
    await begin_next(connection, owner)
    return True


async def find_fetch(connection: Connection, fetch: UUID) -> Fetch | None:
    """The stretch of that id."""
    row = await connection.fetchrow(f"SELECT {_FETCH} FROM remote.fetch WHERE id = $1", fetch)
    return _fetch(row) if row else None


async def forget(connection: Connection, before: datetime) -> None:
    """Asks that were over before then are no rows any more, nor are stretches that nobody's ask names."""
    await connection.execute("DELETE FROM remote.ask WHERE state <> 'open' AND moved_at < $1", before)
    await connection.execute(
        "DELETE FROM remote.fetch f WHERE f.moved_at < $1 AND f.state <> ALL($2::text[])"
        " AND NOT EXISTS (SELECT FROM remote.part p WHERE p.stretch = f.id)",
        before, _OPEN,
    )  # fmt: skip


def _fetch(row: Any) -> Fetch:
    return Fetch(**{**dict(row), "state": FetchState(row["state"])})


def _ask(row: Any) -> Ask:
    told = dict(row)
    person, profile = told.pop("second_person"), told.pop("second_profile")
    return Ask(
        **{
            **told,
            "state": AskState(told["state"]),
            "second": Second(person=person, profile=profile) if person else None,
            "receipt": msgspec.convert(told["receipt"], Receipt),
        }
    )
