"""What the commands share: the platform of this machine, and how they say what they did."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import msgspec
import typer

from koinon.base.database import Database, embedded
from koinon.base.settings import load_settings
from koinon.trust.ledger import Sealer

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Shown = Annotated[
    str, typer.Option("--language", help="nl, fr or en: in which the act is shown before it is signed")
]


@contextlib.asynccontextmanager
async def opened(kind: Any = "web") -> AsyncIterator[tuple[Database, Sealer]]:
    """The database and the ledger's sealer of this machine's platform."""
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with await Database.open(url, kind=kind, max_size=2) as database:
        yield database, Sealer.of(settings.home)


def run(main: Callable[[Database, Sealer], Awaitable[None]], kind: Any = "web") -> None:
    """`main` has done its work with the platform of this machine."""

    async def go() -> None:
        async with opened(kind) as (database, sealer):
            await main(database, sealer)

    asyncio.run(go())


def print_json(value: Any) -> None:
    """`value` as JSON that people can read too."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def tell(facts: dict[str, Any], as_json: bool) -> None:
    """What was done: one fact a line, or as JSON."""
    if as_json:
        print_json(facts)
    else:
        for name, value in facts.items():
            print(f"{name}: {value}")
