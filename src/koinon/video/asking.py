"""What the commands share by which a person asks a platform for recordings: options, who asks, how far it is."""

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from koinon.base.clock import read_moment, rfc3339
from koinon.base.errors import Invalid
from koinon.video.client import PersonClient

PLATFORM = "http://127.0.0.1:8000"
Since = Annotated[str, typer.Option(help="2026-11-24T10:00; Brussels time where no offset is given.")]
Until = Annotated[str, typer.Option(help="The same; past.")]
Purpose = Annotated[str, typer.Option(help="Code of the purpose.")]
Reason = Annotated[str, typer.Option(help="Where the authorisation asks for one.")]
Emergency = Annotated[bool, typer.Option("--emergency", help="Declare an emergency; it is reviewed.")]
Second = Annotated[bool, typer.Option("--second", help="Ask a second person of your party first, and wait.")]
Url = Annotated[str, typer.Option(envvar="KOINON_URL", help="The platform.")]
Login = Annotated[str, typer.Option(help="A local account; its password is asked for, or read.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON.")]


@contextlib.contextmanager
def visit(url: str, login: str) -> Iterator[PersonClient]:
    """The platform, for whoever calls the command: of a local account, or in the session of KOINON_SESSION.

    Raises:
        Invalid: `session_missing`. NotIdentified: `sign_in_refused`.
    """
    client = PersonClient(url)
    try:
        if login:
            client.sign_in(login, _read_password())
        elif token := os.environ.get("KOINON_SESSION", ""):
            client.use_session(token)
        else:
            raise Invalid("session_missing", expected="--login, or KOINON_SESSION")
        yield client
    finally:
        client.close()


def stretch_of(since: str, until: str) -> dict[str, str]:
    """What was typed, with offsets: Brussels time where there is none, and all of an hour that comes twice.

    Raises:
        Invalid: `moment_malformed`, also for a time that the clock passed over.
    """
    return {"since": moment(since), "until": moment(until, last=True)}


def moment(text: str, *, last: bool = False) -> str:
    """What was typed, with its offset; without one, as `read_moment` reads it.

    Raises:
        Invalid: `moment_malformed`.
    """
    try:
        at = datetime.fromisoformat(text)
        return rfc3339(at if at.tzinfo is not None else read_moment(text, last=last))
    except (ValueError, OverflowError):
        raise Invalid("moment_malformed", expected="2026-11-24T10:00", given=text[:40]) from None


def watch(client: PersonClient, console: Console, told: dict[str, Any], where: str) -> dict[str, Any]:
    """How far what was asked is, drawn until it has ended; what is told of it then."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task(told["state"], total=1.0)
        for told in client.follow(str(told["id"]), where):  # noqa: B020 - the newest is what counts
            bar.update(task, description=told["state"], completed=told["progress"])
    return told


def _read_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\n")
