"""The Merkle tree of RFC 9162 section 2.1 (the same as RFC 6962's): hashes, proofs and their verification.

Pure: nothing here reads or writes anything. A *node* `(level, index)` is the root of the complete subtree
over the 2^level leaves that start at index * 2^level. Every proof is planned first as lists of nodes and
folded afterwards, so that a reader of tiles knows which tiles it needs before it opens one.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TypeVar

from koinon.base.errors import Invalid

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Node = tuple[int, int]
Part = TypeVar("Part")
Nodes = Callable[[int, int], bytes]


class ProofError(Invalid):
    """`proof_invalid`: the proof does not show what it claims; the fact `why` says where it fails."""

    def __init__(self, why: str) -> None:
        super().__init__("proof_invalid", why=why)


def leaf_hash(data: bytes) -> bytes:
    """The hash of an entry's bytes. Source: RFC 9162 section 2.1.1, prefix 0x00."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node. Source: RFC 9162 section 2.1.1, prefix 0x01."""
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: Iterable[bytes]) -> bytes:
    """The root over consecutive complete subtrees of falling size, given from left to right; at least one."""
    stack = list(hashes)
    result = stack.pop()
    while stack:
        result = sha256(b"\x01" + stack.pop() + result).digest()
    return result


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root of the tree over `leaf_hashes`; SHA-256 of nothing for no leaves."""
    if not leaf_hashes:
        return EMPTY_ROOT
    row = list(leaf_hashes)
    while len(row) > 1:
        # An odd last node is carried up unchanged: it is the ragged right edge of the tree.
        paired = [sha256(b"\x01" + a + b).digest() for a, b in zip(row[::2], row[1::2], strict=False)]
        if len(row) % 2:
            paired.append(row[-1])
        row = paired
    return row[0]


def right_edge(size: int, level: int = 0, start: int = 0) -> list[Node]:
    """The largest complete subtrees that cover the leaves from `start * 2^level` up to `size`, left to right.

    From the origin these are the nodes that a growing tree must remember, one for each bit of `size`.
    """
    position = start << level
    nodes = []
    rest = size - position
    while rest:
        height = rest.bit_length() - 1
        nodes.append((height, position >> height))
        position += 1 << height
        rest -= 1 << height
    return nodes


def _path(
    level: int, index: int, size: int, node: Callable[[int, int], Part], edge: Callable[[int, int, int], Part]
) -> list[Part]:
    """The path from node `(level, index)` to the root at `size`, each element made by `node` or, once, `edge`."""
    path = []
    last = (size - 1) >> level
    while last:
        sibling = index ^ 1
        # The sibling's last leaf is there if a later node of its level is, or if it is the last and complete.
        if sibling < last or (sibling == last and (last + 1) << level == size):
            path.append(node(level, sibling))
        elif sibling == last:
            path.append(edge(size, level, sibling))
        # Otherwise the node is the ragged right edge itself and goes up unchanged.
        level += 1
        index >>= 1
        last >>= 1
    return path


def _plan(level: int, index: int, size: int) -> list[list[Node]]:
    return _path(level, index, size, lambda level, index: [(level, index)], right_edge)


def plan_inclusion(index: int, size: int) -> list[list[Node]]:
    """The nodes that fold into each element of the proof that leaf `index` is in the tree of `size` leaves.

    Raises:
        ProofError: there is no such leaf.

    Source: RFC 9162 section 2.1.3.1.
    """
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    return _plan(0, index, size)


def plan_consistency(size1: int, size2: int) -> list[list[Node]]:
    """The nodes that fold into each element of the proof that the tree of `size1` is a prefix of that of
    `size2`.

    Raises:
        ProofError: the sizes are out of order.

    Source: RFC 9162 section 2.1.4.1.
    """
    if not 0 <= size1 <= size2:
        raise ProofError(f"a tree of {size1} is no prefix of one of {size2}")
    if size1 in (0, size2):
        return []
    level = (size1 & -size1).bit_length() - 1
    index = (size1 >> level) - 1
    # When size1 is a power of two the verifier already holds its root, and the path starts without it.
    return ([[(level, index)]] if index else []) + _plan(level, index, size2)


class Tree:
    """A tree that keeps every node in memory, 64 bytes a leaf: for tests, audits and logs of moderate
    size."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self._size = 0
        for each in leaf_hashes:
            self.append(each)

    def __len__(self) -> int:
        return self._size

    def append(self, leaf_hash: bytes) -> int:
        """The leaf has been added; its index is returned."""
        index = self._size
        levels = self._levels
        levels[0] += leaf_hash
        self._size = index + 1
        node, level = leaf_hash, 0
        while index & 1:
            node = sha256(b"\x01" + levels[level][-64:]).digest()
            index >>= 1
            level += 1
            if level == len(levels):
                levels.append(bytearray())
            levels[level] += node
        return self._size - 1

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree."""
        return bytes(self._levels[level][32 * index : 32 * index + 32])

    def edge(self, size: int, level: int = 0, start: int = 0) -> bytes:
        """The root over the leaves from `start * 2^level` up to `size`, at least one."""
        return fold([self.node(*node) for node in right_edge(size, level, start)])

    def root(self, size: int | None = None) -> bytes:
        """The root of the tree, or of its first `size` leaves."""
        size = self._size if size is None else size
        if not 0 <= size <= self._size:
            raise ProofError(f"no tree of {size} in one of {self._size}")
        return self.edge(size) if size else EMPTY_ROOT


def _as_tree(leaves: "Tree | Sequence[bytes]") -> Tree:
    return leaves if isinstance(leaves, Tree) else Tree(leaves)


def resolve(plan: Sequence[Sequence[Node]], node: Nodes) -> list[bytes]:
    """The proof whose plan is `plan`, with the hashes that `node(level, index)` gives."""
    return [
        node(*nodes[0]) if len(nodes) == 1 else fold([node(level, index) for level, index in nodes])
        for nodes in plan
    ]


def inclusion_proof(leaves: Tree | Sequence[bytes], index: int, size: int | None = None) -> list[bytes]:
    """The proof that leaf `index` is in the tree over the first `size` of `leaves` (a `Tree`, or leaf
    hashes).

    Raises:
        ProofError: there is no such leaf, or no such tree.
    """
    size = len(leaves) if size is None else size
    if size > len(leaves):
        raise ProofError(f"no tree of {size} in one of {len(leaves)}")
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    tree = _as_tree(leaves)
    return _path(0, index, size, tree.node, tree.edge)


def consistency_proof(leaves: Tree | Sequence[bytes], size1: int, size2: int | None = None) -> list[bytes]:
    """The proof that the tree over the first `size1` of `leaves` is a prefix of that over the first `size2`.

    Raises:
        ProofError: the sizes are out of order, or there is no such tree.
    """
    size2 = len(leaves) if size2 is None else size2
    if size2 > len(leaves):
        raise ProofError(f"no tree of {size2} in one of {len(leaves)}")
    return resolve(plan_consistency(size1, size2), _as_tree(leaves).node)


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """The leaf is in the tree of `size` leaves with root `root`, at `index`.

    Raises:
        ProofError: the proof does not show that.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    if len(leaf_hash) != HASH_BYTES:
        raise ProofError("the leaf hash is not a SHA-256 hash")
    # The path of the leaf and that of the last leaf meet after `inner` levels; above, all siblings are on the
    # left. The section's bit by bit walk, with its two exits for length, comes to the same.
    inner = (index ^ (size - 1)).bit_length()
    if len(proof) != inner + (index >> inner).bit_count():
        raise ProofError("the proof has another length")
    result = leaf_hash
    for element in proof[:inner]:
        if index & 1:
            result = sha256(b"\x01" + element + result).digest()
        else:
            result = sha256(b"\x01" + result + element).digest()
        index >>= 1
    for element in proof[inner:]:
        result = sha256(b"\x01" + element + result).digest()
    if result != root or any(len(element) != HASH_BYTES for element in proof):
        raise ProofError("the proof leads to another root")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """The tree of `size1` leaves with root `root1` is a prefix of the tree of `size2` leaves with root
    `root2`.

    Raises:
        ProofError: the proof does not show that.

    Source: RFC 9162 section 2.1.4.2; a first size of zero, which that section leaves out, asks for the empty
    tree's root and an empty proof (C2SP tlog-witness).
    """
    if not 0 <= size1 <= size2:
        raise ProofError(f"a tree of {size1} is no prefix of one of {size2}")
    if any(len(each) != HASH_BYTES for each in (*proof, root1, root2)):
        raise ProofError("not a SHA-256 hash")
    if size1 == size2:
        if proof:
            raise ProofError("the proof is too long")
        if root1 != root2:
            raise ProofError("two roots for one size")
        return
    if size1 == 0:
        if proof:
            raise ProofError("the proof is too long")
        if root1 != EMPTY_ROOT:
            raise ProofError("the empty tree has another root")
        return
    elements = list(proof)
    if not elements:
        raise ProofError("the proof is too short")
    if size1 & (size1 - 1) == 0:
        elements.insert(0, root1)
    first, last = size1 - 1, size2 - 1
    while first & 1:
        first >>= 1
        last >>= 1
    old = new = elements[0]
    for element in elements[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if first & 1 or first == last:
            old = sha256(b"\x01" + element + old).digest()
            new = sha256(b"\x01" + element + new).digest()
            while not first & 1 and first:
                first >>= 1
                last >>= 1
        else:
            new = sha256(b"\x01" + new + element).digest()
        first >>= 1
        last >>= 1
    if last:
        raise ProofError("the proof is too short")
    if old != root1:
        raise ProofError("the proof leads to another first root")
    if new != root2:
        raise ProofError("the proof leads to another second root")


class Frontier:
    """A growing tree that remembers only its right edge: what a sequencer needs to go on, O(log n) hashes.

    `nodes` are the hashes of `right_edge(size)`.
    """

    __slots__ = ("_nodes", "_size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self._size = size
        self._nodes = list(nodes)
        if len(self._nodes) != size.bit_count():
            raise ProofError(f"a tree of {size} has {size.bit_count()} nodes at its edge")

    @property
    def size(self) -> int:
        return self._size

    @property
    def nodes(self) -> tuple[bytes, ...]:
        return tuple(self._nodes)

    def append(self, leaf_hash: bytes) -> int:
        """The leaf has been added; its index is returned."""
        index = self._size
        nodes = self._nodes
        node = leaf_hash
        carry = index
        while carry & 1:
            node = sha256(b"\x01" + nodes.pop() + node).digest()
            carry >>= 1
        nodes.append(node)
        self._size = index + 1
        return index

    def root(self) -> bytes:
        """The root of the tree."""
        return fold(self._nodes) if self._size else EMPTY_ROOT

    def copy(self) -> "Frontier":
        """The same tree, growing on its own from here."""
        return Frontier(self._size, self._nodes)
