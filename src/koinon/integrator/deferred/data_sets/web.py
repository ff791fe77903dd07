"""Pages of orders: an operator proposes and sees what came of them, a manager of the party agrees or ends them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from koinon.base.errors import KoinonError, NotAllowed, NotFound
from koinon.base.ids import parse_id
from koinon.base.text import LANGUAGES
from koinon.integrator.deferred.data_sets.model import NewOrder
from koinon.integrator.deferred.data_sets.service import AGREES, DataSetOrders, columns_of
from koinon.integrator.model import Flow
from koinon.integrator.processing.web.noise import read_price
from koinon.integrator.processing.web.words import title_of, typed
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, render
from koinon.trust.parties import OPERATOR, PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing

STATES: dict[str, tuple[Message, str]] = {
    "proposed": (N_("waits for the party"), "info"),
    "agreed": (N_("in force"), "good"),
    "ended": (N_("ended"), "neutral"),
}
LINE_STATES: dict[str, tuple[Message, str]] = {
    "waiting": (N_("waits for its turn"), "info"),
    "registered": (N_("registered"), "good"),
    "refused": (N_("not registered"), "bad"),
}
problems: dict[str, Message] = {
    "data_set_order_exists": N_("There is such an order for these results already."),
    "data_set_order_unknown": N_("There is no such order."),
    "data_set_order_over": N_("This order was agreed on or ended meanwhile."),
    "data_set_failed": N_("It failed again and again; the operator of the platform looks into it."),
    "result_fields_missing": N_("None of the fields of the order may be taken from this result."),
}


def _orders(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in (OPERATOR, AGREES) and viewer.party is not None


navigation = [
    NavigationItem(
        label=N_("Data sets"),
        path="/processing/results",
        shown_to=lambda viewer: _orders(viewer) and isinstance(viewer, Session) and viewer.profile == AGREES,
        order=42,
    )
]


@get("/processing/results", include_in_schema=False)
async def show_orders(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    orders: NamedDependency[DataSetOrders],
    standing: NamedDependency[Standing],
    flow: FromQuery[str | None] = None,
) -> Any:
    """The orders, what became of each batch, and for an operator the form about one flow."""
    return await _page(request, session, orders, standing, {"flow": flow or ""}, None)


@post("/processing/results", status_code=303, include_in_schema=False)
async def propose_order(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    orders: NamedDependency[DataSetOrders],
    standing: NamedDependency[Standing],
) -> Any:
    """The order waits for the party. Records: `data_set_order.proposed`."""
    _demand(session)
    sent = await request.form()
    form = typed(sent)
    fields = tuple(str(each)[:64] for each in sent.getall("fields", []))
    try:
        await orders.propose(_read(form, fields, orders.flows), session.author())
    except KoinonError as error:
        return await _page(request, session, orders, standing, {**form, "fields": ",".join(fields)}, error)
    return Redirect("/processing/results", status_code=303)


@post("/processing/results/{order:uuid}/agree", status_code=303, include_in_schema=False)
async def agree_order(
    request: Request[Any, Any, Any],
    order: FromPath[UUID],
    session: NamedDependency[Session],
    orders: NamedDependency[DataSetOrders],
    standing: NamedDependency[Standing],
) -> Any:
    """From now on each result is registered. Records: `data_set_order.agreed`."""
    _demand(session)
    try:
        await orders.agree(order, session.author())
    except KoinonError as error:
        return await _page(request, session, orders, standing, {}, error)
    return Redirect("/processing/results", status_code=303)


@post("/processing/results/{order:uuid}/end", status_code=303, include_in_schema=False)
async def end_order(
    request: Request[Any, Any, Any],
    order: FromPath[UUID],
    session: NamedDependency[Session],
    orders: NamedDependency[DataSetOrders],
    standing: NamedDependency[Standing],
) -> Any:
    """Nothing more comes of it. Records: `data_set_order.ended`."""
    _demand(session)
    try:
        await orders.end(order, session.author())
    except KoinonError as error:
        return await _page(request, session, orders, standing, {}, error)
    return Redirect("/processing/results", status_code=303)


@get("/api/processing/results", tags=["processing"])
async def list_orders(
    session: NamedDependency[Session], orders: NamedDependency[DataSetOrders]
) -> dict[str, Any]:
    """The orders and what became of their batches: all for an operator, those of their party for its manager."""
    _demand(session)
    found, lines = await orders.list_orders(session.author())
    document: dict[str, Any] = msgspec.to_builtins({"orders": found, "batches": lines})
    return document


def _read(form: Mapping[str, str], fields: tuple[str, ...], flows: Mapping[str, Flow]) -> NewOrder:
    flow = flows.get(form.get("flow", ""))
    named = any(form.get(f"title_{language}") for language in LANGUAGES)
    return NewOrder(
        party=parse_id(form.get("party", ""), "party"),
        flow=form.get("flow", ""),
        purpose=form.get("purpose", ""),
        fields=fields,
        title=flow.title if flow is not None and not named else title_of(form, form.get("flow", "")),
        budget=read_price(form),
    )


async def _page(
    request: Request[Any, Any, Any],
    session: Session,
    orders: DataSetOrders,
    standing: Standing,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    _demand(session)
    found, lines = await orders.list_orders(session.author())
    said = portal_of(request).problems
    flows = [flow for flow in orders.flows.values() if _in_batch(flow)]
    parties = [
        (str(each.id), each.name)
        for each in standing.register.parties.values()
        if standing.list_purposes(PartyId(each.id), "communicate")
    ]
    titles = {each.id: each.title for each in found}
    chosen = next((flow for flow in flows if flow.name == form.get("flow")), flows[0])
    return render(
        request,
        "deferred/data_sets.html",
        status_code=error.status if error is not None else 200,
        operates=session.profile == OPERATOR,
        agrees=session.profile == AGREES,
        orders=[
            (
                each,
                STATES[each.state],
                standing.register.parties[each.party].name,
                [orders.flows[each.flow].fields.get(name, name) for name in each.fields]
                if each.flow in orders.flows
                else list(each.fields),
            )
            for each in found
        ],
        lines=[
            (each, LINE_STATES[each.state], titles[each.order], said.get(each.code or "", each.code or ""))
            for each in lines
        ],
        flows=[(flow.title, f"/processing/results?flow={flow.name}#new", flow is chosen) for flow in flows],
        flow=chosen.name,
        purposes=list(chosen.purposes.items()),
        fields=[(name, label) for name, label in chosen.fields.items() if name in columns_of(chosen)],
        chosen=form.get("fields", "").split(","),
        parties=sorted(parties, key=lambda each: each[1].en),
        form={"epsilon": "1", "delta": "0", **form},
        refused=error is not None,
        message=said.get(error.code, N_("This order cannot be made so.")) if error is not None else None,
        facts=error.facts if error is not None else {},
    )


def _in_batch(flow: Flow) -> bool:
    try:
        columns_of(flow)
    except NotFound:
        return False
    return True


def _demand(session: Session) -> None:
    if not _orders(session):
        raise NotAllowed("profile_not_held", profile=OPERATOR)


handlers = [show_orders, propose_order, agree_order, end_order, list_orders]
