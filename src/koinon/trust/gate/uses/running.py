"""Uses that last: registered before they are recorded, renewed, and cut or ended.

Each process cuts *its own* uses: when standing moved and their grounds are gone, when a ground ended by itself, and
when the epoch could not be confirmed in time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from koinon.base.clock import rfc3339
from koinon.base.database import BROKEN, Connection
from koinon.base.errors import NotAllowed, Unavailable
from koinon.base.ids import new_id
from koinon.base.metrics import counter, gauge
from koinon.trust.gate import store
from koinon.trust.gate.entries import entry_of, receipt_of
from koinon.trust.gate.model import EndReason, ProcessId
from koinon.trust.gate.policy import asks_more, decide, end_of
from koinon.trust.gate.service import Gate, Passage, Stale
from koinon.trust.gate.uses.use import Cut, Use
from koinon.trust.ledger import Entry, Log, Sealer
from koinon.trust.standing import Standing

_log = structlog.get_logger()
_running = gauge("koinon_uses_running", "Uses that last and run in this process.")
_ended = counter("koinon_uses_ended_total", "Uses that lasted, by the reason of their end.", ("reason",))

# Decided anew at least this often (trust.md, long uses).
RENEW_AFTER = timedelta(minutes=5)
_SEEN_EVERY_SECONDS = 5.0
_LEAVE_SECONDS = 10.0


class Uses:
    """The uses that run in this process."""

    def __init__(self, gate: Gate, process: ProcessId, kind: str) -> None:
        self._gate = gate
        self._process = process
        self._kind = kind
        self._uses: dict[Any, Use] = {}
        # Ended, but the database did not take it: told again until it does, or until this process dies.
        self._untold: list[tuple[Use, EndReason, datetime]] = []
        self._moved = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._wakes: set[asyncio.Task[None]] = set()
        gate.keeper.listen(self._standing_moved)

    async def start(self) -> None:
        """This process stands among those that release, and is seen."""
        async with self._gate.database.transaction() as connection:
            await store.enter_process(connection, self._process, self._kind)
        self._tasks = [
            asyncio.create_task(self._be_seen(), name="process-seen"),
            asyncio.create_task(self._watch(), name="uses-watch"),
        ]

    async def stop(self) -> None:
        """Every use of this process is ended and recorded; where the database does not answer, others find out by its
        silence, as they do of a process that was killed.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.end_all("service_stopping")
        async with self._in_time():
            while self._untold and await self._tell_end():
                pass
            async with self._gate.database.transaction() as connection:
                await store.leave_process(connection, self._process)

    async def end_all(self, code: str) -> None:
        """Every use that runs here has been cut, and then its end recorded, where the database answers."""
        uses = list(self._uses.values())
        for use in uses:
            use.cut_now(Cut(EndReason.LEFT, code))
        async with self._in_time():
            for use in uses:
                await use.end()

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Whoever ends does not wait for a database that does not answer."""
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                yield
        except BROKEN as error:
            _log.warning(
                "process_left_untold", running=len(self._uses), untold=len(self._untold), error=repr(error)
            )

    async def begin(self, passage: Passage, *, note: Mapping[str, Any] | None = None) -> Use:
        """The use is registered as running and its `begun` is durable, both or neither. `note` is in the private part
        of each of its entries.

        Raises:
            NotAllowed: the grounds were taken away since the passage was opened.
            Unavailable: it cannot be recorded now.

        Records: `exchange.begun` in the exchange log.
        """
        gate = self._gate
        for _ in range(5):
            at = gate.clock.now()
            ask = passage.ask
            row = store.Running(
                id=new_id(),
                process=self._process,
                exchange=passage.exchange,
                party=ask.actor.party,
                person=ask.actor.person,
                system=ask.actor.system,
                key=ask.actor.key,
                authorisation=passage.grounds.authorisation,
                action=ask.action,
                resource=ask.resource,
                began_at=at,
                renewed_at=at,
            )
            prepared = gate.sealer.prepare([self._entry(passage, "exchange.begun", at, **(note or {}))], at)
            use = Use(self, passage, row, receipt_of(prepared.promises[0]), note)
            try:
                async with gate.database.transaction() as connection:
                    await store.insert_running(connection, row)
                    if not await store.record(connection, passage.epoch, prepared):
                        raise Stale
            except Stale:
                await gate.keeper.refresh(beyond=passage.epoch)
                await passage.decide_anew()
                continue
            except BaseException:
                # Whether it was committed is not known; if it was, it has ended, and that is to be told.
                use._ended = True
                self._untold.append((use, EndReason.FAILED, at))
                raise
            self._uses[row.id] = use
            _running.inc()
            await self.settle(use)  # a suspension may have been raised between the recording and this line
            return use
        raise Unavailable("standing_unconfirmed")

    async def settle(self, use: Use) -> None:
        """The use is either cut or decided on by a standing that this process can confirm."""
        gate = self._gate
        while use.cut is None:
            if not gate.keeper.confirmed():
                use.cut_now(Cut(EndReason.UNCONFIRMED, "standing_unconfirmed"))
                return
            try:
                standing = gate.keeper.current
            except Unavailable:  # a newer standing is on its way
                async with self._moved:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await self._moved.wait()
                continue
            self._judge(use, standing)
            if use.cut is None and self._due(use):
                async with use._renewing:  # its sender and the watch may both be here
                    if use.cut is None and self._due(use):
                        await self._renew(use)
            return

    def _due(self, use: Use) -> bool:
        # A wall clock that was set back must not put the renewal off.
        return abs(self._gate.clock.now() - use._renewed_at) >= RENEW_AFTER

    def _judge(self, use: Use, standing: Standing) -> None:
        """Cuts the use when the standing no longer carries it."""
        passage, at = use.passage, self._gate.clock.now()
        expired = at >= passage.good_until
        if standing.epoch == passage.epoch and not expired:
            return
        if passage.dossiers_until is not None and at >= passage.dossiers_until:
            use.cut_now(Cut(EndReason.EXPIRED, "subject_not_registered"))
            return
        try:
            grounds = standing.find_grounds(passage.ask, at)
            decisions = decide(standing, passage.ask, grounds, at)
        except NotAllowed as refusal:
            reason = EndReason.EXPIRED if standing.epoch == passage.epoch else EndReason.CUT
            use.cut_now(Cut(reason, refusal.code, **refusal.facts))
            return
        except Exception:
            # What cannot be decided is not allowed, also when the fault is ours.
            _log.exception("use_not_decidable", use=str(use.id))
            use.cut_now(Cut(EndReason.FAILED, "not_decidable"))
            return
        if (
            any(passage.allowed(r) - d.fields for r, d in decisions.items())
            or passage.decisions.keys() - decisions
            or any(asks_more(d, passage.decisions[r]) for r, d in decisions.items() if r in passage.decisions)
            or at >= end_of(grounds, decisions)
        ):
            # Less may be used than was, or only masked or coarser: what is on its way was made from more. A new use
            # may begin at once.
            use.cut_now(Cut(EndReason.CUT, "standing_moved"))
            return
        passage.rest_on(standing, grounds, decisions)

    def _standing_moved(self) -> None:
        """Called by the keeper, inside its own step: cutting must not wait for a turn of the loop."""
        confirmed = self._gate.keeper.confirmed()
        standing: Standing | None = None
        if confirmed:
            with contextlib.suppress(Unavailable):
                standing = self._gate.keeper.current
        for use in list(self._uses.values()):
            if not confirmed:
                use.cut_now(Cut(EndReason.UNCONFIRMED, "standing_unconfirmed"))
            elif standing is not None:
                self._judge(use, standing)
        wake = asyncio.ensure_future(self._wake())
        self._wakes.add(wake)
        wake.add_done_callback(self._wakes.discard)

    async def _wake(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _renew(self, use: Use) -> None:
        """The use was decided on anew and says so; or it is cut.

        Records: `exchange.renewed`.
        """
        gate, at = self._gate, self._gate.clock.now()
        try:
            await use.passage.decide_anew()
            prepared = gate.sealer.prepare(
                [self._entry(use.passage, "exchange.renewed", at, bytes=use.bytes, **use.note)], at
            )
            async with gate.database.transaction() as connection:
                if not await store.renew_running(connection, use.id, at):
                    use.cut_now(Cut(EndReason.CUT, "use_not_running"))
                    return
                if not await store.record(connection, use.passage.epoch, prepared):
                    return  # standing moved meanwhile: still due, so it is tried again at the next turn
        except NotAllowed as refusal:
            use.cut_now(Cut(EndReason.CUT, refusal.code, **refusal.facts))
        except Exception:
            _log.exception("use_not_renewed", use=str(use.id))
            use.cut_now(Cut(EndReason.FAILED, "not_renewed"))
        else:
            use._renewed_at = at

    async def finish(self, use: Use, reason: EndReason) -> None:
        """The use is not among the running ones, and its end is recorded as soon as the database takes it."""
        if self._uses.pop(use.id, None) is not None:
            _running.dec()
            _ended.labels(reason.value).inc()
        self._untold.append((use, reason, self._gate.clock.now()))
        await self._tell_end()

    async def _tell_end(self) -> bool:
        """The newest end that waits for it is recorded; false when the database does not take it now."""
        use, reason, at = self._untold.pop()
        try:
            await self._record_end(use, reason, at)
        except Exception as error:
            self._untold.insert(0, (use, reason, at))
            _log.warning("use_end_not_recorded", use=str(use.id), error=repr(error))
            return False
        except BaseException:
            self._untold.insert(0, (use, reason, at))
            raise
        return True

    async def _record_end(self, use: Use, reason: EndReason, at: datetime) -> None:
        gate = self._gate
        entry = self._entry(
            use.passage,
            "exchange.ended",
            at,
            reason=reason.value,
            code=use.cut.code if use.cut is not None else None,
            bytes=use.bytes,
            **use.note,
        )
        prepared = gate.sealer.prepare([entry], at)
        async with gate.database.transaction() as connection:
            # False when it never ran (its begin was not committed), or when this end was told before.
            if await store.delete_running(connection, use.id):
                await prepared.append(connection)

    def _entry(self, passage: Passage, kind: str, at: datetime, **private: Any) -> Entry:
        return entry_of(
            passage.ask,
            passage.exchange,
            kind=kind,
            at=at,
            authorisation=passage.grounds.authorisation,
            public={
                name: value
                for name, value in private.items()
                if name in ("reason", "bytes") and value is not None
            },
            private={
                "rule": passage.decision.rule,
                "version": passage.decision.version,
                "at": rfc3339(at),
                **private,
            },
        )

    async def _be_seen(self) -> None:
        while True:
            await asyncio.sleep(_SEEN_EVERY_SECONDS)
            try:
                here = list(self._uses.values())
                async with self._gate.database.acquire() as connection:
                    running = await store.see_process(connection, self._process, self._kind)
                for use in here:
                    if use.id not in running:  # this process was taken for dead, and its uses for ended
                        use.cut_now(Cut(EndReason.UNKNOWN, "use_not_running"))
            except Exception as error:
                _log.warning("process_not_seen", error=repr(error))
            else:
                while self._untold and await self._tell_end():
                    pass

    async def _watch(self) -> None:
        """Uses whose sender is not asking (a stalled reader) are judged too: their grounds may end by themselves."""
        while True:
            await asyncio.sleep(0.25)
            for use in list(self._uses.values()):
                try:
                    await self.settle(use)
                except NotAllowed as refusal:
                    use.cut_now(Cut(EndReason.CUT, refusal.code, **refusal.facts))
                except Exception:
                    _log.exception("use_not_settled", use=str(use.id))


async def reap(connection: Connection, sealer: Sealer, at: datetime) -> int:
    """Uses of processes that died have ended at an unknown moment; returns how many.

    Records: `exchange.ended` with reason `unknown`.
    """
    orphans = await store.take_orphans(connection)
    if orphans:
        entries = [
            Entry(
                log=Log.EXCHANGE,
                kind="exchange.ended",
                public={
                    "party": str(use.party),
                    "action": use.action,
                    "resources": [use.resource],
                    "authorisation": use.authorisation,
                    "reason": EndReason.UNKNOWN.value,
                },
                private={"exchange": str(use.exchange), "last_known": rfc3339(use.renewed_at)},
                at=at,
            )
            for use in orphans
        ]
        await sealer.prepare(entries, at).append(connection)
    return len(orphans)
