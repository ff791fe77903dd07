"""A receipt is a promise that can be redeemed."""

import time
from uuid import UUID

import msgspec

from koinon.base.crypto import from_b64url
from koinon.base.errors import Invalid, KoinonError
from koinon.integrator.conform.model import Cases, Failed, NotApplicable, demand
from koinon.integrator.conform.platform.kit import GRACE_SECONDS, PlatformKit
from koinon.trust.ledger.checkpoint import open_checkpoint
from koinon.trust.ledger.merkle import ProofError, leaf_hash, verify_inclusion

case = Cases("platform")


@case(
    "P-RCP-01",
    "What a receipt promises is in the ledger in time",
    "RFC 9162 section 2.1.3; C2SP tlog-checkpoint",
)
def _receipt(kit: PlatformKit) -> None:
    _redeem(kit)


@case("P-RCP-02", "Witnesses have seen the checkpoint", "C2SP tlog-witness")
def _witnessed(kit: PlatformKit) -> None:
    if kit.witnesses <= 0:
        raise NotApplicable("no witness is demanded (--witnesses)")
    deadline = time.monotonic() + 15
    while True:
        found = _redeem(kit)
        if found >= kit.witnesses:
            return
        demand(time.monotonic() < deadline, f"{found} of {kit.witnesses} witnesses have cosigned")
        time.sleep(1)


def _redeem(kit: PlatformKit) -> int:
    """How many witnesses cosigned the checkpoint that holds what a fresh receipt promises."""
    receipt = kit.allowed().document.get("receipt", {})
    try:
        entry, promised = UUID(receipt["entry"]), from_b64url(receipt["leaf_hash"], length=32)
        delay = float(receipt["max_merge_delay_seconds"])
        log = receipt["log"]
    except (KeyError, TypeError, ValueError, Invalid):
        raise Failed("the answer has no receipt that can be read") from None
    deadline = time.monotonic() + delay + GRACE_SECONDS
    while (reply := kit.speaker.plain("GET", f"/api/ledger/proofs/{entry}")).status == 404:
        demand(time.monotonic() < deadline, f"not in the tree {delay + GRACE_SECONDS:.0f} s later")
        time.sleep(0.3)
    demand(reply.status == 200, f"the proof was answered {reply.said}")
    proof = reply.document
    try:
        leaf = from_b64url(proof["leaf"])
        path = [from_b64url(each, length=32) for each in proof["proof"]]
        index, size, note = int(proof["index"]), int(proof["size"]), str(proof["checkpoint"])
        named = UUID(msgspec.json.decode(leaf)["id"])
    except (KeyError, TypeError, ValueError, Invalid, msgspec.DecodeError):
        raise Failed("the proof cannot be read") from None
    demand(leaf_hash(leaf) == promised and named == entry, "the proof is about another entry")
    keys = kit.speaker.keys(log=str(log))
    for verifier in keys.logs.get(log, ()):
        try:
            checkpoint, cosigned = open_checkpoint(note, verifier, keys.witnesses)
            break
        except KoinonError:
            continue
    else:
        raise Failed("no key of the log signed the checkpoint")
    demand(checkpoint.size == size, "the proof is of another size than its checkpoint")
    try:
        verify_inclusion(promised, index, size, path, checkpoint.root)
    except ProofError:
        raise Failed("the entry is not in the tree") from None
    return len(cosigned)
