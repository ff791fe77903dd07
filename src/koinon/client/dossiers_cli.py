"""`koinon dossiers`: a party's system enters its files into a platform's reference directory."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from koinon.base.clock import SystemClock, civil_date
from koinon.base.errors import Invalid, NotAllowed
from koinon.client.cli import DEFAULT_PINS, _read_key
from koinon.client.clients import Client
from koinon.client.dossiers import Dossiers
from koinon.client.errors import Refused
from koinon.integrator.registration import DossierAnswer, DossierRequest

app = typer.Typer(
    no_args_is_help=True, help="A party's files on persons, in a platform's reference directory."
)


class _Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    national_number: str
    family_name: str
    birth_date: str


class _Told(msgspec.Struct, frozen=True, omit_defaults=True):
    line: int
    dossier: str | None = None
    code: str | None = None


@app.callback()
def root() -> None:
    """Without a file on a person nothing is asked about them."""


@app.command()
def register(
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON lines, a person each: national_number, family_name, birth_date; - for standard input."
        ),
    ],
    purpose: Annotated[str, typer.Option(help="Code of the purpose.")],
    case: Annotated[str, typer.Option(help="Reference of your case.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day without a file.")],
    url: Annotated[str, typer.Option(envvar="KOINON_URL", help="Address of the platform.")],
    key: Annotated[Path, typer.Option(envvar="KOINON_KEY", help="Key file of the system that calls.")],
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day; else today.")
    ] = None,
    pins: Annotated[
        Path, typer.Option(envvar="KOINON_PINS", help="File of the platform's keys; made at the first use.")
    ] = DEFAULT_PINS,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON lines.")] = False,
) -> None:
    """Register a file on each person, with name and birth date as the proof that you know them.

    A line that is refused is told with its code, the others stand.
    """
    day = since.date() if since is not None else civil_date(SystemClock().now())
    requests = [
        DossierRequest(
            purpose=purpose, case=case, national_number=each.national_number, family_name=each.family_name,
            birth_date=each.birth_date, valid_from=day, valid_until=until.date(),
        )
        for each in _read(file)
    ]  # fmt: skip
    refused = False
    with Client(url, _read_key(key), pins) as client:
        dossiers = Dossiers(client)
        for line, request in enumerate(requests, start=1):
            told = _register(dossiers, request, line)
            refused = refused or told.code is not None
            if as_json:
                sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
            else:
                print(f"{line}: {told.dossier or told.code}")
    if refused:
        raise typer.Exit(NotAllowed.exit_code)


def _register(dossiers: Dossiers, request: DossierRequest, line: int) -> _Told:
    try:
        answer: DossierAnswer = dossiers.register(request)
    except Refused as refusal:
        return _Told(line, code=refusal.code)
    return _Told(line, dossier=answer.dossier)


def _read(file: Path) -> list[_Person]:
    """The persons of the file.

    Raises:
        Invalid: `persons_malformed`, `file_unreadable`. What a line holds is not repeated.
    """
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Invalid("file_unreadable", file=file.name, why=type(error).__name__) from None
    persons = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            persons.append(msgspec.json.decode(line, type=_Person))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Invalid("persons_malformed", line=number) from None
    return persons
