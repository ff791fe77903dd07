"""The only SQL on the schema `rights`."""

from datetime import datetime
from typing import Any

import msgspec

from koinon.base.database import Connection
from koinon.trust.parties import PartyId, PersonId
from koinon.video.rights.model import (
    Confirmation,
    ConfirmationId,
    DecisionId,
    Emergency,
    EmergencyId,
    ProsecutorDecision,
    ViewRequest,
)

_CONFIRMATION = ", ".join(Confirmation.__struct_fields__)
_EMERGENCY = ", ".join(Emergency.__struct_fields__)
_DECISION = ", ".join(f'"{name}"' for name in ProsecutorDecision.__struct_fields__)


def _confirmation(row: Any) -> Confirmation:
    return Confirmation(**{**row, "request": msgspec.convert(row["request"], ViewRequest)})


async def insert_confirmation(connection: Connection, confirmation: Confirmation) -> None:
    """Another human may answer it."""
    await connection.execute(
        "INSERT INTO rights.confirmation (id, party, asked_by, asked_profile, digest, request, asked_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        confirmation.id,
        confirmation.party,
        confirmation.asked_by,
        confirmation.asked_profile,
        confirmation.digest,
        msgspec.to_builtins(confirmation.request),
        confirmation.asked_at,
        confirmation.expires_at,
    )


async def find_confirmation(
    connection: Connection, confirmation: ConfirmationId, party: PartyId, *, lock: bool = False
) -> Confirmation | None:
    """The party's confirmation of that id, or nothing."""
    row = await connection.fetchrow(
        f"SELECT {_CONFIRMATION} FROM rights.confirmation WHERE id = $1 AND party = $2{' FOR UPDATE' if lock else ''}",
        confirmation,
        party,
    )
    return _confirmation(row) if row else None


async def list_confirmations(connection: Connection, party: PartyId, since: datetime) -> list[Confirmation]:
    """What the party's people asked each other since then, newest first."""
    rows = await connection.fetch(
        f"SELECT {_CONFIRMATION} FROM rights.confirmation WHERE party = $1 AND asked_at >= $2"
        " ORDER BY asked_at DESC LIMIT 200",
        party,
        since,
    )
    return [_confirmation(row) for row in rows]


async def answer_confirmation(
    connection: Connection,
    confirmation: ConfirmationId,
    answer: str,
    person: PersonId,
    profile: str,
    at: datetime,
) -> bool:
    """It is answered; false when it was before."""
    done: str = await connection.execute(
        "UPDATE rights.confirmation SET answer = $2, answered_by = $3, answered_profile = $4, answered_at = $5"
        " WHERE id = $1 AND answer IS NULL",
        confirmation,
        answer,
        person,
        profile,
        at,
    )
    return done.endswith(" 1")


async def use_confirmation(connection: Connection, confirmation: ConfirmationId, at: datetime) -> bool:
    """The confirmation is used up; false when it was before."""
    done: str = await connection.execute(
        "UPDATE rights.confirmation SET used_at = $2 WHERE id = $1 AND answer = 'confirmed' AND used_at IS NULL",
        confirmation,
        at,
    )
    return done.endswith(" 1")


async def forget_confirmations(connection: Connection, before: datetime) -> None:
    """Confirmations that ran out before then are gone; what they led to stands in the ledger."""
    await connection.execute("DELETE FROM rights.confirmation WHERE expires_at < $1", before)


async def insert_emergency(connection: Connection, emergency: Emergency) -> None:
    """The use waits for its review."""
    await connection.execute(
        "INSERT INTO rights.emergency (id, exchange, party, person, camera, owner, action, reason, declared_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        *msgspec.structs.astuple(emergency)[:9],
    )


async def list_emergencies(
    connection: Connection, *, party: PartyId | None = None, owner: PartyId | None = None, limit: int = 200
) -> list[Emergency]:
    """Declared emergencies of the party, or on cameras of the owner, or all; those that wait first, newest first."""
    rows = await connection.fetch(
        f"SELECT {_EMERGENCY} FROM rights.emergency"
        " WHERE ($1::uuid IS NULL AND $2::uuid IS NULL OR party = $1 OR owner = $2)"
        " ORDER BY reviewed_at IS NOT NULL, declared_at DESC LIMIT $3",
        party,
        owner,
        limit,
    )
    return [Emergency(**row) for row in rows]


async def find_emergency(connection: Connection, emergency: EmergencyId) -> Emergency | None:
    """The declared emergency, or nothing."""
    row = await connection.fetchrow(f"SELECT {_EMERGENCY} FROM rights.emergency WHERE id = $1", emergency)
    return Emergency(**row) if row else None


async def review_emergency(
    connection: Connection,
    emergency: EmergencyId,
    person: PersonId,
    *,
    justified: bool,
    note: str,
    at: datetime,
) -> bool:
    """Somebody looked back at it; false when somebody had."""
    done: str = await connection.execute(
        "UPDATE rights.emergency SET reviewed_by = $2, justified = $3, note = $4, reviewed_at = $5"
        " WHERE id = $1 AND reviewed_at IS NULL",
        emergency,
        person,
        justified,
        note,
        at,
    )
    return done.endswith(" 1")


def _decision(row: Any) -> ProsecutorDecision:
    return ProsecutorDecision(**{**row, "cameras": tuple(row["cameras"])})


async def insert_decision(connection: Connection, decision: ProsecutorDecision) -> None:
    """The decision counts."""
    names = ProsecutorDecision.__struct_fields__
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    await connection.execute(
        f"INSERT INTO rights.decision ({_DECISION}) VALUES ({places})",
        *(getattr(decision, name) for name in names),
    )


async def find_decision(
    connection: Connection, decision: DecisionId, *, lock: bool = False
) -> ProsecutorDecision | None:
    """The decision, or nothing."""
    row = await connection.fetchrow(
        f"SELECT {_DECISION} FROM rights.decision WHERE id = $1{' FOR UPDATE' if lock else ''}", decision
    )
    return _decision(row) if row else None


async def list_decisions_of(connection: Connection, party: PartyId, case: str) -> list[ProsecutorDecision]:
    """Those of one case of the party, also those that are over; newest first."""
    rows = await connection.fetch(
        f'SELECT {_DECISION} FROM rights.decision WHERE party = $1 AND "case" = $2 ORDER BY recorded_at DESC LIMIT 100',
        party,
        case,
    )
    return [_decision(row) for row in rows]


async def list_decisions(connection: Connection, party: PartyId) -> list[ProsecutorDecision]:
    """Those of the party's cases, and those that it wrote down for others; newest first."""
    rows = await connection.fetch(
        f"SELECT {_DECISION} FROM rights.decision WHERE party = $1 OR recorded_party = $1"
        " ORDER BY recorded_at DESC LIMIT 500",
        party,
    )
    return [_decision(row) for row in rows]


async def end_decision(connection: Connection, decision: DecisionId, person: PersonId, at: datetime) -> None:
    """It has ended."""
    await connection.execute(
        "UPDATE rights.decision SET ended_by = $2, ended_at = $3 WHERE id = $1 AND ended_at IS NULL",
        decision,
        person,
        at,
    )
