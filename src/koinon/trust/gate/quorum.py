"""Whether enough witnesses have seen the ledger lately. Without them releases stop, or an alarm is raised."""

import asyncio

import structlog

from koinon.base.database import Database
from koinon.base.errors import Unavailable
from koinon.base.metrics import gauge
from koinon.trust.ledger import Log
from koinon.trust.ledger.proving import quorum_age

_log = structlog.get_logger()
_age = gauge(
    "koinon_ledger_unwitnessed_seconds", "For how long entries wait for a quorum of witnesses.", ("log",)
)
_EVERY_SECONDS = 2.0


class QuorumWatch:
    """Asks every two seconds how old the oldest entry is that no quorum has cosigned."""

    def __init__(self, database: Database, *, quorum: int, limit_seconds: float, stop: bool) -> None:
        self._database = database
        self._quorum = quorum
        self._limit_seconds = limit_seconds
        self._stop = stop
        self._lost = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """The quorum is watched from now on; nothing to do when none is asked for."""
        if self._quorum:
            await self._look()
            self._task = asyncio.create_task(self._watch(), name="quorum-watch")

    async def stop(self) -> None:
        """The watch has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def demand(self) -> None:
        """A quorum has seen the ledger within the limit, or the setting says that only the alarm is raised.

        Raises:
            Unavailable: `witness_quorum_lost`.
        """
        if self._lost and self._stop:
            raise Unavailable("witness_quorum_lost", limit_seconds=self._limit_seconds)

    async def _look(self) -> None:
        async with self._database.acquire() as connection:
            ages = {log: await quorum_age(connection, log, self._quorum) for log in Log}
        for log, age in ages.items():
            _age.labels(log.value).set(age)
        lost = max(ages.values()) > self._limit_seconds
        if lost != self._lost:
            _log.log(40 if lost else 20, "witness_quorum_lost" if lost else "witness_quorum_back")
        self._lost = lost

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self._look()
            except Exception as error:
                # Not knowing is no reason to stop: nothing can be recorded either while the database is away.
                _log.warning("quorum_not_asked", error=repr(error))
