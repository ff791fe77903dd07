"""A folder of this machine, or one that is mounted: renaming within it is atomic."""

import asyncio
import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.files.place import (
    FOLDERS,
    IN,
    LIMIT_BYTES,
    TAKING,
    Delivery,
    FileRefused,
    is_known_name,
    is_name,
    taken_name,
)


class FolderPlace:
    """Deliveries under `root`. Links are not followed: neither those of a source nor any other's."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for folder in FOLDERS:
            (root / folder).mkdir(mode=0o770, parents=True, exist_ok=True)

    async def list(self, folder: str) -> Sequence[Delivery]:
        """See `Place.list`."""
        return await asyncio.to_thread(self._list, folder)

    async def take(self, name: str) -> str | None:
        """See `Place.take`."""
        if not is_name(name):
            return None
        taken = taken_name(name)
        try:
            await asyncio.to_thread(os.rename, self._root / IN / name, self._root / TAKING / taken)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise WireFault("unreachable", type(error).__name__) from None
        return taken

    async def read(self, folder: str, name: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
        """See `Place.read`."""
        return await asyncio.to_thread(self._read, folder, name, limit_bytes)

    async def settle(self, taken: str, folder: str, why: str = "") -> None:
        """See `Place.settle`."""
        await asyncio.to_thread(self._settle, taken, folder, why)

    async def close(self) -> None:
        """See `Place.close`."""

    def _list(self, folder: str) -> Sequence[Delivery]:
        accepted = is_name if folder == IN else is_known_name
        found = []
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if not accepted(entry.name):
                        continue
                    try:
                        state = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if stat.S_ISREG(state.st_mode):
                        at = datetime.fromtimestamp(state.st_mtime, UTC)
                        found.append(Delivery(at, entry.name, state.st_size))
        except OSError as error:
            raise WireFault("unreachable", type(error).__name__) from None
        return sorted(found)

    def _read(self, folder: str, name: str, limit_bytes: int) -> bytes:
        try:
            number = os.open(self._root / folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            raise FileRefused("delivery_gone") from None
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise FileRefused("delivery_gone")
            data = file.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise FileRefused("delivery_too_large")
        return data

    def _settle(self, taken: str, folder: str, why: str) -> None:
        try:
            if why:
                (self._root / folder / f"{taken}.why").write_text(f"{why}\n", "ascii")
            (self._root / TAKING / taken).rename(self._root / folder / taken)
        except OSError as error:
            raise WireFault("unreachable", type(error).__name__) from None
