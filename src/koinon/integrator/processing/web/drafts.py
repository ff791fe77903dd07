"""Pages of what an operator wants to publish: another one looks at it and gives their word, then it is published."""

from collections.abc import Awaitable
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.errors import KoinonError
from koinon.integrator.processing.cluster import TOTAL
from koinon.integrator.processing.drafts import Drafts
from koinon.integrator.processing.model import MadeCells, NoiseAsked, table_of
from koinon.integrator.processing.service import Processing
from koinon.integrator.processing.web.grid import grid_of
from koinon.integrator.processing.web.noise import MECHANISMS, QUESTIONS, budget_bar, draw_noise
from koinon.integrator.processing.web.words import KINDS, typed, words_of
from koinon.portal import N_, Message, render
from koinon.trust.parties import Author
from koinon.trust.standing import Standing

STATES: dict[str, tuple[Message, str]] = {
    "waiting": (N_("waits for a second operator"), "info"),
    "agreed": (N_("agreed, not published"), "good"),
    "published": (N_("published"), "good"),
    "discarded": (N_("thrown away"), "neutral"),
    "changed": (N_("changed after it was agreed on"), "bad"),
}


@get("/processing/drafts/{draft:uuid}", include_in_schema=False)
async def show_draft(
    request: Request[Any, Any, Any],
    draft: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
    standing: NamedDependency[Standing],
) -> Any:
    """All that would be published and what it costs, who wants it, and what this operator may do about it."""
    return await _page(request, processing, standing, draft, operator, None)


@post("/processing/drafts/{draft:uuid}/agree", status_code=303, include_in_schema=False)
async def agree(
    request: Request[Any, Any, Any],
    draft: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
    standing: NamedDependency[Standing],
) -> Any:
    """The word is given, for what the page showed. Records: `statistics.agreed`."""
    form = typed(await request.form())
    done = Drafts(processing).agree(draft, form.get("sha256", ""), operator)
    return await _done(request, processing, standing, draft, operator, done)


@post("/processing/drafts/{draft:uuid}/take-back", status_code=303, include_in_schema=False)
async def take_back(
    request: Request[Any, Any, Any],
    draft: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
    standing: NamedDependency[Standing],
) -> Any:
    """The word is not given any more. Records: `statistics.word_taken_back`."""
    done = Drafts(processing).take_back(draft, operator)
    return await _done(request, processing, standing, draft, operator, done)


@post("/processing/drafts/{draft:uuid}/discard", status_code=303, include_in_schema=False)
async def discard(
    request: Request[Any, Any, Any],
    draft: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
    standing: NamedDependency[Standing],
) -> Any:
    """It will not be published. Records: `statistics.draft_discarded`."""
    done = Drafts(processing).discard(draft, operator)
    return await _done(request, processing, standing, draft, operator, done)


@post("/processing/drafts/{draft:uuid}/publish", status_code=303, include_in_schema=False)
async def publish(
    request: Request[Any, Any, Any],
    draft: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
    standing: NamedDependency[Standing],
) -> Any:
    """It is published, or the page says why not. Records: `statistics.published`, and `privacy.spent` for noise."""
    try:
        made = await Drafts(processing).publish(draft, operator)
    except KoinonError as error:
        return await _page(request, processing, standing, draft, operator, error)
    return Redirect(f"/statistics/{made.id}", status_code=303)


async def _done(
    request: Request[Any, Any, Any],
    processing: Processing,
    standing: Standing,
    draft: UUID,
    operator: Author,
    step: Awaitable[None],
) -> Any:
    try:
        await step
    except KoinonError as error:
        return await _page(request, processing, standing, draft, operator, error)
    return Redirect(f"/processing/drafts/{draft}", status_code=303)


async def _page(
    request: Request[Any, Any, Any],
    processing: Processing,
    standing: Standing,
    draft: UUID,
    operator: Author,
    error: KoinonError | None,
) -> Any:
    found = await Drafts(processing).get(draft)
    data_set, budget, spendings = await processing.get_account(found.data_set_name)
    noise: dict[str, Any] = {}
    price = None
    if isinstance(found.what, NoiseAsked):
        price = found.what.price
        expected = await processing.expect_noise(found.what.query, price)
        noise = {
            "expected": expected,
            "curve": draw_noise(expected),
            "mechanism": MECHANISMS[expected.mechanism],
            "question": QUESTIONS[found.what.query.kind],
        }
    grid = None
    if isinstance(found.what, MadeCells) and found.body is not None:
        grid = grid_of(table_of(found.what, found.body))
    persons = standing.register.persons
    return render(
        request,
        "processing/draft.html",
        status_code=error.status if error is not None else 200,
        draft=found,
        made=found.what,
        data_set=data_set,
        words=data_set.words,
        budget=budget,
        price=price,
        # What was published since is paid already.
        bar=budget_bar(budget, spendings, price if found.ended_at is None else None),
        noise=noise,
        grid=grid,
        total=TOTAL,
        kinds=KINDS,
        state=STATES[found.state],
        first=persons[found.proposed_by].name if found.proposed_by in persons else "–",
        second=persons[found.agreed_by].name if found.agreed_by in persons else "–",
        mine=operator.person == found.proposed_by,
        my_word=operator.person == found.agreed_by,
        refused=error is not None,
        message=words_of(request, error, N_("This cannot be published.")) if error is not None else None,
        facts=error.facts if error is not None else {},
    )


handlers = [show_draft, agree, take_back, discard, publish]
