"""`koinon ledger`: verify, prove, fsck, export, erase. Codes and facts on standard output, for people and programs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import typer

from koinon.base.clock import SystemClock
from koinon.base.database import Database, ProcessKind, embedded
from koinon.base.errors import NotFound, Unavailable
from koinon.base.ids import parse_id
from koinon.base.objects import Objects, open_objects
from koinon.base.settings import Settings, load_settings
from koinon.trust.ledger.audit import Report, export_log, verify_log
from koinon.trust.ledger.audit.store import AuditedHead, list_heads
from koinon.trust.ledger.erasure import erase as erase_subject
from koinon.trust.ledger.model import EntryId, Log
from koinon.trust.ledger.notes import Verifier
from koinon.trust.ledger.proving import get_proof
from koinon.trust.ledger.published import PublishedLog
from koinon.trust.ledger.sealing import Sealer
from koinon.trust.ledger.sequencing.running import find_signer
from koinon.trust.ledger.witness.client import WitnessAddress, WitnessClient, parse_witnesses

app = typer.Typer(no_args_is_help=True, help="The ledger: verify, prove, fsck, export, erase.")

LogOption = Annotated[Log | None, typer.Option("--log", help="Only this log.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The report as JSON.")]


@app.command()
def verify(
    log: LogOption = None,
    json: JsonOption = False,
    vkey: Annotated[
        str, typer.Option(help="The log's verifier key from a source you trust; else the one kept here.")
    ] = "",
) -> None:
    """Rebuild both trees from rows, tiles and entry bundles, and name every place that does not fit.

    Exits 1 when something was found.
    """
    reports = asyncio.run(_audit(log, private=True, repair=False, vkey=vkey))
    _show(reports, json)


@app.command()
def fsck(
    log: LogOption = None,
    json: JsonOption = False,
    repair: Annotated[
        bool, typer.Option(help="Publish missing tiles again; alters nothing that is there.")
    ] = False,
) -> None:
    """Hold published tiles and entry bundles against the rows. Exits 1 when something was found."""
    _show(asyncio.run(_audit(log, private=False, repair=repair, vkey="")), json)


@app.command()
def prove(entry: Annotated[str, typer.Argument(help="Id of an entry, as a receipt names it.")]) -> None:
    """Print the inclusion proof of an entry as JSON."""

    async def work() -> str:
        async with _opened("reader") as (database, objects, _), database.acquire() as connection:
            proof = await get_proof(connection, objects, EntryId(parse_id(entry, "entry")))
        return msgspec.json.encode(proof).decode()

    print(asyncio.run(work()))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    log: Annotated[Log, typer.Option("--log")] = Log.EXCHANGE,
) -> None:
    """Write a log as a static tlog-tiles tree, with its verifier key, for any other reader."""

    async def work() -> str:
        async with _opened("reader") as (database, objects, _):
            async with database.acquire() as connection:
                heads = await list_heads(connection, log)
            if not heads:
                raise NotFound("log_not_published", log=log.value)
            published = PublishedLog(objects, log, heads[-1].generation)
            checkpoint = await export_log(published, heads[-1].vkey, folder)
        return f"{checkpoint.origin}: {checkpoint.size} entries in {folder}"

    print(asyncio.run(work()))


@app.command()
def erase(
    reason: Annotated[str, typer.Option(help="A code, published in the exchange log.")],
    subject: Annotated[
        str, typer.Option(prompt=True, hide_input=True, help="Identifier; asked for when absent.")
    ],
) -> None:
    """Destroy the keys to everything the ledger holds about one subject. Cannot be undone."""

    async def work() -> int:
        async with _opened("owner") as (database, _, settings), database.transaction() as connection:
            at = SystemClock().now()
            return await erase_subject(connection, Sealer.of(settings.home), subject, reason, at)

    print(f"{asyncio.run(work())} entries")


async def _audit(only: Log | None, *, private: bool, repair: bool, vkey: str) -> list[Report]:
    reports = []
    async with _opened("reader") as (database, objects, settings), httpx.AsyncClient() as client:
        witnesses = parse_witnesses(settings.witness_urls, settings.witness_keys)
        for log in Log if only is None else (only,):
            reports += await verify_log(
                database,
                objects,
                log,
                verifier_of=partial(_verifier, settings, log, vkey),
                witnesses=[each.verifier for each in witnesses],
                ask=partial(_ask, settings, client, log, witnesses),
                sealer=Sealer.of(settings.home) if private else None,
                private=private,
                repair=repair,
            )
    return reports


def _verifier(settings: Settings, log: Log, vkey: str, head: AuditedHead) -> Verifier:
    """The key that the caller gave, or that of the key file on this machine; the database's own comes last."""
    if vkey:
        return Verifier.parse(vkey)
    signer = find_signer(settings.home, log, head.origin)
    return signer.verifier if signer is not None else Verifier.parse(head.vkey)


async def _ask(
    settings: Settings,
    client: httpx.AsyncClient,
    log: Log,
    witnesses: list[WitnessAddress],
    head: AuditedHead,
) -> list[tuple[str, int]]:
    """What each witness last cosigned; needs the log's key, which only the sequencer's machine has."""
    signer = find_signer(settings.home, log, head.origin)
    told: list[tuple[str, int]] = []
    if signer is None:
        return told
    for address in witnesses:
        try:
            told.append((address.verifier.name, await WitnessClient(client, address).ask_size(signer)))
        except Unavailable as error:
            typer.echo(f"witness not asked: {error}", err=True)
    return told


def _show(reports: list[Report], json: bool) -> None:
    if json:
        print(msgspec.json.encode(reports).decode())
    else:
        for report in reports:
            counts = (
                f"{report.size} entries, {report.published} published, {report.cosigned} cosigned, "
                f"{report.private} private parts opened, {report.erased} erased"
            )
            if report.repaired:
                counts += f", {report.repaired} objects published again"
            print(f"{report.origin}: {'ok' if report.ok else 'NOT OK'}; {counts}")
            for finding in report.findings:
                place = f" index {finding.index}" if finding.index is not None else ""
                place += f" entry {finding.entry}" if finding.entry is not None else ""
                print(f"  {finding.code}: {finding.where}{place}{f' ({finding.why})' if finding.why else ''}")
        if not reports:
            print("no log has been opened")
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


@asynccontextmanager
async def _opened(kind: ProcessKind) -> AsyncIterator[tuple[Database, Objects, Settings]]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with await Database.open(url, kind=kind, max_size=2) as database:
        yield database, open_objects(settings.objects_url, settings.home), settings
