"""The tree as static resources: hash tiles, entry bundles, their names, and proofs from the tiles they need.

Source: C2SP tlog-tiles, "Merkle Tree" and "Log entries". Pure, but for the fetching that the caller hands in.
"""

import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from koinon.base.errors import Invalid
from koinon.trust.ledger import merkle
from koinon.trust.ledger.merkle import HASH_BYTES, Node, ProofError, right_edge, root

WIDTH: Final = 256
_HEIGHT: Final = 8


class Tile(msgspec.Struct, frozen=True, order=True):
    """A hash tile: `width` consecutive hashes at tree level 8 * `level`, from `index` * 256 on."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its name below the log's prefix."""
        return f"tile/{self.level}/{_encode(self.index)}{_suffix(self.width)}"


class Bundle(msgspec.Struct, frozen=True, order=True):
    """An entry bundle: `width` consecutive entries from `index` * 256 on."""

    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its name below the log's prefix."""
        return f"tile/entries/{_encode(self.index)}{_suffix(self.width)}"


def _encode(index: int) -> str:
    """Three digits a path element, all but the last marked with an x: 1234067 is x001/x234/067."""
    elements = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        elements.append(f"x{index % 1000:03}")
    return "/".join(reversed(elements))


def _suffix(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"


def tiles_of(size: int, since: int = 0) -> Iterator[Tile]:
    """The hash tiles of a tree of `size` leaves that the tree of `since` leaves did not have, level by level.

    A tile that is partial at `since` and fuller at `size` is given with its width at `size`.
    """
    level = 0
    while (hashes := size >> (_HEIGHT * level)) > 0:
        before = since >> (_HEIGHT * level)
        for index in range(before // WIDTH, -(-hashes // WIDTH)):
            width = min(WIDTH, hashes - index * WIDTH)
            if index * WIDTH + width > before:
                yield Tile(level, index, width)
        level += 1


def bundles_of(size: int, since: int = 0) -> Iterator[Bundle]:
    """As `tiles_of`, for entry bundles."""
    for index in range(since // WIDTH, -(-size // WIDTH)):
        width = min(WIDTH, size - index * WIDTH)
        if index * WIDTH + width > since:
            yield Bundle(index, width)


def pack_bundle(entries: Iterable[bytes]) -> bytes:
    """The entries, each behind its length in two bytes, big-endian."""
    parts = []
    for entry in entries:
        parts.append(struct.pack(">H", len(entry)))
        parts.append(entry)
    return b"".join(parts)


def unpack_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        Invalid: `bundle_malformed`.
    """
    entries = []
    position = 0
    while position < len(data):
        start = position + 2
        if start > len(data):
            raise Invalid("bundle_malformed", position=position)
        position = start + int.from_bytes(data[start - 2 : start], "big")
        if position > len(data):
            raise Invalid("bundle_malformed", position=start - 2)
        entries.append(data[start:position])
    return entries


def tile_of(node: Node, size: int) -> Tile:
    """The tile of a tree of `size` leaves from which the hash of `node` follows."""
    level, index = node[0] // _HEIGHT, node[1] << (node[0] % _HEIGHT) >> _HEIGHT
    return Tile(level, index, min(WIDTH, (size >> (_HEIGHT * level)) - index * WIDTH))


class Tiles:
    """Tiles of one tree that have been fetched; `node` reads from them."""

    def __init__(self, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        self._tiles: dict[tuple[int, int], bytes] = {}
        for tile, data in tiles:
            if len(data) < HASH_BYTES * tile.width or len(data) % HASH_BYTES:
                raise ProofError(f"{tile.path} has {len(data)} bytes")
            self._tiles[tile.level, tile.index] = data

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree."""
        height = level % _HEIGHT
        start = index << height
        data = self._tiles[level // _HEIGHT, start >> _HEIGHT]
        start %= WIDTH
        found = data[HASH_BYTES * start : HASH_BYTES * (start + (1 << height))]
        return found if height == 0 else root(split(found))


Fetch = Callable[[Tile], Awaitable[bytes]]


async def _fetch(plan: Sequence[Sequence[Node]], size: int, fetch: Fetch) -> Tiles:
    needed = sorted({tile_of(node, size) for nodes in plan for node in nodes})
    return Tiles([(tile, await fetch(tile)) for tile in needed])


async def prove_inclusion(index: int, size: int, fetch: Fetch) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves, from the tiles it needs and no others.

    Raises:
        ProofError: there is no such leaf, or a tile is too short. Whether the tiles are right is known when
            the proof is verified against a checkpoint.
    """
    plan = merkle.plan_inclusion(index, size)
    return merkle.resolve(plan, (await _fetch(plan, size, fetch)).node)


async def prove_consistency(size1: int, size2: int, fetch: Fetch) -> list[bytes]:
    """The proof that the tree of `size1` is a prefix of that of `size2`; as `prove_inclusion`."""
    plan = merkle.plan_consistency(size1, size2)
    return merkle.resolve(plan, (await _fetch(plan, size2, fetch)).node)


async def root_from_tiles(size: int, fetch: Fetch) -> bytes:
    """The root of the tree of `size` leaves, from the tiles at its right edge."""
    if size == 0:
        return merkle.EMPTY_ROOT
    plan = [right_edge(size)]
    return merkle.resolve(plan, (await _fetch(plan, size, fetch)).node)[0]


def split(data: bytes) -> list[bytes]:
    """The hashes that lie one behind the other in `data`."""
    return [data[n : n + HASH_BYTES] for n in range(0, len(data), HASH_BYTES)]
