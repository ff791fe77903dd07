"""`koinon demo`: the Brussels demo region on this machine, or its story once."""

import asyncio
import fcntl
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from koinon.app.platform import Family, Member, platform_members
from koinon.app.wiring import database_url, prepare_database
from koinon.base.database import Database, embedded
from koinon.base.errors import Conflict, NotAllowed, Unavailable
from koinon.base.files import replace_file
from koinon.base.logging import configure
from koinon.base.settings import Settings, load_settings
from koinon.demo.cameras.fleet import Fleet, find_traffic_clip, run_fleet, run_ptz
from koinon.demo.flow_files import flow_files
from koinon.demo.region import (
    NORTH,
    PARTIES,
    PASSWORD,
    PURPOSE,
    SOUTH,
    Region,
    Seeder,
    enterprise_number,
    is_seeded,
)
from koinon.demo.region.flows import KEEPERS, REGISTER, RENT_PURPOSE
from koinon.demo.story import Step, Story
from koinon.integrator.sources import FILE as SOURCES_FILE
from koinon.trust.ledger import Log, Sealer

app = typer.Typer(help="The Brussels demo region; every person, organisation and figure in it is made up.")

# Written at each start; a database that already listens keeps nothing of it but the ledger's origin.
_NAMES = ("partner", "commission")
_WAIT_SECONDS = 40.0
_HEADS = 400


@app.callback(invoke_without_command=True)
def demo(
    once: Annotated[bool, typer.Option("--once", help="Run the story and stop, without serving.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --once: the report as JSON.")] = False,
    port: Annotated[int, typer.Option(help="Port to serve on; with --once a free one.")] = 8000,
) -> None:
    """Brings the platform up with simulated sources and two witnesses, tells the story, and goes on serving.

    With KOINON_PUBLIC_ORIGIN at `http://localhost:<port>` members can make passkeys, which need a host name.
    State lives in KOINON_HOME, or in ./koinon-home; with --once and no KOINON_HOME in a folder that is removed.
    """
    with ExitStack() as stack:
        if once and "KOINON_HOME" not in os.environ:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="koinon-demo-")))
            folder.chmod(0o755)
            home = folder / "home"
        else:
            home = Path(os.environ.get("KOINON_HOME") or "koinon-home").resolve()
        console = Console(stderr=True) if json else Console()
        raise SystemExit(Demo(home, free_ports(1)[0] if once else port, console).run(once=once, json=json))


class Demo:
    """The region's processes, their state in `home`."""

    def __init__(self, home: Path, port: int, console: Console) -> None:
        self.home = home
        self.port = port
        self.console = console
        self.family = Family()
        self.started = time.monotonic()

    def run(self, *, once: bool, json: bool) -> int:
        """The exit code: 0 only if every step held (`once`), or after Ctrl-C."""
        settings = self.prepare()
        configure(settings.log_level, "demo")
        url = settings.origin
        self.console.print(f"[bold]Koinon[/bold] demo region · state in {self.home}")
        # No spinner here: its thread may hold a lock at the moment of a fork, and the child would wait for ever.
        try:
            asyncio.run(self._seed(settings))
            self._start(settings)
            self._await(f"{url}/health/ready")
        except BaseException:
            self.family.stop()
            if not settings.database_url:
                embedded.stop(self.home)
            raise
        seconds = time.monotonic() - self.started
        try:
            self.console.print(f"up in {seconds:.1f} s: {url}")
            if once:
                story = self.tell(settings)
                if json:
                    print(msgspec.json.format(msgspec.json.encode(report(story)), indent=2).decode())
                return 0 if story.ok else 1
            self.greet(settings)
            self.family.watch(tick=self._first_story(settings))
            return 0
        finally:
            self.family.stop()
            if not settings.database_url:
                embedded.stop(self.home)

    def prepare(self) -> Settings:
        """Folders and `koinon.toml`, so that other commands find the same platform."""
        from koinon.trust.ledger.witness.server import prepare_witness

        check_port(self.port)
        if load_settings(home=self.home).mode == "production":
            raise NotAllowed("demo_in_production")
        self.home.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.lock = (self.home / "demo.lock").open("a")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("demo_already_runs", home=str(self.home)) from None
        sources = ("rijksregister", "ksz", "kbo", "registers")
        ports = iter(free_ports(len(_NAMES) + len(sources) + 6, beside=self.port))
        self.witnesses = dict(zip(_NAMES, ports, strict=False))
        self.sources = dict(zip(sources, ports, strict=False))
        main, sub, ptz, turning, partner, traffic = ports
        self.cameras = Fleet(
            main=main,
            sub=sub,
            traffic=traffic if find_traffic_clip() is not None else 0,
            ptz=ptz,
            turning=turning,
            partner=partner,
        )
        keys = [
            str(prepare_witness(self.home / "demo" / "witness" / name, f"witness.invalid/{name}").verifier)
            for name in _NAMES
        ]
        values = {
            "host": "127.0.0.1",
            "port": self.port,
            "ledger_origin": "koinon.invalid/brussels-demo",
            "ledger_quorum": len(_NAMES),
            "witness_urls": ",".join(f"http://127.0.0.1:{port}" for port in self.witnesses.values()),
            "witness_keys": ",".join(keys),
            "log_level": "error",
            "recorder_processes": 1,
        }
        if origin := os.environ.get("KOINON_PUBLIC_ORIGIN"):
            values["public_origin"] = origin
        lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]
        head = "# Written by `koinon demo` at each start.\n"
        replace_file(self.home / "koinon.toml", (head + "\n".join(lines) + "\n").encode())
        return load_settings({}, home=self.home)

    async def _seed(self, settings: Settings) -> None:
        """The region stands in the database and in the simulated sources; at a later start only addresses change."""
        from datetime import UTC, datetime, timedelta

        from koinon.demo.population import Changes, open_population
        from koinon.demo.sources import register_households, seed_candidates
        from koinon.demo.sources.signing import give_certificates
        from koinon.trust.ledger.sequencing.running import make_signer

        url = database_url(settings)
        await prepare_database(url)
        Changes(self.home).close()  # there before any source looks
        for name in _NAMES:
            keys = [
                str(make_signer(self.home, log, f"{settings.ledger_origin}/{log.value}").verifier)
                for log in Log
            ]
            folder = self.home / "demo" / "witness" / name
            replace_file(folder / "logs.txt", ("\n".join(keys) + "\n").encode(), 0o644)
        numbers = {each.code: enterprise_number(serial) for serial, each in enumerate(PARTIES, start=1)}
        candidates_file = self.home / "demo" / "candidates.address"
        async with await Database.open(url, kind="owner", max_size=3) as database:
            if not await is_seeded(database):
                population = open_population(self.home)
                north = list(dict.fromkeys([p.number for p in population.personas().values()]))
                heads = population.heads(_HEADS)
                subjects = {NORTH: [*north, *(h for h in heads[100:] if h not in north)], SOUTH: heads[:100]}
                today = datetime.now(UTC).date()
                for code, persons in subjects.items():
                    register_households(
                        settings,
                        population,
                        persons,
                        numbers[code],
                        PURPOSE,
                        today - timedelta(days=1),
                        today + timedelta(days=730),
                    )
                address = await seed_candidates(settings, url, population, (numbers[NORTH], numbers[SOUTH]))
                replace_file(candidates_file, address.encode())
                seeder = Seeder(settings, database, Sealer.of(self.home), datetime.now(UTC))
                files = flow_files(population, [*subjects[NORTH], *subjects[SOUTH]])
                register_households(
                    settings,
                    population,
                    files[RENT_PURPOSE][NORTH],
                    numbers[NORTH],
                    RENT_PURPOSE,
                    today - timedelta(days=1),
                    today + timedelta(days=730),
                )
                await seeder.seed(subjects, contractors=population.enterprises(20), files=files)
            await self._seed_cameras(database)
        lines = []
        registers = self.sources["registers"]
        served = {name: (port, name) for name, port in self.sources.items() if name != "registers"}
        served |= {name: (registers, keeper) for name, keeper in KEEPERS.items()}
        for name, (port, keeper) in served.items():
            lines += [f"[{name}]", f'address = "http://127.0.0.1:{port}"', 'networks = ["127.0.0.0/8"]']
            lines += [f'keeper = "{numbers[keeper]}"', "simulated = true", ""]
        lines += [give_certificates(self.home)]
        lines += ["[candidates]", f'address = "{candidates_file.read_text()}"', "simulated = true", ""]
        replace_file(self.home / SOURCES_FILE, "\n".join(lines).encode())

    async def _seed_cameras(self, database: Database) -> None:
        """The virtual cameras stand in the register, and their pictures come from where they listen this time."""
        from datetime import UTC, datetime

        from koinon.demo.cameras_seed import (
            CAMERAS,
            ELSEWHERE,
            seed_cameras,
            seed_elsewhere,
            set_controls,
            set_sources,
        )
        from koinon.demo.region import Region
        from koinon.video.cameras import Role
        from koinon.video.cameras import store as register

        parties, at, sealer = Region.load(self.home).parties, datetime.now(UTC), Sealer.of(self.home)
        mains = {each.code: self.cameras.main_url(each.code) for each in CAMERAS}
        subs = {each.code: self.cameras.sub_url(each.code) for each in CAMERAS}
        controls = self.cameras.controls
        async with database.transaction() as connection:
            ids = {each.code: each.id for each in await register.list_cameras(connection)}
            if not ids:
                await seed_cameras(
                    connection, sealer, self.home, parties, mains, subs=subs, controls=controls, at=at
                )
            else:
                await set_sources(connection, sealer, self.home, ids, parties, mains, at=at)
                await set_sources(connection, sealer, self.home, ids, parties, subs, role=Role.SUB, at=at)
                await set_controls(connection, sealer, self.home, ids, parties, controls, at=at)
            url = self.cameras.partner_url(ELSEWHERE.code)
            await seed_elsewhere(connection, sealer, self.home, parties, url, at=at)

    def _start(self, settings: Settings) -> None:
        from koinon.demo.consumer import run_consumer
        from koinon.demo.sources import run_source
        from koinon.demo.sources.rijksregister.publishing import run_keeper
        from koinon.trust.ledger.witness.server import run_witness

        for member in platform_members(settings):
            self.family.start(member)
        for name, port in self.sources.items():
            self.family.start(Member(f"source-{name}", call(run_source, name, settings, port), stage=0))
        # Stopped before the platform, since they wait for it; with an older home nobody publishes.
        if has_publisher(self.home):
            self.family.start(Member("keeper-rijksregister", call(run_keeper, settings), stage=3))
            self.family.start(Member(f"consumer-{NORTH}", call(run_consumer, settings), stage=3))
        clips = self.home / "demo" / "clips"
        self.family.start(Member("cameras", call(run_fleet, clips, self.cameras), stage=0))
        self.family.start(Member("camera-ptz", call(run_ptz, settings, clips, self.cameras), stage=0))
        for name, port in self.witnesses.items():
            folder = self.home / "demo" / "witness" / name
            self.family.start(
                Member(
                    f"witness-{name}",
                    call(run_witness, folder, f"witness.invalid/{name}", "127.0.0.1", port),
                    stage=0,
                )
            )

    def _await(self, url: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            self.family.collect()
            if self.family.stopping:
                break
            try:
                if httpx.get(url, timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.02)
        raise Unavailable("demo_not_ready", seconds=_WAIT_SECONDS)

    def tell(self, settings: Settings) -> Story:
        """The story, each step shown as it ends."""
        from koinon.demo.population import open_population

        population = open_population(self.home)
        persona = population.personas()["single_modest_income"]

        def show(step: Step) -> None:
            mark = "[green]held[/green]" if step.ok else f"[red]failed[/red] {step.why}"
            self.console.print(f"  {step.seconds:6.2f} s  {mark}  {step.name}")

        with tempfile.TemporaryDirectory(prefix="koinon-export-") as folder:
            story = Story(
                settings.origin,
                self.home,
                persona.number,
                witnesses=len(_NAMES),
                batch=population.heads(_HEADS)[100:106],
                tell=show,
            )
            story.run(lambda: self._export(Path(folder) / "exchange"), self._verify)
        return story

    def _export(self, folder: Path) -> Path:
        self._koinon("ledger", "export", str(folder))
        return folder

    def _verify(self) -> None:
        self._koinon("ledger", "verify")

    def _koinon(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "koinon.app.cli", *arguments],
            env={**os.environ, "KOINON_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise Unavailable(
                "command_failed", command=" ".join(arguments), why=(done.stdout + done.stderr)[-500:]
            )
        return done

    def greet(self, settings: Settings) -> None:
        """Who may sign in, and where."""
        table = Table(title="Accounts of the demo region", caption=f"password of all of them: {PASSWORD}")
        for column in ("sign in as", "for", "in the profile"):
            table.add_column(column)
        for party in PARTIES:
            for login, _name, profiles, _language in party.persons:
                table.add_row(login, party.name.en, ", ".join(profiles))
        self.console.print(table)
        from koinon.demo.population import open_population

        persona = open_population(self.home).personas()["single_modest_income"]
        self.console.print(f"A person to ask about as [bold]an[/bold]: {persona.number} ({persona.text.en})")
        self.console.print(
            f"The Commission signs with the key file {self.home}/demo/keys/chair.pem (no passphrase): "
            "sign in as chair, open 2026/001, suspend."
        )
        self.console.print(f"Pages: [bold]{settings.origin}[/bold] · Ctrl-C stops everything")

    def _first_story(self, settings: Settings) -> Callable[[], None]:
        """Tells the story once, after the pages are up; a failing step is shown and does not stop the service."""
        told = [False]

        def tick() -> None:
            if not told[0]:
                told[0] = True
                self.console.print("The story:")
                self.tell(settings)

        return tick


def report(story: Story) -> dict[str, Any]:
    """What `koinon demo --once --json` prints."""
    steps = [{"name": step.name, "ok": step.ok, "seconds": step.seconds} for step in story.steps]
    for entry, step in zip(steps, story.steps, strict=True):
        if step.why:
            entry["why"] = step.why
    absent = {"exchange": None, "receipt": None, "refusal": None, "cut_seconds": None, "ledger": None}
    return {"steps": steps, **absent, **story.told}


def has_publisher(home: Path) -> bool:
    """Whether the keeper of the register has a system of its own: regions made before it published have none."""
    return REGISTER in Region.load(home).systems


def call(function: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    """The call, to be made in a child."""
    return lambda: function(*arguments)


def check_port(port: int) -> None:
    """Nobody listens on this port of 127.0.0.1: web processes share theirs, so a second demo would go unnoticed.

    Raises:
        Unavailable: `port_in_use`.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Unavailable("port_in_use", port=port) from None


def free_ports(count: int, *, beside: int = 0) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different, and other than `beside`.

    Below those that Linux gives to connections: any of these may be taken again before somebody listens.

    Raises:
        Unavailable: `port_in_use`: there are not so many.
    """
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(range(20_000, 32_000), 12_000):
            if port == beside:
                continue
            probe = held.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise Unavailable("port_in_use", port="20000-31999")
