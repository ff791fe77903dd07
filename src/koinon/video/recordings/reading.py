"""Bytes of units, from the folder or the bucket in which they lie; never from anywhere else."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from koinon.base.errors import Invalid, NotFound, Unavailable
from koinon.base.objects import Objects
from koinon.video.recorder.disk import read_marker
from koinon.video.recordings.model import Place, PlaceId, StoredUnit

LARGEST_READ: Final = 64 << 20


class Places:
    """The places that this process can read.

    A folder is read only while the marker in it is the one that the index knows; a unit's path is followed by the
    kernel from that folder down, without symbolic links.
    """

    def __init__(
        self,
        places: Mapping[PlaceId, Place],
        folders: Mapping[PlaceId, Path],
        buckets: Mapping[PlaceId, Objects],
    ) -> None:
        self._places, self._folders, self._buckets = places, folders, buckets

    async def read_unit_bytes(self, unit: StoredUnit, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length) of the unit, fewer where it ends; the loop does not wait for the disk.

        Raises:
            Invalid: `invalid_range`.
            NotFound: `unit_bytes_missing`: it is not there, or is no file of recordings.
            Unavailable: `place_unreachable`: its place is not one that can be read here now.
        """
        if offset < 0 or not 0 < length <= LARGEST_READ or offset >= unit.bytes:
            raise Invalid("invalid_range", bytes=unit.bytes)
        length = min(length, unit.bytes - offset)
        if (bucket := self._buckets.get(unit.place)) is not None:
            try:
                return await bucket.get_range(unit.file, offset, length)
            except (NotFound, Invalid):
                raise NotFound("unit_bytes_missing") from None
        folder, place = self._folders.get(unit.place), self._places.get(unit.place)
        if folder is None or place is None:
            raise Unavailable("place_unreachable", place=unit.place)
        return await asyncio.to_thread(_read, folder, place, unit.file, offset, length)


def _read(folder: Path, place: Place, file: str, offset: int, length: int) -> bytes:
    try:
        if read_marker(folder) != place.marker:
            raise Unavailable("place_unreachable", place=place.id)
    except Unavailable:
        raise Unavailable("place_unreachable", place=place.id) from None
    try:
        descriptor = open_inside(folder, file)
    except (OSError, ValueError):
        raise NotFound("unit_bytes_missing") from None
    try:
        return os.pread(descriptor, length, offset)
    except OSError as error:
        raise Unavailable("place_unreachable", place=place.id, why=error.strerror) from None
    finally:
        os.close(descriptor)


def open_inside(folder: Path, file: str) -> int:
    """A descriptor of the file, to be read; each part of its path is opened from the one above, links refused.

    Raises:
        ValueError: the path leads out of the folder, or is none.
        OSError: it cannot be opened.
    """
    parts = file.split("/")
    if len(parts) != 3 or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError("no file of recordings")
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)


async def find_places(
    places: list[Place], folder: Path, bucket: Objects | None, bucket_place: PlaceId | None
) -> Places:
    """Those of `places` that this machine can read: `folder`, if its marker is known, and the bucket."""
    folders: dict[PlaceId, Path] = {}
    try:
        marker = await asyncio.to_thread(read_marker, folder)
        folders = {each.id: folder for each in places if each.marker == marker}
    except Unavailable:
        pass
    buckets = {bucket_place: bucket} if bucket is not None and bucket_place is not None else {}
    return Places({each.id: each for each in places}, folders, buckets)
