import base64
import json
import os
from pathlib import Path

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.trust.ledger import merkle
from koinon.trust.ledger.merkle import ProofError

REPOSITORY = Path(__file__).parents[3]
SHARED = Path(os.environ.get("KOINON_SHARED") or REPOSITORY.parent / "shared")
VECTORS = SHARED / "data" / "merkle-vectors" / "testdata"

sizes = st.integers(min_value=1, max_value=300)


def hashes(size: int) -> list[bytes]:
    return [merkle.leaf_hash(i.to_bytes(4, "big")) for i in range(size)]


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def cases(kind: str) -> list[tuple[str, dict]]:
    return [
        (f"{path.parent.name}/{path.name}", json.loads(path.read_text()))
        for path in sorted((VECTORS / kind).rglob("*.json"))
    ]


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "")


@pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors at {VECTORS}")
def test_every_published_inclusion_case_gives_the_published_outcome():
    found = cases("inclusion")
    assert len(found) == 49
    for name, case in found:
        arguments = (
            decoded(case["leafHash"]),
            case["leafIdx"],
            case["treeSize"],
            [decoded(p) for p in case["proof"] or []],
            decoded(case["root"]),
        )
        if case["wantErr"]:
            with pytest.raises(ProofError):
                merkle.verify_inclusion(*arguments)
                pytest.fail(name)
        else:
            merkle.verify_inclusion(*arguments)


@pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors at {VECTORS}")
def test_every_published_consistency_case_gives_the_published_outcome():
    found = cases("consistency")
    assert len(found) == 43
    for name, case in found:
        arguments = (
            case["size1"],
            case["size2"],
            [decoded(p) for p in case["proof"] or []],
            decoded(case["root1"]),
            decoded(case["root2"]),
        )
        if case["wantErr"]:
            with pytest.raises(ProofError):
                merkle.verify_consistency(*arguments)
                pytest.fail(name)
        else:
            merkle.verify_consistency(*arguments)


@given(sizes)
def test_the_three_ways_to_a_root_agree_with_the_definition(size):
    leaves = hashes(size)
    frontier = merkle.Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    expected = naive_root(leaves)
    assert merkle.root(leaves) == merkle.Tree(leaves).root() == frontier.root() == expected


def test_roots_agree_with_pymerkle():
    other = pymerkle.InmemoryTree(algorithm="sha256")
    ours = merkle.Frontier()
    for i in range(600):
        data = b"entry %d" % i
        other.append_entry(data)
        ours.append(merkle.leaf_hash(data))
        assert ours.root() == other.get_root()


@given(sizes, st.data())
def test_every_inclusion_proof_verifies_and_no_altered_one_does(size, data):
    index = data.draw(st.integers(0, size - 1))
    tree = merkle.Tree(hashes(size))
    leaf, root = tree.node(0, index), tree.root()
    proof = merkle.inclusion_proof(tree, index, size)
    merkle.verify_inclusion(leaf, index, size, proof, root)

    bit = data.draw(st.integers(0, 256 * (len(proof) + 2) - 1))
    parts = [leaf, root, *proof]
    altered = bytearray(parts[bit // 256])
    altered[bit % 256 // 8] ^= 1 << (bit % 8)
    parts[bit // 256] = bytes(altered)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(parts[0], index, size, parts[2:], parts[1])
    for wrong in (proof[:-1], [*proof, root], proof[1:], [p[:31] for p in proof]):
        if wrong != proof:
            with pytest.raises(ProofError):
                merkle.verify_inclusion(leaf, index, size, wrong, root)
    for other in range(size):
        if other != index:
            with pytest.raises(ProofError):
                merkle.verify_inclusion(leaf, other, size, proof, root)


@given(sizes, st.data())
def test_every_consistency_proof_verifies_and_no_altered_one_does(size, data):
    size1 = data.draw(st.integers(1, size))
    tree = merkle.Tree(hashes(size))
    root1, root2 = tree.root(size1), tree.root()
    proof = merkle.consistency_proof(tree, size1, size)
    merkle.verify_consistency(size1, size, proof, root1, root2)

    bit = data.draw(st.integers(0, 256 * (len(proof) + 2) - 1))
    parts = [root1, root2, *proof]
    altered = bytearray(parts[bit // 256])
    altered[bit % 256 // 8] ^= 1 << (bit % 8)
    parts[bit // 256] = bytes(altered)
    with pytest.raises(ProofError):
        merkle.verify_consistency(size1, size, parts[2:], parts[0], parts[1])
    for wrong in (proof[:-1], [*proof, root2], proof[1:]):
        if wrong != proof:
            with pytest.raises(ProofError):
                merkle.verify_consistency(size1, size, wrong, root1, root2)


def test_the_empty_tree_is_a_prefix_of_every_tree_and_has_one_root():
    tree = merkle.Tree(hashes(5))
    merkle.verify_consistency(0, 5, merkle.consistency_proof(tree, 0, 5), merkle.EMPTY_ROOT, tree.root())
    with pytest.raises(ProofError):
        merkle.verify_consistency(0, 5, [], tree.root(1), tree.root())
    with pytest.raises(ProofError):
        merkle.verify_consistency(0, 5, [tree.root()], merkle.EMPTY_ROOT, tree.root())


def test_proofs_about_what_is_not_there_are_refused():
    tree = merkle.Tree(hashes(5))
    for call in (
        lambda: merkle.inclusion_proof(tree, 5, 5),
        lambda: merkle.inclusion_proof(tree, -1, 5),
        lambda: merkle.inclusion_proof(tree, 0, 6),
        lambda: merkle.consistency_proof(tree, 4, 3),
        lambda: merkle.consistency_proof(tree, 4, 6),
        lambda: tree.root(6),
        lambda: merkle.Frontier(5, [b""]),
    ):
        with pytest.raises(ProofError):
            call()
