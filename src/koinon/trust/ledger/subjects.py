"""The proof that one person of an entry about many is a leaf under it, told without the others.

Two levels. The entry's field `subjects` is the RFC 9162 root over one commitment a person, SHA-256 of 0x00, a salt of
16 bytes and the identifier; `get_proof` shows that the entry is in the log.
"""

from uuid import UUID

import msgspec

from koinon.base.crypto import b64url, from_b64url
from koinon.base.database import Connection
from koinon.base.errors import Invalid, NotFound
from koinon.trust.ledger.merkle import inclusion_proof, leaf_hash, verify_inclusion
from koinon.trust.ledger.model import Stored
from koinon.trust.ledger.sealing import SALT_BYTES, Sealer
from koinon.trust.ledger.service import get_entry


class SubjectProof(msgspec.Struct, frozen=True, kw_only=True):
    """A person is the leaf `index` of the `size` leaves under an entry. Binary values are base64url.

    Attributes:
        salt: what keeps the commitment of a number with few possibilities from being guessed.
        proof: from the person's leaf to the root in the entry's field `subjects`.
        leaf: the entry's bytes, which hold that root.
    """

    entry: UUID
    subject: str
    salt: str
    index: int
    size: int
    proof: list[str]
    leaf: str


async def prove_subject(
    connection: Connection, sealer: Sealer, entry: UUID, *, ordinal: int | None = None, subject: str = ""
) -> SubjectProof:
    """The proof for the person at `ordinal`, or for `subject`, verified before it is given.

    Raises:
        NotFound: `entry_unknown`, `subject_not_in_entry`, `subject_erased`, `month_destroyed`.
        Invalid: `commitment_broken` when what is stored is not what the entry commits to.
    """
    stored = await get_entry(connection, entry)
    root = stored.public.get("subjects")
    if root is None:
        raise NotFound("subject_not_in_entry", entry=str(entry))
    rows = await connection.fetch(
        "SELECT ordinal, token, commitment, key FROM ledger.slot WHERE entry = $1 ORDER BY ordinal", entry
    )
    if ordinal is None:
        tokens = set(sealer.tokens(subject))
        ordinal = next((row["ordinal"] for row in rows if row["token"] in tokens), -1)
    if not 0 <= ordinal < len(rows):
        raise NotFound("subject_not_in_entry", entry=str(entry))
    salted = _open(sealer, stored, rows[ordinal]["key"], ordinal)
    leaves = [row["commitment"] for row in rows]
    path = inclusion_proof(leaves, ordinal)
    try:
        verify_inclusion(leaf_hash(salted), ordinal, len(leaves), path, from_b64url(str(root)))
    except Invalid:
        raise Invalid("commitment_broken", entry=str(entry), part="subjects") from None
    return SubjectProof(
        entry=entry,
        subject=salted[SALT_BYTES:].decode(),
        salt=b64url(salted[:SALT_BYTES]),
        index=ordinal,
        size=len(leaves),
        proof=[b64url(each) for each in path],
        leaf=b64url(stored.data),
    )


def _open(sealer: Sealer, stored: Stored, key: bytes | None, ordinal: int) -> bytes:
    if key is None:
        raise NotFound("subject_erased", entry=str(stored.id))
    return sealer.open_subject(stored.id, stored.at, key, ordinal)
