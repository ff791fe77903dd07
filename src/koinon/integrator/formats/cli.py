"""`koinon integrator check|convert|schema`: messages in three syntaxes, on the command line."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from koinon.base.errors import Conflict, NotFound
from koinon.integrator.formats import (
    RECORD_TYPES,
    Batch,
    CsvWriter,
    Outcome,
    Reject,
    Writer,
    open_reader,
    open_writer,
    pass_on,
)
from koinon.integrator.formats.fixed import header_places, record_places, totals_places
from koinon.integrator.formats.json import json_schema
from koinon.integrator.formats.xml import xml_schema

SHOWN_REJECTS = 20


class From(StrEnum):
    """Syntaxes that can be read."""

    FIXED = "fixed"
    XML = "xml"
    JSONL = "jsonl"
    JSON = "json"


class To(StrEnum):
    """Syntaxes that can be written; CSV only as an export."""

    FIXED = "fixed"
    XML = "xml"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


class Code(StrEnum):
    """Encodings of fixed-length records."""

    UTF_8 = "UTF-8"
    ISO_8859_1 = "ISO-8859-1"
    ISO_8859_15 = "ISO-8859-15"


class Shape(StrEnum):
    """What describes a record type."""

    XSD = "xsd"
    JSON_SCHEMA = "json-schema"
    LAYOUT = "layout"


FileArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
FromOption = Annotated[From, typer.Option("--from", help="Syntax of the file.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Every reject as a line of JSON, then the outcome as the last line.")
]


def check(file: FileArgument, source: FromOption, as_json: JsonOption = False) -> None:
    """Read a message to its end and name every record that is not valid. Exits 1 when there was one, 65 when the
    file itself cannot be trusted.
    """
    with _opened(file) as stream:
        reader = open_reader(stream, source.value)
        report = _Report(as_json)
        outcome = pass_on(reader, None, report.add)
    report.end(outcome)


def convert(
    file: FileArgument,
    source: FromOption,
    target: Annotated[To, typer.Option("--to", help="Syntax to write.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new file.")],
    encoding: Annotated[Code, typer.Option(help="Of fixed-length records.")] = Code.UTF_8,
    as_json: JsonOption = False,
) -> None:
    """Write a message in another syntax. Records that are not valid, or that the other syntax cannot carry, are
    left out and named; exits 1 when there was one. When the file itself cannot be trusted nothing is left
    behind, and it exits 65.
    """
    if output.exists():
        raise Conflict("output_exists")
    partial = output.with_name(output.name + ".part")
    try:
        with _opened(file) as stream, partial.open("xb") as out:
            reader = open_reader(stream, source.value)
            writer: CsvWriter | Writer
            if target is To.CSV:
                writer = CsvWriter(out, reader.record_type)
            else:
                writer = open_writer(out, From(target).value, reader.header, encoding=encoding.value)
            report = _Report(as_json)
            outcome = pass_on(reader, writer, report.add)
        partial.rename(output)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    report.end(outcome)


def schema(
    record_type: Annotated[str, typer.Argument(help="Name of a record type; `list` names them.")],
    shape: Annotated[Shape, typer.Option("--as")] = Shape.LAYOUT,
) -> None:
    """Print what describes a record type: its XML Schema, its JSON Schema, or its fixed-length layout."""
    if record_type == "list":
        for name, each in RECORD_TYPES.items():
            print(f"{name} {each.version}")
        return
    found = RECORD_TYPES.get(record_type)
    if found is None:
        raise NotFound("record_type_unknown")
    match shape:
        case Shape.XSD:
            print(xml_schema(found), end="")
        case Shape.JSON_SCHEMA:
            print(json.dumps(json_schema(found), indent=2))
        case Shape.LAYOUT:
            for title, places in (
                ("header", header_places()),
                ("record", record_places(found)),
                ("totals", totals_places(found)),
            ):
                print(title)
                for place in places:
                    where = f"{place.position:5} {place.width:4}"
                    print(f"  {where}  {place.name:32} {place.kind:20} {place.padding}".rstrip())


class _Report:
    """Rejects as they come: lines of JSON, or the first of them in words."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._seen = 0

    def add(self, batch: Batch) -> None:
        for reject in batch.rejects:
            self._seen += 1
            if self._json:
                print(msgspec.json.encode(reject).decode())
            elif self._seen <= SHOWN_REJECTS:
                print(_said(reject))

    def end(self, outcome: Outcome) -> None:
        if self._json:
            print(msgspec.json.encode(outcome).decode())
        else:
            if self._seen > SHOWN_REJECTS:
                print(f"... {self._seen - SHOWN_REJECTS} more; --json names all")
            print(f"{outcome.read.records} records, {outcome.rejected} rejected")
        if outcome.rejected:
            raise typer.Exit(1)


def _said(reject: Reject) -> str:
    line = "" if reject.line is None else f"line {reject.line}, "
    field = "" if reject.field is None else f"{reject.field}: "
    return f"{line}record {reject.record}: {field}{reject.code}"


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """The file; on a terminal with a bar that moves as it is read."""
    with file.open("rb") as stream:
        if not sys.stderr.isatty():
            yield stream
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield progress.wrap_file(stream, total=file.stat().st_size, description=file.name)
