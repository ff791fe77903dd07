"""`koinon pins`: the keys by which a platform is believed."""

from pathlib import Path
from typing import Annotated

import typer

from koinon.client.pins import discover

app = typer.Typer(
    help="The keys by which a platform is believed: fetch them, and compare them by another way."
)


@app.callback(invoke_without_command=True)
def pins(
    url: Annotated[str, typer.Argument(help="Address of the platform.")],
    file: Annotated[
        Path, typer.Argument(help="Where its keys are kept; a file that is there stays as it is.")
    ],
) -> None:
    """Keep the platform's keys in a new file, and print what its people must read out to you over another way."""
    found = discover(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    found.save(file)
    for each in found.fingerprints:
        print(each)
