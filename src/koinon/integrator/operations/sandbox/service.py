"""Opening a sandbox for a party, and beginning anew in it: for an operator, whom the caller asked for."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, NotFound
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.integrator.model import Flow
from koinon.integrator.operations.sandbox.personas import personas
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author, PartyId

CASE = "SANDBOX"
LASTS = timedelta(days=365)


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """A party that tries. `opened_by` None: somebody at the machine's own command line."""

    party: PartyId
    opened_by: UUID | None
    opened_at: datetime
    reset_at: datetime | None


async def list_sandboxes(database: Database) -> list[Sandbox]:
    """Every party that is one, in the order in which they became it."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT party, opened_by, opened_at, reset_at FROM operations.sandbox ORDER BY opened_at, party"
        )
    return [Sandbox(**row) for row in rows]


async def open_sandbox(database: Database, sealer: Sealer, party: PartyId, by: Author, at: datetime) -> None:
    """The party is a sandbox, for good: it has no files, and `reset_sandbox` gives it those on personas.

    Raises:
        Conflict: `sandbox_has_dossiers`: a party that has files on persons never becomes one; `sandbox_open` already.

    Records: `sandbox.opened` in the register log.
    """
    async with database.transaction() as connection:
        done: str = await connection.execute(
            "INSERT INTO operations.sandbox (party, opened_by, opened_at) VALUES ($1, $2, $3)"
            " ON CONFLICT DO NOTHING",
            party,
            by.person,
            at,
        )
        if not done.endswith(" 1"):
            raise Conflict("sandbox_open")
        # One that is being registered at this moment slips past; the reset ends it, and no source answers about it.
        if await connection.fetchval(
            "SELECT EXISTS (SELECT FROM integrator.dossier WHERE party = $1)", party
        ):
            raise Conflict("sandbox_has_dossiers")
        await _record(connection, sealer, "sandbox.opened", party, at)


async def reset_sandbox(
    database: Database,
    sealer: Sealer,
    keys: DirectoryKeys,
    flows: Iterable[Flow],
    party: PartyId,
    at: datetime,
) -> int:
    """The sandbox has a fresh dossier on each persona that is to have one, for every purpose of its flow, and no other;
    returns how many.

    Raises:
        NotFound: `sandbox_unknown`: the party is none.

    Records: `sandbox.reset` in the register log.
    """
    purposes = {flow.name: tuple(flow.purposes) for flow in flows}
    lines = [
        new_line(purpose, persona.number, CASE, "sandbox", at, at + LASTS)
        for persona in personas().values()
        if persona.has_file
        for purpose in purposes.get(persona.flow, ())
    ]
    async with database.transaction() as connection:
        done: str = await connection.execute(
            "UPDATE operations.sandbox SET reset_at = $2 WHERE party = $1", party, at
        )
        if not done.endswith(" 1"):
            raise NotFound("sandbox_unknown")
        await connection.execute(
            "UPDATE integrator.dossier SET ended_at = $2 WHERE party = $1 AND ended_at IS NULL", party, at
        )
        await insert_dossiers(connection, keys, party, lines, at)
        await _record(connection, sealer, "sandbox.reset", party, at)
    return len(lines)


async def _record(connection: Connection, sealer: Sealer, kind: str, party: PartyId, at: datetime) -> None:
    await append(
        connection, sealer, [Entry(log=Log.REGISTER, kind=kind, public={"party": str(party)}, at=at)]
    )
