"""Published results for machines: JSON and CSV, for anybody; data sets, budgets and noise for operators' sessions."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from koinon.base.errors import Conflict
from koinon.base.ids import parse_id
from koinon.base.text import Text
from koinon.integrator.processing.anonymise import Anonymity
from koinon.integrator.processing.cluster import Cluster
from koinon.integrator.processing.drafts import Drafts
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
    data: JSONBody[NoiseRequest],
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


@post("/api/processing/data-sets/{name:str}/noise", status_code=202, tags=["processing"])
async def propose_noise(
    data: JSONBody[NoiseOrder],
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> dict[str, str]:
    """The question waits for another operator; nothing is drawn or paid yet. Records: `statistics.proposed`."""
    title = data.title.text()
    draft = await Drafts(processing).propose_noise(
        name, data.query, data.filters, data.price, title, operator
    )
    return {"draft": str(draft)}


class TableOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of groups, of which rows, under which title."""

    cluster: Cluster
    title: TitleIn
    filters: tuple[Filter, ...] = ()


@post("/api/processing/data-sets/{name:str}/tables", status_code=202, tags=["processing"])
async def propose_table(
    data: JSONBody[TableOrder],
    name: FromPath[str],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> dict[str, str]:
    """The table is made and waits for another operator. Records: `statistics.proposed`."""
    title = data.title.text()
    draft = await Drafts(processing).propose_cells(name, data.cluster, data.filters, title, operator)
    return {"draft": str(draft)}


class RowsOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How anonymous the rows are to be."""

    asked: Anonymity


class RowsTitle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Under which title they are published."""

    title: TitleIn


@post("/api/processing/data-sets/{name:str}/makings", status_code=202, tags=["processing"])
async def start_rows(
    data: JSONBody[RowsOrder],
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


@get("/api/processing/makings/{making:uuid}/csv", tags=["processing"])
async def get_made_rows(
    making: FromPath[UUID], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> Response[bytes]:
    """The rows that were made, for an operator to look at before they are published."""
    return Response(await Makings(processing).read(making), media_type="text/csv")


@post("/api/processing/makings/{making:uuid}/propose", status_code=202, tags=["processing"])
async def propose_making(
    data: JSONBody[RowsTitle],
    making: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> dict[str, str]:
    """The rows wait for another operator, as they were made. Records: `statistics.proposed`."""
    return {"draft": str(await Drafts(processing).propose_rows(making, data.title.text(), operator))}


@post("/api/processing/makings/{making:uuid}/discard", status_code=204, tags=["processing"])
async def discard_making(
    making: FromPath[UUID], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> None:
    """The rows are gone."""
    await Makings(processing).discard(making, operator)


class Agreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a second operator looked at: the `sha256` of the draft."""

    sha256: str


@get("/api/processing/drafts", tags=["processing"])
async def list_drafts(
    operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> list[dict[str, Any]]:
    """What waits for a second operator, or for being published, newest first."""
    return [msgspec.to_builtins(each) for each in await Drafts(processing).list()]


@get("/api/processing/drafts/{draft:uuid}", tags=["processing"])
async def get_draft(
    draft: FromPath[UUID], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> dict[str, Any]:
    """One draft, as it would be published, with its `sha256`."""
    document: dict[str, Any] = msgspec.to_builtins(await Drafts(processing).get(draft))
    return document


@post("/api/processing/drafts/{draft:uuid}/agree", status_code=204, tags=["processing"])
async def agree_draft(
    data: JSONBody[Agreement],
    draft: FromPath[UUID],
    operator: NamedDependency[Author],
    processing: NamedDependency[Processing],
) -> None:
    """Another operator than who proposed it gives their word. Records: `statistics.agreed`."""
    await Drafts(processing).agree(draft, data.sha256, operator)


@post("/api/processing/drafts/{draft:uuid}/take-back", status_code=204, tags=["processing"])
async def take_back_draft(
    draft: FromPath[UUID], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> None:
    """Who gave their word takes it back. Records: `statistics.word_taken_back`."""
    await Drafts(processing).take_back(draft, operator)


@post("/api/processing/drafts/{draft:uuid}/discard", status_code=204, tags=["processing"])
async def discard_draft(
    draft: FromPath[UUID], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> None:
    """It will not be published. Records: `statistics.draft_discarded`."""
    await Drafts(processing).discard(draft, operator)


@post("/api/processing/drafts/{draft:uuid}/publish", status_code=201, tags=["processing"])
async def publish_draft(
    draft: FromPath[UUID], operator: NamedDependency[Author], processing: NamedDependency[Processing]
) -> dict[str, Any]:
    """It is published as it was agreed on. Records: `statistics.published`, `privacy.spent` for noise."""
    return as_json(await Drafts(processing).publish(draft, operator))


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
    propose_noise,
    propose_table,
    start_rows,
    get_making,
    get_made_rows,
    propose_making,
    discard_making,
    list_drafts,
    get_draft,
    agree_draft,
    take_back_draft,
    discard_draft,
    publish_draft,
]
"""Routes for `app.http`."""
