"""Each releasing process keeps the standing in memory and knows at every moment whether it may still rely on it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import KoinonError, Unavailable
from koinon.base.signals import Signals
from koinon.trust.parties import PartyId
from koinon.trust.standing.epoch import CHANNEL, get_epoch
from koinon.trust.standing.state import Standing

_log = structlog.get_logger()


class StandingKeeper:
    """The standing as of the newest epoch this process confirmed.

    Polls the epoch every `poll_seconds` on a connection of its own; a notification wakes the poll earlier and is not
    needed. When the epoch moved, the new standing is loaded and every listener is called, so that it can cut what no
    longer stands. When the epoch could not be confirmed for `limit_seconds`, `confirmed()` is false and every
    listener is called as well. A blocked event loop or a stepped wall clock cannot lengthen that: the age is counted
    on the monotonic clock from the moment the last successful question was *asked*.
    """

    def __init__(
        self,
        database: Database,
        load: Callable[[Connection], Awaitable[Standing]],
        *,
        clock: Clock,
        signals: Signals | None = None,
        poll_seconds: float = 0.2,
        limit_seconds: float = 0.7,
        patience_seconds: float = 3,
    ) -> None:
        self._database = database
        self._load = load
        self._clock = clock
        self._signals = signals
        self._poll_seconds = poll_seconds
        self._limit_seconds = limit_seconds
        self._patience_seconds = patience_seconds
        self._standing: Standing | None = None
        self._confirmed_at = float("-inf")
        self._epoch_seen = 0
        self._relied = False  # a standing was there when the epoch was confirmed, so somebody may rely on it
        self._listeners: list[Callable[[], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._loads: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._loading = asyncio.Lock()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def current(self) -> Standing:
        """The standing to decide on.

        Raises:
            Unavailable: `standing_unconfirmed`, when the epoch was not confirmed in time or a newer standing is
                being loaded. Unknown means denied.
        """
        standing = self._standing
        if standing is None or not self.confirmed() or standing.epoch < self._epoch_seen:
            raise Unavailable("standing_unconfirmed")
        return standing

    def find_claimed(self, kid: str) -> PartyId | None:
        """Whose key that is by what was loaded last, confirmed or not: for what decides nothing."""
        key = self._standing.register.keys.get(kid) if self._standing is not None else None
        return key.party if key is not None else None

    def confirmed(self) -> bool:
        """True while the newest answer about the epoch is younger than the limit."""
        return self._clock.monotonic() - self._confirmed_at <= self._limit_seconds

    def listen(self, listener: Callable[[], None]) -> None:
        """`listener` is called after each change of standing and when it can no longer be confirmed."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """The standing is loaded and is kept from now on."""
        async with self._database.acquire() as connection:
            await self._confirm(connection)
        await self._catch_up()
        self._tasks.append(asyncio.create_task(self._poll(), name="standing-poll"))
        if self._signals is not None:
            self._tasks.append(asyncio.create_task(self._listen(), name="standing-wake"))

    async def stop(self) -> None:
        """Nothing is kept any more; `current` refuses once the limit has passed."""
        for task in (*self._tasks, *self._loads):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._loads, return_exceptions=True)
        self._tasks.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    async def settle(self) -> Standing:
        """`current`, asking the database at once where this process is behind: a change a moment ago, a busy machine.

        What is returned was confirmed within the limit; only the asking is repeated, for `patience_seconds`.

        Raises:
            Unavailable: `standing_unconfirmed`, when no answer came within the limit for that long;
                `database_unavailable`, at once.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_seconds
        while True:
            try:
                return self.current
            except Unavailable:
                if loop.time() >= until:
                    raise
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limit_seconds):
                    async with self._database.acquire() as connection:
                        await self._confirm(connection)
                    # Who waits gives up, the load does not: one that takes longer than the limit would never end.
                    await asyncio.shield(self._load_once())

    async def refresh(self, beyond: int) -> Standing:
        """A standing newer than epoch `beyond`, at once: for a caller whose recording was refused as stale.

        Raises:
            Unavailable: as `settle`.
        """
        if self._standing is None or self._standing.epoch <= beyond:
            async with self._database.acquire() as connection:
                await self._confirm(connection)
        return await self.settle()

    async def _poll(self) -> None:
        while True:
            try:
                # A connection of its own: a pool emptied by slow work must not stop the poll.
                # `asyncio.timeout`, not `wait_for`: before Python 3.12 the latter may swallow a cancellation.
                async with asyncio.timeout(self._limit_seconds):
                    connection = await self._database.connect()
                try:
                    while True:
                        # Loading goes on beside the poll: a large standing must not make the epoch look unconfirmed.
                        async with asyncio.timeout(self._limit_seconds):
                            await self._confirm(connection)
                        if self._behind():
                            self._load_once()
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(self._poll_seconds):
                                await self._wake.wait()
                        self._wake.clear()
                finally:
                    connection.terminate()  # never waits for a server that does not answer
            except (KoinonError, OSError, TimeoutError) as error:
                _log.warning("standing_poll_failed", error=repr(error))
            except Exception:
                _log.exception("standing_poll_failed")
            await asyncio.sleep(self._poll_seconds / 2)

    async def _listen(self) -> None:
        assert self._signals is not None
        while True:
            if await self._signals.wait(CHANNEL, timeout=60) is not None:
                self._wake.set()

    async def _confirm(self, connection: Connection) -> None:
        asked_at = self._clock.monotonic()
        epoch = await get_epoch(connection)
        moved = epoch > self._epoch_seen
        self._epoch_seen = max(self._epoch_seen, epoch)
        self._confirmed_at = max(self._confirmed_at, asked_at)
        self._relied |= self._standing is not None
        self._set_alarm()
        if moved and self._standing is not None:
            self._tell()  # uses hold their breath until the new standing is there

    def _behind(self) -> bool:
        return self._standing is None or self._standing.epoch < self._epoch_seen

    def _load_once(self) -> asyncio.Task[None]:
        """The load that runs, or a new one. It ends by itself, whoever waits for it."""
        for task in self._loads:
            return task
        self._loads.add(task := asyncio.create_task(self._catch_up(), name="standing-load"))
        task.add_done_callback(self._loaded)
        return task

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._loads.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # `current` refuses meanwhile; the next poll tries again.
            _log.error("standing_load_failed", exc_info=error)

    async def _catch_up(self) -> None:
        """The standing is at least as new as the newest epoch seen."""
        async with self._loading:
            if not self._behind():
                return
            async with self._database.acquire() as connection:
                standing = await self._load(connection)
            self._standing = standing
            self._epoch_seen = max(self._epoch_seen, standing.epoch)
        _log.info("standing_loaded", epoch=standing.epoch)
        self._tell()

    def _set_alarm(self) -> None:
        loop = asyncio.get_running_loop()
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = loop.call_later(self._limit_seconds + 0.005, self._unconfirmed)

    def _unconfirmed(self) -> None:
        if not self.confirmed():
            if self._relied:
                _log.error(
                    "standing_unconfirmed", why="the database did not answer in time; nothing is let through"
                )
            else:
                _log.info(
                    "standing_loading", why="this process starts; it lets nothing through until it is loaded"
                )
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            try:
                listener()
            except Exception:
                _log.exception("standing_listener_failed")
