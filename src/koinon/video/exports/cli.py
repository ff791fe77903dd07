"""`koinon video export`, `koinon video verify-export`: recordings as a file, and whether a file may be believed."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from koinon.base.text import printable
from koinon.video.asking import (
    PLATFORM,
    Emergency,
    Json,
    Login,
    Purpose,
    Reason,
    Second,
    Since,
    Until,
    Url,
    stretch_of,
    visit,
    watch,
)
from koinon.video.client import Refused
from koinon.video.exports.verifying import read_keys, verify_package


def export(
    cameras: Annotated[list[str], typer.Argument(help="Codes or ids of cameras.")],
    since: Since,
    until: Until,
    purpose: Purpose,
    case: Annotated[str, typer.Option(help="Reference of your case; it stands in every picture.")] = "",
    reason: Reason = "",
    evidence: Annotated[
        bool, typer.Option("--evidence", help="The original recordings, where a rule gives them.")
    ] = False,
    emergency: Emergency = False,
    second: Second = False,
    output: Annotated[
        Path | None, typer.Option(help="File of the package; by default koinon-export-<id>.zip.")
    ] = None,
    url: Url = PLATFORM,
    login: Login = "",
    as_json: Json = False,
) -> None:
    """Ask for an export as a person, wait until it is made, fetch it.

    Without --login the session is KOINON_SESSION: the value of the cookie koinon_session of your browser.
    """
    console = Console(stderr=True)
    with visit(url, login) as client:
        found = client.find_cameras(cameras)
        asked: dict[str, Any] = {
            "purpose": purpose, "case": case, "reason": reason, **stretch_of(since, until), "emergency": emergency
        }  # fmt: skip
        confirmations = {}
        for each in found if second else ():
            request = {**asked, "camera": each["id"], "action": "export", "original": evidence}
            confirmations[each["id"]] = client.confirm(
                request,
                lambda until, name=each["code"]: console.print(  # type: ignore[misc]
                    f"{name}: waiting for a second person until {until}"
                ),
            )
        told = client.post(
            "/api/video/exports",
            {
                **asked, "cameras": [each["id"] for each in found], "form": "evidence" if evidence else "clip",
                "confirmations": confirmations,
            },
        )  # fmt: skip
        told = watch(client, console, told, "exports")
        if told["state"] != "ready":
            raise Refused(told["code"] or "making_failed", export=told["id"], state=told["state"])
        path = output or Path(f"koinon-export-{told['id']}.zip")
        with Progress(
            TextColumn("fetching"), BarColumn(), DownloadColumn(), console=console, transient=True
        ) as bar:
            task = bar.add_task("", total=told["bytes"])
            client.save(told["id"], path, lambda done: bar.update(task, completed=done))
    if as_json:
        print(msgspec.json.encode({**told, "package": str(path)}).decode())
    else:
        print(f"{path}  {told['bytes']} bytes, at the platform until {told['deletes_at']}")


_GET_KEYS = "Fetch the platform's keys, https://PLATFORM/api/keys, into keys.json and give --key keys.json."


def verify_export(
    package: Annotated[Path, typer.Argument(help="The ZIP.", exists=True, dir_okay=False)],
    key: Annotated[
        Path | None,
        typer.Option(
            help="The platform's keys: what /api/keys gives, a file of pins, or a JWK.", exists=True
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold a package against its signed manifest, without the platform. Exits 1 when something does not agree."""
    keys = read_keys(key.read_bytes()) if key is not None else ()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        found = verify_package(
            package, keys, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        _tell(found.manifest or {})
        for each in found.findings:
            _say(f"{each.code:18} {each.file}  {each.detail}".rstrip())
        signed = f"signed by {found.key}" if found.trusted else "not known to be signed by the platform"
        _say(f"{found.files} files, {found.bytes} bytes, {signed}: {'all agree' if found.ok else 'NOT GOOD'}")
        if any(each.code == "key_unknown" for each in found.findings):
            _say(f"Who signed is not known{f' from {key}' if key else ''}. {_GET_KEYS}")
    if not found.ok:
        raise typer.Exit(1)


def _tell(manifest: dict[str, Any]) -> None:
    """What it says it is."""
    try:
        by = manifest["asked_by"]
        _say(f"export {manifest['export']} ({manifest['form']}), made {manifest['made_at']}")
        _say(f"for {by['name']}, {by['party_name']['en']}; {manifest['purpose']} {manifest['case']}".rstrip())
        for camera in manifest["cameras"]:
            for file in camera["files"]:
                _say(f"  {file['since']}  to  {file['until']}  {file['name']}")
            for gap in camera["gaps"]:
                _say(
                    f"  {gap['since']}  to  {gap['until']}  missing: {gap['state']} {gap['reason']}".rstrip()
                )
    except (KeyError, TypeError):
        _say("no manifest of ours")


def _say(text: str) -> None:
    """Printed as text alone: what a package says of itself must not steer the terminal on which it is judged."""
    print(printable(text))


def attach(app: typer.Typer) -> None:
    """`export` and `verify-export` are commands of `app`."""
    app.command()(export)
    app.command("verify-export")(verify_export)
