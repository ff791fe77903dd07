"""Objects in a local folder, written by `base.files`.

An object is written aside in its own folder, flushed to the disk, and only then given its name; then the
folder is flushed too. A reader sees the old object or the new one, whole; after a crash the same holds.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from koinon.base.errors import Conflict, Invalid, NotFound, Unavailable
from koinon.base.files import create_file, fsync_folder, replace_file
from koinon.base.objects.port import ObjectInfo, check_key, check_range

# Others of the operator's group may read: a web server that publishes tiles, a back-up.
_MODE = 0o640


class LocalObjects:
    """Objects under the folder `root`, which is made if it is not there."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        with _faults("root"):
            _make_folders(self._root)

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        check_key(key)
        await asyncio.to_thread(self._put, key, data, if_absent)

    async def get(self, key: str) -> bytes:
        return await asyncio.to_thread(self._read, check_key(key), 0, None)

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        check_key(key)
        check_range(start, length)
        return await asyncio.to_thread(self._read, key, start, length)

    async def list(self, folder: str = "") -> AsyncIterator[ObjectInfo]:
        # A folder's name ends with a slash here.
        waiting = [f"{check_key(folder)}/" if folder else ""]
        while waiting:
            name = waiting.pop()
            if name == "" or name.endswith("/"):
                names = await asyncio.to_thread(self._names, name)
                waiting.extend(name + entry for entry in reversed(names))
            else:
                info = await asyncio.to_thread(self._stat, name)
                if info is not None:
                    yield info

    async def delete(self, key: str) -> None:
        check_key(key)
        await asyncio.to_thread(self._delete, key)

    async def keeps_versions(self, key: str) -> bool:
        check_key(key)
        return False

    async def sweep(self, older_than_seconds: float = 86_400) -> int:
        """Temporary files that a crash left behind are gone if older than that; the number of them."""
        return await asyncio.to_thread(self._sweep, older_than_seconds)

    def _put(self, key: str, data: bytes, if_absent: bool) -> None:
        path = self._root / key
        with _faults(key):
            _make_folders(path.parent)
            if not if_absent:
                replace_file(path, data, _MODE)
            elif path.exists() or not create_file(path, data, _MODE):
                raise Conflict("object_exists", key=key)

    def _read(self, key: str, start: int, length: int | None) -> bytes:
        with _faults(key), (self._root / key).open("rb") as file:
            if length is None:
                return file.read()
            if start >= os.fstat(file.fileno()).st_size:
                raise Invalid("object_range", key=key)
            file.seek(start)
            return file.read(length)

    def _names(self, folder: str) -> Sequence[str]:
        try:
            with _faults(folder), os.scandir(self._root / folder) as entries:
                names = [
                    entry.name + ("/" if entry.is_dir() else "")
                    for entry in entries
                    if not entry.name.startswith(".")
                ]
        except NotFound:
            return []
        return sorted(names)

    def _stat(self, key: str) -> ObjectInfo | None:
        try:
            with _faults(key):
                found = (self._root / key).stat()
        except NotFound:  # deleted since the folder was read
            return None
        return ObjectInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _delete(self, key: str) -> None:
        path = self._root / key
        try:
            with _faults(key):
                path.unlink()
                fsync_folder(path.parent)
        except NotFound:
            return

    def _sweep(self, older_than_seconds: float) -> int:
        limit, count = time.time() - older_than_seconds, 0
        with _faults("root"):
            # No segment of a key begins with a dot; what does was being written.
            for path in self._root.rglob(".*"):
                with contextlib.suppress(FileNotFoundError):
                    if path.is_file() and path.stat().st_mtime < limit:
                        path.unlink()
                        count += 1
        return count


def _make_folders(folder: Path) -> None:
    """`folder` and those above it exist, durably."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o750)
    if not folder.is_dir():
        raise NotADirectoryError(folder)
    fsync_folder(folder.parent)


@contextlib.contextmanager
def _faults(key: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise Conflict("object_exists", key=key) from None
    except FileNotFoundError:
        raise NotFound("object_not_found", key=key) from None
    except (IsADirectoryError, NotADirectoryError):
        raise Conflict("object_in_the_way", key=key) from None
    except OSError as error:
        raise Unavailable("objects_unavailable", why=error.strerror or type(error).__name__) from error
