"""`koinon video ask`, `koinon video recorded-by-owner`: recordings that stay with their owner, on the command line."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from koinon.base.clock import SystemClock, rfc3339
from koinon.base.errors import Invalid, NotFound
from koinon.trust.parties import INSTALLER
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
    moment,
    stretch_of,
    visit,
    watch,
)
from koinon.video.cameras import SourceKey
from koinon.video.cameras.cli import Opened, run
from koinon.video.cameras.store import find_camera_by_code
from koinon.video.client import Refused


def ask(
    camera: Annotated[str, typer.Argument(help="Code or id of the camera.")],
    since: Since,
    until: Until,
    purpose: Purpose,
    case: Annotated[str, typer.Option(help="Reference of your case.")] = "",
    reason: Reason = "",
    emergency: Emergency = False,
    second: Second = False,
    url: Url = PLATFORM,
    login: Login = "",
    as_json: Json = False,
) -> None:
    """Ask, as a person, for recordings that stay with the owner of a camera; wait until they are here.

    Without --login the session is KOINON_SESSION: the value of the cookie koinon_session of your browser.
    """
    console = Console(stderr=True)
    with visit(url, login) as client:
        [found] = client.find_cameras([camera])
        asked: dict[str, Any] = {
            "camera": found["id"], "purpose": purpose, "case": case, "reason": reason, **stretch_of(since, until),
            "emergency": emergency,
        }  # fmt: skip
        if second:
            asked["confirmation"] = client.confirm(
                {**asked, "action": "view_recording"},
                lambda expires: console.print(f"waiting for a second person until {expires}"),
            )
        told = watch(client, console, client.post("/api/video/asks", asked), "asks")
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
            help="rtsp://user:password@host:port/path, or rtsps, with #sha256=: where its system replays; - reads it.",
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
