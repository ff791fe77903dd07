"""`koinon video fsck`, `koinon video terms`: what is kept and why, on the command line."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from koinon.base.clock import SystemClock, rfc3339
from koinon.base.database import Database, ProcessKind, embedded
from koinon.base.settings import Settings, load_settings
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.standing import StandingLoader
from koinon.video.terms import deletion
from koinon.video.terms.fsck import Report, check, summary
from koinon.video.terms.store import due, reports

terms = typer.Typer(help="Terms: what was achieved, what the site allows.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="The result as JSON.")]


@contextlib.asynccontextmanager
async def _opened(kind: ProcessKind) -> AsyncIterator[tuple[Settings, Database]]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with await Database.open(url, kind=kind, max_size=3) as database:
        yield settings, database


def fsck(
    as_json: Json = False,
    full: Annotated[
        bool, typer.Option("--full", help="Read every byte; else of one unit in a hundred.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Unlink files past their legal maximum that no row knows; nothing else."
        ),
    ] = False,
) -> None:
    """Hold index, files and the law against each other. Exits 1 when something does not agree."""
    report = asyncio.run(_fsck(full, repair))
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        for each in report.findings:
            print(
                f"{each.code:20} {each.where}  {each.detail}{'  (repaired)' if each.repaired else ''}".rstrip()
            )
        told = ", ".join(f"{count} {code}" for code, count in sorted(summary(report).items())) or "all agree"
        print(
            f"{report.units} units, {report.bytes} bytes, {report.hashed} read in full, {report.files} files: {told}"
        )
    if not report.ok:
        raise typer.Exit(1)


async def _fsck(full: bool, repair: bool) -> Report:
    async with _opened("worker") as (settings, database):
        async with database.acquire() as connection:
            standing = await StandingLoader(demo=settings.mode == "embedded")(connection)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            tasks = {name: bar.add_task(name, total=None) for name in ("streams", "places")}
            return await check(
                database, settings.home, deletion.regimes_of(standing), SystemClock(), hash_share=1.0 if full else 0.01,
                repair=repair,
                progress=lambda what, done, total: bar.update(tasks[what], completed=done, total=total),
            )  # fmt: skip


@terms.command()
def achieved(
    as_json: Json = False,
    day: Annotated[str, typer.Option(help="2026-11-24; by default the newest day told.")] = "",
) -> None:
    """Print the term that each camera achieved, as the ledger has it. Exits 1 when one is past its legal maximum."""

    async def work() -> list[dict[str, object]]:
        async with _opened("reader") as (_, database), database.acquire() as connection:
            found = await reports.list_achieved(connection, date.fromisoformat(day) if day else None, None)
            codes = {each.camera: each.code for each in await due.list_kept(connection)}
        return [
            {
                "day": each.day.isoformat(), "camera": codes.get(each.camera, str(each.camera)), "regime": each.regime,
                "maximum_days": each.maximum_days, "term_days": each.term_days,
                "oldest": rfc3339(each.oldest_at, minutes=True) if each.oldest_at else None,
                "deleted": each.deleted_units, "early": each.early_units, "within": each.within,
                "fallen_back": each.fallen_back, "entry": str(each.entry),
            }
            for each in found
        ]  # fmt: skip

    rows = asyncio.run(work())
    if as_json:
        print(msgspec.json.encode(rows).decode())
    else:
        for row in rows:
            mark = "" if row["within"] else "  PAST ITS MAXIMUM"
            print(
                f"{row['day']}  {row['camera']!s:24} {row['term_days']:>4} of {row['maximum_days']:>4} days  "
                f"oldest {row['oldest'] or '-':20} deleted {row['deleted']}{mark}"
            )
    if not all(row["within"] for row in rows):
        raise typer.Exit(1)


@terms.command("set")
def set_site(
    early_deletion: Annotated[
        bool | None,
        typer.Option(help="Whether a disk below its reserve may lose its oldest before the term."),
    ] = None,
    reserve_percent: Annotated[int | None, typer.Option(min=1, max=50)] = None,
    announce_days: Annotated[int | None, typer.Option(min=1, max=60)] = None,
) -> None:
    """Say what the site allows when a disk fills up; it is told in the register log."""

    async def work() -> reports.Setting:
        async with _opened("worker") as (settings, database), database.transaction() as connection:
            now = SystemClock().now()
            changes = {
                name: value
                for name, value in (
                    ("early_deletion", early_deletion),
                    ("reserve_percent", reserve_percent),
                    ("announce_days", announce_days),
                )
                if value is not None
            }
            setting = msgspec.structs.replace(await reports.get_setting(connection), **changes)
            if changes:
                await reports.put_setting(connection, setting, now)
                entry = Entry(
                    log=Log.REGISTER,
                    kind="terms.setting_changed",
                    at=now,
                    public=msgspec.to_builtins(setting),
                )
                await append(connection, Sealer.of(settings.home), [entry])
        return setting

    print(msgspec.json.encode(asyncio.run(work())).decode())


def attach(app: typer.Typer) -> None:
    """`fsck` and `terms` are commands of `app`."""
    app.command()(fsck)
    app.add_typer(terms, name="terms")
