"""`koinon video`: cameras on the command line."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import uvloop

from koinon.base.clock import rfc3339
from koinon.base.logging import configure
from koinon.base.settings import load_settings
from koinon.video.cameras.cli import attach
from koinon.video.exports.cli import attach as attach_exports
from koinon.video.recorder import Camera, Disk, Gap, Options, Unit, parse_source, prepare_folder
from koinon.video.recordings.cli import attach as attach_status
from koinon.video.remote.cli import attach as attach_remote
from koinon.video.terms.cli import attach as attach_terms

app = typer.Typer(help="Shared video: the register of cameras, recording.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Shared video under the convention."""


attach(app)
attach_status(app)
attach_terms(app)
attach_exports(app)
attach_remote(app)


@app.command()
def record(
    source: Annotated[
        str,
        typer.Option(
            envvar="KOINON_VIDEO_SOURCE",
            help="rtsp://user:password@host:port/path, or rtsps, with #sha256= of its certificate; - reads it unseen.",
        ),
    ],
    name: Annotated[str, typer.Option(help="Of the camera: a-z, 0-9, - and _.")],
    seconds: Annotated[float, typer.Option(help="How long to record.", min=0.5, max=7 * 86400)],
    folder: Annotated[
        Path | None, typer.Option(help="Of the recordings; by default recordings/ in KOINON_HOME.")
    ] = None,
    unit_seconds: Annotated[float, typer.Option(help="Length of a unit.", min=1, max=3600)] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Record a camera outside the platform, without transcoding; Ctrl-C ends it early."""
    configure("info", "video")
    text = sys.stdin.readline().strip() if source == "-" else source
    options = Options(name=name, unit_seconds=unit_seconds)
    where = parse_source(text)
    place = folder or load_settings().home / "recordings"
    prepare_folder(place)
    disk = Disk(place)
    units: list[Unit] = []
    gaps: list[Gap] = []
    camera = Camera(where, options, disk, on_unit=units.append, on_gap=gaps.append)
    before = os.times()
    uvloop.run(_record(camera, seconds))
    disk.close()
    after = os.times()
    told = {
        "units": [
            {"path": str(unit.path), "start": rfc3339(unit.start), "frames": unit.frames, "bytes": unit.bytes}
            for unit in units
        ],
        "frames": sum(unit.frames for unit in units),
        "bytes": sum(unit.bytes for unit in units),
        "lost_packets": camera.counts.lost,
        "cpu_seconds": round(after.user + after.system - before.user - before.system, 3),
        "gaps": [
            {
                "start": rfc3339(gap.start),
                "end": rfc3339(gap.end),
                "reason": gap.reason,
                "detail": gap.detail,
            }
            for gap in gaps
        ],
    }
    if as_json:
        print(msgspec.json.encode(told).decode())
    else:
        _show(told)
    if not units:
        raise typer.Exit(69)  # as for Unavailable: nothing was recorded


async def _record(camera: Camera, seconds: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.call_later(seconds, stop.set)
    await camera.record(stop)


def _show(told: dict[str, Any]) -> None:
    for unit in told["units"]:
        print(f"{unit['start']}  {unit['frames']:>6} frames  {unit['bytes']:>12} bytes  {unit['path']}")
    for gap in told["gaps"]:
        print(f"{gap['start']}  gap until {gap['end']}: {gap['reason']} {gap['detail']}".rstrip())
    lost = "unknown" if told["lost_packets"] is None else told["lost_packets"]
    print(
        f"{told['frames']} frames, {told['bytes']} bytes, packets lost: {lost}, {told['cpu_seconds']} CPU s"
    )
