"""Rows of `standing.genesis` and `standing.act`: bytes in, the same bytes out."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Invalid
from koinon.trust.standing.acts.model import Proof, SignedAct

# Any number that no other advisory lock of this program uses: "acts" in ASCII.
_LOCK = 0x61637473

_decode_proof = msgspec.json.Decoder(Proof).decode


async def lock_acts(connection: Connection) -> None:
    """No other transaction records an act until this one ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def find_genesis_document(connection: Connection) -> bytes | None:
    """The canonical bytes of the genesis, if this installation has one."""
    document: bytes | None = await connection.fetchval("SELECT document FROM standing.genesis")
    return document


async def insert_genesis_document(connection: Connection, document: bytes, at: datetime) -> None:
    """The genesis has been stored; a second one violates the primary key."""
    await connection.execute(
        "INSERT INTO standing.genesis (document, recorded_at) VALUES ($1, $2)", document, at
    )


async def insert_signed_act(connection: Connection, sequence: int, signed: SignedAct, at: datetime) -> None:
    """The act has been stored in its place."""
    await connection.execute(
        "INSERT INTO standing.act (sequence, body, proof, recorded_at) VALUES ($1, $2, $3, $4)",
        sequence,
        signed.body,
        msgspec.json.encode(signed.proof),
        at,
    )


async def list_signed_acts(
    connection: Connection, *, after: int = 0, limit: int | None = None
) -> Sequence[SignedAct]:
    """Signed acts as stored, in order, those past sequence `after`; nothing is verified here.

    Raises:
        Invalid: `act_malformed`, with `at_sequence`, where a proof cannot be read.
    """
    rows = await connection.fetch(
        "SELECT sequence, body, proof FROM standing.act WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        after,
        limit,
    )
    signed = []
    for row in rows:
        try:
            signed.append(SignedAct(row["body"], _decode_proof(row["proof"])))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Invalid("act_malformed", at_sequence=row["sequence"], why="proof") from None
    return signed
