"""Pages and exports of monitoring: for the participants of a flow, and for the operator."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

import koinon.integrator.operations.sandbox.web as sandbox
from koinon.base.clock import BRUSSELS, Clock
from koinon.base.errors import Invalid, KoinonError
from koinon.integrator.operations.export import as_csv, as_json
from koinon.integrator.operations.levels import web as levels
from koinon.integrator.operations.model import RELEASED, FlowReport, Point, Step
from koinon.integrator.operations.service import Monitoring, read_kind
from koinon.portal import N_, NavigationItem, portal_of, render
from koinon.trust.parties import OPERATOR
from koinon.trust.parties.sign_in import Session

KIND_NAMES = {
    "errors": N_("share of failures"),
    "silence": N_("silence"),
    "latency": N_("slow answers (p95)"),
}
STATE_NAMES = {
    "raised": (N_("raised"), "bad"),
    "seen": (N_("seen"), "warn"),
    "ended": (N_("over"), "neutral"),
}
STATUS_NAMES = {
    "data": N_("data"),
    "no_data": N_("no data"),
    "no_answer": N_("no answer"),
    "not_allowed": N_("not allowed"),
}
STREAM_NAMES = {"persons": N_("persons told about"), "begun": N_("streams begun")}
# What a page shows: the last 24 hours, 31 days.
_SHOWN: Mapping[Step, timedelta] = {"hour": timedelta(hours=23), "day": timedelta(days=30)}
problems = {
    "not_a_participant": N_("Your organisation takes no part in this flow."),
    "alert_rule_malformed": N_("This rule would always be met, or never."),
    "alert_rule_unknown": N_("There is no such rule, or it has ended."),
    "alert_unknown": N_("There is no such alert, or it is over or was seen."),
    "period_empty": N_("The period ends before it begins."),
    "period_out_of_time": N_("No numbers are of that time."),
    "period_too_long": N_("The period is longer than %(limit_days)s days."),
    **levels.problems,
    **sandbox.problems,
    "instant_without_zone": N_("Write an instant with its zone: %(expected)s."),
    "not_found": N_("There is no such change."),
}


def _takes_part(viewer: Any) -> bool:
    return isinstance(viewer, Session) and viewer.party is not None and viewer.profile is not None


navigation = [
    NavigationItem(label=N_("Flows in numbers"), path="/operations", shown_to=_takes_part, order=45)
]


@get("/operations", include_in_schema=False)
async def show_flows(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    monitoring: NamedDependency[Monitoring],
) -> Any:
    """The flows of which this person may see the numbers, over a week."""
    by = session.author()
    return render(
        request,
        "operations/flows.html",
        flows=[(monitoring.get_flow(report.flow), report) for report in await monitoring.recent(by)],
        alerts=[each for each in await monitoring.list_alerts(by) if each.state != "ended"],
        operates=session.profile == OPERATOR,
        title_of=lambda name: monitoring.get_flow(name).title,
        kinds=KIND_NAMES,
        states=STATE_NAMES,
    )


@get("/operations/flows/{flow:str}", include_in_schema=False)
async def show_flow(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    monitoring: NamedDependency[Monitoring],
    clock: NamedDependency[Clock],
    flow: FromPath[str],
    step: FromQuery[Literal["hour", "day"]] = "day",
) -> Any:
    """One flow: volume, times, outcomes, what was filtered, how sources answered; alerts and their rules."""
    return await _flow_page(request, session, monitoring, clock, flow, step, {}, None)


@post("/operations/flows/{flow:str}/rules", status_code=200, include_in_schema=False)
async def make_rule(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    monitoring: NamedDependency[Monitoring],
    clock: NamedDependency[Clock],
    flow: FromPath[str],
) -> Any:
    """The rule watches, or the page says why not."""
    sent = await request.form()
    form = {name: str(value)[:40].strip() for name, value in sent.items()}
    try:
        kind = read_kind(form.get("kind", ""))
        threshold = _number(form.get("threshold", ""), "threshold")
        await monitoring.make_rule(
            flow,
            kind,
            threshold / 100 if kind == "errors" else threshold,  # people say percent
            int(_number(form.get("window_minutes", ""), "window_minutes")),
            session.author(),
        )
    except Invalid as error:
        return await _flow_page(request, session, monitoring, clock, flow, "day", form, error)
    return Redirect(f"/operations/flows/{flow}", status_code=303)


@post("/operations/rules/{rule:uuid}/end", status_code=303, include_in_schema=False)
async def end_rule(
    session: NamedDependency[Session], monitoring: NamedDependency[Monitoring], rule: FromPath[UUID]
) -> Redirect:
    """The rule watches no more."""
    await monitoring.end_rule(rule, session.author())
    return Redirect("/operations", status_code=303)


@post("/operations/alerts/{alert:uuid}/seen", status_code=303, include_in_schema=False)
async def see_alert(
    session: NamedDependency[Session], monitoring: NamedDependency[Monitoring], alert: FromPath[UUID]
) -> Redirect:
    """The operator has seen it."""
    await monitoring.see_alert(alert, session.author())
    return Redirect("/operations", status_code=303)


@get("/api/operations/flows/{flow:str}", tags=["operations"])
async def get_report(
    session: NamedDependency[Session],
    monitoring: NamedDependency[Monitoring],
    flow: FromPath[str],
    since: FromQuery[datetime],
    until: FromQuery[datetime],
    step: FromQuery[Literal["hour", "day"]] = "hour",
) -> dict[str, Any]:
    """What a flow did, by the hour or by the day in Brussels: for its participants and the operator."""
    return as_json(await _report(session, monitoring, flow, since, until, step))


@get("/api/operations/flows/{flow:str}/csv", tags=["operations"])
async def get_report_csv(
    session: NamedDependency[Session],
    monitoring: NamedDependency[Monitoring],
    flow: FromPath[str],
    since: FromQuery[datetime],
    until: FromQuery[datetime],
    step: FromQuery[Literal["hour", "day"]] = "hour",
) -> Response[bytes]:
    """The same as CSV, without the consumers."""
    report = await _report(session, monitoring, flow, since, until, step)
    return Response(
        as_csv(report),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="{report.flow}-{step}.csv"'},
    )


async def _report(
    session: Session, monitoring: Monitoring, flow: str, since: datetime, until: datetime, step: Step
) -> FlowReport:
    if since.tzinfo is None or until.tzinfo is None:
        raise Invalid("instant_without_zone", expected="2026-11-24T09:00:00Z")
    return await monitoring.report(flow, session.author(), since=since, until=until, step=step)


async def _flow_page(
    request: Request[Any, Any, Any],
    session: Session,
    monitoring: Monitoring,
    clock: Clock,
    name: str,
    step: Step,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    by, now = session.author(), clock.now()
    report = await monitoring.report(name, by, since=now - _SHOWN[step], until=now, step=step)
    flow = monitoring.get_flow(name)
    return render(
        request,
        "operations/flow.html",
        status_code=error.status if error else 200,
        flow=flow,
        report=report,
        step=step,
        volume=[(_label(point, step), point.asked) for point in report.points],
        times=[(_label(point, step), point.latency.p95 or 0) for point in report.points],
        points=[point for point in reversed(report.points) if point.asked],
        released=RELEASED,
        consumers=[(each.name if each.name.en else str(each.party), each.asked) for each in report.consumers],
        filtered=[(flow.fields.get(field, field), number) for field, number in report.filtered.items()],
        sources=[(*each.rpartition(":")[::2], number) for each, number in report.sources.items()],
        statuses=STATUS_NAMES,
        streams=list(report.streams.items()),
        stream_names=STREAM_NAMES,
        batches=report.batches,
        alerts=await monitoring.list_alerts(by, flow.name),
        rules=[rule for rule in await monitoring.list_rules(by) if rule.flow == flow.name],
        operates=session.profile == OPERATOR,
        kinds=KIND_NAMES,
        states=STATE_NAMES,
        form={"kind": "errors", "threshold": "5", "window_minutes": "15", **form},
        message=portal_of(request).problems[error.code] if error else None,
        export=_period(report),
    )


def _label(point: Point, step: Step) -> str:
    local = point.at.astimezone(BRUSSELS)
    return f"{local:%H:%M}" if step == "hour" else f"{local:%d/%m}"


def _period(report: FlowReport) -> str:
    def written(at: datetime) -> str:
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    return f"since={written(report.since)}&until={written(report.until)}&step={report.step}"


def _number(text: str, field: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise Invalid("alert_rule_malformed", field=field) from None


handlers = [
    show_flows,
    show_flow,
    make_rule,
    end_rule,
    see_alert,
    get_report,
    get_report_csv,
    *levels.handlers,
    *sandbox.handlers,
]
