"""What is written into the ledger, and what the one who wrote it gets back."""

import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple, NewType
from uuid import UUID

import msgspec

from koinon.base.canonical import canonical
from koinon.base.clock import rfc3339
from koinon.base.crypto import b64url
from koinon.base.errors import Invalid, TooLarge, Unavailable
from koinon.base.ids import new_id

EntryId = NewType("EntryId", UUID)

MAX_MERGE_DELAY_SECONDS: Final = 10
# An entry's length is a uint16 in an entry bundle. Source: C2SP tlog-tiles, "Log entries".
MAX_ENTRY_BYTES: Final = 65_535
VERSION: Final = 1
_RESERVED: Final = frozenset({"v", "id", "kind", "at", "commitment", "subjects"})
_NO_ID: Final = EntryId(UUID(int=0))


class Log(StrEnum):
    """The two logs: what everybody may read, and one entry for each use."""

    REGISTER = "register"
    EXCHANGE = "exchange"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line to write.

    Attributes:
        log: where.
        kind: what happened, lower_snake_case with dots, in the past tense.
        at: when. The exchange log tells it to the minute, the register log exactly.
        public: fields of the entry's bytes. `party`, `keeper` and `authorisation`, where they are text, can
            be searched.
        private: sealed beside the bytes, which only commit to it; exchange log only. With two subjects or
            more it stays readable until the last of them is erased, so what tells about one subject alone
            does not belong here.
        subjects: identifiers (national numbers) of whom it is about; each sealed on its own, found by blind
            index only; exchange log only.
        id: a UUIDv7; in the exchange log its time is cut to the minute too.
    """

    log: Log
    kind: str
    at: datetime
    public: Mapping[str, Any] = {}
    private: Mapping[str, Any] | None = None
    subjects: tuple[str, ...] = ()
    id: EntryId = _NO_ID

    def __post_init__(self) -> None:
        if self.id == _NO_ID:
            made = new_entry_id(coarse=self.log is Log.EXCHANGE)
            msgspec.structs.force_setattr(self, "id", made)
        if self.log is Log.REGISTER and (self.private is not None or self.subjects):
            raise Invalid("register_entry_private", kind=self.kind)
        if not _RESERVED.isdisjoint(self.public):
            raise Invalid("entry_field_reserved", fields=sorted(_RESERVED & self.public.keys()))


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """The entry is durable, and will be in the tree within the maximum merge delay after `at`."""

    entry: EntryId
    log: Log
    leaf_hash: bytes
    at: datetime
    max_merge_delay_seconds: int = MAX_MERGE_DELAY_SECONDS


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it stands in the ledger.

    Attributes:
        public: the whole document of its bytes.
        data: the bytes themselves, which are hashed into the tree.
        sealed: its private part, for `read_private`.
        generation, index: its place in the log; None while it waits for the sequencer.
        numbered_at: when the sequencer gave it that place.
    """

    id: EntryId
    log: Log
    kind: str
    at: datetime
    public: Mapping[str, Any]
    data: bytes
    sealed: bytes | None
    generation: int | None
    index: int | None
    numbered_at: datetime | None


def new_entry_id(*, coarse: bool) -> EntryId:
    """A fresh UUIDv7; with `coarse` its milliseconds are those of the minute's start.

    What follows the time then is a counter of this process and minute from a random start, 28 bits, and 46 random
    bits. It tells the order, which the log tells anyway, and keeps indexes from being written all over.

    Source: RFC 9562 section 5.7, section 6.1 on altering or fuzzing the time, section 6.2 method 1.
    """
    global _counted
    if not coarse:
        return EntryId(new_id())
    minute = int(time.time()) // 60 * 60_000
    random = int.from_bytes(os.urandom(6), "big")
    with _counting:
        last, counter = _counted
        counter = counter + 1 if minute == last else random & 0x7FF_FFFF
        _counted = (minute, counter)
    if counter >> 28:
        raise Unavailable("too_many_entries_a_minute")
    high, low = counter >> 16, (counter & 0xFFFF) << 46 | random >> 2
    return EntryId(UUID(int=minute << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low))


_counting = threading.Lock()
_counted = (0, 0)


def id_at(at: datetime) -> UUID:
    """The lowest id that an entry made at `at` or later can have."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


class Minute(NamedTuple):
    """A minute as entries of the exchange log tell it: its start, RFC 3339 text, and month."""

    start: datetime
    text: str
    month: str


def minute_of(at: datetime) -> Minute:
    """The minute of `at`, UTC."""
    return _minute(int(at.timestamp()) // 60)


@lru_cache(maxsize=16)
def _minute(number: int) -> Minute:
    start = datetime.fromtimestamp(number * 60, UTC)
    return Minute(start, rfc3339(start, minutes=True), start.strftime("%Y-%m"))


def entry_bytes(entry: Entry, commitment: bytes | None = None, subjects_root: bytes | None = None) -> bytes:
    """The bytes of `entry` that are hashed into the tree: canonical JSON (RFC 8785).

    Raises:
        TooLarge: `entry_too_large`.
        Invalid: `not_canonical`.
    """
    document = {
        **entry.public,
        "v": VERSION,
        "id": str(entry.id),
        "kind": entry.kind,
        "at": minute_of(entry.at).text if entry.log is Log.EXCHANGE else rfc3339(entry.at),
    }
    if commitment is not None:
        document["commitment"] = b64url(commitment)
    if subjects_root is not None:
        document["subjects"] = b64url(subjects_root)
    data = canonical(document)
    if len(data) > MAX_ENTRY_BYTES:
        raise TooLarge("entry_too_large", limit_bytes=MAX_ENTRY_BYTES)
    return data
