"""Published results for machines: JSON and CSV, for anybody; data sets, budgets and noise for operators' sessions."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from koinon.base.errors import Conflict
from koinon.base.ids import parse_id
from koinon.base.text import Text
from koinon.integrator.processing.anonymise import Anonymity
from koinon.integrator.processing.export import as_json, cells_csv, noisy_csv
from koinon.integrator.processing.makings import Makings
from koinon.integrator.processing.model import DataSet, Publication
from koinon.integrator.processing.privacy import Budget, Price, Query, check_budget
from koinon.integrator.processing.service import Processing
from koinon.integrator.processing.steps import Filter
from koinon.trust.parties import Author

_PAGE = 50
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


@get("/api/statistics", opt={"public": True}, tags=["statistics"])
async def list_statistics(
    processing: NamedDependency[Processing], before: FromQuery[str | None] = None
) -> list[dict[str, Any]]:
    """What was published, newest first, 50 at a time; `before` is the last id of the page before."""
    past = parse_id(before, "before") if before else None
    return [
        msgspec.to_builtins(each) for each in await processing.list_publications(before=past, limit=_PAGE)
    ]


@get("/api/statistics/{publication:uuid}", opt={"public": True}, tags=["statistics"])
async def get_statistics(
    publication: FromPath[UUID], processing: NamedDependency[Processing]
) -> dict[str, Any]:
    """One publication with its cells; one that is left out has `value` null and `suppressed` true."""
    return as_json(await processing.get_publication(publication))


@get("/api/statistics/{publication:uuid}/csv", opt={"public": True}, tags=["statistics"])
async def get_statistics_csv(
    publication: FromPath[UUID], processing: NamedDependency[Processing]
) -> Response[bytes]:
    """The same as CSV (RFC 4180, UTF-8); `:c` where a cell is left out, nothing in it runs in a spreadsheet."""
    found = await processing.get_publication(publication)
    return Response(
        await _csv(processing, found),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="{found.data_set_name}-{found.id}.csv"'},
    )


class TitleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A title in three languages, each at most 200 characters."""

    nl: Title
    fr: Title
    en: Title

    def text(self) -> Text:
        """As the platform keeps it."""
        return Text(self.nl, self.fr, self.en)


class NoiseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked with noise, of which rows, and what is paid for it."""

    query: Query
    price: Price
    filters: tuple[Filter, ...] = ()


class NoiseOrder(NoiseRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, to be asked, paid and published."""

    title: TitleIn


@get("/api/processing/data-sets", tags=["processing"])
async def list_data_sets(
    operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> list[dict[str, Any]]:
    """The data sets with their budgets, by name. For operators."""
    return [_data_set(each, budget) for each, budget in await processing.list_data_sets()]


@get("/api/processing/data-sets/{name:str}", tags=["processing"])
async def get_data_set(
    name: FromPath[str], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> dict[str, Any]:
    """One data set with its budget and everything that was paid from it. For operators."""
    found, budget, spendings = await processing.get_account(name)
    return {**_data_set(found, budget), "spendings": msgspec.to_builtins(spendings)}


@post("/api/processing/data-sets/{name:str}/noise/expected", status_code=200, tags=["processing"])
async def expect_noise(
    data: NoiseRequest,
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> dict[str, Any]:
    """What the noise would be and whether the budget holds the price now. Nothing is asked and nothing is paid."""
    _, budget, _ = await processing.get_account(name)
    expected = await processing.expect_noise(data.query, data.price)
    try:
        check_budget(budget, data.price)
    except Conflict:
        enough = False
    else:
        enough = True
    return {**msgspec.to_builtins(expected), "enough": enough, "budget": _budget(budget)}


@post("/api/processing/data-sets/{name:str}/noise", status_code=201, tags=["processing"])
async def publish_noise(
    data: NoiseOrder,
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> dict[str, Any]:
    """The numbers are published, and paid from the budget for good.

    Records: `privacy.spent`, `statistics.published`.
    """
    made = await processing.publish_noisy(
        name, data.query, data.filters, data.price, data.title.text(), operator
    )
    return as_json(made)


class RowsOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How anonymous the rows are to be."""

    asked: Anonymity


class RowsTitle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Under which title they are published."""

    title: TitleIn


@post("/api/processing/data-sets/{name:str}/makings", status_code=202, tags=["processing"])
async def start_rows(
    data: RowsOrder,
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> dict[str, str]:
    """Anonymous rows will be made; ask `GET /api/processing/makings/{making}` how far they are."""
    return {"making": str(await Makings(processing).start(name, data.asked, operator))}


@get("/api/processing/makings/{making:uuid}", tags=["processing"])
async def get_making(
    making: FromPath[UUID], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> dict[str, Any]:
    """How far the rows are, and what they reached and lost."""
    document: dict[str, Any] = msgspec.to_builtins(await Makings(processing).get(making))
    return document


@post("/api/processing/makings/{making:uuid}/publish", status_code=201, tags=["processing"])
async def publish_making(
    data: RowsTitle,
    making: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> dict[str, Any]:
    """The rows are published as they were made. Records: `statistics.published`."""
    return as_json(await Makings(processing).publish(making, data.title.text(), operator))


@post("/api/processing/makings/{making:uuid}/discard", status_code=204, tags=["processing"])
async def discard_making(
    making: FromPath[UUID], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> None:
    """The rows are gone."""
    await Makings(processing).discard(making, operator)


def _data_set(each: DataSet, budget: Budget | None) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(each)
    return {**document, "digest": each.digest.hex(), "budget": None if budget is None else _budget(budget)}


def _budget(budget: Budget) -> dict[str, str]:
    names = ("epsilon", "delta", "spent_epsilon", "spent_delta", "left_epsilon", "left_delta")
    return {name: str(getattr(budget, name)) for name in names}


async def _csv(processing: Processing, found: Publication) -> bytes:
    if found.kind == "rows":
        return await processing.read_rows(found)
    return cells_csv(found) if found.kind == "cells" else noisy_csv(found)


handlers = [
    list_statistics,
    get_statistics,
    get_statistics_csv,
    list_data_sets,
    get_data_set,
    expect_noise,
    publish_noise,
    start_rows,
    get_making,
    publish_making,
    discard_making,
]
"""Routes for `app.http`."""
