"""The SQL of monitoring and alerts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from koinon.base.database import Connection
from koinon.integrator.operations.model import Alert, AlertRule, Count, Measure
from koinon.integrator.operations.policy import percentile

Row = Any


async def add_counts(connection: Connection, counts: Sequence[Count]) -> None:
    """Each count has been added to what stood there; give them sorted."""
    await connection.execute(
        """
        INSERT INTO operations.hour_count AS h (at, flow, party, kind, name, count)
        SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[])
        ON CONFLICT (flow, at, party, kind, name) DO UPDATE SET count = h.count + excluded.count
        """,
        *(list(column) for column in zip(*counts, strict=True)),
    )


async def add_minutes(connection: Connection, minutes: Sequence[tuple[datetime, str, int, int]]) -> None:
    """Questions and failures (at, flow, asked, failed) have been added to their minutes; give them sorted."""
    await connection.execute(
        """
        INSERT INTO operations.minute AS m (at, flow, asked, failed)
        SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bigint[])
        ON CONFLICT (flow, at) DO UPDATE SET asked = m.asked + excluded.asked, failed = m.failed + excluded.failed
        """,
        *(list(column) for column in zip(*minutes, strict=True)),
    )


async def extend_alive(
    connection: Connection, process: UUID, since: datetime, until: datetime, kind: str
) -> None:
    """The process is known to have lived, and reached this database, until then."""
    await connection.execute(
        """
        INSERT INTO operations.alive AS a (process, since, until, kind) VALUES ($1, $2, $3, $4)
        ON CONFLICT (process) DO UPDATE SET until = greatest(a.until, excluded.until)
        """,
        process,
        since,
        until,
        kind,
    )


async def list_counts(connection: Connection, flow: str, since: datetime, until: datetime) -> list[Count]:
    """The flow's counts of the hours that begin in the period."""
    rows = await connection.fetch(
        """
        SELECT at, flow, party, kind, name, count FROM operations.hour_count
        WHERE flow = $1 AND $2 <= at AND at < $3 ORDER BY at
        """,
        flow,
        since,
        until,
    )
    return [Count(*row) for row in rows]


async def measure(connection: Connection, flow: str, since: datetime, until: datetime) -> Measure:
    """The numbers of a window of whole minutes; its latency is that of the hours it touches."""
    row = await connection.fetchrow(
        """
        SELECT coalesce(sum(asked) FILTER (WHERE at >= $2), 0)::bigint AS asked,
               coalesce(sum(failed) FILTER (WHERE at >= $2), 0)::bigint AS failed,
               max(at) AS last
        FROM operations.minute WHERE flow = $1 AND at < $3
        """,
        flow,
        since,
        until,
    )
    rows = await connection.fetch(
        """
        SELECT name, sum(count)::bigint FROM operations.hour_count
        WHERE flow = $1 AND kind = 'latency' AND at > $2::timestamptz - interval '1 hour' AND at < $3
        GROUP BY name
        """,
        flow,
        since,
        until,
    )
    assert row is not None
    return Measure(row[0], row[1], row[2], percentile({int(name): count for name, count in rows}, 0.95))


async def insert_rule(connection: Connection, rule: AlertRule, by: UUID) -> None:
    """The rule watches."""
    await connection.execute(
        "INSERT INTO operations.alert_rule (id, flow, kind, threshold, window_minutes, made_by, made_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        rule.id,
        rule.flow,
        rule.kind,
        rule.threshold,
        rule.window_minutes,
        by,
        rule.made_at,
    )


async def list_rules(connection: Connection) -> list[AlertRule]:
    """The rules that watch, by flow."""
    rows = await connection.fetch(
        "SELECT id, flow, kind, threshold, window_minutes, made_at FROM operations.alert_rule"
        " WHERE ended_at IS NULL ORDER BY flow, made_at LIMIT 1000"
    )
    return [_rule(row, row["id"]) for row in rows]


async def end_rule(connection: Connection, rule: UUID, at: datetime) -> bool:
    """The rule watches no more, and its alert is over; false when there was none."""
    done: str = await connection.execute(
        "UPDATE operations.alert_rule SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", rule, at
    )
    await end_alert(connection, rule, at)
    return done.endswith(" 1")


async def raise_alert(connection: Connection, alert: UUID, rule: UUID, measured: float, at: datetime) -> bool:
    """The rule's alert stands, with what was measured now; whether it is new."""
    fresh: bool = await connection.fetchval(
        """
        INSERT INTO operations.alert AS a (id, rule, measured, raised_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (rule) WHERE ended_at IS NULL DO UPDATE SET measured = excluded.measured
        RETURNING a.id = $1
        """,
        alert,
        rule,
        measured,
        at,
    )
    return fresh


async def end_alert(connection: Connection, rule: UUID, at: datetime) -> bool:
    """The rule's alert is over; whether there was one."""
    done: str = await connection.execute(
        "UPDATE operations.alert SET ended_at = $2 WHERE rule = $1 AND ended_at IS NULL", rule, at
    )
    return not done.endswith(" 0")


async def see_alert(connection: Connection, alert: UUID, by: UUID, at: datetime) -> bool:
    """Somebody has seen it; false when it is over, or was seen."""
    done: str = await connection.execute(
        "UPDATE operations.alert SET seen_at = $3, seen_by = $2"
        " WHERE id = $1 AND seen_at IS NULL AND ended_at IS NULL",
        alert,
        by,
        at,
    )
    return done.endswith(" 1")


async def list_alerts(connection: Connection, flow: str | None, limit: int) -> list[Alert]:
    """Open alerts first, then the newest; of one flow, or of all."""
    rows = await connection.fetch(
        """
        SELECT a.*, r.flow, r.kind, r.threshold, r.window_minutes, r.made_at
        FROM operations.alert a JOIN operations.alert_rule r ON r.id = a.rule
        WHERE $1::text IS NULL OR r.flow = $1
        ORDER BY a.ended_at IS NOT NULL, a.raised_at DESC LIMIT $2
        """,
        flow,
        limit,
    )
    return [
        Alert(
            id=row["id"],
            rule=_rule(row, row["rule"]),
            measured=row["measured"],
            raised_at=row["raised_at"],
            seen_at=row["seen_at"],
            ended_at=row["ended_at"],
        )
        for row in rows
    ]


async def forget(connection: Connection, before: datetime) -> int:
    """Counts, minutes, lives and ended alerts from before are gone; returns how many counts."""
    done: str = await connection.execute("DELETE FROM operations.hour_count WHERE at < $1", before)
    await connection.execute("DELETE FROM operations.minute WHERE at < $1", before)
    await connection.execute("DELETE FROM operations.alive WHERE until < $1", before)
    await connection.execute("DELETE FROM operations.alert WHERE ended_at < $1", before)
    return int(done.rpartition(" ")[2])


def _rule(row: Row, id_: UUID) -> AlertRule:
    return AlertRule(
        id=id_,
        flow=row["flow"],
        kind=row["kind"],
        threshold=row["threshold"],
        window_minutes=row["window_minutes"],
        made_at=row["made_at"],
    )
