"""Monitoring: reports of flows for their participants, alerts for the operator."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.base.metrics import gauge
from koinon.base.text import Text
from koinon.integrator.deferred import list_terms
from koinon.integrator.model import Flow
from koinon.integrator.operations import store
from koinon.integrator.operations.model import Alert, AlertKind, AlertRule, Consumer, FlowReport, Step, Term
from koinon.integrator.operations.policy import (
    LONGEST,
    beginning_of,
    check_period,
    check_rule,
    count_terms,
    judge,
    names_of,
    oldest_kept,
    point_of,
    points_of,
)
from koinon.integrator.service import Integrator
from koinon.trust.gate.keepers import Keepers
from koinon.trust.parties import OPERATOR, Author, PartyId, PersonId
from koinon.trust.standing import Standing

_ALERTS = 50

_log = structlog.get_logger()
_open_alerts = gauge("koinon_flow_alerts", "Alerts that are open.", ("flow", "kind"))


class Monitoring:
    """What flows did, for who takes part in them."""

    def __init__(self, *, database: Database, clock: Clock, integrator: Integrator, keepers: Keepers) -> None:
        self._database = database
        self._clock = clock
        self._integrator = integrator
        self._keepers = keepers

    @property
    def flows(self) -> Mapping[str, Flow]:
        """Every flow, by name."""
        return self._integrator.flows

    def get_flow(self, name: str) -> Flow:
        """The flow of that name.

        Raises:
            NotFound: `flow_unknown`.
        """
        flow = self._integrator.flows.get(name)
        if flow is None:
            raise NotFound("flow_unknown", flow=name[:64])
        return flow

    async def demand_visible(self, name: str, by: Author) -> Flow:
        """The flow of that name, for somebody who may see its numbers.

        Raises:
            NotFound: `flow_unknown`. NotAllowed: `not_a_participant`.
        """
        flow = self.get_flow(name)
        if not self._may_see(flow, by, await self._integrator.gate.keeper.settle()):
            raise NotAllowed("not_a_participant", flow=flow.name)
        return flow

    async def list_visible(self, by: Author) -> list[Flow]:
        """The flows of which this person may see the numbers."""
        standing = await self._integrator.gate.keeper.settle()
        return [flow for flow in self._integrator.flows.values() if self._may_see(flow, by, standing)]

    async def demand_operator(self, by: Author) -> PersonId:
        """The operator's person, who may act now.

        Raises:
            NotAllowed: as `Standing.check_operator`. Unavailable: `standing_unconfirmed`.
        """
        return (await self._integrator.gate.keeper.settle()).check_operator(by, self._clock.now())

    def _may_see(self, flow: Flow, by: Author, standing: Standing) -> bool:
        return by.profile == OPERATOR or (by.party is not None and self.takes_part(flow, by.party, standing))

    def takes_part(self, flow: Flow, party: PartyId, standing: Standing) -> bool:
        """Whether the party was authorised for the flow, or keeps one of its sources."""
        resource = f"flow/{flow.name}"
        granted = standing.acts.granted
        for authorisation in standing.agreements.authorisations.values():
            if (
                party in authorisation.beneficiaries
                and resource in authorisation.resources
                and authorisation.digest in granted
            ):
                return True
        found = standing.register.parties.get(party)
        return found is not None and any(
            self._keepers.is_kept_by(each, found.enterprise_number) for each in flow.plan.resources
        )

    async def report(
        self, flow_name: str, by: Author, *, since: datetime, until: datetime, step: Step
    ) -> FlowReport:
        """What the flow did in the period, from the beginning of its first step.

        Raises:
            NotFound: `flow_unknown`.
            NotAllowed: `not_a_participant`.
            Invalid: `period_empty`, `period_too_long` (31 days by the hour, 400 by the day), `period_out_of_time`.
        """
        flow = await self.demand_visible(flow_name, by)
        check_period(since, until, step)
        since = beginning_of(since, step)
        async with self._database.acquire() as connection:
            counts = await store.list_counts(connection, flow.name, since, until)
            terms = await list_terms(connection, flow.name, since, until)
        by_party: Counter[UUID] = Counter()
        for count in counts:
            if count.kind in ("outcome", "failure"):
                by_party[count.party] += count.number
        parties = (await self._integrator.gate.keeper.settle()).register.parties
        return FlowReport(
            flow=flow.name,
            since=since,
            until=until,
            step=step,
            total=point_of(since, counts),
            points=points_of(counts, since, until, step),
            outcomes=names_of(counts, "outcome"),
            failures=names_of(counts, "failure"),
            filtered=names_of(counts, "filtered"),
            sources=names_of(counts, "source"),
            streams=names_of(counts, "stream"),
            batches=count_terms(Term(*each) for each in terms),
            consumers=tuple(
                Consumer(party, found.name if found is not None else Text("", "", ""), number)
                for party, number in by_party.most_common()
                for found in (parties.get(PartyId(party)),)
            ),
        )

    async def recent(self, by: Author, days: int = 7) -> Sequence[FlowReport]:
        """A report by day of each flow that this person may see, up to now."""
        until = self._clock.now()
        since = until - min(timedelta(days=days - 1), LONGEST["day"])
        return [
            await self.report(flow.name, by, since=since, until=until, step="day")
            for flow in await self.list_visible(by)
        ]

    async def make_rule(
        self, flow_name: str, kind: AlertKind, threshold: float, window_minutes: int, by: Author
    ) -> AlertRule:
        """The rule watches from now on.

        Raises:
            NotAllowed: as `demand_operator`. NotFound: `flow_unknown`. Invalid: `alert_rule_malformed`.
        """
        person = await self.demand_operator(by)
        flow = self.get_flow(flow_name)
        check_rule(kind, threshold, window_minutes)
        rule = AlertRule(
            id=new_id(),
            flow=flow.name,
            kind=kind,
            threshold=threshold,
            window_minutes=window_minutes,
            made_at=self._clock.now(),
        )
        async with self._database.transaction() as connection:
            await store.insert_rule(connection, rule, person)
        return rule

    async def end_rule(self, rule: UUID, by: Author) -> None:
        """The rule watches no more.

        Raises:
            NotAllowed: as `demand_operator`. NotFound: `alert_rule_unknown`.
        """
        await self.demand_operator(by)
        async with self._database.transaction() as connection:
            if not await store.end_rule(connection, rule, self._clock.now()):
                raise NotFound("alert_rule_unknown")

    async def list_rules(self, by: Author) -> list[AlertRule]:
        """The rules of the flows that this person may see."""
        visible = {flow.name for flow in await self.list_visible(by)}
        async with self._database.acquire() as connection:
            return [rule for rule in await store.list_rules(connection) if rule.flow in visible]

    async def list_alerts(self, by: Author, flow: str | None = None) -> list[Alert]:
        """Open alerts, then the newest that are over, of the flows that this person may see."""
        visible = {each.name for each in await self.list_visible(by)}
        async with self._database.acquire() as connection:
            found = await store.list_alerts(connection, flow, _ALERTS)
        return [alert for alert in found if alert.rule.flow in visible]

    async def see_alert(self, alert: UUID, by: Author) -> None:
        """The operator has seen it; it stays open until the rule is met no more.

        Raises:
            NotAllowed: as `demand_operator`. NotFound: `alert_unknown`, also when it is over or was seen.
        """
        person = await self.demand_operator(by)
        async with self._database.transaction() as connection:
            if not await store.see_alert(connection, alert, person, self._clock.now()):
                raise NotFound("alert_unknown")


async def watch(connection: Connection, now: datetime) -> tuple[int, int]:
    """Every rule has been judged over its last whole minutes; returns how many alerts were raised and ended."""
    until = now.replace(second=0, microsecond=0)
    raised = ended = 0
    for rule in await store.list_rules(connection):
        since = until - timedelta(minutes=rule.window_minutes)
        measured = judge(rule, await store.measure(connection, rule.flow, since, until), now)
        if measured is None:
            if await store.end_alert(connection, rule.id, now):
                ended += 1
                _log.info("alert_ended", flow=rule.flow, kind=rule.kind)
        elif await store.raise_alert(connection, new_id(), rule.id, measured, now):
            raised += 1
            _log.warning("alert_raised", flow=rule.flow, kind=rule.kind, measured=measured)
        _open_alerts.labels(rule.flow, rule.kind).set(measured is not None)
    return raised, ended


async def forget(connection: Connection, now: datetime) -> int:
    """Numbers of more than 13 months ago are gone; returns how many."""
    return await store.forget(connection, oldest_kept(now))


def read_kind(text: str) -> AlertKind:
    """The kind that a form names.

    Raises:
        Invalid: `alert_rule_malformed`.
    """
    match text:
        case "errors" | "silence" | "latency":
            return text
        case _:
            raise Invalid("alert_rule_malformed", field="kind")
