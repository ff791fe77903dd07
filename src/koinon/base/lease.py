"""Leases: one holder of a name at a time, and a number by which a late writer is found out.

The database's clock decides when a lease runs out. The holder reckons with its own monotonic clock from
before it asked, so it stops before the database could give the lease away; a holder that was frozen meanwhile
is stopped by its fence, which every statement that writes under the lease checks with `base.holds(name,
fence)`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import structlog

from koinon.base.database import BROKEN, Database
from koinon.base.errors import Unavailable

_log = structlog.get_logger(__name__)

_TAKE = """
    INSERT INTO base.lease AS lease (name, fence, holder, expires_at)
    VALUES ($1, 1, $2, clock_timestamp() + make_interval(secs => $3))
    ON CONFLICT (name) DO UPDATE
        SET fence = lease.fence + 1, holder = excluded.holder, expires_at = excluded.expires_at
        WHERE lease.expires_at <= clock_timestamp()
    RETURNING fence
"""
_RENEW = """
    UPDATE base.lease SET expires_at = clock_timestamp() + make_interval(secs => $3)
    WHERE name = $1 AND fence = $2 AND expires_at > clock_timestamp()
    RETURNING true
"""
_RELEASE = "UPDATE base.lease SET expires_at = '-infinity', holder = '' WHERE name = $1 AND fence = $2"


class Lease:
    """A lease that this process has, or had.

    Attributes:
        fence: the number to give to `base.holds`; greater than that of every earlier holder.
        lost: set when the lease can no longer be counted on.
    """

    def __init__(self, name: str, holder: str, fence: int, until: float) -> None:
        self.name, self.holder, self.fence = name, holder, fence
        self.lost = asyncio.Event()
        self._until = until

    @property
    def held(self) -> bool:
        """Whether it can be counted on at this moment, by the monotonic clock; right even after a freeze."""
        return not self.lost.is_set() and asyncio.get_running_loop().time() < self._until


@contextlib.asynccontextmanager
async def hold(database: Database, name: str, holder: str, *, seconds: float = 8.0) -> AsyncIterator[Lease]:
    """The block runs while this process holds the lease; waits until it can be had, as long as it takes.

    Renewed in the background on a connection of its own. A holder that died is succeeded within `seconds` and
    an eighth of it. When the lease is lost the block is cancelled, an eighth of `seconds` before the database
    could give it to another. Released when the block ends.

    Raises:
        Unavailable: `lease_lost`, from the block, when it was cancelled for that reason.
    """
    keeper = _Keeper(database, name, holder, seconds)
    try:
        lease = await keeper.take()
        try:
            async with asyncio.timeout_at(lease._until) as limit:
                renewal = asyncio.create_task(keeper.renew(lease, limit))
                try:
                    yield lease
                finally:
                    renewal.cancel()
                    await asyncio.wait([renewal])
        except TimeoutError:
            if not limit.expired():
                raise
            _log.warning("lease_lost", lease=name, fence=lease.fence)
            raise Unavailable("lease_lost", lease=name) from None
        finally:
            lease.lost.set()
            await keeper.release(lease)
    finally:
        await keeper.close()


class _Keeper:
    def __init__(self, database: Database, name: str, holder: str, seconds: float) -> None:
        self._database, self._name, self._holder, self._seconds = database, name, holder, seconds
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def take(self) -> Lease:
        while True:
            try:
                connection = await self._connected()
                asked = asyncio.get_running_loop().time()
                # A writer of the former holder may still keep us waiting, see base.holds.
                fence = await connection.fetchval(
                    _TAKE, self._name, self._holder, self._seconds, timeout=self._seconds / 2
                )
                if fence is not None:
                    return Lease(self._name, self._holder, fence, asked + self._seconds * 7 / 8)
            except BROKEN as error:
                _log.warning("lease_not_asked", lease=self._name, why=str(error) or type(error).__name__)
            await asyncio.sleep(self._seconds / 8)

    async def renew(self, lease: Lease, limit: asyncio.Timeout) -> None:
        while True:
            await asyncio.sleep(self._seconds / 4)
            try:
                connection = await self._connected()
                asked = asyncio.get_running_loop().time()
                renewed = await connection.fetchval(
                    _RENEW, lease.name, lease.fence, self._seconds, timeout=self._seconds / 4
                )
            except BROKEN:
                continue  # asked again, until the limit strikes
            if not renewed:
                lease.lost.set()
                limit.reschedule(asyncio.get_running_loop().time())
                return
            lease._until = asked + self._seconds * 7 / 8
            limit.reschedule(lease._until)

    async def release(self, lease: Lease) -> None:
        # If it cannot be said the lease runs out by itself.
        with contextlib.suppress(*BROKEN):
            connection = await self._connected()
            await connection.execute(_RELEASE, lease.name, lease.fence, timeout=self._seconds / 4)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            async with asyncio.timeout(self._seconds / 4):
                self._connection = await self._database.connect()
        return self._connection
