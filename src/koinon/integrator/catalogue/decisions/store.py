"""The SQL of decisions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from koinon.base.database import Connection
from koinon.integrator.catalogue.decisions.model import Proposal

Row = Any


async def insert_proposal(
    connection: Connection, proposal: Proposal, by: UUID, at: datetime, entry: UUID
) -> bool:
    """The document is kept; false when that version exists."""
    done: str = await connection.execute(
        """
        INSERT INTO catalogue.proposal (id, kind, name, version, document, proposed_by, proposed_at, entry)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
        """,
        proposal.id, proposal.kind.value, proposal.name, proposal.version, proposal.canonical, by, at, entry,
    )  # fmt: skip
    return done.endswith(" 1")


async def newest_version(connection: Connection, kind: str, name: str) -> int:
    """The highest version of that name, 0 where there is none; nobody adds one until this transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 6))", f"{kind}/{name}")
    found: int = await connection.fetchval(
        "SELECT coalesce(max(version), 0) FROM catalogue.proposal WHERE kind = $1 AND name = $2", kind, name
    )
    return found


async def hold_proposal(connection: Connection, proposal: UUID) -> None:
    """No other statement about this proposal is recorded until this transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", str(proposal))


async def list_proposals(connection: Connection, only: UUID | None = None) -> Sequence[Row]:
    """All documents, or the one, newest first."""
    return await connection.fetch(
        """
        SELECT id, document, proposed_at, entry FROM catalogue.proposal WHERE $1::uuid IS NULL OR id = $1
        ORDER BY proposed_at DESC, id DESC LIMIT 1000
        """,
        only,
    )


async def list_statements(connection: Connection, only: UUID | None = None) -> Sequence[Row]:
    """All statements, or those about one proposal, in order."""
    return await connection.fetch(
        """
        SELECT proposal, sequence, body, proof FROM catalogue.statement WHERE $1::uuid IS NULL OR proposal = $1
        ORDER BY proposal, sequence
        """,
        only,
    )


async def insert_statement(
    connection: Connection,
    proposal: UUID,
    sequence: int,
    body: bytes,
    proof: bytes,
    at: datetime,
    entry: UUID,
) -> None:
    """The statement is kept."""
    await connection.execute(
        """
        INSERT INTO catalogue.statement (proposal, sequence, body, proof, recorded_at, entry)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        proposal,
        sequence,
        body,
        proof,
        at,
        entry,
    )


async def insert_remark(
    connection: Connection, id_: UUID, proposal: UUID, text: str, by: UUID, at: datetime
) -> None:
    """The remark is kept."""
    await connection.execute(
        "INSERT INTO catalogue.remark (id, proposal, text, written_by, written_at) VALUES ($1, $2, $3, $4, $5)",
        id_,
        proposal,
        text,
        by,
        at,
    )


async def list_remarks(connection: Connection, proposal: UUID) -> Sequence[Row]:
    """The discussion, oldest first."""
    return await connection.fetch(
        """
        SELECT id, text, written_by, written_at FROM catalogue.remark WHERE proposal = $1 ORDER BY id LIMIT 500
        """,
        proposal,
    )
