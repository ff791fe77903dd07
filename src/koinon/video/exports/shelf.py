"""Where the bytes of exports lie: beside the recordings, sealed, in pieces that go with what they were made from."""

import asyncio
import contextlib
import hashlib
import os
import secrets
import zlib
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from koinon.base.clock import Clock
from koinon.base.crypto import hkdf, open_sealed, seal
from koinon.base.database import Database
from koinon.base.errors import NotFound, Unavailable
from koinon.base.files import create_file, replace_file
from koinon.base.ids import new_id
from koinon.base.objects import Objects, open_objects
from koinon.base.settings import Settings
from koinon.video.cameras.model import CameraId, StreamId
from koinon.video.exports.model import Export, ExportFile
from koinon.video.exports.policy import PIECE_BYTES
from koinon.video.recorder.disk import read_marker
from koinon.video.recordings import Place, demand_forgetting, list_places
from koinon.video.terms import Derived, DerivedId, count_derived, insert_derived

KIND: Final = "export"
_FOLDER: Final = "exports"
_LEAST_FREE: Final = 1 << 30
"""Bytes: exports stop long before a recorder has no room left (256 MiB)."""


def prefix_of(export: UUID, attempt: int | None = None) -> str:
    """How the names of its pieces begin, or of those of one attempt at making it."""
    begin = f"{_FOLDER}/{export.hex}-"
    return begin if attempt is None else f"{begin}{attempt}-"


def piece_name(export: UUID, attempt: int, number: int, piece: int) -> str:
    """Of a piece of a file. Another attempt has other names: what is being unlinked is never written."""
    return f"{prefix_of(export, attempt)}{number:04d}-{piece:06d}.sealed"


class Shelf:
    """Puts pieces down and takes them up again, in the folder of recordings of this machine or in the bucket.

    A piece is readable with this installation's key only, and as the piece of its own name.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        folder: Path,
        secret: bytes,
        *,
        bucket: Objects | None = None,
        bucket_address: str = "",
    ) -> None:
        self._database, self._clock, self._folder = database, clock, folder
        self._key = hkdf(secret, b"koinon exports")
        self._bucket, self._bucket_address = bucket, bucket_address

    async def find_place(self) -> Place:
        """Where new pieces are put: the folder, if it is one of recordings, else the bucket.

        Raises:
            Unavailable: `place_unreachable`.
            Invalid: `bucket_keeps_versions`: a piece that is put there would outlive its term.
        """
        async with self._database.acquire() as connection:
            places = await list_places(connection)
        with contextlib.suppress(Unavailable):
            marker = await asyncio.to_thread(read_marker, self._folder)
            for each in places:
                if each.kind == "folder" and each.marker == marker:
                    return each
        for each in places:
            if self._bucket is not None and each.kind == "s3" and each.address == self._bucket_address:
                await demand_forgetting(self._bucket)
                return each
        raise Unavailable("place_unreachable")

    async def put(
        self, place: Place, stream: StreamId, start: datetime, end: datetime, name: str, data: bytes
    ) -> None:
        """The piece is durable, and known as made from what the stream recorded from `start` to `end`.

        Raises:
            NotFound: `source_gone`: what it was made from is gone by now.
            Unavailable: `place_unreachable`; `place_full`: what is left there is for recording.
        """
        room = await self.find_room(place)
        if room is not None and room < 0:
            raise Unavailable("place_full", place=place.id)
        sealed = await asyncio.to_thread(seal, self._key, data, name.encode())
        derived = Derived(
            id=DerivedId(new_id()), stream=stream, start=start, end=end, kind=KIND, place=place.id, file=name,
            bytes=len(sealed),
        )  # fmt: skip
        # The row first: a file that no row knows would outlive its term.
        async with self._database.transaction() as connection:
            if not await insert_derived(connection, derived, self._clock.now()):
                raise NotFound("source_gone")
        if place.kind == "s3":
            assert self._bucket is not None
            await self._bucket.put(name, sealed)
        else:
            await asyncio.to_thread(self._write, place, name, sealed)
        async with self._database.acquire() as connection:
            known = await count_derived(connection, place.id, [name])
        if not known:  # its term ran out between the two
            await self._remove(place, name)
            raise NotFound("source_gone")

    async def get(self, place: Place, name: str) -> bytes:
        """The piece.

        Raises:
            NotFound: `piece_gone`.
            Invalid: `seal_broken`: it was altered, or is another's.
            Unavailable: `place_unreachable`.
        """
        if place.kind == "s3":
            if self._bucket is None or place.address != self._bucket_address:
                raise Unavailable("place_unreachable")
            try:
                sealed = await self._bucket.get(name)
            except NotFound:
                raise NotFound("piece_gone") from None
        else:
            sealed = await asyncio.to_thread(self._read, place, name)
        return await asyncio.to_thread(open_sealed, self._key, sealed, name.encode())

    async def has_all(self, files: list[ExportFile]) -> bool:
        """Whether every piece of the files is still known as made from recordings that are there."""
        async with self._database.acquire() as connection:
            for place in {each.place for each in files}:
                names = [name for each in files if each.place == place for name in names_of(each)]
                if await count_derived(connection, place, names) != len(names):
                    return False
        return True

    async def checked(self, place: Place, file: ExportFile) -> ExportFile:
        """The file with its checksum, which is read where it was not kept. Raises as `get`."""
        if file.crc32 is not None:
            return file
        check = 0
        for name in names_of(file):
            check = zlib.crc32(await self.get(place, name), check)
        return msgspec.structs.replace(file, crc32=check)

    async def find_room(self, place: Place) -> int | None:
        """Bytes that exports may still take there; None where nobody knows, in a bucket.

        Raises:
            Unavailable: `place_unreachable`.
        """
        if place.kind == "s3":
            return None
        try:
            room = await asyncio.to_thread(os.statvfs, self._folder)
        except OSError:
            raise Unavailable("place_unreachable", place=place.id) from None
        return room.f_bavail * room.f_frsize - _LEAST_FREE

    def _write(self, place: Place, name: str, data: bytes) -> None:
        self._check(place)
        path = self._folder / name
        path.parent.mkdir(mode=0o750, exist_ok=True)
        replace_file(path, data)

    def _read(self, place: Place, name: str) -> bytes:
        self._check(place)
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            raise NotFound("piece_gone") from None

    async def _remove(self, place: Place, name: str) -> None:
        if place.kind == "s3":
            assert self._bucket is not None
            await self._bucket.delete(name)
        else:
            await asyncio.to_thread((self._folder / name).unlink, missing_ok=True)

    def _check(self, place: Place) -> None:
        try:
            there = read_marker(self._folder)
        except Unavailable:
            there = None
        if there != place.marker:
            raise Unavailable("place_unreachable", place=place.id)


def names_of(file: ExportFile) -> list[str]:
    """Of all pieces of the file, in order."""
    return [piece_name(file.export, file.attempt, file.number, piece) for piece in range(file.pieces)]


class FileOut:
    """A file of an export that is being written: what is written is hashed, cut into pieces and put down.

    Attributes:
        bytes: written so far.
    """

    def __init__(
        self,
        shelf: Shelf,
        place: Place,
        export: Export,
        number: int,
        name: str,
        camera: CameraId,
        stream: StreamId,
        start: datetime,
        until: datetime,
    ) -> None:
        self.number, self.name, self.start = number, name, start
        self._shelf, self._place, self._export = shelf, place, export
        self._camera, self._stream, self._until = camera, stream, until
        self._waiting = bytearray()
        self._hash = hashlib.sha256()
        self._check = 0
        self.bytes = 0
        self._pieces = 0

    async def write(self, data: bytes) -> None:
        """The bytes follow those that were written before. Raises as `Shelf.put`."""
        self._hash.update(data)
        self._check = zlib.crc32(data, self._check)
        self.bytes += len(data)
        self._waiting += data
        while len(self._waiting) >= PIECE_BYTES:
            await self._put(bytes(self._waiting[:PIECE_BYTES]))
            del self._waiting[:PIECE_BYTES]

    async def close(self, end: datetime) -> ExportFile:
        """All of it is durable; what the file is."""
        if self._waiting:
            await self._put(bytes(self._waiting))
            self._waiting.clear()
        return ExportFile(
            export=self._export.id, attempt=self._export.attempt, number=self.number, camera=self._camera,
            stream=self._stream, name=self.name, start=self.start, end=end, place=self._place.id,
            pieces=self._pieces, bytes=self.bytes, sha256=self._hash.digest(), crc32=self._check,
        )  # fmt: skip

    async def _put(self, data: bytes) -> None:
        name = piece_name(self._export.id, self._export.attempt, self.number, self._pieces)
        # How far the file will reach is not known yet: it may hold whatever the export asks for.
        await self._shelf.put(self._place, self._stream, self.start, self._until, name, data)
        self._pieces += 1


def open_shelf(database: Database, clock: Clock, settings: Settings) -> Shelf:
    """The shelf of this machine, under the key `home/keys/exports.key`, made at the first use."""
    path = settings.home / "keys" / "exports.key"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_file(path, secrets.token_bytes(32))
    folder = Path(settings.recordings_folder) if settings.recordings_folder else settings.home / "recordings"
    url = settings.recordings_url
    bucket = open_objects(url, settings.home) if url else None
    return Shelf(database, clock, folder, path.read_bytes(), bucket=bucket, bucket_address=url)
