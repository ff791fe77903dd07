"""`koinon batch`: send a file of questions, look after it, fetch what came of it."""

import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from koinon.base.ids import parse_id
from koinon.client.batches import ENDED, Batches
from koinon.client.cli import DEFAULT_PINS, _read_key
from koinon.client.clients import Client
from koinon.client.errors import Refused
from koinon.integrator.deferred import BatchView

app = typer.Typer(no_args_is_help=True, help="Questions about many, in one file.")

Url = Annotated[str, typer.Option(envvar="KOINON_URL", help="Address of the platform.")]
Key = Annotated[Path, typer.Option(envvar="KOINON_KEY", help="Key file of the system that asks.")]
Pins = Annotated[
    Path, typer.Option(envvar="KOINON_PINS", help="File of the platform's keys; made at the first use.")
]
Json = Annotated[bool, typer.Option("--json", help="The batch as JSON.")]
BatchId = Annotated[str, typer.Argument(help="Its id, which `send` prints; not your own number.")]


@app.command()
def send(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    number: Annotated[str, typer.Option(help="Your own number of the batch; the same goes on.")],
    flow: Annotated[str, typer.Option()],
    purpose: Annotated[str, typer.Option()],
    url: Url,
    key: Key,
    pins: Pins = DEFAULT_PINS,
    syntax: Annotated[str, typer.Option(help="fixed, xml, jsonl or json.")] = "fixed",
    case: Annotated[str, typer.Option()] = "",
    result: Annotated[list[str] | None, typer.Option(help="Syntax of the result; may be repeated.")] = None,
    priority: Annotated[int, typer.Option(help="Among your own batches, -9 to 9.")] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended.")] = False,
    json: Json = False,
) -> None:
    """Send a file; sending it again under its number goes on where it was cut off.

    With --wait it exits 77 when the file was refused or the batch stopped.
    """
    with Client(url, _read_key(key), pins) as client, _shown(json) as told:
        batches = Batches(client)
        batch = batches.send(
            file, number=number, flow=flow, purpose=purpose, syntax=syntax, case=case, priority=priority,
            results=result or (), told=told,
        )  # fmt: skip
        if wait:
            batch = batches.wait(batch.id, told)
    _show(batch, json)
    if wait:
        _check(batch)


@app.command()
def status(
    batch: BatchId,
    url: Url,
    key: Key,
    pins: Pins = DEFAULT_PINS,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended.")] = False,
    json: Json = False,
) -> None:
    """How it stands with a batch."""
    with Client(url, _read_key(key), pins) as client, _shown(json or not wait) as told:
        batches = Batches(client)
        found = batches.wait(_id(batch), told) if wait else batches.look(_id(batch))
    _show(found, json)
    if wait:
        _check(found)


@app.command()
def result(
    batch: BatchId,
    folder: Annotated[Path, typer.Argument(help="Where the files are put.")],
    url: Url,
    key: Key,
    pins: Pins = DEFAULT_PINS,
) -> None:
    """Fetch every file of a batch and its receipt, all verified."""
    with Client(url, _read_key(key), pins) as client:
        batches = Batches(client)
        found = batches.look(_id(batch))
        folder.mkdir(parents=True, exist_ok=True)
        for file in found.files:
            # The name is one of ours, but it came over the wire.
            path = folder / f"{found.id}.{Path(file.name).name}"
            batches.fetch(found.id, file.name, path)
            print(path)
        if found.state == "done":
            path = folder / f"{found.id}.receipt.json"
            path.write_bytes(msgspec.json.format(msgspec.json.encode(batches.receipt(found.id))))
            print(path)


@app.command()
def prove(
    batch: BatchId,
    record: Annotated[int, typer.Argument(help="Its place in the file, from 1.")],
    url: Url,
    key: Key,
    pins: Pins = DEFAULT_PINS,
) -> None:
    """Prove that a record's person is a leaf under an entry that the receipt promised."""
    with Client(url, _read_key(key), pins) as client:
        proof = Batches(client).prove(_id(batch), record)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(proof)).decode() + "\n")


@app.command()
def cancel(batch: BatchId, url: Url, key: Key, pins: Pins = DEFAULT_PINS, json: Json = False) -> None:
    """A batch goes no further."""
    with Client(url, _read_key(key), pins) as client:
        _show(Batches(client).cancel(_id(batch)), json)


@app.command()
def resume(batch: BatchId, url: Url, key: Key, pins: Pins = DEFAULT_PINS, json: Json = False) -> None:
    """A stopped batch is queued again, on a new decision."""
    with Client(url, _read_key(key), pins) as client:
        _show(Batches(client).resume(_id(batch)), json)


def _id(text: str) -> UUID:
    return parse_id(text, "batch")


class _shown:
    """A bar on standard error while a batch is sent and done; none with `--json`."""

    def __init__(self, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(), console=Console(stderr=True), disable=quiet,
        )  # fmt: skip
        self._task: Any = None

    def __enter__(self) -> "_shown":
        self._progress.start()
        self._task = self._progress.add_task("sending", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, batch: BatchView) -> None:
        if batch.state == "receiving":
            done, total = batch.received, batch.length
        elif batch.progress is not None:
            done, total = batch.progress.done, batch.progress.total
        else:
            done, total = 0, 1
        self._progress.update(self._task, description=batch.state, completed=done, total=max(total, 1))


def _check(batch: BatchView) -> None:
    """A batch that did not end well is told in words, with the exit code of a refusal."""
    if batch.state in ENDED - {"done"}:
        raise _why(batch)


def _why(batch: BatchView) -> Refused:
    # The view came in an answer that was verified.
    return Refused(
        batch.code or "answer_malformed", http_status=200, signed=True, facts=dict(batch.facts or {})
    )


def _show(batch: BatchView, json: bool) -> None:
    if json:
        sys.stdout.write(msgspec.json.encode(batch).decode() + "\n")
        return
    console = Console(highlight=False, markup=False)
    console.print(
        f"batch {batch.number} ({batch.id}): {batch.state}" + (f", {_why(batch)}" if batch.code else ""),
        soft_wrap=True,
    )
    if batch.progress is not None and batch.state not in ENDED:
        said = batch.progress
        console.print(
            f"  {said.done} of {said.total} records, {said.rate} a second, until {said.expected_end}"
        )
        for each in said.waiting:
            console.print(f"  {each.records} records wait for {each.source} since {each.since}")
    for status, count in (batch.totals or {}).items():
        console.print(f"  {status}: {count}")
    for file in batch.files:
        console.print(f"  file {file.name}: {file.length} bytes, SHA-256 {file.sha256}", soft_wrap=True)
