"""The tree: growing it, proving and verifying at ten million leaves, proving from tiles on disk."""

import asyncio
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import pymerkle
from benchmarks.frame import RUNS, repeat, result, row, show, time_per_call

from koinon.trust.ledger import merkle
from koinon.trust.ledger.sequencing.publisher import TileEdge
from koinon.trust.ledger.tiles import Tile, prove_inclusion

LEAVES = 10_000_000
PEER_LEAVES = 100_000


def run() -> dict[str, Any]:
    """The rows `append_us`, `proof_us_10m`, `verify_us`, `proof_from_tiles_cold_ms`."""
    chance = random.Random(9162)
    with tempfile.TemporaryDirectory() as name:
        tree = _grow_tree(Path(name))
        size, root = len(tree), tree.root()
        proofs = repeat(
            lambda: time_per_call(lambda: merkle.inclusion_proof(tree, chance.randrange(size), size))
        )
        index = chance.randrange(size)
        proof, leaf = merkle.inclusion_proof(tree, index, size), tree.node(0, index)
        verified = repeat(
            lambda: time_per_call(lambda: merkle.verify_inclusion(leaf, index, size, proof, root))
        )
        cold = [_prove_cold(Path(name), tree, root, chance.randrange(size)) for _ in range(10 * RUNS)]
    peer_append, peer_proof, peer_verify = _measure_pymerkle(chance)
    return result(
        "merkle",
        [
            row("append_us", "one leaf onto the growing tree (O(log n) state), hash given", "us",
                repeat(_append_us), "<= 2", {"pymerkle": peer_append}),
            row("proof_us_10m", "inclusion proof in a tree of 10,000,000 leaves in memory", "us",
                proofs, "<= 20", {"pymerkle": peer_proof}),
            row("verify_us", "verification of such a proof, 23 or 24 hashes", "us",
                verified, "<= 15", {"pymerkle": peer_verify}),
            row("proof_from_tiles_cold_ms",
                "inclusion proof at 10,000,000 leaves from tile files that are not in the page cache", "ms",
                cold, "<= 5", {}),
        ],
    )  # fmt: skip


def _append_us() -> float:
    leaf = merkle.leaf_hash(b"x")
    frontier = merkle.Frontier()
    count = 200_000
    began = time.perf_counter()
    for _ in range(count):
        frontier.append(leaf)
    return (time.perf_counter() - began) / count * 1e6


def _grow_tree(folder: Path) -> merkle.Tree:
    """A tree of ten million leaves in memory, and its tiles as files below `folder`."""
    tree, edge = merkle.Tree(), TileEdge()
    for n in range(LEAVES):
        leaf = merkle.leaf_hash(n.to_bytes(8, "big"))
        tree.append(leaf)
        for tile, data in edge.append(leaf, n + 1):
            _write(folder, tile, data)
    for tile, data in edge.partial(LEAVES):
        _write(folder, tile, data)
    os.sync()
    return tree


def _write(folder: Path, tile: Tile, data: bytes) -> None:
    path = folder / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _prove_cold(folder: Path, tree: merkle.Tree, root: bytes, index: int) -> float:
    """Milliseconds for a proof whose tiles the kernel has been told to forget."""
    size = len(tree)

    async def warm(tile: Tile) -> bytes:
        return (folder / tile.path).read_bytes()

    proof: list[bytes] = []

    async def measured() -> float:
        nonlocal proof
        needed: list[Tile] = []

        async def fetch(tile: Tile) -> bytes:
            needed.append(tile)
            return await warm(tile)

        await prove_inclusion(index, size, fetch)
        for tile in needed:
            descriptor = os.open(folder / tile.path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        began = time.perf_counter()
        proof = await prove_inclusion(index, size, warm)
        return (time.perf_counter() - began) * 1e3

    taken = asyncio.run(measured())
    merkle.verify_inclusion(tree.node(0, index), index, size, proof, root)
    return taken


def _measure_pymerkle(chance: random.Random) -> tuple[float, float, float]:
    """Append, proof and verification, at 100,000 leaves: at ten million it takes too much memory and time."""
    other = pymerkle.InmemoryTree(algorithm="sha256")
    began = time.perf_counter()
    for n in range(PEER_LEAVES):
        other.append_entry(n.to_bytes(8, "big"))
    append = (time.perf_counter() - began) / PEER_LEAVES * 1e6
    proof = time_per_call(lambda: other.prove_inclusion(chance.randrange(1, PEER_LEAVES)))
    made = other.prove_inclusion(777)
    leaf, root = other.get_leaf(777), other.get_root()
    verify = time_per_call(lambda: pymerkle.verify_inclusion(leaf, root, made))
    return append, proof, verify


if __name__ == "__main__":
    show(run())
