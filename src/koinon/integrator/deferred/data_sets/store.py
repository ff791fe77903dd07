"""The SQL of orders and their lines."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.text import Text
from koinon.integrator.deferred.data_sets.model import Line, Order
from koinon.trust.parties import PartyId, PersonId

_ORDER = ", ".join(f'"{name}"' for name in Order.__struct_fields__)
_LINE = ", ".join(f'"{name}"' for name in Line.__struct_fields__)


def _order(row: Any) -> Order:
    values = {name: row[name] for name in Order.__struct_fields__}
    return Order(**{**values, "title": msgspec.convert(row["title"], Text), "fields": tuple(row["fields"])})


async def insert_order(connection: Connection, order: Order) -> bool:
    """The order is proposed; false when there is one for the same results."""
    values = msgspec.structs.asdict(order) | {
        "title": msgspec.to_builtins(order.title),
        "fields": list(order.fields),
    }
    done = await connection.fetchval(
        f"INSERT INTO deferred.data_set_order ({_ORDER}) VALUES ({', '.join(f'${n + 1}' for n in range(len(values)))}) "
        "ON CONFLICT DO NOTHING RETURNING true",
        *values.values(),
    )
    return bool(done)


async def find_order(connection: Connection, order: UUID, *, hold: bool = False) -> Order | None:
    """The order; with `hold` nobody else changes it until this transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_ORDER} FROM deferred.data_set_order WHERE id = $1{' FOR UPDATE' if hold else ''}", order
    )
    return None if row is None else _order(row)


async def list_orders(connection: Connection, party: PartyId | None, limit: int = 100) -> list[Order]:
    """A party's orders, or all, newest first."""
    rows = await connection.fetch(
        f"SELECT {_ORDER} FROM deferred.data_set_order WHERE $1::uuid IS NULL OR party = $1 ORDER BY id DESC LIMIT $2",
        party,
        limit,
    )
    return [_order(row) for row in rows]


async def agree(connection: Connection, order: UUID, person: PersonId, at: datetime) -> None:
    """The party has agreed."""
    await connection.execute(
        "UPDATE deferred.data_set_order SET agreed_by = $2, agreed_at = $3 WHERE id = $1", order, person, at
    )


async def end(connection: Connection, order: UUID, at: datetime) -> None:
    """Nothing more comes of it."""
    await connection.execute("UPDATE deferred.data_set_order SET ended_at = $2 WHERE id = $1", order, at)


async def note_batch(connection: Connection, batch: UUID, at: datetime) -> None:
    """The batch that ends in this transaction has a line, if an order that is in force covers it."""
    await connection.execute(
        """
        INSERT INTO deferred.data_set_line (batch, "order", at)
        SELECT b.id, o.id, $2 FROM deferred.batch b JOIN deferred.data_set_order o USING (party, flow, purpose)
        WHERE b.id = $1 AND o.agreed_at IS NOT NULL AND o.ended_at IS NULL
        ON CONFLICT DO NOTHING
        """,
        batch,
        at,
    )


async def take_line(connection: Connection, at: datetime) -> Line | None:
    """The oldest line whose turn it is; nobody else takes it until this transaction ends.

    One that was tried waits: twice as long after each try, ten minutes at most.
    """
    row = await connection.fetchrow(
        f"""
        SELECT {_LINE} FROM deferred.data_set_line
        WHERE state = 'waiting'
            AND (tries = 0 OR at + least(interval '10 minutes', interval '1 second' * power(2, tries)) <= $1)
        ORDER BY tries, at LIMIT 1 FOR UPDATE SKIP LOCKED
        """,
        at,
    )
    return None if row is None else Line(**dict(row))


async def try_line(connection: Connection, batch: UUID, at: datetime) -> None:
    """It was tried once more and waits."""
    await connection.execute(
        "UPDATE deferred.data_set_line SET tries = tries + 1, at = $2 WHERE batch = $1 AND state = 'waiting'",
        batch,
        at,
    )


async def end_line(
    connection: Connection, batch: UUID, at: datetime, *, name: str | None = None, code: str | None = None
) -> None:
    """The data set is registered, or it is known why not."""
    await connection.execute(
        "UPDATE deferred.data_set_line SET state = $2, name = $3, code = $4, at = $5 "
        "WHERE batch = $1 AND state = 'waiting'",
        batch,
        "registered" if name is not None else "refused",
        name,
        code,
        at,
    )


async def list_lines(connection: Connection, orders: Sequence[UUID], limit: int = 100) -> list[Line]:
    """What became of batches, newest first."""
    rows = await connection.fetch(
        f'SELECT {_LINE} FROM deferred.data_set_line WHERE "order" = ANY($1) ORDER BY at DESC LIMIT $2',
        list(orders),
        limit,
    )
    return [Line(**dict(row)) for row in rows]
