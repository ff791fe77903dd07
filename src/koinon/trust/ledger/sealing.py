"""From entries to rows: bytes to hash, private parts sealed, subjects blinded. CPU only."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from koinon.base.canonical import canonical
from koinon.base.database import Connection
from koinon.base.errors import Invalid, NotFound
from koinon.trust.ledger.keys import KEY_BYTES, KeyFolder
from koinon.trust.ledger.merkle import leaf_hash, root
from koinon.trust.ledger.model import Entry, EntryId, Log, Promise, entry_bytes, minute_of

SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
_NONCE: Final = bytes(NONCE_BYTES)
_TYPES: Final = (
    "uuid[]", "text[]", "bytea[]", "text[]", "timestamptz[]", "text[]", "text[]", "text[]", "bytea[]",
    "uuid[]", "smallint[]", "bytea[]", "bytea[]", "bytea[]",
)  # fmt: skip


@lru_cache
def _call(first: int) -> str:
    places = ", ".join(f"${n}::{kind}" for n, kind in enumerate(_TYPES, start=first))
    return f"ledger.append({places})"


class Prepared(msgspec.Struct, frozen=True):
    """Entries ready to be written.

    Attributes:
        promises: one for each entry, in order; they count once the transaction has committed.
        arguments: of the SQL function `ledger.append`: nine arrays by entry, five by slot.
    """

    promises: list[Promise]
    arguments: tuple[list[Any], ...]

    def call(self, first: int = 1) -> tuple[str, tuple[list[Any], ...]]:
        """The SQL expression that appends (an integer), its parameters from `$first` on, and their values."""
        return _call(first), self.arguments

    async def append(self, connection: Connection) -> list[Promise]:
        """The entries are pending, in the caller's transaction."""
        await connection.fetchval(f"SELECT {_call(1)}", *self.arguments)
        return self.promises


class Slot(msgspec.Struct, frozen=True):
    """A wrapped content key, as stored."""

    ordinal: int
    commitment: bytes | None
    key: bytes | None


class Private(msgspec.Struct, frozen=True):
    """An opened private part: what the caller sealed, and the subjects, `None` for each that was erased."""

    fields: Mapping[str, Any]
    subjects: tuple[str | None, ...]


class Erased(msgspec.Struct, frozen=True):
    """The private part can be read by nobody any more; the entry and its proof stand.

    Attributes:
        why: `subject_erased` or `month_destroyed`.
    """

    why: str


class Sealer:
    """Seals and opens private parts; one for each process."""

    def __init__(self, keys: KeyFolder) -> None:
        self.keys = keys

    @classmethod
    def of(cls, home: Path) -> Self:
        """The sealer of the installation whose state is in `home`."""
        return cls(KeyFolder.of(home))

    def prepare(self, entries: Sequence[Entry], at: datetime) -> Prepared:
        """`entries` are ready to be appended, under promises that count from `at`.

        Raises:
            TooLarge: `entry_too_large`.
            Invalid: `not_canonical`.
            Conflict: `month_destroyed`.
        """
        # One call to the kernel for all keys, salts and nonces of the batch.
        random = BytesIO(os.urandom(sum(_random_bytes(entry) for entry in entries))).read
        promises: list[Promise] = []
        rows: list[tuple[Any, ...]] = []
        slots: tuple[list[Any], ...] = ([], [], [], [], [])
        for entry in entries:
            sealed = commitment = subjects_root = None
            if entry.private is not None or entry.subjects:
                sealed, commitment, subjects_root = self._seal(entry, random, slots)
            data = entry_bytes(entry, commitment, subjects_root)
            public = entry.public
            rows.append(
                (
                    entry.id,
                    entry.log,
                    data,
                    entry.kind,
                    stored_time(entry),
                    text_or_none(public.get("party")),
                    text_or_none(public.get("keeper")),
                    text_or_none(public.get("authorisation")),
                    sealed,
                )
            )
            promises.append(Promise(entry=entry.id, log=entry.log, leaf_hash=leaf_hash(data), at=at))
        by_entry = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(9)]
        return Prepared(promises, (*by_entry, *slots))

    def tokens(self, subject: str) -> list[bytes]:
        """What stands for `subject` in the blind index, for every month there is a key for."""
        return [self.keys.token(month, subject) for month in self.keys.months()]

    def _seal(
        self, entry: Entry, random: Callable[[int], bytes], slots: tuple[list[Any], ...]
    ) -> tuple[bytes, bytes, bytes | None]:
        """The sealed part, its commitment, the root over the subjects' commitments; its slots are in `slots`."""
        month = minute_of(entry.at).month
        context = entry.id.bytes
        content_key = random(KEY_BYTES)
        private = entry.private or {}
        plain = random(SALT_BYTES) + canonical(private if type(private) is dict else dict(private))
        # The key seals this once, so the nonce need not differ.
        sealed = AESGCM(content_key).encrypt(_NONCE, plain, context)
        commitment = sha256(plain).digest()
        wrap, token, subjects = self.keys.wrapper(month), self.keys.token, entry.subjects
        ids, ordinals, tokens, commitments, keys = slots
        if len(subjects) < 2:
            held, index, leaf = content_key, None, None
            if subjects:
                salted = random(SALT_BYTES) + subjects[0].encode()
                held, index, leaf = content_key + salted, token(month, subjects[0]), leaf_hash(salted)
            ids.append(entry.id)
            ordinals.append(0)
            tokens.append(index)
            commitments.append(leaf)
            keys.append(wrap(held, context + b"\0\0", random(NONCE_BYTES)))
            return sealed, commitment, leaf  # the root of a tree of one leaf
        # An entry of a batch is about thousands: a column at a time.
        salts = [random(SALT_BYTES) + subject.encode() for subject in subjects]
        leaves = [leaf_hash(salted) for salted in salts]
        ids += [entry.id] * len(subjects)
        ordinals += range(len(subjects))
        tokens += [token(month, subject) for subject in subjects]
        commitments += leaves
        keys += [
            wrap(content_key + salted, context + ordinal.to_bytes(2, "big"), random(NONCE_BYTES))
            for ordinal, salted in enumerate(salts)
        ]
        return sealed, commitment, root(leaves)

    def open(
        self, entry: EntryId, at: datetime, sealed: bytes, slots: Sequence[Slot],
        commitment: bytes, subjects_root: bytes | None,
    ) -> Private | Erased:  # fmt: skip
        """The private part of an entry, checked against the commitments in its bytes.

        Raises:
            Invalid: `seal_broken` when what is stored is not what was sealed, `commitment_broken` when it is
                not what the entry commits to.
        """
        month = minute_of(at).month
        if subjects_root is not None:
            ordered = [slot.commitment or b"" for slot in sorted(slots, key=lambda slot: slot.ordinal)]
            if root(ordered) != subjects_root:
                raise Invalid("commitment_broken", entry=str(entry), part="subjects")
        elif len(slots) != 1:
            raise Invalid("commitment_broken", entry=str(entry), part="slots")
        content_key: bytes | None = None
        subjects: list[str | None] = []
        for slot in sorted(slots, key=lambda slot: slot.ordinal):
            if slot.key is None:
                subjects.append(None)
                continue
            try:
                opened = self.keys.unwrap(month, slot.key, entry.bytes + slot.ordinal.to_bytes(2, "big"))
            except NotFound as error:
                return Erased(error.code)
            content_key, salted = opened[:KEY_BYTES], opened[KEY_BYTES:]
            if slot.commitment is not None:
                if leaf_hash(salted) != slot.commitment:
                    raise Invalid("commitment_broken", entry=str(entry), part=f"subject {slot.ordinal}")
                subjects.append(salted[SALT_BYTES:].decode())
        if content_key is None:
            return Erased("subject_erased")
        return Private(_fields(entry, content_key, sealed, commitment), tuple(subjects))

    def open_fields(
        self, entry: EntryId, at: datetime, sealed: bytes, slots: Sequence[Slot], commitment: bytes
    ) -> Private | Erased:
        """The fields of an entry's private part, by the key in the first of `slots`; no subjects are told.

        Raises:
            Invalid: `seal_broken`, `commitment_broken`.
        """
        if not slots or slots[0].key is None:
            return Erased("subject_erased")
        place = entry.bytes + slots[0].ordinal.to_bytes(2, "big")
        try:
            opened = self.keys.unwrap(minute_of(at).month, slots[0].key, place)
        except NotFound as error:
            return Erased(error.code)
        return Private(_fields(entry, opened[:KEY_BYTES], sealed, commitment), ())

    def open_subject(self, entry: EntryId, at: datetime, key: bytes, ordinal: int) -> bytes:
        """Salt and identifier of one subject, from its slot's wrapped key.

        Raises:
            NotFound: `month_destroyed`, `month_key_missing`.
            Invalid: `seal_broken`.
        """
        place = entry.bytes + ordinal.to_bytes(2, "big")
        return self.keys.unwrap(minute_of(at).month, key, place)[KEY_BYTES:]


def _fields(entry: EntryId, content_key: bytes, sealed: bytes, commitment: bytes) -> Mapping[str, Any]:
    """What was sealed under `content_key`, which the entry commits to.

    Raises:
        Invalid: `seal_broken`, `commitment_broken`.
    """
    try:
        plain = AESGCM(content_key).decrypt(_NONCE, sealed, entry.bytes)
    except InvalidTag:
        raise Invalid("seal_broken", entry=str(entry)) from None
    if sha256(plain).digest() != commitment:
        raise Invalid("commitment_broken", entry=str(entry), part="private")
    fields: Mapping[str, Any] = msgspec.json.decode(plain[SALT_BYTES:])
    return fields


def stored_time(entry: Entry) -> datetime:
    """The entry's time as its bytes tell it: no row says more than the bytes."""
    return minute_of(entry.at).start if entry.log is Log.EXCHANGE else entry.at


def _random_bytes(entry: Entry) -> int:
    """At least as many as `Sealer._seal` takes."""
    return KEY_BYTES + SALT_BYTES + (SALT_BYTES + NONCE_BYTES) * max(1, len(entry.subjects))


def text_or_none(value: object) -> str | None:
    """`value` if it is text: what a search column holds."""
    return value if type(value) is str else None
