"""Where bytes lie, as this process can reach it: a folder that is mounted here, or a bucket.

Nothing is unlinked in a folder that is not the one that the index means: its marker file says which one it is.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec

from koinon.base.errors import KoinonError
from koinon.base.objects import Objects, open_objects
from koinon.video.recorder.disk import MARKER
from koinon.video.recordings import Place, demand_forgetting
from koinon.video.terms.policy import Room

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_DAY: Final = re.compile(r"\d{8}")
PATIENCE_SECONDS: Final = 10.0
"""With a bucket, for all that is deleted at once: a transaction is open meanwhile, and other places wait their turn."""
_AT_ONCE: Final = 16


class Lying(NamedTuple):
    """A file in a place: its name from there, bytes, when it was last written by the place's own clock."""

    file: str
    size: int
    changed: datetime


class Reach(Protocol):
    """What can be done in a place from here."""

    async def remove(self, files: Sequence[str]) -> dict[str, str]:
        """The files are durably gone, but those returned, with why. One that is not there is gone."""

    async def list_files(self) -> list[Lying]:
        """What lies there: of a folder the files of units, of a bucket all but its marker."""


class FolderReach:
    """A folder of recordings that is mounted here. Its methods block, but for `remove`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def remove(self, files: Sequence[str]) -> dict[str, str]:
        return await asyncio.to_thread(self.remove_now, files)

    def remove_now(self, files: Sequence[str]) -> dict[str, str]:
        """As `remove`; each folder is flushed once."""
        failed: dict[str, str] = {}
        by_folder: dict[str, list[str]] = {}
        for file in files:
            if is_relative(file):
                by_folder.setdefault(str(Path(file).parent), []).append(file)
            else:
                failed[file] = "not a file under its place"
        for name, inside in by_folder.items():
            try:
                with _opened(self.folder, name) as folder:
                    for file in inside:
                        try:
                            os.unlink(Path(file).name, dir_fd=folder)
                        except FileNotFoundError:
                            pass
                        except OSError as error:
                            failed[file] = error.strerror or type(error).__name__
                    os.fsync(folder)
            except FileNotFoundError:
                continue  # the folder of that day is gone, and what was in it
            except OSError as error:
                failed |= dict.fromkeys(inside, error.strerror or type(error).__name__)
                continue
            self._drop_empty(name)
        return failed

    def _drop_empty(self, name: str) -> None:
        """The folder of a day is gone when it is empty and no recorder can be about to write in it."""
        day = Path(name).name
        if not _DAY.fullmatch(day) or day >= f"{datetime.now().astimezone() - timedelta(days=2):%Y%m%d}":
            return
        with contextlib.suppress(OSError):
            (self.folder / name).rmdir()
            with _opened(self.folder, str(Path(name).parent)) as parent:
                os.fsync(parent)

    def room(self) -> Room:
        """What is left there; free None where the system does not say."""
        try:
            told = os.statvfs(self.folder)
        except OSError:
            return Room(None, 0)
        return Room(told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize)

    async def list_files(self) -> list[Lying]:
        return await asyncio.to_thread(lambda: list(self._list()))

    def _list(self) -> Iterator[Lying]:
        """Every file of a unit, finished or not."""
        for path in sorted(self.folder.glob("*/*/*")):
            with contextlib.suppress(FileNotFoundError):
                told = path.stat()
                changed = datetime.fromtimestamp(told.st_mtime, UTC)
                yield Lying(str(path.relative_to(self.folder)), told.st_size, changed)


class BucketReach:
    """A bucket. Nothing is deleted in one that would keep it as an older version: it would only seem gone."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    async def remove(self, files: Sequence[str]) -> dict[str, str]:
        failed = dict.fromkeys(files, "the bucket was not done with it in time")
        gate = asyncio.Semaphore(_AT_ONCE)

        async def remove(file: str) -> None:
            async with gate:
                try:
                    await self.objects.delete(file)
                except KoinonError as error:
                    failed[file] = str(error)
                else:
                    failed.pop(file, None)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                try:
                    await demand_forgetting(self.objects)
                except KoinonError as error:
                    return dict.fromkeys(files, str(error))
                await asyncio.gather(*map(remove, files))
        return failed

    async def list_files(self) -> list[Lying]:
        return [
            Lying(each.key, each.size_bytes, each.modified_at)
            async for each in self.objects.list()
            if each.key != MARKER
        ]


def reach(place: Place, home: Path) -> FolderReach | BucketReach | None:
    """The place, if it can be reached from here: a folder only where its own marker lies in it."""
    if place.kind == "s3":
        return BucketReach(open_objects(place.address, home))
    folder = Path(place.address)
    try:
        marker = msgspec.json.decode((folder / MARKER).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
    return FolderReach(folder) if marker.get("id") == str(place.marker) else None


def is_relative(file: str) -> bool:
    """Whether the name stays under its place: plain segments only."""
    return all(_SEGMENT.fullmatch(part) for part in file.split("/"))


@contextlib.contextmanager
def _opened(root: Path, name: str) -> Iterator[int]:
    """The folder `name` under `root`, open; no link in it is followed."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in Path(name).parts:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)
