"""Proofs for those who hold a receipt, and how old the newest quorum of witnesses is."""

import msgspec

from koinon.base.crypto import b64url
from koinon.base.database import Connection
from koinon.base.errors import NotFound
from koinon.base.objects import Objects
from koinon.trust.ledger import service
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.merkle import leaf_hash, verify_inclusion
from koinon.trust.ledger.model import EntryId, Log
from koinon.trust.ledger.notes import Verifier
from koinon.trust.ledger.published import CHECKPOINT, WITNESSED, PublishedLog
from koinon.trust.ledger.tiles import prove_inclusion


class Proof(msgspec.Struct, frozen=True):
    """The entry is in the tree of the checkpoint. Binary values are base64url without padding.

    Attributes:
        leaf: the entry's bytes, of which `leaf_hash` is the hash.
        checkpoint: the signed note, with the witnesses' cosignatures where they cover the entry.
    """

    log: Log
    entry: EntryId
    leaf_hash: str
    index: int
    size: int
    proof: list[str]
    checkpoint: str
    leaf: str


async def get_proof(connection: Connection, objects: Objects, entry: EntryId) -> Proof:
    """The proof that the entry is in the published tree, verified before it is given.

    Raises:
        NotFound: `entry_unknown`; `entry_not_merged` while no checkpoint covers it.
        Invalid: `proof_invalid` when the published tiles are not the tree of the checkpoint.
    """
    stored = await service.get_entry(connection, entry)
    if stored.index is None or stored.generation is None:
        raise NotFound("entry_not_merged", entry=str(entry))
    vkey = await connection.fetchval(
        "SELECT vkey FROM ledger.head WHERE log = $1::text::ledger.log AND generation = $2",
        stored.log.value,
        stored.generation,
    )
    published = PublishedLog(objects, stored.log, stored.generation)
    checkpoint, note = await _find_checkpoint(published, Verifier.parse(vkey), stored.index)
    path = await prove_inclusion(stored.index, checkpoint.size, published.tile)
    leaf = leaf_hash(stored.data)
    verify_inclusion(leaf, stored.index, checkpoint.size, path, checkpoint.root)
    return Proof(
        log=stored.log,
        entry=stored.id,
        leaf_hash=b64url(leaf),
        index=stored.index,
        size=checkpoint.size,
        proof=[b64url(each) for each in path],
        checkpoint=note,
        leaf=b64url(stored.data),
    )


async def _find_checkpoint(published: PublishedLog, log: Verifier, index: int) -> tuple[Checkpoint, str]:
    for name in (WITNESSED, CHECKPOINT):
        note = await published.find(name)
        if note is not None:
            checkpoint, _ = open_checkpoint(note, log)
            if index < checkpoint.size:
                return checkpoint, note.decode()
    raise NotFound("entry_not_merged", index=index)


async def quorum_age(connection: Connection, log: Log, quorum: int) -> float:
    """For how many seconds there have been entries that `quorum` witnesses have not cosigned; 0.0 if none.

    Counts from the first such entry, numbered or pending, by the database's clock; 0.0 for a quorum of zero.
    """
    if quorum == 0:
        return 0.0
    age: float = await connection.fetchval(
        """
        WITH head AS (
            SELECT log, generation FROM ledger.head
            WHERE log = $1::text::ledger.log AND NOT closed ORDER BY generation DESC LIMIT 1
        ), covered AS (
            SELECT coalesce((SELECT c.size FROM ledger.cosigned c JOIN head USING (log, generation)
                             WHERE c.witnesses >= $2), 0) AS size
        ), waiting AS (
            SELECT l.at FROM ledger.leaf l JOIN head USING (log, generation), covered WHERE l.index =
            covered.size UNION ALL
            -- Rows lie about in the order they came; the first few are old enough.
            (SELECT p.at FROM ledger.pending p WHERE p.log = $1::text::ledger.log LIMIT 100)
        )
        SELECT coalesce(greatest(0, extract(epoch FROM clock_timestamp() - min(at))), 0)::float8 FROM waiting
        """,
        log.value,
        quorum,
    )
    return age
