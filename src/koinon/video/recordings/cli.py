"""`koinon video status`: how each camera is recorded, as its recorder told it last."""

import asyncio
from typing import Annotated

import msgspec
import typer

from koinon.base.clock import SystemClock
from koinon.base.database import Database, embedded
from koinon.base.settings import load_settings
from koinon.video.recordings.recorders import Told, list_told

_COLUMNS = (
    "camera",
    "role",
    "copy",
    "state",
    "last unit",
    "lost",
    "fps said",
    "measured",
    "recorder",
    "alarm",
)


def attach(app: typer.Typer) -> None:
    """`app` has the commands of recordings."""
    app.command()(status)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
    alarms: Annotated[
        bool, typer.Option(help="Only cameras with an alarm; exit code 1 if there is one.")
    ] = False,
) -> None:
    """Show how each camera is recorded: state, newest unit, packets lost, frame rate, who records it, alarm."""
    told = asyncio.run(_told())
    if alarms:
        told = [each for each in told if each.alarm]
    if as_json:
        print(msgspec.json.encode({"cameras": told}).decode())
    else:
        _show(told)
    if alarms and told:
        raise typer.Exit(1)


async def _told() -> list[Told]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with (
        await Database.open(url, kind="worker", max_size=1) as database,
        database.acquire() as connection,
    ):
        return await list_told(connection)


def _show(told: list[Told]) -> None:
    if not told:
        print("no camera has been recorded yet")
        return
    now = SystemClock().now()
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for each in told:
        age = f"{(now - each.last_unit_at).total_seconds():.0f} s ago" if each.last_unit_at else "-"
        fps = [f"{value:.1f}" if value else "-" for value in (each.fps_said, each.fps_measured)]
        state = f"{each.state} ({each.detail})" if each.detail else each.state
        who = each.recorder or "-"
        lost = "unknown" if each.lost is None else str(each.lost)
        rows.append((each.camera, each.role, str(each.copy), state, age, lost, *fps, who, each.alarm or ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        print("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())
