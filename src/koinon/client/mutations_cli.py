"""`koinon mutations`: publish for a source, subscribe, follow."""

import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from koinon.base.ids import parse_id
from koinon.client.cli import DEFAULT_PINS, _read_key
from koinon.client.clients import Client
from koinon.client.mutations import Mutation, Mutations, Place
from koinon.integrator.mutations import StreamState, SubscriptionView

app = typer.Typer(no_args_is_help=True, help="That something changed, keys only: publish it, hear of it.")

Url = Annotated[str, typer.Option(envvar="KOINON_URL", help="Address of the platform.")]
Key = Annotated[Path, typer.Option(envvar="KOINON_KEY", help="Key file of the system that calls.")]
Pins = Annotated[
    Path, typer.Option(envvar="KOINON_PINS", help="File of the platform's keys; made at the first use.")
]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def publish(
    source: Annotated[str, typer.Argument(help="The source that your party keeps.")],
    url: Url,
    key: Key,
    file: Annotated[
        Path | None, typer.Argument(help="JSON lines, one mutation each; - or nothing: input.")
    ] = None,
    pins: Pins = DEFAULT_PINS,
    begins_at: Annotated[int, typer.Option(help="The source's first number ever.")] = 1,
    json: Json = False,
) -> None:
    """Publish mutations; publishing again changes nothing. Tells which numbers are missing."""
    data = sys.stdin.buffer.read() if file is None or str(file) == "-" else file.read_bytes()
    mutations = msgspec.json.Decoder(Mutation).decode_lines(data)
    with Client(url, _read_key(key), pins) as client:
        done = Mutations(client).publish(source, mutations, begins_at=begins_at)
    if json:
        _print_json(done)
        return
    print(f"{done.accepted} accepted, {done.repeated} known before, {done.told} numbers given to subscribers")
    _show_stream(done.stream)


@app.command()
def source(source: str, url: Url, key: Key, pins: Pins = DEFAULT_PINS, json: Json = False) -> None:
    """How far a source has come, and which numbers are missing."""
    with Client(url, _read_key(key), pins) as client:
        found = Mutations(client).stream(source)
    _print_json(found) if json else _show_stream(found)


@app.command()
def subscribe(
    flow: Annotated[str, typer.Option()],
    purpose: Annotated[str, typer.Option()],
    case: Annotated[str, typer.Option()],
    url: Url,
    key: Key,
    pins: Pins = DEFAULT_PINS,
    service: Annotated[list[str] | None, typer.Option(help="source/service; may be repeated.")] = None,
    push: Annotated[str | None, typer.Option(help="Address that is pushed to.")] = None,
    json: Json = False,
) -> None:
    """Hear of changes about your party's files of a purpose; again: the same subscription."""
    with Client(url, _read_key(key), pins) as client:
        view = Mutations(client).subscribe(
            flow=flow, purpose=purpose, case=case, services=service, push_address=push
        )
    _show([view], json)


@app.command(name="list")
def list_(url: Url, key: Key, pins: Pins = DEFAULT_PINS, json: Json = False) -> None:
    """This system's subscriptions, with how far each is."""
    with Client(url, _read_key(key), pins) as client:
        found = Mutations(client).list()
    _show(found, json)


@app.command()
def follow(
    subscription: str,
    place: Annotated[Path, typer.Argument(help="File that remembers how far you are.")],
    url: Url,
    key: Key,
    pins: Pins = DEFAULT_PINS,
    once: Annotated[bool, typer.Option("--once", help="Until there is nothing more, not for ever.")] = False,
    resynchronise: Annotated[
        bool, typer.Option("--resynchronise", help="Where numbers were lost, go on from now: you fetch anew.")
    ] = False,
) -> None:
    """Print each change as a line of JSON, from where you were; after a crash the last line may come again."""
    with Client(url, _read_key(key), pins) as client:
        mutations = Mutations(client)
        wait, going = 20, True
        if once:
            wait = 0
            end = mutations.look(_id(subscription)).last
        at = Place(place)

        def goes() -> bool:
            return going and (
                not once or at.read() < end or mutations.look(_id(subscription)).acknowledged < end
            )

        for item in mutations.follow(
            _id(subscription),
            at,
            going=goes,
            wait_seconds=wait,
            resynchronise=_say_lost if resynchronise else None,
        ):
            sys.stdout.write(msgspec.json.encode(item).decode() + "\n")
            sys.stdout.flush()


@app.command()
def push(
    subscription: str,
    url: Url,
    key: Key,
    address: Annotated[str | None, typer.Argument(help="Where to; nothing: nowhere.")] = None,
    pins: Pins = DEFAULT_PINS,
    json: Json = False,
) -> None:
    """Where a subscription is pushed to."""
    with Client(url, _read_key(key), pins) as client:
        _show([Mutations(client).push_to(_id(subscription), address)], json)


@app.command()
def end(subscription: str, url: Url, key: Key, pins: Pins = DEFAULT_PINS, json: Json = False) -> None:
    """Hear nothing any more."""
    with Client(url, _read_key(key), pins) as client:
        _show([Mutations(client).end(_id(subscription))], json)


def _id(text: str) -> UUID:
    return parse_id(text, "subscription")


def _say_lost(until: int) -> None:
    print(f"numbers were lost before {until}: fetch anew what you hold", file=sys.stderr)


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _show_stream(stream: StreamState) -> None:
    print(f"source {stream.source}: passed on until {stream.passed_until}, {stream.held} wait")
    for first, last in stream.missing:
        print(f"  missing: {first}" + (f" to {last}" if last > first else ""))


def _show(found: list[SubscriptionView], json: bool) -> None:
    if json:
        _print_json(found)
        return
    table = Table("subscription", "flow", "state", "last", "acknowledged", "waiting", "pushed to")
    for each in found:
        state = f"{each.state}, {each.code}" if each.code else each.state
        table.add_row(
            str(each.id), each.flow, state, str(each.last), str(each.acknowledged), str(each.waiting),
            each.push.address if each.push is not None else "-",
        )  # fmt: skip
    Console().print(table)
