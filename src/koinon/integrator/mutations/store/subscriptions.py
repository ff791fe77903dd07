"""The SQL of subscriptions: who is told, how far each has come, and the numbers that wait."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import NotFound
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.mutations.model import Cursor, Push, Stored, Subscription, SubscriptionView
from koinon.integrator.mutations.policy import state_of
from koinon.trust.parties import PartyId, SystemId

_FIELDS = (
    'id, party, system, key, flow, purpose, "case", authorisation, resources, began_at, ended_at, ended_code'
)


async def insert_subscription(connection: Connection, one: Subscription) -> bool:
    """The subscription stands, at the beginning of an empty sequence; false when there is one like it."""
    made = await connection.fetchval(
        f"""
        INSERT INTO mutations.subscription ({_FIELDS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (party, system, flow, purpose) WHERE ended_at IS NULL DO NOTHING RETURNING true
        """,
        *msgspec.structs.astuple(one),
    )
    if made:
        await connection.execute("INSERT INTO mutations.tail (subscription) VALUES ($1)", one.id)
        await connection.execute("INSERT INTO mutations.cursor (subscription) VALUES ($1)", one.id)
    return bool(made)


async def find_like(
    connection: Connection, party: PartyId, system: SystemId | None, flow: str, purpose: str
) -> Subscription | None:
    """The subscription of that system for that flow and purpose, while it has not ended."""
    row = await connection.fetchrow(
        f"SELECT {_FIELDS} FROM mutations.subscription WHERE party = $1 AND system = $2 AND flow = $3 AND purpose = $4 "
        "AND ended_at IS NULL",
        party,
        system,
        flow,
        purpose,
    )
    return None if row is None else Subscription(**dict(row))


async def get_subscription(connection: Connection, id_: UUID, party: PartyId) -> Subscription:
    """The party's subscription.

    Raises:
        NotFound: `subscription_unknown`, also for another party's.
    """
    row = await connection.fetchrow(
        f"SELECT {_FIELDS} FROM mutations.subscription WHERE id = $1 AND party = $2", id_, party
    )
    if row is None:
        raise NotFound("subscription_unknown", subscription=str(id_))
    return Subscription(**dict(row))


async def change_subscription(
    connection: Connection,
    id_: UUID,
    key: str,
    case: str,
    authorisation: str | None,
    resources: Sequence[str],
) -> None:
    """From now on it is told of these, under this case and by the word of this key."""
    await connection.execute(
        'UPDATE mutations.subscription SET key = $2, "case" = $3, authorisation = $4, resources = $5 WHERE id = $1',
        id_,
        key,
        case,
        authorisation,
        list(resources),
    )


async def has_dossier(connection: Connection, party: PartyId, purpose: str, at: datetime) -> bool:
    """Whether the party has any file for this purpose now."""
    return bool(
        await connection.fetchval(
            """
            SELECT true FROM integrator.dossier WHERE party = $1 AND purpose = $2 AND ended_at IS NULL
               AND valid_from <= $3 AND $3 < valid_until
            -- In the order of an index that begins with party and purpose: without one the planner reads the table from
            -- its beginning and hopes to find one soon, wherever those of others lie.
            ORDER BY subject LIMIT 1
            """,
            party,
            purpose,
            at,
        )
    )


async def end_subscription(connection: Connection, id_: UUID, code: str, at: datetime) -> bool:
    """It is told nothing any more; false when it had ended before."""
    done: str = await connection.execute(
        "UPDATE mutations.subscription SET ended_at = $3, ended_code = $2 WHERE id = $1 AND ended_at IS NULL",
        id_,
        code,
        at,
    )
    await connection.execute("DELETE FROM mutations.push WHERE subscription = $1", id_)
    return done.endswith(" 1")


async def end_without_dossiers(connection: Connection, at: datetime) -> list[Subscription]:
    """Subscriptions whose party has no file for the purpose any more have ended; returns them."""
    rows = await connection.fetch(
        f"""
        UPDATE mutations.subscription s SET ended_at = $1, ended_code = 'no_dossier_left'
        WHERE ended_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM integrator.dossier d WHERE d.party = s.party AND d.purpose = s.purpose
              AND d.ended_at IS NULL AND d.valid_from <= $1 AND $1 < d.valid_until)
        RETURNING {_FIELDS}
        """,
        at,
    )
    await connection.execute(
        "DELETE FROM mutations.push WHERE subscription = ANY ($1)", [row["id"] for row in rows]
    )
    return [Subscription(**dict(row)) for row in rows]


async def get_cursor(connection: Connection, id_: UUID, *, lock: bool = False) -> Cursor:
    """Where the subscription stands; with `lock` its consumer's side moves for nobody else."""
    row = await connection.fetchrow(
        f"""
        SELECT t.last, c.floor, c.delivered, c.acknowledged FROM mutations.cursor c
        JOIN mutations.tail t ON t.subscription = c.subscription WHERE c.subscription = $1
        {"FOR UPDATE OF c" if lock else ""}
        """,
        id_,
    )
    assert row is not None
    return Cursor(**dict(row))


async def set_cursor(connection: Connection, id_: UUID, before: Cursor, after: Cursor, at: datetime) -> None:
    """The consumer's side stands at `after`; the caller holds it locked."""
    await connection.execute(
        """
        UPDATE mutations.cursor SET floor = $2, delivered = $3, acknowledged = $4,
            delivered_at = CASE WHEN $5 THEN $7 ELSE delivered_at END,
            acknowledged_at = CASE WHEN $6 THEN $7 ELSE acknowledged_at END
        WHERE subscription = $1
        """,
        id_,
        after.floor,
        after.delivered,
        after.acknowledged,
        after.delivered > before.delivered,
        after.acknowledged > before.acknowledged,
        at,
    )


async def set_stopped(connection: Connection, id_: UUID, code: str | None) -> None:
    """Why nothing leaves at the moment, or that something does."""
    await connection.execute(
        "UPDATE mutations.cursor SET stopped_code = $2 WHERE subscription = $1 AND stopped_code IS DISTINCT FROM $2",
        id_,
        code,
    )


async def list_ends(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, int]:
    """The highest number of each of these."""
    rows = await connection.fetch(
        "SELECT subscription, last FROM mutations.tail WHERE subscription = ANY ($1)", list(ids)
    )
    return {row[0]: row[1] for row in rows}


async def list_items(
    connection: Connection, keys: DirectoryKeys, id_: UUID, after: int, limit: int, at: datetime
) -> list[Stored]:
    """The next numbers after `after`, in order; a sequence is without holes, so their numbers are known."""
    rows = await connection.fetch(
        """
        SELECT i.number, p.resource, p.kind, p.effective_on, p.sealed_replaced_by,
               CASE WHEN d.ended_at IS NULL AND d.valid_from <= $4 AND $4 < d.valid_until
                    THEN d.sealed_subject END AS sealed_subject, d.doubted_at IS NOT NULL AS doubted, i.dossier
        FROM mutations.item i
        JOIN mutations.publication p ON p.source = i.source AND p.sequence = i.sequence
        LEFT JOIN integrator.dossier d ON d.id = i.dossier
        WHERE i.subscription = $1 AND i.number > $2 AND i.number <= $2 + $3 ORDER BY i.number
        """,
        id_,
        after,
        limit,
        at,
    )
    return [
        Stored(
            number=row["number"],
            resource=row["resource"],
            kind=row["kind"],
            effective_on=row["effective_on"],
            subject=keys.open(row["sealed_subject"])
            if row["sealed_subject"] and not row["doubted"]
            else None,
            # Who was told that a number stands for itself again needs not the other: two persons, not one.
            replaced_by=keys.open(row["sealed_replaced_by"]) if row["kind"] == "replaced" else None,
            doubted=row["dossier"] if row["sealed_subject"] and row["doubted"] else None,
        )
        for row in rows
    ]


async def list_views(
    connection: Connection, party: PartyId, *, only: UUID | None = None, limit: int = 100
) -> list[tuple[Subscription, SubscriptionView]]:
    """The party's subscriptions as they stand: those that have not ended first, newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {", ".join(f"s.{each.strip()}" for each in _FIELDS.split(","))}, t.last, c.floor, c.delivered,
               c.acknowledged, c.delivered_at, c.acknowledged_at, c.stopped_code,
               p.address, p.run_after, p.failures, p.last_code
        FROM mutations.subscription s
        JOIN mutations.tail t ON t.subscription = s.id
        JOIN mutations.cursor c ON c.subscription = s.id
        LEFT JOIN mutations.push p ON p.subscription = s.id
        WHERE s.party = $1 AND ($2::uuid IS NULL OR s.id = $2)
        ORDER BY s.ended_at IS NOT NULL, s.id DESC LIMIT $3
        """,
        party,
        only,
        limit,
    )
    return [_view(row) for row in rows]


def _view(row: Any) -> tuple[Subscription, SubscriptionView]:
    values = dict(row)
    one = Subscription(**{name: values[name] for name in Subscription.__struct_fields__})
    cursor = Cursor(**{name: values[name] for name in Cursor.__struct_fields__})
    push = None
    if values["address"] is not None:
        push = Push(**{name: values[name] for name in Push.__struct_fields__})
    return one, SubscriptionView(
        id=one.id,
        flow=one.flow,
        purpose=one.purpose,
        case=one.case,
        resources=one.resources,
        state=state_of(cursor, ended=one.ended_at is not None, stopped_code=values["stopped_code"]),
        last=cursor.last,
        floor=cursor.floor,
        delivered=cursor.delivered,
        acknowledged=cursor.acknowledged,
        waiting=cursor.last - cursor.acknowledged,
        began_at=one.began_at,
        code=one.ended_code or values["stopped_code"],
        delivered_at=values["delivered_at"],
        acknowledged_at=values["acknowledged_at"],
        push=push,
    )


async def list_trimmable(connection: Connection, after: UUID | None, limit: int = 100) -> list[UUID]:
    """Subscriptions of which numbers are kept, in the order of their ids."""
    rows = await connection.fetch(
        """
        SELECT c.subscription FROM mutations.cursor c JOIN mutations.tail t ON t.subscription = c.subscription
        WHERE t.last > c.floor AND ($1::uuid IS NULL OR c.subscription > $1) ORDER BY c.subscription LIMIT $2
        """,
        after,
        limit,
    )
    return [row[0] for row in rows]


async def find_passed_before(connection: Connection, id_: UUID, before: datetime) -> int:
    """The highest number that was passed on before `before`; 0 for none. Numbers and times rise together."""
    return int(
        await connection.fetchval(
            "SELECT coalesce(max(number), 0) FROM mutations.item WHERE subscription = $1 AND passed_at < $2",
            id_,
            before,
        )
    )


async def delete_items(connection: Connection, id_: UUID, until: int) -> None:
    """Numbers up to `until` are gone."""
    await connection.execute(
        "DELETE FROM mutations.item WHERE subscription = $1 AND number <= $2", id_, until
    )


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription that this process pushes to now, under `fence`."""

    subscription: Subscription
    address: str
    fence: int
    failures: int


async def set_push(connection: Connection, id_: UUID, address: str | None, at: datetime) -> None:
    """It is pushed to `address` from now on, or to nowhere."""
    if address is None:
        await connection.execute("DELETE FROM mutations.push WHERE subscription = $1", id_)
        return
    await connection.execute(
        """
        INSERT INTO mutations.push (subscription, address, run_after) VALUES ($1, $2, $3)
        ON CONFLICT (subscription) DO UPDATE SET address = $2, run_after = $3, failures = 0, last_code = NULL,
            fence = push.fence + 1, taken_until = NULL
        """,
        id_,
        address,
        at,
    )


async def take_turns(connection: Connection, count: int, doubtful: int, silence: timedelta) -> list[Turn]:
    """At most `count` subscriptions with something to push are this process's, `doubtful` of them that failed last.

    Who keeps failing has at most its own share of the places, so that those who answer are never kept waiting for
    those who do not. Ages are counted on the database's clock.
    """
    rows = await connection.fetch(
        f"""
        WITH due AS (
            SELECT p.subscription, p.failures > 0 AS doubtful, p.run_after,
                   row_number() OVER (PARTITION BY p.failures > 0 ORDER BY p.run_after) AS place
            FROM mutations.push p
            JOIN mutations.tail t ON t.subscription = p.subscription
            JOIN mutations.cursor c ON c.subscription = p.subscription
            WHERE t.last > c.acknowledged AND p.run_after <= clock_timestamp()
              AND (p.taken_until IS NULL OR p.taken_until < clock_timestamp())
        ), chosen AS (
            SELECT p.subscription FROM mutations.push p JOIN due d ON d.subscription = p.subscription
            WHERE (NOT d.doubtful OR d.place <= $2)
              -- Once more on the row itself: another process may have taken it since it was found due.
              AND p.run_after <= clock_timestamp()
              AND (p.taken_until IS NULL OR p.taken_until < clock_timestamp())
            ORDER BY d.doubtful, d.run_after LIMIT $1 FOR UPDATE OF p SKIP LOCKED
        )
        UPDATE mutations.push p SET fence = fence + 1, taken_until = clock_timestamp() + $3::interval
        FROM chosen, mutations.subscription s WHERE p.subscription = chosen.subscription AND s.id = p.subscription
        RETURNING p.address, p.fence, p.failures, {", ".join(f"s.{each.strip()}" for each in _FIELDS.split(","))}
        """,
        count,
        doubtful,
        silence,
    )
    found = []
    for row in rows:
        values = dict(row)
        address, fence, failures = values.pop("address"), values.pop("fence"), values.pop("failures")
        found.append(
            Turn(subscription=Subscription(**values), address=address, fence=fence, failures=failures)
        )
    return found


async def give_back(
    connection: Connection, turn: Turn, *, wait: timedelta, failures: int, code: str | None
) -> None:
    """The turn is over; the next one comes after `wait`."""
    await connection.execute(
        """
        UPDATE mutations.push SET taken_until = NULL, run_after = clock_timestamp() + $3::interval, failures = $4,
            last_code = $5
        WHERE subscription = $1 AND fence = $2
        """,
        turn.subscription.id,
        turn.fence,
        wait,
        failures,
        code,
    )


async def holds_turn(connection: Connection, turn: Turn) -> bool:
    """Whether the turn is still this process's; held there until the caller's transaction ends."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM mutations.push WHERE subscription = $1 AND fence = $2 FOR SHARE",
            turn.subscription.id,
            turn.fence,
        )
    )
