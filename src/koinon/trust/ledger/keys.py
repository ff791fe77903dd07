"""The keys that live outside the database: what is lost with them cannot be read from any backup of it.

`<home>/keys/ledger/` holds `index.key` (blind index), `YYYY-MM.kek` (one key-encryption key a month, UTC),
`YYYY-MM.destroyed` where one was destroyed, and `erasures.jsonl`. Back it up apart from the database, and for
no longer than erased data may live.
"""

import os
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, Self

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from koinon.base.crypto import hkdf, open_sealed
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.files import create_file, fsync_folder

KEY_BYTES: Final = 32
TOKEN_BYTES: Final = 16
_SALT_BYTES: Final = 16
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class KeyFolder:
    """Keys of the ledger's private parts. Files are made when first needed, readable by their owner only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._wrapping: dict[str, Callable[[bytes, bytes, bytes], bytes]] = {}
        self._index: dict[str, blake2b] = {}

    @classmethod
    def of(cls, home: Path) -> Self:
        """The keys of the installation whose state is in `home`."""
        return cls(home / "keys" / "ledger")

    def token(self, month: str, subject: str) -> bytes:
        """What stands for `subject` in the blind index of `month`, 16 bytes. Source: RFC 7693, keyed BLAKE2b."""
        begun = self._index.get(month)
        if begun is None:  # the key and the month are the same for everybody, and half of the work
            begun = blake2b(f"{month}\0".encode(), key=self._make("index.key"), digest_size=TOKEN_BYTES)
            self._index[month] = begun
        hashed = begun.copy()
        hashed.update(subject.encode())
        return hashed.digest()

    def wrapper(self, month: str) -> Callable[[bytes, bytes, bytes], bytes]:
        """What seals data for who holds the month's key: called with the data, the context that it is bound to, and a
        random nonce of 12 bytes.

        Raises:
            Conflict: `month_destroyed`.
        """
        held = self._wrapping.get(month)
        if held is None:
            # A key of this process's own, derived with a random salt that stands in front of what it wraps: so
            # the limit of 2^32 random nonces a key (NIST SP 800-38D section 8.3) is never near.
            salt = secrets.token_bytes(_SALT_BYTES)
            encrypt = AESGCM(_derive(self._month_key(month, make=True), salt)).encrypt

            def wrap(data: bytes, context: bytes, nonce: bytes) -> bytes:
                return salt + nonce + encrypt(nonce, data, context)

            held = self._wrapping[month] = wrap
        return held

    def unwrap(self, month: str, wrapped: bytes, context: bytes) -> bytes:
        """What a `wrapper` was given.

        Raises:
            NotFound: `month_destroyed` or `month_key_missing`.
            Invalid: `seal_broken`.
        """
        key = _derive_cached(self._month_key(month, make=False), wrapped[:_SALT_BYTES])
        return open_sealed(key, wrapped[_SALT_BYTES:], context)

    def months(self) -> list[str]:
        """The months that have, or had, a key; oldest first."""
        names = {path.stem for pattern in ("*.kek", "*.destroyed") for path in self.folder.glob(pattern)}
        return sorted(name for name in names if _MONTH.fullmatch(name))

    def destroy_month(self, month: str, now: datetime) -> None:
        """Nothing sealed in `month` can be read any more, from any copy of the database.

        Raises:
            Invalid: `invalid_month`.
            Conflict: `month_not_over`: entries are still being sealed under it.
        """
        if not _MONTH.fullmatch(month):
            raise Invalid("invalid_month", month=month)
        if month >= now.astimezone(UTC).strftime("%Y-%m"):
            raise Conflict("month_not_over", month=month)
        # The mark comes first: after a crash in between, the month counts as destroyed and this is done
        # again.
        create_file(self.folder / f"{month}.destroyed", b"")
        path = self.folder / f"{month}.kek"
        if path.exists():
            with path.open("r+b") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            fsync_folder(self.folder)
        self._wrapping.pop(month, None)

    def _month_key(self, month: str, *, make: bool) -> bytes:
        # Looked up in the file system each time, so that a destroyed month is gone for running processes too.
        path = self.folder / f"{month}.kek"
        if (self.folder / f"{month}.destroyed").exists():
            raise (Conflict if make else NotFound)("month_destroyed", month=month)
        if make:
            return self._make(path.name)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise NotFound("month_key_missing", month=month) from None

    def _make(self, name: str) -> bytes:
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise Invalid("bad_key", file=name)
        return key


def _derive(key: bytes, salt: bytes) -> bytes:
    return hkdf(key, b"koinon ledger slot v1", salt=salt)


_derive_cached = lru_cache(maxsize=256)(_derive)


class Erasure(msgspec.Struct, frozen=True):
    """One erasure, as it stands outside the database: which slots are to stay blank."""

    id: str
    at: datetime
    reason: str
    slots: list[tuple[str, int]]
