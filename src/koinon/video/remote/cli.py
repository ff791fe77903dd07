"""`koinon video ask`, `koinon video recorded-by-owner`: recordings that stay with their owner, on the command line."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from koinon.base.clock import SystemClock, rfc3339
from koinon.base.errors import Invalid, NotFound
from koinon.trust.parties import INSTALLER
from koinon.video.cameras import SourceKey
from koinon.video.cameras.cli import Opened, run
from koinon.video.cameras.store import find_camera_by_code
from koinon.video.exports.cli import moment, sign_in
from koinon.video.exports.remote import Refused, Remote

Json = Annotated[bool, typer.Option("--json", help="The result as JSON.")]


def ask(
    camera: Annotated[str, typer.Argument(help="Code or id of the camera.")],
    since: Annotated[str, typer.Option(help="2026-11-24T10:00; Brussels time where no offset is given.")],
    until: Annotated[str, typer.Option(help="The same; past.")],
    purpose: Annotated[str, typer.Option(help="Code of the purpose.")],
    case: Annotated[str, typer.Option(help="Reference of your case.")] = "",
    reason: Annotated[str, typer.Option(help="Where the authorisation asks for one.")] = "",
    emergency: Annotated[
        bool, typer.Option("--emergency", help="Declare an emergency; it is reviewed.")
    ] = False,
    second: Annotated[
        bool, typer.Option("--second", help="Ask a second person of your party first, and wait.")
    ] = False,
    url: Annotated[str, typer.Option(envvar="KOINON_URL", help="The platform.")] = "http://127.0.0.1:8000",
    login: Annotated[str, typer.Option(help="A local account; its password is asked for, or read.")] = "",
    as_json: Json = False,
) -> None:
    """Ask, as a person, for recordings that stay with the owner of a camera; wait until they are here.

    Without --login the session is KOINON_SESSION: the value of the cookie koinon_session of your browser.
    """
    remote = Remote(url)
    console = Console(stderr=True)
    try:
        sign_in(remote, login)
        [found] = remote.find_cameras([camera])
        asked: dict[str, Any] = {
            "camera": found["id"], "purpose": purpose, "case": case, "reason": reason, "since": moment(since),
            "until": moment(until), "emergency": emergency,
        }  # fmt: skip
        if second:
            asked["confirmation"] = remote.confirm(
                {**asked, "action": "view_recording"},
                lambda expires: console.print(f"waiting for a second person until {expires}"),
            )
        told = remote.post("/api/video/asks", asked)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(told["state"], total=1.0)
            for told in remote.follow(str(told["id"]), "asks"):  # noqa: B020 - the newest is what counts
                bar.update(task, description=told["state"], completed=told["progress"])
    finally:
        remote.close()
    if told["state"] != "done":
        raise Refused(told["code"] or "fetching_failed", ask=told["id"], state=told["state"])
    if as_json:
        print(msgspec.json.encode(told).decode())
    else:
        print(f"{found['code']}: {told['since']} to {told['until']} {told['code'] or 'is here'}")


def recorded_by_owner(
    code: Annotated[str, typer.Argument(help="Of the camera.")],
    days: Annotated[int, typer.Option(help="How long the owner keeps, in days; 0: it is not so any more.")],
    source: Annotated[
        str,
        typer.Option(
            envvar="KOINON_VIDEO_SOURCE",
            help="rtsp://user:password@host:port/path where its system replays; - reads it, unseen.",
        ),
    ] = "",
    holds_from: Annotated[str, typer.Option("--from", help="Since when the owner records; ISO 8601.")] = "",
    as_json: Json = False,
) -> None:
    """Let a camera's recordings stay with its owner until somebody asks; it is not recorded here any more."""
    from koinon.video.remote.sources import clear_source, set_source  # which takes the pages along

    url = sys.stdin.readline().strip() if source == "-" else source
    since = datetime.fromisoformat(moment(holds_from)).astimezone(UTC) if holds_from else None

    async def main(opened: Opened) -> None:
        at = SystemClock().now()
        async with opened.database.transaction() as connection:
            found = await find_camera_by_code(connection, code)
            if found is None:
                raise NotFound("camera_unknown")
            if days == 0:
                if not await clear_source(connection, opened.sealer, found.id, by=INSTALLER, at=at):
                    raise Invalid("camera_not_remote")
                told: dict[str, Any] = {"code": code, "recorded_by_owner": False}
            else:
                key = SourceKey.of(opened.settings.home)
                put = await set_source(
                    connection, opened.sealer, key, found.id, url,
                    keep_days=days, holds_from=since, by=INSTALLER, at=at,
                )  # fmt: skip
                told = {
                    "code": code, "recorded_by_owner": True, "address": put.address, "days": days,
                    "from": put.holds_from and rfc3339(put.holds_from),
                }  # fmt: skip
        if as_json:
            print(msgspec.json.encode(told).decode())
        elif days:
            print(f"{code} is recorded by its owner, who keeps {days} days: {told['address']}")
        else:
            print(f"{code}: nothing is asked of its owner any more")

    run(main)


def attach(app: typer.Typer) -> None:
    """`ask` and `recorded-by-owner` are commands of `app`."""
    app.command()(ask)
    app.command("recorded-by-owner")(recorded_by_owner)
