"""`koinon conform`: named cases against a platform, or against systems and sources of your own."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid
from koinon.base.files import replace_file
from koinon.integrator.conform.keeper import KEEPER, KeeperKit
from koinon.integrator.conform.model import Case, Report, Result, Verdict
from koinon.integrator.conform.platform import PLATFORM, PlatformKit, Question
from koinon.integrator.conform.runner import run
from koinon.integrator.conform.subscriber import SUBSCRIBER, SubscriberKit
from koinon.integrator.conform.system import SYSTEM, SystemKit

app = typer.Typer(
    help="Named cases: against a platform (the default), or your own: system that asks, source, subscriber, keeper."
)
_MARKS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.NOT_APPLICABLE: "n/a ", Verdict.UNKNOWN: "????"}

Only = Annotated[
    list[str] | None, typer.Option("--only", help="Id of a case, or how ids begin; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="The report as one JSON document.")]
Keep = Annotated[Path | None, typer.Option("--report", help="Keep the JSON report in this file too.")]


@app.callback(invoke_without_command=True)
def platform(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(envvar="KOINON_URL", help="The platform.")] = None,
    key: Annotated[
        Path | None, typer.Option(envvar="KOINON_KEY", help="Key file of your system, registered there.")
    ] = None,
    question: Annotated[
        Path | None,
        typer.Option(
            help="JSON file: flow, purpose, subject (and case, authorisation) of an allowed question."
        ),
    ] = None,
    authority: Annotated[
        str, typer.Option(help="Host and port by which the platform knows itself, where it is another.")
    ] = "",
    witnesses: Annotated[int, typer.Option(help="This many must have cosigned.")] = 0,
    only: Only = None,
    report: Keep = None,
    json: Json = False,
) -> None:
    """Against a platform. Exits 0 when all holds, 1 when something fails, 3 when something is unknown."""
    if context.invoked_subcommand is not None:
        return
    if url is None or key is None:
        raise Invalid("option_missing", options=["--url", "--key"])
    kit = PlatformKit(url, _read_key(key), _read_question(question), authority=authority, witnesses=witnesses)
    try:
        _run(PLATFORM, kit, url, only, report, json=json)
    finally:
        kit.speaker.close()


@app.command()
def system(
    command: Annotated[
        str,
        typer.Argument(
            help="How your system asks one question; {url}, {key}, {pins} and {subject} are filled in."
        ),
    ],
    receipts: Annotated[
        bool, typer.Option("--receipts", help="The command verifies the receipt too.")
    ] = False,
    only: Only = None,
    report: Keep = None,
    json: Json = False,
) -> None:
    """Your own system, against a platform here that plays tricks. It must print the field `conform_field`."""
    with SystemKit(command, verifies_receipts=receipts) as kit:
        _run(SYSTEM, kit, command, only, report, json=json)


@app.command()
def source(
    url: Annotated[str, typer.Option(help="Your source.")],
    driver: Annotated[
        str, typer.Option(help="The platform's driver for it: rijksregister, ksz, kbo, magda ...")
    ],
    service: Annotated[str, typer.Option(help="Service of that driver.")],
    subjects: Annotated[Path, typer.Option(help="JSON file: known, unknown, replaced, incomplete.")],
    purpose: Annotated[str, typer.Option(help="Code of the purpose.")],
    party: Annotated[str, typer.Option(help="Enterprise number on whose behalf is asked.")],
    parameter: Annotated[list[str] | None, typer.Option(help="name=value that the service needs.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="Private network that is meant.")] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="It marks its answers as simulated.")
    ] = False,
    sender: Annotated[str, typer.Option(help="Of magda: the identification of the application.")] = "",
    capacity: Annotated[str, typer.Option(help="Of magda: its Hoedanigheid for the purpose.")] = "",
    signed: Annotated[
        bool,
        typer.Option(
            "--signed", help="Messages are signed as sources.toml of KOINON_HOME says of the driver."
        ),
    ] = False,
    only: Only = None,
    report: Keep = None,
    json: Json = False,
) -> None:
    """Your own source, through the driver that the platform uses."""
    from koinon.base.settings import load_settings
    from koinon.integrator.conform.source import SOURCE, SourceKit, Subjects
    from koinon.integrator.sources import open_signed_messages

    try:
        known = msgspec.json.decode(_read(subjects), type=Subjects)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("subjects_malformed", why=str(error)[:200]) from None
    kit = SourceKit(
        driver,
        service,
        url,
        known,
        purpose=purpose,
        party=party,
        parameters=dict(_pair(each) for each in parameter or ()),
        networks=network or (),
        simulated=simulated,
        sender=sender,
        capacity=capacity,
        signed=open_signed_messages(driver, load_settings()) if signed else None,
    )
    _run(SOURCE, kit, url, only, report, json=json)


@app.command()
def subscriber(
    command: Annotated[
        str,
        typer.Argument(
            help="How your system reads mutations: {url}, {key}, {pins}, {subscription} and {state} are filled in;"
            " with {port} it is pushed to."
        ),
    ],
    fetches: Annotated[
        bool, typer.Option("--fetches", help="The command asks anew about each person it is told of.")
    ] = False,
    only: Only = None,
    report: Keep = None,
    json: Json = False,
) -> None:
    """Your own system that hears of mutations. It writes a line of JSON with `number` for each that takes effect."""
    with SubscriberKit(command, fetches=fetches) as kit:
        _run(SUBSCRIBER, kit, command, only, report, json=json)


@app.command()
def keeper(
    command: Annotated[
        str,
        typer.Argument(
            help="How your system publishes the changes in a file: {url}, {key}, {pins}, {source}, {changes} and"
            " {state} are filled in."
        ),
    ],
    only: Only = None,
    report: Keep = None,
    json: Json = False,
) -> None:
    """Your own system that publishes mutations of the source that you keep."""
    with KeeperKit(command) as kit:
        _run(KEEPER, kit, command, only, report, json=json)


@app.command(name="list")
def list_cases(json: Json = False) -> None:
    """Every case: id, purpose, and what demands it."""
    from koinon.integrator.conform.source import SOURCE

    cases: list[Case] = [*PLATFORM, *SYSTEM, *SOURCE, *SUBSCRIBER, *KEEPER]
    if json:
        rows = [
            {"id": each.id, "target": each.target, "purpose": each.purpose, "basis": each.basis}
            for each in cases
        ]
        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
        return
    for each in cases:
        print(f"{each.id:10} {each.purpose}  [{each.basis}]")


def _run(
    cases: Sequence[Case],
    kit: object,
    end: str,
    only: list[str] | None,
    keep: Path | None,
    *,
    json: bool,
) -> None:
    done = run(cases, kit, end=end, only=only or (), tell=(lambda result: None) if json else _tell)
    if keep is not None:
        replace_file(keep, done.to_json())
    if json:
        sys.stdout.write(done.to_json().decode() + "\n")
    else:
        _sum_up(done)
    if done.exit_code:
        raise SystemExit(done.exit_code)


def _tell(result: Result) -> None:
    print(f"{_MARKS[result.verdict]}  {result.id:10} {result.purpose}", flush=True)
    if result.seen:
        print(f"                 {result.seen}")
    if result.verdict is Verdict.FAIL:
        print(f"                 demanded by: {result.basis}")


def _sum_up(report: Report) -> None:
    counts = report.counts
    print(
        f"\n{counts['pass']} pass, {counts['fail']} fail, {counts['unknown']} unknown, "
        f"{counts['not_applicable']} not applicable"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid("file_unreadable", path=str(path), why=error.strerror) from None


def _read_question(path: Path | None) -> Question | None:
    if path is None:
        return None
    try:
        return msgspec.json.decode(_read(path), type=Question)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("question_malformed", why=str(error)[:200]) from None


def _read_key(path: Path) -> SigningKey:
    pem = _read(path)
    passphrase = None
    if b"ENCRYPTED" in pem:
        passphrase = os.environ.get("KOINON_KEY_PASSPHRASE")
        if passphrase is None:
            passphrase = typer.prompt("Passphrase", hide_input=True, err=True)
    return SigningKey.from_pem(pem, passphrase)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Invalid("parameter_malformed", expected="name=value")
    return name, value
