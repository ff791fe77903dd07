"""`koinon ask`: one governed question, as a system of a party."""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid
from koinon.base.files import replace_file
from koinon.client.clients import Client
from koinon.client.errors import PromiseBroken
from koinon.client.model import Answer, VerifiedReceipt

DEFAULT_PINS = Path("koinon-platform.json")
"""Where every command of a client keeps the platform's keys, unless another file is named."""

app = typer.Typer(help="Ask a governed question as a system of a party.")


class _Result(msgspec.Struct):
    answer: msgspec.Raw
    verified: VerifiedReceipt | None


@app.callback(invoke_without_command=True)
def ask(
    flow: Annotated[str, typer.Option(help="Name of the flow.")],
    purpose: Annotated[str, typer.Option(help="Code of the purpose.")],
    case: Annotated[str, typer.Option(help="Reference of your case.")],
    subject: Annotated[
        str,
        typer.Option(
            help="national_number=... or enterprise_number=...; national_number=- reads it from standard input."
        ),
    ],
    key: Annotated[
        Path,
        typer.Option(envvar="KOINON_KEY", help="Key file of the system (PKCS #8), registered to the party."),
    ],
    url: Annotated[str, typer.Option(envvar="KOINON_URL", help="The platform.")] = "http://127.0.0.1:8000",
    pins: Annotated[
        Path,
        typer.Option(envvar="KOINON_PINS", help="File of the platform's keys; filled at the first use."),
    ] = DEFAULT_PINS,
    field: Annotated[list[str] | None, typer.Option(help="Only this field; may be repeated.")] = None,
    authorisation: Annotated[str | None, typer.Option(help="Number of the authorisation to use.")] = None,
    user: Annotated[str | None, typer.Option(help="The end user, as your party asserts.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Of your own, to go on after a restart.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Wait until the trace is in the ledger, and verify it.")
    ] = False,
    witnesses: Annotated[int, typer.Option(help="With --verify: this many must have cosigned.")] = 0,
    evidence: Annotated[
        Path | None, typer.Option(help="Keep the signed question and answer in this file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """The passphrase of the key file is KOINON_KEY_PASSPHRASE, or asked for."""
    verified = None
    with Client(url, _read_key(key), pins) as client:
        answer = client.ask(
            flow=flow,
            purpose=purpose,
            case=case,
            subject=_read_subject(subject),
            fields=field or None,
            authorisation=authorisation,
            user=user,
            idempotency_key=idempotency_key,
        )
        if evidence is not None:
            replace_file(evidence, answer.evidence.to_json())
        try:
            if verify:
                verified = client.verify_receipt(answer, witnesses=witnesses)
        except PromiseBroken as broken:
            # Kept whatever was asked: it is all there is to show.
            kept = evidence or Path(f"koinon-promise-{answer.receipt.entry}.json")
            replace_file(kept, broken.evidence.to_json())
            broken.facts["evidence"] = str(kept)
            raise
    if json:
        document = _Result(msgspec.Raw(answer.evidence.answer_body), verified)
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        _show(answer, verified)


def _read_key(path: Path) -> SigningKey:
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise Invalid("key_file_unreadable", path=str(path), why=error.strerror) from None
    passphrase = None
    if b"ENCRYPTED" in pem:
        passphrase = os.environ.get("KOINON_KEY_PASSPHRASE")
        if passphrase is None:
            passphrase = typer.prompt("Passphrase", hide_input=True, err=True)
    return SigningKey.from_pem(pem, passphrase)


def _read_subject(text: str) -> dict[str, str]:
    # On a command line a national number is there for every user of the machine to read.
    name, separator, value = (sys.stdin.readline() if text == "-" else text).strip().partition("=")
    if value == "-":
        value = sys.stdin.readline().strip()
    if not separator or not name or not value:
        raise Invalid("subject_malformed", expected="national_number=... or enterprise_number=...")
    return {name: value}


def _show(answer: Answer, verified: VerifiedReceipt | None) -> None:
    table = Table("field", "status", "value", title=f"{answer.flow}, {answer.case}")
    for name, found in answer.answer.items():
        value = "" if found.status != "value" else msgspec.json.encode(found.value).decode()
        missing = f"missing: {', '.join(found.missing)}" if found.missing else ""
        table.add_row(name, found.status, value or missing)
    console = Console()
    console.print(table)
    for filtered in answer.filtered:
        console.print(f"filtered: {filtered.field} ({filtered.reason})")
    for source in answer.sources:
        fault = f" ({source.fault})" if source.fault else ""
        console.print(f"source: {source.source}/{source.service}: {source.status}{fault}")
    rule = f"{answer.rule.id} version {answer.rule.version}"
    console.print(f"authorisation {answer.authorisation.number}, rule {rule}, exchange {answer.exchange}")
    if verified is None:
        console.print(
            f"receipt: entry {answer.receipt.entry} of the {answer.receipt.log} log, not yet verified"
        )
    else:
        names = ", ".join(verified.witnesses) or "none"
        console.print(
            f"ledger: entry {verified.index} of {verified.size} at {verified.origin}; witnesses: {names}"
        )
