"""Guessing made slow: failures counted in the database by account and by address, with a growing delay.

An attempt is counted as failed before it is looked at and uncounted when it succeeds, so that a hundred at
once do not all slip through. An account that does not exist is counted like one that does.
"""

import hashlib
import ipaddress
from datetime import datetime, timedelta

import msgspec

from koinon.base.database import Database
from koinon.base.errors import TooMany


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How many failures are free, and how the delay grows after them: 1, 2, 4, ... seconds.

    Attributes:
        free: failures without a delay.
        longest_seconds: the lock-out, at which the delay stops growing.
        forget_seconds: after this long without an attempt the count starts anew.
    """

    free: int
    longest_seconds: int = 900
    forget_seconds: int = 3600


# Twenty: a town hall's staff comes from one address.
ACCOUNT = Patience(free=4)
ADDRESS = Patience(free=20)


class Attempts:
    """Counts attempts in transactions of its own: the count stands whatever becomes of the request."""

    def __init__(
        self, database: Database, *, account: Patience = ACCOUNT, address: Patience = ADDRESS
    ) -> None:
        self._database = database
        self._account = account
        self._address = address

    async def count(self, login: str, address: str, at: datetime) -> None:
        """One more attempt for that account from that address is counted, as failed until `succeed` says not.

        Raises:
            TooMany: `sign_in_delayed` with `retry_after_seconds`; the attempt must not be looked at.
        """
        keys = [(_address_key(address), self._address), (_account_key(login), self._account)]
        for key, patience in keys:
            async with self._database.transaction() as connection:
                # The row is held until the count stands; attempts on one account wait for one another.
                row = await connection.fetchrow(
                    "INSERT INTO parties.attempt AS a (key, failures, last_at, blocked_until)"
                    " VALUES ($1, 0, $2, $2) ON CONFLICT (key) DO UPDATE SET last_at = a.last_at"
                    " RETURNING failures, last_at, blocked_until",
                    key,
                    at,
                )
                assert row is not None
                if row["blocked_until"] > at:
                    wait = (row["blocked_until"] - at).total_seconds()
                    raise TooMany("sign_in_delayed", retry_after_seconds=max(1, round(wait)))
                failures = count_failures(row["failures"], row["last_at"], at, patience)
                await connection.execute(
                    "UPDATE parties.attempt SET failures = $2, last_at = $3, blocked_until = $4"
                    " WHERE key = $1",
                    key,
                    failures,
                    at,
                    at + delay_after(failures, patience),
                )

    async def succeed(self, login: str, address: str) -> None:
        """The attempt counted last was none: the account starts anew, the address has one failure less."""
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM parties.attempt WHERE key = $1", _account_key(login))
            await connection.execute(
                "UPDATE parties.attempt SET failures = greatest(failures - 1, 0), blocked_until = last_at"
                " WHERE key = $1",
                _address_key(address),
            )


def count_failures(failures: int, last_at: datetime, at: datetime, patience: Patience) -> int:
    """How many failures there are with this one."""
    forgotten = at - last_at >= timedelta(seconds=patience.forget_seconds)
    return 1 if forgotten else failures + 1


def delay_after(failures: int, patience: Patience) -> timedelta:
    """How long the next attempt must wait after so many failures."""
    over = failures - patience.free
    return timedelta(seconds=0 if over < 0 else min(2 ** min(over, 30), patience.longest_seconds))


def _account_key(login: str) -> bytes:
    return hashlib.sha256(b"account:" + login.encode()).digest()


def _address_key(address: str) -> bytes:
    """One key for an IPv4 address, or for an IPv6 /64, which is one subscriber (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return hashlib.sha256(b"address:" + address.encode()).digest()
    if parsed.version == 6:
        mapped = parsed.ipv4_mapped
        network = mapped or ipaddress.ip_network((parsed, 64), strict=False).network_address
        return hashlib.sha256(b"address:" + str(network).encode()).digest()
    return hashlib.sha256(b"address:" + str(parsed).encode()).digest()
