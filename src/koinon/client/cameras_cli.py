"""`koinon cameras`: a party's system hands in a file of its cameras."""

from pathlib import Path
from typing import Annotated

import typer

from koinon.client.cameras import Cameras
from koinon.client.cli import DEFAULT_PINS, _read_key
from koinon.client.clients import Client
from koinon.video.cameras.cli import tell_report

app = typer.Typer(no_args_is_help=True, help="A party's own cameras, handed in by its system.")
TIMEOUT_SECONDS = 600.0


@app.callback()
def root() -> None:
    """The register of cameras, for systems."""


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV or GeoJSON")],
    url: Annotated[str, typer.Option(envvar="KOINON_URL", help="Address of the platform.")],
    key: Annotated[Path, typer.Option(envvar="KOINON_KEY", help="Key file of the system that calls.")],
    pins: Annotated[
        Path, typer.Option(envvar="KOINON_PINS", help="File of the platform's keys; made at the first use.")
    ] = DEFAULT_PINS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="try everything, keep nothing")] = False,
    report: Annotated[Path | None, typer.Option(help="where to write the report of all rows, as CSV")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Register or change the party's cameras from a file; tells for each row what became of it."""
    with Client(url, _read_key(key), pins, timeout_seconds=TIMEOUT_SECONDS) as client:
        told = Cameras(client).import_file(file, dry_run=dry_run)
    tell_report(told, report, as_json=as_json)
