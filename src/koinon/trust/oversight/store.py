"""The SQL of oversight: complaints and offered keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from koinon.base.database import Connection
from koinon.trust.oversight.model import Complaint, ComplaintId, ComplaintState, OfferedSigner
from koinon.trust.parties import PartyId

_SELECT = """
SELECT c.id, c.against, c.filed, c.state, c.received_at, c.moved_at,
       coalesce(array_agg(e.entry ORDER BY e.entry) FILTER (WHERE e.entry IS NOT NULL), '{}') AS exchanges
FROM oversight.complaint c LEFT JOIN oversight.complaint_exchange e ON e.complaint = c.id
"""


def _complaint(row: Any) -> Complaint:
    return Complaint(
        id=ComplaintId(row["id"]),
        against=PartyId(row["against"]),
        filed=row["filed"],
        state=ComplaintState(row["state"]),
        received_at=row["received_at"],
        moved_at=row["moved_at"],
        exchanges=tuple(row["exchanges"]),
    )


async def insert_complaint(connection: Connection, complaint: Complaint) -> None:
    """The complaint and the exchanges that it is about have been stored."""
    await connection.execute(
        "INSERT INTO oversight.complaint (id, against, filed, state, received_at, moved_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        complaint.id,
        complaint.against,
        complaint.filed,
        complaint.state.value,
        complaint.received_at,
        complaint.moved_at,
    )
    await connection.executemany(
        "INSERT INTO oversight.complaint_exchange (complaint, entry) VALUES ($1, $2)",
        [(complaint.id, entry) for entry in complaint.exchanges],
    )


async def find_complaint(connection: Connection, id: ComplaintId) -> Complaint | None:
    """The complaint with that id."""
    row = await connection.fetchrow(f"{_SELECT} WHERE c.id = $1 GROUP BY c.id", id)
    return _complaint(row) if row else None


async def list_complaints(
    connection: Connection, *, before: datetime | None = None, limit: int = 50
) -> Sequence[Complaint]:
    """Complaints received before `before`, newest first."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE $1::timestamptz IS NULL OR c.received_at < $1 "
        "GROUP BY c.id ORDER BY c.received_at DESC, c.id DESC LIMIT $2",
        before,
        limit,
    )
    return [_complaint(row) for row in rows]


async def move_complaint(
    connection: Connection, complaint: Complaint, to: ComplaintState, at: datetime
) -> bool:
    """Whether it was moved: false when somebody else moved it first."""
    moved = await connection.fetchval(
        "UPDATE oversight.complaint SET state = $3, moved_at = $4 "
        "WHERE id = $1 AND state = $2 RETURNING true",
        complaint.id,
        complaint.state.value,
        to.value,
        at,
    )
    return bool(moved)


async def save_offered_signer(
    connection: Connection, kid: str, document: bytes, by: UUID | None, at: datetime
) -> None:
    """The key stands among those offered, in place of an earlier offer of the same key."""
    await connection.execute("DELETE FROM oversight.offered_signer WHERE kid = $1", kid)
    await connection.execute(
        "INSERT INTO oversight.offered_signer (kid, document, offered_by, offered_at) "
        "VALUES ($1, $2, $3, $4)",
        kid,
        document,
        by,
        at,
    )


async def list_offered_signers(connection: Connection) -> Sequence[OfferedSigner]:
    """All keys offered, oldest first."""
    rows = await connection.fetch(
        "SELECT document, offered_at FROM oversight.offered_signer ORDER BY offered_at LIMIT 200"
    )
    return [OfferedSigner(row["document"], row["offered_at"]) for row in rows]


async def delete_offered_signer(connection: Connection, kid: str) -> None:
    """The key is offered no more."""
    await connection.execute("DELETE FROM oversight.offered_signer WHERE kid = $1", kid)
