"""A sample of decisions is kept for replay: a new rule is tried on what was really asked. No subjects, no cases."""

import asyncio
from collections.abc import Sequence

import structlog

from koinon.base.database import Database
from koinon.trust.gate.model import ExchangeId
from koinon.trust.rules import Decision, Request, keep_inputs

_log = structlog.get_logger()
# Writing is not in the way of answers; when it cannot keep up, less is kept.
_AT_ONCE = 16


class DecisionSample:
    """Keeps the decisions of one in `one_in` exchanges; of none when it is 0."""

    def __init__(self, database: Database, one_in: int) -> None:
        self._database = database
        self._one_in = one_in
        self._tasks: set[asyncio.Task[None]] = set()

    def wants(self, exchange: ExchangeId) -> bool:
        """Whether this exchange is in the sample: hangs on its id alone."""
        return self._one_in > 0 and exchange.int % self._one_in == 0 and len(self._tasks) < _AT_ONCE

    def keep(self, exchange: ExchangeId, decided: Sequence[tuple[Request, Decision]]) -> None:
        """The decisions will be kept, a moment later."""
        task = asyncio.create_task(self._keep(exchange, decided))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, exchange: ExchangeId, decided: Sequence[tuple[Request, Decision]]) -> None:
        try:
            async with self._database.acquire() as connection:
                await keep_inputs(connection, exchange, decided)
        except Exception as error:
            _log.warning("decisions_not_kept", error=repr(error))
