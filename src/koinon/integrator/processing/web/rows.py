"""Pages of anonymous rows: asked for, watched while they are made, weighed, published or thrown away."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.errors import KoinonError
from koinon.integrator.processing.anonymise import Anonymity, Quasi, read_hierarchy
from koinon.integrator.processing.drafts import Drafts
from koinon.integrator.processing.makings import Makings
from koinon.integrator.processing.model import DataSet, Making
from koinon.integrator.processing.service import Processing
from koinon.integrator.processing.web.words import decimal, title_of, typed, whole, words_of
from koinon.portal import N_, Message, portal_of, render
from koinon.trust.parties import Author

ROLES: dict[str, Message] = {
    "out": N_("left out"),
    "number": N_("could point to somebody: made a range"),
    "category": N_("could point to somebody: made a larger group"),
    "sensitive": N_("sensitive: stays as it is"),
}
STATES: dict[str, tuple[Message, str]] = {
    "waiting": (N_("waits for its turn"), "info"),
    "working": (N_("being made"), "info"),
    "made": (N_("made, not published"), "good"),
    "failed": (N_("could not be made"), "bad"),
    "published": (N_("published"), "good"),
    "discarded": (N_("thrown away"), "neutral"),
}
STEPS: dict[str, Message] = {
    "": N_("Waiting"),
    "reading": N_("Reading the rows"),
    "halving": N_("Forming groups of rows that are alike"),
    "sparing": N_("Leaving out what would cost others most"),
    "writing": N_("Writing the rows"),
    "measuring": N_("Measuring what was reached"),
}
_REASONS: dict[str, Message] = {
    "rows": N_("The data set has fewer than k = %(k)s rows."),
    "values": N_("The column %(column)s has fewer than l = %(l)s different values."),
}
_ORDERED = ("int", "uint", "decimal", "date")
_MOST = 20_000
_FIRST = {"k": "10", "l": "1", "most_suppressed": "2"}


@get("/processing/data-sets/{name:str}/rows", include_in_schema=False)
async def show_rows(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """The form, and what was made of this data set before."""
    return await _page(request, processing, name, {}, None)


@post("/processing/data-sets/{name:str}/rows", status_code=303, include_in_schema=False)
async def make_rows(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """The rows will be made, or the form says why not."""
    form = typed(await request.form(), _MOST)
    try:
        data_set = await processing.get_data_set(name)
        making = await Makings(processing).start(name, read_asked(form, data_set), operator)
    except KoinonError as error:
        return await _page(request, processing, name, form, error)
    return Redirect(f"/processing/makings/{making}", status_code=303)


@get("/processing/makings/{making:uuid}", include_in_schema=False)
async def show_making(
    request: Request[Any, Any, Any],
    making: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """How far it is; then what was reached and lost, beside the other tries, and the form to publish it."""
    return await _show(request, processing, making, {}, None)


@get("/processing/makings/{making:uuid}/progress", include_in_schema=False)
async def show_progress(
    request: Request[Any, Any, Any],
    making: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """The bar alone, for the page that polls it; when the work is over the page is loaded anew."""
    found = await Makings(processing).get(making)
    answer = render(request, "processing/progress.html", making=found, step=STEPS[found.step])
    if found.state not in ("waiting", "working"):
        answer.headers["HX-Refresh"] = "true"
    return answer


@post("/processing/makings/{making:uuid}/propose", status_code=303, include_in_schema=False)
async def propose_rows(
    request: Request[Any, Any, Any],
    making: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """The rows wait for another operator, or the page says why not. Records: `statistics.proposed`."""
    form = typed(await request.form())
    try:
        found = await Makings(processing).get(making)
        draft = await Drafts(processing).propose_rows(making, title_of(form, found.data_set_name), operator)
    except KoinonError as error:
        return await _show(request, processing, making, form, error)
    return Redirect(f"/processing/drafts/{draft}", status_code=303)


@post("/processing/makings/{making:uuid}/discard", status_code=303, include_in_schema=False)
async def discard_rows(
    request: Request[Any, Any, Any],
    making: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """The rows are gone."""
    makings = Makings(processing)
    try:
        found = await makings.get(making)
        await makings.discard(making, operator)
    except KoinonError as error:
        return await _show(request, processing, making, {}, error)
    return Redirect(f"/processing/data-sets/{found.data_set_name}/rows", status_code=303)


def read_asked(form: Mapping[str, str], data_set: DataSet) -> Anonymity:
    """What the form asks of the rows. Raises `Invalid`: `anonymity_malformed`, `hierarchy_malformed`."""
    quasi, sensitive = [], []
    for column in data_set.columns:
        role = form.get(f"role.{column}", "out")
        if role in ("number", "category"):
            groups = form.get(f"groups.{column}", "") if role == "category" else ""
            hierarchy = read_hierarchy(column, groups) if groups else None
            quasi.append(Quasi(column=column, kind=role, hierarchy=hierarchy))  # type: ignore[arg-type]
        elif role == "sensitive":
            sensitive.append(column)
    return Anonymity(
        quasi=tuple(quasi),
        sensitive=tuple(sensitive),
        k=whole(form.get("k", ""), "anonymity_malformed", why="k or l"),
        l=whole(form.get("l") or "1", "anonymity_malformed", why="k or l"),
        most_suppressed_share=float(
            decimal(form.get("most_suppressed") or "0", "anonymity_malformed", why="most_suppressed_share")
        )
        / 100,
    )


async def _page(
    request: Request[Any, Any, Any],
    processing: Processing,
    name: str,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    data_set = await processing.get_data_set(name)
    columns = [
        (column, _roles(kind), form.get(f"role.{column}", "out"), form.get(f"groups.{column}", ""))
        for column, kind in data_set.columns.items()
        if column != "subject"
    ]
    return render(
        request,
        "processing/rows.html",
        status_code=error.status if error is not None else 200,
        data_set=data_set,
        columns=columns,
        makings=await Makings(processing).list_of(data_set),
        states=STATES,
        form={**_FIRST, **form},
        refused=error is not None,
        message=words_of(request, error, N_("This cannot be made so.")) if error is not None else None,
        facts=error.facts if error is not None else {},
    )


async def _show(
    request: Request[Any, Any, Any],
    processing: Processing,
    making: UUID,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    found = await Makings(processing).get(making)
    data_set = await processing.get_data_set(found.data_set_name)
    others = await Makings(processing).list_of(data_set)
    return render(
        request,
        "processing/making.html",
        status_code=error.status if error is not None else 200,
        making=found,
        data_set=data_set,
        asked=_asked(found),
        tries=[each for each in others if each.made is not None],
        states=STATES,
        step=STEPS[found.step],
        form=form,
        refused=error is not None,
        message=words_of(request, error, N_("This cannot be made so.")) if error is not None else None,
        facts=error.facts if error is not None else {},
        why=_why(request, found),
        why_facts=found.facts or {},
    )


def _why(request: Request[Any, Any, Any], making: Making) -> Message:
    """Why the rows could not be made, as exactly as is known."""
    facts = making.facts or {}
    if making.code == "anonymity_not_reachable" and facts.get("why") in _REASONS:
        return _REASONS[facts["why"]]
    return portal_of(request).problems.get(making.code or "", N_("They could not be made."))


def _roles(kind: str) -> list[tuple[str, Message]]:
    """A range is made of what has an order; of the rest a larger group."""
    return [(role, label) for role, label in ROLES.items() if role != "number" or kind.startswith(_ORDERED)]


def _asked(making: Making) -> list[tuple[str, Message, int]]:
    """Each column, what was to become of it, and how many levels of groups were given."""
    return [
        *((each.column, ROLES[each.kind], each.levels) for each in making.asked.quasi),
        *((column, ROLES["sensitive"], 0) for column in making.asked.sensitive),
    ]


handlers = [show_rows, make_rows, show_making, show_progress, propose_rows, discard_rows]
