"""`koinon video add | import | list`: the register of cameras from the machine's own command line."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from koinon.base.clock import SystemClock
from koinon.base.database import Connection, Database, embedded
from koinon.base.errors import Invalid, Unavailable
from koinon.base.settings import Settings, load_settings
from koinon.trust.ledger import Sealer
from koinon.trust.parties import INSTALLER
from koinon.trust.parties.store import load_part
from koinon.trust.rules.in_force import InForce
from koinon.trust.standing import StandingLoader
from koinon.video.cameras import importing, service, store
from koinon.video.cameras.health import find_health
from koinon.video.cameras.importing import Outcome, RowReport
from koinon.video.cameras.model import Camera, Driver, Network, PlaceKind, Role, Sensor, State, observation
from koinon.video.cameras.rows import reader_of
from koinon.video.cameras.sources import SourceKey

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Owner = Annotated[str, typer.Option(help="enterprise number, or id, of the party whose camera it is")]


class Opened(NamedTuple):
    """What a command works with."""

    settings: Settings
    database: Database
    sealer: Sealer


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[Opened]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with await Database.open(url, kind="web", max_size=2) as database:
        yield Opened(settings, database, Sealer.of(settings.home))


async def _load_rules(opened: Opened, connection: Connection) -> Sequence[InForce]:
    """The rules that say which regimes may be named; none where nobody can have put one in force yet."""
    try:
        return (await StandingLoader(demo=opened.settings.mode == "embedded")(connection)).bank.rules
    except Unavailable as error:
        if error.code != "genesis_missing":
            raise
        return ()


def run(main: Callable[[Opened], Awaitable[None]]) -> None:
    """`main` has done its work with the platform of this machine."""

    async def go() -> None:
        async with _opened() as opened:
            await main(opened)

    asyncio.run(go())


def _print(value: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def add(
    code: Annotated[str, typer.Argument(help="a-z, 0-9, - and _: names the folder of its recordings")],
    owner: Owner,
    name: Annotated[str, typer.Option(help="for people: usually the place")],
    latitude: Annotated[float, typer.Option(help="WGS84")],
    longitude: Annotated[float, typer.Option(help="WGS84")],
    municipality: Annotated[str, typer.Option(help="NIS code")],
    source: Annotated[
        str,
        typer.Option(
            envvar="KOINON_VIDEO_SOURCE",
            help="rtsp://user:password@host:port/path, or rtsps, with #sha256= of its certificate; - reads it unseen",
        ),
    ] = "",
    sub_source: Annotated[str, typer.Option(help="of the small stream")] = "",
    driver: Annotated[Driver, typer.Option(help="what reads the streams")] = Driver.RTSP,
    onvif: Annotated[
        str,
        typer.Option(
            envvar="KOINON_VIDEO_ONVIF",
            help="http://user:password@host/onvif/device_service, or https, with #sha256=: where it is steered",
        ),
    ] = "",
    place_kind: Annotated[PlaceKind, typer.Option(help="what place it looks at")] = PlaceKind.PUBLIC_OPEN,
    sensor: Annotated[Sensor, typer.Option(help="what kind of eye it is")] = Sensor.FIXED,
    direction_deg: Annotated[float | None, typer.Option(help="clockwise from north")] = None,
    field_of_view_deg: Annotated[float | None, typer.Option(help="horizontal angle")] = None,
    range_m: Annotated[float | None, typer.Option(help="how far it sees")] = None,
    height_m: Annotated[float | None, typer.Option(help="above the ground")] = None,
    pixels_per_metre: Annotated[float | None, typer.Option(help="across the subject")] = None,
    declaration: Annotated[str, typer.Option(help="reference of the declaration")] = "",
    group: Annotated[list[str] | None, typer.Option(help="code of a group; may be given again")] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="network in which the party's cameras may stand; may be given again"),
    ] = None,
    share: Annotated[bool, typer.Option("--share", help="others may see it under a convention")] = False,
    as_json: Json = False,
) -> None:
    """Register one camera with its streams."""
    url = sys.stdin.readline().strip() if source == "-" else source

    async def main(opened: Opened) -> None:
        at = SystemClock().now()
        key = SourceKey.of(opened.settings.home)
        loopback = opened.settings.mode == "embedded"
        async with opened.database.transaction() as connection:
            party = await importing.find_owner(connection, owner)
            for each in network or ():
                await service.allow_network(
                    connection, opened.sealer, party, each, loopback=loopback, by=INSTALLER, at=at
                )
            camera = await service.register_camera(
                connection,
                opened.sealer,
                Camera(
                    code=code,
                    owner=party,
                    name=name,
                    latitude=latitude,
                    longitude=longitude,
                    height_m=height_m,
                    direction_deg=direction_deg,
                    field_of_view_deg=field_of_view_deg,
                    range_m=range_m,
                    pixels_per_metre=pixels_per_metre,
                    place_kind=place_kind,
                    municipality=municipality,
                    sensor=sensor,
                    declaration=declaration,
                ),
                by=INSTALLER,
                at=at,
            )
            for role, given in ((Role.MAIN, url), (Role.SUB, sub_source)):
                if given:
                    await service.set_stream(
                        connection,
                        opened.sealer,
                        key,
                        camera.id,
                        role,
                        given,
                        driver=driver,
                        recorded=role is Role.MAIN,
                        by=INSTALLER,
                        at=at,
                    )
            if onvif:
                await service.set_control(
                    connection, opened.sealer, key, camera.id, onvif, by=INSTALLER, at=at
                )
            if group:
                await service.set_groups(connection, opened.sealer, camera.id, group, by=INSTALLER, at=at)
            if share:
                await service.share_camera(connection, opened.sealer, camera.id, by=INSTALLER, at=at)
        if as_json:
            _print({"id": camera.id, "code": camera.code})
        else:
            print(f"{camera.code} is registered: {camera.id}")

    run(main)


def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV or GeoJSON")],
    owner: Owner,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="try everything, keep nothing")] = False,
    report: Annotated[Path | None, typer.Option(help="where to write the report of all rows, as CSV")] = None,
    as_json: Json = False,
) -> None:
    """Register or change a party's cameras from a file; tells for each row what became of it."""
    read = reader_of(file.name)

    async def main(opened: Opened) -> None:
        at = SystemClock().now()
        async with opened.database.acquire() as connection:
            party = await importing.find_owner(connection, owner)
            rules = await _load_rules(opened, connection)
        reports: list[RowReport] = []
        with (
            file.open("rb") as opened_file,
            Progress(console=Console(stderr=True), transient=True) as progress,
        ):
            task = progress.add_task("rows", total=None)
            rows = importing.import_rows(
                opened.database,
                opened.sealer,
                SourceKey.of(opened.settings.home),
                party,
                read(opened_file),
                by=INSTALLER,
                at=at,
                rules=rules,
                dry_run=dry_run,
            )
            async for each in rows:
                reports.append(each)
                progress.advance(task)
        tell_report(importing.summarise(reports, dry_run=dry_run), report, as_json=as_json)

    run(main)


def tell_report(told: importing.ImportReport, report: Path | None, *, as_json: bool) -> None:
    """The report is printed, and written to the file `report` if one is named. Exits 65 when a row was refused."""
    if report is not None:
        report.write_text(importing.report_csv(told.rows), encoding="utf-8", newline="")
    if as_json:
        _print(told)
    else:
        for each in told.rows:
            if each.outcome is Outcome.REFUSED:
                facts = ", ".join(f"{name}={value}" for name, value in each.facts.items())
                print(f"line {each.line}: {each.camera or '-'}: {each.code} {each.field} {facts}".rstrip())
        counts = ", ".join(f"{number} {outcome}" for outcome, number in importing.count(told.rows).items())
        print(f"a trial, nothing is kept: {counts}" if told.dry_run else counts)
    if told.refused:
        raise typer.Exit(Invalid.exit_code)


def list_cameras(
    owner: Annotated[str, typer.Option(help="enterprise number, or id, of a party")] = "",
    group: Annotated[str, typer.Option(help="code of a group")] = "",
    state: Annotated[State | None, typer.Option(help="only those")] = None,
    as_json: Json = False,
) -> None:
    """Cameras with their owner, state, streams, groups and health; never with a password."""

    async def main(opened: Opened) -> None:
        async with opened.database.acquire() as connection:
            party = await importing.find_owner(connection, owner) if owner else None
            cameras = await store.list_cameras(connection, owner=party, group=group or None, state=state)
            ids = [each.id for each in cameras]
            streams = await store.list_streams(connection, ids)
            groups = await store.groups_of(connection, ids)
            health = await find_health(connection, streams, SystemClock().now())
            names = {each.id: each.name.en for each in (await load_part(connection)).parties.values()}
        if as_json:
            _print(
                [
                    {
                        **msgspec.to_builtins(each),
                        "observation": observation(each.pixels_per_metre),
                        "groups": groups.get(each.id, []),
                        "health": health[each.id],
                        "streams": [
                            {
                                "id": stream.id,
                                "role": stream.role,
                                "address": stream.address,
                                "driver": stream.driver,
                                "recorded": stream.recorded,
                            }
                            for stream in streams.get(each.id, ())
                        ],
                    }
                    for each in cameras
                ]
            )
            return
        table = Table(box=None, pad_edge=False)
        for title in ("code", "owner", "name", "state", "health", "shared", "streams", "groups"):
            table.add_column(title)
        for each in cameras:
            table.add_row(
                each.code,
                names.get(each.owner, str(each.owner)),
                each.name,
                each.state.value,
                health[each.id].state,
                "yes" if each.shared else "no",
                " ".join(stream.role.value for stream in streams.get(each.id, ())),
                " ".join(groups.get(each.id, ())),
            )
        Console().print(table)

    run(main)


def allow(
    owner: Owner,
    network: Annotated[list[str], typer.Argument(help="as 10.4.0.0/16")],
    as_json: Json = False,
) -> None:
    """Let a party's cameras stand in these networks; nothing else is connected to on its behalf."""

    async def main(opened: Opened) -> None:
        at = SystemClock().now()
        allowed: list[Network] = []
        async with opened.database.transaction() as connection:
            party = await importing.find_owner(connection, owner)
            for each in network:
                loopback = opened.settings.mode == "embedded"
                allowed.append(
                    await service.allow_network(
                        connection, opened.sealer, party, each, loopback=loopback, by=INSTALLER, at=at
                    )
                )
        if as_json:
            _print([str(each) for each in allowed])
        else:
            print(f"allowed: {', '.join(map(str, allowed))}")

    run(main)


def attach(app: typer.Typer) -> None:
    """The commands are part of `koinon video`."""
    app.command("add")(add)
    app.command("import")(import_file)
    app.command("list")(list_cameras)
    app.command("allow-network")(allow)
