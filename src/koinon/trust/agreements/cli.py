"""`koinon agreements`: conventions and authorisations from the command line.

Signing needs no access to the platform's machine: with `--server` the document is fetched, checked against
its digest, signed here, and only the statement is sent.
"""

import asyncio
import contextlib
import hashlib
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import httpx
import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey
from koinon.base.database import Database, embedded
from koinon.base.errors import Conflict, Invalid, Unavailable
from koinon.base.settings import load_settings
from koinon.base.text import Text
from koinon.trust.agreements import service, store
from koinon.trust.agreements.model import (
    Authorisation,
    Convention,
    ConventionParty,
    Word,
    rules_digest,
)
from koinon.trust.ledger import Sealer
from koinon.trust.parties import PartyId

app = typer.Typer(no_args_is_help=True, help="Conventions and authorisations.")

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
KeyFile = Annotated[
    Path, typer.Option("--key", exists=True, dir_okay=False, help="the party's key file (PEM)")
]
PassphraseFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="instead of asking for the passphrase")
]
Server = Annotated[str, typer.Option(help="origin of the platform; without it, this machine's own database")]
Name = Annotated[str, typer.Argument(help="the convention's name")]
Version = Annotated[int, typer.Option(help="0 is the newest version")]
PartyOption = Annotated[str, typer.Option(help="id of the party that speaks")]


class Opened(NamedTuple):
    """What a command works with."""

    database: Database
    sealer: Sealer
    at: datetime


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[Opened]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with await Database.open(url, kind="web", max_size=2) as database:
        yield Opened(database, Sealer.of(settings.home), SystemClock().now())


def _run(main: Callable[[Opened], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _opened() as opened:
            await main(opened)

    asyncio.run(run())


def _print(value: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


@app.command("list")
def list_agreements(as_json: Json = False) -> None:
    """Every convention and authorisation. What is in force: `koinon oversight register`."""

    async def main(opened: Opened) -> None:
        async with opened.database.acquire() as connection:
            agreements = await store.load_agreements(connection)
        if as_json:
            _print(agreements)
            return
        table = Table("what", Column("name", no_wrap=True), "digest", "from", "until", "said")
        for versions in agreements.conventions.values():
            for each in versions:
                said = agreements.statements.get(each.digest, ())
                table.add_row(
                    "convention",
                    f"{each.id} v{each.version}",
                    each.digest[:12],
                    each.valid_from.isoformat(),
                    each.valid_until.isoformat() if each.valid_until else "",
                    str(len(said)),
                )
        for authorisation in agreements.authorisations.values():
            table.add_row(
                "authorisation",
                authorisation.number,
                authorisation.digest[:12],
                authorisation.valid_from.isoformat(),
                authorisation.valid_until.isoformat(),
                "",
            )
        Console().print(table)
        for name in agreements.broken:
            Console(stderr=True).print(f"counts for nothing, since it is not what was agreed: {name}")

    _run(main)


@app.command("show")
def show_agreement(
    name: Annotated[str, typer.Argument(help="a convention's name, or an authorisation's number")],
    version: Version = 0,
) -> None:
    """One convention or authorisation in full, with what its parties said."""

    async def main(opened: Opened) -> None:
        async with opened.database.acquire() as connection:
            agreements = await store.load_agreements(connection)
            if "/" in name:
                authorisation = service.get_authorisation(agreements, name)
                _print({"digest": authorisation.digest, "authorisation": authorisation})
                return
            convention = service.get_convention(agreements, name, version or None)
            rules = await store.find_rules(connection, convention.digest)
        statements = [each.statement for each in agreements.statements.get(convention.digest, ())]
        _print(
            {
                "digest": convention.digest,
                "convention": convention,
                "rules": rules,
                "advice_asked": agreements.advice_asked.get(convention.digest),
                "statements": statements,
            }
        )

    _run(main)


@app.command("draft")
def draft_convention(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML, with a table `rules`")],
    ask: Annotated[bool, typer.Option("--ask", help="ask the Commission for its advice at once")] = False,
    as_json: Json = False,
) -> None:
    """A convention, or its next version, exists and can be sent to the Commission for advice."""
    document = _read(file)
    rules = _convert(document.pop("rules", None), Text, file)
    convention: Convention = _convert(document | {"rules_digest": rules_digest(rules)}, Convention, file)

    async def main(opened: Opened) -> None:
        async with opened.database.transaction() as connection:
            await service.draft_convention(connection, opened.sealer, convention, rules, opened.at)
            if ask:
                await service.ask_advice(
                    connection, opened.sealer, convention.id, convention.version, opened.at
                )
        _tell(
            {"convention": convention.id, "version": convention.version, "digest": convention.digest}, as_json
        )

    _run(main)


@app.command("ask")
def ask_advice(name: Name, version: Version = 0, as_json: Json = False) -> None:
    """The Commission has been asked for its advice on a version."""

    async def main(opened: Opened) -> None:
        async with opened.database.transaction() as connection:
            found = service.get_convention(await store.load_agreements(connection), name, version or None)
            await service.ask_advice(connection, opened.sealer, found.id, found.version, opened.at)
        _tell({"convention": found.id, "version": found.version, "digest": found.digest}, as_json)

    _run(main)


@app.command("request")
def request_authorisation(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML of the authorisation")],
    as_json: Json = False,
) -> None:
    """The Commission has been asked for an authorisation; without `number` in the file it gets the next."""
    document = _read(file)

    async def main(opened: Opened) -> None:
        async with opened.database.transaction() as connection:
            if "number" not in document:
                agreements = await store.load_agreements(connection)
                document["number"] = service.next_number(agreements, opened.at.year)
            authorisation: Authorisation = _convert(document, Authorisation, file)
            await service.request_authorisation(connection, opened.sealer, authorisation, opened.at)
        _tell({"authorisation": authorisation.number, "digest": authorisation.digest}, as_json)

    _run(main)


@app.command("sign")
def sign(
    name: Name,
    party: PartyOption,
    key: KeyFile,
    version: Version = 0,
    passphrase_file: PassphraseFile = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """The party has signed a version, with the key that the convention names for it."""
    _say(Word.SIGN, name, version, party, key, passphrase_file, server, as_json)


@app.command("notice")
def give_notice(
    name: Name,
    party: PartyOption,
    key: KeyFile,
    version: Version = 0,
    passphrase_file: PassphraseFile = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """The party has given notice; it leaves when the notice has run."""
    _say(Word.NOTICE, name, version, party, key, passphrase_file, server, as_json)


@app.command("accede")
def accede(
    name: Name,
    party: PartyOption,
    key: KeyFile,
    version: Version = 0,
    passphrase_file: PassphraseFile = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """The party asks to join, and is bound once those who must accept it have."""
    _say(Word.ACCEDE, name, version, party, key, passphrase_file, server, as_json)


@app.command("accept")
def accept(
    name: Name,
    party: PartyOption,
    key: KeyFile,
    joining: Annotated[str, typer.Option(help="id of the party that joins")],
    joining_key: Annotated[str, typer.Option(help="key id with which it joins")],
    version: Version = 0,
    passphrase_file: PassphraseFile = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """The party accepts another that joins."""
    acceding = ConventionParty(_party(joining), joining_key)
    _say(Word.ACCEPT, name, version, party, key, passphrase_file, server, as_json, acceding)


def _say(
    word: Word,
    name: str,
    version: int,
    party: str,
    key_file: Path,
    passphrase_file: Path | None,
    server: str,
    as_json: bool,
    acceding: ConventionParty | None = None,
) -> None:
    key = read_key(key_file, passphrase_file)

    def signed(convention: Convention, at: datetime) -> str:
        statement = service.state(convention, word, _party(party), at, acceding)
        return service.sign_statement(statement, key)

    async def main(opened: Opened) -> None:
        async with opened.database.transaction() as connection:
            agreements = await store.load_agreements(connection)
            convention = service.get_convention(agreements, name, version or None)
            token = signed(convention, opened.at)
            await service.record_statement(connection, opened.sealer, token, None, opened.at)
        _tell({"said": word.value, "digest": convention.digest}, as_json)

    if not server:
        _run(main)
        return
    convention = _fetch_convention(server, name, version)
    token = signed(convention, SystemClock().now())
    call("POST", f"{server}/api/conventions/statements", {"statement": token})
    _tell({"said": word.value, "digest": convention.digest}, as_json)


def _fetch_convention(server: str, name: str, version: int) -> Convention:
    register = msgspec.json.decode(call("GET", f"{server}/api/register"))
    found = [
        each
        for each in register["conventions"]
        if each["id"] == name and (not version or each["version"] == version)
    ]
    if not found:
        raise Invalid("convention_unknown", id=name, version=version)
    digest = max(found, key=lambda each: each["version"])["digest"]
    return msgspec.json.decode(fetch_document(server, digest), type=Convention)


def fetch_document(server: str, digest: str) -> bytes:
    """The document with that digest, from a server that need not be trusted for it.

    Raises:
        Conflict: `document_differs` when what came has another digest.
    """
    document = call("GET", f"{server}/api/documents/{digest}")
    if hashlib.sha256(document).hexdigest() != digest:
        raise Conflict("document_differs", digest=digest)
    return document


def call(method: str, url: str, body: Any = None) -> bytes:
    """The body of the server's answer.

    Raises:
        Unavailable: `server_unavailable`.
        Conflict: the problem's own code, with its facts, where the server refused.
    """
    content = None if body is None else msgspec.json.encode(body)
    headers = {"content-type": "application/json"} if content is not None else {}
    try:
        answer = httpx.request(method, url, content=content, headers=headers, timeout=30)
    except httpx.HTTPError as error:
        raise Unavailable("server_unavailable", url=url, why=str(error)) from None
    if answer.is_success:
        return answer.content
    try:
        problem = answer.json()
        raise Conflict(str(problem["code"]), **dict(problem.get("facts", {})))
    except (ValueError, KeyError, TypeError):
        raise Unavailable("server_unavailable", url=url, status=answer.status_code) from None


def read_key(file: Path, passphrase_file: Path | None) -> SigningKey:
    """The key in a key file; the passphrase is read from a file or asked for, and only where one is needed.

    Raises:
        Invalid: `bad_passphrase`, `bad_key`.
    """
    pem = file.read_bytes()
    passphrase = None
    if b"ENCRYPTED" in pem:
        if passphrase_file is not None:
            passphrase = passphrase_file.read_text().rstrip("\n")
        else:
            passphrase = typer.prompt(f"Passphrase of {file.name}", hide_input=True, err=True)
    return SigningKey.from_pem(pem, passphrase)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid("file_malformed", file=file.name, why=str(error)) from None


def _convert(value: Any, kind: Any, file: Path) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Invalid("file_malformed", file=file.name, why=str(error)) from None


def _party(text: str) -> PartyId:
    try:
        return PartyId(UUID(text))
    except ValueError:
        raise Invalid("invalid_id", what="party") from None


def _tell(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print(facts)
    else:
        for name, value in facts.items():
            print(f"{name}: {value}")
