"""Promising, announcing, and what a month says about it."""

from datetime import datetime
from uuid import UUID

from koinon.base.clock import Clock, civil_date, rfc3339
from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, NotFound
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.integrator.deferred import list_terms
from koinon.integrator.operations import store as counts_store
from koinon.integrator.operations.levels import store
from koinon.integrator.operations.levels.model import Level, Maintenance, MonthReport, NewLevel
from koinon.integrator.operations.levels.policy import (
    add_up,
    check_level,
    check_maintenance,
    is_planned,
    judge_availability,
    judge_deferred,
    judge_minutes,
    judge_p95,
    level_in,
    period_of,
    read_month,
)
from koinon.integrator.operations.model import Term
from koinon.integrator.operations.policy import count_terms, point_of
from koinon.integrator.operations.service import Monitoring
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author


class Levels:
    """What is promised of flows, for who takes part in them."""

    def __init__(self, *, database: Database, clock: Clock, sealer: Sealer, monitoring: Monitoring) -> None:
        self._database = database
        self._clock = clock
        self._sealer = sealer
        self._monitoring = monitoring

    async def agree(self, new: NewLevel, by: Author) -> Level:
        """It is promised from that month on.

        Raises:
            NotAllowed: as `Monitoring.demand_operator`. NotFound: `flow_unknown`.
            Invalid: `level_malformed`, `level_not_to_come`.
            Conflict: `level_agreed`: something is promised from that month on already.

        Records: `level.agreed` in the register log.
        """
        person = await self._monitoring.demand_operator(by)
        self._monitoring.get_flow(new.flow)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.lock_levels(connection, new.flow)
            check_level(new, await store.list_levels(connection, new.flow), now)
            if not await store.insert_level(connection, new, person, now):
                raise Conflict("level_agreed", begins_on=new.begins_on.isoformat())
            await self._record(
                connection,
                "level.agreed",
                {
                    "flow": new.flow,
                    "begins_on": new.begins_on.isoformat(),
                    "availability": f"{new.availability_percent:.2f}",
                    "p95_ms": new.p95_ms,
                    "deferred_hours": new.deferred_hours,
                    "notice_hours": new.notice_hours,
                },
                now,
            )
        return Level(
            flow=new.flow,
            begins_on=new.begins_on,
            availability_percent=new.availability_percent,
            p95_ms=new.p95_ms,
            deferred_hours=new.deferred_hours,
            notice_hours=new.notice_hours,
            agreed_at=now,
        )

    async def announce(
        self, flow: str | None, since: datetime, until: datetime, reason: Text, by: Author
    ) -> Maintenance:
        """Participants see it. Whether its minutes count as planned follows from the notice that was agreed.

        Raises:
            NotAllowed: as `Monitoring.demand_operator`. NotFound: `flow_unknown`. Invalid: `maintenance_malformed`.

        Records: `maintenance.announced` in the register log: that it was told beforehand can be proven.
        """
        person = await self._monitoring.demand_operator(by)
        if flow is not None:
            self._monitoring.get_flow(flow)
        now = self._clock.now()
        new = Maintenance(id=new_id(), flow=flow, since=since, until=until, reason=reason, announced_at=now)
        check_maintenance(new)
        async with self._database.transaction() as connection:
            await store.insert_maintenance(connection, new, person)
            await self._record(
                connection,
                "maintenance.announced",
                {"maintenance": str(new.id), "flow": flow, "since": rfc3339(since), "until": rfc3339(until)},
                now,
            )
        return new

    async def withdraw(self, maintenance: UUID, by: Author) -> None:
        """From now on it counts no more.

        Raises:
            NotAllowed: as `Monitoring.demand_operator`.
            NotFound: `maintenance_unknown`, also when it is over or withdrawn.

        Records: `maintenance.withdrawn` in the register log.
        """
        person = await self._monitoring.demand_operator(by)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            if not await store.withdraw(connection, maintenance, person, now):
                raise NotFound("maintenance_unknown")
            await self._record(connection, "maintenance.withdrawn", {"maintenance": str(maintenance)}, now)

    async def list_levels(self, flow: str, by: Author) -> list[Level]:
        """What was and will be promised, the last first.

        Raises:
            NotFound: `flow_unknown`. NotAllowed: `not_a_participant`.
        """
        await self._monitoring.demand_visible(flow, by)
        async with self._database.acquire() as connection:
            return await store.list_levels(connection, flow)

    async def list_to_come(self, flow: str, by: Author) -> list[Maintenance]:
        """What is announced and not over nor withdrawn.

        Raises:
            NotFound: `flow_unknown`. NotAllowed: `not_a_participant`.
        """
        await self._monitoring.demand_visible(flow, by)
        async with self._database.acquire() as connection:
            found = await store.list_maintenance(connection, flow, self._clock.now(), None)
        return [each for each in found if each.withdrawn_at is None]

    async def report(self, flow: str, month_: str | None, by: Author) -> MonthReport:
        """What the month kept; `2026-11`, this one when there is none.

        Raises:
            NotFound: `flow_unknown`. NotAllowed: `not_a_participant`.
            Invalid: `month_malformed`, `month_not_begun`, `month_not_kept`.
        """
        await self._monitoring.demand_visible(flow, by)
        now = self._clock.now()
        month = read_month(month_) if month_ else civil_date(now).replace(day=1)
        since, until = period_of(month, now)
        async with self._database.acquire() as connection:
            level = level_in(month, await store.list_levels(connection, flow))
            announced = await store.list_maintenance(connection, flow, since, until)
            asked = await store.list_minutes(connection, flow, since, until)
            lives = await store.list_lives(connection, since, until)
            known = await store.first_known(connection)
            counts = await counts_store.list_counts(connection, flow, since, until)
            terms = [Term(*row) for row in await list_terms(connection, flow, since, until)]
        planned = [each for each in announced if is_planned(each, level)]
        days = judge_minutes(since, until, asked, lives, known, planned)
        minutes = add_up(days)
        total = point_of(since, counts)
        return MonthReport(
            flow=flow,
            month=month,
            until=until,
            level=level,
            minutes=minutes,
            days=days,
            availability=judge_availability(level, minutes) if level else None,
            p95=judge_p95(level, total.latency.p95, total.asked) if level else None,
            deferred=judge_deferred(level, terms, now) if level else None,
            batches=count_terms(terms),
            maintenance=announced,
            asked=total.asked,
        )

    async def _record(
        self, connection: Connection, kind: str, public: dict[str, str | int | None], at: datetime
    ) -> None:
        await append(connection, self._sealer, [Entry(log=Log.REGISTER, kind=kind, public=public, at=at)])
