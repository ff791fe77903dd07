"""The append-only trace: entries, sealed private parts, two Merkle trees, checkpoints, witnesses, proofs.

Everybody appends (`append`, or `Sealer.prepare` and the SQL function `ledger.append` inside a statement of
one's own); one sequencer gives indexes; anybody who may read verifies. The tree's mathematics are in
`ledger.merkle`.
"""

from pathlib import Path

from koinon.base.database import Schema
from koinon.trust.ledger.counting import count_day
from koinon.trust.ledger.erasure import erase
from koinon.trust.ledger.model import Entry, EntryId, Log, Promise, Stored
from koinon.trust.ledger.proving import Proof, get_proof, quorum_age
from koinon.trust.ledger.sealing import Erased, Prepared, Private, Sealer
from koinon.trust.ledger.service import (
    append,
    find_entries,
    get_entry,
    list_register_entries,
    read_fields,
    read_private,
)
from koinon.trust.ledger.subjects import SubjectProof, prove_subject

SCHEMA = Schema("ledger", Path(__file__).parent / "migrations")

__all__ = [
    "SCHEMA",
    "Entry",
    "EntryId",
    "Erased",
    "Log",
    "Prepared",
    "Private",
    "Promise",
    "Proof",
    "Sealer",
    "Stored",
    "SubjectProof",
    "append",
    "count_day",
    "erase",
    "find_entries",
    "get_entry",
    "get_proof",
    "list_register_entries",
    "prove_subject",
    "quorum_age",
    "read_fields",
    "read_private",
]
