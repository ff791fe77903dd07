"""`koinon sandbox`: who may try without touching anybody, from the machine's own command line."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
import typer

from koinon.base.clock import SystemClock, rfc3339
from koinon.base.database import Database, embedded
from koinon.base.errors import NotFound
from koinon.base.settings import Settings, load_settings
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.flows import FLOWS
from koinon.integrator.operations.sandbox.export import expectations
from koinon.integrator.operations.sandbox.service import list_sandboxes, open_sandbox, reset_sandbox
from koinon.trust.ledger import Sealer
from koinon.trust.parties import PartyId, store
from koinon.trust.parties.policy import INSTALLER

app = typer.Typer(no_args_is_help=True, help="Parties that try: simulated sources, persons who are none.")

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
PartyArgument = Annotated[str, typer.Argument(help="enterprise number, or id")]


class _Opened(NamedTuple):
    settings: Settings
    database: Database
    sealer: Sealer
    at: datetime


@app.command("open")
def open_(party: PartyArgument, as_json: Json = False) -> None:
    """The party is a sandbox from now on, for good, with a file on each persona; one that has files never is."""

    async def main(opened: _Opened) -> None:
        found = await _find_party(opened.database, party)
        await open_sandbox(opened.database, opened.sealer, found, INSTALLER, opened.at)
        _say(found, await _reset(opened, found), as_json)

    _run(main)


@app.command()
def reset(party: PartyArgument, as_json: Json = False) -> None:
    """The sandbox begins anew: its files have ended, and there is one on each persona."""

    async def main(opened: _Opened) -> None:
        found = await _find_party(opened.database, party)
        _say(found, await _reset(opened, found), as_json)

    _run(main)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every party that is a sandbox."""

    async def main(opened: _Opened) -> None:
        found = await list_sandboxes(opened.database)
        if as_json:
            _print(found)
            return
        for each in found:
            reset_at = "never" if each.reset_at is None else rfc3339(each.reset_at, minutes=True)
            print(f"{each.party} opened {rfc3339(each.opened_at, minutes=True)} reset {reset_at}")

    _run(main)


@app.command()
def expect() -> None:
    """Each question with the answer, or the code and status, that must come: as JSON. Needs no database."""
    _print(expectations(FLOWS))


async def _reset(opened: _Opened, party: PartyId) -> int:
    keys = DirectoryKeys.load(opened.settings.home)
    return await reset_sandbox(opened.database, opened.sealer, keys, FLOWS.values(), party, opened.at)


async def _find_party(database: Database, text: str) -> PartyId:
    async with database.acquire() as connection:
        register = await store.load_register(connection)
    for party in register.parties.values():
        if text in (party.enterprise_number, str(party.id)):
            return party.id
    raise NotFound("party_unknown", party=text[:64])


def _say(party: UUID, files: int, as_json: bool) -> None:
    if as_json:
        _print({"party": party, "files": files})
    else:
        print(f"{party}: {files} files on personas")


def _print(value: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _run(main: Callable[[_Opened], Awaitable[None]]) -> None:
    async def run() -> None:
        settings = load_settings()
        url = settings.database_url or embedded.reach(settings.home)
        async with await Database.open(url, kind="web", max_size=2) as database:
            await main(_Opened(settings, database, Sealer.of(settings.home), SystemClock().now()))

    asyncio.run(run())
