"""Accounts of our own: argon2id, and only in the embedded default. Production signs in by OpenID Connect."""

import asyncio
import base64
import secrets
import unicodedata
from datetime import datetime

import argon2

from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, NotAllowed, NotIdentified
from koinon.base.settings import Settings
from koinon.base.text import printable
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties.model import LOCAL_ISSUER
from koinon.trust.parties.sign_in import store
from koinon.trust.parties.sign_in.attempts import Attempts

MIN_PASSWORD, MAX_PASSWORD = (
    12,
    128,
)  # characters; NIST SP 800-63B-4 section 3.1.1.2 asks 15 alone, 8 as second
_HASHES_AT_ONCE = 2  # each takes 64 MiB (RFC 9106 section 4, second recommended option)


class LocalAccounts:
    """Checks passwords. Every refusal reads and takes the same, whether the account exists or not."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        hasher: argon2.PasswordHasher | None = None,
        attempts: Attempts | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        """Raises `NotAllowed: local_accounts_refused` in production."""
        check_local_accounts(settings)
        self._database = database
        self._sealer = sealer or Sealer.of(settings.home)
        self._hasher = hasher or argon2.PasswordHasher()
        self._attempts = attempts or Attempts(database)
        self._slots = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._nobody = _hash_of_nothing(self._hasher)

    async def sign_in(self, login: str, password: str, *, address: str, at: datetime) -> str:
        """The login, proven by its password.

        Raises:
            TooMany: `sign_in_delayed`.
            NotIdentified: `sign_in_failed`: no such account or another password.
        """
        # What no account can be called must still be counted as an attempt; the database takes no U+0000 or surrogate.
        login = printable(fold_login(login))
        await self._attempts.count(login, address, at)
        async with self._database.acquire() as connection:
            hashed = await store.find_password_hash(connection, login)
        known = hashed is not None and len(password) <= MAX_PASSWORD
        async with self._slots:
            matches = await asyncio.to_thread(
                self._matches,
                hashed if hashed is not None and known else self._nobody,
                password[:MAX_PASSWORD],
            )
        if not (known and matches):
            raise NotIdentified("sign_in_failed")
        await self._attempts.succeed(login, address)
        return login

    async def set_password(self, connection: Connection, login: str, password: str, at: datetime) -> str:
        """The account exists with that password, and what was signed in before has ended; gives the login.

        Raises:
            Invalid: `invalid_login`, `password_too_short`, `password_too_long`.
        Records: `account.set` with the login sealed (exchange log).
        """
        login = fold_login(login)
        if not login or len(login) > 100 or not login.isprintable() or " " in login:
            raise Invalid("invalid_login")
        if len(password) < MIN_PASSWORD:
            raise Invalid("password_too_short", least_characters=MIN_PASSWORD)
        if len(password) > MAX_PASSWORD:
            raise Invalid("password_too_long", most_characters=MAX_PASSWORD)
        async with self._slots:
            hashed = await asyncio.to_thread(self._hasher.hash, _fold_password(password))
        await store.put_account(connection, login, hashed, at)
        await store.delete_sessions_named(connection, LOCAL_ISSUER, login)
        entry = Entry(log=Log.EXCHANGE, kind="account.set", private={"login": login}, at=at)
        await append(connection, self._sealer, [entry])
        return login

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, _fold_password(password))
        except argon2.exceptions.VerificationError:
            return False


def _hash_of_nothing(hasher: argon2.PasswordHasher) -> str:
    """What the password of an account that does not exist is compared with: it takes as long as any, and no password
    has it. Drawn, not reckoned, so that no process spends a fifth of a second on it as it starts.

    Source: the encoded form of the reference implementation of RFC 9106.
    """

    def drawn(length: int) -> str:
        return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")

    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${drawn(hasher.salt_len)}${drawn(hasher.hash_len)}"


def check_local_accounts(settings: Settings) -> None:
    """Accounts of our own are permitted here. Raises `NotAllowed: local_accounts_refused` in production."""
    if settings.mode != "embedded":
        raise NotAllowed("local_accounts_refused", mode=settings.mode)


def fold_login(login: str) -> str:
    """The login as it is stored: one form for what reads the same (NFKC), in lower case."""
    return unicodedata.normalize("NFKC", login).strip().lower()


def _fold_password(password: str) -> str:
    return unicodedata.normalize("NFKC", password)  # as keyboards differ; NIST SP 800-63B-4 section 3.1.1.2
