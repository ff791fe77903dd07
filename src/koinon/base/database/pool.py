"""The one pool of connections of a process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from koinon.base.database.roles import ProcessKind, as_kind
from koinon.base.errors import Unavailable

if TYPE_CHECKING:  # the classes take no parameters when the program runs
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection | PoolConnectionProxy

CONNECT_SECONDS = 5.0
# Connections that stay out of asyncpg's pool between two users: to give one back and take it again costs three times
# what a small question does. Now and then they go back, so that it can close those that have served enough.
_SPARE = 2
_TURNS = 1000
COMMAND_SECONDS = 60.0  # for one statement seen from here; a worker's is longer
# Server-side limits for each kind, in milliseconds. A web request that waits longer has lost its reader
# anyway; a transaction left open holds back events (see base.events) and vacuum.
LIMITS: dict[ProcessKind, dict[str, str]] = {
    "web": {
        "statement_timeout": "15000",
        "lock_timeout": "3000",
        "idle_in_transaction_session_timeout": "15000",
    },
    "sequencer": {
        "statement_timeout": "30000",
        "lock_timeout": "5000",
        "idle_in_transaction_session_timeout": "30000",
    },
    "recorder": {
        "statement_timeout": "30000",
        "lock_timeout": "5000",
        "idle_in_transaction_session_timeout": "30000",
    },
    "worker": {
        "statement_timeout": "600000",
        "lock_timeout": "10000",
        "idle_in_transaction_session_timeout": "120000",
    },
    "reader": {
        "statement_timeout": "60000",
        "lock_timeout": "3000",
        "idle_in_transaction_session_timeout": "30000",
    },
    "owner": {
        "statement_timeout": "600000",
        "lock_timeout": "10000",
        "idle_in_transaction_session_timeout": "120000",
    },
}
# Said by the server, or by asyncpg about it: the connection is no more.
_ENDED = (
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.CannotConnectNowError,  # 57P03, starting up or shutting down
    asyncpg.AdminShutdownError,  # 57P01, also when the postmaster was killed
    asyncpg.CrashShutdownError,  # 57P02
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # a farewell that came while the connection lay idle confuses asyncpg
)


# What a connection of one's own may raise when it, or the server, is no more, and when the server refuses.
BROKEN = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    Unavailable,
)


class Database:
    """Connections of this process to the database, with the rights of its kind.

    Session state (`SET`, session advisory locks, `LISTEN`, temporary tables) must not be left on a
    connection: it is not reset between users, which saves a round trip each time. Use `SET LOCAL` and
    `pg_advisory_xact_lock`; `connect` gives a connection of one's own for the rest.
    """

    def __init__(self, url: str, kind: ProcessKind, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.url, self.kind, self._pool = url, kind, pool
        self._spare: list[PoolConnectionProxy[asyncpg.Record]] = []
        self._wanting = self._turns = 0  # who waits for the pool; how often one was done with a connection
        self._closing = False

    @classmethod
    async def open(cls, url: str, *, kind: ProcessKind, max_size: int = 10) -> Self:
        """A pool of at most `max_size` connections, the first of which is made.

        Raises:
            Unavailable: `database_unavailable`.
        """
        with _reported():
            pool = await asyncpg.create_pool(
                min_size=1,
                max_size=max_size,
                max_inactive_connection_lifetime=300.0,
                init=_teach,
                reset=_leave_as_it_is,
                **_arguments(url, kind),
            )
        return cls(url, kind, pool)

    async def close(self) -> None:
        """All connections are closed, after those in use have been given back (10 s at most)."""
        self._closing = True
        try:
            async with asyncio.timeout(10.0):
                while self._spare:
                    await self._give_back(self._spare.pop())
                await self._pool.close()
        except BROKEN:  # a server that was killed takes no farewell
            self._pool.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection, each statement its own transaction.

        Raises:
            Unavailable: `database_unavailable`, when it cannot be had, and when it broke while in use;
                whether the statement under way was committed is then unknown. The next call connects anew.
            CancelledError: whatever else went wrong in a block that was cancelled.
        """
        before = _cancellations()
        try:
            connection = await self._take()
            done = False
            try:
                with _reported(connection):
                    yield connection
                done = True
            finally:
                if not done or not self._keep(connection):
                    await self._give_back(connection)
        except Exception as error:
            # A rollback over a broken connection raises, and Python tells of that alone: who was cancelled while the
            # database was away, and tries again when it is away, would go on beyond its lease, its time and its end.
            if _cancellations() > before:
                raise asyncio.CancelledError from error
            raise

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that commits when the block ends and rolls back when it raises.

        Raises:
            Unavailable: as `acquire`.
        """
        async with self.acquire() as connection, connection.transaction():
            yield connection

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection outside the pool, for who must keep one (notifications, leases); the caller closes it.

        Raises:
            Unavailable: `database_unavailable`.
        """
        with _reported():
            connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                **_arguments(self.url, self.kind)
            )
            try:
                await _teach(connection)
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def _take(self) -> "PoolConnectionProxy[asyncpg.Record]":
        while self._spare:
            connection = self._spare.pop()
            if not is_gone(connection):
                return connection
            await self._give_back(connection)
        self._wanting += 1
        try:
            with _reported():
                return await self._pool.acquire(timeout=CONNECT_SECONDS)
        finally:
            self._wanting -= 1

    def _keep(self, connection: "PoolConnectionProxy[asyncpg.Record]") -> bool:
        """Whether a connection, of which the user is done without an error, is kept for the next."""
        self._turns += 1
        if (
            self._wanting  # whoever waits for the pool is served by what goes back there
            or self._closing
            or len(self._spare) >= _SPARE
            or self._turns % _TURNS == 0
            or is_gone(connection)
            or connection.is_in_transaction()
        ):
            return False
        self._spare.append(connection)
        return True

    async def _give_back(self, connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
        # A broken connection fails here too; the pool has dropped it, and the first error is the one to tell.
        with contextlib.suppress(asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
            await self._pool.release(connection, timeout=CONNECT_SECONDS)


def _arguments(url: str, kind: ProcessKind) -> dict[str, Any]:
    arguments = as_kind(url, kind)
    settings = {"application_name": f"koinon-{kind}", "timezone": "UTC", "jit": "off", **LIMITS[kind]}
    arguments["server_settings"] = {**settings, **arguments["server_settings"]}
    return {
        "timeout": CONNECT_SECONDS,
        "command_timeout": COMMAND_SECONDS if kind == "web" else None,
        "statement_cache_size": 500,
        "max_cached_statement_lifetime": 0,  # never planned again just because five minutes went by
        **arguments,
    }


async def _teach(connection: Connection) -> None:
    """jsonb and json columns are Python values on this connection, by msgspec."""
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        # The wire form is a version byte 1 and the text. Source: PostgreSQL, jsonb_recv.
        encoder=lambda value: b"\x01" + encode(value),
        decoder=lambda data: decode(memoryview(data)[1:]),
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", format="binary", encoder=encode, decoder=decode
    )


async def _leave_as_it_is(connection: Connection) -> None:
    """asyncpg rolls back and removes listeners before it calls this; see `Database` for the rest."""


def is_gone(connection: Connection) -> bool:
    """Whether the connection broke. The pool takes a broken one back at once, and its stand-in then refuses."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def _cancellations() -> int:
    """How often this task was asked to end, and has not been told to go on."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


@contextlib.contextmanager
def _reported(connection: Connection | None = None) -> Iterator[None]:
    """Errors that mean the database is away are told as such; others, and the body's own, pass."""
    try:
        yield
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.UndefinedTableError) as error:
        # The roles or the tables are not there: a server that nobody has run `koinon run migrate` on.
        raise Unavailable("database_not_migrated", why=str(error)) from error
    except _ENDED as error:
        if connection is not None and not is_gone(connection):
            connection.terminate()
        raise Unavailable("database_unavailable", why=type(error).__name__) from error
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        # The body may raise the first two for reasons of its own, and the last for a mistake.
        if connection is None or is_gone(connection):
            raise Unavailable("database_unavailable", why=type(error).__name__) from error
        raise
