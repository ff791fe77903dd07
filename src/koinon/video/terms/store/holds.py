"""Holds: placed, ended early, listed; and what owners keep shorter."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from koinon.base.database import Connection
from koinon.trust.parties import PartyId, PersonId
from koinon.video.cameras.model import CameraId
from koinon.video.terms.model import Hold, HoldId

_COLUMNS: Final = (
    'id, decision, camera, since, until, owner, basis, rule, article, reason, "case", keeps_days, placed_by, '
    "placed_at, ends_at, renews, ended_at"
)


class Held(NamedTuple):
    """A hold with its camera's code and owner."""

    hold: Hold
    code: str
    camera_owner: PartyId


class Target(NamedTuple):
    """A camera that somebody wants to hold images of."""

    id: CameraId
    owner: PartyId
    code: str
    shared: bool


def _hold(row: Any) -> Hold:
    return Hold(**{name: row[name] for name in Hold.__struct_fields__})


async def list_targets(connection: Connection, cameras: Sequence[CameraId]) -> list[Target]:
    """Those of the cameras that are in the register."""
    rows = await connection.fetch(
        "SELECT id, owner, code, shared FROM cameras.camera WHERE id = ANY($1::uuid[])", list(cameras)
    )
    return [Target(*row) for row in rows]


async def insert_holds(connection: Connection, holds: Sequence[Hold]) -> None:
    """The holds stand."""
    await connection.executemany(
        f"""
        INSERT INTO terms.hold ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        """,  # noqa: E501 - of constants of this module
        [[getattr(each, name) for name in Hold.__struct_fields__] for each in holds],
    )


async def find_hold(connection: Connection, hold: HoldId, *, lock: bool = False) -> Held | None:
    """The hold, or none."""
    row = await connection.fetchrow(
        f"""
        SELECT {_PREFIXED}, c.code, c.owner AS camera_owner FROM terms.hold h JOIN cameras.camera c ON c.id = h.camera
        WHERE h.id = $1 {"FOR UPDATE OF h" if lock else ""}
        """,
        hold,
    )
    return None if row is None else Held(_hold(row), row["code"], row["camera_owner"])


_PREFIXED: Final = ", ".join("h." + name for name in _COLUMNS.split(", "))


async def end_hold(connection: Connection, hold: HoldId, by: PersonId, at: datetime) -> None:
    """The hold keeps nothing from now on."""
    await connection.execute("UPDATE terms.hold SET ended_at = $2, ended_by = $3 WHERE id = $1", hold, at, by)


async def list_holds(
    connection: Connection, party: PartyId | None, at: datetime, *, over: bool = False, limit: int = 200
) -> list[Held]:
    """Holds that stand, or those that are over, newest first: of a party or on its cameras; of all for None."""
    rows = await connection.fetch(
        f"""
        SELECT {_PREFIXED}, c.code, c.owner AS camera_owner FROM terms.hold h JOIN cameras.camera c ON c.id = h.camera
        WHERE ($1::uuid IS NULL OR h.owner = $1 OR c.owner = $1)
          AND (h.ended_at IS NULL AND h.ends_at > $2) <> $3
        ORDER BY h.placed_at DESC, h.id LIMIT $4
        """,
        party, at, over, limit,
    )  # fmt: skip
    return [Held(_hold(row), row["code"], row["camera_owner"]) for row in rows]


async def count_kept(
    connection: Connection, camera: CameraId, since: datetime, until: datetime
) -> tuple[int, int]:
    """Units and bytes that there are of the camera in [since, until)."""
    row = await connection.fetchrow(
        """
        SELECT count(*), coalesce(sum(u.bytes), 0)::bigint FROM recordings.unit u
        JOIN cameras.stream s ON s.id = u.stream
        WHERE s.camera = $1 AND u.start_at > $2::timestamptz - interval '2 hours' AND u.start_at < $3
          AND u.start_at + u.wall_us * interval '1 microsecond' > $2
        """,
        camera, since, until,
    )  # fmt: skip
    return (row[0], row[1]) if row else (0, 0)


async def list_standing(connection: Connection, camera: CameraId, at: datetime) -> list[Hold]:
    """The holds that stand on a camera at `at`: what the timeline shows as held."""
    rows = await connection.fetch(
        f"""
        SELECT {_PREFIXED} FROM terms.hold h
        WHERE h.camera = $1 AND h.ended_at IS NULL AND h.placed_at <= $2 AND h.ends_at > $2 ORDER BY h.since
        """,
        camera, at,
    )  # fmt: skip
    return [_hold(row) for row in rows]


async def set_own_term(
    connection: Connection, camera: CameraId, days: int | None, by: UUID | None, at: datetime
) -> None:
    """From now on the owner keeps so many days, or as long as the law allows."""
    await connection.execute(
        """
        INSERT INTO terms.own_term (camera, since, days, by) VALUES ($1, $2, $3, $4)
        """,
        camera, at, days, by,
    )  # fmt: skip
