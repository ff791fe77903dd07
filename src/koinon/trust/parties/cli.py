"""`koinon parties`: the register from the machine's own command line. Its changes are in the ledger too."""

import asyncio
import contextlib
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from koinon.base.clock import SystemClock, civil_date
from koinon.base.database import Connection, Database, embedded
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.settings import Settings, load_settings
from koinon.base.text import Text
from koinon.trust.ledger import Sealer
from koinon.trust.parties import importing, service, store
from koinon.trust.parties.facts import adviser_state, key_state, party_facts
from koinon.trust.parties.key_requests import document_of, make_request, open_signing_key, read_request
from koinon.trust.parties.model import (
    LOCAL_ISSUER,
    AdviserId,
    Charter,
    Identity,
    Party,
    PersonId,
    Register,
    check_enterprise_number,
)
from koinon.trust.parties.policy import INSTALLER
from koinon.trust.parties.sign_in import LocalAccounts
from koinon.trust.parties.vocabulary import KeyUse

app = typer.Typer(no_args_is_help=True, help="Organisations, persons, systems, keys.")

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
PartyArgument = Annotated[str, typer.Argument(help="enterprise number, or id")]


class Opened(NamedTuple):
    """What a command works with."""

    settings: Settings
    database: Database
    sealer: Sealer
    at: datetime


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[Opened]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with await Database.open(url, kind="web", max_size=2) as database:
        yield Opened(settings, database, Sealer.of(settings.home), SystemClock().now())


def _run(main: Callable[[Opened], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _opened() as opened:
            await main(opened)

    asyncio.run(run())


def _print(value: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


@app.command("list")
def list_parties(as_json: Json = False) -> None:
    """Every party: its number and name, its id, what it is, its adviser, how many persons and keys."""

    async def main(opened: Opened) -> None:
        async with opened.database.acquire() as connection:
            register = await store.load_register(connection)
        parties = sorted(register.parties.values(), key=lambda party: party.name.en)
        if as_json:
            _print([party_facts(register, party, opened.at) for party in parties])
            return
        for party in parties:
            print(f"{party.enterprise_number}  {party.name.en}")
            print(f"    {party.id}  {party.kind}")
            print(f"    {_about(register, party, opened.at)}")

    _run(main)


def _about(register: Register, party: Party, at: datetime) -> str:
    persons = sum(person.party == party.id for person in register.persons.values())
    keys = sum(key.party == party.id for key in register.keys.values())
    until = "" if party.left_on is None else f" until {party.left_on.isoformat()}"
    adviser = "adviser in office" if register.find_adviser(party.id, civil_date(at)) else "no adviser"
    joined = f"from {party.joined_on.isoformat()}{until}"
    return f"{joined}, {adviser}, persons {persons}, keys {keys}"


@app.command("show")
def show_party(party: PartyArgument, as_json: Json = False) -> None:
    """One party with its persons, systems, keys and advisers."""

    async def main(opened: Opened) -> None:
        async with opened.database.acquire() as connection:
            register = await store.load_register(connection)
            found = await _find_party(connection, party)
        shown = {
            **party_facts(register, found, opened.at),
            "persons": [each for each in register.persons.values() if each.party == found.id],
            "systems": [each for each in register.systems.values() if each.party == found.id],
            "keys": [
                {
                    "kid": key.kid,
                    "use": key.use,
                    "system": key.system,
                    "person": key.person,
                    "valid_from": key.valid_from,
                    "valid_until": key.valid_until,
                    "state": key_state(register, key, opened.at),
                    "revocation_reason": key.revocation_reason,
                }
                for key in register.keys.values()
                if key.party == found.id
            ],
            "advisers": [
                {
                    "id": each.id,
                    "person": each.person,
                    "proposed_on": each.proposed_on,
                    "appointed_on": each.appointed_on,
                    "ended_on": each.ended_on,
                    "digest": each.digest,
                    "state": adviser_state(each, civil_date(opened.at)),
                }
                for each in register.advisers.get(found.id, ())
            ],
        }
        if as_json:
            _print(shown)
            return
        _print_party(register, found, shown)

    _run(main)


def _print_party(register: Register, party: Party, shown: dict[str, Any]) -> None:
    console = Console()
    console.print(f"[bold]{party.name.nl} / {party.name.fr} / {party.name.en}[/bold]  {party.id}")
    console.print(f"{party.enterprise_number}  {party.kind}  since {party.joined_on}")
    persons = _table("person", "name", "active", "profiles", "charter", "training until", title="Persons")
    for person in shown["persons"]:
        persons.add_row(
            str(person.id),
            person.name,
            "yes" if person.active else "no",
            ", ".join(sorted({role.profile for role in person.roles})),
            person.charter.version if person.charter else "",
            person.training.valid_until.isoformat() if person.training else "",
        )
    keys = _table("key", "use", "owner", "state", title="Keys")
    for key in shown["keys"]:
        system = register.systems.get(key["system"])
        person = register.persons.get(key["person"])
        owner = system.name if system else person.name if person else "party"
        keys.add_row(key["kid"], key["use"].value, owner, key["state"])
    advisers = _table("adviser", "person", "state", "digest", title="Security advisers")
    for each in shown["advisers"]:
        name = register.persons[each["person"]].name
        advisers.add_row(str(each["id"]), name, each["state"], each["digest"])
    for table in (persons, keys, advisers):
        console.print(table)


def _table(first: str, *columns: str, title: str | None = None) -> Table:
    """A table whose first column is never cut, since it is what the next command needs."""
    table = Table(title=title, title_justify="left", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML or JSON")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="try every row, keep nothing")] = False,
    as_json: Json = False,
) -> None:
    """Parties and persons from a document; a row that cannot be taken is reported, the others stand."""
    document = importing.read_document(file)
    refused: list[importing.RowReport] = []

    async def main(opened: Opened) -> None:
        total = sum(len(rows) for rows in document.values() if isinstance(rows, list))
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("rows", total=total)
            reports = await importing.import_document(
                opened.database,
                opened.sealer,
                document,
                by=INSTALLER,
                at=opened.at,
                dry_run=dry_run,
                done=lambda _: progress.advance(task),
            )
        refused.extend(report for report in reports if report.code)
        if as_json:
            _print({"rows": reports, "taken": len(reports) - len(refused), "refused": len(refused)})
            return
        for report in refused:
            print(f"{report.row}: {report.code} {report.facts or ''}".rstrip())
        print(
            f"{len(reports) - len(refused)} taken, {len(refused)} refused{' (tried only)' if dry_run else ''}"
        )

    _run(main)
    if refused:
        raise typer.Exit(Invalid.exit_code)


@app.command("key-request")
def write_key_request(
    party: Annotated[UUID, typer.Argument(help="id of the party")],
    key: Annotated[Path, typer.Option(help="private key (PKCS #8 PEM); made when there is no such file")],
    platform: Annotated[str, typer.Option(help="the platform's ledger origin")],
    use: Annotated[KeyUse, typer.Option()] = KeyUse.REQUEST_SIGNING,
    system: Annotated[UUID | None, typer.Option(help="id of the system")] = None,
    person: Annotated[UUID | None, typer.Option(help="id of the person")] = None,
    valid_until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
) -> None:
    """A signed request to register a key, on standard output. Needs no database: run it where the key lives.

    A passphrase is taken from KOINON_KEY_PASSPHRASE.
    """
    at = SystemClock().now()
    signer = open_signing_key(key)
    request = make_request(signer, party, use, system, person, valid_until, platform, at)
    _print(document_of(request, signer.sign(request.statement)))


@app.command("add-key")
def add_key(
    party: PartyArgument,
    key: Annotated[Path | None, typer.Option(help="private key (PKCS #8 PEM), made when absent")] = None,
    request_file: Annotated[Path | None, typer.Option("--request", help="what key-request wrote")] = None,
    use: Annotated[KeyUse, typer.Option()] = KeyUse.REQUEST_SIGNING,
    system: Annotated[str | None, typer.Option(help="name or id of the system")] = None,
    person: Annotated[UUID | None, typer.Option(help="id of the person")] = None,
    valid_until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    as_json: Json = False,
) -> None:
    """The key is registered, on the proof that its private half is at hand."""
    if (key is None) == (request_file is None):
        raise Invalid("key_or_request", why="give one of --key and --request")

    async def main(opened: Opened) -> None:
        async with opened.database.transaction() as connection:
            found = await _find_party(connection, party)
            if request_file is not None:
                request, proof = read_request(request_file)
                if request.party != found.id:
                    raise Conflict("key_reference", party=str(request.party))
            else:
                assert key is not None
                signer = open_signing_key(key)
                owner = await _find_system(connection, found, system) if system else None
                request = make_request(
                    signer,
                    found.id,
                    use,
                    owner,
                    person,
                    valid_until,
                    opened.settings.ledger_origin,
                    opened.at,
                )
                proof = signer.sign(request.statement)
            registered = await service.register_key(
                connection,
                opened.sealer,
                request,
                proof,
                platform=opened.settings.ledger_origin,
                by=INSTALLER,
                at=opened.at,
            )
        _print({"kid": registered.kid}) if as_json else print(registered.kid)

    _run(main)


# One key id in 64 begins with a dash: what is no option is the argument.
@app.command("revoke-key", context_settings={"ignore_unknown_options": True})
def revoke_key(
    kid: Annotated[str, typer.Argument(help="the key's id (RFC 7638 thumbprint)")],
    reason: Annotated[str, typer.Option(help="public; name nobody")],
    as_json: Json = False,
) -> None:
    """Nothing that the key signs counts any more."""

    async def main(opened: Opened) -> None:
        async with opened.database.transaction() as connection:
            await service.revoke_key(connection, opened.sealer, kid, reason, by=INSTALLER, at=opened.at)
        if as_json:
            _print({"kid": kid, "revoked_at": opened.at})

    _run(main)


@app.command("propose-adviser")
def propose_adviser(
    party: PartyArgument,
    person: Annotated[UUID, typer.Argument(help="id of the person, who is the party's")],
    as_json: Json = False,
) -> None:
    """The person is proposed as the party's security adviser; the Commission can advise on it."""

    async def main(opened: Opened) -> None:
        async with opened.database.transaction() as connection:
            found = await _find_party(connection, party)
            adviser = await service.propose_adviser(
                connection, opened.sealer, found.id, PersonId(person), by=INSTALLER, at=opened.at
            )
        _print({"adviser": adviser.id, "digest": adviser.digest}) if as_json else print(adviser.id)

    _run(main)


@app.command("appoint-adviser")
def appoint_adviser(
    adviser: Annotated[UUID, typer.Argument(help="id of the proposal")],
    advice: Annotated[str, typer.Option(help="digest of the Commission's act that advises favourably")],
    as_json: Json = False,
) -> None:
    """The security adviser is in office from today on."""

    async def main(opened: Opened) -> None:
        today = civil_date(opened.at)
        async with opened.database.transaction() as connection:
            await service.appoint_adviser(
                connection, opened.sealer, AdviserId(adviser), today, advice, by=INSTALLER, at=opened.at
            )
        if as_json:
            _print({"adviser": adviser, "appointed_on": today})

    _run(main)


@app.command("account")
def make_account(
    login: Annotated[str, typer.Argument()],
    person: Annotated[UUID | None, typer.Option(help="id of the person behind it, for a new account")] = None,
    as_json: Json = False,
) -> None:
    """A local account (embedded mode only) with the password on standard input, or asked for twice."""
    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")

    async def main(opened: Opened) -> None:
        accounts = LocalAccounts(opened.database, opened.settings, sealer=opened.sealer)
        async with opened.database.transaction() as connection:
            name = await accounts.set_password(connection, login, password, opened.at)
            if person is not None:
                identity = Identity(issuer=LOCAL_ISSUER, subject=name, person=PersonId(person))
                await service.link_identity(connection, opened.sealer, identity, by=INSTALLER, at=opened.at)
        _print({"login": name}) if as_json else print(name)

    _run(main)


@app.command("charter")
def publish_charter(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML: version, [text] nl fr en")],
    valid_from: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="today when absent")
    ] = None,
    as_json: Json = False,
) -> None:
    """A version of the confidentiality charter is published; from its day on everybody has to sign it."""

    async def main(opened: Opened) -> None:
        day = valid_from.date() if valid_from else civil_date(opened.at)
        charter = read_charter(file, day)
        async with opened.database.transaction() as connection:
            await service.publish_charter(connection, opened.sealer, charter, by=INSTALLER, at=opened.at)
        facts = {"version": charter.version, "digest": charter.digest, "valid_from": day}
        _print(facts) if as_json else print(f"{charter.version} {charter.digest}")

    _run(main)


def read_charter(file: Path, valid_from: date) -> Charter:
    """The charter in a TOML file, in force from that day.

    Raises:
        Invalid: `document_malformed`.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        text = msgspec.convert(document["text"], Text)
        return Charter(version=str(document["version"]), valid_from=valid_from, text=text)
    except (ValueError, KeyError, msgspec.ValidationError) as error:
        raise Invalid("document_malformed", why=str(error)[:200]) from None


async def _find_party(connection: Connection, party: str) -> Party:
    try:
        found = await store.find_party(connection, UUID(party))  # type: ignore[arg-type]
    except ValueError:
        found = await store.find_party_by_number(connection, check_enterprise_number(party))
    if found is None:
        raise NotFound("party_unknown", party=party)
    return found


async def _find_system(connection: Connection, party: Party, system: str) -> UUID:
    register = await store.load_register(connection)
    for each in register.systems.values():
        if each.party == party.id and system in (each.name, str(each.id)):
            return each.id
    raise NotFound("system_unknown", system=system)
