"""What the sequencer has numbered, published: tiles and entry bundles first, then the signed checkpoint.

The publisher reads rows, not the sequencer's memory, and computes the root from its own tiles. It signs only
when that root is the head's: the two computations check each other.
"""

import asyncio
from collections.abc import Sequence

import structlog

from koinon.base.database import Database
from koinon.base.errors import Conflict, KoinonError
from koinon.trust.ledger import merkle
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.merkle import leaf_hash
from koinon.trust.ledger.notes import Signer
from koinon.trust.ledger.published import CHECKPOINT, PublishedLog
from koinon.trust.ledger.sequencing import store
from koinon.trust.ledger.sequencing.store import Head, Row
from koinon.trust.ledger.tiles import (
    WIDTH,
    Bundle,
    Tile,
    bundles_of,
    pack_bundle,
    root_from_tiles,
    split,
    tile_of,
    tiles_of,
)

CHUNK = 64 * WIDTH
_PARALLEL = 16
_log = structlog.get_logger(__name__)


class TileEdge:
    """The tiles at the right edge of a growing tree: level by level the hashes of the unfinished one."""

    def __init__(self, levels: Sequence[Sequence[bytes]] = ()) -> None:
        self._levels = [list(level) for level in levels]

    def append(self, leaf: bytes, size: int) -> list[tuple[Tile, bytes]]:
        """The leaf is the last of a tree of `size` leaves; returns the tiles that it made full."""
        full = []
        node = leaf
        for level in range(64):
            if level == len(self._levels):
                self._levels.append([])
            hashes = self._levels[level]
            hashes.append(node)
            if len(hashes) < WIDTH:
                break
            full.append((Tile(level, (size >> 8 * level) // WIDTH - 1), b"".join(hashes)))
            node = merkle.root(hashes)
            hashes.clear()
        return full

    def partial(self, size: int) -> list[tuple[Tile, bytes]]:
        """The unfinished tiles of the tree of `size` leaves."""
        return [
            (Tile(level, (size >> 8 * level) // WIDTH, len(hashes)), b"".join(hashes))
            for level, hashes in enumerate(self._levels)
            if hashes
        ]

    def root(self) -> bytes:
        """The root of the tree."""
        nodes: list[bytes] = []
        for hashes in reversed(self._levels):
            for height, index in merkle.right_edge(len(hashes)):
                nodes.append(merkle.root(hashes[index << height : (index + 1) << height]))
        return merkle.fold(nodes) if nodes else merkle.EMPTY_ROOT

    def copy(self) -> "TileEdge":
        return TileEdge(self._levels)


class Publisher:
    """Publishes one generation of one log."""

    def __init__(self, database: Database, published: PublishedLog, head: Head, signer: Signer) -> None:
        self._database = database
        self._published = published
        self._signer = signer
        self.head = head
        self.checkpoint: Checkpoint | None = None
        self.note = ""
        self._edge = TileEdge()
        self._partial: set[str] = set()

    async def load(self) -> None:
        """What was published before is known, and agrees with itself and with the database.

        Raises:
            Conflict: `restored_below_checkpoint` when the database is behind its own last checkpoint,
                `tiles_disagree` when the tiles are not those of the checkpoint, or the rows not those of the
                tiles.
            NotIdentified, Invalid: the stored checkpoint is not ours.
        """
        note = await self._published.find(CHECKPOINT)
        if note is None:
            return
        checkpoint, _ = open_checkpoint(note, self._signer.verifier)
        size = checkpoint.size
        if size > self.head.size:
            raise Conflict(
                "restored_below_checkpoint", log=self.head.log.value, size=self.head.size, checkpoint=size
            )
        try:
            levels = []
            for level in range(8):
                width = (size >> 8 * level) % WIDTH
                tile = Tile(level, (size >> 8 * level) // WIDTH, width)
                levels.append(split((await self._published.tile(tile))[: 32 * width]) if width else [])
            edge = TileEdge(levels)
            found = await root_from_tiles(size, self._published.tile)
        except KoinonError as error:
            raise Conflict("tiles_disagree", log=self.head.log.value, size=size, why=str(error)) from error
        if edge.root() != checkpoint.root or found != checkpoint.root:
            raise Conflict("tiles_disagree", log=self.head.log.value, size=size, why="root of the tiles")
        self._edge, self.checkpoint, self.note = edge, checkpoint, note.decode()
        await self._compare_rows(size)

    async def _compare_rows(self, size: int) -> None:
        """The newest rows below the checkpoint are the tiles'; all above it lead to the head's root."""
        async with self._database.acquire() as connection:
            start = max(0, size - CHUNK) // WIDTH * WIDTH
            rows = await store.list_leaves(connection, self.head.log, self.head.generation, start, size)
            stored = {row.index: row.hash for row in rows}
            for index in range(start, size, WIDTH):
                tile = tile_of((0, index), size)
                hashes = split((await self._published.tile(tile))[: 32 * tile.width])
                for offset, expected in enumerate(hashes):
                    if stored.get(index + offset) != expected:
                        raise Conflict("tiles_disagree", log=self.head.log.value, index=index + offset)
            edge = self._edge.copy()
            for begin in range(size, self.head.size, CHUNK):
                until = min(begin + CHUNK, self.head.size)
                rows = await store.list_leaves(connection, self.head.log, self.head.generation, begin, until)
                _check_rows(self.head, rows, begin, until)
                for row in rows:
                    edge.append(row.hash, row.index + 1)
        if edge.root() != self.head.root:
            raise Conflict(
                "tiles_disagree", log=self.head.log.value, size=self.head.size, why="root of the head"
            )

    async def publish(self) -> bool:
        """Everything that is numbered is published; whether there was anything new.

        Raises:
            Conflict: `tiles_disagree`, `entry_altered`: nothing was signed.
            Unavailable: the objects or the database do not answer; tried again, it goes on where it was.
        """
        async with self._database.acquire() as connection:
            head = await store.find_head(connection, self.head.log)
        if head is None or head.generation != self.head.generation:
            raise Conflict("sequencer_fenced", log=self.head.log.value)
        self.head = head
        size = self.checkpoint.size if self.checkpoint else -1
        if head.size == size:
            return False
        while True:
            start = max(size, 0)
            size = min(start + CHUNK, head.size)
            await self._publish_chunk(start, size, head if size == head.size else None)
            if size == head.size:
                return True

    async def _publish_chunk(self, start: int, size: int, head: Head | None) -> None:
        begin = start // WIDTH * WIDTH  # an unfinished bundle is written anew, from its first entry
        async with self._database.acquire() as connection:
            rows = await store.list_leaves(connection, self.head.log, self.head.generation, begin, size)
        _check_rows(self.head, rows, begin, size)
        edge = self._edge.copy()
        tiles: list[tuple[Tile, bytes]] = []
        entries: list[bytes] = []
        for row in rows:
            if row.data is None or leaf_hash(row.data) != row.hash:
                raise Conflict(
                    "entry_altered", log=self.head.log.value, index=row.index, entry=str(row.entry)
                )
            entries.append(row.data)
            if row.index >= start:
                tiles += edge.append(row.hash, row.index + 1)
        root = edge.root()
        if head is not None and root != head.root:
            raise Conflict("tiles_disagree", log=self.head.log.value, size=size, why="root of the head")
        new = set(tiles_of(size, start))
        objects = {tile.path: data for tile, data in (*tiles, *edge.partial(size)) if tile in new}
        for bundle in bundles_of(size, start):
            first = bundle.index * WIDTH - begin
            objects[bundle.path] = pack_bundle(entries[first : first + bundle.width])
        await self._put_all(objects)
        checkpoint = Checkpoint(self.head.origin, size, root)
        note = checkpoint.sign(self._signer)
        await self._published.put(CHECKPOINT, note.encode())
        self._edge, self.checkpoint, self.note = edge, checkpoint, note
        await self._forget_partial(objects)

    async def _put_all(self, objects: dict[str, bytes]) -> None:
        limit = asyncio.Semaphore(_PARALLEL)

        async def put(path: str, data: bytes) -> None:
            async with limit:
                await self._published.put(path, data)

        async with asyncio.TaskGroup() as group:
            for path, data in objects.items():
                group.create_task(put(path, data))

    async def _forget_partial(self, objects: dict[str, bytes]) -> None:
        """Partial tiles whose full tile is there are removed, as C2SP tlog-tiles allows."""
        self._partial |= {path for path in objects if ".p/" in path}
        done = {path for path in self._partial if path.partition(".p/")[0] in objects}
        self._partial -= done
        for path in done:
            try:
                await self._published.delete(path)
            except KoinonError:
                _log.warning("partial_tile_not_removed", path=path)


def _check_rows(head: Head, rows: Sequence[Row], begin: int, until: int) -> None:
    """The rows are those from `begin` up to `until`, without a gap."""
    for index, row in enumerate(rows, start=begin):
        if row.index != index:
            raise Conflict("row_missing", log=head.log.value, index=index)
    if len(rows) != until - begin:
        raise Conflict("row_missing", log=head.log.value, index=begin + len(rows))


def objects_of(rows: Sequence[Row], size: int) -> dict[str, bytes]:
    """Every object of a tree of `size` leaves, rebuilt from all its rows: for repair and export."""
    edge = TileEdge()
    tiles: list[tuple[Tile, bytes]] = []
    for row in rows:
        tiles += edge.append(row.hash, row.index + 1)
    objects = {tile.path: data for tile, data in (*tiles, *edge.partial(size))}
    for bundle in bundles_of(size):
        part = rows[bundle.index * WIDTH : bundle.index * WIDTH + bundle.width]
        objects[bundle.path] = pack_bundle(row.data or b"" for row in part)
    return objects


__all__ = ["Bundle", "Publisher", "TileEdge", "objects_of"]
