"""Where the bytes of batches lie: objects, sealed under a key outside the store, each bound to its own name.

Names are made of the batch's id and numbers; nothing that a consumer sends is part of one.
"""

import asyncio
import hashlib
import io
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from uuid import UUID

from koinon.base.crypto import hkdf, open_sealed, seal
from koinon.base.files import create_file
from koinon.base.objects import Objects
from koinon.integrator.deferred.model import PIECE_BYTES, ResultFile

_FOLDER = "deferred"


class SealedObjects:
    """Objects of batches, readable with this installation's key only."""

    def __init__(self, objects: Objects, secret: bytes) -> None:
        self._objects = objects
        self._key = hkdf(secret, b"koinon deferred objects")

    @classmethod
    def load(cls, objects: Objects, home: Path) -> Self:
        """Under the key `home/keys/deferred.key`, made at the first use."""
        path = home / "keys" / "deferred.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(path, secrets.token_bytes(32))
        return cls(objects, path.read_bytes())

    async def put(self, name: str, data: bytes) -> None:
        """`data` is durable under `name`."""
        await self._objects.put(name, await asyncio.to_thread(seal, self._key, data, name.encode()))

    async def get(self, name: str) -> bytes:
        """What was put.

        Raises:
            NotFound: `object_not_found`.
            Invalid: `seal_broken`: it was altered, or is another object's.
        """
        sealed = await self._objects.get(name)
        return await asyncio.to_thread(open_sealed, self._key, sealed, name.encode())

    async def forget(self, batch: UUID) -> None:
        """Nothing of the batch is there any more."""
        names = [each.key async for each in self._objects.list(f"{_FOLDER}/{batch.hex}")]
        for name in names:
            await self._objects.delete(name)


def piece_name(batch: UUID, start: int) -> str:
    """Of a piece of an upload."""
    return f"{_FOLDER}/{batch.hex}/in/{start:013d}"


def chunk_name(batch: UUID, number: int) -> str:
    """Of a chunk as the check wrote it."""
    return f"{_FOLDER}/{batch.hex}/chunk/{number:07d}"


def part_name(batch: UUID, number: int, fence: int) -> str:
    """Of a chunk's answers: under a fence, so that a late writer cannot replace what was recorded."""
    return f"{_FOLDER}/{batch.hex}/part/{number:07d}-{fence}"


def file_piece_name(batch: UUID, file: str, number: int) -> str:
    """Of a piece of a file to fetch."""
    return f"{_FOLDER}/{batch.hex}/out/{file}/{number:07d}"


class PiecesIn(io.RawIOBase):
    """The pieces of an upload as one stream, for a reader in a thread; `sha256` and `length` of what went through."""

    def __init__(self, store: SealedObjects, names: Sequence[str], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._store, self._names, self._loop = store, list(names), loop
        self._rest = memoryview(b"")
        self.sha256 = hashlib.sha256()
        self.length = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        while not self._rest:
            if not self._names:
                return 0
            asked = asyncio.run_coroutine_threadsafe(self._store.get(self._names.pop(0)), self._loop)
            data = asked.result()
            self.sha256.update(data)
            self.length += len(data)
            self._rest = memoryview(data)
        taken = min(len(buffer), len(self._rest))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken

    def drain(self) -> None:
        """All that is left has gone through: a reader that gave up has not seen the end."""
        while self.read(1 << 20):
            pass


class PiecesOut(io.RawIOBase):
    """A file to fetch, written by a writer in a thread, cut into pieces of `PIECE_BYTES`."""

    def __init__(self, store: SealedObjects, batch: UUID, name: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._store, self._batch, self._name, self._loop = store, batch, name, loop
        self._waiting = bytearray()
        self._hash = hashlib.sha256()
        self._length = 0
        self._pieces = 0

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._hash.update(data)
        self._length += len(data)
        self._waiting += data
        while len(self._waiting) >= PIECE_BYTES:
            self._put(bytes(self._waiting[:PIECE_BYTES]))
            del self._waiting[:PIECE_BYTES]
        return len(data)

    def finish(self) -> ResultFile:
        """The last piece is durable; what the file is."""
        if self._waiting:
            self._put(bytes(self._waiting))
            self._waiting.clear()
        return ResultFile(
            name=self._name, length=self._length, sha256=self._hash.hexdigest(), pieces=self._pieces
        )

    def _put(self, data: bytes) -> None:
        name = file_piece_name(self._batch, self._name, self._pieces)
        asyncio.run_coroutine_threadsafe(self._store.put(name, data), self._loop).result()
        self._pieces += 1
