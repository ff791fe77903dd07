"""Erasure: the keys to what is about somebody are destroyed; entries, leaves and proofs stand.

The list of erasures lies outside the database, so that they can be done again after an older backup of it was
restored. It names slots, not people.
"""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec

from koinon.base.crypto import b64url
from koinon.base.database import Connection
from koinon.base.files import append_line
from koinon.base.ids import new_id
from koinon.trust.ledger import store
from koinon.trust.ledger.keys import Erasure, KeyFolder
from koinon.trust.ledger.model import Entry, Log
from koinon.trust.ledger.sealing import Sealer
from koinon.trust.ledger.service import append

ERASED = "ledger.erased"
_FILE = "erasures.jsonl"


async def erase(connection: Connection, sealer: Sealer, subject: str, reason: str, at: datetime) -> int:
    """What the ledger holds about `subject` can be read by nobody any more; returns the number of entries.

    Entries about others too keep what is theirs. Backups of the database made before still hold the wrapped
    keys: after a restore the sequencer's start, or `replay_erasures`, erases again.

    Args:
        reason: a code, published in the exchange log.

    Records: `ledger.erased` in the exchange log, with the number of slots and a digest of which.
    """
    rows = await connection.fetch(
        "SELECT entry, ordinal FROM ledger.slot WHERE token = ANY($1) ORDER BY entry, ordinal FOR UPDATE",
        sealer.tokens(subject),
    )
    slots = [(str(row["entry"]), int(row["ordinal"])) for row in rows]
    if not slots:
        return 0
    erasure = Erasure(str(new_id()), at, reason, slots)
    # On the list first: if the transaction then fails, the next replay erases what was asked to be erased.
    append_line(sealer.keys.folder / _FILE, msgspec.json.encode(erasure))
    await _blank(connection, erasure)
    await _record(connection, sealer, erasure)
    return len({entry for entry, _ in slots})


async def replay_erasures(connection: Connection, sealer: Sealer) -> int:
    """Everything on the list is erased in this database too; returns how many slots were not.

    Records: `ledger.erased` for each erasure that this database has no entry of.
    """
    erasures = list(list_erasures(sealer.keys))
    known = await store.list_erasures_recorded(connection) if erasures else set()
    blanked = 0
    for erasure in erasures:
        blanked += await _blank(connection, erasure)
        if erasure.id not in known:
            await _record(connection, sealer, erasure)
    return blanked


async def _record(connection: Connection, sealer: Sealer, erasure: Erasure) -> None:
    public = {
        "erasure": erasure.id,
        "reason": erasure.reason,
        "slots": len(erasure.slots),
        "digest": digest_of(erasure.slots),
    }
    entry = Entry(log=Log.EXCHANGE, kind=ERASED, at=erasure.at, public=public)
    await append(connection, sealer, [entry])


def list_erasures(keys: KeyFolder) -> Iterator[Erasure]:
    """The erasures on the list, oldest first."""
    try:
        lines = (keys.folder / _FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        yield msgspec.json.decode(line, type=Erasure)


def digest_of(slots: list[tuple[str, int]]) -> str:
    """Base64url SHA-256 over the lines `entry ordinal`, sorted: which slots an erasure blanked."""
    lines = sorted(f"{entry} {ordinal}\n" for entry, ordinal in slots)
    return b64url(sha256("".join(lines).encode()).digest())


async def _blank(connection: Connection, erasure: Erasure) -> int:
    blanked: int = await connection.fetchval(
        "SELECT ledger.erase($1, $2, $3)",
        UUID(erasure.id),
        [UUID(entry) for entry, _ in erasure.slots],
        [ordinal for _, ordinal in erasure.slots],
    )
    return blanked
