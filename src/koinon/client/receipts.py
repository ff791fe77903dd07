"""Receipts: a promise in a signed answer, redeemed against the tree that the log signed."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from koinon.base.crypto import from_b64url
from koinon.base.errors import Invalid, KoinonError
from koinon.client.errors import Untrusted
from koinon.client.model import Answer, Proof, VerifiedReceipt
from koinon.client.pins import Pins
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.merkle import ProofError, leaf_hash, verify_inclusion
from koinon.trust.ledger.notes import Signature, Verifier


class _Leaf(msgspec.Struct):
    id: UUID


class ProofRefused(Untrusted):
    """What was given as proof does not hold."""


def verify_proof(data: bytes, answer: Answer, pins: Pins) -> VerifiedReceipt:
    """The entry that `answer` promised is in the tree of the checkpoint in `data`, which its log signed.

    Raises:
        ProofRefused: `proof_malformed`, `checkpoint_untrusted`, `other_entry`, `not_included`.
        Untrusted: `log_key_unknown` when we have no key of that log's.
    """
    receipt = answer.receipt
    try:
        proof = msgspec.json.decode(data, type=Proof)
        leaf = from_b64url(proof.leaf)
        path = [from_b64url(each, length=32) for each in proof.proof]
        promised = from_b64url(receipt.leaf_hash, length=32)
    except (msgspec.DecodeError, UnicodeDecodeError, Invalid):
        raise ProofRefused("proof_malformed") from None
    verifiers = pins.logs.get(receipt.log, ())
    if not verifiers:
        raise Untrusted("log_key_unknown", log=receipt.log)
    checkpoint, witnesses = _open(proof.checkpoint, verifiers, pins.witnesses)
    if checkpoint.size != proof.size:
        raise ProofRefused("proof_malformed", why="size")
    if leaf_hash(leaf) != promised or _id_of(leaf) != receipt.entry:
        raise ProofRefused("other_entry")
    try:
        verify_inclusion(promised, proof.index, proof.size, path, checkpoint.root)
    except ProofError as error:
        raise ProofRefused("not_included", why=error.facts["why"]) from None
    return VerifiedReceipt(
        origin=checkpoint.origin,
        index=proof.index,
        size=proof.size,
        root=checkpoint.root,
        entry=leaf,
        checkpoint=proof.checkpoint,
        witnesses=tuple(each.verifier.name for each in witnesses),
    )


def _id_of(leaf: bytes) -> UUID | None:
    try:
        return msgspec.json.decode(leaf, type=_Leaf).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _open(
    note: str, verifiers: Sequence[Verifier], witnesses: Sequence[Verifier]
) -> tuple[Checkpoint, list[Signature]]:
    # A log that was closed and opened anew has a key for each of its lives.
    code = "checkpoint_untrusted"
    for verifier in verifiers:
        try:
            return open_checkpoint(note, verifier, witnesses)
        except KoinonError as error:
            code = error.code
    raise ProofRefused("checkpoint_untrusted", why=code)
