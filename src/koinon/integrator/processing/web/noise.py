"""Pages of numbers with noise: what was paid from a budget, what an answer would be worth, and asking it."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.errors import KoinonError
from koinon.integrator.processing.drafts import Drafts
from koinon.integrator.processing.model import DataSet
from koinon.integrator.processing.privacy import Budget, Expected, Price, Query, Spending, check_budget
from koinon.integrator.processing.privacy.mechanism import MOST_DELTA, MOST_EPSILON
from koinon.integrator.processing.service import Processing
from koinon.integrator.processing.steps import Filter, Is
from koinon.integrator.processing.web.words import (
    decimal,
    title_of,
    typed,
    whole,
    words_of,
)
from koinon.portal import N_, Message, render
from koinon.trust.parties import Author

QUESTIONS: dict[str, Message] = {
    "count": N_("How many persons"),
    "histogram": N_("How many persons in each category of a column"),
    "sum": N_("The sum of a column of whole numbers"),
}
MECHANISMS: dict[str, Message] = {
    "discrete_laplace": N_("discrete Laplace"),
    "discrete_gaussian": N_("discrete Gaussian"),
}
CONDITIONS: dict[str, Message | str] = {
    "=": "=",
    "!=": "≠",
    "<": "<",
    "<=": "≤",
    ">": ">",
    ">=": "≥",
    "known": N_("is known"),
    "unknown": N_("is unknown"),
}
_FORM = (
    "kind", "column", "categories", "lower", "upper", "only_column", "only_is", "only_value", "epsilon", "delta",
)  # fmt: skip
_MOST = 4000
_FIRST = {"kind": "count", "epsilon": "0.1", "delta": "0"}
_POINTS = 80


@get("/processing/data-sets/{name:str}", include_in_schema=False)
async def show_data_set(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """One data set: its columns, what was paid from its budget and for what, and what can be made of it."""
    data_set, budget, spendings = await processing.get_account(name)
    return render(
        request,
        "processing/data_set.html",
        data_set=data_set,
        budget=budget,
        spendings=spendings,
        bar=budget_bar(budget, spendings),
    )


@get("/processing/data-sets/{name:str}/noise", include_in_schema=False)
async def show_noise(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """The form; with a question in the address also what its noise would be and what would be left. Costs nothing."""
    form = typed({name: value for name, value in request.query_params.items() if name in _FORM}, _MOST)
    return await _page(request, processing, name, form, None)


@post("/processing/data-sets/{name:str}/noise", status_code=303, include_in_schema=False)
async def ask_noise(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> Any:
    """The question waits for another operator, or the page says why not. Records: `statistics.proposed`."""
    form = typed(await request.form(), _MOST)
    try:
        data_set = await processing.get_data_set(name)
        query, filters, price = read_question(form, data_set)
        draft = await Drafts(processing).propose_noise(
            name, query, filters, price, title_of(form, name), operator
        )
    except KoinonError as error:
        return await _page(request, processing, name, form, error)
    return Redirect(f"/processing/drafts/{draft}", status_code=303)


async def _page(
    request: Request[Any, Any, Any],
    processing: Processing,
    name: str,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    data_set, budget, spendings = await processing.get_account(name)
    expected: Expected | None = None
    price: Price | None = None
    if form.get("kind"):
        try:
            query, _, price = read_question(form, data_set)
            expected = await processing.expect_noise(query, price)
            check_budget(budget, price)
        except KoinonError as refused:
            error = error or refused
    columns = [column for column in data_set.columns if column != "subject"]
    return render(
        request,
        "processing/noise.html",
        status_code=error.status if error is not None else 200,
        data_set=data_set,
        budget=budget,
        spendings=spendings,
        bar=budget_bar(budget, spendings, price),
        form={**_FIRST, **form},
        asked=[(each, form[each]) for each in _FORM if form.get(each)],
        questions=list(QUESTIONS.items()),
        columns=[(column, column) for column in columns],
        conditions=[(each, CONDITIONS[each]) for each in get_args(Is) if each in CONDITIONS],
        price=price,
        expected=expected,
        mechanism=MECHANISMS[expected.mechanism] if expected is not None else None,
        curve=draw_noise(expected) if expected is not None else None,
        refused=error is not None,
        message=words_of(request, error, N_("This cannot be asked so.")) if error is not None else None,
        facts=error.facts if error is not None else {},
    )


def read_question(form: Mapping[str, str], data_set: DataSet) -> tuple[Query, tuple[Filter, ...], Price]:
    """What the form asks, of which rows, for what price.

    Raises:
        Invalid: `privacy_query_malformed`, `privacy_price_malformed`, `step_value_malformed`.
    """
    kind = form.get("kind", "")
    wrong: dict[str, Any] = {"code": "privacy_query_malformed", "kind": kind}
    price = read_price(form)
    column = form.get("column") or None
    if kind == "sum":
        lower, upper = (whole(form.get(each, ""), **wrong) for each in ("lower", "upper"))
        query = Query(kind="sum", column=column, lower=lower, upper=upper)
    elif kind == "histogram":
        words = form.get("categories", "").replace("\n", ",").split(",")
        categories = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
        query = Query(kind="histogram", column=column, categories=categories)
    else:
        query = Query(kind="count")
    return query, _filters(form, data_set), price


def read_price(form: Mapping[str, str]) -> Price:
    """What the form pays. Raises `Invalid: privacy_price_malformed`."""
    limits: dict[str, Any] = {
        "code": "privacy_price_malformed", "most_epsilon": str(MOST_EPSILON), "most_delta": str(MOST_DELTA),
    }  # fmt: skip
    return Price(
        epsilon=decimal(form.get("epsilon", ""), **limits),
        delta=decimal(form.get("delta") or "0", **limits),
    )


def _filters(form: Mapping[str, str], data_set: DataSet) -> tuple[Filter, ...]:
    column, condition = form.get("only_column", ""), form.get("only_is", "=")
    if not column:
        return ()
    if condition not in CONDITIONS:
        condition = "="
    if condition in ("known", "unknown"):
        return (Filter(column=column, is_=condition),)  # type: ignore[arg-type]
    kind, text = data_set.columns.get(column, ""), form.get("only_value", "")
    value: int | bool | str = text
    if "int" in kind:
        value = whole(text, "step_value_malformed", column=column)
    elif kind == "bool":
        value = text.lower() in ("true", "yes", "ja", "oui", "1")
    return (Filter(column=column, is_=condition, value=value),)  # type: ignore[arg-type]


def budget_bar(budget: Budget, spendings: list[Spending], price: Price | None = None) -> dict[str, Any]:
    """The budget as a bar 100 wide: where each payment begins and how wide it is, and what is asked now.

    Payments before the ones listed are one.
    """
    all_ = budget.epsilon
    at = budget.spent_epsilon - sum((each.epsilon for each in spendings), Decimal(0))
    pieces = [(0.0, float(100 * at / all_))] if at else []
    for each in spendings:
        pieces.append((float(100 * at / all_), float(100 * each.epsilon / all_)))
        at += each.epsilon
    asked = None
    if price is not None:
        start = float(100 * at / all_)
        asked = (start, min(float(100 * price.epsilon / all_), 100 - start))
    fits = price is None or (price.epsilon <= budget.left_epsilon and price.delta <= budget.left_delta)
    return {
        "pieces": pieces,
        "asked": asked,
        "fits": fits,
        "left": budget.left_epsilon - (price.epsilon if price is not None and fits else 0),
    }


def draw_noise(expected: Expected) -> dict[str, Any]:
    """How likely each error is, as a line 600 wide and 150 high; `band` is where 95 % of the errors are."""
    reach = max(expected.nearly, 1.0)

    def height(error: float) -> float:
        at = error / expected.scale
        return math.exp(-abs(at)) if expected.mechanism == "discrete_laplace" else math.exp(-at * at / 2)

    places = [(2 * n / _POINTS - 1) for n in range(_POINTS + 1)]
    line = " ".join(f"{300 + 300 * x:.1f},{150 - 145 * height(x * reach):.1f}" for x in places)
    share = min(expected.mostly / reach, 1.0)
    return {"line": line, "band": (round(300 - 300 * share, 1), round(600 * share, 1)), "reach": reach}


handlers = [show_data_set, show_noise, ask_noise]
