"""`koinon statistics`: data sets and budgets from the machine's own command line; nothing is published here.

Publishing takes two operators, each in a session with a name: on pages or over `/api/processing`.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from koinon.base.clock import SystemClock
from koinon.base.database import Database, embedded
from koinon.base.errors import Invalid
from koinon.base.objects import open_objects
from koinon.base.settings import load_settings
from koinon.base.text import Text
from koinon.integrator.processing.drafts import Drafts
from koinon.integrator.processing.model import NewDataSet
from koinon.integrator.processing.privacy import Price, Query, expect_noise
from koinon.integrator.processing.privacy.mechanism import MOST_DELTA, MOST_EPSILON
from koinon.integrator.processing.service import Processing
from koinon.trust.ledger import Sealer
from koinon.trust.parties import INSTALLER

app = typer.Typer(no_args_is_help=True, help="Data sets, their privacy budgets, what noise would mean.")

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Epsilon = Annotated[str, typer.Option("--epsilon", help="more than 0, at most 10")]
Delta = Annotated[str, typer.Option("--delta", help="0, or a very small number for the discrete Gaussian")]


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[Processing]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with await Database.open(url, kind="web", max_size=2) as database:
        yield Processing(
            database=database,
            sealer=Sealer.of(settings.home),
            objects=open_objects(settings.objects_url, settings.home),
            clock=SystemClock(),
            home=settings.home,
        )


def _run(main: Callable[[Processing], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _opened() as opened:
            await main(opened)

    asyncio.run(run())


def _print(value: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _price(epsilon: str, delta: str) -> Price:
    try:
        return Price(epsilon=Decimal(epsilon), delta=Decimal(delta))
    except InvalidOperation:
        raise Invalid(
            "privacy_price_malformed", most_epsilon=str(MOST_EPSILON), most_delta=str(MOST_DELTA)
        ) from None


@app.command("list")
def list_data_sets(as_json: Json = False) -> None:
    """Every data set with what is left of its budget."""

    async def main(processing: Processing) -> None:
        found = await processing.list_data_sets()
        rows = [
            {
                "name": each.name,
                "title": each.title.en,
                "rows_about": each.rows_about,
                "origin": each.origin,
                "epsilon": None if budget is None else str(budget.epsilon),
                "left_epsilon": None if budget is None else str(budget.left_epsilon),
            }
            for each, budget in found
        ]
        if as_json:
            _print(rows)
            return
        table = Table(pad_edge=False)
        table.add_column("name", no_wrap=True)
        for column in ("title", "rows, about", "origin", "epsilon", "left"):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        Console().print(table)

    _run(main)


@app.command("register")
def register(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Parquet, with a column `subject`")
    ],
    name: Annotated[str, typer.Option("--name", help="kebab-case, at most 64 characters")],
    epsilon: Epsilon,
    title_nl: Annotated[str, typer.Option("--title-nl")],
    title_fr: Annotated[str, typer.Option("--title-fr")],
    title_en: Annotated[str, typer.Option("--title-en")],
    source: Annotated[
        str, typer.Option("--source", help="where the rows come from; stands with all that is published")
    ],
    delta: Delta = "0",
    origin: Annotated[str | None, typer.Option("--origin", help="what they are the rows of, once")] = None,
) -> None:
    """The rows are registered, sealed, their subjects replaced; refused when they are registered already."""
    import pyarrow.parquet

    budget = _price(epsilon, delta)
    rows = pyarrow.parquet.read_table(file)

    async def main(processing: Processing) -> None:
        made = await processing.register_data_set(
            NewDataSet(
                name=name,
                title=Text(title_nl, title_fr, title_en),
                source=source,
                budget=budget,
                origin=origin,
            ),
            rows,
            INSTALLER,
        )
        _print({"data_set": made.id, "name": made.name, "rows_about": made.rows_about})

    _run(main)


@app.command("drafts")
def drafts(as_json: Json = False) -> None:
    """What operators want to publish and did not yet: whether it has a second operator's word, and what it tells."""

    async def main(processing: Processing) -> None:
        found = [
            {
                "draft": str(each.id),
                "data_set": each.data_set_name,
                "kind": each.kind,
                "title": each.title.en,
                "state": each.state,
                "proposed_at": each.proposed_at.isoformat(timespec="minutes"),
                "sha256": each.sha256,
            }
            for each in await Drafts(processing).list()
        ]
        if as_json:
            _print(found)
            return
        table = Table(pad_edge=False)
        for column in ("draft", "data set", "kind", "title", "state", "proposed", "sha256"):
            table.add_column(column, overflow="fold")
        for row in found:
            table.add_row(*row.values())
        Console().print(table)

    _run(main)


@app.command("expect")
def expect(
    epsilon: Epsilon,
    delta: Delta = "0",
    largest: Annotated[
        int | None, typer.Option("--largest", help="of a sum: the largest value of one person, as it is cut")
    ] = None,
) -> None:
    """How far an answer with noise would be from the true one: within, for half, 95 % and 99.9 % of answers."""
    query = (
        Query(kind="count") if largest is None else Query(kind="sum", column="value", lower=0, upper=largest)
    )
    _print(expect_noise(query, _price(epsilon, delta)))
