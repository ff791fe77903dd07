"""The ledger for everybody's tools: the register log as static files, checkpoints of both, proofs for receipts.

`/api/ledger/<log>` is a C2SP tlog-tiles prefix. Of the exchange log only the checkpoint is served: its entries are for
those whom they concern. A proof is given to whoever names the entry: the id stands in the receipt and cannot be
guessed (74 random bits), and what is given holds commitments, no personal data.
"""

import re
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from koinon.base.database import Database
from koinon.base.errors import NotFound
from koinon.base.ids import parse_id
from koinon.base.objects import Objects
from koinon.trust.ledger.model import EntryId, Log
from koinon.trust.ledger.proving import Proof, get_proof
from koinon.trust.ledger.published import CHECKPOINT, WITNESSED, PublishedLog

# Source: C2SP tlog-tiles, "Parameters": level, then the index in groups of three digits, then the partial width.
_TILE = re.compile(r"tile/(?:[0-5]?\d|6[0-3]|entries)(?:/x\d{3})*/\d{3}(?:\.p/\d{1,3})?")
_PUBLIC: dict[str, Any] = {"public": True}
_IMMUTABLE = {"cache-control": "public, max-age=31536000, immutable"}


@get("/api/ledger/{log:str}/checkpoint", opt=_PUBLIC, tags=["ledger"], media_type="text/plain")
async def get_checkpoint(
    log: FromPath[str], database: NamedDependency[Database], objects: NamedDependency[Objects]
) -> Response[bytes]:
    """The newest checkpoint, with the witnesses' cosignatures where a quorum has given them.

    Source: C2SP tlog-checkpoint, signed-note.
    """
    published = await _published(log, database, objects)
    for name in (WITNESSED, CHECKPOINT):
        note = await published.find(name)
        if note is not None:
            return Response(note, media_type="text/plain; charset=utf-8")
    raise NotFound("checkpoint_missing", log=log)


@get(
    "/api/ledger/register/tile/{path:path}",
    opt=_PUBLIC,
    tags=["ledger"],
    media_type="application/octet-stream",
)
async def get_tile(
    path: FromPath[str], database: NamedDependency[Database], objects: NamedDependency[Objects]
) -> Response[bytes]:
    """A tile or an entry bundle of the register log.

    Source: C2SP tlog-tiles, "Merkle tree" and "Log entries".

    Raises:
        NotFound: `tile_unknown`.
    """
    name = "tile/" + path.lstrip("/")
    if not _TILE.fullmatch(name):
        raise NotFound("tile_unknown")
    found = await (await _published(Log.REGISTER.value, database, objects)).find(name)
    if found is None:
        raise NotFound("tile_unknown")
    return Response(found, media_type="application/octet-stream", headers=_IMMUTABLE)


@get("/api/ledger/proofs/{entry:str}", opt=_PUBLIC, tags=["ledger"])
async def get_entry_proof(
    entry: FromPath[str], database: NamedDependency[Database], objects: NamedDependency[Objects]
) -> Proof:
    """The proof that a receipt's entry is in the tree.

    Raises:
        NotFound: `entry_unknown`; `entry_not_merged` until the maximum merge delay has passed.
    """
    async with database.acquire() as connection:
        return await get_proof(connection, objects, EntryId(parse_id(entry, "entry")))


async def list_verifier_keys(database: Database) -> dict[str, list[str]]:
    """By log, the verifier keys (C2SP signed-note) of its checkpoints, the newest generation first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT log::text AS log, vkey FROM ledger.head ORDER BY log, generation DESC"
        )
    keys: dict[str, list[str]] = {log.value: [] for log in Log}
    for row in rows:
        keys[row["log"]].append(row["vkey"])
    return keys


async def _published(log: str, database: Database, objects: Objects) -> PublishedLog:
    if log not in set(Log):
        raise NotFound("log_unknown", log=log[:32])
    async with database.acquire() as connection:
        generation = await connection.fetchval(
            "SELECT max(generation) FROM ledger.head WHERE log = $1::text::ledger.log", log
        )
    if generation is None:
        raise NotFound("checkpoint_missing", log=log)
    return PublishedLog(objects, Log(log), int(generation))


handlers: list[Any] = [get_checkpoint, get_tile, get_entry_proof]
