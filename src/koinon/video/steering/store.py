"""The only SQL on the schema `steering`. Times are the database's: processes of several machines compare them."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from koinon.base.database import Connection
from koinon.trust.parties import PartyId, PersonId
from koinon.video.cameras import CameraId
from koinon.video.steering.model import Claim
from koinon.video.steering.policy import ALIVE

_CLAIM = ", ".join(Claim.__struct_fields__)


async def lock_camera(connection: Connection, camera: CameraId) -> datetime:
    """Until the transaction ends nobody else changes whose turn it is; what time it is."""
    await connection.execute(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('steer/' || $1::text, 0))",
        str(camera),
    )
    at: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return at


async def insert_claim(
    connection: Connection,
    use: UUID,
    camera: CameraId,
    party: PartyId,
    person: PersonId,
    rank: int,
    at: datetime,
) -> None:
    """He waits for his turn."""
    await connection.execute(
        "INSERT INTO steering.claim (use, camera, party, person, rank, asked_at, alive_until)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        use,
        camera,
        party,
        person,
        rank,
        at,
        at + ALIVE,
    )


async def list_claims(connection: Connection, camera: CameraId) -> list[Claim]:
    """All claims on the camera."""
    rows = await connection.fetch(f"SELECT {_CLAIM} FROM steering.claim WHERE camera = $1", camera)
    return [Claim(**row) for row in rows]


async def keep_alive(connection: Connection, use: UUID, at: datetime, *, moved: bool) -> bool:
    """The claim goes on; `moved`: the camera was moved since it was told last. False: it is gone."""
    done: str = await connection.execute(
        "UPDATE steering.claim SET alive_until = $2, moved_at = CASE WHEN $3 THEN $4 ELSE moved_at END"
        " WHERE use = $1",
        use,
        at + ALIVE,
        moved,
        at,
    )
    return done.endswith(" 1")


async def begin_holding(connection: Connection, use: UUID, at: datetime) -> None:
    """He has the camera."""
    await connection.execute(
        "UPDATE steering.claim SET held_since = $2, moved_at = $2 WHERE use = $1", use, at
    )


async def oust(connection: Connection, use: UUID, by: UUID) -> None:
    """The holder is to stop the camera and let go, for that one."""
    await connection.execute("UPDATE steering.claim SET ousted_by = $2 WHERE use = $1", use, by)


async def delete_claims(connection: Connection, uses: Collection[UUID]) -> None:
    """They are over."""
    await connection.execute("DELETE FROM steering.claim WHERE use = ANY ($1)", list(uses))
