"""PostgreSQL of somebody else, read only."""

import asyncio
import ssl
from typing import Any

import asyncpg

from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.wires.addresses import Address, Reachable, resolve

# What asyncpg raises when the server is not there, going away, or refuses us.
_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)


class SqlClient:
    """Queries to one database of a source, over at most `max_connections` read-only sessions.

    The session is read-only and limited in time by its own settings too, so that a mistake here cannot harm
    the source; its role should have SELECT on the agreed view and nothing else.
    """

    def __init__(
        self,
        address: Address,
        reachable: Reachable,
        *,
        tls: ssl.SSLContext | None = None,
        statement_timeout_seconds: float = 5.0,
        max_connections: int = 8,
        max_rows: int = 200,
    ) -> None:
        self._address = address
        self._reachable = reachable
        self._tls: ssl.SSLContext | bool = (
            False if address.socket or reachable.plain_http else tls or ssl.create_default_context()
        )
        self._statement_timeout_ms = int(statement_timeout_seconds * 1000)
        self._max_connections = max_connections
        self._max_rows = max_rows
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def rows(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """The rows of `query`, at most `max_rows`.

        Raises:
            WireFault: `unreachable`, `timeout`, `too_large` or `source_fault` with the SQLSTATE.
        """
        try:
            pool = self._pool or await self._open()
            async with pool.acquire() as connection:
                found = await connection.fetch(query, *arguments)
        except asyncpg.QueryCanceledError:
            raise WireFault("timeout", "statement") from None
        except TimeoutError:
            raise
        except _AWAY as error:
            raise WireFault("unreachable", getattr(error, "sqlstate", None) or "connect") from None
        except asyncpg.PostgresError as error:
            raise WireFault("source_fault", error.sqlstate or "") from None
        except asyncpg.InterfaceError:
            raise WireFault("unreachable", "interface") from None
        if len(found) > self._max_rows:
            raise WireFault("too_large")
        return [dict(row) for row in found]

    async def close(self) -> None:
        """All sessions are closed."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    port=self._address.port,
                    user=self._address.user,
                    password=self._address.password,
                    database=self._address.path.lstrip("/"),
                    ssl=self._tls,
                    connect=self._connect,
                    min_size=0,
                    max_size=self._max_connections,
                    max_inactive_connection_lifetime=60,
                    server_settings={
                        "application_name": "koinon",
                        "default_transaction_read_only": "on",
                        "statement_timeout": str(self._statement_timeout_ms),
                    },
                )
            return self._pool

    async def _connect(self, *_: Any, **options: Any) -> asyncpg.Connection:
        """A session at an address that was checked just now.

        With TLS it is opened by name, for the certificate to be checked against; without, at the checked IP
        address.
        """
        if self._address.socket:
            return await asyncpg.connect(host=self._address.socket, **options)
        checked = await resolve(self._address, self._reachable)
        return await asyncpg.connect(host=self._address.host if self._tls else checked, **options)
