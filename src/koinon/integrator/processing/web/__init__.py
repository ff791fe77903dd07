"""Pages of published results, for anybody; and of data sets and their budgets, for operators."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from koinon.base.errors import KoinonError
from koinon.base.ids import parse_id
from koinon.integrator.processing import api
from koinon.integrator.processing.cluster import TOTAL, Cluster
from koinon.integrator.processing.drafts import Drafts
from koinon.integrator.processing.model import MadeCells, MadeNoisy
from koinon.integrator.processing.service import Processing
from koinon.integrator.processing.web import drafts, noise, pseudonyms, rows
from koinon.integrator.processing.web.grid import grid_of
from koinon.integrator.processing.web.words import (
    KINDS,
    operates,
    problems,
    title_of,
    typed,
    words_of,
)
from koinon.portal import N_, Message, NavigationItem, render
from koinon.trust.parties import Author

_PAGE = 50
navigation = [
    NavigationItem(label=N_("Statistics"), path="/statistics", order=55, section="footer"),
    NavigationItem(label=N_("Data sets"), path="/processing", shown_to=operates, order=40),
    *pseudonyms.navigation,
]


@get("/statistics", opt={"public": True}, include_in_schema=False)
async def show_statistics(
    request: Request[Any, Any, Any],
    processing: NamedDependency[Processing],
    after: FromQuery[str | None] = None,
) -> Any:
    """What was published, newest first."""
    past = parse_id(after, "after") if after else None
    found = await processing.list_publications(before=past, limit=_PAGE)
    return render(
        request,
        "processing/statistics.html",
        publications=found,
        kinds=KINDS,
        next=str(found[-1].id) if len(found) == _PAGE else None,
    )


@get("/statistics/{publication:uuid}", opt={"public": True}, include_in_schema=False)
async def show_publication(
    request: Request[Any, Any, Any], publication: FromPath[UUID], processing: NamedDependency[Processing]
) -> Any:
    """One publication: its cells, how it was made, what it cost."""
    found = await processing.get_publication(publication)
    return render(
        request,
        "processing/publication.html",
        publication=found,
        words=found.words,
        made=found.made,
        kinds=KINDS,
        grid=grid_of(found.table()) if isinstance(found.made, MadeCells) else None,
        total=TOTAL,
        noisy_values=sorted(found.made.noisy.values.items(), key=lambda each: (each[0] == TOTAL, each[0]))
        if isinstance(found.made, MadeNoisy)
        else [],
    )


@get("/processing", include_in_schema=False)
async def show_data_sets(
    request: Request[Any, Any, Any],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """Data sets, what is left of their budgets, and the form for a table."""
    return await _page(request, processing, {}, None)


@post("/processing/tables", status_code=200, include_in_schema=False)
async def propose_table(
    request: Request[Any, Any, Any],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """The table is made and waits for another operator, or the form says why not. Records: `statistics.proposed`."""
    sent = await request.form()
    form = typed(sent)
    try:
        minimum = int(form.get("minimum", "")) if form.get("minimum", "").isdecimal() else 0
        dimensions = tuple(word.strip() for word in form.get("dimensions", "").split(",") if word.strip())
        draft = await Drafts(processing).propose_cells(
            form.get("data_set", ""),
            Cluster(dimensions=dimensions, minimum=minimum),
            (),
            title_of(form, form.get("data_set", "")),
            operator,
        )
    except KoinonError as error:
        return await _page(request, processing, form, error)
    return Redirect(f"/processing/drafts/{draft}", status_code=303)


@post("/processing/publications/{publication:uuid}/withdraw", status_code=303, include_in_schema=False)
async def withdraw_publication(
    operator: NamedDependency[Author], publication: FromPath[UUID], processing: NamedDependency[Processing]
) -> Redirect:
    """The publication is shown no more. Records: `statistics.withdrawn`."""
    await processing.withdraw(publication, operator)
    return Redirect("/processing", status_code=303)


async def _page(
    request: Request[Any, Any, Any],
    processing: Processing,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    message: Message | None = None
    if error is not None:
        message = words_of(request, error, N_("The table could not be made."))
    data_sets = await processing.list_data_sets()
    return render(
        request,
        "processing/data_sets.html",
        status_code=error.status if error else 200,
        data_sets=data_sets,
        names=[(each.name, each.name) for each, _ in data_sets],
        publications=await processing.list_publications(limit=_PAGE),
        drafts=await Drafts(processing).list(),
        states=drafts.STATES,
        kinds=KINDS,
        form={"minimum": "10", **form},
        message=message,
        facts=error.facts if error else {},
    )


handlers = [
    *api.handlers,
    show_statistics,
    show_publication,
    show_data_sets,
    propose_table,
    withdraw_publication,
    *drafts.handlers,
    *noise.handlers,
    *rows.handlers,
    *pseudonyms.handlers,
]

__all__ = ["handlers", "navigation", "problems"]
