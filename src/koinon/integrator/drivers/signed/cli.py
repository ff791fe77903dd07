"""`koinon certificates`: our keys and certificates towards sources; no server is needed."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from koinon.base.clock import SystemClock, rfc3339
from koinon.base.errors import Conflict, Invalid
from koinon.base.settings import load_settings
from koinon.integrator.drivers.signed.keeping import KINDS, Certificates, Held, choose, state_of
from koinon.integrator.drivers.signed.watching import WARN_BEFORE

app = typer.Typer(no_args_is_help=True, help="Our keys and certificates towards sources.")

Name = Annotated[str, typer.Argument(help="Name that sources.toml uses for it, as `region`.")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
_ENDS_SOON = 3


@app.callback()
def root() -> None:
    """Keys stay on this machine, encrypted; what leaves is the request for a certificate."""


@app.command()
def make(
    name: Name,
    subject: Annotated[str, typer.Option(help="Who we are, as RFC 4514 writes it: CN=...,O=...,C=BE.")],
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(KINDS)}.")] = "rsa-3072",
    host: Annotated[
        list[str] | None, typer.Option(help="A name for subjectAltName, if it is asked for.")
    ] = None,
) -> None:
    """A new key, beside those that are there; prints the request to be sent to who gives certificates."""
    number, request = _certificates().make(name, subject, kind=kind, hosts=host or ())
    typer.echo(request.decode(), nl=False)
    typer.echo(f"key {number} of {name}", err=True)


@app.command()
def request(
    name: Name, number: Annotated[int | None, typer.Option(help="Which key; by default the newest.")] = None
) -> None:
    """Prints the request of a key again."""
    typer.echo(_certificates().request(name, number).decode(), nl=False)


@app.command()
def put(
    name: Name,
    file: Annotated[
        Path, typer.Argument(help="PEM: the certificate, then its intermediates; - for standard input.")
    ],
    begins: Annotated[
        str | None,
        typer.Option("--from", help="Sign with it from this instant on (RFC 3339); by default at once."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where sources are asked with the one that signs now.")
    ] = False,
) -> None:
    """The certificate stands beside its key; running processes sign with it within a minute, or from that instant."""
    try:
        pem = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Invalid("certificate_malformed", why=type(error).__name__) from None
    certificates, at, begins_at = _certificates(), SystemClock().now(), _instant(begins)
    if not replace and choose(certificates.list(name), at) is not None and (sources := _asked_with(name)):
        raise Conflict("certificate_serves_sources", name=name, sources=", ".join(sources))
    held = certificates.put(name, pem, at=at, begins_at=begins_at)
    assert held.begins_at is not None and held.ends_at is not None
    typer.echo(f"key {held.number} of {name}: from {rfc3339(held.begins_at)} until {rfc3339(held.ends_at)}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Each key with its certificate; exit code 3 when the one that signs ends within 30 days, or there is none."""
    certificates, at = _certificates(), SystemClock().now()
    urgent = False
    for name in certificates.names():
        held = certificates.list(name)
        for each in held:
            typer.echo(_line(name, each, state_of(each, held, at), as_json))
        lasting = [
            each.ends_at for each in held if state_of(each, held, at) in ("in_use", "ready") and each.ends_at
        ]
        urgent |= not lasting or max(lasting) - at < WARN_BEFORE
    if urgent:
        raise typer.Exit(_ENDS_SOON)


@app.command()
def remove(name: Name, number: Annotated[int, typer.Argument(help="Which key.")]) -> None:
    """A key that does not sign now is gone, with its certificate."""
    _certificates().remove(name, number, at=SystemClock().now())


def _asked_with(name: str) -> list[str]:
    """Sources that know us by the certificate of that name."""
    from koinon.integrator.sources import certificates_of, read_source_settings  # every driver comes along

    sources = read_source_settings(load_settings().home)
    return sorted(source for source, how in sources.items() if name in certificates_of(how))


def _certificates() -> Certificates:
    return Certificates(load_settings().home)


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("instant_malformed", instant=text[:40]) from None
    if instant.tzinfo is None:
        raise Invalid("instant_malformed", instant=text[:40])
    return instant.astimezone(UTC)


def _line(name: str, held: Held, state: str, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode({"name": name, "state": state} | msgspec.to_builtins(held)).decode()
    ends = rfc3339(held.ends_at) if held.ends_at is not None else "no certificate"
    return f"{name} {held.number} {state} {ends} {held.subject} {held.fingerprint or ''}".rstrip()
