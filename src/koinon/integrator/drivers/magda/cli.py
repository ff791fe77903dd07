"""`koinon integrator read`: stored answers of a source, each as one JSON object on a line."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from koinon.base.errors import Invalid
from koinon.integrator.drivers.magda.stored import StoredAnswer, read_file

_INVALID_INPUT = 65


def read(
    files: Annotated[list[Path], typer.Argument(help="Answers, with or without their SOAP envelope.")],
    driver: Annotated[str, typer.Option("--driver", help="The source that gave them: magda.")],
    service: Annotated[str, typer.Option("--service", help="GeefPersoon or GeefOnderneming.")],
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, in the order of the files.")
    ] = False,
) -> None:
    """Read stored answers; nobody is asked. Exits 65 when a file is no such answer, after reading the others."""
    if driver != "magda":
        raise Invalid("unknown_driver", driver=driver, known=["magda"])
    valid = True
    for file in files:
        answer = read_file(service, file)
        valid = valid and answer.valid
        typer.echo(msgspec.json.encode(answer.document()).decode() if json else f"{file}: {_line(answer)}")
    if not valid:
        raise typer.Exit(_INVALID_INPUT)


def _line(answer: StoredAnswer) -> str:
    if answer.fault is not None:
        return f"{answer.fault.type} {answer.fault.code} {answer.fault.message or ''}".rstrip()
    document = answer.document()
    person = document.get("person")
    if person is not None:
        names = " ".join((*person["family_names"], *person["given_names"]))
        return f"{person['national_number']} {names} {person['birth_date'] or '?'}"
    enterprise = document["enterprise"]
    names = " / ".join(dict.fromkeys(one["name"] for one in enterprise["names"] if one["kind"] == "legal"))
    return f"{enterprise['enterprise_number']} {names}"
