"""A place where a source puts files, whatever it is made of: `in/` for the source, the rest for us.

A delivery is taken out of `in/` by one taker, read whole, and ends in `done/` or in `failed/` with the reason beside
it. A name is looked at before anything is done with it, and is never part of more than one step of a path.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

import msgspec

IN, TAKING, DONE, FAILED = "in", "taking", "done", "failed"
FOLDERS: Final = (IN, TAKING, DONE, FAILED)
# Bytes of one delivery; the whole is read into memory.
LIMIT_BYTES: Final = 64 << 20
# No dot in front, nothing that a file system, an URL or a shell reads specially.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}").fullmatch
_UNFINISHED = (".part", ".tmp", ".filepart")
_TAKEN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,119})=[0-9a-f]{16}").fullmatch


class FileRefused(Exception):
    """A delivery that is not accepted. `code` goes beside it and into the log; never what is in it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Delivery(msgspec.Struct, frozen=True, order=True):
    """A file that lies somewhere. `modified_at` is the clock of the place."""

    modified_at: datetime
    name: str
    size_bytes: int


@runtime_checkable
class Place(Protocol):
    """Where a source delivers.

    Every call raises `WireFault: unreachable` where the place cannot be reached.
    """

    async def list(self, folder: str) -> Sequence[Delivery]:
        """The regular files of a folder whose names are accepted; others are not seen, and so never touched."""

    async def take(self, name: str) -> str | None:
        """The delivery is out of `in/` and ours: its name in `taking/`. None where somebody else has it, or nobody."""

    async def read(self, folder: str, name: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
        """The file, whole.

        Raises:
            FileRefused: `delivery_too_large`, `delivery_gone`.
        """

    async def settle(self, taken: str, folder: str, why: str = "") -> None:
        """What was taken lies in `done/` or `failed/`, under its own name with the mark of its taking; a refused one
        with `why` beside it.
        """

    async def close(self) -> None:
        """Nothing is held."""


def is_name(name: str) -> bool:
    """Whether a delivery may be called so; what is still being written is none yet."""
    return _NAME(name) is not None and not name.endswith(_UNFINISHED)


def is_known_name(name: str) -> bool:
    """Whether a file of ours is called so."""
    return _TAKEN(name) is not None


def taken_name(name: str) -> str:
    """A name for `name` in our folders that no other taking gives."""
    return f"{name}={secrets.token_hex(8)}"


def original_name(taken: str) -> str:
    """The name under which it was delivered."""
    return taken.rpartition("=")[0]
