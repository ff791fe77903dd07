"""What a store of objects does, and what a key may look like."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

import msgspec

from koinon.base.errors import Invalid

MAX_KEY_BYTES: Final = 900
MAX_SEGMENT_BYTES: Final = 200

# No dot in front (hidden files, `.`, `..`), nothing that a file system, an URL or a shell reads specially.
_is_segment = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*").fullmatch


class ObjectInfo(msgspec.Struct, frozen=True):
    """What a list tells of an object. `modified_at` is the store's own clock."""

    key: str
    size_bytes: int
    modified_at: datetime


@runtime_checkable
class Objects(Protocol):
    """A store of named bytes.

    A key is one or more segments joined by `/`, as `check_key` lets through. A key and a folder of the
    same name do not go together: `a` and `a/b` may not both exist.

    Every call raises `Invalid: invalid_object_key` for a key of another form, and `Unavailable:
    objects_unavailable` when the store does not answer, is full or fails.
    """

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """`data` is stored under `key`, whole and durable; what was there is replaced.

        With `if_absent`, of several writers exactly one succeeds.

        Raises:
            Conflict: `object_exists` when `if_absent` and something is there already (over a network this may
                also be our own first try, of which the answer was lost: compare).
        """

    async def get(self, key: str) -> bytes:
        """The object's bytes. Raises `NotFound: object_not_found`."""

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes from `start`, or fewer where the object ends.

        Raises:
            NotFound: `object_not_found`.
            Invalid: `object_range` when the range is empty or begins at or past the end.
        """

    def list(self, folder: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object under `folder` (all, if empty), in an order that depends on the store."""

    async def delete(self, key: str) -> None:
        """There is nothing under `key` (any more)."""

    async def keeps_versions(self, key: str) -> bool:
        """Whether what is deleted or replaced stays, hidden, as an older version, as told of the object `key`.

        Raises:
            NotFound: `object_not_found`.
        """


def check_key(key: str) -> str:
    """`key`, if it may be one.

    Raises:
        Invalid: `invalid_object_key`.
    """
    segments = key.split("/")
    if len(key) > MAX_KEY_BYTES or not all(
        _is_segment(part) and len(part) <= MAX_SEGMENT_BYTES for part in segments
    ):
        raise Invalid("invalid_object_key")
    return key


def check_range(start: int, length: int) -> None:
    """Returns only if `start` and `length` can be a range. Raises `Invalid: object_range`."""
    if start < 0 or length < 1:
        raise Invalid("object_range")
