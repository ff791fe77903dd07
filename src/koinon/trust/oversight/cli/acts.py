"""`koinon oversight`: acts of the Commission and the Committee, signed with a key file.

A member needs no access to the platform's machine: with `--server` everything that is signed is fetched,
checked against its digest and shown here; the key stays in this process and only the signed act is sent.
"""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey, b64url
from koinon.base.database import Database, embedded
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.files import create_file
from koinon.base.ids import new_id
from koinon.base.settings import load_settings
from koinon.base.text import Language, Text
from koinon.trust.agreements.cli import KeyFile, PassphraseFile, Server, call, fetch_document, read_key
from koinon.trust.ledger import Sealer
from koinon.trust.oversight.api import ActHead, RecordedAct
from koinon.trust.oversight.documents import describe, find_document
from koinon.trust.oversight.register import public_register, public_signed_act
from koinon.trust.oversight.service import submit_act
from koinon.trust.rules import load_rules
from koinon.trust.standing import Standing, StandingLoader
from koinon.trust.standing.acts import (
    Act,
    Body,
    Deed,
    Genesis,
    Outcome,
    Rank,
    Signer,
    Target,
    TargetKind,
    list_acts,
    new_salt,
    record_genesis,
    sign_act,
    signer_digest,
)

app = typer.Typer(no_args_is_help=True, help="Acts of the Commission and the Committee.")

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Yes = Annotated[bool, typer.Option("--yes", help="sign without asking once more")]
ReasonNl = Annotated[str, typer.Option("--reason-nl", help="the reason, in Dutch")]
ReasonFr = Annotated[str, typer.Option("--reason-fr", help="the reason, in French")]
ReasonEn = Annotated[str, typer.Option("--reason-en", help="the reason, in English")]
Number = Annotated[str, typer.Argument(help="the authorisation's number, as 2026/014")]
Kind = Annotated[TargetKind, typer.Option(help="what is stopped")]
Digest = Annotated[
    str, typer.Option(help="digest of exactly what is agreed to; found by itself where it is public")
]
Shown = Annotated[
    str, typer.Option("--language", help="nl, fr or en: in which the act is shown before it is signed")
]


@contextlib.asynccontextmanager
async def _opened(kind: Any = "web") -> AsyncIterator[tuple[Database, Sealer]]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with await Database.open(url, kind=kind, max_size=2) as database:
        yield database, Sealer.of(settings.home)


def _run(main: Callable[[Database, Sealer], Awaitable[None]], kind: Any = "web") -> None:
    async def run() -> None:
        async with _opened(kind) as opened:
            await main(*opened)

    asyncio.run(run())


def _print(value: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


# --- keys and the root of trust ----------


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(help="where the key file goes; FILE.signer.json goes beside it")],
    name: Annotated[str, typer.Option(help="of the member")],
    body: Annotated[Body, typer.Option(help="the Commission or the Committee")] = Body.COMMISSION,
    rank: Annotated[Rank, typer.Option(help="the member's place in it")] = Rank.MEMBER,
    holder: Annotated[
        str, typer.Option(help="id of the person in the register; made up where there is none")
    ] = "",
    passphrase_file: PassphraseFile = None,
    demo: Annotated[bool, typer.Option("--demo", help="no passphrase, and marked demo for ever")] = False,
    as_json: Json = False,
) -> None:
    """A key file only its owner reads, and beside it what the chair needs to appoint its holder."""
    if demo:
        passphrase = None
    elif passphrase_file is not None:
        passphrase = passphrase_file.read_text().rstrip("\n")
    else:
        passphrase = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    key = SigningKey.generate()
    signer = Signer(
        kid=key.key_id,
        kind="ed25519",
        public_key=b64url(key.verify_key.public),
        holder=holder or str(new_id()),
        name=name,
        salt=new_salt(),
        body=body,
        rank=rank,
        demo=demo,
    )
    if not create_file(file, key.to_pem(passphrase)):
        raise Conflict("file_exists", file=file.name)
    public = file.with_name(f"{file.name}.signer.json")
    public.write_bytes(msgspec.json.format(msgspec.json.encode(signer), indent=2) + b"\n")
    _tell({"kid": signer.kid, "key": str(file), "signer": str(public)}, as_json)


@app.command()
def genesis(
    signer: Annotated[
        list[Path], typer.Option(exists=True, dir_okay=False, help="FILE.signer.json; several")
    ],
    region: Annotated[str, typer.Option(help="name of the region")] = "brussels",
    as_json: Json = False,
) -> None:
    """The root of trust has been laid: the first members of both bodies. Once; publish the digest it
    prints.
    """
    now = SystemClock().now()
    document = Genesis(region=region, at=now, signers=tuple(read_signer(file) for file in signer))
    if load_settings().mode == "production" and any(each.demo for each in document.signers):
        raise NotAllowed("demo_signer")

    async def main(database: Database, sealer: Sealer) -> None:
        async with database.transaction() as connection:
            await record_genesis(connection, sealer, document, now)
        _tell({"region": region, "digest": document.digest, "signers": len(document.signers)}, as_json)

    _run(main, "owner")


def read_signer(file: Path) -> Signer:
    """The signer that a `.signer.json` describes. Raises `Invalid: signer_malformed`."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Signer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("signer_malformed", file=file.name, why=str(error)) from None


# --- acts ----------


@app.command()
def grant(
    number: Number, key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The authorisation has been granted, exactly as it was asked for."""
    wanted = Wanted(Deed.GRANT, TargetKind.AUTHORISATION, number)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command()
def withdraw(
    number: Number, key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The authorisation has been withdrawn for good; one that was only asked for has been refused."""
    wanted = Wanted(Deed.WITHDRAW, TargetKind.AUTHORISATION, number)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command()
def suspend(
    id: Annotated[str, typer.Argument(help="number, name or id of what is suspended")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    kind: Kind = TargetKind.AUTHORISATION, passphrase_file: PassphraseFile = None, server: Server = "",
    yes: Yes = False, language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """An authorisation, party, person, key, rule or flow has been suspended; its running uses are cut."""
    wanted = Wanted(Deed.SUSPEND, kind, id)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command()
def resume(
    id: Annotated[str, typer.Argument(help="number, name or id of what was suspended")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    kind: Kind = TargetKind.AUTHORISATION, passphrase_file: PassphraseFile = None, server: Server = "",
    yes: Yes = False, language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """The suspension has ended."""
    wanted = Wanted(Deed.RESUME, kind, id)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command("end-flow")
def end_flow(
    flow: Annotated[str, typer.Argument(help="the flow's name")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The data flow has ended for good; its running uses are cut."""
    wanted = Wanted(Deed.END_FLOW, TargetKind.FLOW, flow)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command()
def advise(
    kind: Annotated[TargetKind, typer.Argument(help="convention or adviser")],
    id: Annotated[str, typer.Argument(help="the convention's name, or the adviser's id")],
    outcome: Annotated[Outcome, typer.Option(help="favourable or unfavourable")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    digest: Digest = "", passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False,
    language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """The Commission has advised on a convention, or on a security adviser who is proposed."""
    deeds = {TargetKind.CONVENTION: Deed.ADVISE_CONVENTION, TargetKind.ADVISER: Deed.ADVISE_ADVISER}
    if kind not in deeds:
        raise Invalid("act_malformed", why=f"no advice on a {kind.value}")
    wanted = Wanted(deeds[kind], kind, id, digest, outcome)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command("approve-rule")
def approve_rule(
    id: Annotated[str, typer.Argument(help="the rule's name")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    digest: Digest = "", passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False,
    language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """A member of the Committee has approved the newest version of a rule, or the one with that digest."""
    wanted = Wanted(Deed.APPROVE_RULE, TargetKind.RULE, id, digest)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command("authorise-rule")
def authorise_rule(
    id: Annotated[str, typer.Argument(help="the rule's name")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    digest: Digest = "", passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False,
    language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """The Commission has authorised the newest version of a rule, or the one with that digest."""
    wanted = Wanted(Deed.AUTHORISE_RULE, TargetKind.RULE, id, digest)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command("appoint")
def appoint(
    signer: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="FILE.signer.json of the member")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The member may sign from now on. Signed by the chair or vice-chair of the Commission."""
    appointed = read_signer(signer)
    wanted = Wanted(
        Deed.APPOINT_SIGNER, TargetKind.SIGNER, appointed.kid, signer_digest(appointed), None, appointed
    )
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


@app.command("dismiss")
def dismiss(
    kid: Annotated[str, typer.Argument(help="key id of the member")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The member signs no more. Signed by the chair or vice-chair of the Commission."""
    wanted = Wanted(Deed.DISMISS_SIGNER, TargetKind.SIGNER, kid)
    _act(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


class Wanted(NamedTuple):
    """What a member asks to sign. An empty digest is looked up."""

    deed: Deed
    kind: TargetKind
    id: str
    digest: str = ""
    outcome: Outcome | None = None
    appointed: Signer | None = None


# Acts that agree to a content, and where the public register has its digest.
_AGREEING = {
    Deed.GRANT: ("authorisations", "number"),
    Deed.ADVISE_CONVENTION: ("conventions", "id"),
    Deed.ADVISE_ADVISER: ("", ""),
    Deed.APPROVE_RULE: ("rules", "id"),
    Deed.AUTHORISE_RULE: ("rules", "id"),
}


def _act(
    wanted: Wanted,
    reason: Text,
    key_file: Path,
    passphrase_file: Path | None,
    server: str,
    yes: bool,
    language: str,
    as_json: bool,
) -> None:
    key = read_key(key_file, passphrase_file)
    if server:
        recorded = asyncio.run(_sign_far(wanted, reason, key, server.rstrip("/"), yes, language))
    else:
        recorded = asyncio.run(_sign_here(wanted, reason, key, yes, language))
    _tell({"sequence": recorded.sequence, "digest": recorded.digest}, as_json)


async def _sign_here(wanted: Wanted, reason: Text, key: SigningKey, yes: bool, language: str) -> RecordedAct:
    async with _opened() as (database, sealer):
        async with database.acquire() as connection:
            standing = await StandingLoader()(connection)
            rules = await load_rules(connection)
        register = msgspec.to_builtins(public_register(standing, rules, SystemClock().now()))
        digest = _digest_of(wanted, register) or _adviser_digest(wanted, standing)
        document = find_document(digest, standing.agreements, standing.register, rules) if digest else None
        chain = standing.chain
        last = chain.acts[-1].at if chain.acts else chain.genesis.at
        act = _compose(wanted, digest, reason, key, chain.next_sequence, chain.head, last)
        _show(act, document, yes, language)
        signed = sign_act(act, key)
        async with database.transaction() as connection:
            await submit_act(connection, sealer, signed, SystemClock().now(), chain)
    return RecordedAct(act.sequence, signed.digest)


async def _sign_far(
    wanted: Wanted, reason: Text, key: SigningKey, server: str, yes: bool, language: str
) -> RecordedAct:
    register = msgspec.json.decode(call("GET", f"{server}/api/register"))
    digest = _digest_of(wanted, register)
    document = fetch_document(server, digest) if digest and wanted.deed in _PUBLIC_DOCUMENTS else None
    head = msgspec.json.decode(call("GET", f"{server}/api/acts/head"), type=ActHead)
    not_before = datetime.fromisoformat(head.not_before)
    act = _compose(wanted, digest, reason, key, head.sequence, head.previous, not_before)
    _show(act, document, yes, language)
    answer = call("POST", f"{server}/api/acts", sign_act(act, key))
    return msgspec.json.decode(answer, type=RecordedAct)


_PUBLIC_DOCUMENTS = frozenset({Deed.GRANT, Deed.ADVISE_CONVENTION, Deed.APPROVE_RULE, Deed.AUTHORISE_RULE})


def _digest_of(wanted: Wanted, register: dict[str, Any]) -> str:
    """The digest that the act must name, empty for an act that names none."""
    if wanted.digest or wanted.deed not in _AGREEING:
        return wanted.digest
    part, name = _AGREEING[wanted.deed]
    if not part:
        return ""
    found = [each for each in register[part] if each[name] == wanted.id]
    if not found:
        raise NotFound("target_unknown", kind=wanted.kind.value, id=wanted.id)
    newest: str = max(found, key=lambda each: int(each.get("version", 0)))["digest"]
    return newest


def _adviser_digest(wanted: Wanted, standing: Standing) -> str:
    if wanted.deed is not Deed.ADVISE_ADVISER:
        return ""
    for advisers in standing.register.advisers.values():
        for adviser in advisers:
            if str(adviser.id) == wanted.id:
                return adviser.digest
    raise NotFound("target_unknown", kind=wanted.kind.value, id=wanted.id)


def _compose(
    wanted: Wanted,
    digest: str,
    reason: Text,
    key: SigningKey,
    sequence: int,
    previous: str,
    not_before: datetime,
) -> Act:
    return Act(
        act=wanted.deed,
        target=Target(wanted.kind, wanted.id, digest or None),
        reason=reason,
        at=max(SystemClock().now(), not_before),
        signer=key.key_id,
        sequence=sequence,
        previous=previous,
        salt=new_salt(),
        appointed=wanted.appointed,
        outcome=wanted.outcome,
    )


def _show(act: Act, document: bytes | None, yes: bool, language: str) -> None:
    """Shows what is signed, out of the very bytes; the document beside it has the digest that the act
    names.
    """
    if language not in ("nl", "fr", "en"):
        raise Invalid("invalid_setting", setting="language", why=language)
    spoken: Language = language  # type: ignore[assignment]
    console = Console(stderr=True)
    for label, text in describe(act):  # one line each: a digest is compared, not read in two halves
        console.print(f"[bold]{label.in_(spoken)}[/bold]: {escape(text.in_(spoken))}", soft_wrap=True)
    if document is not None:
        if hashlib.sha256(document).hexdigest() != act.target.digest:
            raise Conflict("document_differs", digest=act.target.digest)
        console.print_json(document.decode())
    if not yes:
        typer.confirm(
            {"nl": "Ondertekenen?", "fr": "Signer ?", "en": "Sign?"}[language], abort=True, err=True
        )


# --- reading ----------


@app.command("register")
def show_register(as_json: Json = False) -> None:
    """The public register: what is in force, suspended, withdrawn, now."""

    async def main(database: Database, sealer: Sealer) -> None:
        async with database.acquire() as connection:
            standing = await StandingLoader()(connection)
            rules = await load_rules(connection)
        register = public_register(standing, rules, SystemClock().now())
        if as_json:
            _print(register)
            return
        console = Console()
        console.print(f"{register.region}: {register.sequence} acts, head {register.head[:16]}")
        table = Table("what", "name", "state", "from", "until")
        for authorisation in register.authorisations:
            table.add_row(
                "authorisation",
                authorisation.number,
                authorisation.state.value,
                authorisation.valid_from.isoformat(),
                authorisation.valid_until.isoformat(),
            )
        for convention in register.conventions:
            table.add_row(
                "convention",
                f"{convention.id} v{convention.version}",
                convention.state.value,
                convention.valid_from.isoformat(),
                convention.valid_until.isoformat() if convention.valid_until else "",
            )
        for held in register.suspended:
            table.add_row(held.kind, held.id or "", "suspended", held.since.date().isoformat(), "")
        for flow in register.ended_flows:
            table.add_row("flow", flow, "ended", "", "")
        console.print(table)

    _run(main)


@app.command("acts")
def show_acts(
    after: Annotated[int, typer.Option(help="only acts past this sequence")] = 0, as_json: Json = False
) -> None:
    """The acts, oldest first, as the public may read them; the whole chain is verified first."""

    async def main(database: Database, sealer: Sealer) -> None:
        async with database.acquire() as connection:
            standing = await StandingLoader()(connection)
            signed = await list_acts(connection, after=after, limit=1_000_000)
        if as_json:
            _print([public_signed_act(each) for each in signed])
            return
        table = Table("sequence", "at", "act", "about", "signer")
        for act in standing.chain.acts[after:]:
            known = standing.acts.signers.get(act.signer)
            table.add_row(
                str(act.sequence),
                act.at.isoformat(timespec="seconds"),
                act.act.value,
                f"{act.target.kind.value} {act.target.id}",
                known.name if known else act.signer[:12],
            )
        Console().print(table)

    _run(main)


def _tell(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print(facts)
    else:
        for name, value in facts.items():
            print(f"{name}: {value}")
