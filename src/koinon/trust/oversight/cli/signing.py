"""How an act is found, shown, signed with a key file and recorded.

A member needs no access to the platform's machine: with `--server` everything that is signed is fetched,
checked against its digest and shown here; the key stays in this process and only the signed act is sent.
"""

import asyncio
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.text import Language, Text
from koinon.trust.agreements.cli import call, fetch_document, read_key
from koinon.trust.oversight.cli.common import opened, tell
from koinon.trust.oversight.documents import describe, find_document
from koinon.trust.oversight.model import ActHead, RecordedAct
from koinon.trust.oversight.register import public_register
from koinon.trust.oversight.service import submit_act
from koinon.trust.rules import load_rules
from koinon.trust.standing import Standing, StandingLoader
from koinon.trust.standing.acts import (
    Act,
    Deed,
    Outcome,
    Signer,
    Target,
    TargetKind,
    new_salt,
    sign_act,
)


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

# Of what the public register lists, a name that is not there is a slip: nothing would be stopped, and nobody warned.
_LISTED = {
    TargetKind.AUTHORISATION: ("authorisations", "number"),
    TargetKind.PARTY: ("parties", "id"),
    TargetKind.RULE: ("rules", "id"),
}


def sign(
    wanted: Wanted,
    reason: Text,
    key_file: Path,
    passphrase_file: Path | None,
    server: str,
    yes: bool,
    language: str,
    as_json: bool,
) -> None:
    """The act has been shown, signed with the key file and recorded, here or at `server`."""
    key = read_key(key_file, passphrase_file)
    if server:
        recorded = asyncio.run(_sign_far(wanted, reason, key, server.rstrip("/"), yes, language))
    else:
        recorded = asyncio.run(_sign_here(wanted, reason, key, yes, language))
    tell({"sequence": recorded.sequence, "digest": recorded.digest}, as_json)


async def _sign_here(wanted: Wanted, reason: Text, key: SigningKey, yes: bool, language: str) -> RecordedAct:
    async with opened() as (database, sealer):
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
    if wanted.deed in (Deed.SUSPEND, Deed.WITHDRAW) and wanted.kind in _LISTED:
        part, name = _LISTED[wanted.kind]
        if all(each[name] != wanted.id for each in register[part]):
            raise NotFound("target_unknown", kind=wanted.kind.value, id=wanted.id)
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
