"""A log goes on under a new origin, when its tree cannot be continued: after a restore below what was published.

It takes a statement signed by the Commission: the operator alone cannot leave a history behind. The last checkpoint
of the old origin, which the statement names, is the first entry of the new one; what the database still has of the old
tree stays as it is and is verified as that.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from koinon.base.canonical import canonical
from koinon.base.crypto import VerifyKey, b64url, parse_jws
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed
from koinon.trust.ledger.checkpoint import open_checkpoint
from koinon.trust.ledger.merkle import EMPTY_ROOT, Frontier
from koinon.trust.ledger.model import Entry, Log
from koinon.trust.ledger.notes import Verifier
from koinon.trust.ledger.sealing import Sealer
from koinon.trust.ledger.sequencing import store
from koinon.trust.ledger.sequencing.process import MakeSigner

REOPENED = "ledger.reopened"
STATEMENT_TYPE = "koinon-ledger-reopen"


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the Commission signs: this origin ends at this checkpoint, that one begins.

    Attributes:
        checkpoint: the last one of the old origin that anybody has, as a signed note.
    """

    log: Log
    origin: str
    next: str
    checkpoint: str
    reason: str

    def encode(self) -> bytes:
        """The bytes that are signed, as a JWS of type `koinon-ledger-reopen`."""
        return canonical(msgspec.to_builtins(self))


async def reopen(
    connection: Connection,
    sealer: Sealer,
    statement_jws: str,
    keys: Sequence[VerifyKey],
    make_signer: MakeSigner,
    at: datetime,
) -> Statement:
    """The old origin is closed and the next one open, with the old one's last checkpoint as its first entry.

    A sequencer that runs is fenced by it and starts on the new origin. Witnesses must be given the new verifier key.

    Args:
        keys: of the Commission's members in office; one signature suffices here, the quorum is the caller's.

    Records: `ledger.reopened` in the log itself, as leaf 0 of the new origin.

    Raises:
        NotAllowed: `statement_not_signed`.
        Invalid: `jws_malformed`, `statement_malformed`; a checkpoint that does not hold, as `open_checkpoint`.
        Conflict: `origin_not_open`, `origin_used`; `log_intact` when the database has all of that checkpoint.
    """
    statement = _believe(statement_jws, keys)
    head = await store.lock_head(connection, statement.log)
    if head is None or head.origin != statement.origin:
        raise Conflict("origin_not_open", origin=statement.origin)
    checkpoint, _ = open_checkpoint(statement.checkpoint, Verifier.parse(head.vkey))
    if checkpoint.size == head.size and checkpoint.root == head.root:
        raise Conflict("log_intact", origin=statement.origin)
    if not await store.close_generation(connection, head, statement.next):
        raise Conflict("origin_used", origin=statement.next)
    vkey = str(make_signer(statement.log, statement.next).verifier)
    await store.open_generation(connection, statement.log, head.generation + 1, statement.next, vkey)
    new = msgspec.structs.replace(
        head,
        generation=head.generation + 1,
        origin=statement.next,
        vkey=vkey,
        size=0,
        root=EMPTY_ROOT,
        edge=(),
        fence=0,
    )
    entry = Entry(
        log=statement.log,
        kind=REOPENED,
        at=at,
        public={
            "statement": statement_jws,
            "previous": {
                "origin": statement.origin,
                "size": checkpoint.size,
                "root": b64url(checkpoint.root),
                "checkpoint": statement.checkpoint,
            },
            "kept": {"size": head.size, "root": b64url(head.root)},
        },
    )
    (promise,) = await sealer.prepare([entry], at).append(connection)
    await store.drop_pending(connection, entry.id)
    tree = Frontier()
    tree.append(promise.leaf_hash)
    moved = msgspec.structs.replace(new, size=1, root=tree.root(), edge=tree.nodes)
    if not await store.move_head(connection, new, moved):
        raise Conflict("origin_used", origin=statement.next)
    await store.add_leaves(connection, new, [store.Pending(entry.id, promise.leaf_hash)])
    return statement


def _believe(statement_jws: str, keys: Sequence[VerifyKey]) -> Statement:
    jws = parse_jws(statement_jws)
    key = next((key for key in keys if key.key_id == jws.key_id), None)
    if key is None or jws.typ != STATEMENT_TYPE:
        raise NotAllowed("statement_not_signed")
    try:
        return msgspec.json.decode(jws.verify(key), type=Statement)
    except msgspec.DecodeError as error:
        raise Invalid("statement_malformed", why=str(error)) from None
