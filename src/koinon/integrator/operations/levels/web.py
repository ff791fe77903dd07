"""Pages and exports of service levels: for the participants of a flow; promised and announced by the operator."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from koinon.base.clock import Clock, civil_date, start_of
from koinon.base.errors import Invalid, KoinonError
from koinon.base.text import Text
from koinon.integrator.operations.levels.export import as_csv, as_json
from koinon.integrator.operations.levels.model import DayMinutes, MonthReport, NewLevel
from koinon.integrator.operations.levels.policy import is_planned, next_month, read_moment
from koinon.integrator.operations.levels.service import Levels
from koinon.integrator.operations.policy import oldest_kept
from koinon.integrator.operations.service import Monitoring
from koinon.portal import N_, portal_of, render
from koinon.trust.parties import OPERATOR
from koinon.trust.parties.sign_in import Session

VERDICT_NAMES = {
    "kept": (N_("kept"), "good"),
    "broken": (N_("not kept"), "bad"),
    "unknown": (N_("not known"), "warn"),
}
MINUTE_NAMES = {
    "answered": N_("answered"),
    "ready": N_("ready, nobody asked"),
    "planned": N_("planned maintenance"),
    "unknown": N_("not written down"),
    "down": N_("down"),
}
problems = {
    "level_malformed": N_("This cannot be promised: look at %(field)s."),
    "level_not_to_come": N_("A promise begins with a month to come: %(earliest)s at the earliest."),
    "level_agreed": N_("Something is promised from that month on already."),
    "maintenance_malformed": N_(
        "Maintenance is announced before it begins, in whole minutes, for at most a day, with why in each language."
    ),
    "maintenance_unknown": N_("There is no such maintenance, or it is over or withdrawn."),
    "month_malformed": N_("A month is written as 2026-11."),
    "month_not_begun": N_("This month has not begun."),
    "month_not_kept": N_("The numbers of this month are deleted."),
}
# Width and height of a day in the drawing.
_WIDE, _HIGH = 18, 120


@get("/operations/flows/{flow:str}/levels", include_in_schema=False)
async def show_levels(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    levels: NamedDependency[Levels],
    monitoring: NamedDependency[Monitoring],
    clock: NamedDependency[Clock],
    flow: FromPath[str],
    month: FromQuery[str] = "",
) -> Any:
    """What was promised of the flow, and what the month kept of it."""
    return await _page(request, session, levels, monitoring, clock, flow, month, {}, None)


@post("/operations/flows/{flow:str}/levels", status_code=200, include_in_schema=False)
async def agree(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    levels: NamedDependency[Levels],
    monitoring: NamedDependency[Monitoring],
    clock: NamedDependency[Clock],
    flow: FromPath[str],
) -> Any:
    """It is promised, or the page says why not."""
    form = await _form(request)
    try:
        deferred = form.get("deferred_hours", "")
        new = NewLevel(
            flow=flow,
            begins_on=_month(form.get("begins_on", "")),
            availability_percent=_number(form, "availability_percent"),
            p95_ms=int(_number(form, "p95_ms")),
            deferred_hours=int(_number(form, "deferred_hours")) if deferred else None,
            notice_hours=int(_number(form, "notice_hours")),
        )
        await levels.agree(new, session.author())
    except KoinonError as error:
        if error.code not in problems:
            raise
        return await _page(request, session, levels, monitoring, clock, flow, "", form, error)
    return Redirect(f"/operations/flows/{flow}/levels", status_code=303)


@post("/operations/flows/{flow:str}/maintenance", status_code=200, include_in_schema=False)
async def announce(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    levels: NamedDependency[Levels],
    monitoring: NamedDependency[Monitoring],
    clock: NamedDependency[Clock],
    flow: FromPath[str],
) -> Any:
    """It is announced, or the page says why not."""
    form = await _form(request)
    try:
        await levels.announce(
            None if form.get("all") else flow,
            read_moment(form.get("since", "")),
            read_moment(form.get("until", "")),
            Text(form.get("reason_nl", ""), form.get("reason_fr", ""), form.get("reason_en", "")),
            session.author(),
        )
    except KoinonError as error:
        if error.code not in problems:
            raise
        return await _page(request, session, levels, monitoring, clock, flow, "", form, error)
    return Redirect(f"/operations/flows/{flow}/levels", status_code=303)


@post("/operations/maintenance/{maintenance:uuid}/withdraw", status_code=303, include_in_schema=False)
async def withdraw(
    session: NamedDependency[Session],
    levels: NamedDependency[Levels],
    maintenance: FromPath[UUID],
) -> Redirect:
    """From now on it counts no more."""
    await levels.withdraw(maintenance, session.author())
    return Redirect("/operations", status_code=303)


@get("/api/operations/flows/{flow:str}/levels", tags=["operations"])
async def get_month(
    session: NamedDependency[Session],
    levels: NamedDependency[Levels],
    flow: FromPath[str],
    month: FromQuery[str] = "",
) -> dict[str, Any]:
    """What a month (`2026-11`; this one without) kept of what was promised: for participants and the operator."""
    return as_json(await levels.report(flow, month, session.author()))


@get("/api/operations/flows/{flow:str}/levels/csv", tags=["operations"])
async def get_month_csv(
    session: NamedDependency[Session],
    levels: NamedDependency[Levels],
    flow: FromPath[str],
    month: FromQuery[str] = "",
) -> Response[bytes]:
    """Its minutes by the day, as CSV."""
    report = await levels.report(flow, month, session.author())
    return Response(
        as_csv(report),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="{report.flow}-{report.month:%Y-%m}.csv"'},
    )


async def _page(
    request: Request[Any, Any, Any],
    session: Session,
    levels: Levels,
    monitoring: Monitoring,
    clock: Clock,
    name: str,
    month: str,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    by, now = session.author(), clock.now()
    report = await levels.report(name, month, by)
    next_ = next_month(report.month)
    before = date.fromordinal(report.month.toordinal() - 1).replace(day=1)
    this = civil_date(now).replace(day=1)
    return render(
        request,
        "operations/levels.html",
        status_code=error.status if error else 200,
        flow=monitoring.get_flow(name),
        report=report,
        promises=_promises(report),
        verdicts=VERDICT_NAMES,
        minute_names=MINUTE_NAMES,
        columns=columns_of(report.days),
        wide=_WIDE,
        high=_HIGH,
        earlier=f"{before:%Y-%m}" if start_of(before) >= oldest_kept(now) else None,
        later=f"{next_:%Y-%m}" if next_ <= this else None,
        is_running=report.month == this,
        announced=[(each, is_planned(each, report.level)) for each in report.maintenance],
        to_come=await levels.list_to_come(name, by),
        agreed=await levels.list_levels(name, by),
        operates=session.profile == OPERATOR,
        form={
            "begins_on": f"{next_month(this):%Y-%m}",
            "availability_percent": "99.5",
            "p95_ms": "750",
            "deferred_hours": "24",
            "notice_hours": "48",
            "since": "",
            "until": "",
            "reason_nl": "",
            "reason_fr": "",
            "reason_en": "",
            **form,
        },
        message=portal_of(request).problems[error.code] if error else None,
        facts=error.facts if error else {},
    )


def columns_of(days: Sequence[DayMinutes]) -> list[tuple[date, list[tuple[str, float, float]]]]:
    """Of each day its parts from above: name, where it begins, how high; a part that there is is seen."""
    columns = []
    for each in days:
        numbers = [(name, getattr(each.minutes, name)) for name in MINUTE_NAMES]
        total = max(1, each.minutes.total)
        heights = {name: max(2.0, _HIGH * number / total) for name, number in numbers if number}
        scale = _HIGH / max(_HIGH, sum(heights.values()))
        at, parts = 0.0, []
        for name, height in heights.items():
            parts.append((name, round(at, 1), round(height * scale, 1)))
            at += height * scale
        columns.append((each.day, parts))
    return columns


def _promises(report: MonthReport) -> list[tuple[str, Any]]:
    named = (("availability", report.availability), ("p95", report.p95), ("deferred", report.deferred))
    return [(name, promise) for name, promise in named if promise is not None]


async def _form(request: Request[Any, Any, Any]) -> dict[str, str]:
    return {name: str(value)[:300].strip() for name, value in (await request.form()).items()}


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise Invalid("level_malformed", field="begins_on") from None


def _number(form: Mapping[str, str], field: str) -> float:
    try:
        number = float(form.get(field, "").replace(",", "."))
        int(number)  # neither infinite nor nothing
    except (ValueError, OverflowError):
        raise Invalid("level_malformed", field=field) from None
    return number


handlers = [show_levels, agree, announce, withdraw, get_month, get_month_csv]
