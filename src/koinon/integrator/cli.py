"""`koinon integrator`: messages and stored answers on the command line; no server is needed."""

import typer

from koinon.integrator.drivers.magda.cli import read
from koinon.integrator.formats.cli import check, convert, schema

app = typer.Typer(no_args_is_help=True, help="Messages and stored answers of sources.")


@app.callback()
def root() -> None:
    """Nothing is asked and nothing is kept: files in, text out."""


app.command("read")(read)
app.command("check")(check)
app.command("convert")(convert)
app.command("schema")(schema)
