"""Pages of what an operator wants to publish: another one looks at it and gives their word, then it is published."""

from collections.abc import Awaitable
from typing import Any, Final, NamedTuple
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency, Provide
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


class Desk(NamedTuple):
    """At which an operator looks at a draft: who it is, what serves them, and the page that answers."""

    request: Request[Any, Any, Any]
    draft: UUID
    operator: Author
    processing: Processing
    standing: Standing

    @property
    def drafts(self) -> Drafts:
        """What operators want to publish."""
        return Drafts(self.processing)

    async def done(self, step: Awaitable[None]) -> Any:
        """Back to the draft after the step, or the page that says why not."""
        try:
            await step
        except KoinonError as error:
            return await self.page(error)
        return Redirect(f"/processing/drafts/{self.draft}", status_code=303)

    async def page(self, error: KoinonError | None) -> Any:
        """All that would be published, what it costs, who wants it; and why something was refused."""
        draft, operator = await self.drafts.get(self.draft), self.operator
        data_set, budget, spendings = await self.processing.get_account(draft.data_set_name)
        noise: dict[str, Any] = {}
        price = None
        if isinstance(draft.what, NoiseAsked):
            price = draft.what.price
            expected = await self.processing.expect_noise(draft.what.query, price)
            noise = {
                "expected": expected,
                "curve": draw_noise(expected),
                "mechanism": MECHANISMS[expected.mechanism],
                "question": QUESTIONS[draft.what.query.kind],
            }
        grid = None
        if isinstance(draft.what, MadeCells) and draft.body is not None:
            grid = grid_of(table_of(draft.what, draft.body))
        persons = self.standing.register.persons
        return render(
            self.request,
            "processing/draft.html",
            status_code=error.status if error is not None else 200,
            draft=draft,
            made=draft.what,
            data_set=data_set,
            words=data_set.words,
            budget=budget,
            price=price,
            # What was published since is paid already.
            bar=budget_bar(budget, spendings, price if draft.ended_at is None else None),
            noise=noise,
            grid=grid,
            total=TOTAL,
            kinds=KINDS,
            state=STATES[draft.state],
            first=persons[draft.proposed_by].name if draft.proposed_by in persons else "–",
            second=persons[draft.agreed_by].name if draft.agreed_by in persons else "–",
            mine=operator.person == draft.proposed_by,
            my_word=operator.person == draft.agreed_by,
            refused=error is not None,
            message=words_of(self.request, error, N_("This cannot be published."))
            if error is not None
            else None,
            facts=error.facts if error is not None else {},
        )


async def sit(
    request: Request[Any, Any, Any],
    draft: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
    standing: NamedDependency[Standing],
) -> Desk:
    """The desk of that draft, for an operator who may act now."""
    return Desk(request, draft, operator, processing, standing)


_SIT: Final = {"desk": Provide(sit)}
_DRAFT: Final = "/processing/drafts/{draft:uuid}"


@get(_DRAFT, dependencies=_SIT, include_in_schema=False)
async def show_draft(desk: NamedDependency[Desk]) -> Any:
    """All that would be published and what it costs, who wants it, and what this operator may do about it."""
    return await desk.page(None)


@post(f"{_DRAFT}/agree", dependencies=_SIT, status_code=303, include_in_schema=False)
async def agree(desk: NamedDependency[Desk]) -> Any:
    """The word is given, for what the page showed. Records: `statistics.agreed`."""
    form = typed(await desk.request.form())
    return await desk.done(desk.drafts.agree(desk.draft, form.get("sha256", ""), desk.operator))


@post(f"{_DRAFT}/take-back", dependencies=_SIT, status_code=303, include_in_schema=False)
async def take_back(desk: NamedDependency[Desk]) -> Any:
    """The word is not given any more. Records: `statistics.word_taken_back`."""
    return await desk.done(desk.drafts.take_back(desk.draft, desk.operator))


@post(f"{_DRAFT}/discard", dependencies=_SIT, status_code=303, include_in_schema=False)
async def discard(desk: NamedDependency[Desk]) -> Any:
    """It will not be published. Records: `statistics.draft_discarded`."""
    return await desk.done(desk.drafts.discard(desk.draft, desk.operator))


@post(f"{_DRAFT}/publish", dependencies=_SIT, status_code=303, include_in_schema=False)
async def publish(desk: NamedDependency[Desk]) -> Any:
    """It is published, or the page says why not. Records: `statistics.published`, and `privacy.spent` for noise."""
    try:
        made = await desk.drafts.publish(desk.draft, desk.operator)
    except KoinonError as error:
        return await desk.page(error)
    return Redirect(f"/statistics/{made.id}", status_code=303)


handlers = [show_draft, agree, take_back, discard, publish]
